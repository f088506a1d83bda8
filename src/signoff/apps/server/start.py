"""`signoff admin server`: checks what can be checked at once, and becomes `mlflow server --app-name signoff`."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signoff.addresses import shown
from signoff.apps.server.administrator import require_administrator
from signoff.apps.server.prerequisites import (
    require,
    require_artifacts,
    require_no_workspaces,
    require_only_uvicorn,
    require_port,
)
from signoff.apps.server.settings import APP_NAME, WRITE_PROTECTED_VARIABLE, Settings
from signoff.apps.workspace import KEY_VARIABLE
from signoff.errors import UsageError

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_JOBS = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"
_SERVE, _NO = "MLFLOW_SERVE_ARTIFACTS", ("false", "0", "no", "off", "f", "n")
_OF_CLIENTS = frozenset({"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", KEY_VARIABLE})
"""Variables that speak to clients; the person's own key is not the server's."""
_NOT_BEHIND = frozenset(
    {
        *("--app-name", "--dev", "--gunicorn-opts", "--waitress-opts", "--host", "-h", "--port", "-p"),
        *("--workers", "-w", "--backend-store-uri", "--registry-store-uri", "--default-artifact-root"),
        *("--serve-artifacts", "--no-serve-artifacts", "--artifacts-only", "--artifacts-destination"),
        *("--static-prefix", "--enable-workspaces", "--workspace-store-uri"),
    }
)
_DATABASES = ("sqlite", "postgresql", "postgres")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the operator asks for.

    Attributes:
        host: address to listen on.
        port: TCP port.
        workers: processes that answer.
        database: URI of MLflow's database, a file's path absolute.
        artifacts: folder or bucket for artifacts.
        auth: none, basic-auth, or another `mlflow.app` entry point.
        key: the server's key; None for none.
        standard: the standard's file, absolute.
        static_prefix: path that everything of MLflow lies below; None for none.
        serve_artifacts: artifacts go through the server.
        bucket_write_protected: clients have no right to write where artifacts are kept.
        mlflow_options: further options of `mlflow server`.
    """

    host: str
    port: int
    workers: int
    database: str
    artifacts: str
    auth: str
    key: Path | None
    standard: Path
    static_prefix: str | None
    serve_artifacts: bool
    bucket_write_protected: bool
    mlflow_options: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A program to become.

    Attributes:
        arguments: program and arguments.
        environment: all of its environment.
        folder: where it works: MLflow's own relative paths, such as that of its users' database, lie there.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path


def plan(wanted: Wanted, environ: Mapping[str, str]) -> Command:
    """Check what can be checked without MLflow, which takes seconds to import, and say what to run.

    Args:
        wanted: what the operator asks for.
        environ: this process's environment.

    Raises:
        SignoffError: the first thing that is missing.
    """
    if wanted.database.partition(":")[0].partition("+")[0] not in _DATABASES:
        raise UsageError(
            "the server needs MLflow's database, and the standard's store is not one",
            where=shown(wanted.database),
            hint="--backend-store-uri sqlite:///… or postgresql://…",
        )
    given = {
        "gunicorn_opts": environ.get("MLFLOW_GUNICORN_OPTS"),
        "registry_store_uri": environ.get("MLFLOW_REGISTRY_STORE_URI"),
        "backend_store_uri": wanted.database,
        "serve_artifacts": wanted.serve_artifacts and environ.get(_SERVE, "true").lower() not in _NO,
        "default_artifact_root": environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT"),
    }
    _require_plain_options(wanted.mlflow_options)
    require_only_uvicorn(given)
    require_no_workspaces(environ)
    require_artifacts(given, write_protected=wanted.bucket_write_protected)
    settings = Settings(standard=wanted.standard, key=wanted.key, auth=wanted.auth, database=wanted.database)
    require(settings, host=wanted.host)
    if wanted.auth == "basic-auth":
        require_administrator(environ, wanted.standard.parent)
    require_port(wanted.host, wanted.port)
    return Command(
        arguments=_arguments(wanted),
        environment=_environment(wanted, settings, environ),
        folder=wanted.standard.parent,
    )


def _require_plain_options(options: tuple[str, ...]) -> None:
    """Behind `--` stands nothing that this command decides, or that cannot be guarded."""
    named = (option.partition("=") for option in options if option.startswith("-"))
    require_only_uvicorn({name.lstrip("-").replace("-", "_"): value or name for name, _, value in named})
    for option in options:
        name = option.partition("=")[0]
        if name == "--default-artifact-root":
            raise UsageError(
                f"{name} does not go behind `--`: clients would write artifacts past the guard",
                hint="--no-serve-artifacts --artifacts-destination PLACE --bucket-write-protected, when clients have"
                " no right to write there",
            )
        if name in _NOT_BEHIND:
            raise UsageError(
                f"{name} does not go behind `--`",
                hint="signoff admin server --help lists its own options; the rest of them cannot be guarded",
            )


def _arguments(wanted: Wanted) -> tuple[str, ...]:
    options = ["--app-name", APP_NAME, "--host", wanted.host, "--port", str(wanted.port)]
    options += ["--workers", str(wanted.workers), "--backend-store-uri", wanted.database]
    if wanted.serve_artifacts:
        options += ["--artifacts-destination", wanted.artifacts]
    else:
        options += ["--no-serve-artifacts", "--default-artifact-root", wanted.artifacts]
    if wanted.static_prefix:
        options += ["--static-prefix", wanted.static_prefix]
    return (sys.executable, "-m", "mlflow", "server", *options, *wanted.mlflow_options)


def _environment(wanted: Wanted, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in _OF_CLIENTS}
    # A server's jobs write without anybody who asks for it: they are refused, and so not started.
    jobs = {_JOBS: environ.get(_JOBS, "false")}
    protected = {WRITE_PROTECTED_VARIABLE: "true"} if wanted.bucket_write_protected else {}
    return {**kept, **_QUIET, **jobs, **protected, **settings.to_environment()}


def become(command: Command) -> None:
    """Run the command in place of this process; does not return."""
    os.chdir(command.folder)
    os.execve(command.arguments[0], command.arguments, dict(command.environment))  # noqa: S606 - no shell
