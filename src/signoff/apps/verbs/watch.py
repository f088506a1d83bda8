"""`signoff watch`: measure every monitor of a release, decide what fired, write it down, and act.

A round goes (1) what was decided earlier and not done is done; (2) each monitor measures, and one that fails does not
stop the others; (3) what is out of bounds fires, unless its cause has fired before; (4) what fired is acted on.
"""

from contextlib import ExitStack
from dataclasses import dataclass

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
    Firing,
    Watch,
    firings,
    may_fire,
    measured_before,
    placed_by,
    trigger_statement,
    waiting_for,
)
from signoff.standard.deployment import MonitorRules
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
        """2 when something could not be decided or done, else 1 when something fired or was done, else 0."""
        if any(w.found.standing == "undecided" for w in self.watched):
            return 2
        if any(acted.progress == "failed" for acted in self.acted):
            return 2
        done = any(acted.progress == "done" for acted in self.acted)
        return 1 if done or any(w.fired is not None for w in self.watched) else 0

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


def watched_use_cases(workspace: Workspace, use_case: str | None) -> tuple[UseCaseRules, ...]:
    """The use case named, or all that have monitors.

    Raises:
        UsageError: there is no monitor.
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
    return having


def watch_once(workspace: Workspace, rules: UseCaseRules, *, environment: str, actor: Actor) -> Round:
    """One round for one use case.

    Raises:
        UsageError: the standard knows no such environment.
        SignoffError: ledger or registry cannot be read; nothing was decided.
    """
    workspace.environment(rules, environment)
    acted = [
        done
        for firing in _waiting(workspace, rules, environment)
        if (done := _attempt(workspace, rules, firing, actor)) is not None
    ]
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
            watched = [_watch(site, monitor, actor) for monitor in rules.monitors]
        for firing in (w.fired for w in watched if w.fired is not None):
            done = _attempt(workspace, rules, firing, actor)
            acted += [] if done is None else [done]
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
        release=history.release(environment),
        entries=entries_of(workspace, rules.name),
    )


def _attempt(workspace: Workspace, rules: UseCaseRules, firing: Firing, actor: Actor) -> Acted | None:
    """Act; what cannot be done now still waits, and is tried again in the next round."""
    try:
        return act_on(workspace, rules, firing, actor=actor)
    except SignoffError as error:
        return Acted(firing=firing, progress="failed", message=f"not done yet: {error.what}")


def _watch(site: Site, monitor: MonitorRules, actor: Actor) -> Watched:
    try:
        looked = measure_monitor(site, monitor)
    except SignoffError as error:
        looked = Looked(found=Assessment.undecided(f"it could not be measured: {error.what}"), window=None)
    except Exception as error:  # noqa: BLE001 - a table can hold anything; the other monitors must go on
        told = f"it could not be measured: {type(error).__name__}: {error}"
        looked = Looked(found=Assessment.undecided(told), window=None)
    try:
        _record_measurement(site, monitor, looked, actor)
        fired, remark = _decide(site, monitor, looked, actor)
    except SignoffError as error:
        told = f"it could not be written down: {error.what}; {looked.found.message}"
        return Watched(monitor=monitor.name, found=Assessment.undecided(told), fired=None, remark="")
    return Watched(monitor=monitor.name, found=looked.found, fired=fired, remark=remark)


def _record_measurement(site: Site, monitor: MonitorRules, looked: Looked, actor: Actor) -> None:
    """One entry per window of data; looking at the same data again adds none."""
    found = looked.found
    window = None if looked.window is None else str(looked.window)
    entries = entries_of(site.workspace, site.rules.name)
    if measured_before(site.release, found, monitor=monitor.name, window=window, entries=entries):
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
        },
        signs=False,
    )
    with site.workspace.ledger(create=True).transaction() as writer:
        writer.append(entry)


def _decide(site: Site, monitor: MonitorRules, looked: Looked, actor: Actor) -> tuple[Firing | None, str]:
    """Fire on the history of now: nothing may have fired, or been released, since it was read.

    Raises:
        StoreError: others wrote to the log all the while.
    """
    if looked.window is None or looked.found.standing != "out of bounds":
        return None, ""
    workspace, rules = site.workspace, site.rules
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
        waiting = waiting_for(
            history, site.environment, release=release, entries=entries_of(workspace, rules.name)
        )
        fires, remark = may_fire(watch, looked.found.standing, history=history, waiting=waiting)
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
        after = firings(history_of(workspace, rules.name), site.environment)
        return next(firing for firing in after if firing.id == statement.id), ""
    raise StoreError("others wrote to the log all the while", hint="run signoff watch again")
