"""Each kind of monitor: in bounds, out of bounds, undecided, with its arithmetic."""

import numpy as np
import pytest

from signoff.gate.estimate import Measurement, StudentT, Undecided
from signoff.rollout.monitors import (
    ColumnQuality,
    assess_age,
    assess_errors,
    assess_latency,
    assess_measurement,
    assess_quality,
)
from signoff.standard.deployment import MonitorKind, MonitorRules


def monitor(
    kind: MonitorKind, *, at_most: float | None = None, at_least: float | None = None, rows: int = 100
) -> MonitorRules:
    return MonitorRules(
        name="m",
        kind=kind,
        table=None,
        labels=None,
        columns=(),
        metric=None,
        at_most=at_most,
        at_least=at_least,
        rows=rows,
        by=None,
        then="review",
    )


def measured(value: float, se: float, *, rows: int = 200) -> Measurement:
    return Measurement(
        candidate=value,
        baseline=None,
        difference=None,
        estimate=StudentT(value=value, se=se, df=1e6, method="t"),
        rows=rows,
        units=rows,
        unit="rows",
    )


@pytest.mark.parametrize(
    ("value", "standing"),
    [(0.75, "in bounds"), (0.70, "in bounds"), (0.69, "undecided"), (0.66, "out of bounds")],
)
def test_out_of_bounds_means_that_the_limit_lies_beyond(value: float, standing: str) -> None:
    found = assess_measurement(
        monitor("performance", at_least=0.7), measured(value, 0.02), what="roc_auc", alpha=0.05
    )
    assert found.standing == standing
    assert f"roc_auc {value:.4f}" in found.message
    assert "wanted at least 0.7000" in found.message


def test_a_bound_from_above_is_held_on_the_other_side() -> None:
    rules = monitor("performance", at_most=0.2)
    standings = [
        assess_measurement(rules, measured(value, 0.02), what="brier", alpha=0.05).standing
        for value in (0.19, 0.21, 0.24)
    ]
    assert standings == ["in bounds", "undecided", "out of bounds"]


def test_too_few_rows_or_no_interval_decide_nothing() -> None:
    rules = monitor("performance", at_least=0.7)
    few = assess_errors(monitor("errors", at_most=0.01), errors=99, requests=99, alpha=0.05)
    assert (few.standing, few.message) == ("undecided", "99 requests, at least 100 are needed")
    slow = assess_latency(monitor("latency", at_most=1.0), np.full(99, 500.0), alpha=0.05)
    assert slow.standing == "undecided"
    none = Measurement(
        candidate=0.1,
        baseline=None,
        difference=None,
        estimate=Undecided(reason="only 3 positives"),
        rows=200,
        units=200,
        unit="rows",
    )
    assert assess_measurement(rules, none, what="roc_auc", alpha=0.05).message == "roc_auc: only 3 positives"


@pytest.mark.parametrize(
    ("slow", "standing"), [(0.02, "in bounds"), (0.06, "undecided"), (0.15, "out of bounds")]
)
def test_latency_is_judged_by_its_95th_percentile(slow: float, standing: str) -> None:
    times = np.where(np.arange(400) < slow * 400, 500.0, 20.0)
    found = assess_latency(monitor("latency", at_most=100.0), times, alpha=0.05)
    assert found.standing == standing, found.message


@pytest.mark.parametrize(
    ("errors", "standing"), [(0, "in bounds"), (4, "in bounds"), (7, "undecided"), (12, "out of bounds")]
)
def test_the_share_of_failed_requests_is_judged_exactly(errors: int, standing: str) -> None:
    found = assess_errors(monitor("errors", at_most=0.01), errors=errors, requests=500, alpha=0.05)
    assert found.standing == standing
    assert f"{errors} of 500 failed" in found.message


def test_no_request_is_not_a_good_request() -> None:
    found = assess_errors(monitor("errors", at_most=0.01), errors=0, requests=0, alpha=0.05)
    assert found.standing == "undecided"


def quality(missing: int = 0, unfit: int = 0, unseen: int = 0) -> ColumnQuality:
    return ColumnQuality(missing=missing, unfit=unfit, unseen=unseen, rows=1000)


@pytest.mark.parametrize(
    ("column", "standing"),
    [
        (quality(), "in bounds"),
        (quality(missing=13), "undecided"),
        (quality(missing=40), "out of bounds"),
        (quality(unfit=40), "out of bounds"),
        (quality(unseen=40), "out of bounds"),
    ],
)
def test_the_worst_column_decides_on_quality(column: ColumnQuality, standing: str) -> None:
    found = assess_quality(
        monitor("data-quality", at_most=0.01), {"good": quality(), "x": column}, alpha=0.05
    )
    assert found.standing == standing, found.message


def test_quality_tells_what_is_wrong_with_which_column() -> None:
    found = assess_quality(
        monitor("data-quality", at_most=0.01),
        {"good": quality(), "x": quality(missing=40, unfit=2)},
        alpha=0.05,
    )
    assert found.detail == ("x: 40 missing, 2 that do not fit their type of 1,000 values",)


@pytest.mark.parametrize(("days", "standing"), [(29.9, "in bounds"), (30.1, "out of bounds")])
def test_an_old_evaluation_is_out_of_bounds(days: float, standing: str) -> None:
    found = assess_age(monitor("schedule", at_most=30), days=days, since="2026-11-01T00:00:00Z")
    assert found.standing == standing
