"""What a run shows now, as digests: taken when a proposal freezes it, and again by the tripwire."""

from collections.abc import Mapping

from signoff.adapters.mlflow_sql.guarded import GuardedReader
from signoff.apps.workspace import Reader, Workspace, scheme_of
from signoff.errors import StoreError
from signoff.record.digest import Digest
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import RunRecord
from signoff.release.guard.evidence import (
    EVIDENCE_DETAIL,
    OPEN_FOLDER,
    changed_parts,
    evidence_digests,
    first_freeze,
    unseen_parts,
)
from signoff.standard.model import UseCaseRules


def database_of(workspace: Workspace) -> GuardedReader | None:
    """MLflow's database, where its address is known here: the store's own, or the ledger's where it lies there."""
    for address in (workspace.tracking_uri, workspace.ledger_uri):
        if address is not None and scheme_of(address) in ("sqlite", "postgresql"):
            reader = GuardedReader(address)
            if reader.is_mlflow():
                return reader
    return None


def run_evidence(
    workspace: Workspace, run: RunRecord, *, database: GuardedReader | None = None
) -> dict[str, str]:
    """Digests of what a run logged, by part; what cannot be read from here is left out.

    Args:
        workspace: the team's workspace.
        run: the run, read now.
        database: MLflow's database; None leaves the metrics' history out.

    Raises:
        StoreError: the database cannot be read.
    """
    return evidence_digests(
        run,
        points=None if database is None else database.points(run.run_id),
        artifacts=_artifacts(workspace.reader(), run),
    )


def changed_since_frozen(
    workspace: Workspace, rules: UseCaseRules, version: ModelVersionRecord, run: RunRecord
) -> tuple[str, ...]:
    """The parts of a run that are not what its version's proposal froze; empty when nothing froze it.

    Behind a server it is the server that looks: it reads all of the run, and decides again.

    Args:
        workspace: the team's workspace.
        rules: the use case's.
        version: as the registry has it.
        run: its run, read now.

    Raises:
        StoreError: something of the run cannot be read.
    """
    if workspace.decides_elsewhere:
        return ()
    entries = (logged.entry for logged in workspace.ledger().entries(use_case=rules.name))
    freeze = first_freeze(entries, version.ref, run_id=run.run_id)
    kept = None if freeze is None else freeze.detail.get(EVIDENCE_DETAIL)
    if not isinstance(kept, Mapping):
        return ()
    found = run_evidence(workspace, run, database=database_of(workspace))
    if unseen := unseen_parts(kept, found):
        raise StoreError(f"{', '.join(unseen)} of run {run.run_id} cannot be read", where=workspace.shown_uri)
    return changed_parts(kept, found)


def _artifacts(reader: Reader, run: RunRecord) -> dict[str, Digest] | None:
    """Digests of the run's artifact files, those below ``signoff/`` left out; None when they are out of reach."""
    found: dict[str, Digest] = {}
    for path in run.artifacts:
        if path.startswith(OPEN_FOLDER):
            continue
        try:
            data = reader.artifact(run.run_id, path)
        except StoreError:
            return None
        if data is not None:
            found[path] = Digest.of(data)
    return found
