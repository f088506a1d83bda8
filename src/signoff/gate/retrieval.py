"""How good an order is: of passages retrieved for a question, or of the rows of one list.

Every measure looks at the first k places. nDCG is Järvelin and Kekäläinen's (ACM TOIS 2002, 20:422): gain is
the grade, the discount of place i is 1 / log2(i + 1), and 1 is the best order that the grades allow. For the
others a row is relevant when its grade is above 0. Rows with equal scores come in no order, so that each place
counts what it holds on average over all orders of the tied rows (McSherry and Najork, ECIR 2008): a model gains
nothing from ties, and a constant score measures what a random order is worth.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from scipy.special import gammaln

from signoff.gate.arrays import FloatArray, IntArray

ORDER_METRICS = ("ndcg", "mrr", "recall_at_k", "precision_at_k")


def question_values(ranked: Sequence[str], relevant: Collection[str], k: int) -> Mapping[str, float]:
    """The four measures of one question's retrieved passages.

    Args:
        ranked: what was retrieved, best first. A passage that comes a second time takes its place and counts
            for nothing there.
        relevant: the passages that answer the question, whether they were retrieved or not.
        k: places that count, at least 1.

    Returns:
        ``ndcg``, ``mrr``, ``recall_at_k`` and ``precision_at_k``; NaN each when no passage is relevant.
    """
    wanted = set(relevant)
    if not wanted:
        return dict.fromkeys(ORDER_METRICS, float("nan"))
    found: dict[str, int] = {}
    for place, passage in enumerate(ranked[:k], start=1):
        if passage in wanted:
            found.setdefault(passage, place)
    gain = sum(1.0 / log2(place + 1) for place in found.values())
    best = sum(1.0 / log2(place + 1) for place in range(1, min(len(wanted), k) + 1))
    return {
        "ndcg": gain / best,
        "mrr": 1.0 / min(found.values()) if found else 0.0,
        "recall_at_k": len(found) / len(wanted),
        "precision_at_k": len(found) / k,
    }


def list_values(grades: FloatArray, scores: FloatArray, codes: IntArray, k: int) -> Mapping[str, FloatArray]:
    """The four measures of each list in the order of its scores, tied rows in no order.

    Args:
        grades: shape (rows,): how relevant each row is, 0 for not at all; none is negative.
        scores: shape (rows,): finite; the highest comes first.
        codes: shape (rows,): the list of each row, from 0, each code at least once.
        k: places that count, at least 1.

    Returns:
        ``ndcg``, ``mrr``, ``recall_at_k`` and ``precision_at_k``, shape (lists,) each; NaN where no row is
        relevant.
    """
    order = np.lexsort((-scores, codes))
    code, grade = codes[order], grades[order]
    place = _places(code)
    runs = _Runs.of(code, scores[order], grade)
    counted = place < k

    def summed(parts: FloatArray) -> FloatArray:
        sums = np.bincount(code[counted], weights=parts[counted], minlength=code[-1] + 1)
        return sums.astype(np.float64)

    best = np.lexsort((-grades, codes))
    ideal = summed(grades[best] / np.log2(place + 2.0))  # each list has the same places in any order
    relevant = np.bincount(code, weights=grade > 0.0).astype(np.float64)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a list without a relevant row
        return {
            "ndcg": summed(runs.mean_grade / np.log2(place + 2.0)) / ideal,
            "mrr": np.where(relevant > 0.0, summed(runs.first_hit / (place + 1.0)), np.nan),
            "recall_at_k": summed(runs.mean_hit) / relevant,
            "precision_at_k": np.where(relevant > 0.0, summed(runs.mean_hit) / k, np.nan),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Runs:
    """What each place holds on average over all orders of tied rows; shape (rows,) each.

    Attributes:
        mean_grade: the grade.
        mean_hit: whether the row is relevant.
        first_hit: probability that it is the first relevant row of its list.
    """

    mean_grade: FloatArray
    mean_hit: FloatArray
    first_hit: FloatArray

    @staticmethod
    def of(code: IntArray, score: FloatArray, grade: FloatArray) -> "_Runs":
        """Runs of equal scores among rows that are sorted by list and score."""
        new = np.ones(code.size, dtype=np.bool_)
        new[1:] = (np.diff(code) != 0) | (np.diff(score) != 0.0)
        starts = np.flatnonzero(new).astype(np.int64)
        sizes = np.diff(starts, append=code.size).astype(np.int64)
        hits = np.add.reduceat((grade > 0.0).astype(np.float64), starts)
        return _Runs(
            mean_grade=np.repeat(np.add.reduceat(grade, starts) / sizes, sizes),
            mean_hit=np.repeat(hits / sizes, sizes),
            first_hit=_first_hit(code[starts], hits, starts, sizes),
        )


def _first_hit(code: IntArray, hits: FloatArray, starts: IntArray, sizes: IntArray) -> FloatArray:
    """The first relevant row stands in its list's first run that holds one.

    Of m relevant rows among n, it comes after j others in C(n - j - 1, m - 1) of C(n, m) ways.
    """
    rows = int(np.sum(sizes))
    after = np.arange(rows) - np.repeat(starts, sizes)
    some = np.flatnonzero(hits)
    _, first_of_list = np.unique(code[some], return_index=True)
    chosen = np.zeros(hits.size, dtype=np.bool_)
    chosen[some[first_of_list]] = True
    size, count = np.repeat(sizes, sizes), np.repeat(hits, sizes)
    possible = np.repeat(chosen, sizes) & (after <= size - count)
    n, m, j = (part[possible].astype(np.float64) for part in (size, count, after))
    first: FloatArray = np.zeros(rows)
    first[possible] = np.exp(_log_choose(n - j - 1.0, m - 1.0) - _log_choose(n, m))
    return first


def _log_choose(n: FloatArray, m: FloatArray) -> FloatArray:
    return np.asarray(gammaln(n + 1.0) - gammaln(m + 1.0) - gammaln(n - m + 1.0), dtype=np.float64)


def _places(code: IntArray) -> IntArray:
    """The place of each row in its list, from 0, for rows that are sorted by list."""
    _, starts, sizes = np.unique(code, return_index=True, return_counts=True)
    return (np.arange(code.size) - np.repeat(starts, sizes)).astype(np.int64)
