"""Freezing a run for its proposal: what is judged, hashed and signed must not change while that goes on, or after.

The mark is set and committed before anything of the run is read. The proposal is written in a transaction that
finds the mark still there; else it is taken off again, unless another version of the run is proposed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from signoff.apps.verbs.evidence import database_of, run_evidence
from signoff.apps.verbs.recording import login_detail
from signoff.apps.workspace import Actor, Workspace, scheme_of
from signoff.errors import ConflictError, UsageError
from signoff.evidence.ledger import Entry, LedgerWriter
from signoff.record.run import RunRecord
from signoff.release.guard.evidence import EVIDENCE_DETAIL, FREEZE_ACTION, changed_parts
from signoff.release.guard.stated import KEEPS_FROZEN

if TYPE_CHECKING:
    from signoff.adapters.ledger_sql import SqlLedger


@dataclass(kw_only=True, slots=True)
class Freeze:
    """A run's freeze, while its proposal is decided.

    Attributes:
        workspace: for reading the run.
        run_id: the run.
        ledger: of the guarded database; None where runs are not frozen from here.
        ripe: whether a proposal may be written; freezing a run that still logs would end its training.
        kept: whether the proposal was written.
    """

    workspace: Workspace
    run_id: str
    ledger: "SqlLedger | None"
    ripe: bool = True
    kept: bool = False

    def entry(self, run: RunRecord, *, proposal: Entry, actor: Actor) -> Entry | None:
        """What the log remembers beside the proposal: digests of what was frozen; None where nothing is.

        Raises:
            UsageError: the run was not frozen, since it has not ended.
            ConflictError: something was still written to it: by a call that had begun before it was frozen.
        """
        if not self.ripe:
            raise UsageError(
                f"run {self.run_id} has status {run.status}: a proposal freezes its run, and that would end it",
                hint="mlflow.end_run(), then propose it",
            )
        if self.ledger is None:
            return None
        database = database_of(self.workspace)
        evidence = run_evidence(self.workspace, run, database=database)
        now = run_evidence(self.workspace, self.workspace.reader().run(self.run_id), database=database)
        if changed := changed_parts(evidence, now):
            raise ConflictError(
                f"{', '.join(changed)} of run {self.run_id} changed while it was judged",
                hint="run the same command again",
            )
        return replace(
            proposal,
            action=FREEZE_ACTION,
            detail={"run_id": self.run_id, EVIDENCE_DETAIL: evidence, **login_detail(actor)},
        )

    @contextmanager
    def transaction(self) -> Iterator[LedgerWriter]:
        """The ledger's transaction for the proposal; the freeze stays when it is committed.

        Raises:
            ConflictError: the run was thawed while it was judged.
        """
        if self.ledger is None:
            with self.workspace.ledger(create=True).transaction() as writer:
                yield writer
            return
        from signoff.adapters.mlflow_hooks.freeze import freeze_run

        with self.ledger.connection() as connection:
            if freeze_run(connection, self.run_id):
                raise ConflictError(
                    f"run {self.run_id} was thawed while it was judged: another proposal of it was refused",
                    hint="run the same command again",
                )
            yield self.ledger.writer_on(connection)
        self.kept = True


@contextmanager
def freezing(workspace: Workspace, run_id: str, *, proposer: str | None) -> Iterator[Freeze]:
    """Freeze a run until the block ends, and for good when its proposal was written; nothing where no guard is.

    It stays open when it will be refused anyway: for somebody who may not propose, or while it has not ended. Without
    a proposer it was decided already, as when it is taken over from before.

    Raises:
        StoreError: there is no such run, or the mark cannot be set.
    """
    freeze = Freeze(workspace=workspace, run_id=run_id, ledger=guarded_ledger(workspace))
    if freeze.ledger is not None:
        ended = workspace.reader().run(run_id).status == "FINISHED"
        freeze.ripe = ended and (proposer is None or not workspace.people().refusals(proposer, "propose"))
    if freeze.ledger is None or not freeze.ripe:
        yield freeze
        return
    from signoff.adapters.mlflow_hooks.freeze import freeze_run

    with freeze.ledger.connection() as connection:
        freeze_run(connection, run_id)
    try:
        yield freeze
    finally:
        if not freeze.kept:
            thaw(workspace, freeze.ledger, run_id)


def guarded_ledger(workspace: Workspace) -> "SqlLedger | None":
    """The ledger in the guarded database; None without one."""
    address = workspace.ledger_uri
    if address is None or scheme_of(address) not in ("sqlite", "postgresql"):
        return None
    from signoff.adapters.ledger_sql import SqlLedger

    ledger = SqlLedger(address)
    return ledger if ledger.is_guarded() else None


def thaw(
    workspace: Workspace, ledger: "SqlLedger", run_id: str, *, entry: Entry | None = None
) -> Literal["thawed", "open", "kept"]:
    """Open a run again, unless a statement that rests on it is in the ledger.

    The run's row is locked while that is looked up. A proposal that is still being decided finds the run thawed when
    it would be written, and is not.

    Args:
        workspace: whose use cases are looked through.
        ledger: of the guarded database.
        run_id: the run.
        entry: is written with it; None for none.

    Returns:
        Whether it was thawed, was open already, or stays frozen.
    """
    from signoff.adapters.mlflow_hooks.freeze import freeze_run, thaw_run

    with ledger.connection() as connection:
        was_open = freeze_run(connection, run_id)  # locks the row
        if any(
            ledger.find(use_case=name, kind=kind, run_id=run_id)
            for name in workspace.standard.use_cases
            for kind in KEEPS_FROZEN
        ):
            return "kept"
        thaw_run(connection, run_id)
        if entry is not None and not was_open:
            ledger.writer_on(connection).append(entry)
        return "open" if was_open else "thawed"
