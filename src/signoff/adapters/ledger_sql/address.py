"""Where a ledger is: the database URI, read once, and shown without its secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from signoff.errors import StoreError

_SQLITE_SCHEMES = frozenset({"sqlite", "sqlite+pysqlite"})
# Without a driver's name the first one that is installed; SQLAlchemy's own choice differs between its versions.
_POSTGRES_DRIVERS = {
    "postgresql": ("psycopg2", "psycopg"),
    "postgres": ("psycopg2", "psycopg"),
    "postgresql+psycopg2": ("psycopg2",),
    "postgresql+psycopg": ("psycopg",),
}
_SUPPORTED = "the ledger is kept in sqlite:///<file> or postgresql://<user>@<host>/<database>"


@dataclass(frozen=True, kw_only=True, slots=True)
class SqliteAddress:
    """A database file; the URI's relative path counts from the current folder, as for MLflow."""

    path: Path

    @property
    def shown(self) -> str:
        """The address for messages."""
        return f"sqlite:///{self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database.

    Attributes:
        drivers: names of the Python packages that can connect, in order of preference.
        options: libpq connection keywords; may hold a password.
        shown: the address for messages, without password and options.
    """

    drivers: tuple[str, ...]

    options: Mapping[str, str] = field(repr=False)
    shown: str


Address: TypeAlias = SqliteAddress | PostgresAddress


def parse_address(uri: str) -> Address:
    """Read a database URI as MLflow writes it.

    Raises:
        StoreError: not a database that can hold a ledger.
    """
    scheme = uri.partition(":")[0].lower()
    if scheme in _SQLITE_SCHEMES:
        return _sqlite(uri)
    if scheme in _POSTGRES_DRIVERS:
        return _postgres(uri, _POSTGRES_DRIVERS[scheme])
    raise StoreError(f"a store of kind {scheme!r} has no ledger", hint=_SUPPORTED)


def _sqlite(uri: str) -> SqliteAddress:
    name = uri.partition("://")[2].partition("?")[0].removeprefix("/")
    if not name or name == ":memory:" or name.startswith("file:"):
        raise StoreError("a ledger needs a database file of its own path", where=uri, hint=_SUPPORTED)
    return SqliteAddress(path=Path(name).absolute())


def _postgres(uri: str, drivers: tuple[str, ...]) -> PostgresAddress:
    try:
        parts = urlsplit(uri)
        port = parts.port
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise StoreError("this PostgreSQL address cannot be read", hint=_SUPPORTED) from error
    known = {
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "host": unquote(parts.hostname or ""),
        "port": str(port or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    options = {name: value for name, value in known.items() if value} | query
    return PostgresAddress(drivers=drivers, options=options, shown=_shown(options))


def _shown(options: Mapping[str, str]) -> str:
    host, port = options.get("host", ""), options.get("port")
    is_socket = host.startswith("/")
    user = f"{options['user']}@" if "user" in options else ""
    place = "" if is_socket else host
    place += f":{port}" if port else ""
    return f"postgresql://{user}{place}/{options.get('dbname', '')}" + (f"?host={host}" if is_socket else "")
