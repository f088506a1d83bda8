"""Whether basic-auth's administrator can be made, looked up before MLflow's seconds of import."""

import configparser
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from signoff.adapters.ledger_sql.address import SqliteAddress, parse_address
from signoff.errors import StoreError, UsageError

_SHIPPED_PASSWORD = "password1234"  # noqa: S105 - what old MLflow versions shipped, known to everybody
_CONFIG = "MLFLOW_AUTH_CONFIG_PATH"
_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 - a variable's name
_HINT = f"set {_PASSWORD}, for this first start only; on a terminal one is made and shown once"


def require_administrator(environ: Mapping[str, str], folder: Path) -> None:
    """Refuse a first start without a password for MLflow's administrator, or with the one that everybody knows.

    Args:
        environ: of the server.
        folder: where the server works; a relative path of the users' database lies there.

    Raises:
        UsageError: there is no usable password, and no database of users yet.
    """
    config = _config(environ)
    password = environ.get(_PASSWORD, config.get("mlflow", "admin_password", fallback="")) or None
    if password == _SHIPPED_PASSWORD:
        raise UsageError(
            "the administrator's password is the one that old MLflow versions shipped", hint=_HINT
        )
    if password is None and not sys.stderr.isatty() and not _has_users(config, folder):
        raise UsageError("MLflow's administrator has no password yet", hint=_HINT)


def _config(environ: Mapping[str, str]) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    path = environ.get(_CONFIG)
    if path:
        if not config.read(path):
            raise UsageError(f"{_CONFIG} names a file that cannot be read", where=path)
        return config
    spec = find_spec("mlflow")
    if spec is not None and spec.origin is not None:
        config.read(Path(spec.origin).parent / "server" / "auth" / "basic_auth.ini")
    return config


def _has_users(config: configparser.ConfigParser, folder: Path) -> bool:
    """Whether there may be users; of another database than an SQLite file only MLflow can tell, a little later."""
    uri = config.get("mlflow", "database_uri", fallback="")
    try:
        address = parse_address(uri)
    except StoreError:
        return True
    if not isinstance(address, SqliteAddress):
        return True
    named = uri.partition(":///")[2].partition("?")[0]
    return (folder / named).is_file()
