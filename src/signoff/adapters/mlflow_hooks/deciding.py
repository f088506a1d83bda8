"""Asking the guard about a transaction's governed changes, and writing its records with them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from signoff.adapters.mlflow_hooks.lookup import SessionLookup
from signoff.adapters.mlflow_hooks.refusal import conflict, denied, refused, unread
from signoff.errors import ConflictError, SignoffError
from signoff.release.guard.ahead import NotReadError
from signoff.release.guard.model import Change, Record, Ruling
from signoff.release.guard.ports import Guard

_log = logging.getLogger(__name__)
_KEPT = "signoff_records"
_OF_A_MODEL = frozenset(
    {
        "registered_models",
        "registered_model_tags",
        "registered_model_aliases",
        "model_versions",
        "model_version_tags",
    }
)
_LOCK_SPACE = 7_466_302
"""First key of PostgreSQL's advisory locks on registered models; any number that is the same in each process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """Records of one flush, until the commit.

    Attributes:
        transaction: the session's transaction or savepoint at that time.
        records: what to write.
    """

    transaction: object
    records: tuple[Record, ...]


def decide(guard: Guard, changes: tuple[Change, ...], session: Any, *, at_once: bool = False) -> None:
    """Ask the guard; keep the records of what it allows until the commit.

    Args:
        guard: decides.
        changes: what would be written; at least one.
        session: of SQLAlchemy, in whose transaction it would be.
        at_once: write the records now: no session tells when this transaction commits.

    Raises:
        MlflowException: refused, or it could not be decided; or files must be read first (`refusal.unread_of`).
    """
    lookup = SessionLookup(session)
    models = _models(changes)
    if models:
        _lock(models, session)
        changes = tuple(_as_it_is_now(change, lookup) for change in changes)
    try:
        ruling = guard.decide(changes, lookup=lookup)
        link = guard.link(ruling.refused[0].rule) if ruling.refused else ""
    except NotReadError as missing:
        raise unread(missing) from missing
    except Exception as error:
        _log.exception("the guard could not decide")
        raise denied(f"{changes[0].operation} of {changes[0].table}: it could not be decided") from error
    if ruling.refused or ruling.warned:
        guard.told(ruling)
    if ruling.refused:
        raise refused(ruling, link)
    _keep(ruling, session)
    if at_once:
        write_records(guard, session)


def _keep(ruling: Ruling, session: Any) -> None:
    if ruling.records:
        kept = _Kept(transaction=_transaction(session), records=ruling.records)
        session.info[_KEPT] = (*session.info.get(_KEPT, ()), kept)


def _transaction(session: Any) -> object:
    return session.get_nested_transaction() or session.get_transaction()


def write_records(guard: Guard, session: Any) -> None:
    """Write what was kept, after the last flush before a commit.

    Raises:
        MlflowException: the ledger has moved on, or cannot be written: nothing of the transaction happens.
    """
    kept: tuple[_Kept, ...] = session.info.pop(_KEPT, ())
    records = tuple(record for each in kept for record in each.records)
    if not records:
        return
    try:
        guard.write(records, connection=session.connection().connection.driver_connection)
    except ConflictError as error:
        raise conflict(str(error)) from error
    except SignoffError as error:
        raise denied(f"this: {error}") from error
    except Exception as error:
        _log.exception("the ledger could not be written")
        raise denied("this: the ledger could not be written") from error


def forget(session: Any, previous: Any) -> None:
    """Drop records whose flush was rolled back; those before a savepoint that was rolled back stay."""
    kept = session.info.pop(_KEPT, ())
    if previous.nested:
        left = tuple(each for each in kept if each.transaction is not previous)
        if left:
            session.info[_KEPT] = left


def _models(changes: Iterable[Change]) -> list[str]:
    found: set[str] = set()
    for change in changes:
        if change.table in _OF_A_MODEL:
            found |= {name for name in (change.key.get("name"), change.after.get("name")) if name}
    return sorted(found)


def _lock(models: Iterable[str], session: Any) -> None:
    """One decision at a time about a model, until its transaction ends."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        cursor = connection.connection.driver_connection.cursor()
        try:
            for name in models:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_LOCK_SPACE, name))
        finally:
            cursor.close()
        return
    import sqlite3

    try:
        # Takes SQLite's one write lock before anything is read; the table is there where a ledger is.
        connection.connection.driver_connection.execute("UPDATE signoff_head SET size = size WHERE id = 1")
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise denied("this: the database has no ledger.\nFix: signoff admin migrate") from error
        raise conflict("another change is being made; try again") from error


def _as_it_is_now(change: Change, lookup: SessionLookup) -> Change:
    """An alias with the version that it points at now: another transaction may have moved it since it was read."""
    if change.table != "registered_model_aliases" or change.operation == "insert":
        return change
    now = lookup.alias(change.key["name"], change.key["alias"])
    version = None if now is None else str(now)
    return replace(change, before={**change.before, "version": version})
