"""Is what a monitor measured in bounds? Pure: from measurements with their limits to an answer with its arithmetic.

Out of bounds: the one-sided confidence limit lies beyond the bound, so chance is an unlikely excuse.
In bounds: the estimate keeps to the bound. Undecided: the estimate lies beyond it, but chance may be why;
or there are too few rows, or nothing to measure. Each measurement is held to the error rate of the gate; a monitor
that looks every week is wrong that often per week when the truth lies exactly on its bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from signoff.gate.arrays import FloatArray
from signoff.gate.estimate import Estimate, Measurement, Undecided
from signoff.gate.latency import measure_latency
from signoff.gate.proportions import Proportion
from signoff.gate.question import holm, level, number
from signoff.rollout.assessment import Assessment, Standing
from signoff.standard.deployment import MonitorRules


def bound_of(rules: MonitorRules) -> tuple[float, Literal["at most", "at least"]]:
    """A monitor's bound and its side.

    Raises:
        ValueError: the rules name none.
    """
    if rules.at_most is not None:
        return rules.at_most, "at most"
    if rules.at_least is None:
        raise ValueError(f"monitor {rules.name} has no bound")
    return rules.at_least, "at least"


def assess_measurement(rules: MonitorRules, measured: Measurement, *, what: str, alpha: float) -> Assessment:
    """Hold a measurement of the gate against a monitor's bound.

    Args:
        rules: the monitor.
        measured: with its estimate.
        what: what was measured, for people, such as ``roc_auc``.
        alpha: one-sided error rate.
    """
    if isinstance(measured.estimate, Undecided) or measured.candidate is None:
        why = measured.estimate.reason if isinstance(measured.estimate, Undecided) else "it is undefined"
        return Assessment.undecided(f"{what}: {why}", rows=measured.rows)
    bound, side = bound_of(rules)
    value, estimate = measured.candidate, measured.estimate
    beyond = estimate.p_above(bound) < alpha if side == "at most" else estimate.p_below(bound) < alpha
    keeps = value <= bound if side == "at most" else value >= bound
    limits = measured.limits(alpha)
    interval = "" if limits is None else f" [{number(limits[0])}, {number(limits[1])}] at {level(alpha)}"
    told = f"{what} {number(value)}{interval} on {measured.rows:,} {measured.unit}; wanted {side} {number(bound)}"
    if not beyond and not keeps:
        told += "; beyond the bound, though chance may be why"
    return Assessment(
        standing="out of bounds" if beyond else "in bounds" if keeps else "undecided",
        value=value,
        message=f"{told}; {measured.note}" if measured.note else told,
        rows=measured.rows,
    )


def assess_latency(rules: MonitorRules, times_ms: FloatArray, *, alpha: float) -> Assessment:
    """Hold the 95th percentile of requests' times, in milliseconds, against a monitor's bound."""
    if times_ms.size < rules.rows:
        return _too_few(rules, int(times_ms.size), "requests")
    measured = measure_latency("latency_p95_ms", times_ms, alpha)
    return assess_measurement(rules, measured, what="latency p95", alpha=alpha)


def assess_errors(rules: MonitorRules, *, errors: int, requests: int, alpha: float) -> Assessment:
    """Hold the share of failed requests against a monitor's bound, by exact binomial limits."""
    if requests < rules.rows:
        return _too_few(rules, requests, "requests")
    found = assess_measurement(
        rules, _share(errors, requests, "requests"), what="share of failed requests", alpha=alpha
    )
    return (
        found if found.value is None else _told(found, f"{found.message}; {errors:,} of {requests:,} failed")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnQuality:
    """How many values of a column cannot be used.

    Attributes:
        missing: values that are not there although the column needs them.
        unfit: values that do not fit the type of the signature, or are infinite.
        unseen: categories that the data of the approval does not have.
        rows: values in all.
    """

    missing: int
    unfit: int
    unseen: int
    rows: int

    @property
    def bad(self) -> int:
        """All of them; a value is counted once."""
        return self.missing + self.unfit + self.unseen


def assess_quality(
    rules: MonitorRules, columns: Mapping[str, ColumnQuality], *, alpha: float, remark: str = ""
) -> Assessment:
    """Hold the share of unusable values of each column against a monitor's bound.

    Exact binomial limits, Holm-corrected over the columns.

    Args:
        rules: the monitor.
        columns: per watched column what was counted.
        alpha: chance of a false alarm over all columns.
        remark: what was not compared; "" for nothing.
    """
    if not columns:
        return Assessment.undecided("no column is watched")
    rows = max(column.rows for column in columns.values())
    if rows < rules.rows:
        return _too_few(rules, rows, "rows")
    bound, _ = bound_of(rules)
    shares: dict[str, Estimate] = {
        name: Proportion(successes=column.bad, trials=column.rows) for name, column in columns.items()
    }
    beyond = dict(zip(shares, holm([share.p_above(bound) for share in shares.values()], alpha), strict=True))
    out = [name for name, fails in beyond.items() if fails]
    unclear = [name for name, share in shares.items() if share.value > bound and not beyond[name]]
    worst = max(shares, key=lambda name: (beyond[name], shares[name].value))
    told = f"{len(out)} of {len(shares)} columns beyond a share of {number(bound)}; most: {_counted(worst, columns[worst])}"
    if unclear and not out:
        told += f"; above it, though chance may be why: {', '.join(unclear)}"
    return Assessment(
        standing="out of bounds" if out else "undecided" if unclear else "in bounds",
        value=shares[worst].value,
        message=f"{told}; {remark}" if remark else told,
        rows=rows,
        detail=tuple(_counted(name, column) for name, column in columns.items() if column.bad),
    )


def _counted(name: str, column: ColumnQuality) -> str:
    parts = {
        "missing": column.missing,
        "that do not fit their type": column.unfit,
        "of a category not seen before": column.unseen,
    }
    found = ", ".join(f"{count:,} {words}" for words, count in parts.items() if count)
    return f"{name}: {found or 'none'} of {column.rows:,} values"


def assess_age(rules: MonitorRules, *, days: float, since: str) -> Assessment:
    """Hold the days since a release was last evaluated against a monitor's bound.

    Args:
        rules: the monitor.
        days: how long ago that was.
        since: when that was, for people.
    """
    bound, side = bound_of(rules)
    told = f"last evaluated {since}, {days:.1f} days ago; wanted {side} {number(bound)} days"
    standing: Standing = "out of bounds" if days > bound else "in bounds"
    return Assessment(standing=standing, value=days, message=told, rows=1)


def _too_few(rules: MonitorRules, rows: int, unit: str) -> Assessment:
    return Assessment.undecided(f"{rows:,} {unit}, at least {rules.rows:,} are needed", rows=rows)


def _share(successes: int, trials: int, unit: str) -> Measurement:
    estimate = Proportion(successes=successes, trials=trials)
    return Measurement(
        candidate=estimate.value,
        baseline=None,
        difference=None,
        estimate=estimate,
        rows=trials,
        units=trials,
        unit=unit,
        span=(0.0, 1.0),
    )


def _told(found: Assessment, message: str) -> Assessment:
    return Assessment(
        standing=found.standing, value=found.value, message=message, rows=found.rows, detail=found.detail
    )
