"""What a run shows now, as digests: taken when a proposal freezes it, and again by the tripwire."""

from urllib.parse import urlparse

from signoff.adapters.mlflow_sql.guarded import GuardedReader
from signoff.apps.workspace import Reader, Workspace
from signoff.errors import StoreError
from signoff.record.digest import Digest
from signoff.record.run import RunRecord
from signoff.release.guard.evidence import OPEN_FOLDER, evidence_digests


def database_of(workspace: Workspace) -> GuardedReader | None:
    """MLflow's database, where its address is known here: the store's own, or the ledger's where it lies there."""
    for address in (workspace.tracking_uri, workspace.ledger_uri):
        if address is not None and urlparse(address).scheme.partition("+")[0] in ("sqlite", "postgresql"):
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
