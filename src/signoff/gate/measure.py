"""One metric on some rows, with limits: of the candidate alone, or of candidate against baseline."""

import math

import numpy as np

from signoff.gate.arrays import FloatArray
from signoff.gate.estimate import (
    Estimate,
    FewDifferences,
    Logit,
    Measurement,
    SquareRoot,
    StudentT,
    Undecided,
)
from signoff.gate.influence import INFLUENCES, Influence, macro_f1_influence
from signoff.gate.interval import MIN_UNITS, interval, largest_share
from signoff.gate.proportions import PairedProportions, Proportion
from signoff.gate.rows import ModelKind, Rows, answers_for, metric_named
from signoff.gate.values import compare_values, measure_values
from signoff.standard.metrics import METRICS

_SKEWED = frozenset({"roc_auc", "average_precision", "accuracy", "recall", "precision", "f1", "macro_f1"})
_ROBUST_FROM = 100  # rows of the rarer class from which AUC intervals were measured to cover ≥ 93 %


def measure(name: str, kind: ModelKind, rows: Rows) -> Measurement:
    """The candidate's metric with limits.

    Raises:
        UsageError: the gate does not compute the metric for this kind of model.
        DataError: the candidate lacks the answers that it needs.
    """
    metric = metric_named(name, kind, paired=False)
    if metric.kind == "value":
        return measure_values(metric, rows)
    rows = _that_count(name, rows)
    answers = answers_for(metric, rows.candidate, "candidate")
    influence = _influence(name, rows, answers)
    value = None if isinstance(influence, Undecided) else _shown(name, influence.value)
    estimate = influence if isinstance(influence, Undecided) else _alone(name, rows, answers, influence)
    return _measurement(name, rows, candidate=value, baseline=None, difference=None, estimate=estimate)


def compare(name: str, kind: ModelKind, rows: Rows) -> Measurement:
    """Candidate minus baseline on the same rows, signed so that more is better, with limits.

    Raises:
        UsageError: the gate has no interval for a difference of this metric.
        DataError: a model lacks the answers that it needs.
        ValueError: the rows carry no baseline.
    """
    metric = metric_named(name, kind, paired=True)
    if metric.kind == "value":
        return compare_values(metric, rows)
    rows = _that_count(name, rows)
    if rows.baseline is None:
        raise ValueError("compare needs a baseline")
    answers = answers_for(metric, rows.candidate, "candidate")
    others = answers_for(metric, rows.baseline, "baseline")
    mine, theirs = _influence(name, rows, answers), _influence(name, rows, others)
    if isinstance(mine, Undecided) or isinstance(theirs, Undecided):
        return _measurement(
            name,
            rows,
            candidate=None if isinstance(mine, Undecided) else _shown(name, mine.value),
            baseline=None if isinstance(theirs, Undecided) else _shown(name, theirs.value),
            difference=None,
            estimate=_reason(mine, theirs),
        )
    candidate, baseline = _shown(name, mine.value), _shown(name, theirs.value)
    sign = 1.0 if metric.higher_is_better else -1.0
    difference = Influence(
        value=sign * (candidate - baseline),
        parts=sign * (mine.parts - theirs.parts),
        effect=max(mine.effect, theirs.effect),
    )
    if name == "rmse" and candidate + baseline > 0.0:
        difference = _in_root_units(difference, candidate + baseline)
    return _measurement(
        name,
        rows,
        candidate=candidate,
        baseline=baseline,
        difference=difference.value,
        estimate=_paired(name, rows, answers, others, difference),
    )


def _that_count(name: str, rows: Rows) -> Rows:
    return rows.where(rows.truth == 1.0) if name == "recall" else rows


def _influence(name: str, rows: Rows, answers: FloatArray) -> Influence | Undecided:
    if name == "recall" and rows.count == 0:
        return Undecided(reason="no positive row: recall is undefined")
    if name == "macro_f1":
        return macro_f1_influence(rows.truth, answers, rows.classes)
    return INFLUENCES[name](rows.truth, answers)


def _shown(name: str, value: float) -> float:
    return float(value**0.5) if name == "rmse" else value


def _reason(mine: Influence | Undecided, theirs: Influence | Undecided) -> Undecided:
    if isinstance(mine, Undecided):
        return mine
    if isinstance(theirs, Undecided):
        return Undecided(reason=f"{theirs.reason} (baseline)")
    raise AssertionError("both are defined")


def _in_root_units(difference: Influence, roots: float) -> Influence:
    """Exact: √a - √b = (a - b) / (√a + √b). The test stays one of squared errors, whose tails it bears."""
    return Influence(value=difference.value, parts=difference.parts / roots, effect=difference.effect / roots)


def _alone(name: str, rows: Rows, answers: FloatArray, influence: Influence) -> Estimate | Undecided:
    truth = rows.truth
    if rows.clusters is None:
        if name in {"accuracy", "recall"}:
            return Proportion(successes=int(np.sum(answers == truth)), trials=rows.count)
        if name == "precision":
            return Proportion(successes=int(np.sum(truth * answers)), trials=int(np.sum(answers)))
    if (few := _too_few(name, rows)) is not None:
        return few
    estimate = interval(
        influence,
        center=influence.value,
        strata=truth if name == "roc_auc" else None,
        clusters=rows.clusters,
        skewed=name in _SKEWED,
        fallback=None if rows.clusters is not None else _bound_alone(name, rows, answers, influence),
        method="DeLong t" if name == "roc_auc" else "t of row influences",
    )
    if name == "roc_auc" and rows.clusters is None and isinstance(estimate, FewDifferences):
        return _auc_bound(truth, influence.value)
    if name == "average_precision" and isinstance(estimate, StudentT):
        return Logit(share=estimate)
    return SquareRoot(square=estimate) if name == "rmse" and not isinstance(estimate, Undecided) else estimate


def _bound_alone(name: str, rows: Rows, answers: FloatArray, influence: Influence) -> Estimate | None:
    if name == "roc_auc":
        return _auc_bound(rows.truth, influence.value)
    if name in {"f1", "macro_f1"}:
        wrong = int(np.sum(answers != rows.truth))
        return FewDifferences(
            value=influence.value, center=1.0, differing=wrong, effect=influence.effect, method="few errors"
        )
    return None


def _auc_bound(truth: FloatArray, value: float) -> Proportion:
    """Whatever the score's law, var(AUC) ≤ AUC (1 - AUC) / min(P, N) (Birnbaum and Klose 1957)."""
    rarer = _rarer(truth)
    return Proportion(successes=value * rarer, trials=rarer, method="bound by the rarer class")


def _paired(
    name: str, rows: Rows, answers: FloatArray, others: FloatArray, difference: Influence
) -> Estimate | Undecided:
    truth = rows.truth
    if rows.clusters is None and name in {"accuracy", "recall"}:
        right, other_right = answers == truth, others == truth
        return PairedProportions(
            gains=int(np.sum(right & ~other_right)),
            losses=int(np.sum(other_right & ~right)),
            pairs=rows.count,
        )
    if (few := _too_few(name, rows)) is not None:
        return few
    bound = FewDifferences(
        value=difference.value,
        center=0.0,
        differing=int(np.sum(answers != others)),
        effect=difference.effect,
        method="few differences",
    )
    return interval(
        difference,
        center=0.0,
        strata=truth if name == "roc_auc" else None,
        clusters=rows.clusters,
        skewed=name in _SKEWED,
        fallback=bound if name in {"precision", "f1", "macro_f1"} and rows.clusters is None else None,
        method={"roc_auc": "DeLong, paired t", "rmse": "paired t of squared errors"}.get(name, "paired t"),
    )


def _rarer(truth: FloatArray) -> int:
    positives = int(np.sum(truth == 1.0))
    return min(positives, truth.size - positives)


def _too_few(name: str, rows: Rows) -> Undecided | None:
    """A mean over classes is as sure as its rarest class.

    Simulated for macro-F1 with harm in the rarest class alone: at a nominal 5 % false passes are 11-45 % with 3
    to 10 rows of it, at most 8 % with 20 or 40.
    """
    if name in {"roc_auc", "average_precision"}:
        count, which = _rarer(rows.truth), "the rarer class"
    elif name == "macro_f1":
        counts = np.bincount(rows.truth.astype(np.int64))
        rarest = int(np.argmin(counts))
        count, which = int(counts[rarest]), f"class {rows.classes[rarest] if rows.classes else rarest}"
    else:
        return None
    if count >= MIN_UNITS:
        return None
    return Undecided(reason=f"only {count} rows of {which}, at least {MIN_UNITS} are needed")


def _span(name: str, *, paired: bool) -> tuple[float, float]:
    if METRICS[name].unit_range:
        return (-1.0 if paired else 0.0), 1.0
    return (-math.inf, math.inf) if paired or name == "r2" else (0.0, math.inf)


def _measurement(
    name: str,
    rows: Rows,
    *,
    candidate: float | None,
    baseline: float | None,
    difference: float | None,
    estimate: Estimate | Undecided,
) -> Measurement:
    unit = "positive rows" if name == "recall" else "rows"
    units, note = rows.count, ""
    if name == "roc_auc" and _rarer(rows.truth) < _ROBUST_FROM:
        note = f"only {_rarer(rows.truth)} rows of the rarer class: the interval is approximate"
    if rows.clusters is not None and rows.count:
        units, unit = int(np.unique(rows.clusters).size), "clusters"
        note = f"{units} clusters, the largest has {100 * largest_share(rows.clusters):.0f} % of the rows"
    return Measurement(
        candidate=candidate,
        baseline=baseline,
        difference=difference,
        estimate=estimate,
        rows=rows.count,
        units=units,
        unit=unit,
        span=_span(name, paired=difference is not None),
        note=note,
    )
