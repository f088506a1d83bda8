"""Absolute thresholds: the candidate's own confidence limit against a bound."""

from signoff.gate.latency import QUANTILES, measure_latency
from signoff.gate.measure import measure
from signoff.gate.question import Question
from signoff.gate.rows import ModelKind, Rows
from signoff.standard.model import GateRules, ThresholdRule


def threshold_questions(
    rules: GateRules, kind: ModelKind, rows: Rows, *, alpha: float
) -> tuple[Question, ...]:
    """One question per threshold.

    Raises:
        UsageError: a rule names a metric that the gate does not compute for this kind of model.
        DataError: the candidate lacks the answers that a metric needs.
    """
    return tuple(_question(rule, kind, rows, alpha) for rule in rules.thresholds)


def measures_quality(rules: GateRules) -> bool:
    """Whether a threshold bounds how good the answers are, not only how fast or how dear."""
    return any(rule.metric not in {*QUANTILES, "cost_per_request"} for rule in rules.thresholds)


def _question(rule: ThresholdRule, kind: ModelKind, rows: Rows, alpha: float) -> Question:
    if rule.metric in QUANTILES:
        measured = measure_latency(rule.metric, rows.candidate.latency_ms, alpha)
    else:
        measured = measure(rule.metric, kind, rows)
    above = rule.at_least is not None
    bound = rule.at_least if rule.at_least is not None else rule.at_most
    if bound is None:
        raise ValueError(f"threshold on {rule.metric} has no bound")
    return Question(
        id=f"threshold:{rule.metric}",
        title=f"threshold({rule.metric})",
        measurement=measured,
        bound=bound,
        want="above" if above else "below",
        inclusive=True,
        undecided="block",
    )
