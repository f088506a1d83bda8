"""From measurements out of bounds to what follows: which firings there are, and which still wait for their action.

A firing has a cause: use case, environment, the monitor's rules, the release and the data that was looked at. The
same cause never fires twice. While a firing of a monitor on a release waits for its action, that monitor does not
fire again: the first is not helped by a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json
from signoff.release.approval import head_json
from signoff.release.history import History
from signoff.release.model import Release, Signed
from signoff.rollout.assessment import Assessment, Standing
from signoff.standard.deployment import Action, MonitorRules

MEASURED = "measure"
"""Action of the log's entries about what a monitor found on a window of data."""
ACTED = "act"
"""Action of the log's entries about what was done for a firing; they name its statement."""
Progress = Literal["started", "done", "failed", "not permitted"]


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
    """

    signed: Signed
    monitor: str
    then: Action
    version: int

    @property
    def id(self) -> Digest:
        """Id of the statement."""
        return self.signed.id

    @property
    def placed(self) -> Digest | None:
        """The statement by which the version was released then."""
        return self.signed.statement.subject("placed")


def firings(history: History, environment: str) -> tuple[Firing, ...]:
    """The firings in an environment, oldest first; a malformed statement is none."""
    found: list[Firing] = []
    for signed in history.of("trigger"):
        then, version = signed.text("then"), signed.number("version")
        if signed.text("environment") == environment and then in get_args(Action) and version is not None:
            found.append(
                Firing(
                    signed=signed, monitor=signed.text("monitor"), then=cast("Action", then), version=version
                )
            )
    return tuple(found)


def may_fire(
    watch: Watch, standing: Standing, *, history: History, waiting: Iterable[Firing]
) -> tuple[bool, str]:
    """Whether a measurement fires, and if it does not although it is out of bounds, why.

    Args:
        watch: what was watched.
        standing: what was found.
        history: the use case's statements.
        waiting: the firings there that still wait, see `waiting_for`.
    """
    if standing != "out of bounds":
        return False, ""
    cause = str(watch.cause)
    for signed in history.of("trigger"):
        if signed.text("cause") == cause:
            return False, f"it fired for this data already: statement {signed.id.short}"
        if _took_back_for(signed, watch):
            told = (
                f"this data took back version {signed.number('version')} already, statement {signed.id.short}"
            )
            return False, f"{told}: two versions out of bounds on the same rows, so somebody must look"
    placed = placed_by(watch.release).id
    for firing in waiting:
        if firing.monitor == watch.monitor.name and firing.placed == placed:
            return False, f"its firing {firing.id.short} still waits for: {firing.then}"
    return True, ""


def _took_back_for(signed: Signed, watch: Watch) -> bool:
    """Whether the monitor fired for a rollback on the same rows, of another release.

    A second rollback on the same rows would only go on to the version before: it is the data that moved.
    """
    return (
        watch.monitor.then == "rollback"
        and signed.text("then") == "rollback"
        and signed.text("monitor") == watch.monitor.name
        and signed.text("environment") == watch.environment
        and signed.statement.subject("watched-data") == watch.window
    )


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
    if firing.then == "rollback":  # an interrupted one is completed, whatever is released by now
        return left_by_rollback(firing, history) is None and _replaced(firing, release)
    if firing.then == "review" and any(
        note.order > firing.signed.order and note.number("version") == firing.version and note.signers
        for note in history.of("note")
    ):
        return True
    return _replaced(firing, release)


def waiting_for(
    history: History, environment: str, *, release: Release | None, entries: Iterable[Entry]
) -> tuple[Firing, ...]:
    """The firings whose action has not come to an end, oldest first."""
    known = tuple(entries)
    return tuple(
        firing
        for firing in firings(history, environment)
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
    release: Release | None,
    entries: Iterable[Entry],
) -> tuple[str, ...]:
    """What is known of a release's health, one line each: firings that wait, then the newest measurements.

    Args:
        monitors: the use case's.
        environment: where the release is.
        history: the use case's statements.
        release: what is released there; None for nothing.
        entries: the use case's log.
    """
    if release is None:
        return ()
    known = tuple(entries)
    waiting = waiting_for(history, environment, release=release, entries=known)
    lines = [
        f"FIRED {_waits(firing, known)}" for firing in waiting if left_by_rollback(firing, history) is None
    ]
    placed = str(placed_by(release).id)
    lines += [
        f"FAILED {firing.monitor}: {firing.then} after firing {firing.id.short}: {'; '.join(last.reasons)}"
        for firing in firings(history, environment)
        if str(firing.placed) == placed
        for last in progress_of(firing, known)[-1:]
        if progress_name(last) == "failed"
    ]
    measured = {
        entry.detail.get("monitor"): entry
        for entry in known
        if entry.action == MEASURED and entry.statement == placed
    }
    for monitor in monitors:
        entry = measured.get(monitor.name)
        lines.append(
            f"{monitor.name}: not measured yet"
            if entry is None
            else f"{monitor.name}: {entry.detail.get('standing')}, {entry.at}: {entry.detail.get('message')}"
        )
    return tuple(lines)


def _waits(firing: Firing, entries: tuple[Entry, ...]) -> str:
    told = f"{firing.monitor}: {firing.then} since {firing.signed.text('at')}"
    if firing.then == "review":
        return f"{told}: somebody must look, and say so with signoff note"
    refused = [e for e in progress_of(firing, entries) if progress_name(e) == "not permitted"]
    return f"{told}: {'; '.join(refused[-1].reasons)}" if refused else f"{told}: not done yet"


def measured_before(
    watch_on: Release, found: Assessment, *, monitor: str, window: Json, entries: Iterable[Entry]
) -> bool:
    """Whether the monitor's newest entry on this release says the same of the same data already."""
    placed = str(placed_by(watch_on).id)
    newest = next(
        (
            entry.detail
            for entry in reversed(tuple(entries))
            if entry.action == MEASURED
            and entry.statement == placed
            and entry.detail.get("monitor") == monitor
        ),
        None,
    )
    if newest is None:
        return False
    if window is None:  # nothing was looked at: the reason is what there is to compare
        return newest.get("window") is None and newest.get("message") == found.message
    return newest.get("window") == window and newest.get("standing") == found.standing
