"""Canaries and load tests in the trace of a release."""

import pytest
from release_changes import saying
from release_samples import CLEO, PEOPLE, Desk, Key, released_desk

from signoff.release.approval import head_json
from signoff.release.canary import canary_of, canary_statement, rollout_statement
from signoff.release.load_test import load_test_statement
from signoff.review.trials import trial_links
from signoff.standard.deployment import CanaryRules, CanaryStep, LoadRules

PLAN = CanaryRules(steps=(CanaryStep(weight=0.1, requests=50),), error_rate=0.01, alpha=0.05, deadline_s=60)
LOAD = LoadRules(connections=8, seconds=5, latency_p95_ms=90.0, requests_per_s=None)


def tried(*keys: Key) -> Desk:
    """The release with an aborted canary of its own bytes, signed so."""
    desk = released_desk()
    release = desk.history.release("prod")
    assert release is not None
    statement = canary_statement(release.statement.statement, plan=PLAN, stable=release)
    desk.say("canary", saying(log=head_json(desk.head))(statement), CLEO)
    canary = canary_of(desk.history, "prod", people=PEOPLE)
    assert canary is not None
    ended = rollout_statement(
        canary,
        use_case="churn",
        environment="prod",
        verdict="abort",
        message="aborted; canary failed 3 of 17",
        steps=(),
        evalues={},
        actor="cleo@shop.example",
        log=desk.head,
        at=desk.at,
    )
    desk.say("rollout", ended, *keys)
    return desk


@pytest.mark.parametrize(("keys", "state"), [((CLEO,), "verified"), ((), "recorded")])
def test_a_canary_ends_in_the_trace_as_it_was_signed(keys: tuple[Key, ...], state: str) -> None:
    desk = tried(*keys)
    release = desk.history.release("prod")
    assert release is not None
    (link,) = trial_links(release.statement, desk.history)
    assert (link.kind, link.state, link.name.split(",")[0]) == ("canary", state, "abort")
    assert "aborted; canary failed 3 of 17" in link.detail


@pytest.mark.parametrize(("passed", "word"), [(True, "passed"), (False, "failed")])
def test_the_newest_load_test_of_its_bytes_is_shown(*, passed: bool, word: str) -> None:
    desk = released_desk()
    release = desk.history.release("prod")
    assert release is not None
    for number, kept in enumerate((not passed, passed)):
        statement = load_test_statement(
            desk.rules,
            LOAD,
            version=1,
            model=release.model,
            passed=kept,
            figures={},
            messages=(f"test {number}",),
            host=None,
            actor="cleo@shop.example",
            at=desk.at,
        )
        desk.say(f"load test {number}", statement, CLEO)
    (link,) = trial_links(release.statement, desk.history)
    assert (link.kind, link.state, link.name.split(",")[0]) == ("load-test", "verified", word)
    assert "test 1" in link.detail


def test_a_release_that_was_never_tried_has_no_such_links() -> None:
    desk = released_desk()
    release = desk.history.release("prod")
    assert release is not None
    assert trial_links(release.statement, desk.history) == []
