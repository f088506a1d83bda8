"""Latency quantiles: limits by order statistics, with no assumption on the distribution."""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from signoff.gate.arrays import FloatArray
from signoff.gate.estimate import Measurement, Undecided

QUANTILES = {"latency_p95_ms": 0.95, "latency_p99_ms": 0.99}
"""Which quantile each latency metric is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantileEstimate:
    """A quantile of independent times: how many lie at or below it is binomial.

    Attributes:
        times: sorted, in milliseconds; at least one.
        share: 0.95 for the 95th percentile.
        method: for people.
    """

    times: FloatArray
    share: float
    method: str = "order statistics"

    @property
    def value(self) -> float:
        """The smallest time that ``share`` of the requests do not exceed."""
        return float(self.times[int(np.ceil(self.share * self.times.size)) - 1])

    def lower(self, alpha: float) -> float:
        """The largest order statistic above which the quantile surely lies; minus infinity when none."""
        rank = int(np.searchsorted(self._at_most(), alpha, side="right"))
        return float(self.times[rank - 1]) if rank else float("-inf")

    def upper(self, alpha: float) -> float:
        """The smallest order statistic that the quantile surely does not exceed; infinity when none."""
        rank = int(np.searchsorted(self._at_most(), 1.0 - alpha, side="left")) + 1
        return float(self.times[rank - 1]) if rank <= self.times.size else float("inf")

    def p_above(self, bound: float) -> float:
        """Probability of so few times at or below the bound, were it the quantile."""
        count = int(np.searchsorted(self.times, bound, side="right"))
        return float(bdtr(count, self.times.size, self.share))

    def p_below(self, bound: float) -> float:
        """Probability of so many times at or below the bound, were it the quantile."""
        count = int(np.searchsorted(self.times, bound, side="right"))
        return 1.0 if count == 0 else 1.0 - float(bdtr(count - 1, self.times.size, self.share))

    def growth(self, bound: float, *, truth: float, alpha: float, power: float) -> float | None:  # noqa: ARG002 - of no use
        """None: it depends on the law of the times near the quantile."""
        return None

    def _at_most(self) -> FloatArray:
        """Per k from 0 to n - 1 the probability that at most k times lie at or below the quantile."""
        return np.asarray(bdtr(np.arange(self.times.size), self.times.size, self.share), dtype=np.float64)


def measure_latency(metric: str, latency_ms: FloatArray | None, alpha: float) -> Measurement:
    """A latency quantile of single-row predictions; undecided below 59 requests for p95 at alpha 0.05, 299 for p99."""
    share = QUANTILES[metric]
    if latency_ms is None or latency_ms.size == 0:
        return _latency(None, 0, Undecided(reason="latency was not measured"))
    estimate = QuantileEstimate(times=np.sort(latency_ms), share=share)
    needed = int(np.ceil(np.log(alpha) / np.log(share)))
    if latency_ms.size < needed:
        reason = f"only {latency_ms.size} requests were timed, at least {needed} are needed"
        return _latency(estimate.value, latency_ms.size, Undecided(reason=reason))
    return _latency(estimate.value, latency_ms.size, estimate)


def _latency(value: float | None, requests: int, estimate: QuantileEstimate | Undecided) -> Measurement:
    return Measurement(
        candidate=value,
        baseline=None,
        difference=None,
        estimate=estimate,
        rows=requests,
        units=requests,
        unit="requests",
        note="milliseconds",
    )
