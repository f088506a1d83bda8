"""Questions in, measured answers out: how an assistant is asked for the gate."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from signoff.errors import DataError, ModelError
from signoff.gate.answers import Answer, answer_values
from signoff.gate.arrays import FloatArray
from signoff.gate.model import Predictions
from signoff.gate.retrieval import ORDER_METRICS
from signoff.standard.model import EvaluationRecipe

QUERY, REFERENCE = "query", "reference"
"""Columns of the evaluation table: the question, and where there is one the expected answer."""

_VALUES = (*ORDER_METRICS, "groundedness", "answer_quality", "abstention", "cost_per_request")


class Assistant(Protocol):
    """An assistant in memory that can show what it retrieved."""

    def predict(self, frame: Any) -> Any:
        """A table with one row per row of the frame: answer, abstained, passages, support, quote, cost."""

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The texts of passages."""


def measured_answers(model: Assistant, frame: Any, *, recipe: EvaluationRecipe, timed: bool) -> Predictions:
    """Ask every question once and measure each answer.

    Args:
        model: the assistant.
        frame: the evaluation table, a pandas DataFrame with the column ``query``, the recipe's label column
            (ids of the relevant passages as a list or as JSON text; empty for a question that nothing answers)
            and optionally ``reference``.
        recipe: names the label column and k.
        timed: whether each request is timed, after one that is not.

    Returns:
        One value per metric and question, in the frame's order, and with ``timed`` each request's
        milliseconds.

    Raises:
        DataError: a column is missing, or holds something else.
        ModelError: the model cannot say what it retrieved, or answers in another form.
    """
    if QUERY not in frame.columns:
        raise DataError(f"the evaluation table has no column {QUERY!r}", hint="give one row per question")
    if not callable(getattr(model, "texts", None)):
        raise ModelError(
            "the model does not show the passages that it retrieves, so its answers cannot be measured",
            hint="log it with signoff.log_bundle",
        )
    relevant = [relevant_ids(value, row) for row, value in enumerate(frame[recipe.label].tolist())]
    given = frame[REFERENCE].tolist() if REFERENCE in frame.columns else []
    references = [value if isinstance(value, str) else "" for value in given] or [""] * len(frame)
    times = np.empty(len(frame))
    rows: list[Mapping[str, float]] = []
    if timed and len(frame):
        _asked(model, frame.iloc[[0]][[QUERY]])
    for row in range(len(frame)):
        question = frame.iloc[[row]][[QUERY]]
        start = time.perf_counter()
        answer = _asked(model, question)
        times[row] = (time.perf_counter() - start) * 1000
        rows.append(
            answer_values(
                answer,
                relevant=relevant[row],
                reference=references[row],
                texts=model.texts(answer.passages),
                k=recipe.k,
            )
        )
    values: dict[str, FloatArray] = {
        name: np.asarray([row[name] for row in rows], dtype=np.float64) for name in _VALUES
    }
    return Predictions(score=None, decision=None, latency_ms=times if timed else None, values=values)


def relevant_ids(value: object, row: int) -> tuple[str, ...]:
    """The passages that answer a question: a list of ids, JSON text of one, or nothing.

    Raises:
        DataError: it is something else.
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return ()
    said: object = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            said = None
    if not isinstance(said, list | tuple) or not all(isinstance(id_, str) for id_ in said):
        raise DataError(
            f"row {row}: the relevant passages are no list of ids",
            hint='write them as ["id-1", "id-2"], and [] for a question that no passage answers',
        )
    return tuple(said)


def _asked(model: Assistant, question: Any) -> Answer:
    try:
        table = model.predict(question)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Whatever the model asks on its way may quote a secret: its own words stay with the exception.
        raise ModelError(f"the assistant fails on a question with {type(error).__name__}") from error
    try:
        row = {str(name): table[name].iloc[0] for name in table.columns} if len(table) == 1 else {}
        return Answer(
            passages=tuple(map(str, row["passages"])),
            support=tuple(map(str, row["support"])),
            text=str(row["answer"]),
            quote=str(row["quote"]),
            abstained=bool(row["abstained"]),
            cost=_cost(row["cost"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the assistant does not answer a question with one row of answer, abstained, passages, support,"
            f" quote and cost: {type(error).__name__}: {error}"
        ) from error


def _cost(value: Any) -> float:
    cost = float(value)
    if not math.isfinite(cost) or cost < 0:
        raise ValueError(f"a request costs {cost}")
    return cost
