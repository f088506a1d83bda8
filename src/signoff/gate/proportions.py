"""Proportions: exact limits for one model, Tango's score limits for two models on the same rows."""

from dataclasses import dataclass

from scipy.special import betainc, betaincinv, ndtr, ndtri

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
    method: str = "exact binomial"

    @property
    def value(self) -> float:
        """The share."""
        return self.successes / self.trials

    @property
    def se(self) -> float | None:
        """Binomial."""
        return float((self.value * (1.0 - self.value) / self.trials) ** 0.5)

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

    @property
    def se(self) -> float | None:
        """Wald's, with at least one discordant row: for planning, never for a verdict."""
        spread = self.gains + self.losses - (self.gains - self.losses) ** 2 / self.pairs
        return float(max(spread, 1.0) ** 0.5 / self.pairs)

    def score(self, delta: float) -> float:
        """Standard normal score of the sample if the true difference were ``delta``, in (-1, 1).

        The variance uses the maximum-likelihood estimate of the loss rate given ``delta`` (Tango's q21).
        """
        n, b, c = self.pairs, self.gains, self.losses
        linear = -b - c + (2 * n - b + c) * delta
        constant = -c * delta * (1.0 - delta)
        root = max(linear * linear - 8.0 * n * constant, 0.0) ** 0.5
        loss_rate = max((root - linear) / (4.0 * n), -delta, 0.0)
        variance = n * (2.0 * loss_rate + delta * (1.0 - delta))
        distance = b - c - n * delta
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

    def _mirrored(self) -> "PairedProportions":
        return PairedProportions(gains=self.losses, losses=self.gains, pairs=self.pairs)


def _unit(share: float) -> float:
    return min(max(share, 0.0), 1.0)
