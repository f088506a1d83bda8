"""Environments on servers of their own, endpoints, canaries, loads and monitors in a standard."""

from collections.abc import Mapping

import pytest
from team_standards import faults_of, load

from signoff.standard.diff import diff_standards
from signoff.standard.model import Standard
from signoff.standard.render import render_resolved

CANARY = {"steps": [{"weight": 0.05, "requests": 200}, {"weight": 0.5, "requests": 500}], "error_rate": 0.02}
SERVING = {
    "timeout_ms": 300,
    "canary": CANARY,
    "load": {"connections": 8, "seconds": 5, "latency_p95_ms": 90, "requests_per_s": 40},
    "log": "serving/churn",
}
DRIFT = {"kind": "drift", "columns": ["recency"], "table": "week.parquet", "at_most": 0.2, "then": "review"}
LATE = {
    "kind": "performance",
    "table": "week.parquet",
    "metric": "recall",
    "at_least": 0.6,
    "then": "retrain",
}


def test_what_is_said_of_an_endpoint_arrives() -> None:
    serving = load(serving=SERVING).use_cases["churn"].serving
    assert serving is not None
    assert serving.to_json() == {
        "timeout_ms": 300,
        "fallback": "stable",
        "canary": {**CANARY, "alpha": 0.05, "deadline_s": 3600},
        "load": SERVING["load"],
    }
    assert serving.log == "serving/churn"


def test_monitors_arrive_in_order_with_what_was_left_out() -> None:
    rules = load(monitors={"late": LATE, "drift": DRIFT}, retrain="python train.py").use_cases["churn"]
    assert [monitor.name for monitor in rules.monitors] == ["late", "drift"]
    assert (rules.monitors[1].rows, rules.monitors[1].by, rules.monitors[1].labels) == (100, None, None)
    assert rules.retrain == "python train.py"


@pytest.mark.parametrize(
    ("use_case", "message"),
    [
        ({"serving": {"canary": {"steps": []}}}, "the list is empty"),
        (
            {
                "serving": {
                    "canary": {"steps": [{"weight": 0.5, "requests": 1}, {"weight": 0.5, "requests": 1}]}
                }
            },
            "step 2 has weight 0.5, the one before it 0.5",
        ),
        ({"serving": {"canary": {"steps": [{"weight": 1.5, "requests": 1}]}}}, "1.5 is above the limit of 1"),
        ({"monitors": {"m": {"kind": "latency", "at_most": 5, "then": "review"}}}, "inference log"),
        (
            {"monitors": {"m": {"kind": "drift", "at_most": 5, "then": "review"}}},
            "there is no table to watch",
        ),
        ({"monitors": {"m": {**DRIFT, "at_least": 1}}}, "exactly one of `at_most` or `at_least`"),
        (
            {"monitors": {"m": {**{k: v for k, v in DRIFT.items() if k != "at_most"}, "at_least": 0.1}}},
            "of drift, less is better",
        ),
        ({"monitors": {"m": {**DRIFT, "metric": "recall"}}}, "`metric` says nothing for drift"),
        (
            {"monitors": {"m": {**LATE, "metric": ...}}},
            "a performance monitor needs a `metric`",
        ),
        ({"monitors": {"m": LATE}}, "retraining needs a command"),
        (
            {"monitors": {"m": {**LATE, "labels": "late.parquet"}}, "retrain": "x"},
            "labels are joined by the row key",
        ),
        ({"monitors": {"m": {**LATE, "metric": "log_loss"}}, "retrain": "x"}, "of log_loss, less is better"),
        ({"environments": {"prod": {"server": "http://prod"}}}, "comes after no other environment"),
        (
            {"environments": {"prod": {"server": "http://prod", "after": "dev"}}},
            "has a server of its own and comes straight after dev",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_makes_no_sense_is_a_fault(use_case: Mapping[str, object], message: str) -> None:
    assert any(message in fault.message for fault in faults_of(**_without(use_case)))


def _without(use_case: Mapping[str, object]) -> dict[str, object]:
    monitors = use_case.get("monitors")
    if not isinstance(monitors, dict):
        return dict(use_case)
    kept = {name: {k: v for k, v in said.items() if v is not ...} for name, said in monitors.items()}
    return {**use_case, "monitors": kept}


@pytest.mark.parametrize(
    "environment",
    [
        {"server": "http://prod", "after": "test"},
        {"server": "http://prod", "direct": "allowed"},
        {"server": "http://prod", "after": "dev", "direct": "allowed"},
    ],
)
def test_a_server_of_its_own_needs_a_path_or_a_word(environment: Mapping[str, str]) -> None:
    prod = load(environments={"prod": environment}).use_cases["churn"].environments["prod"]
    assert prod.server == "http://prod"


def test_two_servers_may_use_the_same_alias() -> None:
    environments = {
        "prod": {"server": "http://prod", "after": "test", "alias": "champion"},
        "test": {"alias": "champion"},
    }
    assert load(environments=environments).use_cases["churn"].environments["test"].alias == "champion"


@pytest.mark.parametrize(
    ("profile", "asked"),
    [("small", (False, False, None)), ("mid", (True, True, None)), ("enterprise", (True, True, 90))],
)
def test_what_each_profile_asks_of_production(profile: str, asked: tuple[object, ...]) -> None:
    prod = load({"profile": profile}).use_cases["churn"].environments["prod"]
    assert (prod.monitoring, prod.load_test, prod.reevaluate_days) == asked


@pytest.mark.parametrize(
    ("profile", "environment", "message"),
    [
        ("mid", {"monitoring": False}, "prod needs a monitor"),
        ("mid", {"load_test": False}, "prod needs a load test"),
        ("enterprise", {"reevaluate_days": 120}, "re-evaluation every 90 days or sooner"),
    ],
)
def test_a_team_asks_for_no_less_than_its_profile(
    profile: str, environment: Mapping[str, object], message: str
) -> None:
    found = faults_of({"profile": profile}, environments={"prod": environment})
    assert [message in fault.message for fault in found] == [True]


def test_each_environment_says_who_asks_for_what() -> None:
    standard = load(
        {"profile": "mid"}, environments={"prod": {"approvals": {"reviewer": 3, "platform-owner": 1}}}
    )
    shown = render_resolved(standard, None, "text")
    prod = next(line for line in shown.splitlines() if line.strip().startswith("prod "))
    assert "3 x reviewer, 1 x platform-owner (signoff.yaml:" in prod
    assert "a monitor (profile mid)" in prod


def test_weaker_deployment_rules_void_approvals_and_leave_gate_decisions_alone() -> None:
    weaker = {**SERVING, "canary": {**CANARY, "error_rate": 0.2}}
    old, new = (load(serving=said).use_cases["churn"] for said in (SERVING, weaker))
    assert old.digest == new.digest
    assert old.environment_digest("prod") != new.environment_digest("prod")


def said(old: Standard, new: Standard) -> list[str]:
    (use_case,) = diff_standards(old, new).use_cases
    return [f"{change.effect}: {change.words}" for change in use_case.changes]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({}, {"serving": {"log": "l"}}, ["changed: new: time-out 1000 ms, fallback stable; log l"]),
        (
            {"serving": SERVING},
            {"serving": {**SERVING, "timeout_ms": 900}},
            ["looser: time-out 900 ms instead of 300 ms"],
        ),
        (
            {"serving": SERVING},
            {"serving": {k: v for k, v in SERVING.items() if k != "canary"}},
            ["looser: a new version takes over at once, without a canary"],
        ),
        (
            {"serving": SERVING},
            {"serving": {k: v for k, v in SERVING.items() if k != "load"}},
            ["looser: no load is stated any more"],
        ),
        (
            {},
            {"monitors": {"drift": DRIFT}},
            [
                "tighter: new, drift: drift of recency in week.parquet at most 0.2, from 100 rows on; then review"
            ],
        ),
        (
            {"monitors": {"drift": DRIFT}},
            {},
            [
                "looser: gone, drift: drift of recency in week.parquet at most 0.2, from 100 rows on; then review"
            ],
        ),
        ({}, {"retrain": "make"}, ["changed: retrained by make instead of nothing"]),
        ({}, {"environments": {"prod": {"monitoring": True}}}, ["tighter: prod needs a monitor"]),
        (
            {"environments": {"prod": {"reevaluate_days": 30}}},
            {"environments": {"prod": {"reevaluate_days": 90}}},
            ["looser: prod is re-evaluated every 90 days instead of every 30 days"],
        ),
        (
            {"environments": {"prod": {"after": "test"}}},
            {"environments": {"prod": {"after": "test", "server": "http://u:secret@prod"}}},
            ["changed: prod is on http://prod instead of the standard's store"],
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_change_of_the_deployment_in_words(
    old: Mapping[str, object], new: Mapping[str, object], words: list[str]
) -> None:
    assert said(load(**old), load(**new)) == words
