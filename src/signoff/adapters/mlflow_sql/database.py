"""Read-only transactions on an MLflow database, and what their failures mean."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias, TypeVar

from signoff.addresses import shown
from signoff.errors import StoreError

Row: TypeAlias = tuple[Any, ...]
Query: TypeAlias = Callable[[str, Sequence[object]], list[Row]]
"""Runs one statement, with a question mark for each parameter, and returns all rows."""
Id = TypeVar("Id", int, str)

_CHUNK = 500
"""Ids per query: older SQLite builds take at most 999 parameters."""
_UNDEFINED = ("42P01", "42703")
"""PostgreSQL's codes for a table or column that does not exist."""
_RESERVED = re.compile(r"[/?#@]")
"""Characters that cannot stand in the user or password of an address."""


def opener(uri: str, timeout: float) -> Callable[[], AbstractContextManager[Query]]:
    """A function that opens a read-only transaction on the database at the URI.

    Raises:
        StoreError: the URI names no database that can be read.
    """
    sqlite = re.match(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)", uri)
    if sqlite:
        return lambda: _sqlite(sqlite["path"], timeout, shown(uri))
    postgres = re.match(r"postgres(?:ql)?(?:\+\w+)?://(?P<rest>.*)\Z", uri)
    if postgres:
        if _RESERVED.search(postgres["rest"].rpartition("@")[0]):
            # The driver would take a piece of the password for host or port, and print it.
            raise StoreError(
                "the user, password or options in the database address hold characters that must be written "
                "as percent codes",
                where=shown(uri),
                hint="write @ as %40, / as %2F, ? as %3F and # as %23",
            )
        return lambda: _postgres(f"postgresql://{postgres['rest']}", timeout, shown(uri))
    raise StoreError(
        "this is no database that Signoff reads",
        where=shown(uri),
        hint="give sqlite:///path, postgresql://…, or the http(s) address of an MLflow server",
    )


def chunks(ids: Sequence[Id]) -> Iterator[Sequence[Id]]:
    """The ids, no more at a time than one query takes."""
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def marks(ids: Sequence[object]) -> str:
    """A question mark for each id."""
    return ", ".join("?" * len(ids))


def many(query: Query, statement: str, ids: Sequence[str]) -> Iterator[Row]:
    """Rows of a statement whose ``{}`` takes the ids, a chunk of ids at a time."""
    for chunk in chunks(ids):
        yield from query(statement.format(marks(chunk)), chunk)


@contextmanager
def _sqlite(path: str, timeout: float, where: str) -> Iterator[Query]:
    import sqlite3
    from urllib.parse import quote

    connection: sqlite3.Connection | None = None

    def query(statement: str, parameters: Sequence[object]) -> list[Row]:
        return opened.execute(statement, tuple(parameters)).fetchall()

    try:
        connection = opened = sqlite3.connect(
            f"file:{quote(path)}?mode=ro", uri=True, timeout=timeout, isolation_level=None
        )
        opened.execute("BEGIN")
        yield query
    except sqlite3.Error as error:
        if connection is None or "unable to open" in str(error):
            raise StoreError(
                f"the database cannot be opened: {error}",
                where=where,
                hint="check MLFLOW_TRACKING_URI; the file appears when the first run is logged",
            ) from error
        if "no such table" in str(error) or "no such column" in str(error):
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            raise _other_schema(is_mlflow="experiments" in tables, message=str(error), where=where) from error
        if "not a database" in str(error):
            raise _other_schema(is_mlflow=False, message=str(error), where=where) from error
        raise StoreError(f"the database cannot be read: {error}", where=where) from error
    finally:
        if connection is not None:
            connection.close()


@contextmanager
def _postgres(uri: str, timeout: float, where: str) -> Iterator[Query]:
    try:
        import psycopg2
    except ImportError as error:
        raise StoreError(
            "reading PostgreSQL needs the psycopg2 package",
            where=where,
            hint="pip install 'signoff[postgres]'",
        ) from error

    def query(statement: str, parameters: Sequence[object]) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(statement.replace("?", "%s"), tuple(parameters))
            rows: list[Row] = cursor.fetchall()
            return rows

    try:
        connection = psycopg2.connect(uri, connect_timeout=max(1, int(timeout)))
    except psycopg2.OperationalError as error:
        raise StoreError(
            f"the database cannot be reached: {str(error).strip()}",
            where=where,
            hint="check MLFLOW_TRACKING_URI and that the database runs",
        ) from error
    except psycopg2.Error as error:
        # The driver's message on a malformed address quotes the address, password included.
        raise StoreError("the database address is malformed", where=where) from error
    try:
        connection.set_session(readonly=True, isolation_level="REPEATABLE READ")
        yield query
    except psycopg2.Error as error:
        message = str(error).strip().partition("\n")[0]
        if error.pgcode in _UNDEFINED:
            connection.rollback()
            ((experiments,),) = query("SELECT to_regclass('experiments') IS NOT NULL", ())
            raise _other_schema(is_mlflow=bool(experiments), message=message, where=where) from error
        raise StoreError(f"the database cannot be read: {message}", where=where) from error
    finally:
        connection.close()


def _other_schema(*, is_mlflow: bool, message: str, where: str) -> StoreError:
    if is_mlflow:
        return StoreError(
            f"the database has the schema of another MLflow version: {message}",
            where=where,
            hint="MLflow 3.16 to 3.18 is needed; `mlflow db upgrade URI` brings an older database there",
        )
    return StoreError(
        "this is not an MLflow database", where=where, hint="check MLFLOW_TRACKING_URI for the right file"
    )
