"""The gate's decision: pure, from rules, rows, answers and facts to one verdict with its arithmetic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from signoff.errors import DataError, UsageError
from signoff.gate.arrays import FloatArray
from signoff.gate.first_release import chance_questions, first_release_checks, measured_only
from signoff.gate.model import CheckResult, EvaluationTable, GateContext, GateDecision, Predictions
from signoff.gate.question import answers, level
from signoff.gate.rows import ModelKind, Rows, checked_rows
from signoff.gate.slices import margin_questions
from signoff.gate.thresholds import threshold_questions
from signoff.gate.verdict import verdict_of
from signoff.standard.model import GateRules


def decide(
    *,
    rules: GateRules,
    model_kind: ModelKind,
    table: EvaluationTable,
    candidate: Predictions,
    baseline: Predictions | None,
    context: GateContext,
    facts: tuple[CheckResult, ...],
) -> GateDecision:
    """Judge a candidate on an evaluation table.

    Args:
        rules: what the standard asks.
        model_kind: what the models predict.
        table: the rows.
        candidate: the candidate's answers on them.
        baseline: the production model's answers on the same rows; None for a first release.
        context: what the decision binds to; its look is the n-th candidate on this table, from 1.
        facts: checks of the run's record, see `signoff.gate.facts`.

    Raises:
        DataError: labels, answers or columns cannot be used: empty, of another length, NaN, one class, or
            the same model answered twice differently.
        UsageError: the rules name a metric that the gate cannot compute for this kind of model, or call and
            context disagree.
    """
    _require_sense(rules, context, baseline)
    rows = checked_rows(
        kind=model_kind,
        table=table,
        candidate=candidate,
        baseline=baseline,
        source=rules.recipe.data,
        label=rules.recipe.label,
    )
    alpha = rules.alpha / rules.looks
    if context.look > rules.looks:
        measured: tuple[CheckResult, ...] = (_used_up(rules, context),)
    elif baseline is None:
        measured = _first_release(rules, model_kind, table, rows, alpha)
    else:
        measured = _against_baseline(
            rules, model_kind, table, rows, alpha, same_model=_same_model(context, rows)
        )
    checks = _named_once((*measured, *facts))
    return GateDecision(
        context=context,
        data=table.digest,
        rows=table.rows,
        case="first-release" if baseline is None else "against-baseline",
        verdict=verdict_of(checks),
        checks=checks,
        alpha=alpha,
        error_note=_error_note(rules, context, alpha),
    )


def _require_sense(rules: GateRules, context: GateContext, baseline: Predictions | None) -> None:
    if not 0.0 < rules.alpha < 0.5 or rules.looks < 1:
        raise UsageError(
            f"alpha {rules.alpha:g} with {rules.looks} looks is no error rate",
            hint="alpha lies between 0 and 0.5, looks is at least 1",
        )
    if context.look < 1:
        raise UsageError(f"look {context.look}: looks at a table are counted from 1")
    if (context.baseline is None) != (baseline is None):
        raise UsageError("a baseline needs both its name and its answers, a first release neither")


def _first_release(
    rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows, alpha: float
) -> tuple[CheckResult, ...]:
    questions = (
        *chance_questions(rules, kind, table, rows),
        *threshold_questions(rules, kind, rows, alpha=alpha),
    )
    return (
        *first_release_checks(rules, kind),
        *answers(questions, alpha),
        *measured_only(rules, kind, table, rows),
    )


def _against_baseline(
    rules: GateRules, kind: ModelKind, table: EvaluationTable, rows: Rows, alpha: float, *, same_model: bool
) -> tuple[CheckResult, ...]:
    questions = (
        *margin_questions(rules, kind, table, rows, same_model=same_model),
        *threshold_questions(rules, kind, rows, alpha=alpha),
    )
    return answers(questions, alpha)


def _same_model(context: GateContext, rows: Rows) -> bool:
    """Whether both are the same bytes; then they must answer alike.

    Raises:
        DataError: they do not.
    """
    if context.baseline is None or context.baseline.digest != context.candidate.digest:
        return False
    candidate, baseline = rows.candidate, rows.baseline
    pairs = (
        []
        if baseline is None
        else [
            (candidate.score, baseline.score),
            (candidate.decision, baseline.decision),
            *((values, baseline.values.get(name)) for name, values in candidate.values.items()),
        ]
    )
    for mine, theirs in pairs:
        if mine is not None and theirs is not None and not _alike(mine, theirs):
            raise DataError(
                "the same model answered the same rows differently, so no number about it would hold",
                where=context.candidate.name,
                hint="remove randomness from prediction: fix seeds, switch off dropout and sampling",
            )
    return True


def _alike(mine: FloatArray, theirs: FloatArray) -> bool:
    return bool(np.allclose(mine, theirs, rtol=1e-9, atol=1e-12, equal_nan=True))


def _used_up(rules: GateRules, context: GateContext) -> CheckResult:
    return CheckResult(
        id="budget:looks",
        title="budget(looks)",
        status="inconclusive",
        severity="block",
        message=f"look {context.look} of {rules.looks}: this evaluation table is used up and nothing was measured "
        "on it; candidates tried again and again would pass by luck. Evaluate on a new window",
    )


def _named_once(checks: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Two rules on one metric get ids of their own, because waivers name ids."""
    seen: Counter[str] = Counter()
    named = []
    for check in checks:
        seen[check.id] += 1
        named.append(check if seen[check.id] == 1 else replace(check, id=f"{check.id}#{seen[check.id]}"))
    return tuple(named)


def _error_note(rules: GateRules, context: GateContext, alpha: float) -> str:
    return (
        f"Look {context.look} of {rules.looks} at this table; each look is held to a one-sided error of {alpha:.3g} "
        f"({rules.alpha:g} / {rules.looks}). "
        f"A pass is wrong in at most {100 * alpha:.3g} % of cases: every blocking comparison had to pass on its own "
        "(intersection-union test). "
        f"A fail is wrong in at most {100 * alpha:.3g} % of cases over all comparisons together (Holm). "
        f"Intervals are two-sided at {level(alpha)}."
    )
