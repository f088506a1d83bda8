"""From measurements out of bounds to what follows: which firings there are, and which still wait for their action.

A firing has a cause: use case, environment, the monitor's rules, the release and the data that was looked at. The
same cause never fires twice. While a firing waits for its action, the same rules do not fire again on the same release:
the first is not helped by a second.

Anybody who can write to the ledger can put an unsigned firing there, from rules that are nobody's standard. So a firing
counts when it is signed: one that rolls back by somebody who may, another by somebody on the roster. What does not
count keeps none that does from firing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json
from signoff.release.approval import head_json
from signoff.release.history import History
from signoff.release.model import Release, Signed
from signoff.release.people import People
from signoff.rollout.assessment import Assessment, Standing
from signoff.standard.deployment import Action, MonitorRules

MEASURED = "measure"
"""Action of the log's entries about what a monitor found on a window of data."""
ACTED = "act"
"""Action of the log's entries about what was done for a firing; they name its statement."""
Progress = Literal["started", "done", "failed", "not permitted"]
RETRAIN_HOURS = 24
"""So long after a firing for a retraining the same rules ask for none again, as long as the release stays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What is watched: a monitor on a release, and the data it looked at.

    Attributes:
        use_case: its name.
        environment: where the release is.
        monitor: the rules.
        release: what is released there.
        window: digest of the rows that were looked at.
    """

    use_case: str
    environment: str
    monitor: MonitorRules
    release: Release
    window: Digest

    @property
    def cause(self) -> Digest:
        """Digest of all of it; the release by its statement."""
        return Digest.of_json(
            {
                "use_case": self.use_case,
                "environment": self.environment,
                "monitor": self.monitor.to_json(),
                "release": str(placed_by(self.release).id),
                "window": str(self.window),
            }
        )


def placed_by(release: Release) -> Signed:
    """The statement that put the release where it is: the newest rollback to it, else its release statement."""
    return release.rollback or release.statement


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """A trigger statement, read back.

    Attributes:
        signed: the statement.
        monitor: name of the monitor.
        then: what follows.
        version: the released version that it is about.
        counts: whether somebody stands for it who may, see `stands_for`.
    """

    signed: Signed
    monitor: str
    then: Action
    version: int
    counts: bool

    @property
    def id(self) -> Digest:
        """Id of the statement."""
        return self.signed.id

    @property
    def placed(self) -> Digest | None:
        """The statement by which the version was released then."""
        return self.signed.statement.subject("placed")

    def is_of(self, monitor: MonitorRules) -> bool:
        """Whether it fired by exactly these rules, the action among them."""
        told = self.signed.statement.predicate.get("rules")
        return told is not None and Digest.of_json(told) == Digest.of_json(monitor.to_json())

    def may_act(self, monitors: Iterable[MonitorRules]) -> bool:
        """Whether what follows may be done for it.

        A rollback takes a firing that counts. The other actions change nothing that is released, so an unsigned
        one will do when its rules are among the standard's of now.
        """
        return self.counts or (self.then != "rollback" and any(self.is_of(monitor) for monitor in monitors))


def stands_for(signers: Iterable[str], then: Action, *, people: People) -> bool:
    """Whether one of these signers may let this action follow: roll back, or for the others be on the roster."""
    if then == "rollback":
        return any(people.may(email, "rollback") for email in signers)
    return any(people.roster.by_identity(email) is not None for email in signers)


def firings(history: History, environment: str, *, people: People) -> tuple[Firing, ...]:
    """The firings in an environment, oldest first; a malformed statement is none."""
    found: list[Firing] = []
    for signed in history.of("trigger"):
        then, version = signed.text("then"), signed.number("version")
        if signed.text("environment") == environment and then in get_args(Action) and version is not None:
            action = cast("Action", then)
            found.append(
                Firing(
                    signed=signed,
                    monitor=signed.text("monitor"),
                    then=action,
                    version=version,
                    counts=stands_for(signed.signers, action, people=people),
                )
            )
    return tuple(found)


def may_fire(
    watch: Watch,
    standing: Standing,
    *,
    fired: Iterable[Firing],
    waiting: Iterable[Firing],
    counts: bool,
    retrained_since: str,
    judged: Iterable[Signed],
) -> tuple[bool, str]:
    """Whether a measurement fires, and if it does not although it is out of bounds, why.

    Args:
        watch: what was watched.
        standing: what was found.
        fired: all firings there.
        waiting: those that still wait, see `waiting_for`.
        counts: whether the new firing would count; if so, only firings that count keep it back.
        retrained_since: ISO 8601 time, UTC, `RETRAIN_HOURS` ago.
        judged: the gate's decisions on other models than the released one: once what a retraining made has been
            judged, newer data may ask for another.
    """
    if standing != "out of bounds":
        return False, ""
    cause, placed, rules = str(watch.cause), placed_by(watch.release).id, watch.monitor
    known = [firing for firing in fired if firing.counts or not counts]
    for firing in known:
        if firing.signed.text("cause") == cause:
            return False, f"it fired for this data already: statement {firing.id.short}"
        if rules.then == "rollback" and firing.is_of(rules) and _on_the_rows_of(firing, watch):
            told = f"this data took back version {firing.version} already, statement {firing.id.short}"
            return False, f"{told}: two versions out of bounds on the same rows, so somebody must look"
    same = [firing for firing in known if firing.is_of(rules) and firing.placed == placed]
    still = {firing.id for firing in waiting}
    for firing in same:
        if firing.id in still:
            return False, f"its firing {firing.id.short} still waits for: {firing.then}"
    newest = max((decision.order for decision in judged), default=-1)
    for firing in same:
        if rules.then != "retrain" or newest > firing.signed.order:
            continue
        if firing.signed.text("at") > retrained_since:
            told = f"it asked for a retraining of this release at {firing.signed.text('at')}"
            return (
                False,
                f"{told}, and asks again once a candidate was judged, or after {RETRAIN_HOURS} hours",
            )
    return True, ""


def _on_the_rows_of(firing: Firing, watch: Watch) -> bool:
    """Whether it fired on the same rows, of another release.

    A second rollback on the same rows would only go on to the version before: it is the data that moved.
    """
    return firing.signed.statement.subject("watched-data") == watch.window


def trigger_statement(watch: Watch, found: Assessment, *, actor: str, log: LogHead, at: str) -> Statement:
    """The statement that a monitor fired and what follows.

    Raises:
        ValueError: the release has no model.
    """
    release, monitor = watch.release, watch.monitor
    return Statement(
        kind="trigger",
        subjects=(
            Subject(name="model", digest=release.model),
            Subject(name="release", digest=release.statement.id),
            Subject(name="placed", digest=placed_by(release).id),
            Subject(name="watched-data", digest=watch.window),
        ),
        predicate={
            "use_case": watch.use_case,
            "environment": watch.environment,
            "version": release.version,
            "run_id": release.statement.text("run_id"),
            "monitor": monitor.name,
            "rules": monitor.to_json(),
            "then": monitor.then,
            "cause": str(watch.cause),
            "value": None if found.value is None else float(found.value),
            "rows": found.rows,
            "message": found.message,
            "detail": list(found.detail),
            "actor": actor,
            "log": head_json(log),
            "at": at,
        },
    )


def progress_of(firing: Firing, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The log's entries about what was done for a firing, oldest first."""
    wanted = str(firing.id)
    return tuple(entry for entry in entries if entry.action == ACTED and entry.statement == wanted)


def progress_name(entry: Entry) -> Progress | None:
    """How far an entry says that the action came."""
    told = entry.detail.get("progress")
    return cast("Progress", told) if told in get_args(Progress) else None


def is_settled(
    firing: Firing, *, history: History, release: Release | None, entries: Iterable[Entry]
) -> bool:
    """Whether nothing is left to do for a firing.

    It is when its action came to an end, done or failed, or when something else is released by now. A review is
    done when somebody signed a note on the version afterwards.
    """
    ended = {progress_name(entry) for entry in progress_of(firing, entries)} & {"done", "failed"}
    if ended:
        return True
    if (
        firing.then == "rollback" and firing.counts
    ):  # an interrupted one is completed, whatever is released by now
        return left_by_rollback(firing, history) is None and _replaced(firing, release)
    if firing.then == "review" and any(
        note.order > firing.signed.order and note.number("version") == firing.version and note.signers
        for note in history.of("note")
    ):
        return True
    return _replaced(firing, release)


def waiting_for(
    history: History, environment: str, *, people: People, release: Release | None, entries: Iterable[Entry]
) -> tuple[Firing, ...]:
    """The firings whose action has not come to an end, oldest first."""
    known = tuple(entries)
    return tuple(
        firing
        for firing in firings(history, environment, people=people)
        if not is_settled(firing, history=history, release=release, entries=known)
    )


def left_by_rollback(firing: Firing, history: History) -> Signed | None:
    """The rollback, after the firing, that left the release it is about; None without one."""
    environment = firing.signed.text("environment")
    return next(
        (
            rollback
            for rollback in history.rollbacks_from(environment, firing.version)
            if rollback.order > firing.signed.order
        ),
        None,
    )


def _replaced(firing: Firing, release: Release | None) -> bool:
    return release is None or placed_by(release).id != firing.placed


def health(
    monitors: Iterable[MonitorRules],
    environment: str,
    *,
    history: History,
    people: People,
    release: Release | None,
    entries: Iterable[Entry],
) -> tuple[str, ...]:
    """What is known of a release's health, one line each: firings that wait, then the newest measurements.

    Args:
        monitors: the use case's.
        environment: where the release is.
        history: the use case's statements.
        people: roster and roles, for which firings count.
        release: what is released there; None for nothing.
        entries: the use case's log.
    """
    if release is None:
        return ()
    known = tuple(entries)
    bound = tuple(monitors)
    waiting = waiting_for(history, environment, people=people, release=release, entries=known)
    lines = [
        f"FIRED {_waits(firing, known, bound)}"
        for firing in waiting
        if left_by_rollback(firing, history) is None
    ]
    placed = str(placed_by(release).id)
    lines += [
        f"FAILED {firing.monitor}: {firing.then} after firing {firing.id.short}: {'; '.join(last.reasons)}"
        for firing in firings(history, environment, people=people)
        if str(firing.placed) == placed
        for last in progress_of(firing, known)[-1:]
        if progress_name(last) == "failed"
    ]
    measured = {
        entry.detail.get("monitor"): entry
        for entry in known
        if entry.action == MEASURED and entry.statement == placed
    }
    for monitor in bound:
        entry = measured.get(monitor.name)
        lines.append(
            f"{monitor.name}: not measured yet"
            if entry is None
            else f"{monitor.name}: {entry.detail.get('standing')}, {entry.at}: {entry.detail.get('message')}"
        )
    return tuple(lines)


def _waits(firing: Firing, entries: tuple[Entry, ...], monitors: tuple[MonitorRules, ...]) -> str:
    told = f"{firing.monitor}: {firing.then} since {firing.signed.text('at')}"
    if firing.then == "review":
        return f"{told}: somebody must look, and say so with signoff note"
    refused = [e for e in progress_of(firing, entries) if progress_name(e) == "not permitted"]
    if not refused and not firing.may_act(monitors):
        return f"{told}: {not_permitted(firing)}"
    return f"{told}: {'; '.join(refused[-1].reasons)}" if refused else f"{told}: not done yet"


def not_permitted(firing: Firing) -> str:
    """Why nothing follows a firing for which nobody stands."""
    if firing.then == "rollback":
        return "recorded, not permitted: nobody signed it who may roll back"
    return "recorded, not permitted: nobody signed it, and its rules are not the standard's"


def measurements(
    entries: Iterable[Entry], release: Release, *, monitor: MonitorRules, believed: Callable[[str], bool]
) -> tuple[Entry, ...]:
    """The log's entries about what a monitor found on a release, oldest first.

    Args:
        entries: the use case's log.
        release: what was measured.
        monitor: the rules.
        believed: whether a look by the actor with this name counts. What somebody saw who may not roll back must
            not pass for seen when a rollback depends on it.
    """
    placed = str(placed_by(release).id)
    return tuple(
        entry
        for entry in entries
        if entry.action == MEASURED
        and entry.statement == placed
        and entry.detail.get("monitor") == monitor.name
        and believed(entry.actor)
    )


def measured_before(found: Assessment, *, window: Json, through: Json, entries: Iterable[Entry]) -> bool:
    """Whether the newest of a monitor's measurements says the same of the same data already.

    Args:
        found: what was found now.
        window: digest of the rows; None when none were looked at.
        through: digest of the newest rows that were looked at.
        entries: its `measurements`.
    """
    newest = next((entry.detail for entry in reversed(tuple(entries))), None)
    if newest is None:
        return False
    if window is None:  # nothing was looked at: the reason is what there is to compare
        return newest.get("window") is None and newest.get("message") == found.message
    return (
        newest.get("window") == window
        and newest.get("through", newest.get("window")) == through
        and newest.get("standing") == found.standing
    )
