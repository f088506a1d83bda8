"""What happens once, in the command that starts the server, before any worker: checks, and what workers share.

MLflow does the steps of its basic-auth only for a server of that name; here they are done for ours.
"""

import atexit
import os
import secrets
import socket
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from signoff.addresses import masked
from signoff.apps.server import start_errors
from signoff.apps.server.prerequisites import (
    require,
    require_artifacts,
    require_no_workspaces,
    require_only_uvicorn,
)
from signoff.apps.server.settings import AUTH_VARIABLE, WRITE_PROTECTED_VARIABLE, Settings
from signoff.apps.standard_file import find_standard
from signoff.apps.workspace import KEY_VARIABLE, now, open_workspace
from signoff.errors import EvidenceError, SignoffError, StoreError, UsageError

_SECRET_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"  # noqa: S105 - a variable's name
_BOOTSTRAPPED = "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"
_SHARED_TOKENS = ("_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN", "_MLFLOW_ASSISTANT_DELEGATION_SIGNING_KEY")
_SECRET_FILE = ".signoff-server-secret"  # noqa: S105 - a file's name
_TRUE = frozenset({"1", "true", "yes", "on"})


def prepare_or_exit(options: Mapping[str, object]) -> None:
    """Prepare the server, or end the command with one error and exit code 2.

    Args:
        options: of `mlflow server`, as MLflow's command line names them.
    """
    try:
        notes = prepare(options, os.environ)
    except SignoffError as error:
        _exit(str(error))
    except Exception as error:  # noqa: BLE001 - a traceback in front of the one line would hide it
        _exit(f"the server cannot be prepared: {type(error).__name__}: {error}")
    else:
        for note in notes:
            click.echo(f"signoff: {note}", err=True)
        atexit.register(start_errors.exit_with_worker, start_errors.expect_workers(os.environ))


def _exit(text: str) -> None:
    click.echo(f"error: {masked(text, os.environ)}", err=True)
    sys.exit(2)


def prepare(options: Mapping[str, object], environ: MutableMapping[str, str]) -> tuple[str, ...]:
    """Check everything, make what is missing, and leave in the environment what workers need.

    Args:
        options: of `mlflow server`.
        environ: the environment that the workers inherit.

    Returns:
        What the operator should know.

    Raises:
        SignoffError: the server must not start.
    """
    require_only_uvicorn(options)
    require_no_workspaces(environ)
    # The server reads artifacts for each proposal: MLflow's bars for that would fill its log.
    environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # glibc gives each thread that answers a heap of its own, and what was read for decisions stays in all of them.
    environ.setdefault("MALLOC_ARENA_MAX", "2")
    write_protected = environ.get(WRITE_PROTECTED_VARIABLE, "").lower() in _TRUE
    require_artifacts(options, write_protected=write_protected)
    settings = _settings(environ)
    if settings.auth == "none" and options.get("disable_security_middleware"):
        raise UsageError(
            "--disable-security-middleware: without a login any page in your browser could write here"
        )
    notes = require(settings, host=str(options.get("host") or "127.0.0.1"))
    _require_plugins()
    if settings.auth == "basic-auth":
        notes += _prepare_basic_auth(settings, environ)
    notes += _mark(settings, options)
    environ.update(settings.to_environment())
    # A job would write without anybody who asks for it, and is refused: do not start its processes.
    environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    return notes


def _settings(environ: Mapping[str, str]) -> Settings:
    from mlflow.server import handlers

    database = getattr(handlers._get_tracking_store(), "db_uri", None)  # noqa: SLF001 - the command made it just before
    if not isinstance(database, str):
        raise UsageError("only a store in a database can be guarded", hint="--backend-store-uri sqlite:///…")
    key = environ.get(KEY_VARIABLE)
    return Settings(
        standard=find_standard(None).absolute(),
        key=Path(key).expanduser().absolute() if key else None,
        auth=environ.get(AUTH_VARIABLE) or "none",
        database=database,
    )


def _require_plugins() -> None:
    """Other processes that open the database are guarded by the store entry points: those must be in place."""
    from signoff.adapters.mlflow_hooks import plugin_active

    if not plugin_active():
        raise StoreError(
            "MLflow does not open its database through Signoff's store entry points: jobs and `mlflow gc` would not"
            " be guarded",
            hint="install Signoff again, and look for another package with store entry points of these names:"
            " sqlite, postgresql",
        )


def _mark(settings: Settings, options: Mapping[str, object]) -> tuple[str, ...]:
    """Make the ledger's tables, note that the database is guarded, and freeze what was signed for without a guard."""
    from signoff.adapters.ledger_sql import SqlLedger
    from signoff.adapters.ledger_sql.marker import mark_guarded
    from signoff.apps.verbs.freeze_stated import freeze_stated

    mark_guarded(settings.database, since=now(), by=f"signoff server on {socket.gethostname()}")
    served = options.get("artifacts_destination") if options.get("serve_artifacts") is not False else None
    workspace = replace(
        open_workspace(str(settings.standard)),
        tracking_uri=settings.database,
        ledger_uri=settings.database,
        on_server=True,
        served=None if served is None else str(served),
    )
    return freeze_stated(workspace, SqlLedger(settings.database)).notes()


def _prepare_basic_auth(settings: Settings, environ: MutableMapping[str, str]) -> tuple[str, ...]:
    """The secrets that all workers share, and the first administrator."""
    if not environ.get(_SECRET_KEY):
        environ[_SECRET_KEY] = kept_secret(secret_folder(settings) / _SECRET_FILE)
    for name in _SHARED_TOKENS:
        environ.setdefault(name, secrets.token_hex(32))
    from mlflow.exceptions import MlflowException

    try:
        notes = _bootstrap_admin()
    except MlflowException as error:
        raise UsageError(str(error.message)) from error
    environ[_BOOTSTRAPPED] = "true"
    return notes


def _bootstrap_admin() -> tuple[str, ...]:
    """Make the administrator of MLflow's users when there is none; the password is configured, or shown once."""
    from mlflow.server import auth

    from signoff.adapters import mlflow_hooks

    # The users may be in the guarded database, and this process, which is its server, serves nobody.
    mlflow_hooks.uninstall()
    config = auth.auth_config
    auth.store.init_db(config.database_uri, read_db_uri=config.read_database_uri)
    name, password = config.admin_username, config.admin_password
    if password or not name or auth.store.has_user(name, use_primary=True) or not sys.stderr.isatty():
        auth.create_admin_user(name, password)
        return ()
    password = secrets.token_urlsafe(18)
    auth.create_admin_user(name, password)
    return (f"user {name!r} was made with the password {password}  (shown this once)",)


def secret_folder(settings: Settings) -> Path:
    """Where the server keeps its secret: beside a database file, else beside the standard."""
    from signoff.adapters.ledger_sql.address import SqliteAddress, parse_address

    address = parse_address(settings.database)
    return address.path.parent if isinstance(address, SqliteAddress) else settings.standard.parent


def kept_secret(path: Path) -> str:
    """The secret in the file, which is made when it is not there, for its owner only.

    Raises:
        EvidenceError: others can read it, or it cannot be read or made.
    """
    try:
        with suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"the server's secret cannot be kept: {error}", where=str(path)) from error
    if mode & 0o077 or len(text) < 32:
        raise EvidenceError(
            "the server's secret is open to others, or damaged",
            where=str(path),
            hint=f"chmod 600 it, or remove it for a new one; or set {_SECRET_KEY}",
        )
    return text
