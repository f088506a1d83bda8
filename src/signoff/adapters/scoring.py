"""Frames in, predictions out: how a loaded model is asked, for the gate and for batch scoring alike."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from signoff.errors import DataError, ModelError
from signoff.gate.arrays import FloatArray
from signoff.gate.labels import Label
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

Labels: TypeAlias = tuple[Any, Any]
"""The negative and the positive label, as the evaluation table has them."""


class Model(Protocol):
    """A model in memory."""

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The classes it knows, in the order of its probabilities; None when it does not say."""

    def __call__(self, method: str, frame: Any) -> Any:
        """Its answer for a frame; raises AttributeError when it has no such method."""


def model_input(frame: Any, schema: SchemaRecord) -> Any:
    """The signature's columns in its order and types.

    Args:
        frame: a pandas DataFrame with at least these columns.
        schema: the model's input schema.

    Raises:
        DataError: a value does not fit its column's type.
    """
    # An optional column that the table lacks is a column of missing values: models know their columns by name.
    chosen = frame.reindex(columns=[column.name for column in schema.columns])
    for column in schema.columns:
        if column.name not in frame.columns:
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


def classify(model: Model, frame: Any, *, recipe: EvaluationRecipe, labels: Labels | None) -> Predictions:
    """Score and decide with a two-class model.

    Scikit-learn models answer with ``predict_proba`` or ``decision_function`` and with their own ``predict``,
    so that a threshold inside the model counts; others answer with one score per row, a table with a score
    column, or classes.

    Args:
        model: the model.
        frame: its input.
        recipe: names the positive label and the score column.
        labels: what the evaluation table has as labels; None where there is no such table.

    Raises:
        ModelError: the answer has another form, or the model knows other classes than the labels.
    """
    negative, positive = _labels(model, recipe, labels)
    for method in ("predict_proba", "decision_function"):
        try:
            answer = np.asarray(model(method, frame), dtype=np.float64)
        except AttributeError:
            continue
        except Exception as error:
            raise _fails(error) from error
        column = 1 if model.classes is None else model.classes.index(positive)
        score = _positive_score(answer, column, rows=len(frame))
        return Predictions(
            score=score, decision=_as_decision(_answer(model, "predict", frame), negative, positive)
        )
    return _from_output(
        _answer(model, "predict", frame), rows=len(frame), recipe=recipe, labels=(negative, positive)
    )


def _labels(model: Model, recipe: EvaluationRecipe, labels: Labels | None) -> Labels:
    known = model.classes
    if known is not None and len(known) != 2:
        raise ModelError(f"the model knows {len(known)} classes; this gate compares two")
    if labels is not None and known is not None and not set(labels) <= set(known):
        raise ModelError(
            f"the model knows the classes {_listed(known)}, the evaluation table has the labels"
            f" {_listed(labels)}",
            hint="train on the labels as the table has them, or write them alike",
        )
    if labels is not None:
        return labels
    if known is None:
        return (None, 1 if recipe.positive is None else recipe.positive)
    positive = max(known) if recipe.positive is None else recipe.positive
    if positive not in known:
        raise ModelError(f"the model knows the classes {_listed(known)}, not {positive!r}")
    return next(label for label in known if label != positive), positive


def _listed(labels: tuple[Any, ...]) -> str:
    return " and ".join(sorted(repr(label) for label in labels))


def _positive_score(answer: FloatArray, column: int, *, rows: int) -> FloatArray:
    if answer.shape == (rows, 2):
        return np.ascontiguousarray(answer[:, column])
    if answer.shape == (rows,):
        # A decision function speaks for the second class.
        return answer if column == 1 else -answer
    raise ModelError(
        f"the model answered with shape {answer.shape} for {rows} rows; it must know two classes"
    )


def _fails(error: Exception) -> ModelError:
    return ModelError(f"the model fails on this table: {type(error).__name__}: {error}")


def regress(model: Model, frame: Any, *, recipe: EvaluationRecipe) -> Predictions:
    """Predict numbers, one per row.

    Raises:
        ModelError: the answer has another form.
    """
    output = _answer(model, "predict", frame)
    if hasattr(output, "columns"):
        output = _score_column(output, recipe)
    values = _numbers(output, rows=len(frame))
    return Predictions(score=values, decision=None)


def classify_many(
    model: Model, frame: Any, *, recipe: EvaluationRecipe, seen: Sequence[Label] = ()
) -> tuple[Label, ...]:
    """The class of each row, as the model names it.

    Args:
        model: the model; one that answers with a table has a column ``prediction`` or ``label``, or the one
            that the recipe names.
        frame: its input.
        recipe: names that column.
        seen: the labels of the evaluation table; empty where there is no such table.

    Raises:
        ModelError: the answer has another form, a row has no class, or the model knows none of the labels.
    """
    known = model.classes
    if known is not None and seen and not set(seen) & set(known):
        raise ModelError(
            f"the model knows the classes {_listed(known[:5])}, the evaluation table has the labels"
            f" {_listed(tuple(seen[:5]))}",
            hint="train on the labels as the table has them, or write them alike",
        )
    output = _answer(model, "predict", frame)
    if hasattr(output, "columns"):
        output = _column(output, [recipe.score] if recipe.score else ["prediction", "label"])
    values = np.asarray(output)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (len(frame),):
        raise ModelError(
            f"the model answered with shape {values.shape} for {len(frame)} rows; one class per row is needed",
            hint="log a model whose predict gives classes, not probabilities",
        )
    labels = values.tolist()
    odd = [label for label in labels if not isinstance(label, str | int | float) or label != label]  # noqa: PLR0124 - NaN
    if odd:
        raise ModelError(f"the model answers {odd[0]!r}, which is no class")
    return tuple(labels)


def score_rows(model: Model, frame: Any, *, recipe: EvaluationRecipe) -> FloatArray:
    """One finite number per row, by which rows are ordered.

    Scikit-learn classifiers of two classes answer with the score of the larger one, all others with ``predict``.

    Raises:
        ModelError: the answer has another form, or is NaN or infinite somewhere.
    """
    if model.classes is not None:
        found = classify(model, frame, recipe=recipe, labels=None).score
        if found is None:
            raise ModelError("the model gives classes and no scores, by which nothing can be ordered")
    else:
        output = _answer(model, "predict", frame)
        if hasattr(output, "columns"):
            output = _score_column(output, recipe)
        found = _numbers(output, rows=len(frame))
    wrong = int((~np.isfinite(found)).sum())
    if wrong:
        raise ModelError(f"{wrong} of {found.size} scores are NaN or infinite")
    return found


def answer_table(model: Model, frame: Any) -> Any:
    """The table that an assistant answers with, one row per question, under the questions' index.

    Raises:
        ModelError: the answer has another form.
    """
    output = _answer(model, "predict", frame)
    if not hasattr(output, "columns") or len(output) != len(frame):
        raise ModelError(
            f"the assistant does not answer with a table of {len(frame)} rows, one per question",
            hint="log a model whose predict returns a DataFrame",
        )
    return output.set_axis(frame.index, axis="index")


def _answer(model: Model, method: str, frame: Any) -> Any:
    try:
        return model(method, frame)
    except Exception as error:
        raise _fails(error) from error


def _from_output(output: Any, *, rows: int, recipe: EvaluationRecipe, labels: Labels) -> Predictions:
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
    return Predictions(score=None, decision=_as_decision(values, *labels))


def _score_column(output: Any, recipe: EvaluationRecipe) -> Any:
    return _column(output, [recipe.score] if recipe.score else ["score", "probability", "prediction"])


def _column(output: Any, wanted: Sequence[str]) -> Any:
    names = [str(name) for name in output.columns]
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


def _as_decision(predicted: Any, negative: Any, positive: Any) -> FloatArray:
    values = np.asarray(predicted).reshape(-1).tolist()
    others = {value for value in values if value not in (negative, positive)}
    if others and negative is not None:
        raise ModelError(
            f"the model predicts {_listed(tuple(others)[:3])}; the labels are {_listed((negative, positive))}",
            hint="train on the labels as the evaluation table has them",
        )
    return np.asarray([value == positive for value in values], dtype=np.float64)


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
