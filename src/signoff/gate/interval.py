"""From what each row adds to a metric to an estimate with limits, or to the reason why there is none."""

import numpy as np

from signoff.gate.arrays import FloatArray, IntArray
from signoff.gate.estimate import Estimate, FewDifferences, StudentT, Undecided
from signoff.gate.influence import Influence

MIN_UNITS = 20
"""Fewer rows, clusters or rows of the rarer class allow no verdict by a t interval."""
MIN_EFFECTIVE = 5.0
"""Fewer rows that carry the variance allow no verdict on a skewed metric."""
_SAME = 1e-9  # parts below this share of one row's effect are rounding, not differences


def interval(
    influence: Influence,
    *,
    center: float,
    strata: FloatArray | None,
    clusters: IntArray | None,
    skewed: bool,
    fallback: Estimate | None,
    method: str,
    unit: str = "rows",
) -> Estimate | Undecided:
    """A t interval of the metric, or of a difference of it, from what each row or cluster adds.

    Few rows decide a skewed metric, such as a 0/1 loss or a rank; few clusters of unequal size decide any.
    What counts is then not n but the effective number of rows or clusters that carry the variance,
    k = (Σ c²)² / Σ c⁴: degrees of freedom are at most k / 2 (own rule, calibrated by simulation), and below 5
    there is no t interval.

    Args:
        influence: value and parts.
        center: its value if no row made a difference: 0 for a difference.
        strata: the 0 / 1 truth when the two classes were averaged apart, as for AUC: variances add up
            and the degrees of freedom are Satterthwaite's; None for a mean over all rows.
        clusters: which rows belong together; their parts are summed first and t has at most G - 1 degrees
            of freedom (Liang and Zeger 1986; for AUC Obuchowski 1997); None when rows are independent.
        skewed: whether the metric is one of few rows.
        fallback: a conservative estimate for when it leaves no interval; None: undecided then.
        method: name for people.
        unit: what independent rows are called, in the plural.
    """
    parts, largest = (influence.parts, 1) if clusters is None else _cluster_sums(influence.parts, clusters)
    name = unit if clusters is None else "clusters"
    skewed = skewed or clusters is not None
    if parts.size < MIN_UNITS:
        return Undecided(reason=f"only {parts.size} {name}, at least {MIN_UNITS} are needed")
    if float(np.max(np.abs(parts))) <= _SAME * influence.effect:
        return FewDifferences(
            value=influence.value,
            center=center,
            differing=0,
            effect=influence.effect * largest,
            method=f"rule of three: no {name[:-1]} differs",
        )
    squares = np.square(parts)
    effective = float(np.sum(squares) ** 2 / np.sum(np.square(squares)))
    if skewed and effective < MIN_EFFECTIVE:
        reason = (
            f"only about {effective:.1f} {name} carry the difference, at least {MIN_EFFECTIVE:.0f} are needed"
        )
        return fallback or Undecided(reason=reason)
    if strata is not None and clusters is None:
        variance, df = _stratified(squares, strata)
    else:
        variance = float(np.sum(np.square(parts - np.mean(parts)))) * parts.size / (parts.size - 1)
        df = parts.size - 1.0
    return StudentT(
        value=influence.value,
        se=variance**0.5,
        df=min(df, effective / 2.0) if skewed else df,
        method=method if clusters is None else f"{method}, clustered",
    )


def largest_share(clusters: IntArray) -> float:
    """Share of the rows that the largest cluster holds."""
    _, sizes = np.unique(clusters, return_counts=True)
    return float(np.max(sizes)) / clusters.size


def _cluster_sums(parts: FloatArray, clusters: IntArray) -> tuple[FloatArray, int]:
    _, code, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    return np.bincount(code, weights=parts).astype(np.float64), int(np.max(sizes))


def _stratified(squares: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """Variance of a sum of two independent means, and Satterthwaite's degrees of freedom."""
    variances, sizes = [], []
    for label in (1.0, 0.0):
        own = squares[truth == label]
        variances.append(float(np.sum(own)) * own.size / (own.size - 1))
        sizes.append(own.size)
    total = sum(variances)
    return total, total**2 / sum(v**2 / (size - 1) for v, size in zip(variances, sizes, strict=True))
