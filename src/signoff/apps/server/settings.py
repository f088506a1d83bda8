"""How a guarded server was started, as its parent hands it to its workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from signoff.adapters.ledger_http import API
from signoff.apps.locate import VARIABLE as STANDARD_VARIABLE
from signoff.apps.workspace import KEY_VARIABLE
from signoff.errors import UsageError

APP_NAME = "signoff"
"""Name of the `mlflow.app` entry point."""
API_PREFIXES = (API, "/ajax-api/2.0/signoff")
PAGES_PREFIX = "/signoff"
AUTH_VARIABLE = "SIGNOFF_AUTH_APP"
WRITE_PROTECTED_VARIABLE = "SIGNOFF_BUCKET_WRITE_PROTECTED"
PREPARED_VARIABLE = "_SIGNOFF_SERVER"
"""Path of the file in which a worker that cannot start says why; set by the command that prepared the start."""
DATABASE_VARIABLE = "_MLFLOW_SERVER_FILE_STORE"
PREFIX_VARIABLE = "_MLFLOW_STATIC_PREFIX"
DESTINATION_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
SERVER_VARIABLE = "_MLFLOW_SGI_NAME"

Auth: TypeAlias = Literal["none", "basic-auth"] | str  # noqa: PYI051 - the two that are built in, or a plugin's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What parent and workers agree on.

    Attributes:
        standard: the standard's file, absolute.
        key: the server's key, absolute; None for none.
        auth: ``none``, ``basic-auth``, or the `mlflow.app` entry point of another login plugin.
        database: URI of MLflow's database.
        static_prefix: without a slash at its end; "" for none.
        destination: URI that proxied artifacts are kept under; "" when none are proxied.
    """

    standard: Path
    key: Path | None
    auth: Auth
    database: str
    static_prefix: str = ""
    destination: str = ""

    def to_environment(self) -> dict[str, str]:
        """The variables by which workers read this; MLflow sets those of its own."""
        given = {STANDARD_VARIABLE: str(self.standard), AUTH_VARIABLE: self.auth}
        return given if self.key is None else {**given, KEY_VARIABLE: str(self.key)}


def worker_settings(environ: Mapping[str, str]) -> Settings:
    """The settings of this worker.

    Raises:
        UsageError: the worker was started by itself, past every check.
    """
    if PREPARED_VARIABLE not in environ:
        raise UsageError(
            "this application is started by a command that checks and prepares the server",
            hint="signoff admin server, or: mlflow server --app-name signoff",
        )
    if environ.get(SERVER_VARIABLE, "uvicorn") != "uvicorn":
        raise UsageError("the guard needs uvicorn: leave out the options for gunicorn and waitress")
    key = environ.get(KEY_VARIABLE)
    return Settings(
        standard=Path(environ[STANDARD_VARIABLE]),
        key=Path(key) if key else None,
        auth=environ[AUTH_VARIABLE],
        database=environ[DATABASE_VARIABLE],
        static_prefix=environ.get(PREFIX_VARIABLE, "").rstrip("/"),
        destination=environ.get(DESTINATION_VARIABLE, ""),
    )
