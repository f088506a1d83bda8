"""Who else logs to a run: kept as a tag of the run, so that whoever wrote part of a version does not approve it.

The tag `signoff.login` names who made the run. Another login that writes what a version rests on is added once, in
the transaction that writes it. Each process remembers whom it has looked after, so plain logging costs no SQL but at
the first write of a login to a run.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from signoff.adapters.mlflow_hooks.rows import Row
from signoff.adapters.mlflow_hooks.statements import DECIDED
from signoff.record.capture import LOGIN, login_tag

_MOST = 200_000
"""Pairs of run and login that a process remembers before it begins anew."""
_NOTED = "signoff_noted"
_COLUMN = {"params": "run_uuid", "metrics": "run_uuid", "logged_models": "source_run_id"}
"""Tables of what a version rests on, with the column that names the run."""
_NOTE = text(
    "INSERT INTO tags (key, value, run_uuid) SELECT :key, :login, run_uuid FROM runs WHERE run_uuid = :run"
    " AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.run_uuid = :run AND t.key = :creator AND t.value = :login)"
    " ON CONFLICT DO NOTHING"
).execution_options(**{DECIDED: True})

_seen: set[tuple[str, str]] = set()


def written_runs(rows: Iterable[Row]) -> tuple[frozenset[str], frozenset[str]]:
    """Runs that are made by these rows, and the others that they are logged to."""
    made: set[str] = set()
    logged: set[str] = set()
    for row in rows:
        if row.table == "runs" and row.operation == "insert":
            made.add(row.value("run_uuid") or "")
        elif (column := _COLUMN.get(row.table)) is not None and (run_id := row.value(column)):
            logged.add(run_id)
    return frozenset(made), frozenset(logged - made)


def note_in_session(session: Any, rows: Iterable[Row], login: str) -> None:
    """Note a login with the runs that its transaction writes to, until that is rolled back."""
    made, logged = written_runs(rows)
    new = [run_id for run_id in logged if (run_id, login) not in _seen]
    if new:
        _note(session.connection(), new, login)
    if new or made:
        session.info.setdefault(_NOTED, set()).update((run_id, login) for run_id in (*new, *made))


def note(engine: Any, run_ids: Iterable[str], login: str) -> None:
    """Note a login with runs whose artifacts it writes."""
    new = [run_id for run_id in run_ids if (run_id, login) not in _seen]
    if not new:
        return
    with engine.begin() as connection:
        _note(connection, new, login)
    _remember((run_id, login) for run_id in new)


def committed(session: Any) -> None:
    """What the session noted is in the database."""
    if pairs := session.info.pop(_NOTED, None):
        _remember(pairs)


def rolled_back(session: Any) -> None:
    """What the session noted may not be in the database."""
    session.info.pop(_NOTED, None)


def _note(connection: Any, run_ids: Iterable[str], login: str) -> None:
    for run_id in sorted(run_ids):  # in one order, so that two transactions do not wait for each other
        connection.execute(_NOTE, {"key": login_tag(login), "login": login, "run": run_id, "creator": LOGIN})


def _remember(pairs: Iterable[tuple[str, str]]) -> None:
    if len(_seen) >= _MOST:
        _seen.clear()
    _seen.update(pairs)
