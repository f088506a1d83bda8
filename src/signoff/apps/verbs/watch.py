"""`signoff watch`: measure every monitor of a release, decide what fired, write it down, and act.

A round goes (1) rollbacks that were decided earlier and not done are done; (2) each monitor measures, and one that
fails does not stop the others; (3) what is out of bounds fires, unless its cause has fired before; (4) what fired and
what still waits is acted on, rollbacks before what takes long.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from signoff.apps.verbs.recording import allowed_entry, history_of, signed, write
from signoff.apps.verbs.watch_act import Acted, act_on
from signoff.apps.verbs.watch_measure import Looked, Site, measure_monitor
from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import SignoffError, StoreError, UsageError
from signoff.evidence.ledger import Entry
from signoff.record.digest import Json
from signoff.rollout.assessment import Assessment
from signoff.rollout.triggers import (
    MEASURED,
    RETRAIN_HOURS,
    Firing,
    Watch,
    firings,
    may_fire,
    measured_before,
    measurements,
    placed_by,
    stands_for,
    trigger_statement,
    waiting_for,
)
from signoff.standard.deployment import Action, MonitorRules
from signoff.standard.model import UseCaseRules

_TRIES = 5  # somebody else may write to the log between reading and writing it


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """One monitor in one round.

    Attributes:
        monitor: its name.
        found: what it found.
        fired: the firing it led to; None without one.
        remark: why it did not fire although out of bounds; "" otherwise.
    """

    monitor: str
    found: Assessment
    fired: Firing | None
    remark: str

    def to_json(self) -> Json:
        """All fields."""
        return {
            "monitor": self.monitor,
            "standing": self.found.standing,
            "value": self.found.value,
            "rows": self.found.rows,
            "message": self.found.message,
            "detail": list(self.found.detail),
            "fired": None if self.fired is None else str(self.fired.id),
            "remark": self.remark,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One look at one release.

    Attributes:
        use_case: its name.
        environment: where.
        version: the released version; None when nothing is released.
        watched: each monitor.
        acted: what was done, for earlier firings and for new ones.
        waiting: firings that wait for people.
    """

    use_case: str
    environment: str
    version: int | None
    watched: tuple[Watched, ...]
    acted: tuple[Acted, ...]
    waiting: tuple[Firing, ...]

    @property
    def exit_code(self) -> int:
        """2 when something could not be decided or done, else 1 when something is out of bounds or was done, else 0."""
        if any(w.found.standing == "undecided" for w in self.watched):
            return 2
        if any(acted.progress == "failed" for acted in self.acted):
            return 2
        done = any(acted.progress == "done" for acted in self.acted)
        return 1 if done or any(w.found.standing == "out of bounds" for w in self.watched) else 0

    def to_json(self) -> Json:
        """All fields, firings by their statements."""
        return {
            "use_case": self.use_case,
            "environment": self.environment,
            "version": self.version,
            "watched": [watched.to_json() for watched in self.watched],
            "acted": [acted.to_json() for acted in self.acted],
            "waiting": [str(firing.id) for firing in self.waiting],
        }


def watched_use_cases(
    workspace: Workspace, use_case: str | None, *, environment: str
) -> tuple[tuple[UseCaseRules, ...], tuple[str, ...]]:
    """The use case named, or all that have monitors and the environment; and those left out for lack of it.

    Raises:
        UsageError: there is no monitor, or no use case has the environment.
    """
    if use_case is not None:
        chosen: tuple[UseCaseRules, ...] = (workspace.use_case(use_case),)
    else:
        chosen = tuple(workspace.standard.use_cases.values())
    having = tuple(rules for rules in chosen if rules.monitors)
    if not having:
        raise UsageError(
            "no monitor is named" if use_case is None else f"{use_case} names no monitor",
            where=workspace.standard.path,
            hint="add `monitors:` to the use case; docs/watch.md shows how",
        )
    there = tuple(rules for rules in having if environment in rules.environments)
    if not there:
        workspace.environment(having[0], environment)
    return there, tuple(rules.name for rules in having if rules not in there)


def watch_once(workspace: Workspace, rules: UseCaseRules, *, environment: str, actor: Actor) -> Round:
    """One round for one use case.

    Raises:
        UsageError: the standard knows no such environment.
        SignoffError: ledger or registry cannot be read; nothing was decided.
    """
    workspace.environment(rules, environment)
    before = [firing for firing in _waiting(workspace, rules, environment) if firing.then == "rollback"]
    acted = _act_on_all(workspace, rules, before, actor)
    history = history_of(workspace, rules.name, audited=True)
    release = history.release(environment)
    watched: list[Watched] = []
    if release is not None:
        with ExitStack() as opened:
            site = Site(
                workspace=workspace,
                rules=rules,
                environment=environment,
                history=history,
                release=release,
                opened=opened,
            )
            site.measured = _windows_seen(site, actor)
            watched = [_watch(site, monitor, actor) for monitor in rules.monitors]
        fired = [w.fired for w in watched if w.fired is not None]
        known = {firing.id for firing in (*before, *fired)}
        late = [firing for firing in _waiting(workspace, rules, environment) if firing.id not in known]
        acted += _act_on_all(workspace, rules, (*late, *fired), actor)
    return Round(
        use_case=rules.name,
        environment=environment,
        version=None if release is None else release.version,
        watched=tuple(watched),
        acted=tuple(acted),
        waiting=_waiting(workspace, rules, environment),
    )


def entries_of(workspace: Workspace, use_case: str) -> tuple[Entry, ...]:
    """The log's entries about a use case, oldest first."""
    return tuple(row.entry for row in workspace.ledger().entries(use_case=use_case))


def _waiting(workspace: Workspace, rules: UseCaseRules, environment: str) -> tuple[Firing, ...]:
    history = history_of(workspace, rules.name)
    return waiting_for(
        history,
        environment,
        people=workspace.people(),
        release=history.release(environment),
        entries=entries_of(workspace, rules.name),
    )


def _act_on_all(
    workspace: Workspace, rules: UseCaseRules, waiting: Iterable[Firing], actor: Actor
) -> list[Acted]:
    """Rollbacks first: users must not wait for a training; then the oldest first."""
    last: tuple[Action, ...] = ("rollback", "re-evaluate", "retrain", "review")
    ordered = sorted(waiting, key=lambda firing: (last.index(firing.then), firing.signed.order))
    found = (_attempt(workspace, rules, firing, actor) for firing in ordered)
    return [acted for acted in found if acted is not None]


def _attempt(workspace: Workspace, rules: UseCaseRules, firing: Firing, actor: Actor) -> Acted | None:
    """Act; what cannot be done now still waits, and is tried again in the next round."""
    try:
        return act_on(workspace, rules, firing, actor=actor)
    except SignoffError as error:
        return Acted(firing=firing, progress="failed", message=f"not done yet: {error.what}")
    except Exception as error:  # noqa: BLE001 - whatever an action runs into, the others must go on
        told = f"not done yet: {type(error).__name__}: {error}"
        return Acted(firing=firing, progress="failed", message=told)


def _watch(site: Site, monitor: MonitorRules, actor: Actor) -> Watched:
    try:
        looked = measure_monitor(site, monitor)
    except SignoffError as error:
        looked = Looked(found=Assessment.undecided(f"it could not be measured: {error.what}"), window=None)
    except Exception as error:  # noqa: BLE001 - a table can hold anything; the other monitors must go on
        told = f"it could not be measured: {type(error).__name__}: {error}"
        looked = Looked(found=Assessment.undecided(told), window=None)
    try:  # what was decided is written first: rows that a look has counted as seen are not looked at again
        fired, remark = _decide(site, monitor, looked, actor)
        _record_measurement(site, monitor, looked, actor)
    except SignoffError as error:
        told = f"it could not be written down: {error.what}; {looked.found.message}"
        return Watched(monitor=monitor.name, found=Assessment.undecided(told), fired=None, remark="")
    return Watched(monitor=monitor.name, found=looked.found, fired=fired, remark=remark)


def _record_measurement(site: Site, monitor: MonitorRules, looked: Looked, actor: Actor) -> None:
    """One entry per window of data; looking at the same data again adds none."""
    found = looked.found
    window = None if looked.window is None else str(looked.window)
    through = window if looked.through is None else str(looked.through)
    known = measurements(
        entries_of(site.workspace, site.rules.name),
        site.release,
        monitor=monitor,
        believed=_believed(site, monitor, actor),
    )
    if measured_before(found, window=window, through=through, entries=known):
        return
    entry = allowed_entry(
        action=MEASURED,
        actor=actor,
        use_case=site.rules.name,
        subject=f"{site.rules.name}@{site.environment}",
        statement=placed_by(site.release).id,
        at=now(),
        detail={
            "monitor": monitor.name,
            "standing": found.standing,
            "value": None if found.value is None else float(found.value),
            "rows": found.rows,
            "message": found.message,
            "window": window,
            "through": through,
        },
        signs=False,
    )
    with site.workspace.ledger(create=True).transaction() as writer:
        writer.append(entry)


def _windows_seen(site: Site, actor: Actor) -> dict[str, frozenset[str]]:
    """Per monitor the newest windows of the log that looks at this release came to."""
    entries = entries_of(site.workspace, site.rules.name)
    return {
        monitor.name: frozenset(
            str(entry.detail.get("through"))
            for entry in measurements(
                entries, site.release, monitor=monitor, believed=_believed(site, monitor, actor)
            )
        )
        for monitor in site.rules.monitors
    }


def _believed(site: Site, monitor: MonitorRules, actor: Actor) -> Callable[[str], bool]:
    """Whose looks count for a monitor: everybody's, except where a rollback follows."""
    people = site.workspace.people()
    if monitor.then != "rollback":
        return lambda _: True
    return lambda name: name == actor.name or stands_for((name,), "rollback", people=people)


def _retrained_since() -> str:
    return (datetime.now(UTC) - timedelta(hours=RETRAIN_HOURS)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _decide(site: Site, monitor: MonitorRules, looked: Looked, actor: Actor) -> tuple[Firing | None, str]:
    """Fire on the history of now: nothing may have fired, or been released, since it was read.

    Raises:
        StoreError: others wrote to the log all the while.
    """
    if looked.window is None or looked.found.standing != "out of bounds":
        return None, ""
    workspace, rules = site.workspace, site.rules
    people = workspace.people()
    by = () if actor.key is None else (actor.name,)
    for _ in range(_TRIES):
        head = workspace.ledger().head()
        history = history_of(workspace, rules.name)
        release = history.release(site.environment)
        if release is None or placed_by(release).id != placed_by(site.release).id:
            return None, "something else was released in the meantime"
        watch = Watch(
            use_case=rules.name,
            environment=site.environment,
            monitor=monitor,
            release=release,
            window=looked.window,
        )
        entries = entries_of(workspace, rules.name)
        fires, remark = may_fire(
            watch,
            looked.found.standing,
            fired=firings(history, site.environment, people=people),
            waiting=waiting_for(history, site.environment, people=people, release=release, entries=entries),
            counts=stands_for(by, monitor.then, people=people),
            retrained_since=_retrained_since(),
            judged=[s for s in history.of("gate-decision") if s.statement.subject("model") != release.model],
        )
        if not fires:
            return None, remark
        at = now()
        statement = trigger_statement(watch, looked.found, actor=actor.name, log=head, at=at)
        entry = allowed_entry(
            action="trigger",
            actor=actor,
            use_case=rules.name,
            subject=f"{rules.name}@{site.environment}",
            statement=statement.id,
            at=at,
            detail={"monitor": monitor.name, "then": monitor.then, "message": looked.found.message},
        )
        try:
            with workspace.ledger(create=True).transaction() as writer:
                write(
                    writer,
                    signed(statement, actor),
                    entry,
                    version=f"{rules.registered_model}/{release.version}",
                    run_id=release.statement.text("run_id"),
                    expected=head.size,
                )
        except StoreError:
            if workspace.ledger().head().size == head.size:
                raise  # it is not that somebody else was quicker
            continue
        after = firings(history_of(workspace, rules.name), site.environment, people=people)
        return next(firing for firing in after if firing.id == statement.id), ""
    raise StoreError("others wrote to the log all the while", hint="run signoff watch again")
