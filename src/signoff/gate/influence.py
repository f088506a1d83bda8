"""What each row adds to a metric: the linear part that standard errors are computed from.

For a metric θ of n rows, ``parts`` holds c with θ̂ - θ ≈ Σ c, so that Σ c² estimates the variance. Sums of
squares need no refit, work for clusters (sum c per cluster) and subtract row by row for two models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from signoff.gate.arrays import FloatArray
from signoff.gate.estimate import Undecided
from signoff.gate.metrics import (
    average_precision,
    class_counts,
    f1,
    precision,
    ranks_among,
    require_finite,
    roc_auc,
    row_absolute_errors,
    row_brier,
    row_log_losses,
    row_squared_errors,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Influence:
    """A metric with what each row adds to it.

    Attributes:
        value: the metric.
        parts: shape (rows,): deviation that the row contributes; sums to 0.
        effect: about the most that one row can move the metric; above 0.
    """

    value: float
    parts: FloatArray
    effect: float


InfluenceOf: TypeAlias = Callable[[FloatArray, FloatArray], Influence | Undecided]


def roc_auc_influence(truth: FloatArray, score: FloatArray) -> Influence | Undecided:
    """DeLong's placements (Biometrics 1988, 44:837), centred, over the size of their class.

    The placement of a positive is the share of negatives below it, of a negative the share of positives
    above it, ties counted half.
    """
    value = roc_auc(truth, score)
    if value is None:
        return ONE_CLASS
    positive = truth == 1.0
    positives, negatives = score[positive], score[~positive]
    parts = np.empty(truth.shape, dtype=np.float64)
    below, up_to = ranks_among(np.sort(negatives), positives)
    parts[positive] = ((below + up_to) / (2.0 * negatives.size) - value) / positives.size
    below, up_to = ranks_among(np.sort(positives), negatives)
    parts[~positive] = (1.0 - (below + up_to) / (2.0 * positives.size) - value) / negatives.size
    return Influence(value=value, parts=parts, effect=1.0 / min(positives.size, negatives.size))


def average_precision_influence(truth: FloatArray, score: FloatArray) -> Influence | Undecided:
    """First derivative of average precision in the weight of each row.

    With H(s) and G(s) the shares of rows and of positive rows scored s or more, AP = E[y G(S) / H(S)] / π;
    a row enters through its own term, through H and G at every score below its own, and through π.
    """
    value = average_precision(truth, score)
    if value is None:
        return Undecided(reason="no positive row: average precision is undefined")
    n, positives = truth.size, float(np.sum(truth))
    prevalence = positives / n
    distinct, run = np.unique(score, return_inverse=True)
    rows_in_run = np.bincount(run, minlength=distinct.size)
    hits_in_run = np.bincount(run, weights=truth, minlength=distinct.size)
    at_least = np.cumsum(rows_in_run[::-1])[::-1] / n
    hits_at_least = np.cumsum(hits_in_run[::-1])[::-1] / n
    precision_at = hits_at_least / at_least
    gain = np.cumsum(hits_in_run / n / at_least)
    cost = np.cumsum(hits_in_run / n * precision_at / at_least)
    of_product = truth * (precision_at + gain)[run] - cost[run]
    parts = (of_product - value * truth) / (prevalence * n)
    effect = (1.0 + np.log(positives)) / positives
    return Influence(value=value, parts=parts - np.mean(parts), effect=float(effect))


def precision_influence(truth: FloatArray, decision: FloatArray) -> Influence | Undecided:
    """Of the ratio TP / flagged."""
    value = precision(truth, decision)
    if value is None:
        return Undecided(reason="the model flags no row: precision is undefined")
    return _ratio(truth * decision, decision)


def f1_influence(truth: FloatArray, decision: FloatArray) -> Influence | Undecided:
    """Of the ratio 2 TP / (positives + flagged)."""
    value = f1(truth, decision)
    if value is None:
        return Undecided(reason="nothing is positive and nothing flagged: f1 is undefined")
    return _ratio(2.0 * truth * decision, truth + decision)


def macro_f1_influence(
    truth: FloatArray, decision: FloatArray, classes: tuple[str, ...] = ()
) -> Influence | Undecided:
    """Of the mean of each class's ratio 2 TP / (rows of it + rows decided so), by the delta method.

    A row of class t decided as p is a part of two ratios F = 2 TP / D, one when it is right: it adds
    (2 [t = p] / D_t - F_t / D_t - F_p / D_p) / K (Takahashi et al., Applied Intelligence 2022, 52:4961,
    from the same confusion matrix).

    Args:
        truth: shape (rows,): class codes.
        decision: shape (rows,): predicted codes.
        classes: names of all classes in the order of their codes; empty: up to the largest code.
    """
    if truth.size == 0:
        return NO_ROWS
    counts = class_counts(truth, decision, len(classes) or None)
    if counts is None:
        absent = np.setdiff1d(np.arange(max(len(classes), int(decision.max()) + 1)), truth)
        names = ", ".join(classes[code] if classes else str(code) for code in absent[:3])
        more = ", …" if absent.size > 3 else ""
        return Undecided(reason=f"no row is of class {names}{more}: macro_f1 is undefined")
    hits, sizes = counts
    real, said = truth.astype(np.int64), decision.astype(np.int64)
    share = 2.0 * hits / sizes**2
    parts = (2.0 * (real == said) / sizes[real] - share[real] - share[said]) / sizes.size
    # A row that changes sides moves the ratio of its class by at most 2 / D, the other by 1 / (D + 1).
    effect = 3.0 / (sizes.size * float(np.min(sizes)))
    return Influence(value=float(np.mean(2.0 * hits / sizes)), parts=parts, effect=effect)


def correct_influence(truth: FloatArray, decision: FloatArray) -> Influence | Undecided:
    """Of the share decided right: accuracy, and recall on positive rows."""
    if truth.size == 0:
        return NO_ROWS
    return _ratio((truth == decision).astype(np.float64), np.ones_like(truth))


def r2_influence(truth: FloatArray, value: FloatArray) -> Influence | Undecided:
    """Of one minus the ratio of squared error to variance."""
    if truth.size == 0:
        return NO_ROWS
    errors = row_squared_errors(truth, value)
    spread = np.square(truth - np.mean(truth))
    total = float(np.sum(spread))
    if total == 0.0:
        return Undecided(reason="the label does not vary: r2 is undefined")
    unexplained = float(np.sum(errors)) / total
    effect = max(float(np.max(errors)), _TINY) / total
    return Influence(value=1.0 - unexplained, parts=(unexplained * spread - errors) / total, effect=effect)


def _mean_of(losses: Callable[[FloatArray, FloatArray], FloatArray]) -> InfluenceOf:
    def influence(truth: FloatArray, answers: FloatArray) -> Influence | Undecided:
        values = losses(truth, answers)
        if values.size == 0:
            return NO_ROWS
        mean = float(np.mean(values))
        effect = max(float(np.max(np.abs(values))), _TINY) / values.size
        return Influence(value=mean, parts=(values - mean) / values.size, effect=effect)

    return influence


def _ratio(numerator: FloatArray, denominator: FloatArray) -> Influence:
    require_finite(numerator)
    whole = float(np.sum(denominator))
    value = float(np.sum(numerator)) / whole
    effect = max(float(np.max(numerator)), 1.0) / whole
    return Influence(value=value, parts=(numerator - value * denominator) / whole, effect=effect)


ONE_CLASS = Undecided(reason="only one class among these rows: undefined")
NO_ROWS = Undecided(reason="no rows")
_TINY = 1e-300  # keeps divisions by an effect finite when every loss is exactly 0

INFLUENCES: Mapping[str, InfluenceOf] = {
    "roc_auc": roc_auc_influence,
    "average_precision": average_precision_influence,
    "log_loss": _mean_of(row_log_losses),
    "brier": _mean_of(row_brier),
    "accuracy": correct_influence,
    "recall": correct_influence,
    "precision": precision_influence,
    "f1": f1_influence,
    "macro_f1": macro_f1_influence,
    "mae": _mean_of(row_absolute_errors),
    "mse": _mean_of(row_squared_errors),
    "rmse": _mean_of(row_squared_errors),
    "r2": r2_influence,
}
"""By metric; for recall on the positive rows only, for rmse of the mean squared error."""
