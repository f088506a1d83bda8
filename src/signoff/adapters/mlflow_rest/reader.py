"""Runs, experiments and versions, read from an MLflow server's REST API without MLflow."""

import ssl
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from signoff.adapters.mlflow_rest.server import PAGE, Server
from signoff.errors import StoreError
from signoff.record.dataset import DatasetRecord
from signoff.record.experiment import ExperimentRecord
from signoff.record.from_mlflow import (
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
from signoff.remote import Remote, Wire


class RestReader:
    """Reads an MLflow store through its server; implements `RunReader` and `RegistryReader`.

    Args:
        uri: ``http(s)://host[:port][/prefix]`` of the server; user and password in it count as given.
        username: user for basic authentication; needs a password.
        password: its password.
        token: bearer token, used when user and password are not both given.
        workspace: MLflow workspace to name in each request; None: the server's only one.
        tls: TLS settings, such as a private authority's certificate; None: the system's.
        timeout: seconds to wait for the server at each step of a request.
    """

    def __init__(
        self,
        uri: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        workspace: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._server = Server(
            Remote(
                uri,
                username=username,
                password=password,
                token=token,
                workspace=workspace,
                tls=tls,
                timeout=timeout,
            )
        )

    def run(self, run_id: str) -> RunRecord:
        """One run with everything it logged.

        Raises:
            StoreError: the server cannot be reached or refuses, or there is no such active run.
        """
        with self._server.understood():
            answer = self._server.get("runs/get", {"run_id": run_id})
            if answer is not None and answer["run"]["info"]["lifecycle_stage"] == "active":
                run = answer["run"]
                experiment = self._server.get(
                    "experiments/get", {"experiment_id": run["info"]["experiment_id"]}
                )
                if experiment is not None and experiment["experiment"]["lifecycle_stage"] == "active":
                    return self._run(run, experiment["experiment"]["name"])
        raise StoreError(
            f"there is no active run {run_id!r}",
            where=self._server.address,
            hint="look for a typing error, and whether the run or its experiment was deleted",
        )

    def artifact(self, run_id: str, path: str) -> bytes | None:
        """The bytes of one artifact file of a run; None when there is no such file.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        return self._run_file(run_id, path, tuple(self._files(run_id)))

    def runs(self, experiments: tuple[str, ...], *, last: int | None = None) -> tuple[RunRecord, ...]:
        """Active runs of the experiments so named (a name may end in ``/*``), newest first.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            names = {
                experiment["experiment_id"]: experiment["name"]
                for experiment in self._experiments()
                if named_by(experiment["name"], experiments)
            }
            found: list[Wire] = []
            for run in self._search_runs(list(names), last):
                if last is not None and len(found) >= last:
                    break
                found.append(run)
            found.sort(key=lambda run: (-_started(run), run["info"]["run_id"]))
            return tuple(self._run(run, names[run["info"]["experiment_id"]]) for run in found)

    def bare_runs(self, *, since: int = 0) -> tuple[BareRun, ...]:
        """All active runs that were started since (milliseconds since 1970, UTC), newest first.

        A thousand runs take one request; their models and artifacts would take several each.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            names = {found["experiment_id"]: found["name"] for found in self._experiments()}
            found = [
                BareRun(
                    run=_bare_run(run, names[run["info"]["experiment_id"]]),
                    artifact_uri=run["info"].get("artifact_uri", ""),
                )
                for run in self._search_runs(list(names), since=since)
            ]
        return tuple(sorted(found, key=lambda bare: (-bare.run.started_at, bare.run.run_id)))

    def with_files(self, bare: BareRun) -> RunRecord:
        """The run with the paths of its artifacts and with what its models' MLmodel files say.

        Raises:
            StoreError: the server cannot be reached or refuses, or the run is gone.
        """
        return self.run(bare.run.run_id)

    def has_local_files(self, bare: BareRun) -> bool:  # noqa: ARG002 - the server may answer for any folder
        """Never: a server's artifacts cost requests."""
        return False

    def active_runs(self, run_ids: Collection[str]) -> frozenset[str]:
        """Those of the runs that exist and were not deleted, a request each.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            answers = {run_id: self._server.get("runs/get", {"run_id": run_id}) for run_id in sorted(run_ids)}
            return frozenset(
                run_id
                for run_id, answer in answers.items()
                if answer is not None and answer["run"]["info"]["lifecycle_stage"] == "active"
            )

    def registered_models(self) -> tuple[str, ...]:
        """Names of all registered models, sorted.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            found = self._server.list(
                "registered-models/search", "registered_models", {"max_results": str(PAGE)}
            )
            return tuple(sorted(str(model["name"]) for model in found))

    def experiments(self) -> tuple[ExperimentRecord, ...]:
        """All active experiments, by name.

        The API does not count: this reads all runs, a thousand per request.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            experiments = list(self._experiments())
            counts: dict[str, int] = defaultdict(int)
            users: dict[str, set[str]] = defaultdict(set)
            for run in self._search_runs([experiment["experiment_id"] for experiment in experiments]):
                experiment_id = run["info"]["experiment_id"]
                counts[experiment_id] += 1
                if user := _user(run):
                    users[experiment_id].add(user)
            return tuple(
                ExperimentRecord(
                    experiment_id=experiment["experiment_id"],
                    name=experiment["name"],
                    runs=counts[experiment["experiment_id"]],
                    users=tuple(sorted(users[experiment["experiment_id"]])),
                )
                for experiment in sorted(experiments, key=lambda experiment: str(experiment["name"]))
            )

    def version(self, name: str, version: int) -> ModelVersionRecord | None:
        """One version; None when the registry has no such model or version.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            answer = self._server.get("model-versions/get", {"name": name, "version": str(version)})
            if answer is None:
                return None
            found = answer["model_version"]
            return self._version(found, {alias: int(found["version"]) for alias in found.get("aliases", ())})

    def versions(self, name: str) -> tuple[ModelVersionRecord, ...]:
        """All versions of a model, highest number first; empty when there is no such model.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        mark = '"' if "'" in name else "'"
        if mark in name:
            raise StoreError(
                f"the model name {name!r} holds both kinds of quotes, which MLflow cannot search for",
                where=self._server.address,
            )
        with self._server.understood():
            aliases = self._aliases(name)
            found = [
                self._version(version, aliases)
                for version in self._server.list(
                    "model-versions/search",
                    "model_versions",
                    {"filter": f"name={mark}{name}{mark}", "max_results": str(PAGE)},
                )
            ]
            return tuple(sorted(found, key=lambda version: -version.version))

    def prompt(self, name: str, version: int) -> str | None:
        """The text of a prompt's version; None when the registry has no such prompt or version.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            answer = self._server.get("model-versions/get", {"name": name, "version": str(version)})
            return None if answer is None else _texts(answer["model_version"].get("tags", ())).get(PROMPT_TAG)

    def alias(self, name: str, alias: str) -> int | None:
        """The version number that an alias points at; None when the model or the alias does not exist.

        Raises:
            StoreError: the server cannot be reached or refuses.
        """
        with self._server.understood():
            return self._aliases(name).get(alias)

    def _aliases(self, name: str) -> Mapping[str, int]:
        answer = self._server.get("registered-models/get", {"name": name})
        model = {} if answer is None else answer["registered_model"]
        return {entry["alias"]: int(entry["version"]) for entry in model.get("aliases", ())}

    def _version(self, found: Wire, aliases: Mapping[str, int]) -> ModelVersionRecord:
        name, version, uri = found["name"], int(found["version"]), found.get("source") or ""
        model_id = model_id_of(uri)
        if uri.startswith("models:"):
            answer = self._server.get(
                "model-versions/get-download-uri", {"name": name, "version": str(version)}
            )
            uri = uri if answer is None else answer["artifact_uri"]
        return ModelVersionRecord(
            name=name,
            version=version,
            run_id=found.get("run_id") or None,
            model_id=model_id,
            uri=uri,
            aliases=tuple(sorted(alias for alias, target in aliases.items() if target == version)),
            created_at=int(found.get("creation_timestamp", 0)),
        )

    def _experiments(self) -> Iterator[Wire]:
        return self._server.search(
            "experiments/search", "experiments", {"view_type": "ACTIVE_ONLY", "max_results": PAGE}
        )

    def _search_runs(
        self, experiment_ids: list[str], last: int | None = None, *, since: int = 0
    ) -> Iterator[Wire]:
        if not experiment_ids or last == 0:
            return iter(())
        return self._server.search(
            "runs/search",
            "runs",
            {
                "experiment_ids": experiment_ids,
                "filter": f"attributes.start_time >= {since}" if since else "",
                "run_view_type": "ACTIVE_ONLY",
                "order_by": ["attributes.start_time DESC", "attributes.run_id ASC"],
                "max_results": PAGE if last is None else min(PAGE, last),
            },
        )

    def _run(self, run: Wire, experiment: str) -> RunRecord:
        bare = _bare_run(run, experiment)
        artifact_uri = run["info"].get("artifact_uri", "")
        artifacts = tuple(sorted(self._files(bare.run_id)))
        logged = self._models(run)
        older = tuple(
            with_model_file(model, self._run_file(bare.run_id, f"{model.name}/MLmodel", artifacts))
            for model in older_models(bare.tags, artifact_uri, logged)
        )
        return replace(bare, artifacts=artifacts, models=(*logged, *older))

    def _models(self, run: Wire) -> tuple[LoggedModelRecord, ...]:
        """The run's models of MLflow 3 that were not deleted, in the order of logging."""
        infos: list[Wire] = []
        for output in run.get("outputs", {}).get("model_outputs", ()):
            answer = self._server.get(f"logged-models/{quote(output['model_id'], safe='')}")
            if answer is not None:
                infos.append(answer["model"]["info"])
        infos.sort(key=lambda info: (int(info["creation_timestamp_ms"]), info["model_id"]))
        return tuple(
            with_model_file(
                bare_model(model_id=info["model_id"], name=info["name"], uri=info["artifact_uri"]),
                self._server.file(
                    f"/ajax-api/2.0/mlflow/logged-models/{quote(info['model_id'], safe='')}/artifacts/files",
                    {"artifact_file_path": "MLmodel"},
                ),
            )
            for info in infos
        )

    def _files(self, run_id: str) -> Iterator[str]:
        """Paths of all artifact files of the run; the API lists one folder per request."""
        folders: list[str | None] = [None]
        while folders:
            folder = folders.pop()
            query = {"run_id": run_id} if folder is None else {"run_id": run_id, "path": folder}
            for file in self._server.list("artifacts/list", "files", query):
                if file.get("is_dir"):
                    folders.append(file["path"])
                else:
                    yield file["path"]

    def _run_file(self, run_id: str, path: str, artifacts: tuple[str, ...]) -> bytes | None:
        return (
            self._server.file("/get-artifact", {"run_id": run_id, "path": path})
            if path in artifacts
            else None
        )


def _bare_run(run: Wire, experiment: str) -> RunRecord:
    """The run without what only further requests would tell: artifacts and models."""
    info, data = run["info"], run.get("data", {})
    tags = _texts(data.get("tags", ()))
    ended_at = info.get("end_time")
    return RunRecord(
        run_id=info["run_id"],
        run_name=info.get("run_name") or tags.get("mlflow.runName", ""),
        experiment_id=info["experiment_id"],
        experiment=experiment,
        status=info["status"],
        user=_user(run),
        started_at=_started(run),
        ended_at=None if ended_at is None else int(ended_at),
        params=_texts(data.get("params", ())),
        metrics={metric["key"]: float(metric["value"]) for metric in data.get("metrics", ())},
        tags=tags,
        artifacts=(),
        datasets=_datasets(run),
        models=(),
    )


def _datasets(run: Wire) -> tuple[DatasetRecord, ...]:
    return in_order(
        [
            dataset_record(
                name=given["dataset"]["name"],
                digest=given["dataset"]["digest"],
                source_type=given["dataset"].get("source_type", ""),
                source=given["dataset"].get("source", ""),
                profile=given["dataset"].get("profile"),
                tags=_texts(given.get("tags", ())),
            )
            for given in run.get("inputs", {}).get("dataset_inputs", ())
        ]
    )


def _texts(entries: Any) -> dict[str, str]:
    return {entry["key"]: entry.get("value", "") for entry in entries}


def _user(run: Wire) -> str | None:
    tags = _texts(run.get("data", {}).get("tags", ()))
    return tags.get(USER_TAG) or run["info"].get("user_id") or None


def _started(run: Wire) -> int:
    return int(run["info"].get("start_time", 0))
