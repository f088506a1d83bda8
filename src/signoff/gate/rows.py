"""The rows that count: truth and both models' answers, checked before anything is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from signoff.errors import DataError, UsageError
from signoff.gate.arrays import FloatArray, IntArray
from signoff.gate.metrics import BoolArray, require_finite
from signoff.gate.model import EvaluationTable, Predictions
from signoff.standard.metrics import METRICS, Metric, Task, metrics_for

ModelKind: TypeAlias = Task
_UNITS: Mapping[ModelKind, str] = {"ranking": "lists", "assistant": "questions"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Evaluation rows, all of them or a part; every array has shape (rows,).

    Attributes:
        truth: the label; 1.0 and 0.0 for two classes, class codes for many.
        candidate: the candidate's answers.
        baseline: the baseline's, in the same order; None for a first release.
        clusters: which rows belong together; None when all are independent.
        classes: names of many classes in the order of their codes; else empty.
        unit: what a row is called, in the plural.
    """

    truth: FloatArray
    candidate: Predictions
    baseline: Predictions | None
    clusters: IntArray | None
    classes: tuple[str, ...] = ()
    unit: str = "rows"

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.truth.shape[0])

    def where(self, mask: BoolArray) -> "Rows":
        """The rows for which the mask, shape (rows,), holds."""
        return replace(
            self,
            truth=self.truth[mask],
            candidate=_pick(self.candidate, mask),
            baseline=None if self.baseline is None else _pick(self.baseline, mask),
            clusters=None if self.clusters is None else _shared(self.clusters[mask]),
        )

    def against(self, answers: Predictions) -> "Rows":
        """The same rows with these answers as the baseline's."""
        return replace(self, baseline=answers)


def _pick(answers: Predictions, mask: BoolArray) -> Predictions:
    return Predictions(
        score=None if answers.score is None else answers.score[mask],
        decision=None if answers.decision is None else answers.decision[mask],
        values={name: values[mask] for name, values in answers.values.items()},
    )


def _shared(clusters: IntArray) -> IntArray | None:
    """None when no two rows share a cluster: then they are independent."""
    return None if np.unique(clusters).size == clusters.size else clusters


def metric_named(name: str, kind: ModelKind, *, paired: bool) -> Metric:
    """What the standard knows about the metric.

    Raises:
        UsageError: the gate does not compute it for this kind of model or, with ``paired``, has no interval
            for a difference of it.
    """
    found = METRICS.get(name)
    if found is None or kind not in found.tasks or (paired and not found.paired):
        use = "compare" if paired else "measure"
        raise UsageError(
            f"the gate cannot {use} {name!r} on {kind} models",
            hint=f"it can {use}: {', '.join(metrics_for(kind, paired=paired))}",
        )
    return found


def answers_for(metric: Metric, answers: Predictions, who: str) -> FloatArray:
    """The answers that the metric is computed from.

    Raises:
        DataError: the model gives none of that kind.
    """
    if metric.kind == "value":
        found = answers.values.get(metric.name)
    else:
        found = answers.decision if metric.kind == "decision" else answers.score
    if found is None:
        what = (
            f"no {metric.name}" if metric.kind == "value" else f"no {metric.kind}s, which {metric.name} needs"
        )
        raise DataError(
            f"the {who} gives {what}",
            where=who,
            hint="log a model that returns them, or let the standard name a metric that does without",
        )
    return found


def checked_rows(
    *,
    kind: ModelKind,
    table: EvaluationTable,
    candidate: Predictions,
    baseline: Predictions | None,
    source: str,
    label: str,
) -> Rows:
    """Truth and answers, once they are known to fit together.

    Args:
        kind: what the models predict.
        table: the evaluation rows.
        candidate: the candidate's answers on them.
        baseline: the baseline's; None for a first release.
        source: where the table came from, for messages.
        label: its label column, for messages.

    Raises:
        DataError: no rows, a label that is not a number or no known class, only one class, answers or columns
            of another length, an answer that is NaN, infinite or (a decision) no known class, or a value out
            of its metric's reach.
    """
    where = f"{source}, column {label}"
    if table.rows == 0:
        raise DataError(
            "the evaluation table has no rows", where=source, hint="check the recipe in evaluate:"
        )
    if kind in {"classification", "regression", "multiclass"}:
        _require_label(table.truth, kind, where, classes=len(table.classes))
    for name, column in (*table.slices.items(), ("(clusters)", table.clusters)):
        if column is not None and column.shape != (table.rows,):
            raise DataError(f"column {name} has shape {column.shape} for {table.rows} rows", where=source)
    for who, answers in (("candidate", candidate), ("baseline", baseline)):
        if answers is not None:
            _require_answers(answers, table.rows, who)
            _require_decision(answers.decision, kind, who, classes=len(table.classes))
            _require_values(answers, table.rows, who)
    clusters = None if table.clusters is None else _shared(table.clusters)
    return Rows(
        truth=table.truth,
        candidate=candidate,
        baseline=baseline,
        clusters=clusters,
        classes=table.classes,
        unit=_UNITS.get(kind, "rows"),
    )


def _require_label(truth: FloatArray, kind: ModelKind, where: str, *, classes: int) -> None:
    unknown = np.flatnonzero(~np.isfinite(truth))
    if unknown.size:
        raise DataError(
            f"{unknown.size} of {truth.size} labels are missing or infinite, the first in row {unknown[0]}",
            where=where,
            hint="evaluate only on rows whose outcome is known",
        )
    if kind == "regression":
        return
    values = np.unique(truth)
    odd = _no_code(values, classes if kind == "multiclass" else 2)
    if odd.size:
        shown = ", ".join(f"{value:g}" for value in odd[:3])
        if kind == "multiclass":
            raise DataError(f"labels must be codes of {classes} classes; found {shown}", where=where)
        raise DataError(
            f"labels must be 0 or 1; found {shown}",
            where=where,
            hint="name the positive label in evaluate.positive",
        )
    if values.size == 1:
        raise DataError(
            f"all {truth.size} labels are {values[0]:g}: with one class there is nothing to tell apart",
            where=where,
            hint="use a longer window, or wait until outcomes of both kinds are known",
        )


def _require_answers(answers: Predictions, rows: int, who: str) -> None:
    for what, values in (("score", answers.score), ("decision", answers.decision)):
        if values is None:
            continue
        if values.shape != (rows,):
            raise DataError(
                f"the {who} gave {what}s of shape {values.shape} for {rows} rows",
                where=who,
                hint="the model must answer every row once, in order",
            )
        try:
            require_finite(values)
        except DataError as error:
            raise DataError(f"{what}s of the {who}: {error.what}", where=who, hint=error.hint) from error
    latency = answers.latency_ms
    if latency is not None and not np.all(np.isfinite(latency) & (latency >= 0.0)):
        raise DataError(f"latencies of the {who} must be 0 or more and finite", where=who)


def _require_decision(decision: FloatArray | None, kind: ModelKind, who: str, *, classes: int) -> None:
    if decision is None:
        return
    odd = _no_code(np.unique(decision), classes if kind == "multiclass" else 2)
    if odd.size:
        known = f"codes of {classes} classes" if kind == "multiclass" else "0 or 1"
        raise DataError(
            f"decisions of the {who} must be {known}; found {odd[:3].tolist()}",
            where=who,
            hint="decisions are classes; a probability belongs into the score",
        )


def _no_code(values: FloatArray, classes: int) -> FloatArray:
    """The values that are no whole number from 0 to below ``classes``."""
    odd: BoolArray = (values < 0.0) | (values >= classes) | (values != np.floor(values))
    return values[odd]


def _require_values(answers: Predictions, rows: int, who: str) -> None:
    for name, values in answers.values.items():
        metric = METRICS.get(name)
        if metric is None or metric.kind != "value":
            raise DataError(
                f"the {who} gives values of {name!r}, which is no metric of lists or questions", where=who
            )
        if values.shape != (rows,):
            raise DataError(
                f"the {who} gave {name} values of shape {values.shape} for {rows} lists or questions",
                where=who,
            )
        most = 1.0 if metric.unit_range else np.finfo(np.float64).max
        known = values[~np.isnan(values)]
        odd = known[(known < 0.0) | (known > most)]
        if odd.size:
            reach = "between 0 and 1" if metric.unit_range else "0 or more and finite"
            raise DataError(f"{name} of the {who} must be {reach}; found {odd[:3].tolist()}", where=who)
