"""Estimates with one-sided confidence limits, and what a metric measured on some rows amounts to.

Every estimate answers the same four questions, so that limits and p-values always agree:
``lower(alpha) > bound`` exactly when ``p_above(bound) < alpha``, and likewise above.
"""

from dataclasses import dataclass
from typing import Protocol

from scipy.special import expit, gammaincinv, logit, pdtr, stdtr, stdtrit


class Estimate(Protocol):
    """A number estimated from a sample."""

    @property
    def value(self) -> float:
        """The point estimate."""
        ...

    @property
    def se(self) -> float | None:
        """Its standard error, for planning only; None when the method has none."""
        ...

    @property
    def method(self) -> str:
        """Name of the method, for people."""
        ...

    def lower(self, alpha: float) -> float:
        """Lower limit that lies above the truth with probability at most alpha."""
        ...

    def upper(self, alpha: float) -> float:
        """Upper limit that lies below the truth with probability at most alpha."""
        ...

    def p_above(self, bound: float) -> float:
        """P-value against "the truth is at most bound"."""
        ...

    def p_below(self, bound: float) -> float:
        """P-value against "the truth is at least bound"."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentT:
    """A nearly normal estimate; ``se`` is above 0 and ``df`` need not be whole."""

    value: float
    se: float
    df: float
    method: str

    def lower(self, alpha: float) -> float:
        """Value minus the t quantile times the standard error."""
        return self.value - float(stdtrit(self.df, 1.0 - alpha)) * self.se

    def upper(self, alpha: float) -> float:
        """Value plus the t quantile times the standard error."""
        return self.value + float(stdtrit(self.df, 1.0 - alpha)) * self.se

    def p_above(self, bound: float) -> float:
        """Tail of t beyond (value - bound) / se."""
        return float(stdtr(self.df, (bound - self.value) / self.se))

    def p_below(self, bound: float) -> float:
        """Tail of t beyond (bound - value) / se."""
        return float(stdtr(self.df, (self.value - bound) / self.se))


@dataclass(frozen=True, kw_only=True, slots=True)
class FewDifferences:
    """A difference of which the sample shows too little for a standard error.

    When ``differing`` rows differ, the expected number is at most a Poisson limit (with none: 3.0 at 5 %, the
    rule of three), and each moves the metric by at most ``effect``. Conservative.

    Attributes:
        value: the point estimate.
        center: the value when no row differs.
        differing: rows on which something differs.
        effect: the most that one row can move the metric; above 0.
        method: for people.
    """

    value: float
    center: float
    differing: int
    effect: float
    method: str

    @property
    def se(self) -> float | None:
        """As if one row more differed."""
        return float((self.differing + 1) ** 0.5 * self.effect)

    def lower(self, alpha: float) -> float:
        """Center minus the Poisson limit times the effect."""
        return self.center - float(gammaincinv(self.differing + 1, 1.0 - alpha)) * self.effect

    def upper(self, alpha: float) -> float:
        """Center plus the Poisson limit times the effect."""
        return self.center + float(gammaincinv(self.differing + 1, 1.0 - alpha)) * self.effect

    def p_above(self, bound: float) -> float:
        """Probability of so few differences if there were enough to reach the bound."""
        return float(pdtr(self.differing, max(self.center - bound, 0.0) / self.effect))

    def p_below(self, bound: float) -> float:
        """The same on the other side."""
        return float(pdtr(self.differing, max(bound - self.center, 0.0) / self.effect))


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A number that needs no estimation, such as the difference of a model from itself."""

    value: float
    method: str

    @property
    def se(self) -> float | None:
        """None: nothing is estimated."""
        return None

    def lower(self, alpha: float) -> float:  # noqa: ARG002 - certain at every alpha
        """The value."""
        return self.value

    def upper(self, alpha: float) -> float:  # noqa: ARG002 - certain at every alpha
        """The value."""
        return self.value

    def p_above(self, bound: float) -> float:
        """0 or 1."""
        return 0.0 if self.value > bound else 1.0

    def p_below(self, bound: float) -> float:
        """0 or 1."""
        return 0.0 if self.value < bound else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SquareRoot:
    """The root of a mean that is never negative, such as RMSE from MSE; limits are roots of its limits."""

    square: Estimate

    @property
    def value(self) -> float:
        """Root of the mean."""
        return float(max(self.square.value, 0.0) ** 0.5)

    @property
    def se(self) -> float | None:
        """By the delta method; None at 0."""
        se = self.square.se
        return None if se is None or self.value == 0.0 else se / (2.0 * self.value)

    @property
    def method(self) -> str:
        """Of the mean."""
        return f"{self.square.method}, root"

    def lower(self, alpha: float) -> float:
        """Root of the lower limit, at least 0."""
        return float(max(self.square.lower(alpha), 0.0) ** 0.5)

    def upper(self, alpha: float) -> float:
        """Root of the upper limit."""
        return float(max(self.square.upper(alpha), 0.0) ** 0.5)

    def p_above(self, bound: float) -> float:
        """Of the mean, against the squared bound."""
        return 0.0 if bound < 0.0 else self.square.p_above(bound**2)

    def p_below(self, bound: float) -> float:
        """Of the mean, against the squared bound."""
        return 1.0 if bound < 0.0 else self.square.p_below(bound**2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Logit:
    """A share between 0 and 1 with limits that are symmetric in its log odds.

    For average precision: false passes at a nominal 5 % fall from up to 8 % to 4-7 % (simulated, 25 to 2,400
    positives).

    Attributes:
        share: the estimate with a standard error, strictly between 0 and 1.
    """

    share: StudentT

    @property
    def value(self) -> float:
        """The share."""
        return self.share.value

    @property
    def se(self) -> float | None:
        """Of the share."""
        return self.share.se

    @property
    def method(self) -> str:
        """Of the share."""
        return f"{self.share.method}, log odds"

    def lower(self, alpha: float) -> float:
        """Back from the lower limit of the log odds."""
        return float(expit(self._odds().lower(alpha)))

    def upper(self, alpha: float) -> float:
        """Back from the upper limit of the log odds."""
        return float(expit(self._odds().upper(alpha)))

    def p_above(self, bound: float) -> float:
        """Of the log odds."""
        return self._odds().p_above(float(logit(min(max(bound, 0.0), 1.0))))

    def p_below(self, bound: float) -> float:
        """Of the log odds."""
        return self._odds().p_below(float(logit(min(max(bound, 0.0), 1.0))))

    def _odds(self) -> StudentT:
        share = self.share
        slope = 1.0 / (share.value * (1.0 - share.value))
        return StudentT(
            value=float(logit(share.value)), se=share.se * slope, df=share.df, method=share.method
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Undecided:
    """No verdict may be drawn, and why; in words for the page."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One metric on some rows.

    Attributes:
        candidate: the metric on the candidate; None when undefined.
        baseline: the metric on the baseline; None when undefined or without one.
        difference: candidate minus baseline, signed so that more is better; None without a baseline.
        estimate: of ``difference``, or of ``candidate`` when there is no baseline; Undecided when these rows
            allow none.
        rows: rows that counted, such as the positive ones for recall.
        units: independent units among them: clusters where rows are not independent.
        unit: what they are called, in the plural.
        span: least and most that the estimated number can be; limits are shown within it.
        note: what a reader should know about the interval; "" for nothing.
    """

    candidate: float | None
    baseline: float | None
    difference: float | None
    estimate: Estimate | Undecided
    rows: int
    units: int
    unit: str
    span: tuple[float, float] = (float("-inf"), float("inf"))
    note: str = ""

    def limits(self, alpha: float) -> tuple[float, float] | None:
        """One-sided lower and upper limit, each at alpha; None when undecided."""
        if isinstance(self.estimate, Undecided):
            return None
        least, most = self.span
        return max(self.estimate.lower(alpha), least), min(self.estimate.upper(alpha), most)
