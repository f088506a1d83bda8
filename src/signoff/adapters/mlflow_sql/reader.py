"""Runs, experiments and versions, read from MLflow's database without MLflow.

Importing MLflow takes seconds; a query takes milliseconds. Only tables and columns that MLflow 3.16 to 3.18
share are read, in one read-only transaction per call, so that a record is never half of two moments.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from signoff.adapters.mlflow_sql.database import Query, Row, chunks, many, marks, opener
from signoff.adapters.mlflow_sql.files import list_folder, local_path, read_file
from signoff.addresses import shown
from signoff.errors import StoreError
from signoff.record.dataset import DatasetRecord
from signoff.record.experiment import ExperimentRecord
from signoff.record.from_mlflow import (
    IS_PROMPT_TAG,
    PROMPT_TAG,
    USER_TAG,
    bare_model,
    dataset_record,
    in_order,
    model_id_of,
    named_by,
    older_models,
    with_model_file,
)
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import BareRun, LoggedModelRecord, RunRecord

_RUNS = """
    SELECT r.run_uuid, r.name, r.experiment_id, e.name, r.status, r.user_id,
           COALESCE(r.start_time, 0), r.end_time, r.artifact_uri
    FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
    WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active' AND e.workspace = ?
"""
_VERSIONS = """
    SELECT version, run_id, source, storage_location, creation_time
    FROM model_versions
    WHERE workspace = ? AND name = ? AND current_stage <> 'Deleted_Internal'
"""


class SqlReader:
    """Reads an MLflow store by SQL; implements `RunReader` and `RegistryReader`.

    Args:
        uri: ``sqlite:///path`` or ``postgresql://…``, as MLflow takes it.
        fetch_text: reads one file of an artifact store that is no local folder, by its URI; it raises
            FileNotFoundError when there is no such file. None: a run whose artifacts are remote is an error.
        list_files: lists the files below such a URI, recursively, as paths relative to it.
        workspace: the MLflow workspace to read.
        timeout: seconds to wait for a connection or for SQLite's lock.
    """

    def __init__(
        self,
        uri: str,
        *,
        fetch_text: Callable[[str], bytes] | None = None,
        list_files: Callable[[str], Sequence[str]] | None = None,
        workspace: str = "default",
        timeout: float = 20.0,
    ) -> None:
        self._open = opener(uri, timeout)
        self._fetch_text = fetch_text
        self._list_files = list_files
        self._workspace = workspace
        self._where = shown(uri)

    def run(self, run_id: str) -> RunRecord:
        """One run with everything it logged.

        Raises:
            StoreError: the database or the artifacts cannot be read, or there is no such active run.
        """
        with self._open() as query:
            found = _runs(query, query(f"{_RUNS} AND r.run_uuid = ?", (self._workspace, run_id)))
        if not found:
            raise StoreError(
                f"there is no active run {run_id!r}",
                where=self._where,
                hint="look for a typing error, and whether the run or its experiment was deleted",
            )
        return self._with_files(*found[0])

    def artifact(self, run_id: str, path: str) -> bytes | None:
        """The bytes of one artifact file of a run; None when there is no such file.

        Raises:
            StoreError: the database or the artifacts cannot be read.
        """
        with self._open() as query:
            found = query("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run_id,))
        return self._file(f"{str(found[0][0]).rstrip('/')}/{path}") if found else None

    def runs(self, experiments: tuple[str, ...], *, last: int | None = None) -> tuple[RunRecord, ...]:
        """Active runs of the experiments so named (a name may end in ``/*``), newest first.

        Raises:
            StoreError: the database or the artifacts cannot be read.
        """
        with self._open() as query:
            wanted = [
                experiment_id
                for experiment_id, name in query(
                    "SELECT experiment_id, name FROM experiments"
                    " WHERE lifecycle_stage = 'active' AND workspace = ?",
                    (self._workspace,),
                )
                if named_by(name, experiments)
            ]
            heads: list[Row] = []
            for ids in chunks(wanted):
                limit = "" if last is None else f" LIMIT {max(0, last)}"
                heads += query(
                    f"{_RUNS} AND r.experiment_id IN ({marks(ids)})"
                    f" ORDER BY COALESCE(r.start_time, 0) DESC, r.run_uuid{limit}",
                    (self._workspace, *ids),
                )
            heads.sort(key=lambda head: (-head[6], head[0]))
            found = _runs(query, heads if last is None else heads[: max(0, last)])
        return tuple(self._with_files(*run) for run in found)

    def bare_runs(self, *, since: int = 0) -> tuple[BareRun, ...]:
        """All active runs that were started since (milliseconds since 1970, UTC), newest first.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            heads = query(
                f"{_RUNS} AND COALESCE(r.start_time, 0) >= ?"
                " ORDER BY COALESCE(r.start_time, 0) DESC, r.run_uuid",
                (self._workspace, since),
            )
            found = _runs(query, heads)
        return tuple(BareRun(run=run, artifact_uri=artifact_uri) for run, artifact_uri in found)

    def with_files(self, bare: BareRun) -> RunRecord:
        """The run with the paths of its artifacts and with what its models' MLmodel files say.

        Raises:
            StoreError: the artifacts cannot be read.
        """
        return self._with_files(bare.run, bare.artifact_uri)

    def has_local_files(self, bare: BareRun) -> bool:
        """Whether the run's artifacts lie in a folder of this machine."""
        return local_path(bare.artifact_uri) is not None

    def active_runs(self, run_ids: Collection[str]) -> frozenset[str]:
        """Those of the runs that exist and were not deleted.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            return frozenset(
                run_id
                for chunk in chunks(sorted(run_ids))
                for (run_id, *_) in query(
                    f"{_RUNS} AND r.run_uuid IN ({marks(chunk)})", (self._workspace, *chunk)
                )
            )

    def registered_models(self) -> tuple[str, ...]:
        """Names of all registered models, sorted; prompts, which MLflow keeps among them, are left out.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(
                "SELECT m.name FROM registered_models m WHERE m.workspace = ? AND NOT EXISTS"
                " (SELECT 1 FROM registered_model_tags t WHERE t.workspace = m.workspace AND t.name = m.name"
                " AND t.key = ? AND t.value = 'true')",
                (self._workspace, IS_PROMPT_TAG),
            )
        return tuple(sorted(str(name) for (name,) in rows))

    def experiments(self) -> tuple[ExperimentRecord, ...]:
        """All active experiments, by name.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            experiments = query(
                "SELECT e.experiment_id, e.name, COUNT(r.run_uuid) FROM experiments e"
                " LEFT JOIN runs r ON r.experiment_id = e.experiment_id AND r.lifecycle_stage = 'active'"
                " WHERE e.lifecycle_stage = 'active' AND e.workspace = ?"
                " GROUP BY e.experiment_id, e.name",
                (self._workspace,),
            )
            claims = query(
                "SELECT DISTINCT r.experiment_id, t.value, r.user_id FROM runs r"
                " LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = ?"
                " WHERE r.lifecycle_stage = 'active'",
                (USER_TAG,),
            )
        users: dict[int, set[str]] = defaultdict(set)
        for experiment_id, tagged, claimed in claims:
            if user := tagged or claimed:
                users[experiment_id].add(user)
        return tuple(
            ExperimentRecord(
                experiment_id=str(experiment_id),
                name=name,
                runs=count,
                users=tuple(sorted(users[experiment_id])),
            )
            for experiment_id, name, count in sorted(experiments, key=lambda row: str(row[1]))
        )

    def version(self, name: str, version: int) -> ModelVersionRecord | None:
        """One version; None when the registry has no such model or version.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(f"{_VERSIONS} AND version = ?", (self._workspace, name, version))
            aliases = self._aliases(query, name)
        return _version(name, rows[0], aliases) if rows else None

    def versions(self, name: str) -> tuple[ModelVersionRecord, ...]:
        """All versions of a model, highest number first; empty when there is no such model.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(f"{_VERSIONS} ORDER BY version DESC", (self._workspace, name))
            aliases = self._aliases(query, name)
        return tuple(_version(name, row, aliases) for row in rows)

    def prompt(self, name: str, version: int) -> str | None:
        """The text of a prompt's version; None when the registry has no such prompt or version.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            rows = query(
                "SELECT value FROM model_version_tags WHERE workspace = ? AND name = ? AND version = ? AND key = ?",
                (self._workspace, name, version, PROMPT_TAG),
            )
        return str(rows[0][0]) if rows else None

    def alias(self, name: str, alias: str) -> int | None:
        """The version number that an alias points at; None when the model or the alias does not exist.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._open() as query:
            return self._aliases(query, name).get(alias)

    def _aliases(self, query: Query, name: str) -> dict[str, int]:
        rows = query(
            "SELECT alias, version FROM registered_model_aliases WHERE workspace = ? AND name = ?",
            (self._workspace, name),
        )
        return {alias: int(version) for alias, version in rows}

    def _with_files(self, run: RunRecord, artifact_uri: str) -> RunRecord:
        """The run with the paths of its artifacts and with what its models' MLmodel files say."""
        return replace(
            run,
            artifacts=self._files(artifact_uri),
            models=tuple(with_model_file(model, self._mlmodel(model)) for model in run.models),
        )

    def _files(self, uri: str) -> tuple[str, ...]:
        folder = local_path(uri)
        if folder is not None:
            return list_folder(folder)
        if self._list_files is None:
            raise self._out_of_reach(uri)
        return tuple(sorted(self._list_files(uri)))

    def _mlmodel(self, model: LoggedModelRecord) -> bytes | None:
        return self._file(f"{model.uri.rstrip('/')}/MLmodel")

    def _file(self, uri: str) -> bytes | None:
        path = local_path(uri)
        if path is not None:
            return read_file(path)
        if self._fetch_text is None:
            raise self._out_of_reach(uri)
        try:
            return self._fetch_text(uri)
        except FileNotFoundError:
            return None

    def _out_of_reach(self, uri: str) -> StoreError:
        return StoreError(
            f"the artifacts at {shown(uri)} are not in a local folder, and a database address alone does "
            "not reach them",
            where=self._where,
            hint="set the tracking URI to the http(s) address of the MLflow server",
        )


def _runs(query: Query, heads: Sequence[Row]) -> list[tuple[RunRecord, str]]:
    """Records of the runs, still without files, each with the root of its artifacts."""
    ids = [head[0] for head in heads]
    params = _pairs(query, "SELECT run_uuid, key, value FROM params WHERE run_uuid IN ({})", ids)
    tags = _pairs(query, "SELECT run_uuid, key, value FROM tags WHERE run_uuid IN ({})", ids)
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    for run_id, key, value, is_nan in many(
        query, "SELECT run_uuid, key, value, is_nan FROM latest_metrics WHERE run_uuid IN ({})", ids
    ):
        metrics[run_id][key] = float("nan") if is_nan else float(value)
    datasets = _datasets(query, ids)
    models = _models(query, ids)
    return [
        (
            RunRecord(
                run_id=run_id,
                run_name=name or tags[run_id].get("mlflow.runName", ""),
                experiment_id=str(experiment_id),
                experiment=experiment,
                status=status,
                user=tags[run_id].get(USER_TAG) or user or None,
                started_at=started_at,
                ended_at=ended_at,
                params=params[run_id],
                metrics=metrics[run_id],
                tags=tags[run_id],
                artifacts=(),
                datasets=in_order(datasets[run_id]),
                models=(*models[run_id], *older_models(tags[run_id], artifact_uri or "", models[run_id])),
            ),
            artifact_uri or "",
        )
        for run_id, name, experiment_id, experiment, status, user, started_at, ended_at, artifact_uri in heads
    ]


def _datasets(query: Query, ids: Sequence[str]) -> Mapping[str, list[DatasetRecord]]:
    tags = _pairs(
        query,
        "SELECT t.input_uuid, t.name, t.value FROM input_tags t JOIN inputs i ON i.input_uuid = t.input_uuid"
        " WHERE i.destination_type = 'RUN' AND i.destination_id IN ({})",
        ids,
    )
    found: dict[str, list[DatasetRecord]] = defaultdict(list)
    for run_id, input_id, name, digest, source_type, source, profile in many(
        query,
        "SELECT i.destination_id, i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source,"
        " d.dataset_profile FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id"
        " WHERE i.destination_type = 'RUN' AND i.destination_id IN ({})",
        ids,
    ):
        found[run_id].append(
            dataset_record(
                name=name,
                digest=digest,
                source_type=source_type,
                source=source,
                profile=profile,
                tags=tags[input_id],
            )
        )
    return found


def _models(query: Query, ids: Sequence[str]) -> Mapping[str, list[LoggedModelRecord]]:
    """The models that each run logged as outputs; MLflow keeps the link in the table of inputs."""
    found: dict[str, list[LoggedModelRecord]] = defaultdict(list)
    for run_id, model_id, name, location in many(
        query,
        "SELECT i.source_id, m.model_id, m.name, m.artifact_location"
        " FROM inputs i JOIN logged_models m ON m.model_id = i.destination_id"
        " WHERE i.source_type = 'RUN_OUTPUT' AND i.destination_type = 'MODEL_OUTPUT'"
        " AND m.lifecycle_stage = 'active' AND i.source_id IN ({})"
        " ORDER BY m.creation_timestamp_ms, m.model_id",
        ids,
    ):
        found[run_id].append(bare_model(model_id=model_id, name=name, uri=location))
    return found


def _version(name: str, row: Row, aliases: Mapping[str, int]) -> ModelVersionRecord:
    version, run_id, source, location, created_at = row
    return ModelVersionRecord(
        name=name,
        version=int(version),
        run_id=run_id or None,
        model_id=model_id_of(source or ""),
        uri=location or source or "",
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == version)),
        created_at=created_at or 0,
    )


def _pairs(query: Query, statement: str, ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
    """Names and values per owner, from a statement that selects owner, name and value."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for owner, name, value in many(query, statement, ids):
        found[owner][name] = "" if value is None else str(value)
    return found
