"""The population stability index (PSI), its law when rows are independent, and when days move together.

PSI = Σ (p - q) ln(p / q) over bins that the reference alone fixes; p is the window's share of a bin, q the
reference's. Each count is raised by half a row, so that an empty bin stays finite.

Chance alone moves it. With B bins, n rows in the reference and m in the window, both drawn from one law,
PSI · n m / (n + m) is about chi-square with B - 1 degrees of freedom (it is Pearson's statistic to first order;
Yurdakul and Naranjo, Journal of Risk Model Validation 2020, 14:4), so its mean is about (B - 1) (1 / n + 1 / m):
2 (B - 1) / n for two equal samples, 0.018 for ten bins and 1,000 rows each. If the true index is t, the same number
is about noncentral chi-square with t · n m / (n + m); its tail is the p-value against "the index is at most t".

Where the rows of a day or batch move together that is too narrow. Each day of the reference is then held against
its other days; what is left after subtracting its own chance, which is what makes small days comparable to large
windows, is what ordinary days differ by: T for two days of a kind is T (1 / 1 + 1 / 1), and for a window of j days
against k of the reference T (1 / j + 1 / k). T may all lie in one direction, which has the heaviest tail for a given
mean at the levels used here (Székely and Bakirov, Probability Theory and Related Fields 2003, 126:184), so it gets
one degree of freedom. Chance and days together are matched by their first two moments (Satterthwaite; Rao and
Scott, Annals of Statistics 1984, 12:46), and as T is estimated from few days, chi-square becomes F.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import chndtr, fdtri, ncfdtr

from signoff.gate.arrays import FloatArray, StrArray
from signoff.rollout.bins import Bins, Column, Counts, bins_of_values, different

_HALF = 0.5


def psi(reference: Counts, window: Counts) -> float:
    """The index of two counts over the same bins that count; zero where fewer than two do."""
    used = _counting(reference, window)
    if np.sum(used) < 2:
        return 0.0
    old, new = _shares(reference[used]), _shares(window[used])
    return float(np.sum((new - old) * np.log(new / old)))


def used_bins(reference: Counts, window: Counts) -> int:
    """How many bins count."""
    return int(np.sum(_counting(reference, window)))


def _counting(reference: Counts, window: Counts) -> NDArray[np.bool_]:
    """Bins with two rows or more: half a row in place of none would outweigh a single one."""
    return np.asarray(reference + window > 1, dtype=np.bool_)


def _shares(counts: Counts) -> FloatArray:
    raised = counts + _HALF
    return np.asarray(raised / np.sum(raised), dtype=np.float64)


def by_chance(*, bins: int, reference: int, window: int) -> float:
    """The index to be expected of two samples of one law: (bins - 1) (1 / n + 1 / m)."""
    return (bins - 1) * (1.0 / reference + 1.0 / window)


def p_beyond(value: float, tolerance: float, *, bins: int, reference: int, window: int) -> float:
    """P-value against "the true index is at most the tolerance", rows taken as independent."""
    scale = reference * window / (reference + window)
    return 1.0 - float(chndtr(value * scale, max(bins - 1, 1), tolerance * scale))


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """What the ordinary days or batches of a reference column differ by.

    Attributes:
        count: days that counted, without the oddest.
        oddest: the day left out, the one farthest from the others.
        apart: T, the index that one day is expected to add, its chance subtracted; never negative.
        bins: of the reference without the oddest day.
    """

    count: int
    oddest: str
    apart: float
    bins: Bins

    def added(self, window_days: float) -> float:
        """The index that ordinary days are expected to add to a window of so many days."""
        return self.apart * (1.0 / window_days + 1.0 / self.count)

    def ordinary(self, window_days: float, alpha: float) -> float:
        """What ordinary days add at most, but for a share alpha of windows."""
        return self.added(window_days) * float(fdtri(1.0, self.count - 1.0, 1.0 - alpha))

    def p_beyond(
        self, value: float, tolerance: float, *, bins: int, reference: int, window: int, window_days: float
    ) -> float:
        """P-value against "the true index is at most the tolerance", the rows of a day moving together."""
        added = self.added(window_days)
        if added == 0.0:
            return p_beyond(value, tolerance, bins=bins, reference=reference, window=window)
        rows = 1.0 / reference + 1.0 / window
        others = max(bins - 2, 0)
        mean, squares = (others + 1) * rows + added, others * rows**2 + (rows + added) ** 2
        scale, degrees = squares / mean, mean**2 / squares
        of_days = (self.count - 1.0) * (mean / added) ** 2
        return 1.0 - float(ncfdtr(degrees, of_days, tolerance / scale, value / scale / degrees))


def days_of(reference: Column, batches: StrArray) -> Days:
    """How far the days of a reference column lie apart; the oddest is left out.

    An outage would otherwise widen what is ordinary until nothing is drift. Leaving out the largest of k makes the
    rest too calm, which is made up for by its expected share of the sum for k squares of normal numbers.

    Args:
        reference: the column, shape (rows,).
        batches: each row's day; the empty text for none, and such rows do not count.
    """
    dated = batches != ""
    names, day = np.unique(batches[dated], return_inverse=True)
    values, code = different(reference[dated])
    per_day = [np.bincount(code[day == i], minlength=values.size).astype(np.int64) for i in range(names.size)]
    oddest = int(np.argmax(_excess(values, per_day)))
    kept = [counts for i, counts in enumerate(per_day) if i != oddest]
    rows = np.asarray([np.sum(counts) for counts in kept])
    mean = float(np.sum(_excess(values, kept)) / np.sum(rows))
    calm = (names.size - 1) / (names.size - _largest_square(names.size))
    return Days(
        count=names.size - 1,
        oddest=str(names[oddest]),
        apart=max(mean * calm, 0.0),
        bins=bins_of_values(values, np.sum(kept, axis=0)),
    )


def _excess(values: Column, per_day: list[Counts]) -> FloatArray:
    """For each day rows · (index against the other days - its chance) / (1 + what the others' average moves)."""
    total, found = np.sum(per_day, axis=0), []
    sizes = np.asarray([np.sum(counts) for counts in per_day], dtype=np.float64)
    for i, counts in enumerate(per_day):
        bins = bins_of_values(values, total - counts)
        held = counts > 0
        now = bins.counts(values[held], counts[held])
        used = used_bins(bins.reference, now)
        others = np.delete(sizes, i)
        chance = by_chance(bins=used, reference=int(np.sum(others)), window=int(sizes[i]))
        moved = 1.0 + float(np.sum((others / np.sum(others)) ** 2))
        found.append(sizes[i] * (psi(bins.reference, now) - chance) / moved)
    return np.asarray(found, dtype=np.float64)


@lru_cache(maxsize=32)
def _largest_square(count: int) -> float:
    """Expected largest of so many squares of standard normal numbers: ∫ 1 - F(x)^count dx over x > 0."""
    x = np.linspace(0.0, 60.0, 6001)
    return float(np.trapezoid(1.0 - chndtr(x, 1.0, 0.0) ** count, x))
