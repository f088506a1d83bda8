"""Rules, tables and answers that the gate's tests share."""

import numpy as np

from signoff.gate.arrays import FloatArray, IntArray, StrArray
from signoff.gate.decide import decide
from signoff.gate.model import CheckResult, EvaluationTable, GateContext, GateDecision, ModelRef, Predictions
from signoff.gate.rows import ModelKind, Rows
from signoff.record.digest import Digest
from signoff.standard.metrics import METRICS
from signoff.standard.model import EvaluationRecipe, GateRules, MarginRule, Mode, Severity, ThresholdRule


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def margin(
    metric: str,
    mode: Mode,
    by_how_much: float,
    *,
    by: str | None = None,
    only: tuple[str, ...] = (),
    inconclusive: Severity = "block",
) -> MarginRule:
    return MarginRule(
        metric=metric, mode=mode, margin=by_how_much, by=by, only=only, inconclusive=inconclusive
    )


def at_least(metric: str, bound: float) -> ThresholdRule:
    return ThresholdRule(metric=metric, at_least=bound, at_most=None)


def at_most(metric: str, bound: float) -> ThresholdRule:
    return ThresholdRule(metric=metric, at_least=None, at_most=bound)


def gate_rules(
    primary: MarginRule,
    *slices: MarginRule,
    thresholds: tuple[ThresholdRule, ...] = (),
    alpha: float = 0.05,
    looks: int = 1,
) -> GateRules:
    recipe = EvaluationRecipe(
        data="eval/week.parquet",
        label="churned",
        positive=None,
        row_key=None,
        cluster=None,
        score=None,
        threshold=0.5,
    )
    return GateRules(
        task=METRICS[primary.metric].tasks[0] if primary.metric in METRICS else "classification",
        recipe=recipe,
        primary=primary,
        slices=slices,
        thresholds=thresholds,
        alpha=alpha,
        looks=looks,
        documented_data=True,
        reproducible=True,
        pickle="refused",
    )


def gate_context(*, baseline: str | None = "baseline", look: int = 1, run: str = "run-1") -> GateContext:
    released = None if baseline is None else ModelRef(digest=digest(baseline), name="churn/3", run_id=None)
    return GateContext(
        use_case="churn",
        candidate=ModelRef(digest=digest("candidate"), name="m-1", run_id=run),
        baseline=released,
        rules=digest("rules"),
        standard_version="4",
        standard=digest("standard"),
        look=look,
    )


def gate_table(truth: FloatArray, *, clusters: IntArray | None = None, **slices: StrArray) -> EvaluationTable:
    return EvaluationTable(digest=digest("table"), truth=truth, slices=slices, clusters=clusters)


def scored(score: FloatArray, *, threshold: float = 0.5, latency_ms: FloatArray | None = None) -> Predictions:
    return Predictions(score=score, decision=(score >= threshold).astype(np.float64), latency_ms=latency_ms)


def valued(score: FloatArray) -> Predictions:
    return Predictions(score=score, decision=None)


def paired_rows(
    truth: FloatArray, candidate: FloatArray, baseline: FloatArray, clusters: IntArray | None = None
) -> Rows:
    return Rows(truth=truth, candidate=scored(candidate), baseline=scored(baseline), clusters=clusters)


def judged(
    rules: GateRules,
    table: EvaluationTable,
    candidate: Predictions,
    baseline: Predictions | None,
    *,
    context: GateContext | None = None,
    facts: tuple[CheckResult, ...] = (),
    kind: ModelKind = "classification",
) -> GateDecision:
    own = gate_context() if baseline is not None else gate_context(baseline=None)
    return decide(
        rules=rules,
        model_kind=kind,
        table=table,
        candidate=candidate,
        baseline=baseline,
        context=context or own,
        facts=facts,
    )


def check(decision: GateDecision, name: str) -> CheckResult:
    return next(result for result in decision.checks if result.id == name)


def binormal(
    random: np.random.Generator, rows: int, *, prevalence: float = 0.4, separation: float = 1.5
) -> tuple[FloatArray, FloatArray]:
    """Truth and a score between 0 and 1 with AUC Φ(separation / √2)."""
    truth = (random.random(rows) < prevalence).astype(np.float64)
    return truth, sigmoid(random.normal(size=rows) + separation * (truth - 0.5))


def sigmoid(score: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-score)), dtype=np.float64)


def noisy(random: np.random.Generator, score: FloatArray, spread: float) -> FloatArray:
    """The score with its log odds disturbed: the more, the worse a model."""
    odds = np.log(score / (1.0 - score))
    return sigmoid(odds + spread * random.normal(size=score.size))
