"""Point metrics, exact to the last bits of float64.

A metric that these rows leave undefined is None: never 0.5, never 0. Scores that are not finite are refused.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray

BoolArray: TypeAlias = NDArray[np.bool_]
PointMetric: TypeAlias = Callable[[FloatArray, FloatArray], float | None]

_EPSILON = float(np.finfo(np.float64).eps)


def roc_auc(truth: FloatArray, score: FloatArray) -> float | None:
    """Area under the ROC curve, ties counted half; None when only one class is there.

    Counted in whole numbers and divided once, so that the order of rows cannot matter.
    """
    require_finite(score)
    positive = truth == 1.0
    positives, negatives = score[positive], np.sort(score[~positive])
    if positives.size == 0 or negatives.size == 0:
        return None
    below, up_to = ranks_among(negatives, positives)
    doubled = int(np.sum(below + up_to))
    return float(doubled / (2 * positives.size * negatives.size))


def ranks_among(sorted_values: FloatArray, points: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per point, how many of the sorted values lie below it, and how many below it or at it."""
    below = np.searchsorted(sorted_values, points, side="left")
    up_to = np.searchsorted(sorted_values, points, side="right")
    return below.astype(np.int64), up_to.astype(np.int64)


def average_precision(truth: FloatArray, score: FloatArray) -> float | None:
    """Mean over the positives of the precision at their score; None without positives.

    The step-wise sum of scikit-learn's ``average_precision_score``; tied rows enter together.
    """
    require_finite(score)
    if not np.any(truth == 1.0):
        return None
    flagged, hits = counts_at_distinct_scores(truth, score)
    steps = np.diff(hits, prepend=0)
    return float(np.sum(steps / hits[-1] * (hits / flagged)))


def counts_at_distinct_scores(
    truth: FloatArray, score: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per distinct score, from the highest: rows and positive rows with that score or more."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last_of_run = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
    hits = np.cumsum(truth[order] == 1.0)[last_of_run]
    return (last_of_run + 1).astype(np.int64), hits.astype(np.int64)


def row_log_losses(truth: FloatArray, score: FloatArray) -> FloatArray:
    """Per row minus the log of the probability given to the true class, clipped at the float64 epsilon."""
    require_probability(score)
    given = np.where(truth == 1.0, score, 1.0 - score)
    logs: FloatArray = np.log(np.clip(given, _EPSILON, 1.0 - _EPSILON))
    return -logs


def log_loss(truth: FloatArray, score: FloatArray) -> float | None:
    """Mean log loss, natural logarithm; None without rows."""
    return _mean(row_log_losses(truth, score))


def row_brier(truth: FloatArray, score: FloatArray) -> FloatArray:
    """Per row the squared distance of probability and outcome."""
    require_probability(score)
    return np.square(score - truth)


def brier(truth: FloatArray, score: FloatArray) -> float | None:
    """Mean squared distance of probability and outcome; None without rows."""
    return _mean(row_brier(truth, score))


def accuracy(truth: FloatArray, decision: FloatArray) -> float | None:
    """Share of rows decided right; None without rows."""
    return _mean((decision == truth).astype(np.float64))


def precision(truth: FloatArray, decision: FloatArray) -> float | None:
    """Share of the flagged rows that are positive; None when no row is flagged."""
    return _mean(truth[decision == 1.0])


def recall(truth: FloatArray, decision: FloatArray) -> float | None:
    """Share of the positive rows that are flagged; None without positive rows."""
    return _mean(decision[truth == 1.0])


def f1(truth: FloatArray, decision: FloatArray) -> float | None:
    """2 TP / (2 TP + FP + FN); None when nothing is positive or flagged."""
    hits = float(np.sum(truth * decision))
    whole = float(np.sum(truth) + np.sum(decision))
    return 2.0 * hits / whole if whole else None


def macro_f1(truth: FloatArray, decision: FloatArray, classes: int | None = None) -> float | None:
    """Mean over the classes of each class's F1; None when a class has no row.

    Args:
        truth: shape (rows,): class codes from 0.
        decision: shape (rows,): predicted codes.
        classes: how many there are; None: up to the largest code.
    """
    counts = class_counts(truth, decision, classes)
    if counts is None:
        return None
    hits, sizes = counts
    return float(np.mean(2.0 * hits / sizes))


def class_counts(
    truth: FloatArray, decision: FloatArray, classes: int | None
) -> tuple[FloatArray, FloatArray] | None:
    """Per class the rows decided right, and the rows of the class plus the rows decided so.

    None when a class has no row, or there are none at all.
    """
    if truth.size == 0:
        return None
    real, said = truth.astype(np.int64), decision.astype(np.int64)
    least = classes or int(max(real.max(), said.max())) + 1
    rows = np.bincount(real, minlength=least)
    if not np.all(rows):
        return None
    hits = np.bincount(real[real == said], minlength=least).astype(np.float64)
    return hits, (rows + np.bincount(said, minlength=least)).astype(np.float64)


def row_squared_errors(truth: FloatArray, value: FloatArray) -> FloatArray:
    """Per row the squared error."""
    require_finite(value)
    return np.square(value - truth)


def row_absolute_errors(truth: FloatArray, value: FloatArray) -> FloatArray:
    """Per row the absolute error."""
    require_finite(value)
    return np.abs(value - truth)


def mae(truth: FloatArray, value: FloatArray) -> float | None:
    """Mean absolute error; None without rows."""
    return _mean(row_absolute_errors(truth, value))


def mse(truth: FloatArray, value: FloatArray) -> float | None:
    """Mean squared error; None without rows."""
    return _mean(row_squared_errors(truth, value))


def rmse(truth: FloatArray, value: FloatArray) -> float | None:
    """Root of the mean squared error; None without rows."""
    mean = mse(truth, value)
    return None if mean is None else float(mean**0.5)


def r2(truth: FloatArray, value: FloatArray) -> float | None:
    """Share of the variance explained, 1 - MSE / variance; None when the truth does not vary."""
    errors = row_squared_errors(truth, value)
    if truth.size == 0:
        return None
    spread = float(np.sum(np.square(truth - np.mean(truth))))
    return 1.0 - float(np.sum(errors)) / spread if spread > 0.0 else None


def require_finite(values: FloatArray) -> None:
    """Refuse NaN and infinities before they are ranked or averaged.

    Raises:
        DataError: there is one; says how many and where the first is.
    """
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise DataError(
            f"{wrong.size} of {values.size} answers are NaN or infinite, the first in row {wrong[0]}",
            hint="make the model answer every row with a number, or take such rows out of the evaluation data",
        )


def require_probability(values: FloatArray) -> None:
    """Refuse scores outside [0, 1].

    Raises:
        DataError: there is one.
    """
    require_finite(values)
    wrong = np.flatnonzero((values < 0.0) | (values > 1.0))
    if wrong.size:
        raise DataError(
            f"{wrong.size} of {values.size} scores are not probabilities: row {wrong[0]} has {values[wrong[0]]:g}",
            hint="log_loss and brier need probabilities between 0 and 1; "
            "name the model's probability column in evaluate.score",
        )


def _mean(values: FloatArray) -> float | None:
    return float(np.mean(values)) if values.size else None


POINT_METRICS: Mapping[str, PointMetric] = {
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "macro_f1": macro_f1,
    "mae": mae,
    "rmse": rmse,
    "mse": mse,
    "r2": r2,
}
"""By name, from truth and scores, decisions or values: `signoff.standard.metrics` says which and their direction."""
