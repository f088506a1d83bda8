"""Frames in, predictions out: how a loaded model is asked, for the gate and for batch scoring alike."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signoff.errors import DataError, ModelError
from signoff.gate.arrays import FloatArray
from signoff.gate.model import Predictions
from signoff.record.schema import SchemaRecord
from signoff.standard.model import EvaluationRecipe

LATENCY_WARM_UP = 20
LATENCY_REQUESTS = 400
"""Single-row requests per measurement: enough for an upper limit of the 99th percentile (299 are needed)."""

_DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
}

Call = Callable[[str, Any], Any]


def model_input(frame: Any, schema: SchemaRecord) -> Any:
    """The signature's columns in its order and types.

    Args:
        frame: a pandas DataFrame with at least these columns.
        schema: the model's input schema.

    Raises:
        DataError: a value does not fit its column's type.
    """
    chosen = frame[[column.name for column in schema.columns if column.name in frame.columns]].copy()
    for column in schema.columns:
        if column.name not in chosen.columns:
            continue
        values = chosen[column.name]
        if column.required and column.type in ("boolean", "integer", "long") and values.isna().any():
            raise DataError(
                f"column {column.name!r} has {int(values.isna().sum())} missing values; the signature wants"
                f" {column.type} in every row",
                hint="fill or drop the rows, or train with a nullable type",
            )
        dtype = _DTYPES.get(column.type)
        if dtype is not None and str(values.dtype) != dtype:
            try:
                chosen[column.name] = values.astype(dtype)
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"column {column.name!r} does not hold {column.type} values: {error}"
                ) from error
    return chosen


def classify(call: Call, frame: Any, *, recipe: EvaluationRecipe) -> Predictions:
    """Score and decide with a two-class model.

    Scikit-learn models answer with ``predict_proba`` and with their own ``predict``, so that a threshold
    inside the model counts; others answer with one score per row, a table with a score column, or classes.

    Raises:
        ModelError: the answer has another form, or the model knows other classes than two.
    """
    try:
        probability = np.asarray(call("predict_proba", frame), dtype=np.float64)
    except AttributeError:
        return _from_output(_answer(call, "predict", frame), rows=len(frame), recipe=recipe)
    except Exception as error:
        raise ModelError(f"the model fails on this table: {type(error).__name__}: {error}") from error
    if probability.ndim != 2 or probability.shape[1] != 2:
        raise ModelError(f"the model knows {probability.shape[-1]} classes; this gate compares two")
    predicted = np.asarray(_answer(call, "predict", frame))
    score = probability[:, 1]
    return Predictions(score=score, decision=_as_decision(predicted, recipe))


def regress(call: Call, frame: Any, *, recipe: EvaluationRecipe) -> Predictions:
    """Predict numbers, one per row.

    Raises:
        ModelError: the answer has another form.
    """
    output = _answer(call, "predict", frame)
    if hasattr(output, "columns"):
        output = _score_column(output, recipe)
    values = _numbers(output, rows=len(frame))
    return Predictions(score=values, decision=None)


def _answer(call: Call, method: str, frame: Any) -> Any:
    try:
        return call(method, frame)
    except Exception as error:
        raise ModelError(f"the model fails on this table: {type(error).__name__}: {error}") from error


def _from_output(output: Any, *, rows: int, recipe: EvaluationRecipe) -> Predictions:
    if hasattr(output, "columns"):
        output = _score_column(output, recipe)
    values = np.asarray(output)
    if values.ndim == 2 and values.shape[1] == 2:
        values = values[:, 1]
    if values.shape[:1] != (rows,) or values.ndim != 1:
        raise ModelError(
            f"the model answered with shape {values.shape} for {rows} rows; one value per row is needed"
        )
    if np.issubdtype(values.dtype, np.floating):
        score = values.astype(np.float64)
        return Predictions(score=score, decision=(score >= recipe.threshold).astype(np.float64))
    return Predictions(score=None, decision=_as_decision(values, recipe))


def _score_column(output: Any, recipe: EvaluationRecipe) -> Any:
    names = [str(name) for name in output.columns]
    wanted = [recipe.score] if recipe.score else ["score", "probability", "prediction"]
    found = next((name for name in wanted if name in names), names[0] if len(names) == 1 else None)
    if found is None:
        raise ModelError(
            f"the model answers with columns {', '.join(names)}; none of {', '.join(wanted)} is among them",
            hint="name the column with `evaluate: {score: …}` in the standard",
        )
    return output[found]


def _numbers(output: Any, *, rows: int) -> FloatArray:
    try:
        values: NDArray[np.float64] = np.asarray(output, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ModelError("the model does not answer with numbers") from error
    if values.shape != (rows,):
        raise ModelError(f"the model answered with {values.size} values for {rows} rows")
    return values


def _as_decision(predicted: Any, recipe: EvaluationRecipe) -> FloatArray:
    values = np.asarray(predicted).reshape(-1)
    if recipe.positive is not None:
        kind = type(recipe.positive)
        return np.asarray([_same(value, recipe.positive, kind) for value in values], dtype=np.float64)
    if values.dtype == np.bool_ or np.isin(values, (0, 1)).all():
        return values.astype(np.float64)
    raise ModelError(
        "the model predicts classes other than 0 and 1",
        hint="name the positive class with `evaluate: {positive: …}` in the standard",
    )


def _same(value: Any, positive: bool | int | str, kind: type) -> bool:  # noqa: FBT001 - a class label
    return bool(str(value) == positive) if kind is str else bool(value == positive)


def measure_latency(predict: Callable[[Any], object], frame: Any) -> FloatArray:
    """Milliseconds of single-row predictions, one request after the other, after a warm-up.

    Args:
        predict: answers for a frame.
        frame: rows to draw from, in order, again from the first when they run out.
    """
    rows = len(frame)
    singles = [frame.iloc[[i % rows]] for i in range(LATENCY_WARM_UP + LATENCY_REQUESTS)]
    times = np.empty(len(singles))
    for i, single in enumerate(singles):
        start = time.perf_counter()
        predict(single)
        times[i] = (time.perf_counter() - start) * 1000
    return times[LATENCY_WARM_UP:]
