"""How far a column has moved from the data of an approval: the population stability index (PSI).

PSI = Σ (p - q) ln(p / q) over bins that the reference alone fixes; p is the window's share of a bin, q the
reference's. Each count is raised by half a row, so that an empty bin stays finite.

Chance alone moves it. With B bins, n rows in the reference and m in the window, both drawn from one law,
PSI · n m / (n + m) is about chi-square with B - 1 degrees of freedom (it is Pearson's statistic to first order;
Yurdakul and Naranjo, Journal of Risk Model Validation 2020, 14:4), so its mean is about (B - 1) (1 / n + 1 / m):
2 (B - 1) / n for two equal samples, 0.018 for ten bins and 1,000 rows each. If the true index is t, the same number
is about noncentral chi-square with t · n m / (n + m); its tail is the p-value against "the index is at most t".
Both take rows for independent. Where a day's or batch's rows move together, that is too narrow, and the
placebo says what is ordinary: each day of the reference against the other days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import chndtr

from signoff.gate.arrays import FloatArray, StrArray
from signoff.gate.question import holm, number
from signoff.rollout.assessment import Assessment, Standing

BINS = 10
"""Bins of a number column: tenths of the reference, fewer where values repeat."""
CATEGORIES = 20
"""Most frequent values of a text column that have a bin each; the rest share one."""
MIN_BATCHES = 10
"""Fewer days or batches cannot say what is ordinary."""
_HALF = 0.5

Counts: TypeAlias = NDArray[np.int64]
Column: TypeAlias = FloatArray | StrArray
"""Numbers with NaN for missing, or texts with the empty text for missing; shape (rows,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberBins:
    """Bins of a number column: up to the first edge, …, above the last, and missing.

    Attributes:
        edges: inner edges, ascending, distinct; a value at an edge falls below it.
    """

    edges: FloatArray

    def counts(self, values: Column) -> Counts:
        """Rows per bin, the last for missing; shape (edges + 2,)."""
        numbers = np.asarray(values, dtype=np.float64)
        missing = np.isnan(numbers)
        bins = np.searchsorted(self.edges, numbers[~missing], side="left")
        counted = np.bincount(bins, minlength=self.edges.size + 1)
        return np.append(counted, int(np.sum(missing))).astype(np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextBins:
    """Bins of a text column: one for each frequent value, one for all others, and missing.

    Attributes:
        values: the frequent values, sorted.
    """

    values: StrArray

    def counts(self, values: Column) -> Counts:
        """Rows per bin, the last two for other values and missing; shape (values + 2,)."""
        texts = np.asarray(values, dtype=np.str_)
        missing = int(np.sum(texts == ""))
        known = [int(np.sum(texts == value)) for value in self.values]
        return np.asarray([*known, texts.size - missing - sum(known), missing], dtype=np.int64)


Bins: TypeAlias = NumberBins | TextBins


def bins_of(reference: Column) -> Bins:
    """The bins that a reference column fixes; later windows are counted in the same ones."""
    if np.issubdtype(reference.dtype, np.floating):
        numbers = np.asarray(reference, dtype=np.float64)
        numbers = numbers[~np.isnan(numbers)]
        if numbers.size == 0:
            return NumberBins(edges=np.empty(0))
        inner = np.quantile(numbers, np.arange(1, BINS) / BINS, method="inverted_cdf")
        edges = np.unique(inner)
        return NumberBins(edges=edges[edges < np.max(numbers)])
    texts = np.asarray(reference, dtype=np.str_)
    values, counts = np.unique(texts[texts != ""], return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:CATEGORIES]
    return TextBins(values=np.sort(values[frequent]))


def psi(reference: Counts, window: Counts) -> float:
    """The index of two counts over the same bins; bins that both leave empty do not count."""
    used = (reference + window) > 0
    if np.sum(used) < 2:
        return 0.0
    old, new = _shares(reference[used]), _shares(window[used])
    return float(np.sum((new - old) * np.log(new / old)))


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
class ColumnDrift:
    """What was found of one column.

    Attributes:
        column: its name.
        psi: the index of window against reference.
        chance: what chance alone is expected to give.
        p: p-value against the tolerance; None where placebos decide.
        placebos: the index of each day or batch of the reference against the others; empty without ``by``.
        standing: in bounds, out of bounds, or undecided.
    """

    column: str
    psi: float
    chance: float
    p: float | None
    placebos: tuple[float, ...]
    standing: Standing

    @property
    def line(self) -> str:
        """The arithmetic in one line."""
        told = f"{self.column}: PSI {number(self.psi)}, chance alone about {number(self.chance)}"
        if self.placebos:
            return f"{told}, largest of {len(self.placebos)} ordinary days or batches {number(max(self.placebos))}"
        return told if self.p is None else f"{told}, p {number(self.p)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftData:
    """Two tables, column by column.

    Attributes:
        reference: per watched column the values at the approval.
        window: the values now, of the same columns and kinds.
        batches: per row of the table that placebos are made of its day or batch; None without ``by``.
        placebo_of: which table that is.
        missing: watched columns that cannot be compared, with the reason; none may be passed over.
    """

    reference: Mapping[str, Column]
    window: Mapping[str, Column]
    batches: StrArray | None
    placebo_of: Literal["reference", "window"]
    missing: tuple[str, ...] = ()


def assess_drift(data: DriftData, *, tolerance: float, rows: int, alpha: float) -> Assessment:
    """Hold every column against the tolerance.

    Without days or batches a column is out of bounds when its p-value against the tolerance is rejected,
    Holm-corrected over the columns. With them it is when its index lies above the tolerance and above
    the largest placebo; under no drift that happens in about 1 of (placebos + 1) windows for each column.

    Args:
        data: both tables.
        tolerance: largest index that is in bounds.
        rows: with fewer rows in either table nothing is decided.
        alpha: chance of a false alarm over all columns, without days or batches.
    """
    if not data.reference:
        return Assessment.undecided("; ".join(data.missing) or "no column is watched")
    before, now = _rows(data.reference), _rows(data.window)
    if min(before, now) < rows:
        return Assessment.undecided(
            f"{now:,} rows now and {before:,} at the approval; at least {rows:,} of each are needed", rows=now
        )
    groups = None if data.batches is None else tuple(data.batches == name for name in np.unique(data.batches))
    if groups is not None and len(groups) < MIN_BATCHES:
        return Assessment.undecided(
            f"{len(groups)} different days or batches in the {data.placebo_of}; at least {MIN_BATCHES} are needed"
            " to say what is ordinary",
            rows=now,
        )
    found = _judged([_measured(name, data, groups, tolerance) for name in data.reference], tolerance, alpha)
    worst = max(found, key=lambda column: (column.standing == "out of bounds", column.psi))
    out = [column for column in found if column.standing == "out of bounds"]
    unclear = [column for column in found if column.standing == "undecided"]
    standing: Standing = "out of bounds" if out else "undecided" if unclear or data.missing else "in bounds"
    told = f"{len(out)} of {len(found)} columns beyond PSI {number(tolerance)}; most: {worst.line}"
    if unclear and not out:
        told += f"; above it, though not beyond chance: {', '.join(c.column for c in unclear)}"
    return Assessment(
        standing=standing,
        value=worst.psi,
        message="; ".join((told, *data.missing)),
        rows=now,
        detail=tuple(column.line for column in sorted(found, key=lambda column: -column.psi)),
    )


def _rows(columns: Mapping[str, Column]) -> int:
    return int(next(iter(columns.values())).shape[0])


def _measured(
    name: str, data: DriftData, groups: tuple[NDArray[np.bool_], ...] | None, tolerance: float
) -> ColumnDrift:
    reference, window = data.reference[name], data.window[name]
    bins = bins_of(reference)
    before, now = bins.counts(reference), bins.counts(window)
    value, used = psi(before, now), int(np.sum((before + now) > 0))
    placebos: tuple[float, ...] = ()
    if groups is not None:
        own = reference if data.placebo_of == "reference" else window
        placebos = tuple(psi(bins.counts(own[~group]), bins.counts(own[group])) for group in groups)
    sizes = {"bins": used, "reference": int(reference.shape[0]), "window": int(window.shape[0])}
    return ColumnDrift(
        column=name,
        psi=value,
        chance=by_chance(**sizes),
        p=None if groups is not None else p_beyond(value, tolerance, **sizes),
        placebos=placebos,
        standing="in bounds",
    )


def _judged(columns: Sequence[ColumnDrift], tolerance: float, alpha: float) -> tuple[ColumnDrift, ...]:
    rejected = holm([1.0 if column.p is None else column.p for column in columns], alpha)
    return tuple(
        ColumnDrift(
            column=column.column,
            psi=column.psi,
            chance=column.chance,
            p=column.p,
            placebos=column.placebos,
            standing=_standing(column, tolerance, rejected=beyond),
        )
        for column, beyond in zip(columns, rejected, strict=True)
    )


def _standing(column: ColumnDrift, tolerance: float, *, rejected: bool) -> Standing:
    if column.psi <= tolerance:
        return "in bounds"
    if column.placebos:
        return "out of bounds" if column.psi > max(column.placebos) else "in bounds"
    return "out of bounds" if rejected else "undecided"
