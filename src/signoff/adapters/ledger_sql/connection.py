"""Plain DBAPI connections to SQLite and PostgreSQL, and their errors in this project's words."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import quote

from signoff.adapters.ledger_sql.address import Address, PostgresAddress, SqliteAddress
from signoff.errors import StoreError

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
Value: TypeAlias = str | bytes | int | None

BUSY_TIMEOUT_SECONDS = 20
_CONNECT_TIMEOUT_SECONDS = "10"
_POSTGRES_DRIVERS = frozenset({"psycopg2", "psycopg"})
_LOCKED_HINT = "another process holds the database; try again"


class DbapiConnection(Protocol):
    """What is used of a DBAPI 2.0 connection."""

    def cursor(self) -> Any:
        """A new cursor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A DBAPI connection with one way to run statements; owns neither connection nor transaction.

    Attributes:
        dialect: decides placeholders and locking.
        shown: the address for messages.
        raw: the driver's connection.
    """

    dialect: Dialect
    shown: str
    raw: DbapiConnection = field(repr=False)

    @classmethod
    def around(cls, raw: DbapiConnection, shown: str) -> "Session":
        """A session on a driver's connection that somebody else opened.

        Raises:
            StoreError: the connection is of another driver.
        """
        if isinstance(raw, sqlite3.Connection):
            return cls(dialect="sqlite", shown=shown, raw=raw)
        if type(raw).__module__.partition(".")[0] in _POSTGRES_DRIVERS:
            return cls(dialect="postgresql", shown=shown, raw=raw)
        raise StoreError(f"no ledger on a connection of {type(raw).__module__}", where=shown)

    def rows(self, statement: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, with ``?`` for each value, and fetch what it returns.

        Raises:
            StoreError: the database refuses it or cannot be reached.
        """
        with _store_errors(self.shown), closing(self.raw.cursor()) as cursor:
            if self.dialect == "postgresql":
                statement = statement.replace("?", "%s")
            cursor.execute(statement, tuple(values))
            return [] if cursor.description is None else [tuple(row) for row in cursor.fetchall()]


@contextmanager
def write_session(address: Address) -> Iterator[Session]:
    """A connection in one write transaction: commits at the end of the block, rolls back on an exception."""
    if isinstance(address, SqliteAddress):
        with closing(open_sqlite(address)) as sqlite, _sqlite_transaction(sqlite, address.shown):
            yield Session.around(sqlite, address.shown)
    else:
        with closing(open_postgres(address)) as postgres, _postgres_transaction(postgres, address.shown):
            yield Session.around(postgres, address.shown)


@contextmanager
def read_session(address: Address) -> Iterator[Session]:
    """A connection that reads one snapshot and writes nothing."""
    if isinstance(address, SqliteAddress):
        with closing(open_sqlite(address)) as sqlite:
            with _store_errors(address.shown):
                sqlite.execute("PRAGMA query_only = ON")
                sqlite.execute("BEGIN")
            yield Session.around(sqlite, address.shown)
    else:
        with closing(open_postgres(address)) as postgres:
            with _store_errors(address.shown):
                postgres.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield Session.around(postgres, address.shown)


@contextmanager
def _sqlite_transaction(connection: sqlite3.Connection, shown: str) -> Iterator[None]:
    with _store_errors(shown):
        connection.execute("PRAGMA synchronous = FULL")
        # Taking the write lock first: two appenders queue, instead of both reading and one failing.
        connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    with _store_errors(shown):
        connection.commit()


@contextmanager
def _postgres_transaction(connection: Any, shown: str) -> Iterator[None]:
    # Closing the connection without commit rolls back.
    yield
    with _store_errors(shown):
        connection.commit()


def open_sqlite(address: SqliteAddress) -> sqlite3.Connection:
    """A connection that begins and ends transactions only when told to.

    Raises:
        StoreError: there is no such file, or it is no database.
    """
    if not address.path.is_file():
        raise StoreError(
            "there is no such database file",
            where=address.shown,
            hint="MLflow makes its own at its first use; `signoff admin migrate` makes a separate ledger",
        )
    with _store_errors(address.shown):
        # mode=rw: a file that vanished meanwhile is an error, never a new empty database.
        uri = f"file:{quote(str(address.path))}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)


def open_postgres(address: PostgresAddress) -> Any:
    """A connection of the address's driver.

    Raises:
        StoreError: no driver is installed, or the server cannot be reached.
    """
    driver = postgres_driver(address)
    with _store_errors(address.shown, secret=address.options.get("password")):
        return driver.connect(**{"connect_timeout": _CONNECT_TIMEOUT_SECONDS, **address.options})


def postgres_driver(address: PostgresAddress) -> ModuleType:
    """The driver that the address names, or the first of its drivers that is installed.

    Raises:
        StoreError: none is.
    """
    for name in address.drivers:
        try:
            return import_module(name)
        except ImportError:
            continue
    hint = "pip install 'signoff[postgres]'"
    raise StoreError(f"{' or '.join(address.drivers)} is not installed", where=address.shown, hint=hint)


@contextmanager
def _store_errors(shown: str, *, secret: str | None = None) -> Iterator[None]:
    """Turn a driver's error into a StoreError; any other exception passes."""
    try:
        yield
    except Exception as error:
        # No driver is imported just to name its exceptions; every DBAPI driver calls the root ``Error``.
        if not any(
            base.__name__ == "Error" and base.__module__ in {"sqlite3", *_POSTGRES_DRIVERS}
            for base in type(error).__mro__
        ):
            raise
        text = " ".join(str(error).split())
        if secret:
            text = text.replace(secret, "***")
        hint = _LOCKED_HINT if "locked" in text else "is the database up, and the address right?"
        # The driver's exception may hold the whole connection string: it is not chained.
        lead = "cannot be reached" if "connection refused" in text.lower() else "answers"
        raise StoreError(f"the database {lead}: {text}", where=shown, hint=hint) from None
