"""What a release needs around it: a monitor, a load test, a canary."""

from collections.abc import Sequence
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
from signoff.release.canary import (
    canary_of,
    canary_statement,
    rollout_statement,
    step_signer_fault,
    trial_words,
)
from signoff.release.load_test import load_test_statement
from signoff.release.promotion import Promotion, release_statement
from signoff.rollout.recorded import decide_recorded
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


def test_a_schedule_alone_watches_nothing() -> None:
    asking = {**RULES.environments, "prod": replace(PROD, monitoring=True)}
    schedule = replace(MONITOR, name="age", kind="schedule", table=None, at_most=36500.0)
    for monitors, expected in (((schedule,), ["monitoring-missing"]), ((schedule, MONITOR), [])):
        desk = Desk(rules=replace(RULES, environments=asking, monitors=monitors))
        desk.gate()
        desk.propose()
        desk.approve()
        assert codes(desk.decide()) == expected


@pytest.mark.parametrize(("today", "expected"), [("2027-02-21", []), ("2027-02-22", ["evaluation-stale"])])
def test_what_was_judged_too_long_ago_is_not_released(today: str, expected: list[str]) -> None:
    asking = replace(PROD, reevaluate_days=90)
    promotion = approved_desk(asking).decide(today=today)
    assert codes(promotion) == expected
    assert approved_desk().decide(today=today).decision.allowed
    told = [(reason.message, reason.fix) for reason in promotion.decision.reasons]
    assert told == [
        (
            "the gate judged churn/1 on 2026-11-23, 91 days ago; prod takes evaluations of at most 90 days",
            "signoff gate run of model 1, then propose and approve it again",
        )
        for _ in expected
    ]


def measured(
    desk: Desk,
    *,
    passed: bool = True,
    model: str = "model 1",
    load: LoadRules = LOAD,
    key: Key = CLEO,
    host: str | None = None,
) -> Desk:
    statement = load_test_statement(
        desk.rules,
        load,
        version=1,
        model=digest(model),
        passed=passed,
        figures={"p95_ms": 120.0},
        messages=("p95 120 ms; wanted at most 90 ms",),
        host=host,
        actor=key.email,
        at=desk.at,
    )
    desk.say("load test", statement, key)
    return desk


def endpoint(serving: ServingRules = ENDPOINT, *, by: Key = ANA) -> Desk:
    """An approved version behind an endpoint, in an environment that asks for a load test."""
    asking = {**RULES.environments, "prod": replace(PROD, load_test=True)}
    desk = Desk(rules=replace(RULES, environments=asking, serving=serving))
    desk.gate()
    desk.propose(keys=tuple(dict.fromkeys((ANA, by))))
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
        (measured(endpoint(), key=BEN), ["load-test-missing"]),
        (measured(endpoint(by=CLEO)), ["load-test-missing"]),
        (measured(endpoint(), host="127.0.0.1:5001"), ["load-test-missing"]),
    ],
)
def test_an_endpoint_bears_its_load_before_it_is_released(desk: Desk, expected: list[str]) -> None:
    assert codes(desk.decide()) == expected


def test_a_batch_model_needs_no_load_test() -> None:
    assert approved_desk(replace(PROD, load_test=True)).decide().decision.allowed


# --- the canary

WITH_CANARY = ServingRules(timeout_ms=100, fallback="stable", canary=PLAN, load=None, log=None)


def second_version(*, by: Key = ANA) -> Desk:
    """Version 1 released; version 2 approved, and the standard asks for a canary."""
    desk = desk_of(released_desk(), serving=WITH_CANARY)
    desk.gate(decision=gate_decision("model 2", baseline="model 1"))
    desk.propose(2, "model 2", keys=tuple(dict.fromkeys((ANA, by))))
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


def counted(requests: int, errors: int, *, weight: float = 0.1) -> Json:
    return {
        "weight": weight,
        "canary": {"requests": requests, "errors": errors},
        "stable": {"requests": 450, "errors": 0},
        "seconds": 9.0,
    }


GOOD = (counted(50, 0), counted(100, 0, weight=0.5))


def stepped(
    desk: Desk,
    *verdicts: Literal["advance", "complete", "abort"],
    key: Key | None = CLEO,
    counts: Sequence[Json] = GOOD,
) -> Desk:
    """Rollout statements with these verdicts, one after another, each with the counts up to its step."""
    for verdict in verdicts:
        canary = canary_of(desk.history, "prod", people=PEOPLE, decide_again=decide_recorded)
        assert canary is not None
        statement = rollout_statement(
            canary,
            use_case="churn",
            environment="prod",
            verdict=verdict,
            message="as counted",
            steps=counts[: canary.step + 1],
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


@pytest.mark.parametrize(
    "counts",
    [
        (counted(0, 0), counted(0, 0, weight=0.5)),
        (counted(50, 50), counted(100, 100, weight=0.5)),
        (counted(49, 0), counted(100, 0, weight=0.5)),
        (counted(50, 0), counted(99, 0, weight=0.5)),
        (counted(50, 0, weight=0.5), counted(100, 0, weight=0.5)),
        (counted(10**15, 0), counted(100, 0, weight=0.5)),
        (counted(-50, -50), counted(100, 0, weight=0.5)),
        (),
    ],
    ids=[
        "none",
        "all failed",
        "short of 1",
        "short of 2",
        "other weight",
        "huge",
        "below 0",
        "no steps",
    ],
)
def test_a_step_counts_only_when_its_counts_lead_to_its_verdict(counts: Sequence[Json]) -> None:
    desk = stepped(tried(second_version()), "advance", "complete", counts=counts)
    assert codes(desk.decide(2, "model 2")) == ["canary-incomplete"]


def test_counts_of_an_earlier_step_cannot_be_told_anew() -> None:
    desk = stepped(tried(second_version()), "advance")
    stepped(desk, "complete", counts=(counted(10**9, 0), GOOD[1]))
    assert codes(desk.decide(2, "model 2")) == ["canary-incomplete"]
    assert stepped(desk, "complete").decide(2, "model 2").decision.allowed


@pytest.mark.parametrize("key", [ANA, BEN], ids=["an author", "a reviewer"])
def test_a_step_counts_only_when_a_promoter_who_is_no_author_signed_it(key: Key) -> None:
    desk = stepped(tried(second_version()), "advance", "complete", key=key)
    assert codes(desk.decide(2, "model 2")) == ["canary-incomplete"]
    canary = canary_of(desk.history, "prod", people=PEOPLE, decide_again=decide_recorded)
    assert canary is not None
    assert canary.step == 0
    assert "may not promote" in step_signer_fault(desk.history, canary.statement, PEOPLE, key.email)


def test_a_promoter_who_is_an_author_completes_no_canary_of_their_own() -> None:
    desk = stepped(tried(second_version(by=CLEO)), "advance", "complete")
    assert "canary-incomplete" in codes(desk.decide(2, "model 2"))
    canary = canary_of(desk.history, "prod", people=PEOPLE)
    assert canary is not None
    told = step_signer_fault(desk.history, canary.statement, PEOPLE, CLEO.email)
    assert told == f"{CLEO.email} is an author of version 2"


def test_without_a_way_to_decide_again_no_step_counts() -> None:
    desk = stepped(tried(second_version()), "advance", "complete")
    canary = canary_of(desk.history, "prod", people=PEOPLE)
    assert canary is not None
    assert (canary.step, canary.complete) == (0, False)


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


@pytest.mark.parametrize(
    ("desk", "words"),
    [
        (second_version(), ""),
        (tried(second_version()), "canary of version 2 is in step 1 of 2, 10 % of the requests"),
        (
            stepped(tried(second_version()), "advance"),
            "canary of version 2 is in step 2 of 2, 50 % of the requests",
        ),
        (
            stepped(tried(second_version()), "advance", "complete"),
            "canary of version 2 is complete and waits for its promotion",
        ),
        (stepped(tried(second_version()), "abort"), "canary of version 2 ended: as counted"),
    ],
)
def test_status_says_how_a_canary_stands(desk: Desk, words: str) -> None:
    assert trial_words(desk.history, "prod", people=PEOPLE, decide_again=decide_recorded) == words
