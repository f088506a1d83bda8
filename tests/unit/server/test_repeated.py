"""The same refusal again and again is counted: a loop of refused calls does not fill the log."""

from dataclasses import dataclass, replace

from signoff.apps.repeated import FURTHER, MOST, WINDOW_SECONDS, RepeatedRefusals
from signoff.evidence.ledger import Entry

REFUSED = Entry(
    at="2026-11-23T08:00:00Z",
    actor="login:mia",
    action="guard:alias",
    outcome="refused",
    use_case="churn",
    subject="churn@prod",
    statement=None,
    reasons=("(role) it may not",),
    detail={"login": "mia"},
)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def counts(entries: tuple[Entry, ...]) -> list[object]:
    return [entry.detail.get("count", 1) for entry in entries]


def test_a_refusal_is_written_once_and_counted_after() -> None:
    clock = Clock()
    refusals = RepeatedRefusals(clock=clock)
    assert refusals.due(REFUSED) == (REFUSED,)
    assert [refusals.due(REFUSED) for _ in range(500)] == [()] * 500
    clock.now += WINDOW_SECONDS
    later = replace(REFUSED, at="2026-11-23T08:01:00Z")
    (entry,) = refusals.due(later)
    assert (entry.at, entry.detail) == (later.at, {"login": "mia", "count": 501})


def test_what_was_only_counted_is_written_when_its_window_ends() -> None:
    clock = Clock()
    refusals = RepeatedRefusals(clock=clock)
    refusals.due(REFUSED)
    refusals.due(REFUSED, REFUSED)
    assert refusals.due() == ()
    clock.now += WINDOW_SECONDS
    assert counts(refusals.due()) == [2]
    assert refusals.due() == ()


def test_others_and_other_reasons_are_refusals_of_their_own() -> None:
    refusals = RepeatedRefusals(clock=Clock())
    others = (
        replace(REFUSED, detail={"login": "ana"}),
        replace(REFUSED, subject="churn@canary"),
        replace(REFUSED, use_case="fraud"),
        replace(REFUSED, action="promote"),
        replace(REFUSED, reasons=("(server-key) none",)),
    )
    assert refusals.due(REFUSED, *others) == (REFUSED, *others)


def test_a_login_that_asks_for_ever_other_things_is_counted_too() -> None:
    clock = Clock()
    refusals = RepeatedRefusals(clock=clock)
    asked = [replace(REFUSED, subject=f"churn@{number}") for number in range(10 * MOST)]
    written = refusals.due(*asked)
    assert len(written) == MOST + 1
    assert written[-1].subject == FURTHER
    assert refusals.due(replace(REFUSED, detail={"login": "ana"})), "of another login"
    clock.now += WINDOW_SECONDS
    assert sum(entry.detail.get("count", 1) for entry in (*written, *refusals.due())) == len(asked)  # type: ignore[misc]
