"""The client of one store."""

import posixpath
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from signoff.adapters.mlflow_store.calls import (
    ONE_AT_A_TIME,
    as_store_error,
    as_the_process_s,
    quiet,
    settings,
)
from signoff.adapters.mlflow_store.joined import Commit, joined, listen_for_commits
from signoff.addresses import shown
from signoff.errors import StoreError
from signoff.record.dataset import InputCopy
from signoff.release.warrant import warranted

_BATCH = 100
"""Params or tags that MLflow takes in one request; of metrics it takes more."""


class MlflowStore:
    """MLflow's client for one tracking URI.

    Every call names this address to MLflow, and leaves the process's own tracking URI as it was: several stores
    in one process do not mix.

    Args:
        tracking_uri: the address.
        credentials: values of the variables in `CREDENTIALS` for this server, and no others; None: the process's.
        served: inside an MLflow server the folder or bucket of the artifacts that it proxies: they are read there
            and not through itself. None elsewhere.
    """

    def __init__(
        self, tracking_uri: str, *, credentials: Mapping[str, str] | None = None, served: str | None = None
    ) -> None:
        self._uri = tracking_uri
        self._credentials = credentials
        self._served = served
        if served is not None:
            listen_for_commits()
        self._made: Any = None

    @property
    def in_database(self) -> bool:
        """Whether writes go straight to a database, so that a commit hook can join their transaction."""
        return urlparse(self._uri).scheme.split("+")[0] in ("sqlite", "postgresql")

    def _client(self) -> Any:
        if self._made is None:
            import mlflow

            self._made = mlflow.MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._made

    @contextmanager
    def _asking(self, where: str | None = None, *, once: bool = False) -> Iterator[None]:
        """Around each call: this server's credentials, and errors as ours.

        Args:
            where: what is asked about, for messages; None: the store.
            once: whether a request whose answer is lost must not be sent again: it would make two things.

        Raises:
            StoreError: MLflow could not be reached, or refused.
        """
        with (
            ONE_AT_A_TIME,
            as_store_error(where or self._uri),
            quiet(),
            settings(self._credentials, once=once),
        ):
            yield

    @contextmanager
    def _reading(self, uri: str) -> Iterator[None]:
        """Around reading artifacts; a server's other requests do not wait for it."""
        with self._asking(uri) if self._served is None else as_store_error(uri):
            yield

    def register(self, name: str, *, run_id: str, source: str, model_id: str | None, description: str) -> int:
        """Register a version of a run's model, or find the one that was registered before.

        Returns:
            The version number.
        """
        warrants = [
            warranted("registered_models", name=name, operation="insert"),
            warranted("model_versions", name=name, run_id=run_id, source=source, operation="insert"),
        ]
        if model_id is not None:
            warrants.append(warranted("logged_model_tags", model_id=model_id, tag_key="mlflow.modelVersions"))
        with self._asking(once=True), as_the_process_s(self._uri), _holding(*warrants):
            client = self._client()
            existing = client.search_registered_models(filter_string=f"name = '{_quoted(name)}'")
            if not existing:
                client.create_registered_model(name)
            for version in client.search_model_versions(f"name = '{_quoted(name)}'"):
                if version.run_id == run_id and version.source == source:
                    return int(version.version)
            made = client.create_model_version(
                name, source=source, run_id=run_id, model_id=model_id, description=description
            )
            return int(made.version)

    def set_alias(self, name: str, alias: str, version: int, *, commit: Commit | None) -> None:
        """Point an alias at a version.

        Args:
            name: registered model.
            alias: the alias.
            version: the version.
            commit: joins the same transaction; only for databases (`in_database`).

        Raises:
            StoreError: the alias was not moved, and whatever ``commit`` wrote was rolled back with it.
        """
        join = joined(commit, name=name, alias=alias, version=version)
        warrant = warranted("registered_model_aliases", name=name, alias=alias, version=str(version))
        with self._asking(), join, warrant:
            self._client().set_registered_model_alias(name, alias, str(version))

    def delete_alias(self, name: str, alias: str, *, commit: Commit | None) -> None:
        """Delete an alias.

        Args:
            name: registered model.
            alias: the alias.
            commit: joins the same transaction; only for databases (`in_database`).

        Raises:
            StoreError: the alias was not deleted, and whatever ``commit`` wrote was rolled back with it.
        """
        join = joined(commit, name=name, alias=alias, version=None)
        warrant = warranted("registered_model_aliases", name=name, alias=alias, operation="delete")
        with self._asking(), join, warrant:
            self._client().delete_registered_model_alias(name, alias)

    def tag_version(self, name: str, version: int, key: str, value: str) -> None:
        """Set a tag on a version, for people's eyes."""
        warrant = warranted("model_version_tags", name=name, version=str(version), key=key, value=value)
        with self._asking(), warrant:
            self._client().set_model_version_tag(name, str(version), key, value)

    def download(self, uri: str, into: Path) -> None:
        """Copy what is in an artifact folder into a local one.

        Raises:
            StoreError: it is not there or cannot be read.
        """
        with self._reading(uri):
            self._repository(uri).download_artifacts("", dst_path=str(into))

    def read_file(self, uri: str) -> bytes:
        """The bytes of one artifact file.

        Raises:
            FileNotFoundError: there is no such file.
            StoreError: the artifact store cannot be read.
        """
        folder, _, name = uri.rpartition("/")
        if name not in self.list_files(folder):
            raise FileNotFoundError(uri)
        with self._reading(uri), tempfile.TemporaryDirectory() as local:
            return Path(self._repository(folder).download_artifacts(name, dst_path=local)).read_bytes()

    def list_files(self, uri: str) -> tuple[str, ...]:
        """Paths of all files below an artifact URI, relative to it, sorted.

        Raises:
            StoreError: the artifact store cannot be read.
        """
        with self._reading(uri):
            repository = self._repository(uri)
            found: list[str] = []
            folders: list[str | None] = [None]
            while folders:
                for entry in repository.list_artifacts(folders.pop()):
                    (folders if entry.is_dir else found).append(entry.path)
            return tuple(sorted(found))

    def _repository(self, uri: str) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if self._served is not None:
            uri = _where_served(uri, self._served)
        return get_artifact_repository(uri, tracking_uri=self._uri, registry_uri=self._uri)

    def _run_files(self, run_id: str) -> Any:
        """A run's artifacts: MLflow's own cache of them knows run ids, not servers."""
        return self._repository(self._client().get_run(run_id).info.artifact_uri)

    def log_text(self, run_id: str, path: str, text: str) -> None:
        """Write a text file among a run's artifacts."""
        with self._asking(), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            file.write_text(text, "utf-8")
            parent = str(Path(path).parent)
            self._run_files(run_id).log_artifact(str(file), None if parent == "." else parent)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag on a run."""
        with self._asking(), warranted("tags", run_uuid=run_id, key=key, value=value):
            self._client().set_tag(run_id, key, value)

    def tag(self, run_id: str, key: str) -> str:
        """A tag of a run; "" when it has none of that name."""
        with self._asking():
            return str(self._client().get_run(run_id).data.tags.get(key, ""))

    def inputs_of(self, run_id: str) -> tuple[InputCopy, ...]:
        """The inputs that a run logged, as MLflow keeps them."""
        with self._asking():
            return tuple(
                InputCopy(
                    name=given.dataset.name,
                    digest=given.dataset.digest,
                    source_type=given.dataset.source_type,
                    source=given.dataset.source,
                    schema=given.dataset.schema,
                    profile=given.dataset.profile,
                    tags={tag.key: tag.value for tag in given.tags},
                )
                for given in self._client().get_run(run_id).inputs.dataset_inputs
            )

    def find_runs(self, experiment: str, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Ids of the active runs of an experiment with all of these tags, oldest first."""
        with self._asking():
            client = self._client()
            found = client.get_experiment_by_name(experiment)
            if found is None:
                return ()
            wanted = " and ".join(f"tags.`{key}` = '{_quoted(value)}'" for key, value in tags.items())
            runs = client.search_runs(
                [found.experiment_id], wanted, order_by=["attributes.start_time ASC", "attributes.run_id ASC"]
            )
            return tuple(run.info.run_id for run in runs)

    def create_run(self, experiment: str, *, name: str, started_at: int, tags: Mapping[str, str]) -> str:
        """Make a run, and the experiment when there is none of that name; returns the run's id.

        Args:
            experiment: name of the experiment.
            name: the run's name.
            started_at: milliseconds since 1970, UTC.
            tags: tags that it has from its first moment.
        """
        warrants = [
            warranted("experiments", name=experiment),
            warranted("runs", name=name, start_time=str(started_at), operation="insert"),
            *(warranted("tags", key=key, value=value, operation="insert") for key, value in tags.items()),
            warranted("tags", key="mlflow.runName", value=name, operation="insert"),
        ]
        with self._asking(once=True), _holding(*warrants):
            client = self._client()
            found = client.get_experiment_by_name(experiment)
            if found is not None and found.lifecycle_stage != "active":
                raise StoreError(
                    f"experiment {experiment!r} was deleted there",
                    where=shown(self._uri),
                    hint="restore it: mlflow experiments restore",
                )
            experiment_id = (
                client.create_experiment(experiment, artifact_location=self._beside(experiment))
                if found is None
                else found.experiment_id
            )
            made = client.create_run(experiment_id, start_time=started_at, tags=dict(tags), run_name=name)
            return str(made.info.run_id)

    def _beside(self, experiment: str) -> str | None:
        """Where a new experiment's artifacts go: MLflow would put those of a SQLite file where the command is run."""
        parts = urlparse(self._uri)
        if parts.scheme.split("+")[0] == "postgresql":
            raise StoreError(
                f"there is no experiment {experiment!r}, and a database does not say where artifacts belong",
                where=shown(self._uri),
                hint="create it there with an artifact location, or name the MLflow server's http address",
            )
        if parts.scheme.split("+")[0] != "sqlite":
            return None
        return str(Path(parts.path[1:]).absolute().parent / "mlartifacts" / experiment)

    def log_facts(
        self,
        run_id: str,
        *,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        at: int,
        tags: Mapping[str, str],
        inputs: Iterable[InputCopy],
    ) -> None:
        """Log to a run what another one logged; what is there already stays one.

        Args:
            run_id: the run.
            params: its parameters.
            metrics: its metrics.
            at: the metrics' time, milliseconds since 1970, UTC.
            tags: its tags.
            inputs: its inputs.
        """
        warrants = [
            *(warranted(table, run_uuid=run_id) for table in ("params", "metrics", "latest_metrics", "tags")),
            warranted("inputs", destination_id=run_id, operation="insert"),
            *(warranted(table, operation="insert") for table in ("datasets", "input_tags")),
        ]
        with self._asking(), _holding(*warrants):
            from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

            client = self._client()
            rows: list[tuple[str, list[Any]]] = [
                ("params", [Param(key, value) for key, value in params.items()]),
                ("metrics", [Metric(key, value, at, 0) for key, value in metrics.items()]),
                ("tags", [RunTag(key, value) for key, value in tags.items()]),
            ]
            for kind, all_of_them in rows:
                for start in range(0, len(all_of_them), _BATCH):
                    client.log_batch(run_id, **{kind: all_of_them[start : start + _BATCH]})
            datasets = [
                DatasetInput(
                    Dataset(
                        name=given.name,
                        digest=given.digest,
                        source_type=given.source_type,
                        source=given.source,
                        schema=given.schema,
                        profile=given.profile,
                    ),
                    [InputTag(key, value) for key, value in given.tags.items()],
                )
                for given in inputs
            ]
            if datasets:
                client.log_inputs(run_id, datasets=datasets)

    def log_files(self, run_id: str, folder: Path) -> None:
        """Write all files below a local folder among a run's artifacts."""
        with self._asking():
            self._run_files(run_id).log_artifacts(str(folder))

    def finish_run(self, run_id: str, *, status: str, ended_at: int | None) -> None:
        """Set how and when a run ended (milliseconds since 1970, UTC)."""
        with self._asking(), warranted("runs", run_uuid=run_id, status=status):
            self._client().set_terminated(run_id, status=status, end_time=ended_at)

    def log_model_folder(self, run_id: str, folder: Path, *, name: str) -> str:
        """Keep a model folder as the run's logged model, byte for byte; returns the model's id.

        A model that the run has already is written over: nobody may have registered it.
        """
        warrants = [
            warranted("logged_models", source_run_id=run_id),
            warranted("inputs", source_id=run_id, operation="insert"),
        ]
        with self._asking(once=True), _holding(*warrants):
            from mlflow.entities import LoggedModelOutput

            client = self._client()
            experiment = client.get_run(run_id).info.experiment_id
            there = client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'")
            model = there[0] if there else client.create_logged_model(experiment, name, source_run_id=run_id)
            self._repository(model.artifact_location).log_artifacts(str(folder))
            if all(o.model_id != model.model_id for o in client.get_run(run_id).outputs.model_outputs):
                client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
            client.finalize_logged_model(model.model_id, "READY")
            return str(model.model_id)


@contextmanager
def _holding(*warrants: AbstractContextManager[None]) -> Iterator[None]:
    """Hold warrants for the rows of one call."""
    with ExitStack() as stack:
        for warrant in warrants:
            stack.enter_context(warrant)
        yield


def _where_served(uri: str, root: str) -> str:
    """The place behind an address that an MLflow server proxies; other addresses as they are.

    Raises:
        StoreError: the address leaves the root.
    """
    parts = urlparse(uri)
    if parts.scheme != "mlflow-artifacts":
        return uri
    path = posixpath.normpath(f"/{unquote(parts.path)}").lstrip("/")
    if ".." in unquote(parts.path).split("/"):
        raise StoreError("this artifact address leaves the server's artifacts", where=uri)
    return f"{root.rstrip('/')}/{path}"


def _quoted(name: str) -> str:
    return name.replace("'", "\\'")
