"""What bad input must end in: exit code 2 with a clear message, and everything as it was."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from team import Outcome, Team

CONTEXT = ("--context", "business_context=triage of biopsies", "--notes", "first model")


def undecided(outcome: Outcome, *words: str) -> None:
    """Exit code 2 with a message on stderr that holds these words, and nothing else."""
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: "), outcome
    assert outcome.out == "", outcome
    assert "Traceback" not in outcome.err, outcome
    for word in words:
        assert word in outcome.err, outcome


@contextmanager
def untouched(team: Team) -> Iterator[None]:
    """Nothing changes but for entries of the audit log that say that a decision failed."""
    before = _files(team), _rows(team)
    log = log_of(team)
    yield
    assert (_files(team), _rows(team)) == before
    added = log_of(team)[len(log) :]
    assert all(b'"outcome":"failed"' in entry for entry in added), added


def _files(team: Team) -> dict[str, str]:
    return {
        str(path.relative_to(team.folder.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in team.folder.parent.rglob("*")
        if path.is_file() and not path.name.startswith("mlflow.db")
    }


def _rows(team: Team) -> dict[str, list[Any]]:
    """All of MLflow's rows, and the statements."""
    kept = [name for name in _tables(team) if not name.startswith("signoff_") or name == "signoff_statement"]
    rows = {name: _query(team, f"SELECT * FROM {name} ORDER BY 1") for name in kept}  # noqa: S608 - its own names
    return {name: found for name, found in rows.items() if found}


def log_of(team: Team) -> list[bytes]:
    if "signoff_log" not in _tables(team):
        return []
    return [entry for (entry,) in _query(team, "SELECT entry FROM signoff_log ORDER BY idx")]


def _tables(team: Team) -> list[str]:
    return [name for (name,) in _query(team, "SELECT name FROM sqlite_master WHERE type = 'table'")]


def _query(team: Team, statement: str) -> list[Any]:
    try:
        with closing(sqlite3.connect(f"file:{team.folder / 'mlflow.db'}?mode=ro", uri=True)) as store:
            return store.execute(statement).fetchall()
    except sqlite3.Error:
        return []


def every_verb(team: Team) -> list[tuple[str, ...]]:
    """One call of each command that works on a team's store."""
    key = ("--key", team.key("cleo"))
    return [
        ("check",),
        ("check", "tumours", "--fix"),
        ("gate", team.good),
        ("gate", "tumours"),
        ("propose", team.good, *CONTEXT, *key),
        ("note", "tumours/1", "good", *key),
        ("approve", "tumours/1", *key),
        ("approve", team.good, "--waive", "x", "--until", "2099-01-01", "--comment", "y", *key),
        ("reject", "tumours/1", "--reason", "documentation", *key),
        ("promote", "tumours/1", *key),
        ("rollback", "tumours", "--reason", "x", *key),
        ("predict", "tumours"),
        ("status",),
        ("lineage", "tumours@prod"),
        ("lineage", "tumours/1"),
        ("admin", "audit"),
        ("admin", "audit", "--verify"),
    ]
