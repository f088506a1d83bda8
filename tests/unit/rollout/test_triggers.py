"""What makes a cause, when it may fire, and which firings still wait."""

from dataclasses import replace

import pytest

from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.roster import parse_roster
from signoff.evidence.statement import Statement, StatementKind, Subject
from signoff.record.digest import Digest, Json
from signoff.release.history import History
from signoff.release.model import Release, Signed
from signoff.release.people import People
from signoff.rollout.assessment import Assessment, Standing
from signoff.rollout.triggers import (
    ACTED,
    Firing,
    Watch,
    firings,
    health,
    may_fire,
    measured_before,
    measurements,
    trigger_statement,
    waiting_for,
)
from signoff.standard.deployment import Action, MonitorRules

PEOPLE = People(
    roster=parse_roster(
        "people:\n"
        "  cleo@shop.example: {name: Cleo, roles: [platform-owner]}\n"
        "  ben@shop.example: {name: Ben, roles: [reviewer]}\n",
        "roster.yaml",
    ),
    roles={"platform-owner": frozenset({"rollback"}), "reviewer": frozenset({"approve"})},
)
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
LATER = replace(WATCH, window=Digest.of(b"next week"))


def fired(order: int, watch: Watch = WATCH, *, by: tuple[str, ...] = ("cleo@shop.example",)) -> Signed:
    statement = trigger_statement(
        watch, OUT, actor="w", log=LogHead(size=order, root=MODEL), at="2026-02-01T00:00:00Z"
    )
    return Signed(order=order, id=statement.id, statement=statement, signers=by, problems=())


def still(known: History, *entries: Entry, release: Release = NOW) -> tuple[Firing, ...]:
    return waiting_for(known, "prod", people=PEOPLE, release=release, entries=entries)


def fires(
    watch: Watch = WATCH,
    *known: Signed,
    standing: Standing = "out of bounds",
    waits: bool = False,
    counts: bool = True,
    since: str = "2026-03-01T00:00:00Z",
    judged: tuple[Signed, ...] = (),
) -> tuple[bool, str]:
    found = firings(history(*known), "prod", people=PEOPLE)
    return may_fire(
        watch,
        standing,
        fired=found,
        waiting=found if waits else (),
        counts=counts,
        retrained_since=since,
        judged=judged,
    )


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
def test_only_what_is_out_of_bounds_fires(standing: Standing) -> None:
    assert fires(standing=standing) == (False, "")
    assert fires() == (True, "")


def test_a_cause_never_fires_twice_even_when_it_was_settled() -> None:
    may, why = fires(WATCH, fired(2))
    assert not may
    assert "fired for this data already" in why


def test_while_a_firing_waits_new_data_adds_none_and_afterwards_it_does() -> None:
    assert [firing.monitor for firing in still(history(fired(2)))] == ["inputs"]
    assert not fires(LATER, fired(2), waits=True)[0]
    assert fires(LATER, fired(2))[0]
    other = replace(LATER, monitor=replace(WATCH.monitor, at_most=0.2))
    assert fires(other, fired(2), waits=True)[0], "other rules under the same name are another monitor"


@pytest.mark.parametrize("then", ["rollback", "retrain", "re-evaluate", "review"])
@pytest.mark.parametrize("waits", [True, False])
def test_what_nobody_signed_keeps_back_only_what_nobody_signs(then: Action, *, waits: bool) -> None:
    watch = replace(WATCH, monitor=monitor(then))
    unsigned = fired(2, watch, by=())
    assert fires(watch, unsigned, waits=waits)[0]
    assert not fires(watch, unsigned, waits=waits, counts=False)[0]
    assert not fires(watch, fired(2, watch), waits=waits, counts=False)[0]


def test_a_retraining_is_asked_for_once_per_release_and_day() -> None:
    train = replace(WATCH, monitor=monitor("retrain"))
    later = replace(train, window=Digest.of(b"next week"))
    before = "2026-01-31T00:00:00Z"  # the firings are of the first of February
    may, why = fires(later, fired(2, train), since=before)
    assert not may
    assert "once a candidate was judged, or after 24 hours" in why
    assert fires(later, fired(2, train), since="2026-02-01T00:00:00Z")[0]
    assert fires(replace(later, release=replace(NOW, statement=FIRST)), fired(2, train), since=before)[0]
    assert fires(LATER, fired(2), since=before)[0], "other actions do not wait"


def test_when_a_candidate_was_judged_since_newer_data_may_ask_again() -> None:
    train = replace(WATCH, monitor=monitor("retrain"))
    later = replace(train, window=Digest.of(b"next week"))
    before = "2026-01-31T00:00:00Z"
    firing = fired(2, train)
    assert fires(later, firing, since=before, judged=(replace(firing, order=firing.order + 1),))[0]
    assert not fires(later, firing, since=before, judged=(replace(firing, order=firing.order - 1),))[0]


@pytest.mark.parametrize(
    ("then", "by", "rules_are_now", "may"),
    [
        ("rollback", (), True, False),
        ("rollback", ("ben@shop.example",), True, False),
        ("rollback", ("cleo@shop.example",), False, True),
        ("retrain", (), True, True),
        ("retrain", (), False, False),
        ("retrain", ("ben@shop.example",), False, True),
        ("re-evaluate", (), False, False),
    ],
)
def test_whose_firing_is_acted_on(
    then: Action, by: tuple[str, ...], *, rules_are_now: bool, may: bool
) -> None:
    one = fired(2, replace(WATCH, monitor=monitor(then)), by=by)
    (firing,) = firings(history(one), "prod", people=PEOPLE)
    bound = monitor(then) if rules_are_now else replace(monitor(then), at_most=0.3)
    assert firing.may_act((bound,)) == may


def test_a_rollback_that_nobody_may_is_not_finished_after_something_else_was_released() -> None:
    one = fired(2, replace(WATCH, monitor=monitor("rollback")), by=())
    back = said(3, "rollback", {"model": MODEL, "release": FIRST.id}, from_version=2, to_version=1)
    now = Release(statement=FIRST, rollback=back, version=1, model=MODEL, number=3)
    assert still(history(one), release=NOW)
    assert still(history(one, back), release=now) == ()


def test_only_looks_that_are_believed_count_as_looks() -> None:
    seen = replace(
        entry(FIRST, ""),
        action="measure",
        statement=str(SECOND.id),
        detail={"monitor": "inputs", "standing": OUT.standing, "window": "w", "through": "t"},
    )

    def found(*, believed: bool) -> tuple[Entry, ...]:
        return measurements([seen], NOW, monitor=monitor(), believed=lambda _: believed)

    assert measured_before(OUT, window="w", through="t", entries=found(believed=True))
    assert not measured_before(OUT, window="w", through="newer", entries=found(believed=True))
    assert not measured_before(OUT, window="w", through="t", entries=found(believed=False))


def test_the_same_rows_take_back_one_version_not_the_one_before_too() -> None:
    back = replace(WATCH, monitor=monitor("rollback"))
    before = replace(back, release=replace(NOW, statement=FIRST, version=1))
    may, why = fires(before, fired(2, back))
    assert not may
    assert "took back version 2 already" in why
    other = replace(before, window=Digest.of(b"next week"))
    assert fires(other, fired(2, back))[0]


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
    assert bool(still(history(one), *entries)) == waits


def test_a_review_waits_for_a_signed_note_on_the_version() -> None:
    def waits(note: Signed) -> bool:
        return bool(still(history(fired(3), note)))

    assert waits(said(2, "note", {"model": MODEL}, version=2))
    assert waits(said(4, "note", {"model": MODEL}, version=1))
    assert waits(replace(said(4, "note", {"model": MODEL}, version=2), signers=()))
    assert not waits(said(4, "note", {"model": MODEL}, version=2))


def test_nothing_waits_for_a_release_that_was_replaced() -> None:
    newer = released(3, 3)
    now = Release(statement=newer, rollback=None, version=3, model=MODEL, number=3)
    for then in ("rollback", "retrain", "review"):
        one = fired(2, replace(WATCH, monitor=monitor(then)))
        assert still(history(one, newer), release=now) == ()


def test_an_interrupted_rollback_still_waits_to_be_finished_and_told() -> None:
    one = fired(2, replace(WATCH, monitor=monitor("rollback")))
    back = said(3, "rollback", {"model": MODEL, "release": FIRST.id}, from_version=2, to_version=1)
    now = Release(statement=FIRST, rollback=back, version=1, model=MODEL, number=3)
    assert still(history(one, back), release=now)
    assert still(history(one, back), entry(one, "done"), release=now) == ()


def test_a_statement_of_another_environment_or_without_a_known_action_is_no_firing() -> None:
    odd = said(4, "trigger", {"model": MODEL}, version=2, then="reboot", monitor="inputs")
    elsewhere = fired(5, replace(WATCH, environment="test"))
    assert firings(history(odd, elsewhere), "prod", people=PEOPLE) == ()


def test_health_names_who_must_act_what_failed_and_what_was_not_measured() -> None:
    back = fired(2, replace(WATCH, monitor=monitor("rollback", name="back")))
    train = fired(3, replace(WATCH, monitor=monitor("retrain", name="train")))
    stray = fired(4, replace(WATCH, monitor=monitor("rollback", name="stray")), by=())
    lines = health(
        (monitor(name="inputs"),),
        "prod",
        history=history(back, train, stray),
        people=PEOPLE,
        release=NOW,
        entries=[
            entry(back, "not permitted", "refused", "it waits for cleo"),
            entry(train, "failed", "failed", "exit code 3"),
        ],
    )
    assert lines == (
        "FIRED back: rollback since 2026-02-01T00:00:00Z: it waits for cleo",
        "FIRED stray: rollback since 2026-02-01T00:00:00Z: recorded, not permitted: nobody signed it who may roll back",
        f"FAILED train: retrain after firing {train.id.short}: exit code 3",
        "inputs: not measured yet",
    )
