"""Rows that one SQL statement would write: bulk statements of a session, and what reaches the cursor past it."""

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.sql.elements import TextClause

from signoff.adapters.mlflow_hooks.refusal import denied, unforeseen
from signoff.adapters.mlflow_hooks.rows import Row, StatementRow
from signoff.adapters.mlflow_hooks.tables import TABLES
from signoff.release.guard.model import Operation

DECIDED = "signoff_decided"
"""Execution option of a statement that was decided as a whole."""

_READS = re.compile(
    r"\s*(SELECT|PRAGMA|SHOW|SET|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|VALUES|EXPLAIN)\b", re.IGNORECASE
)
_WRITES = re.compile(
    r"\b(INSERT|UPDATE|DELETE|MERGE|REPLACE|TRUNCATE|DROP|ALTER|CREATE|COPY|GRANT)\b", re.IGNORECASE
)


class _Writing(threading.local):
    """Tables of the flush that this thread is in."""

    tables: frozenset[str] = frozenset()


WRITING = _Writing()


def writes(statement: str, context: Any) -> bool:
    """Whether a statement at the cursor changes anything; what cannot be told counts as a change."""
    if context is not None:
        if context.isinsert or context.isupdate or context.isdelete or context.isddl:
            return True
        compiled = context.compiled
        if compiled is not None and type(compiled.statement) is not TextClause:
            return statement.lstrip()[:4].upper() == "WITH" and _WRITES.search(statement) is not None
    body = statement.rstrip().rstrip(";")
    return _READS.match(body) is None or ";" in body


def operation_of(state: Any) -> Operation:
    """What a DML statement or its execution does."""
    if getattr(state, "is_insert", False) or getattr(state, "isinsert", False):
        return "insert"
    return "update" if getattr(state, "is_update", False) or getattr(state, "isupdate", False) else "delete"


def rows_of_statement(state: Any) -> list[Row]:
    """The rows of a bulk statement that a session is about to execute.

    Of tables in which only the operation matters this is one row that stands for all.

    Raises:
        MlflowException: its rows cannot be told.
    """
    statement = state.statement
    table, operation = statement.table, operation_of(state)
    rule = TABLES.get(table.name)
    if rule is None or operation not in rule.bulk:
        raise unforeseen(table.name, operation, "by bulk")
    if rule.meaning in ("control", "trace"):
        return [StatementRow(table, operation, before={}, after={})]
    if operation == "insert":
        return _inserted(statement, state.parameters)
    return _found(state, operation)


def _inserted(statement: Any, parameters: Any) -> list[Row]:
    table = statement.table
    given: Iterable[Mapping[str, object]] = parameters if isinstance(parameters, list) else [parameters or {}]
    values = statement.compile().params
    rows = [after for each in given for after in _unflattened(table, {**values, **each})]
    if not rows or any(not row for row in rows):
        raise unforeseen(table.name, "insert", "its rows cannot be told")
    return [StatementRow(table, "insert", before={}, after=row) for row in rows]


def _unflattened(table: Any, values: Mapping[str, object]) -> list[dict[str, object]]:
    """Rows of ``INSERT … VALUES (…), (…)``: SQLAlchemy numbers the parameters of each row."""
    columns = [column.name for column in table.columns]
    rows: list[dict[str, object]] = []
    while row := {name: values[key] for name in columns if (key := f"{name}_m{len(rows)}") in values}:
        rows.append(row)
    return rows or [{name: values[name] for name in columns if name in values}]


def _found(state: Any, operation: Operation) -> list[Row]:
    """The rows that an update or delete would touch, read with its own condition."""
    statement = state.statement
    table = statement.table
    shown = ("assessment_id", "run_id") if table.name == "assessments" else tuple(table.columns.keys())
    query = select(*(table.c[column] for column in shown))
    if statement.whereclause is not None:
        query = query.where(statement.whereclause)
    session = state.session
    with session.no_autoflush:
        there = session.connection().execute(query, state.parameters or {}).mappings().all()
    after = _set(statement) if operation == "update" else {}
    return [
        StatementRow(table, operation, before=dict(row), after=({**row, **after} if after else {}))
        for row in there
    ]


def _set(statement: Any) -> dict[str, object]:
    """What an update sets, where that is a value."""
    found: dict[str, object] = {}
    params = statement.compile().params
    for column in statement.table.columns:
        if column.name in params:
            found[column.name] = params[column.name]
    return found


def table_of(context: Any) -> str | None:
    """The table that a compiled statement at the cursor writes; None for raw text."""
    statement = getattr(getattr(context, "compiled", None), "statement", None)
    return getattr(getattr(statement, "table", None), "name", None)


def rows_of_cursor(statement: str, context: Any) -> list[Row]:
    """The rows of a statement that reached the cursor without its session having told.

    Raises:
        MlflowException: its table or rows cannot be told.
    """
    if table_of(context) is None:
        raise denied(
            f"a statement: only statements whose table and rows are known are executed: {_shown(statement)}"
        )
    table, operation = context.compiled.statement.table, operation_of(context)
    if table.name not in TABLES:
        raise unforeseen(table.name, operation, "the table is not known")
    if operation != "insert":
        return [StatementRow(table, operation, before={}, after={})]
    return [
        StatementRow(table, operation, before={}, after=row)
        for values in context.compiled_parameters
        for row in _unflattened(table, values)
    ]


def _shown(statement: str) -> str:
    return " ".join(statement.split())[:60]
