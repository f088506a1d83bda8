"""Writing in the very transaction of MLflow's that moves or deletes an alias."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

from signoff.errors import StoreError

Commit = Callable[[Any], None]
"""Called with the open DBAPI connection right before MLflow's own transaction commits."""


@dataclass(kw_only=True, slots=True)
class _Join:
    """A commit that is waited for in this thread or task: the one that moves an alias.

    Attributes:
        write: called in its transaction.
        name: registered model.
        alias: the alias.
        version: where it is pointed; None: it is deleted.
        done: whether ``write`` was called in a transaction that was not rolled back.
    """

    write: Commit
    name: str
    alias: str
    version: int | None
    done: bool = False


_JOIN: ContextVar[_Join | None] = ContextVar("signoff_join", default=None)


@contextmanager
def joined(commit: Commit | None, *, name: str, alias: str, version: int | None) -> Iterator[None]:
    """Let ``commit`` write in the very transaction that points the alias at the version; None: that deletes it."""
    if commit is None:
        yield
        return
    listen_for_commits()
    join = _Join(write=commit, name=name, alias=alias, version=version)
    before = _JOIN.set(join)
    try:
        yield
    finally:
        _JOIN.reset(before)
    if not join.done:
        raise StoreError(
            "MLflow moved the alias in a way this version does not know; the release was not recorded",
            hint="run the same command again; if it repeats, this MLflow version is not supported",
        )


@cache
def listen_for_commits() -> None:
    """Listen once, for good: to add a listener while another thread goes through them is an error in that thread."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    # Before other listeners, of which one may flush.
    event.listen(Session, "before_commit", _before_commit, insert=True)
    event.listen(Session, "after_soft_rollback", _after_rollback)


def _before_commit(session: Any) -> None:
    join = _JOIN.get()
    if join is None or join.done:
        return
    # Looked at before the flush: afterwards the session holds its rows only weakly.
    rows = session.deleted if join.version is None else (*session.new, *session.dirty)
    if any(
        type(row).__name__ == "SqlRegisteredModelAlias"
        and (row.name, row.alias) == (join.name, join.alias)
        and (join.version is None or int(row.version) == join.version)
        for row in rows
    ):
        session.flush()
        join.write(session.connection().connection.driver_connection)
        join.done = True


def _after_rollback(_session: Any, _previous: object) -> None:
    join = _JOIN.get()
    if join is not None:
        join.done = False
