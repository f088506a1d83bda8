"""How good an order is: of passages retrieved for a question, or of the rows of one list.

Every measure looks at the first k places. nDCG is Järvelin and Kekäläinen's (ACM TOIS 2002, 20:422): gain is
the grade, the discount of place i is 1 / log2(i + 1), and 1 is the best order that the grades allow. For the
others a row is relevant when its grade is above 0. Rows with equal scores come in no order, so that each place
counts what it holds on average over all orders of the tied rows (McSherry and Najork, ECIR 2008): a model gains
nothing from ties, and a constant score measures what a random order is worth.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from signoff.gate.arrays import FloatArray

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
    hits = np.zeros(min(len(ranked), k))
    found: set[str] = set()
    for place, passage in enumerate(ranked[:k]):
        hits[place] = passage in wanted and passage not in found
        found.add(passage)
    first = np.zeros_like(hits)
    first[np.flatnonzero(hits)[:1]] = 1.0
    return _values(hits=hits, gains=hits, first=first, grades=np.ones(len(wanted)), k=k)


def list_values(grades: FloatArray, scores: FloatArray, k: int) -> Mapping[str, float]:
    """The four measures of one list in the order of its scores, tied rows in no order.

    Args:
        grades: shape (rows,): how relevant each row is, 0 for not at all; none is negative.
        scores: shape (rows,): finite; the highest comes first.
        k: places that count, at least 1.

    Returns:
        ``ndcg``, ``mrr``, ``recall_at_k`` and ``precision_at_k``; NaN each when no row is relevant.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = grades[order]
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    sizes = np.diff(starts, append=scores.size)
    hits = np.add.reduceat((ordered > 0.0).astype(np.float64), starts)
    gains = np.add.reduceat(ordered, starts)
    return _values(
        hits=np.repeat(hits / sizes, sizes)[:k],
        gains=np.repeat(gains / sizes, sizes)[:k],
        first=_first_hit(hits, sizes, starts, rows=scores.size)[:k],
        grades=grades,
        k=k,
    )


def _first_hit(hits: FloatArray, sizes: FloatArray, starts: FloatArray, *, rows: int) -> FloatArray:
    """Per place the probability that the first relevant row stands there.

    It stands in the first run of tied rows that holds one. Of m relevant rows among n, a place after j others
    without one holds one with probability m / (n - j).
    """
    first = np.zeros(rows)
    with_hits = np.flatnonzero(hits)
    if with_hits.size:
        run = with_hits[0]
        count, size, start = hits[run], sizes[run], starts[run]
        chance = count / (size - np.arange(size - count + 1))
        not_before = np.concatenate(([1.0], np.cumprod(1.0 - chance)[:-1]))
        first[start : start + chance.size] = not_before * chance
    return first


def _values(
    *, hits: FloatArray, gains: FloatArray, first: FloatArray, grades: FloatArray, k: int
) -> Mapping[str, float]:
    """From what the first places hold on average, and all grades that there are, to the measures."""
    relevant = int(np.sum(grades > 0.0))
    if relevant == 0:
        return dict.fromkeys(ORDER_METRICS, float("nan"))
    best = np.sort(grades)[::-1][:k]
    return {
        "ndcg": float(gains @ _discount(gains.size) / (best @ _discount(best.size))),
        "mrr": float(np.sum(first / np.arange(1, first.size + 1))),
        "recall_at_k": float(np.sum(hits)) / relevant,
        "precision_at_k": float(np.sum(hits)) / k,
    }


def _discount(places: int) -> FloatArray:
    return 1.0 / np.log2(np.arange(2, places + 2, dtype=np.float64))
