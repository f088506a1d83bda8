"""SQLAlchemy's events, and what is done at each: sort, decide, refuse, record.

The listeners hang on SQLAlchemy's classes, so they hear every session and engine of the process: MLflow's tracking
and registry stores, its job store and basic-auth's store. In the server a `Guard` decides. In any other process that
opened a guarded database nothing is written there but what a warrant names, and other databases stay free.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from signoff.adapters.mlflow_hooks import coauthors, patience
from signoff.adapters.mlflow_hooks.deciding import decide, forget, write_records
from signoff.adapters.mlflow_hooks.refusal import NO_ACTOR, OUTSIDE, denied
from signoff.adapters.mlflow_hooks.rows import Row, only_stamps, pending
from signoff.adapters.mlflow_hooks.sorting import Way, covered, to_decide
from signoff.adapters.mlflow_hooks.statements import (
    DECIDED,
    WRITING,
    operation_of,
    rows_of_cursor,
    rows_of_statement,
    table_of,
    writes,
)
from signoff.record.capture import LOGIN
from signoff.release.guard.ports import Guard
from signoff.release.warrant import warrants


class _Thread(threading.local):
    """Whether this thread only tries whether writes are refused; see `trying`."""

    trying = False


class _Process:
    """What is watched in this process.

    Attributes:
        guard: decides about every database; None outside of the server.
        outside: guarded databases of which this process is not the server, as `database_of` names them.
    """

    def __init__(self) -> None:
        self.guard: Guard | None = None
        self.outside: set[str] = set()


_process = _Process()
_thread = _Thread()


def install(guard: Guard) -> None:
    """Let a guard decide about everything that this process writes through SQLAlchemy.

    Call it before MLflow's stores are made; writes pass until ``guard.armed()``. A second call replaces the guard.
    """
    _process.guard = guard
    patience.install()
    _listen()


def watch_outside(engine: Engine) -> None:
    """Refuse writes to this engine's database, warranted ones apart; a guard that is installed goes before."""
    _process.outside.add(database_of(engine))
    _listen()


def uninstall() -> None:
    """Take all listeners away and forget guard and databases: for tests."""
    for target, name, listener in _LISTENERS:
        if event.contains(target, name, listener):
            event.remove(target, name, listener)
    patience.uninstall()
    _process.guard = None
    _process.outside.clear()


def hooks_installed() -> bool:
    """Whether a guard is installed and each listener hangs where it must."""
    return _process.guard is not None and all(event.contains(*each) for each in _LISTENERS)


@contextmanager
def trying() -> Iterator[None]:
    """Until the block ends this thread writes nothing, as if nobody were logged in, before the guard is armed too."""
    _thread.trying = True
    try:
        yield
    finally:
        _thread.trying = False


def _listen() -> None:
    for target, name, listener in _LISTENERS:
        if not event.contains(target, name, listener):
            event.listen(target, name, listener)


def database_of(engine: Any) -> str:
    """One name per database, whichever engine opened it."""
    url = engine.url
    kind = url.get_backend_name()
    if kind == "sqlite":
        return f"sqlite:{Path(url.database or '').absolute()}"
    return f"{kind}:{url.host}:{url.port}:{url.query.get('host', '')}:{url.database}"


def _watched(bind: Any) -> bool:
    """Whether writes to this engine are judged now."""
    if _thread.trying:
        return True
    if _process.guard is not None:
        return _process.guard.armed()
    return bool(_process.outside) and bind is not None and database_of(bind) in _process.outside


def _engine_of(session: Any) -> Any:
    bind = session.bind
    return getattr(bind, "engine", bind)


def _judge(session: Any, rows: list[Row], way: Way) -> None:
    """Let the rows pass, or raise.

    Raises:
        MlflowException: refused.
    """
    if held := warrants():
        rows = [row for row in rows if not covered(row, held) and not only_stamps(row)]
    if not rows:
        return
    guard = _somebody_asks(rows[0].operation, rows[0].table)
    finished = guard.rules().level("finished-run") != "off"
    if changes := to_decide(rows, way, session=session, finished=finished):
        decide(guard, changes, session, at_once=way == "cursor")


def _somebody_asks(operation: str, table: str) -> Guard:
    """The guard, which knows who asks.

    Raises:
        MlflowException: there is no guard in this process, or nobody asks.
    """
    if _process.guard is None:
        raise denied(f"{operation} of {table}: {OUTSIDE}")
    if _thread.trying or _process.guard.asker() is None:
        raise denied(f"{operation} of {table}: {NO_ACTOR}")
    return _process.guard


def _before_flush(session: Any, _context: object, _instances: object) -> None:
    if not _watched(_engine_of(session)):
        return
    rows: list[Row] = list(pending(session))
    _judge(session, rows, "flush")
    WRITING.tables = frozenset(row.table for row in rows) | _sign_new_runs(session)
    _note_login(session, rows)


def _note_login(session: Any, rows: list[Row]) -> None:
    """Keep who writes to a run that somebody else made."""
    if (guard := _process.guard) is None or (asker := guard.asker()) is None or asker.single_user:
        return
    if not warrants() and guard.rules().level("registration") != "off":
        coauthors.note_in_session(session, rows, asker.login)


def _sign_new_runs(session: Any) -> frozenset[str]:
    """Give each new run the tag with the login that makes it: what a client says of itself proves nothing.

    Returns:
        The tables that this writes beside the rows of the flush.
    """
    guard = _process.guard
    asker = None if guard is None else guard.asker()
    runs = [obj for obj in session.new if getattr(obj, "__tablename__", "") == "runs"]
    if not runs or guard is None or asker is None:
        return frozenset()
    if asker.single_user or guard.rules().level("registration") == "off":
        return frozenset()
    from mlflow.store.tracking.dbmodels.models import SqlTag

    for run in runs:
        claimed = [tag for tag in run.tags if tag.key == LOGIN]
        for tag in claimed:
            tag.value = asker.login
        if not claimed:
            session.add(SqlTag(run_uuid=run.run_uuid, key=LOGIN, value=asker.login))
    return frozenset({"tags"})


def _after_flush(_session: Any, _context: object) -> None:
    WRITING.tables = frozenset()


def _do_orm_execute(state: Any) -> None:
    if not (state.is_insert or state.is_update or state.is_delete) or not _watched(_engine_of(state.session)):
        return
    if not warrants():
        # Even where no row matches: what is refused does not depend on what another transaction adds meanwhile.
        _somebody_asks(operation_of(state), state.statement.table.name)
    rows = rows_of_statement(state)
    _judge(state.session, rows, "bulk")
    _note_login(state.session, rows)
    state.update_execution_options(**{DECIDED: True})


def _before_cursor_execute(
    connection: Any, _cursor: object, statement: str, _parameters: object, context: Any, _many: object
) -> None:
    if not writes(statement, context) or not _watched(connection.engine):
        return
    if context is not None and context.execution_options.get(DECIDED):
        return
    if table_of(context) not in WRITING.tables:
        rows = rows_of_cursor(statement, context)
        session = _OnConnection(connection)
        _judge(session, rows, "cursor")
        _note_login(session, rows)


class _OnConnection:
    """As much of a session as a decision on a bare connection needs."""

    def __init__(self, connection: Any) -> None:
        self.connection: Callable[[], Any] = lambda: connection
        self.no_autoflush = nullcontext()
        self.identity_map: dict[object, object] = {}
        self.new: tuple[object, ...] = ()
        self.info: dict[str, object] = {}

    def get_transaction(self) -> None:
        """Records are written at once: there is nothing to tell apart."""

    get_nested_transaction = get_transaction


def _before_commit(session: Any) -> None:
    guard = _process.guard
    if guard is None or not guard.armed():
        return
    if session.new or session.dirty or session.deleted:
        session.flush()
    write_records(guard, session)


def _after_commit(session: Any) -> None:
    coauthors.committed(session)


def _after_soft_rollback(session: Any, previous: Any) -> None:
    WRITING.tables = frozenset()
    forget(session, previous)
    coauthors.rolled_back(session)


_LISTENERS: tuple[tuple[Any, str, Callable[..., None]], ...] = (
    (Session, "before_flush", _before_flush),
    (Session, "after_flush", _after_flush),
    (Session, "do_orm_execute", _do_orm_execute),
    (Session, "before_commit", _before_commit),
    (Session, "after_commit", _after_commit),
    (Session, "after_soft_rollback", _after_soft_rollback),
    (Engine, "before_cursor_execute", _before_cursor_execute),
)
