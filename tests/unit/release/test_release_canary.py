"""A canary statement: what it may be read as, what ends it, and who may end it."""

from dataclasses import replace

import pytest
from release_changes import Change, saying
from release_samples import ANA, BEN, CLEO, PEOPLE, RULES, STRANGER, Desk, Key, released_desk

from signoff.errors import EvidenceError
from signoff.evidence.statement import Statement
from signoff.record.digest import Json
from signoff.release.approval import head_json
from signoff.release.canary import (
    Canary,
    canary_of,
    canary_statement,
    decide_canary,
    decide_stop,
    rollout_statement,
    trial_words,
)
from signoff.release.chain import verify_release
from signoff.release.model import ReleaseDecision
from signoff.standard.deployment import CanaryRules, CanaryStep, ServingRules

PLAN = CanaryRules(
    steps=(CanaryStep(weight=0.1, requests=50), CanaryStep(weight=0.5, requests=100)),
    error_rate=0.01,
    alpha=0.05,
    deadline_s=60,
)


def tried(*keys: Key, change: Change | None = None) -> Desk:
    """The released version's own release statement, as a canary beside itself."""
    desk = released_desk()
    release = desk.history.release("prod")
    assert release is not None
    statement = canary_statement(release.statement.statement, plan=PLAN, stable=release)
    statement = saying(log=head_json(desk.head))(statement)
    desk.say("canary", statement if change is None else change(statement), *keys)
    return desk


def found(desk: Desk) -> Canary | None:
    return canary_of(desk.history, "prod", people=PEOPLE)


def aborting(desk: Desk, canary: Canary) -> Statement:
    return rollout_statement(
        canary,
        use_case="churn",
        environment="prod",
        verdict="abort",
        message="12 of 12 failed",
        steps=(),
        evalues={},
        actor="",
        log=desk.head,
        at=desk.at,
    )


def test_what_a_promoter_signed_is_read_back_and_verified_like_a_release() -> None:
    desk = tried(CLEO)
    canary = found(desk)
    assert canary is not None
    assert (canary.version, canary.plan, canary.step, canary.complete) == (1, PLAN, 0, False)
    assert verify_release(desk.history, canary.statement, people=PEOPLE) == ()


@pytest.mark.parametrize("keys", [(), (ANA,), (STRANGER,)], ids=["nobody", "an author", "a stranger"])
def test_what_no_promoter_signed_is_no_canary(keys: tuple[Key, ...]) -> None:
    assert found(tried(*keys)) is None


@pytest.mark.parametrize(
    "plan",
    [
        None,
        {},
        {"steps": [], "error_rate": 0.01, "alpha": 0.05, "deadline_s": 60},
        {"steps": [{"weight": 1.5, "requests": 1}], "error_rate": 0.01, "alpha": 0.05, "deadline_s": 60},
        {"steps": [{"weight": 0.5, "requests": 0}], "error_rate": 0.01, "alpha": 0.05, "deadline_s": 60},
        {"steps": [{"weight": 0.5, "requests": 1}], "error_rate": 0, "alpha": 0.05, "deadline_s": 60},
        {"steps": [{"weight": 0.5, "requests": 1}], "error_rate": 0.01, "alpha": "much", "deadline_s": 60},
        {
            "steps": [{"weight": 0.5, "requests": 1}, {"weight": 0.1, "requests": 1}],
            "error_rate": 0.01,
            "alpha": 0.05,
            "deadline_s": 60,
        },
    ],
)
def test_a_plan_that_cannot_be_followed_is_not_guessed_at(plan: Json) -> None:
    with pytest.raises(EvidenceError, match="no plan that can be followed"):
        found(tried(CLEO, change=saying(plan=plan)))


@pytest.mark.parametrize(
    ("key", "ends"),
    [(None, False), (ANA, False), (BEN, False), (STRANGER, False), (CLEO, True)],
    ids=["nobody", "an author", "a reviewer", "a stranger", "who may roll back"],
)
def test_an_abort_counts_only_of_who_may_end_a_canary(key: Key | None, *, ends: bool) -> None:
    desk = tried(CLEO)
    canary = found(desk)
    assert canary is not None
    desk.say("rollout", aborting(desk, canary), *(() if key is None else (key,)))
    assert (found(desk) is None) == ends
    assert ("ended" in trial_words(desk.history, "prod", people=PEOPLE, decide_again=None)) == ends


def test_an_abort_of_who_signs_the_steps_counts_without_the_right_to_roll_back() -> None:
    desk = tried(CLEO)
    canary = found(desk)
    assert canary is not None
    steps_only = replace(PEOPLE, roles={role: may - {"rollback"} for role, may in PEOPLE.roles.items()})
    desk.say("rollout", aborting(desk, canary), CLEO)
    assert not steps_only.may(CLEO.email, "rollback")
    assert canary_of(desk.history, "prod", people=steps_only) is None


def test_any_release_since_ends_it() -> None:
    desk = tried(CLEO)
    assert found(desk) is not None
    desk.release(name="once more")
    assert found(desk) is None


def test_who_may_roll_back_may_end_it_for_a_reason() -> None:
    canary = found(tried(CLEO))
    assert canary is not None

    def codes(key: Key, reason: str) -> list[str]:
        decision = decide_stop(
            canary, use_case="churn", environment="prod", actor=key.email, people=PEOPLE, reason=reason
        )
        return [found.code for found in decision.reasons]

    assert codes(CLEO, "odd answers") == []
    assert codes(CLEO, " ") == ["reason"]
    assert codes(BEN, "odd answers") == ["role"]


@pytest.mark.parametrize(
    ("steps", "version", "running", "expected"),
    [
        (True, 2, False, []),
        (False, 2, False, ["canary-plan"]),
        (True, 1, False, ["canary-stable"]),
        (True, 2, True, ["canary-running"]),
    ],
)
def test_a_canary_needs_steps_a_stable_version_and_to_be_alone(
    *, steps: bool, version: int, running: bool, expected: list[str]
) -> None:
    serving = ServingRules(
        timeout_ms=100, fallback="stable", canary=PLAN if steps else None, load=None, log=None
    )
    desk = tried(CLEO)
    decision = decide_canary(
        ReleaseDecision(transition="promote", subject="churn/2 to prod", reasons=()),
        replace(RULES, serving=serving),
        "prod",
        ref=f"churn/{version}",
        version=version,
        released=desk.history.release("prod"),
        running=found(desk) if running else None,
    )
    assert [reason.code for reason in decision.reasons] == expected
