"""Proportions: exact limits for one model, Tango's score limits for two models on the same rows."""

import math
from dataclasses import dataclass

from scipy.special import betainc, betaincinv, ndtr, ndtri, rel_entr

from signoff.gate.estimate import smallest

EXACT = "exact binomial"
_BISECTIONS = 60  # halves [-1, 1] down to the resolution of float64


@dataclass(frozen=True, kw_only=True, slots=True)
class Proportion:
    """Limits by Clopper and Pearson (Biometrika 1934, 26:404).

    The exact limits and not Wilson's: for a proportion near 1 the one-sided Wilson limit passes a candidate
    exactly at the bound in up to 8 % of samples at a nominal 5 %.

    Attributes:
        successes: how many; need not be whole where a bound of an average is meant.
        trials: out of how many; above 0.
        method: for people.
    """

    successes: float
    trials: float
    method: str = EXACT

    @property
    def value(self) -> float:
        """The share."""
        return self.successes / self.trials

    def lower(self, alpha: float) -> float:
        """The share under which so many successes have probability alpha."""
        if self.successes <= 0:
            return 0.0
        return float(betaincinv(self.successes, self.trials - self.successes + 1, alpha))

    def upper(self, alpha: float) -> float:
        """The share under which so few successes have probability alpha."""
        if self.successes >= self.trials:
            return 1.0
        return float(betaincinv(self.successes + 1, self.trials - self.successes, 1.0 - alpha))

    def p_above(self, bound: float) -> float:
        """Probability of so many successes at a share of ``bound``."""
        if self.successes <= 0:
            return 0.0 if bound < 0.0 else 1.0
        return float(betainc(self.successes, self.trials - self.successes + 1, _unit(bound)))

    def p_below(self, bound: float) -> float:
        """Probability of so few successes at a share of ``bound``."""
        if self.successes >= self.trials:
            return 0.0 if bound > 1.0 else 1.0
        return 1.0 - float(betainc(self.successes + 1, self.trials - self.successes, _unit(bound)))

    def growth(self, bound: float, *, truth: float, alpha: float, power: float) -> float | None:
        """By the binomial law at the truth, counts taken as continuous; None for a bound of an average.

        So many successes that the exact limit clears the bound must have the probability ``power``; half a
        count more stands for the rounding up.
        """
        if self.method != EXACT:
            return None
        if truth < bound:
            bound, truth = 1.0 - bound, 1.0 - truth
        if not (0.0 < bound < 1.0 and truth <= 1.0):
            return None

        def clears(growth: float) -> bool:
            trials = self.trials * growth
            if bound**trials > alpha:
                return False
            least = min(float(_successes(trials, bound, alpha)) + 0.5, trials)
            return float(betainc(least, trials - least + 1.0, truth)) >= power

        return smallest(clears)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedProportions:
    """Difference of two proportions on the same rows: the score test of Tango (Stat Med 1998, 17:891).

    Attributes:
        gains: rows that only the candidate has right.
        losses: rows that only the baseline has right.
        pairs: all rows; above 0.
    """

    gains: int
    losses: int
    pairs: int
    method: str = "Tango score, paired"

    @property
    def value(self) -> float:
        """(gains - losses) / pairs."""
        return (self.gains - self.losses) / self.pairs

    def score(self, delta: float) -> float:
        """Standard normal score of the sample if the true difference were ``delta``, in (-1, 1)."""
        n = self.pairs
        variance = n * _null_variance(self.gains / n, self.losses / n, delta)
        distance = self.gains - self.losses - n * delta
        if variance <= 0.0:
            return 0.0 if distance == 0.0 else float("inf") * distance
        return float(distance / variance**0.5)

    def lower(self, alpha: float) -> float:
        """The difference whose score is the upper alpha quantile."""
        critical = float(ndtri(1.0 - alpha))
        low, high = -1.0, self.value
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if self.score(middle) > critical:
                low = middle
            else:
                high = middle
        return low

    def upper(self, alpha: float) -> float:
        """By symmetry: minus the lower limit with gains and losses exchanged."""
        return -self._mirrored().lower(alpha)

    def p_above(self, bound: float) -> float:
        """Normal tail beyond the score at the bound."""
        if bound <= -1.0:
            return 0.0
        return 1.0 if bound >= 1.0 else float(ndtr(-self.score(bound)))

    def p_below(self, bound: float) -> float:
        """The same on the other side."""
        return self._mirrored().p_above(-bound)

    def growth(self, bound: float, *, truth: float, alpha: float, power: float) -> float | None:
        """By a normal law of the score: spread at the bound for the limit, spread at the truth for the power.

        As many rows differ, in share, as in this sample, and at least one of them.
        """
        if not -1.0 < bound < 1.0:
            return None
        differ = max(max(self.gains + self.losses, 1) / self.pairs, abs(truth))
        gains, losses = 0.5 * (differ + truth), 0.5 * (differ - truth)
        if truth < bound:
            bound, truth, gains, losses = -bound, -truth, losses, gains
        at_bound = _null_variance(gains, losses, bound) ** 0.5
        at_truth = (differ - truth**2) ** 0.5
        root = (float(ndtri(1.0 - alpha)) * at_bound + float(ndtri(power)) * at_truth) / (truth - bound)
        return float(root**2 / self.pairs)

    def _mirrored(self) -> "PairedProportions":
        return PairedProportions(gains=self.losses, losses=self.gains, pairs=self.pairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundedMean:
    """A mean of independent values with known bounds, whatever their law: Hoeffding (JASA 1963, 58:13), theorem 1.

    Wide, but right where few values carry the variance.

    Attributes:
        value: the mean.
        count: of values; above 0.
        least: the smallest that a value can be.
        most: the largest; above least.
        method: for people.
    """

    value: float
    count: int
    least: float
    most: float
    method: str = "bound for any law"

    def lower(self, alpha: float) -> float:
        """The mean under which one so large has at most probability alpha."""
        return self._limit(alpha, self.least)

    def upper(self, alpha: float) -> float:
        """The mean under which one so small has at most probability alpha."""
        return self._limit(alpha, self.most)

    def p_above(self, bound: float) -> float:
        """Bound of the probability of a mean so large at ``bound``; 0 where no mean can lie."""
        if bound < self.least:
            return 0.0
        return self._tail(bound) if bound < self.value else 1.0

    def p_below(self, bound: float) -> float:
        """Bound of the probability of a mean so small at ``bound``; 0 where no mean can lie."""
        if bound > self.most:
            return 0.0
        return self._tail(bound) if bound > self.value else 1.0

    def growth(self, bound: float, *, truth: float, alpha: float, power: float) -> float | None:  # noqa: ARG002 - of no use
        """None: with more values another method would decide."""
        return None

    def _limit(self, alpha: float, end: float) -> float:
        inside, outside = self.value, end
        for _ in range(_BISECTIONS):
            middle = 0.5 * (inside + outside)
            if self._tail(middle) < alpha:
                outside = middle
            else:
                inside = middle
        return outside

    def _tail(self, mean: float) -> float:
        """exp(-n KL), with the divergence of the law of yes and no at the sample's mean from that at ``mean``."""
        width = self.most - self.least
        seen, meant = _unit((self.value - self.least) / width), _unit((mean - self.least) / width)
        divergence = float(rel_entr(seen, meant) + rel_entr(1.0 - seen, 1.0 - meant))
        return math.exp(-self.count * divergence)


def _null_variance(gains: float, losses: float, delta: float) -> float:
    """Variance of one pair's gain minus loss if the true difference were ``delta``, from shares of pairs.

    It holds the maximum-likelihood estimate of the share of losses given ``delta`` (Tango's q21).
    """
    linear = -gains - losses + (2.0 - gains + losses) * delta
    constant = -losses * delta * (1.0 - delta)
    root = max(linear * linear - 8.0 * constant, 0.0) ** 0.5
    loss_rate = max((root - linear) / 4.0, -delta, 0.0)
    return float(2.0 * loss_rate + delta * (1.0 - delta))


def _successes(trials: float, bound: float, alpha: float) -> float:
    """How many successes, not whole, put the exact lower limit on the bound."""
    low, high = 0.0, trials
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if middle > 0.0 and betainc(middle, trials - middle + 1.0, bound) < alpha:
            high = middle
        else:
            low = middle
    return high


def _unit(share: float) -> float:
    return min(max(share, 0.0), 1.0)
