"""Hold a window of data against the data of an approval, column by column, by the population stability index.

What the index is and what chance makes of it is in `rollout.stability`, what it is counted over in `rollout.bins`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from signoff.gate.arrays import StrArray
from signoff.gate.question import holm, number
from signoff.rollout.assessment import Assessment, Standing
from signoff.rollout.bins import Column, bins_of
from signoff.rollout.stability import Days, by_chance, days_of, p_beyond, psi, used_bins

MIN_BATCHES = 10
"""Fewer days or batches cannot say what is ordinary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnDrift:
    """What was found of one column.

    Attributes:
        column: its name.
        psi: the index of window against reference.
        chance: what chance alone is expected to give.
        p: p-value against the tolerance.
        days: what ordinary days differ by; None without ``by``.
        ordinary: largest index that ordinary days and chance explain, the days' share of it at the error rate;
            None without ``by``, or where they show no difference beyond chance.
        added: the index that ordinary days are expected to add.
        comparable: whether its values repeat enough to be compared.
        standing: in bounds, out of bounds, or undecided.
    """

    column: str
    psi: float
    chance: float
    p: float
    days: Days | None = None
    ordinary: float | None = None
    added: float = 0.0
    comparable: bool = True
    standing: Standing = "in bounds"

    @property
    def line(self) -> str:
        """The arithmetic in one line."""
        told = f"{self.column}: PSI {number(self.psi)}, chance alone about {number(self.chance)}"
        if not self.comparable:
            return f"{told}, though most of its values occur once"
        if self.days is not None:
            told += (
                f", {self.days.count} ordinary days or batches about {number(self.added)} more"
                f" (without the oddest, {self.days.oddest})"
            )
        return f"{told}, p {number(self.p)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftData:
    """Two tables, column by column.

    Attributes:
        reference: per watched column the values at the approval.
        window: the values now, of the same columns and kinds.
        batches: per row of the table named by ``placebo_of`` its day or batch, empty for none; None without ``by``.
        placebo_of: which table that is. Only the reference can say what is ordinary: days of the window would be
            their own excuse.
        window_batches: per row of the window its day or batch, where the window has that column too.
        missing: watched columns that cannot be compared, with the reason; none may be passed over.
    """

    reference: Mapping[str, Column]
    window: Mapping[str, Column]
    batches: StrArray | None
    placebo_of: Literal["reference", "window"]
    window_batches: StrArray | None = None
    missing: tuple[str, ...] = ()


def assess_drift(data: DriftData, *, tolerance: float, rows: int, alpha: float) -> Assessment:
    """Hold every column against the tolerance.

    A column is out of bounds when "its index is at most the tolerance" is rejected, Holm-corrected over the
    columns; with days or batches after allowing for what they ordinarily differ by. An index above the tolerance
    that is not rejected is undecided, unless ordinary days alone explain it.

    Args:
        data: both tables.
        tolerance: largest index that is in bounds.
        rows: with fewer rows in either table nothing is decided.
        alpha: chance of a false alarm over all columns.
    """
    if not data.reference:
        return Assessment.undecided("; ".join(data.missing) or "no column is watched")
    before, now = _rows(data.reference), _rows(data.window)
    if min(before, now) < rows:
        return Assessment.undecided(
            f"{now:,} rows now and {before:,} at the approval; at least {rows:,} of each are needed", rows=now
        )
    if lacking := _no_days(data):
        return Assessment.undecided(lacking, rows=now)
    found = _judged([_measured(name, data, tolerance, alpha) for name in data.reference], tolerance, alpha)
    worst = max(found, key=lambda column: (column.standing == "out of bounds", column.psi))
    out = [column for column in found if column.standing == "out of bounds"]
    unclear = [column for column in found if column.standing == "undecided"]
    standing: Standing = "out of bounds" if out else "undecided" if unclear or data.missing else "in bounds"
    told = [f"{len(out)} of {len(found)} columns beyond PSI {number(tolerance)}; most: {worst.line}"]
    if not out and (chance := [c.column for c in unclear if c.comparable]):
        told.append(f"above it, though not beyond chance: {', '.join(chance)}")
    if alone := [c.column for c in unclear if not c.comparable]:
        told.append(
            f"most values occur once in the data of the approval, so counts of values say nothing:"
            f" {', '.join(alone)} (name the columns to watch with `columns`)"
        )
    return Assessment(
        standing=standing,
        value=worst.psi,
        message="; ".join((*told, *data.missing)),
        rows=now,
        detail=tuple(column.line for column in sorted(found, key=lambda column: -column.psi)),
    )


def _rows(columns: Mapping[str, Column]) -> int:
    return int(next(iter(columns.values())).shape[0])


def _no_days(data: DriftData) -> str:
    """Why the reference cannot say what is ordinary between days; empty when it can, or is not asked to."""
    if data.batches is None:
        return ""
    if data.placebo_of == "window":
        return (
            "the column named with `by` is not in the data of the approval, so what is ordinary between days or"
            " batches is not known: add it there, or leave `by` out"
        )
    count = int(np.unique(data.batches[data.batches != ""]).size)
    if count >= MIN_BATCHES:
        return ""
    return (
        f"{count} different days or batches in the data of the approval; at least {MIN_BATCHES} are needed to say"
        " what is ordinary"
    )


def _measured(name: str, data: DriftData, tolerance: float, alpha: float) -> ColumnDrift:
    reference, window = data.reference[name], data.window[name]
    bins = bins_of(reference)
    now = bins.counts(window)
    sizes = {
        "bins": used_bins(bins.reference, now),
        "reference": int(reference.shape[0]),
        "window": int(window.shape[0]),
    }
    value, chance = psi(bins.reference, now), by_chance(**sizes)
    found = ColumnDrift(
        column=name,
        psi=value,
        chance=chance,
        p=p_beyond(value, tolerance, **sizes),
        comparable=bins.comparable,
    )
    return found if data.batches is None else _among_days(found, data, tolerance, alpha)


def _among_days(found: ColumnDrift, data: DriftData, tolerance: float, alpha: float) -> ColumnDrift:
    """The same held against the reference without its oddest day, with what the others differ by."""
    batches = np.asarray(data.batches, dtype=np.str_)
    window = data.window[found.column]
    days = days_of(data.reference[found.column], batches)
    now, before = days.bins.counts(window), days.bins.reference
    sizes = {
        "bins": used_bins(before, now),
        "reference": int(np.sum(before)),
        "window": int(window.shape[0]),
    }
    length = _window_days(data.window_batches, rows=sizes["window"], a_day=sizes["reference"] / days.count)
    p = days.p_beyond(psi(before, now), tolerance, window_days=length, **sizes)
    explained = days.ordinary(length, alpha)
    return replace(
        found,
        p=p,
        days=days,
        added=days.added(length),
        ordinary=by_chance(**sizes) + explained if explained > 0 else None,
    )


def _window_days(batches: StrArray | None, *, rows: int, a_day: float) -> float:
    """Days of equal size that a window is worth: (Σ rows)² / Σ rows² over its days.

    A window that does not name its days is taken for as many ordinary ones as its rows fill.
    """
    if batches is None or not np.any(batches != ""):
        return max(rows / a_day, 1.0)
    sizes = np.unique(batches[batches != ""], return_counts=True)[1].astype(np.float64)
    return float(np.sum(sizes) ** 2 / np.sum(sizes**2))


def _judged(columns: Sequence[ColumnDrift], tolerance: float, alpha: float) -> tuple[ColumnDrift, ...]:
    rejected = holm([column.p if column.comparable else 1.0 for column in columns], alpha)
    return tuple(
        replace(column, standing=_standing(column, tolerance, rejected=beyond))
        for column, beyond in zip(columns, rejected, strict=True)
    )


def _standing(column: ColumnDrift, tolerance: float, *, rejected: bool) -> Standing:
    if not column.comparable:
        return "undecided"
    if column.psi <= tolerance:
        return "in bounds"
    if rejected:
        return "out of bounds"
    return "in bounds" if column.ordinary is not None and column.psi <= column.ordinary else "undecided"
