"""What a guarded server freezes when it starts: runs that were proposed or released before there was a guard.

A run is marked first and then read, as for a proposal, and each step is committed by itself: a start that was cut short
is completed by the next one, and one with nothing to do writes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.mlflow_hooks.freeze import freeze_run
from signoff.adapters.mlflow_sql.guarded import GuardedReader
from signoff.apps.verbs.evidence import database_of, run_evidence
from signoff.apps.workspace import Workspace, now
from signoff.errors import EvidenceError, SignoffError
from signoff.evidence.audit import StoredLedger
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import read_entry
from signoff.release.guard.evidence import EVIDENCE_DETAIL, FREEZE_ACTION, FROZEN_MARK
from signoff.release.guard.stated import Stated, frozen_by_entries, left_frozen, stated_runs
from signoff.release.logged import logged_history

_ACTOR = "server"
_MOST_NAMES = 5


@dataclass(kw_only=True, slots=True)
class FrozenAtStart:
    """What a start found, each as ``churn/3 (run 5f…)`` unless it says otherwise.

    Attributes:
        frozen: frozen now, and written into the log.
        unmarked: of these, those that the log calls frozen already: somebody took the mark off around the server.
        deleted: their run is deleted; it was marked, and is written into the log once it is restored.
        gone: their run is no longer in the database.
        left: ids of frozen runs that no statement is about.
        unread: what could not be frozen or read, and why.
    """

    frozen: list[str] = field(default_factory=list)
    unmarked: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """What the operator should know; empty when everything was frozen already."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.frozen:
            said = f"{len(self.frozen)} proposed or released before now and not frozen"
            yield f"{said}: what their runs logged is frozen from now on: {_listed(self.frozen)}"
        if self.unmarked:
            yield (
                f"{len(self.unmarked)} of them had been frozen, and were opened around the server:"
                f" {_listed(self.unmarked)}; what changed meanwhile: signoff admin reconcile"
            )
        if self.deleted:
            yield f"{len(self.deleted)} whose run is deleted: {_listed(self.deleted)}"
        if self.gone:
            yield f"{len(self.gone)} whose run is gone, so that nothing can be frozen: {_listed(self.gone)}"
        if self.left:
            runs = "run is" if len(self.left) == 1 else "runs are"
            yield (
                f"{len(self.left)} {runs} frozen and nothing was signed for: {_listed(self.left)}; a proposal was cut"
                " short, or goes on at another server: propose again, or signoff admin reconcile --revert"
            )
        yield from (f"not logged as frozen yet, could not be read: {text}" for text in self.unread)


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def freeze_stated(workspace: Workspace, ledger: SqlLedger) -> FrozenAtStart:
    """Freeze every run that a signed proposal, release or inherited release is about, and log what it shows.

    Args:
        workspace: the server's, on its own database.
        ledger: in that database, which is marked as guarded.

    Raises:
        StoreError: the database cannot be read or written.
    """
    found = FrozenAtStart()
    database = database_of(workspace)
    if database is None:
        return found
    marked = database.frozen()
    stored = ledger.stored()
    try:
        known = frozen_by_entries(read_entry(row.entry) for row in stored.rows)
        found.left += left_frozen(marked, stored)
    except EvidenceError as error:
        found.unread.append(f"the ledger cannot be read: {error}")
        return found
    for rules in workspace.standard.use_cases.values():
        try:
            history = logged_history(rules.name, stored, workspace.people().roster)
        except EvidenceError as error:
            found.unread.append(f"runs of use case {rules.name}: {error}")
            continue
        stated = stated_runs(rules, history)
        marks = database.marks({each.run_id for each in stated})
        active = workspace.reader().active_runs({each.run_id for each in stated})
        for each in stated:
            name = f"{each.ref} (run {each.run_id})"
            if each.run_id not in marks:
                found.gone.append(name)
                continue
            marked_before = marks[each.run_id] == FROZEN_MARK
            if not marked_before:
                with ledger.connection() as connection:
                    freeze_run(connection, each.run_id)
            logged = (each.ref, each.run_id) in known
            if each.run_id not in active:
                found.deleted.append(name)
            elif not (marked_before and logged):
                _log(workspace, ledger, each, found, stored=stored, database=database)
                found.unmarked += [name] if logged else []
    return found


def _log(
    workspace: Workspace,
    ledger: SqlLedger,
    each: Stated,
    found: FrozenAtStart,
    *,
    stored: StoredLedger,
    database: GuardedReader,
) -> None:
    """Write the entry of one freeze, unless another server that starts did so meanwhile."""
    name = f"{each.ref} (run {each.run_id})"
    try:
        evidence = run_evidence(workspace, workspace.reader().run(each.run_id), database=database)
        entry = Entry(
            at=now(),
            actor=_ACTOR,
            action=FREEZE_ACTION,
            outcome="allowed",
            use_case=each.use_case,
            subject=each.ref,
            statement=str(each.statement.id),
            reasons=("it was not frozen when the server started",),
            detail={"run_id": each.run_id, EVIDENCE_DETAIL: evidence},
        )
        with ledger.connection() as connection:
            freeze_run(connection, each.run_id)
            size = stored.head.size
            grew = ledger.grew_on(connection, use_case=each.use_case, since=size)
            since = ledger.grown_on(connection, since=size).rows if grew else ()
            if (each.ref, each.run_id) in frozen_by_entries(read_entry(data) for _, data in since):
                return
            ledger.writer_on(connection).append(entry)
    except SignoffError as error:
        found.unread.append(f"{name}: {error}")
    except Exception as error:  # noqa: BLE001 - a bucket's client has errors of its own, and the mark stands already
        found.unread.append(f"{name}: {type(error).__name__}")
    else:
        found.frozen.append(name)
