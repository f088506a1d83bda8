"""What makes a cause, when it may fire, and which firings still wait."""

from dataclasses import replace

import pytest

from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.statement import Statement, StatementKind, Subject
from signoff.record.digest import Digest, Json
from signoff.release.history import History
from signoff.release.model import Release, Signed
from signoff.rollout.assessment import Assessment
from signoff.rollout.triggers import (
    ACTED,
    Watch,
    firings,
    health,
    may_fire,
    trigger_statement,
    waiting_for,
)
from signoff.standard.deployment import Action, MonitorRules

MODEL, WINDOW = Digest.of(b"model"), Digest.of(b"window")
OUT = Assessment(standing="out of bounds", value=0.3, message="0.3 wanted at most 0.1", rows=100)


def monitor(then: Action = "review", *, name: str = "inputs") -> MonitorRules:
    return MonitorRules(
        name=name,
        kind="drift",
        table="t.parquet",
        labels=None,
        columns=(),
        metric=None,
        at_most=0.1,
        at_least=None,
        rows=100,
        by=None,
        then=then,
    )


def said(order: int, kind: StatementKind, subjects: dict[str, Digest], **predicate: Json) -> Signed:
    statement = Statement(
        kind=kind,
        subjects=tuple(Subject(name=name, digest=digest) for name, digest in subjects.items()),
        predicate={"use_case": "churn", "environment": "prod", **predicate},
    )
    return Signed(
        order=order, id=statement.id, statement=statement, signers=("cleo@shop.example",), problems=()
    )


def released(order: int, version: int) -> Signed:
    return said(order, "release", {"model": MODEL}, version=version, run_id="r", at="2026-01-01T00:00:00Z")


FIRST, SECOND = released(0, 1), released(1, 2)
NOW = Release(statement=SECOND, rollback=None, version=2, model=MODEL, number=2)
WATCH = Watch(use_case="churn", environment="prod", monitor=monitor(), release=NOW, window=WINDOW)


def fired(order: int, watch: Watch = WATCH) -> Signed:
    statement = trigger_statement(
        watch, OUT, actor="w", log=LogHead(size=order, root=MODEL), at="2026-02-01T00:00:00Z"
    )
    return Signed(order=order, id=statement.id, statement=statement, signers=(), problems=())


def history(*more: Signed) -> History:
    return History(statements=(FIRST, SECOND, *more))


def entry(of: Signed, progress: str, outcome: str = "allowed", *reasons: str) -> Entry:
    return Entry(
        at="2026-02-02T00:00:00Z",
        actor="w",
        action=ACTED,
        outcome=outcome,  # type: ignore[arg-type]
        use_case="churn",
        subject="churn@prod",
        statement=str(of.id),
        reasons=reasons,
        detail={"progress": progress},
    )


def test_a_cause_is_use_case_environment_rules_release_and_data() -> None:
    rolled = replace(NOW, rollback=said(5, "rollback", {"model": MODEL}, from_version=3))
    others = (
        replace(WATCH, use_case="other"),
        replace(WATCH, environment="test"),
        replace(WATCH, monitor=replace(WATCH.monitor, at_most=0.2)),
        replace(WATCH, release=replace(NOW, statement=FIRST)),
        replace(WATCH, release=rolled),
        replace(WATCH, window=Digest.of(b"next week")),
    )
    assert len({WATCH.cause, *(other.cause for other in others)}) == 7
    assert replace(WATCH).cause == WATCH.cause


@pytest.mark.parametrize("standing", ["in bounds", "undecided"])
def test_only_what_is_out_of_bounds_fires(standing: str) -> None:
    assert may_fire(WATCH, standing, history=history(), waiting=()) == (False, "")  # type: ignore[arg-type]
    assert may_fire(WATCH, "out of bounds", history=history(), waiting=()) == (True, "")


def test_a_cause_never_fires_twice_even_when_it_was_settled() -> None:
    may, why = may_fire(WATCH, "out of bounds", history=history(fired(2)), waiting=())
    assert not may
    assert "fired for this data already" in why


def test_while_a_firing_waits_new_data_adds_none_and_afterwards_it_does() -> None:
    known = history(fired(2))
    later = replace(WATCH, window=Digest.of(b"next week"))
    waiting = waiting_for(known, "prod", release=NOW, entries=())
    assert [firing.monitor for firing in waiting] == ["inputs"]
    assert not may_fire(later, "out of bounds", history=known, waiting=waiting)[0]
    assert may_fire(later, "out of bounds", history=known, waiting=())[0]


def test_the_same_rows_take_back_one_version_not_the_one_before_too() -> None:
    back = replace(WATCH, monitor=monitor("rollback"))
    before = replace(back, release=replace(NOW, statement=FIRST, version=1))
    may, why = may_fire(before, "out of bounds", history=history(fired(2, back)), waiting=())
    assert not may
    assert "took back version 2 already" in why
    other = replace(before, window=Digest.of(b"next week"))
    assert may_fire(other, "out of bounds", history=history(fired(2, back)), waiting=())[0]


@pytest.mark.parametrize(
    ("progress", "waits"),
    [
        ([], True),
        (["started"], True),
        (["not permitted"], True),
        (["started", "done"], False),
        (["failed"], False),
    ],
)
@pytest.mark.parametrize("then", ["rollback", "retrain", "re-evaluate"])
def test_a_firing_waits_until_its_action_has_come_to_an_end(
    then: Action, progress: list[str], *, waits: bool
) -> None:
    one = fired(2, replace(WATCH, monitor=monitor(then)))
    entries = [entry(one, name) for name in progress]
    assert bool(waiting_for(history(one), "prod", release=NOW, entries=entries)) == waits


def test_a_review_waits_for_a_signed_note_on_the_version() -> None:
    def waits(note: Signed) -> bool:
        return bool(waiting_for(history(fired(3), note), "prod", release=NOW, entries=()))

    assert waits(said(2, "note", {"model": MODEL}, version=2))
    assert waits(said(4, "note", {"model": MODEL}, version=1))
    assert waits(replace(said(4, "note", {"model": MODEL}, version=2), signers=()))
    assert not waits(said(4, "note", {"model": MODEL}, version=2))


def test_nothing_waits_for_a_release_that_was_replaced() -> None:
    newer = released(3, 3)
    now = Release(statement=newer, rollback=None, version=3, model=MODEL, number=3)
    for then in ("rollback", "retrain", "review"):
        one = fired(2, replace(WATCH, monitor=monitor(then)))
        assert waiting_for(history(one, newer), "prod", release=now, entries=()) == ()


def test_an_interrupted_rollback_still_waits_to_be_finished_and_told() -> None:
    one = fired(2, replace(WATCH, monitor=monitor("rollback")))
    back = said(3, "rollback", {"model": MODEL, "release": FIRST.id}, from_version=2, to_version=1)
    now = Release(statement=FIRST, rollback=back, version=1, model=MODEL, number=3)
    assert waiting_for(history(one, back), "prod", release=now, entries=())
    assert waiting_for(history(one, back), "prod", release=now, entries=[entry(one, "done")]) == ()


def test_a_statement_of_another_environment_or_without_a_known_action_is_no_firing() -> None:
    odd = said(4, "trigger", {"model": MODEL}, version=2, then="reboot", monitor="inputs")
    elsewhere = fired(5, replace(WATCH, environment="test"))
    assert firings(history(odd, elsewhere), "prod") == ()


def test_health_names_who_must_act_what_failed_and_what_was_not_measured() -> None:
    back = fired(2, replace(WATCH, monitor=monitor("rollback", name="back")))
    train = fired(3, replace(WATCH, monitor=monitor("retrain", name="train")))
    lines = health(
        (monitor(name="inputs"),),
        "prod",
        history=history(back, train),
        release=NOW,
        entries=[
            entry(back, "not permitted", "refused", "it waits for cleo"),
            entry(train, "failed", "failed", "exit code 3"),
        ],
    )
    assert lines == (
        "FIRED back: rollback since 2026-02-01T00:00:00Z: it waits for cleo",
        f"FAILED train: retrain after firing {train.id.short}: exit code 3",
        "inputs: not measured yet",
    )
