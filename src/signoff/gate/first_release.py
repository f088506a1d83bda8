"""A first release: nothing to compare with, so the candidate must beat knowing nothing."""

import numpy as np

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray
from signoff.gate.estimate import Measurement, Undecided
from signoff.gate.measure import compare, measure
from signoff.gate.model import CheckResult, EvaluationTable, Predictions
from signoff.gate.question import Question, number
from signoff.gate.rows import ModelKind, Rows
from signoff.gate.slices import check_names, nothing, parts
from signoff.gate.thresholds import measures_quality
from signoff.standard.model import GateRules, MarginRule

_CONSTANT = {
    "log_loss": "the base rate",
    "brier": "the base rate",
    "accuracy": "the most frequent class",
    "macro_f1": "the most frequent class",
    "mae": "the median",
    "mse": "the mean",
}


def first_release_checks(rules: GateRules, kind: ModelKind) -> tuple[CheckResult, ...]:
    """Says that this is one, and what decides instead of a comparison.

    Answers in words have no chance level to beat, so that nothing is known without a threshold on their quality.
    """
    said = CheckResult(
        id="first-release",
        title="first-release",
        status="pass",
        severity="block",
        message="no released version to compare with: margins and slices are measured but decide nothing; "
        "thresholds and facts decide",
    )
    if kind != "assistant" or measures_quality(rules):
        return (said,)
    unbounded = CheckResult(
        id="first-release:thresholds",
        title="first-release(thresholds)",
        status="inconclusive",
        severity="block",
        message="no threshold bounds the quality of the answers, and there is no chance level that they could be held "
        f"to; name one in the standard, such as {{metric: {rules.primary.metric}, at_least: …}}",
    )
    return said, unbounded


def chance_questions(
    rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows
) -> tuple[Question, ...]:
    """Better than the naive forecast that the rules name; else than chance.

    Chance is a random order, scores that tell nothing, or a constant answer, by the primary metric. It is asked
    beside the thresholds, which a constant answer may meet: everybody called positive has a recall of 1.

    Raises:
        DataError: the table lacks the answers to compare with.
    """
    metric = rules.primary.metric
    if rules.recipe.naive is not None:
        return (_better_than_naive(rules, kind, table, rows),)
    if kind == "assistant":
        return ()
    if kind == "ranking":
        return (_better_than_random_order(rules, kind, table, rows),)
    if kind == "classification" and metric not in _CONSTANT:
        return (_better_than_chance(metric, rows),)
    return (_better_than_constant(metric if metric in {"mae", *_CONSTANT} else "mse", kind, rows),)


def measured_only(
    rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows
) -> tuple[CheckResult, ...]:
    """The candidate's value of each comparison that will be made next time; claims nothing.

    Raises:
        DataError: a rule names a slice column that the table lacks, or the candidate lacks answers.
    """
    return tuple(
        _value(rule, value, measure(rule.metric, kind, part) if part.count else nothing("no such rows"))
        for rule in (rules.primary, *rules.slices)
        for value, part in parts(rule, table, rows, rules.recipe.data)
    )


def _value(rule: MarginRule, value: str | None, measured: Measurement) -> CheckResult:
    name, title = check_names(rule, value, prefix="measured")
    shown = "undefined" if measured.candidate is None else number(measured.candidate)
    why = f" ({measured.estimate.reason})" if isinstance(measured.estimate, Undecided) else ""
    return CheckResult(
        id=name,
        title=title,
        status="inconclusive",
        severity="warn",
        message=f"{shown}{why}; {measured.rows:,} {measured.unit if measured.unit != 'clusters' else 'rows'}; "
        "nothing to compare with yet",
        candidate=measured.candidate,
        rows=measured.rows,
    )


def _better_than_chance(metric: str, rows: Rows) -> Question:
    """AUC above one half: of the scores, or of the decisions, where it is the mean of both classes' recalls."""
    decides = metric in {"precision", "recall", "f1"} or rows.candidate.score is None
    answers = rows.candidate.decision if decides else rows.candidate.score
    ranked = Rows(
        truth=rows.truth,
        candidate=Predictions(score=answers, decision=rows.candidate.decision),
        baseline=None,
        clusters=rows.clusters,
    )
    return Question(
        id="first-release:chance",
        title=f"better-than-chance({'decisions' if decides else 'scores'})",
        measurement=measure("roc_auc", "classification", ranked),
        bound=0.5,
        want="above",
        inclusive=False,
        undecided="block",
        remark="AUC of the decisions, one half by chance"
        if decides
        else "AUC of the scores, one half by chance",
    )


def _better_than_naive(rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows) -> Question:
    return Question(
        id="first-release:naive",
        title=f"better-than-naive({rules.primary.metric})",
        measurement=_against_reference(rules, kind, table, rows),
        bound=0.0,
        want="above",
        inclusive=False,
        undecided="block",
        word="gain",
        remark=f"compared with the naive forecast in column {rules.recipe.naive}",
    )


def _better_than_random_order(
    rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows
) -> Question:
    return Question(
        id="first-release:chance",
        title=f"better-than-chance({rules.primary.metric})",
        measurement=_against_reference(rules, kind, table, rows),
        bound=0.0,
        want="above",
        inclusive=False,
        undecided="block",
        word="gain",
        remark="compared with what a random order of each list scores on average",
    )


def _against_reference(rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows) -> Measurement:
    if table.reference is None:
        raise DataError("the evaluation table came without the answers that a first release must beat")
    return compare(rules.primary.metric, kind, rows.against(table.reference))


def _better_than_constant(metric: str, kind: ModelKind, rows: Rows) -> Question:
    trivial = _constant(metric, rows.truth)
    answers = Predictions(score=trivial, decision=None if kind == "regression" else trivial)
    return Question(
        id="first-release:constant",
        title=f"better-than-constant({metric})",
        measurement=compare(metric, kind, rows.against(answers)),
        bound=0.0,
        want="above",
        inclusive=False,
        undecided="block",
        word="gain",
        remark=f"compared with always answering {_CONSTANT[metric]} of these rows",
    )


def _constant(metric: str, truth: FloatArray) -> FloatArray:
    if metric in {"accuracy", "macro_f1"}:
        counts = np.bincount(truth.astype(np.int64))
        answer = float(counts.size - 1 - np.argmax(counts[::-1]))  # of equally frequent ones the last
    elif metric == "mae":
        answer = float(np.median(truth))
    else:
        answer = float(np.mean(truth))
    return np.full_like(truth, answer)
