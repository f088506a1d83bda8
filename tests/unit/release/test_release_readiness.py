"""What a release needs around it: a monitor, a load test, a canary."""

from dataclasses import replace
from typing import Literal

import pytest
from release_changes import digest
from release_samples import (
    ANA,
    BEN,
    CLEO,
    PEOPLE,
    PROD,
    RULES,
    STRANGER,
    Desk,
    Key,
    approved_desk,
    candidate_of,
    gate_decision,
    released_desk,
)

from signoff.record.digest import Json
from signoff.release.canary import canary_of, canary_statement, rollout_statement
from signoff.release.load_test import load_test_statement
from signoff.release.promotion import Promotion, release_statement
from signoff.standard.deployment import CanaryRules, CanaryStep, LoadRules, MonitorRules, ServingRules

LOAD = LoadRules(connections=8, seconds=5, latency_p95_ms=90.0, requests_per_s=40.0)
PLAN = CanaryRules(
    steps=(CanaryStep(weight=0.1, requests=50), CanaryStep(weight=0.5, requests=100)),
    error_rate=0.01,
    alpha=0.05,
    deadline_s=60,
)
ENDPOINT = ServingRules(timeout_ms=100, fallback="stable", canary=None, load=LOAD, log=None)
MONITOR = MonitorRules(
    name="drift",
    kind="drift",
    table="week.parquet",
    labels=None,
    columns=(),
    metric=None,
    at_most=0.2,
    at_least=None,
    rows=100,
    by=None,
    then="review",
)


def codes(promotion: Promotion) -> list[str]:
    return [reason.code for reason in promotion.decision.reasons]


def desk_of(desk: Desk, *, serving: ServingRules | None) -> Desk:
    desk.rules = replace(desk.rules, serving=serving)
    return desk


def test_an_environment_that_asks_for_a_monitor_needs_one() -> None:
    asking = replace(PROD, monitoring=True)
    assert codes(approved_desk(asking).decide()) == ["monitoring-missing"]
    desk = Desk(
        rules=replace(RULES, environments={**RULES.environments, "prod": asking}, monitors=(MONITOR,))
    )
    desk.gate()
    desk.propose()
    desk.approve()
    assert desk.decide().decision.allowed


def measured(
    desk: Desk, *, passed: bool = True, model: str = "model 1", load: LoadRules = LOAD, key: Key = CLEO
) -> Desk:
    statement = load_test_statement(
        desk.rules,
        load,
        version=1,
        model=digest(model),
        passed=passed,
        figures={"p95_ms": 120.0},
        messages=("p95 120 ms; wanted at most 90 ms",),
        actor=key.email,
        at=desk.at,
    )
    desk.say("load test", statement, key)
    return desk


def endpoint(serving: ServingRules = ENDPOINT) -> Desk:
    """An approved version behind an endpoint, in an environment that asks for a load test."""
    asking = {**RULES.environments, "prod": replace(PROD, load_test=True)}
    desk = Desk(rules=replace(RULES, environments=asking, serving=serving))
    desk.gate()
    desk.propose()
    desk.approve()
    return desk


@pytest.mark.parametrize(
    ("desk", "expected"),
    [
        (endpoint(), ["load-test-missing"]),
        (endpoint(replace(ENDPOINT, load=None)), ["load-unstated"]),
        (measured(endpoint()), []),
        (measured(endpoint(), passed=False), ["load-test-failed"]),
        (measured(measured(endpoint()), passed=False), ["load-test-failed"]),
        (measured(measured(endpoint(), passed=False)), []),
        (measured(endpoint(), model="other bytes"), ["load-test-missing"]),
        (measured(endpoint(), load=replace(LOAD, connections=1)), ["load-test-missing"]),
        (measured(endpoint(), key=STRANGER), ["load-test-missing"]),
    ],
)
def test_an_endpoint_bears_its_load_before_it_is_released(desk: Desk, expected: list[str]) -> None:
    assert codes(desk.decide()) == expected


def test_a_batch_model_needs_no_load_test() -> None:
    assert approved_desk(replace(PROD, load_test=True)).decide().decision.allowed


# --- the canary

WITH_CANARY = ServingRules(timeout_ms=100, fallback="stable", canary=PLAN, load=None, log=None)


def second_version() -> Desk:
    """Version 1 released; version 2 approved, and the standard asks for a canary."""
    desk = desk_of(released_desk(), serving=WITH_CANARY)
    desk.gate(decision=gate_decision("model 2", baseline="model 1"))
    desk.propose(2, "model 2")
    desk.approve(version=2, model="model 2")
    return desk


def tried(desk: Desk, *, plan: CanaryRules = PLAN) -> Desk:
    """Version 2 in its canary, as `promote --canary` writes it."""
    promotion = desk.decide(2, "model 2")
    stable = desk.history.release("prod")
    assert codes(promotion) == ["canary-incomplete"]
    assert stable is not None
    assert promotion.binding is not None
    assert promotion.approvals is not None
    release = release_statement(
        desk.rules,
        desk.rules.environments["prod"],
        candidate=candidate_of(2, "model 2"),
        binding=promotion.binding,
        approvals=promotion.approvals,
        waivers=desk.waivers("model 2"),
        actor=CLEO.email,
        previous=stable,
        log=desk.head,
        at=desk.at,
    )
    desk.say("canary", canary_statement(release, plan=plan, stable=stable), CLEO)
    return desk


def stepped(desk: Desk, *verdicts: Literal["advance", "complete", "abort"], key: Key | None = CLEO) -> Desk:
    """Rollout statements with these verdicts, one after another."""
    counts: Json = {
        "weight": 0.1,
        "canary": {"requests": 50, "errors": 0},
        "stable": {"requests": 450, "errors": 0},
    }
    for verdict in verdicts:
        canary = canary_of(desk.history, "prod", people=PEOPLE)
        assert canary is not None
        statement = rollout_statement(
            canary,
            use_case="churn",
            environment="prod",
            verdict=verdict,
            message="50 requests, 0 errors",
            steps=[counts],
            evalues={},
            actor="" if key is None else key.email,
            log=desk.head,
            at=desk.at,
        )
        desk.say(f"rollout {verdict}", statement, *(() if key is None else (key,)))
    return desk


@pytest.mark.parametrize(
    ("desk", "expected"),
    [
        (second_version(), ["canary-incomplete"]),
        (tried(second_version()), ["canary-incomplete"]),
        (stepped(tried(second_version()), "advance"), ["canary-incomplete"]),
        (stepped(tried(second_version()), "advance", "complete"), []),
        (stepped(tried(second_version()), "complete"), ["canary-incomplete"]),
        (stepped(tried(second_version()), "advance", "complete", key=None), ["canary-incomplete"]),
        (stepped(tried(second_version()), "advance", "complete", key=STRANGER), ["canary-incomplete"]),
        (stepped(tried(second_version()), "advance", "abort"), ["canary-incomplete"]),
        (
            stepped(tried(second_version(), plan=replace(PLAN, error_rate=0.4)), "advance", "complete"),
            ["canary-incomplete"],
        ),
    ],
)
def test_a_version_takes_over_after_every_step_of_the_standards_canary(
    desk: Desk, expected: list[str]
) -> None:
    assert codes(desk.decide(2, "model 2")) == expected


def test_the_first_release_has_nothing_to_be_tried_beside() -> None:
    desk = Desk(rules=replace(RULES, serving=WITH_CANARY))
    desk.gate()
    desk.propose()
    desk.approve()
    assert desk.decide().decision.allowed


def test_environments_before_production_need_no_canary() -> None:
    desk = second_version()
    desk.approve(BEN, version=2, model="model 2", environment="test")
    assert "canary-incomplete" not in codes(desk.decide(2, "model 2", environment="test"))


def test_an_aborted_canary_can_be_tried_again() -> None:
    desk = stepped(tried(second_version()), "abort")
    assert canary_of(desk.history, "prod", people=PEOPLE) is None
    again = stepped(tried(desk), "advance", "complete")
    assert again.decide(2, "model 2").decision.allowed


def test_a_canary_of_somebody_who_may_not_promote_is_none() -> None:
    desk = tried(second_version()).retold("canary", keys=(ANA,))
    assert canary_of(desk.history, "prod", people=PEOPLE) is None
