"""Bins of a column, fixed by the data of an approval alone, in which later windows are counted.

No bin may hide a move, so whatever the reference does not have falls into a bin that is empty there: numbers below
its smallest and above its largest, and texts that it has never seen. A number that holds more than its share of the
reference (a constant, a flag, a cap) has a bin of its own, and a column of few different numbers one for each.

New texts, and numbers a little beyond either end, come without any drift. How many to expect, the reference says
itself when each of its rows is held against the others: a value seen once is one that no other row has (Good,
Biometrika 1953, 40:237), and the smallest and the largest lie beyond all others. So that is where they are counted.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from signoff.gate.arrays import FloatArray, StrArray

BINS = 10
"""Bins of a number column: tenths of the reference, and those of values that hold more than a tenth."""
CATEGORIES = 20
"""Most frequent values of a text column that have a bin each; the other known ones share one."""

Counts: TypeAlias = NDArray[np.int64]
Column: TypeAlias = FloatArray | StrArray
"""Numbers with NaN for missing, or texts with the empty text for missing; shape (rows,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberBins:
    """Bins of a number column: up to the first edge, …, above the last, and missing.

    Attributes:
        edges: ascending, distinct; a value at an edge falls below it. The first lies just below the reference's
            smallest value, the last is its largest.
        reference: the reference's rows per bin; its smallest and its largest, where one row has it, count as
            beyond, as they are for the other rows.
    """

    edges: FloatArray
    reference: Counts

    @property
    def comparable(self) -> bool:
        """Whether counts in these bins can tell one law from another; always for numbers."""
        return True

    def counts(self, values: Column, rows: Counts | None = None) -> Counts:
        """Rows per bin, the last for missing; shape (edges + 2,).

        Args:
            values: the column, or its different values.
            rows: rows of each value; None for one each.
        """
        return _number_counts(self.edges, np.asarray(values, dtype=np.float64), _weights(values, rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class TextBins:
    """Bins of a text column: one for each frequent value, other known values, values never seen, and missing.

    Attributes:
        values: the frequent values, sorted.
        others: the other values of the reference, sorted.
        reference: the reference's rows per bin; values that it has once and that have no bin of their own count as
            never seen, as no other row has them.
    """

    values: StrArray
    others: StrArray
    reference: Counts

    @property
    def comparable(self) -> bool:
        """Whether most rows have a value that others have too; identifiers and free text do not."""
        present = int(np.sum(self.reference[:-1]))
        return 2 * int(self.reference[-2]) <= present

    def counts(self, values: Column, rows: Counts | None = None) -> Counts:
        """Rows per bin, the last three for other known values, values never seen, and missing.

        Args:
            values: the column, or its different values.
            rows: rows of each value; None for one each.
        """
        texts, weights = np.asarray(values, dtype=np.str_), _weights(values, rows)
        known = [int(np.sum(weights[texts == value])) for value in self.values]
        others = int(np.sum(weights[_among(texts, self.others)]))
        missing = int(np.sum(weights[texts == ""]))
        unseen = int(np.sum(weights)) - sum(known) - others - missing
        return np.asarray([*known, others, unseen, missing], dtype=np.int64)


Bins: TypeAlias = NumberBins | TextBins


def bins_of(reference: Column) -> Bins:
    """The bins that a reference column fixes."""
    values, places = different(reference)
    return bins_of_values(values, np.bincount(places, minlength=values.shape[0]).astype(np.int64))


def different(column: Column) -> tuple[Column, Counts]:
    """The different values of a column, ascending, and for each row the place of its value among them."""
    if np.issubdtype(column.dtype, np.floating):
        return np.unique(np.asarray(column, dtype=np.float64), return_inverse=True)
    return np.unique(np.asarray(column, dtype=np.str_), return_inverse=True)


def bins_of_values(values: Column, rows: Counts) -> Bins:
    """As `bins_of`, of a column given as its different values and the rows of each.

    Args:
        values: ascending, each once.
        rows: rows of each; values without rows do not count.
    """
    if np.issubdtype(values.dtype, np.floating):
        return _number_bins(np.asarray(values, dtype=np.float64), rows)
    return _text_bins(np.asarray(values, dtype=np.str_), rows)


def _number_bins(values: FloatArray, rows: Counts) -> NumberBins:
    kept = (rows > 0) & ~np.isnan(values)
    numbers, held = values[kept], rows[kept]
    if numbers.size == 0:
        return NumberBins(edges=np.empty(0), reference=_number_counts(np.empty(0), values, rows))
    total = int(np.sum(held))
    tenths = -(-np.arange(1, BINS) * total // BINS)
    inner = numbers[np.searchsorted(np.cumsum(held), tenths, side="left")]
    own = numbers if numbers.size <= BINS else numbers[held * BINS > total]
    starts = np.nextafter(np.append(own, numbers[0]), -np.inf)
    edges = np.unique(np.concatenate([starts, own, inner, numbers[-1:]]))
    counted = _number_counts(edges, values, rows)
    if numbers.size > BINS:
        for place, beyond in ((0, 0), (-1, edges.size)):
            once = int(held[place] == 1)
            counted[np.searchsorted(edges, numbers[place], side="left")] -= once
            counted[beyond] += once
    return NumberBins(edges=edges, reference=counted)


def _number_counts(edges: FloatArray, values: FloatArray, rows: Counts) -> Counts:
    missing = np.isnan(values)
    places = np.searchsorted(edges, values[~missing], side="left")
    counted = np.bincount(places, weights=rows[~missing], minlength=edges.size + 1)
    return np.append(counted, np.sum(rows[missing])).astype(np.int64)


def _text_bins(values: StrArray, rows: Counts) -> TextBins:
    kept = (rows > 0) & (values != "")
    texts, held = values[kept], rows[kept]
    order = np.argsort(-held, kind="stable")
    frequent, rare = np.sort(order[:CATEGORIES]), np.sort(order[CATEGORIES:])
    once = int(np.sum(held[rare] == 1))
    counted = [*held[frequent], int(np.sum(held[rare])) - once, once, int(np.sum(rows[values == ""]))]
    return TextBins(values=texts[frequent], others=texts[rare], reference=np.asarray(counted, dtype=np.int64))


def _among(texts: StrArray, known: StrArray) -> NDArray[np.bool_]:
    """Which texts are among the known ones, which are sorted: sorting both anew for every day would cost seconds."""
    if known.size == 0:
        return np.zeros(texts.shape[0], dtype=np.bool_)
    places = np.minimum(np.searchsorted(known, texts), known.size - 1)
    return np.asarray(known[places] == texts, dtype=np.bool_)


def _weights(values: Column, rows: Counts | None) -> Counts:
    return np.ones(values.shape[0], dtype=np.int64) if rows is None else rows
