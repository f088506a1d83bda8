"""What only MLflow's database tells of a guarded store: freeze marks, the metrics' whole history, tags, triggers."""

from collections.abc import Collection, Mapping

from signoff.adapters.mlflow_sql.database import many, opener
from signoff.release.guard.evidence import FROZEN_MARK, MetricPoint

_WORKSPACE = "default"


class GuardedReader:
    """Reads an MLflow database by SQL, each call in a read-only transaction of its own.

    Args:
        uri: ``sqlite:///path`` or ``postgresql://…``.
        timeout: seconds to wait for a connection or for SQLite's lock.
    """

    def __init__(self, uri: str, *, timeout: float = 20.0) -> None:
        self._open = opener(uri, timeout)
        self._sqlite = uri.startswith("sqlite")

    def is_mlflow(self) -> bool:
        """Whether the database holds MLflow's tables: a ledger may have one of its own.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            if self._sqlite:
                return bool(query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'runs'", ()))
            return query("SELECT to_regclass('runs') IS NOT NULL", ()) == [(True,)]

    def marks(self, run_ids: Collection[str]) -> Mapping[str, str]:
        """The freeze mark of each run that exists, "" for a run that is not frozen.

        Raises:
            StoreError: the database cannot be read.
        """
        statement = "SELECT run_uuid, entry_point_name FROM runs WHERE run_uuid IN ({})"
        with self._open() as query:
            return {run_id: mark or "" for run_id, mark in many(query, statement, sorted(run_ids))}

    def frozen(self) -> Mapping[str, str]:
        """Every run that bears the freeze mark, deleted or not, with the name of its experiment.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(
                "SELECT r.run_uuid, e.name FROM runs r"
                " JOIN experiments e ON e.experiment_id = r.experiment_id WHERE r.entry_point_name = ?",
                (FROZEN_MARK,),
            )
        return {str(run_id): str(experiment) for run_id, experiment in rows}

    def points(self, run_id: str) -> tuple[MetricPoint, ...]:
        """Every value that a run ever logged for its metrics.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(
                "SELECT key, value, is_nan, step, timestamp FROM metrics WHERE run_uuid = ?", (run_id,)
            )
        return tuple(
            MetricPoint(
                name=str(key), value=float("nan") if is_nan else float(value), step=int(step), at=int(at)
            )
            for key, value, is_nan, step, at in rows
        )

    def version_tags(self, name: str, key: str) -> Mapping[int, str]:
        """Value of a tag per version of a registered model.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(
                "SELECT version, value FROM model_version_tags WHERE workspace = ? AND name = ? AND key = ?",
                (_WORKSPACE, name, key),
            )
        return {int(version): str(value) for version, value in rows}

    def triggers(self) -> tuple[str, ...]:
        """Names of the database's triggers that are Signoff's, sorted.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, 8) = 'signoff_'"
                if self._sqlite
                else "SELECT DISTINCT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
                " AND substr(tgname, 1, 8) = 'signoff_'",
                (),
            )
        return tuple(sorted(str(name) for (name,) in rows))
