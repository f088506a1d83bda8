"""Metrics of which each list or question has one value: their mean over those to which the metric applies."""

from dataclasses import dataclass

import numpy as np

from signoff.gate.arrays import FloatArray
from signoff.gate.estimate import Estimate, FewDifferences, Measurement, Undecided
from signoff.gate.influence import Influence
from signoff.gate.interval import interval, largest_share
from signoff.gate.proportions import BoundedMean, PairedProportions, Proportion
from signoff.gate.rows import Rows, answers_for
from signoff.standard.metrics import Metric


def measure_values(metric: Metric, rows: Rows) -> Measurement:
    """The candidate's mean with limits.

    Raises:
        DataError: the candidate gives no values of the metric.
    """
    values = answers_for(metric, rows.candidate, "candidate")
    part = _applying(metric, rows, ~np.isnan(values))
    values = values[part.mask]
    if values.size == 0:
        return part.measurement(Undecided(reason=f"{metric.name} applies to none of the {rows.unit}"))
    return part.measurement(_alone(metric, values, part.rows), candidate=float(np.mean(values)))


def compare_values(metric: Metric, rows: Rows) -> Measurement:
    """Candidate minus baseline over the lists or questions to which the metric applies for both.

    Raises:
        DataError: a model gives no values of the metric.
        ValueError: the rows carry no baseline.
    """
    if rows.baseline is None:
        raise ValueError("a comparison needs a baseline")
    mine = answers_for(metric, rows.candidate, "candidate")
    theirs = answers_for(metric, rows.baseline, "baseline")
    part = _applying(metric, rows, ~(np.isnan(mine) | np.isnan(theirs)))
    mine, theirs = mine[part.mask], theirs[part.mask]
    if mine.size == 0:
        return part.measurement(Undecided(reason=f"{metric.name} applies to none of the {rows.unit}"))
    sign = 1.0 if metric.higher_is_better else -1.0
    candidate, baseline = float(np.mean(mine)), float(np.mean(theirs))
    return part.measurement(
        _paired(metric, sign * (mine - theirs), part.rows),
        candidate=candidate,
        baseline=baseline,
        difference=sign * (candidate - baseline),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """The rows to which a metric applies.

    Attributes:
        metric: the metric.
        mask: shape (all rows,): where it applies.
        rows: those rows.
        left_out: how many are not among them.
    """

    metric: Metric
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    rows: Rows
    left_out: int

    def measurement(
        self,
        estimate: Estimate | Undecided,
        *,
        candidate: float | None = None,
        baseline: float | None = None,
        difference: float | None = None,
    ) -> Measurement:
        rows, units, unit, notes = self.rows, self.rows.count, self.rows.unit, []
        if self.left_out:
            notes.append(f"{self.left_out:,} {unit} left out, to which {self.metric.name} does not apply")
        if rows.clusters is not None and rows.count:
            share = largest_share(rows.clusters)
            units = int(np.unique(rows.clusters).size)
            notes.append(f"{units} clusters, the largest has {100 * share:.0f} % of the {unit}")
            unit = "clusters"
        most = 1.0 if self.metric.unit_range else float("inf")
        return Measurement(
            candidate=candidate,
            baseline=baseline,
            difference=difference,
            estimate=estimate,
            rows=rows.count,
            units=units,
            unit=unit,
            span=(0.0 if difference is None else -most, most),
            note="; ".join(notes),
        )


def _applying(metric: Metric, rows: Rows, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> _Part:
    return _Part(metric=metric, mask=mask, rows=rows.where(mask), left_out=int(np.sum(~mask)))


def _alone(metric: Metric, values: FloatArray, rows: Rows) -> Estimate | Undecided:
    bound: Estimate | None = None
    if metric.unit_range and rows.clusters is None:
        if _of_yes_and_no(values):
            return Proportion(successes=int(np.sum(values)), trials=values.size)
        bound = BoundedMean(value=float(np.mean(values)), count=values.size, least=0.0, most=1.0)
    return _mean(metric, values, rows, center=float(np.mean(values)), bound=bound)


def _paired(metric: Metric, differences: FloatArray, rows: Rows) -> Estimate | Undecided:
    bound: Estimate | None = None
    if metric.unit_range and rows.clusters is None:
        if _of_yes_and_no(np.abs(differences)):
            return PairedProportions(
                gains=int(np.sum(differences > 0.0)),
                losses=int(np.sum(differences < 0.0)),
                pairs=differences.size,
            )
        bound = _bound_paired(differences)
    return _mean(metric, differences, rows, center=0.0, bound=bound)


def _bound_paired(differences: FloatArray) -> Estimate:
    """Few differences are bounded by their number, many by how far they reach."""
    mean, count, differing = float(np.mean(differences)), differences.size, int(np.sum(differences != 0.0))
    if differing**2 > count:
        return BoundedMean(value=mean, count=count, least=-1.0, most=1.0)
    return FewDifferences(
        value=mean, center=0.0, differing=differing, effect=1.0 / count, method="few differences"
    )


def _mean(
    metric: Metric, values: FloatArray, rows: Rows, *, center: float, bound: Estimate | None
) -> Estimate | Undecided:
    """A t interval; where values lie between 0 and 1 few of them may decide, which then counts."""
    mean = float(np.mean(values))
    most = 1.0 if metric.unit_range else max(float(np.max(np.abs(values))), _TINY)
    return interval(
        Influence(value=mean, parts=(values - mean) / values.size, effect=most / values.size),
        center=center,
        strata=None,
        clusters=rows.clusters,
        skewed=metric.unit_range,
        fallback=bound,
        method="paired t" if center == 0.0 and rows.baseline is not None else "t",
        unit=rows.unit,
    )


def _of_yes_and_no(values: FloatArray) -> bool:
    return bool(np.all((values == 0.0) | (values == 1.0)))


_TINY = 1e-300  # keeps the effect above 0 when every value is 0
