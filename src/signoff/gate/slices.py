"""Comparisons with the baseline: overall and per slice."""

from collections.abc import Iterator

import numpy as np

from signoff.errors import DataError
from signoff.gate.estimate import Known, Measurement, Undecided
from signoff.gate.measure import compare, measure
from signoff.gate.model import EvaluationTable
from signoff.gate.question import Question
from signoff.gate.rows import ModelKind, Rows
from signoff.standard.metrics import METRICS
from signoff.standard.model import GateRules, MarginRule


def margin_questions(
    rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows, *, same_model: bool
) -> tuple[Question, ...]:
    """The primary comparison, then each guarded metric, per slice where the rule names a column.

    Every slice is held to the rule's own margin. A slice too small for that is inconclusive, with the
    severity that the rule gives: no margin is widened after a look at the answers.

    Args:
        rules: what is asked.
        kind: what the models predict.
        table: for its slice columns.
        rows: all rows, with the baseline's answers.
        same_model: candidate and baseline are the same bytes, so that every true difference is 0.

    Raises:
        DataError: a rule names a slice column that the table lacks.
        UsageError: a rule names a metric that cannot be compared.
    """
    return tuple(
        _question(rule, value, kind, part, same_model=same_model)
        for rule in (rules.primary, *rules.slices)
        for value, part in parts(rule, table, rows, rules.recipe.data)
    )


def parts(
    rule: MarginRule, table: EvaluationTable, rows: Rows, source: str
) -> Iterator[tuple[str | None, Rows]]:
    """Slice value and rows of each part that the rule asks about; value None for all rows.

    Values come in the order of ``only``, else the largest slice first.

    Raises:
        DataError: the table has no such column.
    """
    if rule.by is None:
        yield None, rows
        return
    if rule.by not in table.slices:
        known = ", ".join(table.slices) or "none"
        raise DataError(
            f"the evaluation table has no slice column {rule.by!r}",
            where=source,
            hint=f"slice columns read: {known}",
        )
    column = table.slices[rule.by]
    values, counts = np.unique(column, return_counts=True)
    by_size = sorted(zip(values.tolist(), counts.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    for value in rule.only or [value for value, _ in by_size]:
        yield value, rows.where(column == value)


def check_names(rule: MarginRule, value: str | None, *, prefix: str = "") -> tuple[str, str]:
    """Id and title of the check on one part of the rows; the prefix takes the place of margin and slice."""
    if value is None:
        return f"{prefix or 'margin'}:{rule.metric}", f"{prefix or 'margin'}({rule.metric})"
    kind = prefix or "slice"
    return f"{kind}:{rule.by}={value}:{rule.metric}", f"{kind}({rule.by}={value}, {rule.metric})"


def _question(
    rule: MarginRule, value: str | None, kind: ModelKind, rows: Rows, *, same_model: bool
) -> Question:
    name, title = check_names(rule, value)
    gain = rule.mode == "better_by"
    if rows.count == 0:
        measured = nothing(f"no row has {rule.by} = {value}")
    elif same_model:
        measured = _of_itself(rule, kind, rows)
    else:
        measured = compare(rule.metric, kind, rows)
    return Question(
        id=name,
        title=title,
        measurement=measured,
        bound=rule.margin if gain else 0.0 - rule.margin,
        want="above",
        inclusive=rule.margin > 0.0 if gain else same_model,
        undecided=rule.inconclusive,
        word="gain" if gain else "change",
        remark="" if METRICS[rule.metric].higher_is_better else "lower is better, so a gain is a fall",
    )


def nothing(reason: str) -> Measurement:
    """The measurement of no rows."""
    return Measurement(
        candidate=None,
        baseline=None,
        difference=None,
        estimate=Undecided(reason=reason),
        rows=0,
        units=0,
        unit="rows",
    )


def _of_itself(rule: MarginRule, kind: ModelKind, rows: Rows) -> Measurement:
    """A model differs from itself by nothing, on any rows."""
    alone = measure(rule.metric, kind, rows)
    return Measurement(
        candidate=alone.candidate,
        baseline=alone.candidate,
        difference=0.0,
        estimate=Known(value=0.0, method="same model"),
        rows=alone.rows,
        units=alone.units,
        unit=alone.unit,
        note="candidate and baseline are the same model",
    )
