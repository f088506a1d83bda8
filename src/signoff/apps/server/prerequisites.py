"""What must be so before a guarded server starts; nothing here imports MLflow."""

import errno
import ipaddress
import re
import socket
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

from signoff.addresses import shown
from signoff.apps.server.settings import APP_NAME, Settings
from signoff.errors import EvidenceError, StoreError, UsageError

_KINDS = ("sqlite", "postgresql")
_PLUGINS = "mlflow.app"
_WORKSPACES = "MLFLOW_ENABLE_WORKSPACES"
_NO = ("", "false", "0")


def require(settings: Settings, *, host: str) -> tuple[str, ...]:
    """Check everything that can be known without starting MLflow.

    Args:
        settings: of the server.
        host: address to listen on.

    Returns:
        What the operator should know although the server starts.

    Raises:
        SignoffError: the first thing that is missing.
    """
    notes = list(_require_login(settings.auth, host))
    _require_database(settings.database)
    notes += _require_workspace(settings)
    return (*notes, *_version_notes())


def require_port(host: str, port: int) -> None:
    """Check that the port is free.

    Raises:
        UsageError: something listens there, or the address is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family, backlog=1):
            pass
    except OSError as error:
        what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on: {error.strerror}"
        raise UsageError(f"port {port} of {host} {what}", hint="choose another with --port") from error


def require_only_uvicorn(given: Mapping[str, object]) -> None:
    """Refuse options of `mlflow server` with which the guard would not stand in every way to the data.

    Args:
        given: the command's options as MLflow's command line names them.

    Raises:
        UsageError: one of them was given.
    """
    for option in ("gunicorn_opts", "waitress_opts"):
        if given.get(option) is not None:
            name = "--" + option.replace("_", "-")
            raise UsageError(f"{name}: the guard needs uvicorn, MLflow's default", hint=f"leave out {name}")
    registry = given.get("registry_store_uri")
    if registry is not None and registry != given.get("backend_store_uri"):
        raise UsageError(
            "--registry-store-uri: a registry in a database of its own cannot be guarded",
            hint="keep runs and registry in one database: what is decided on one must hold in the other",
        )
    if given.get("artifacts_only"):
        raise UsageError("--artifacts-only: a server of artifacts alone has nothing to decide by")
    if given.get("enable_workspaces"):
        raise _workspaces("--enable-workspaces")


def require_no_workspaces(environ: Mapping[str, str]) -> None:
    """Refuse the variable that does what the option does.

    Args:
        environ: the server's environment.

    Raises:
        UsageError: it is set to anything but a no.
    """
    if environ.get(_WORKSPACES, "").strip().lower() not in _NO:
        raise _workspaces(f"{_WORKSPACES}={environ[_WORKSPACES]}")


def _workspaces(where: str) -> UsageError:
    return UsageError(
        f"{where}: with workspaces a model's name is not unique, and the standard names models",
        hint="one guarded server per workspace",
    )


def require_artifacts(given: Mapping[str, object], *, write_protected: bool) -> None:
    """Refuse storage that clients write to with their own credentials.

    Args:
        given: the command's options as MLflow's command line names them.
        write_protected: the operator says that clients cannot write to the storage.

    Raises:
        UsageError: clients would write past the server.
    """
    if write_protected:
        return
    hint = "when clients have no right to write there, say so with --bucket-write-protected"
    if given.get("serve_artifacts") is False:
        raise UsageError("--no-serve-artifacts: clients would write artifacts past the guard", hint=hint)
    root = given.get("default_artifact_root")
    if isinstance(root, str) and not root.startswith(("mlflow-artifacts:", "http://", "https://")):
        raise UsageError(
            f"--default-artifact-root {shown(root)}: clients would write artifacts past the guard",
            hint=f"use --artifacts-destination; or, {hint}",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def minor_version(text: str) -> str:
    """``3.17`` of ``3.17.2``."""
    return ".".join(text.split(".")[:2])


def _require_login(auth: str, host: str) -> tuple[str, ...]:
    if auth == "none":
        if not is_loopback(host):
            raise UsageError(
                f"without a login everyone who reaches {host} would be the one user",
                hint="--auth basic-auth, or --host 127.0.0.1 for you alone",
            )
        return ("NO LOGIN: whoever reaches this port is its one user, and everything is recorded as theirs",)
    if auth == "basic-auth":
        if find_spec("flask_wtf") is None:
            raise UsageError("MLflow's basic-auth needs Flask-WTF", hint="pip install 'mlflow[auth]'")
        return ()
    names = sorted({found.name for found in entry_points(group=_PLUGINS)} - {APP_NAME})
    if auth not in names:
        raise UsageError(
            f"no login plugin is called {auth!r}", hint=f"installed: {', '.join(names)}; or none, on loopback"
        )
    return ()


def _require_database(uri: str) -> None:
    scheme = re.split(r"[+:]", uri, maxsplit=1)[0].lower()
    if scheme not in _KINDS:
        raise UsageError(
            f"a store of kind {scheme!r} cannot be guarded",
            where=shown(uri),
            hint="sqlite:///… or postgresql://…, with --backend-store-uri or as `store:` in the standard",
        )
    from signoff.adapters.ledger_sql.address import SqliteAddress, parse_address
    from signoff.adapters.ledger_sql.connection import read_session
    from signoff.adapters.ledger_sql.schema import has_table

    address = parse_address(uri)
    if isinstance(address, SqliteAddress) and not address.path.exists():
        if not address.path.parent.is_dir():
            raise StoreError("there is no such folder", where=str(address.path.parent))
        return
    if not isinstance(address, SqliteAddress):
        _require_driver(uri)
    with read_session(address) as session:
        has_table(session, "experiments")  # SQLite reads nothing of a file before it is asked for a table


def _require_driver(uri: str) -> None:
    """MLflow opens the database by SQLAlchemy, which takes one driver for an address that names none."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import NoSuchModuleError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError) as error:
        missing = (isinstance(error, ImportError) and error.name) or "a driver for it"
        raise UsageError(
            f"MLflow cannot open this address: {missing} is not installed",
            where=shown(uri),
            hint="write the address as postgresql+psycopg2://…, after pip install psycopg2-binary",
        ) from error


def _require_workspace(settings: Settings) -> tuple[str, ...]:
    from signoff.apps.workspace import open_workspace
    from signoff.evidence.roster import unknown_roles

    workspace = open_workspace(str(settings.standard))
    roster = workspace.people().roster
    if workspace.standard.ledger is not None and not _same(str(workspace.ledger_uri), settings.database):
        raise UsageError(
            "the standard keeps its ledger in another database, where a change and its entry cannot commit"
            " together",
            where=workspace.standard.path,
            hint="leave out `ledger:`; the server keeps it beside MLflow's tables",
        )
    unknown = tuple(
        f"the roster gives {person.email} the role {role}, which the standard does not know: it allows nothing"
        for person, role in unknown_roles(roster, workspace.standard.roles)
    )
    if settings.key is None:
        return (
            *unknown,
            "no --key: a release over MLflow's own API or UI is refused; people release with `signoff promote`",
        )
    from signoff.adapters.key_files import load_key

    person = roster.by_fingerprint(load_key(settings.key, _no_passphrase).fingerprint)
    if person is None or not person.vouches:
        note = (
            f"the roster does not vouch for the server's key {settings.key}: a release over MLflow's own API or"
            " UI is refused; add an entry with `vouches: true` and its public key"
        )
        return (*unknown, note)
    return unknown


def _same(one: str, other: str) -> bool:
    from signoff.adapters.ledger_sql.address import parse_address

    return parse_address(one) == parse_address(other)


def _no_passphrase(path: Path) -> str:
    raise EvidenceError(
        "the key has a passphrase, and a server cannot be asked for one",
        where=str(path),
        hint="make the server a key of its own: signoff admin keys new PATH",
    )


def _version_notes() -> tuple[str, ...]:
    from signoff.apps.server.routes import known_minors

    try:
        minor = minor_version(version("mlflow"))
    except PackageNotFoundError:
        return ()
    if minor in known_minors():
        return ()
    return (
        f"MLflow {minor} is not one that this Signoff was tested with: it starts only if its self-test passes",
    )
