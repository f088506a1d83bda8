"""How many rows a new table needs: planned with the limits that decide, and true in simulation."""

from collections.abc import Callable

import numpy as np
import pytest
from gate_cases import at_least, check, gate_rules, gate_table, judged, margin

from signoff.gate.estimate import Estimate, FewDifferences, Logit, SquareRoot, StudentT
from signoff.gate.model import Predictions
from signoff.gate.proportions import PairedProportions, Proportion

POWER = 0.8
REPETITIONS = 2000


def power_of_pairs(gains: float, losses: float, pairs: int, bound: float, alpha: float) -> float:
    """Share of simulated tables on which Tango's limit clears the bound."""
    rates = [gains, losses, 1.0 - gains - losses]
    drawn = np.random.default_rng(7).multinomial(pairs, rates, size=REPETITIONS)[:, :2]
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    passes = [
        PairedProportions(gains=int(g), losses=int(b), pairs=pairs).p_above(bound) < alpha for g, b in found
    ]
    return float(np.sum(counts[passes])) / REPETITIONS


def power_of_one(share: float, trials: int, bound: float, alpha: float) -> float:
    drawn = np.random.default_rng(7).binomial(trials, share, size=REPETITIONS)
    return float(
        np.mean([Proportion(successes=int(hits), trials=trials).p_above(bound) < alpha for hits in drawn])
    )


def rows_needed(power: Callable[[int], float], planned: int) -> int:
    """By bisection of the simulated power, which is nearly monotone."""
    low, high = planned // 4, planned * 4
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


@pytest.mark.parametrize(
    ("gains", "losses", "pairs", "bound", "alpha"),
    [
        (0, 2, 131, -0.05, 0.005),
        (5, 5, 300, -0.03, 0.05),
        (12, 14, 300, -0.02, 0.005),
        (30, 10, 400, 0.02, 0.05),
    ],
)
def test_pairs_are_planned_as_tango_decides(
    gains: int, losses: int, pairs: int, bound: float, alpha: float
) -> None:
    sample = PairedProportions(gains=gains, losses=losses, pairs=pairs)
    growth = sample.growth(bound, truth=sample.value, alpha=alpha, power=POWER)
    assert growth is not None
    needed = rows_needed(
        lambda n: power_of_pairs(gains / pairs, losses / pairs, n, bound, alpha), round(growth * pairs)
    )
    assert growth * pairs == pytest.approx(needed, rel=0.2)


def test_two_losses_in_131_positive_rows_ask_for_hundreds_more() -> None:
    """Wald's standard error of so few losses asked for about 15 more; 80 % power takes some 360 rows in all."""
    truth = np.concatenate([np.ones(131), np.zeros(200)])
    baseline, candidate = truth.copy(), truth.copy()
    candidate[:2] = 0.0
    rules = gate_rules(margin("recall", "no_worse_than", 0.05), alpha=0.05, looks=10)
    decision = judged(
        rules,
        gate_table(truth),
        Predictions(score=candidate, decision=candidate),
        Predictions(score=baseline, decision=baseline),
    )
    message = check(decision, "margin:recall").message
    assert "about 240 more positive rows if the estimate is the truth" in message
    assert "more positive rows if the models are equal" in message


@pytest.mark.parametrize(
    ("hits", "trials", "bound", "alpha"),
    [(90, 100, 0.85, 0.05), (40, 45, 0.8, 0.005), (196, 200, 0.95, 0.05)],
)
def test_one_share_is_planned_as_the_exact_limit_decides(
    hits: int, trials: int, bound: float, alpha: float
) -> None:
    sample = Proportion(successes=hits, trials=trials)
    growth = sample.growth(bound, truth=sample.value, alpha=alpha, power=POWER)
    assert growth is not None
    needed = rows_needed(lambda n: power_of_one(hits / trials, n, bound, alpha), round(growth * trials))
    assert growth * trials == pytest.approx(needed, rel=0.2)


def test_a_share_without_a_miss_is_planned_by_the_rule_of_three() -> None:
    """0.95 to the 59th is the first power under 0.05."""
    growth = Proportion(successes=20, trials=20).growth(0.95, truth=1.0, alpha=0.05, power=POWER)
    assert growth == pytest.approx(59 / 20, rel=0.02)


def test_both_sides_of_a_bound_are_planned_alike() -> None:
    share, other = Proportion(successes=90, trials=100), Proportion(successes=10, trials=100)
    pairs, turned = (PairedProportions(gains=g, losses=9 - g, pairs=200) for g in (6, 3))
    for up, down, bound in ((share, other, (0.8, 0.2)), (pairs, turned, (-0.01, 0.01))):
        plans = [
            one.growth(at, truth=one.value, alpha=0.05, power=POWER)
            for one, at in zip((up, down), bound, strict=True)
        ]
        assert plans[0] == pytest.approx(plans[1], rel=1e-9)


def test_a_t_limit_is_planned_with_its_own_degrees_of_freedom() -> None:
    """Normal quantiles would say (1.645 + 0.842)² (0.02 / 0.03)² = 2.75 times as many rows."""
    many, few = (
        StudentT(value=0.0, se=0.02, df=df, method="t").growth(-0.03, truth=0.0, alpha=0.05, power=POWER)
        for df in (1e9, 3.0)
    )
    assert many == pytest.approx(2.748, rel=0.002)
    assert few is not None
    assert few > 1.1 * 2.748


def test_a_transformed_mean_is_planned_on_its_own_scale() -> None:
    mean = StudentT(value=4.0, se=0.5, df=1e9, method="t")
    assert SquareRoot(square=mean).growth(2.1, truth=2.0, alpha=0.05, power=POWER) == mean.growth(
        2.1**2, truth=4.0, alpha=0.05, power=POWER
    )
    share = Logit(share=StudentT(value=0.9, se=0.03, df=1e9, method="t"))
    plain = share.share.growth(0.8, truth=0.9, alpha=0.05, power=POWER)
    growth = share.growth(0.8, truth=0.9, alpha=0.05, power=POWER)
    assert plain is not None
    assert growth is not None
    assert 1.0 < growth / plain < 2.0


@pytest.mark.parametrize(
    "estimate",
    [
        Proportion(successes=18.5, trials=20.0, method="bound by the rarer class"),
        FewDifferences(value=0.0, center=0.0, differing=0, effect=0.01, method="rule of three"),
    ],
)
def test_no_number_is_said_where_another_method_would_decide(estimate: Estimate) -> None:
    assert estimate.growth(0.5, truth=0.9, alpha=0.05, power=POWER) is None


def test_a_threshold_is_planned_on_the_rows_that_it_is_measured_on() -> None:
    """Precision of 9 in 10 flagged rows among 40: four times as many rows flag four times as many."""
    truth, decision = np.zeros(400), np.zeros(400)
    decision[:100] = 1.0
    truth[:90] = truth[200:230] = 1.0
    rules = gate_rules(margin("recall", "no_worse_than", 0.05), thresholds=(at_least("precision", 0.85),))
    answers = Predictions(score=decision, decision=decision)
    message = check(judged(rules, gate_table(truth), answers, None), "threshold:precision").message
    growth = Proportion(successes=90, trials=100).growth(0.85, truth=0.9, alpha=0.05, power=POWER)
    assert growth is not None
    more = np.ceil(400 * (growth - 1) / 10) * 10
    assert f"about {more:,.0f} more rows if the estimate is the truth" in message
