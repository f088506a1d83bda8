"""Exact limits for one proportion, Tango's for two on the same rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, norm

from signoff.gate.proportions import PairedProportions, Proportion


@st.composite
def paired_counts(draw: st.DrawFn) -> PairedProportions:
    gains, losses = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    return PairedProportions(gains=gains, losses=losses, pairs=draw(st.integers(gains + losses + 1, 400)))


def score_by_definition(paired: PairedProportions, delta: float) -> float:
    """Tango's statistic with the nuisance rate found by numeric maximum likelihood."""
    same = paired.pairs - paired.gains - paired.losses

    def minus_log_likelihood(loss: float) -> float:
        rates = (loss + delta, loss, 1.0 - 2.0 * loss - delta)
        counts = (paired.gains, paired.losses, same)
        return -float(sum(k * np.log(max(rate, 1e-300)) for k, rate in zip(counts, rates, strict=True) if k))

    bounds = (max(0.0, -delta), (1.0 - delta) / 2.0)
    loss = minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    variance = paired.pairs * (2.0 * loss + delta * (1.0 - delta))
    return float((paired.gains - paired.losses - paired.pairs * delta) / np.sqrt(variance))


@pytest.mark.parametrize(("gains", "losses", "pairs"), [(1, 7, 21), (12, 30, 500), (3, 2, 40), (25, 6, 80)])
@pytest.mark.parametrize("alpha", [0.025, 0.005])
def test_tango_limits_solve_the_defining_equation(gains: int, losses: int, pairs: int, alpha: float) -> None:
    paired = PairedProportions(gains=gains, losses=losses, pairs=pairs)
    z = norm.ppf(1 - alpha)
    lower = brentq(lambda d: score_by_definition(paired, d) - z, -0.95, paired.value)
    upper = brentq(lambda d: score_by_definition(paired, d) + z, paired.value, 0.95)
    assert (paired.lower(alpha), paired.upper(alpha)) == pytest.approx((lower, upper), abs=1e-5)


def test_tango_limits_of_a_published_example() -> None:
    """Airway hyper-responsiveness, 21 children (Bentur 2009); limits in Fagerland et al. 2014, Stat Med 33:2850."""
    paired = PairedProportions(gains=1, losses=7, pairs=21)
    assert (round(paired.lower(0.025), 3), round(paired.upper(0.025), 3)) == (-0.517, -0.026)


@given(paired_counts(), st.sampled_from([0.05, 0.005]))
def test_exchanging_the_models_turns_the_interval_round(paired: PairedProportions, alpha: float) -> None:
    turned = PairedProportions(gains=paired.losses, losses=paired.gains, pairs=paired.pairs)
    assert paired.lower(alpha) == pytest.approx(-turned.upper(alpha), abs=1e-12)
    assert paired.lower(alpha) < paired.value < paired.upper(alpha)


@given(paired_counts(), st.floats(-0.9, 0.9), st.sampled_from([0.05, 0.005]))
def test_tango_limit_and_p_value_agree(paired: PairedProportions, bound: float, alpha: float) -> None:
    lower, upper = paired.lower(alpha), paired.upper(alpha)
    if abs(lower - bound) > 1e-9:
        assert (lower > bound) == (paired.p_above(bound) < alpha)
    if abs(upper - bound) > 1e-9:
        assert (upper < bound) == (paired.p_below(bound) < alpha)


def test_no_discordant_row_still_leaves_doubt() -> None:
    """Score limits with b = c = 0 lie at ± z² / (n + z²)."""
    z2 = float(norm.ppf(0.95)) ** 2
    assert PairedProportions(gains=0, losses=0, pairs=8).lower(0.05) == pytest.approx(-z2 / (8 + z2))


@pytest.mark.parametrize(("hits", "trials"), [(0, 20), (3, 20), (20, 20), (950, 1000)])
def test_one_proportion_is_exact(hits: int, trials: int) -> None:
    share = Proportion(successes=hits, trials=trials)
    lower = binomtest(hits, trials, alternative="greater").proportion_ci(0.95).low
    upper = binomtest(hits, trials, alternative="less").proportion_ci(0.95).high
    assert (share.lower(0.05), share.upper(0.05)) == pytest.approx((lower, upper), abs=1e-12)
    p_above = binomtest(hits, trials, p=0.8, alternative="greater").pvalue
    p_below = binomtest(hits, trials, p=0.8, alternative="less").pvalue
    assert (share.p_above(0.8), share.p_below(0.8)) == pytest.approx((p_above, p_below), abs=1e-12)


@pytest.mark.parametrize("bound", [-0.1, 1.1])
def test_a_bound_that_no_proportion_can_reach_is_decided(bound: float) -> None:
    for hits in (0, 20):
        share = Proportion(successes=hits, trials=20)
        assert (share.p_above(bound) < 0.05) == (bound < 0)
        assert (share.p_below(bound) < 0.05) == (bound > 1)


def test_tango_passes_harm_at_the_margin_at_most_at_its_rate() -> None:
    """1,000 rows of 5 % positives, harm exactly at the margin: 5 % false passes, within four standard errors."""
    random, margin, passes, repetitions = np.random.default_rng(5), 0.05, 0, 3000
    for pairs in random.binomial(1000, 0.05, size=repetitions):
        gains, losses, _ = random.multinomial(pairs, [0.025, 0.075, 0.9])
        paired = PairedProportions(gains=int(gains), losses=int(losses), pairs=int(pairs))
        passes += paired.p_above(-margin) < 0.05
    assert 0.01 < passes / repetitions < 0.05 + 4 * (0.05 * 0.95 / repetitions) ** 0.5
