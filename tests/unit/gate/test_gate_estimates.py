"""Limits and p-values of every estimate tell the same story."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from signoff.gate.estimate import Estimate, FewDifferences, Known, Logit, SquareRoot, StudentT
from signoff.gate.latency import QuantileEstimate
from signoff.gate.proportions import Proportion

T = StudentT(value=0.4, se=0.05, df=7.5, method="t")
ESTIMATES: dict[str, Estimate] = {
    "t": T,
    "root of t": SquareRoot(square=T),
    "log odds of t": Logit(share=T),
    "few differences": FewDifferences(value=0.0, center=0.0, differing=2, effect=0.05, method="few"),
    "proportion": Proportion(successes=7, trials=20),
    "part of a success": Proportion(successes=7.3, trials=20),
    "quantile": QuantileEstimate(times=np.linspace(0.0, 1.0, 400), share=0.5),
    "known": Known(value=0.4, method="known"),
}


@pytest.mark.parametrize("name", ESTIMATES)
@given(bound=st.floats(-0.5, 1.5), alpha=st.sampled_from([0.05, 0.025, 0.005]))
def test_a_limit_excludes_a_bound_exactly_when_the_p_value_does(
    name: str, bound: float, alpha: float
) -> None:
    estimate = ESTIMATES[name]
    lower, upper = estimate.lower(alpha), estimate.upper(alpha)
    assert lower <= upper
    if abs(lower - bound) > 1e-9:
        assert (lower > bound) == (estimate.p_above(bound) <= alpha)
    if abs(upper - bound) > 1e-9:
        assert (upper < bound) == (estimate.p_below(bound) <= alpha)


@pytest.mark.parametrize("name", ESTIMATES)
def test_a_smaller_alpha_widens_the_interval(name: str) -> None:
    estimate = ESTIMATES[name]
    assert estimate.lower(0.005) <= estimate.lower(0.05)
    assert estimate.upper(0.005) >= estimate.upper(0.05)


@pytest.mark.parametrize("requests", [59, 100, 1000])
def test_quantile_limits_are_the_order_statistics_of_the_binomial(requests: int) -> None:
    times = np.arange(1.0, requests + 1.0)
    estimate = QuantileEstimate(times=times, share=0.95)
    at_most = binom.cdf(times - 1.0, requests, 0.95)
    assert estimate.upper(0.05) == times[at_most >= 0.95].min()
    assert estimate.lower(0.05) == times[at_most <= 0.05].max()
    assert estimate.value == np.ceil(0.95 * requests)


def test_no_difference_in_n_rows_is_the_rule_of_three() -> None:
    none = FewDifferences(value=0.0, center=0.0, differing=0, effect=1 / 100, method="")
    assert none.upper(0.05) == pytest.approx(3.0 / 100, rel=0.002)
