"""The freeze mark of a run, which stands in the row that every logging call of MLflow loads anyway.

``runs.entry_point_name`` is a column of MLflow 1 that MLflow 3 leaves empty and shows to nobody; no client can write
it. So every worker and server sees a freeze at once, without a look-up.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Protocol

from signoff.errors import StoreError
from signoff.release.guard.evidence import FROZEN_MARK


class DbapiConnection(Protocol):
    """What is used of a DBAPI 2.0 connection; its owner commits."""

    def cursor(self) -> Any:
        """A new cursor."""


def freeze_run(connection: DbapiConnection, run_id: str) -> bool:
    """Freeze a run, in the transaction of the connection's owner.

    On PostgreSQL the row is locked as for a deletion: metrics, params and tags that are being inserted refer to it,
    so their transactions are waited for. A call that read the row before the commit and inserts after it is not seen
    here: compare the evidence once more after the commit.

    Returns:
        Whether it was open before.

    Raises:
        StoreError: there is no such run.
    """
    if _locked_mark(connection, run_id) == FROZEN_MARK:
        return False
    _mark(connection, run_id, FROZEN_MARK)
    return True


def thaw_run(connection: DbapiConnection, run_id: str) -> bool:
    """Open a run again, in the transaction of the connection's owner.

    Returns:
        Whether it was frozen before.

    Raises:
        StoreError: there is no such run.
    """
    if _locked_mark(connection, run_id) != FROZEN_MARK:
        return False
    _mark(connection, run_id, "")
    return True


def is_frozen(connection: DbapiConnection, run_id: str) -> bool:
    """Whether a run is frozen; one that is not there is not."""
    found = _rows(connection, "SELECT entry_point_name FROM runs WHERE run_uuid = ?", (run_id,))
    return bool(found) and found[0][0] == FROZEN_MARK


def _locked_mark(connection: DbapiConnection, run_id: str) -> str:
    if isinstance(connection, sqlite3.Connection):
        # SQLite has one writer at a time: a first write makes this transaction that one.
        _rows(connection, "UPDATE runs SET entry_point_name = entry_point_name WHERE run_uuid = ?", (run_id,))
        found = _rows(connection, "SELECT entry_point_name FROM runs WHERE run_uuid = ?", (run_id,))
    else:
        found = _rows(
            connection, "SELECT entry_point_name FROM runs WHERE run_uuid = ? FOR UPDATE", (run_id,)
        )
    if not found:
        raise StoreError("there is no such run", where=f"run {run_id}")
    return str(found[0][0] or "")


def _mark(connection: DbapiConnection, run_id: str, mark: str) -> None:
    _rows(connection, "UPDATE runs SET entry_point_name = ? WHERE run_uuid = ?", (mark, run_id))


def _rows(connection: DbapiConnection, statement: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
    if not isinstance(connection, sqlite3.Connection):
        statement = statement.replace("?", "%s")
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement, tuple(values))
        return [] if cursor.description is None else [tuple(row) for row in cursor.fetchall()]
