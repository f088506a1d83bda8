"""What the gate is given and what it answers.

Reading a stored decision must not cost the import of NumPy: arrays stand here in annotations only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from signoff.record.digest import Digest, Json
from signoff.standard.model import Severity

if TYPE_CHECKING:
    from signoff.gate.arrays import FloatArray, IntArray, StrArray

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationTable:
    """The rows that both models are judged on: one row per prediction, list to be ranked, or question.

    Attributes:
        digest: of the file's bytes, or of a Delta table's version and files.
        truth: shape (rows,), float64: the label; 1.0 and 0.0 for two classes, the class's place in ``classes``
            for many; 0.0 throughout where answers are judged by `Predictions.values`.
        slices: per slice column the row's value as text, shape (rows,) each.
        clusters: shape (rows,): which rows belong together, as integer codes; None when all are independent.
        classes: of many classes their names, those of the table and those that a model knows; else empty.
        reference: answers that know nothing of the models, which a first release must beat: a naive forecast,
            or a random order of each list; None: a constant answer.
    """

    digest: Digest
    truth: FloatArray
    slices: Mapping[str, StrArray]
    clusters: IntArray | None
    classes: tuple[str, ...] = ()
    reference: Predictions | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.truth.shape[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """One model's answers on the table, in its row order.

    Attributes:
        score: shape (rows,), float64: probability or score of the positive class, or the predicted value
            for regression; None when the model gives none.
        decision: shape (rows,), float64: the predicted class as 1.0 / 0.0 with the model's own threshold, or
            as the class's place among many; None for regression.
        latency_ms: shape (requests,): time of single-row predictions; None when not measured.
        values: per metric of kind ``value`` one value per list or question, shape (rows,) each; NaN where the
            metric does not apply, such as retrieval for a question that nothing answers.
    """

    score: FloatArray | None
    decision: FloatArray | None
    latency_ms: FloatArray | None = None
    values: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """One check's answer with its arithmetic.

    Attributes:
        id: stable, such as ``margin:roc_auc``, ``slice:value_band=top 20 %:recall``, ``threshold:precision``,
            ``documented:data``, ``reproducible:commit``.
        title: for people, such as ``margin(roc_auc)``.
        status: pass, fail or inconclusive.
        severity: ``block`` counts for the verdict, ``warn`` is only shown.
        message: the arithmetic in one line, without status and title.
        candidate: the metric on the candidate; None when the check measures nothing.
        baseline: the metric on the baseline; None without one.
        difference: candidate minus baseline, signed so that more is better.
        lower: one-sided lower confidence limit of ``difference``, or of the metric for thresholds.
        upper: the upper limit.
        wanted: the bound that the limit is held against.
        rows: rows that counted.
        method: name of the statistical method, such as ``DeLong paired t``; "" when none.
    """

    id: str
    title: str
    status: Verdict
    severity: Severity
    message: str
    candidate: float | None = None
    baseline: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    wanted: float | None = None
    rows: int | None = None
    method: str = ""

    def to_json(self) -> Json:
        """All fields; a float that is not finite becomes null."""
        return {
            "id": self.id,
            "title": self.title,
            "status": self.status,
            "severity": self.severity,
            "message": self.message,
            "candidate": _finite(self.candidate),
            "baseline": _finite(self.baseline),
            "difference": _finite(self.difference),
            "lower": _finite(self.lower),
            "upper": _finite(self.upper),
            "wanted": _finite(self.wanted),
            "rows": self.rows,
            "method": self.method,
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRef:
    """A model by the bytes of its files.

    Attributes:
        digest: folder digest of its files.
        name: for people: a logged model id or ``churn/3``.
        run_id: the run that logged it; None when unknown.
    """

    digest: Digest
    name: str
    run_id: str | None

    def to_json(self) -> Json:
        """All fields."""
        return {"digest": str(self.digest), "name": self.name, "run_id": self.run_id}


@dataclass(frozen=True, kw_only=True, slots=True)
class GateContext:
    """What a decision binds to, beside the measurements.

    Attributes:
        use_case: its name.
        candidate: the model judged.
        baseline: the production model; None for a first release.
        rules: digest of the resolved rules.
        standard_version: the team's version of the standard.
        standard: digest of the standard's file.
        look: this is the n-th different candidate judged on this table, from 1.
    """

    use_case: str
    candidate: ModelRef
    baseline: ModelRef | None
    rules: Digest
    standard_version: str
    standard: Digest
    look: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDecision:
    """The gate's verdict on one candidate.

    Attributes:
        context: what it binds to.
        data: digest of the evaluation table.
        rows: its rows.
        case: ``first-release`` when there was no baseline to compare with.
        verdict: pass only when every blocking check passes; fail when one fails; else inconclusive.
        checks: all checks in reading order; never empty.
        alpha: the one-sided error rate each verdict was held to.
        error_note: which error this controls, for the page.
    """

    context: GateContext
    data: Digest
    rows: int
    case: Literal["first-release", "against-baseline"]
    verdict: Verdict
    checks: tuple[CheckResult, ...]
    alpha: float
    error_note: str

    def to_json(self) -> Mapping[str, Json]:
        """The predicate of the gate-decision statement."""
        context = self.context
        return {
            "use_case": context.use_case,
            "candidate": context.candidate.to_json(),
            "baseline": None if context.baseline is None else context.baseline.to_json(),
            "rules": str(context.rules),
            "standard": {"version": context.standard_version, "digest": str(context.standard)},
            "look": context.look,
            "data": {"digest": str(self.data), "rows": self.rows},
            "case": self.case,
            "verdict": self.verdict,
            "alpha": self.alpha,
            "error_note": self.error_note,
            "checks": [check.to_json() for check in self.checks],
        }
