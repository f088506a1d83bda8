"""What the examples of profile mid have in common: the way of a run through test into production."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from examples.runner import DemoError, Done, Runner
from examples.story import as_person

CHECKLIST = (
    "evaluation data is what production will see",
    "errors were read, not only counted",
    "limitations are known to the people who use the output",
    "the rollback plan names version, trigger and person",
)
"""What profile mid asks an approver to confirm for production."""


def release(runner: Runner, run: str, *, use_case: str, context: Mapping[str, str], notes: str) -> str:
    """Propose, try in test, approve with the checklist, promote; the version.

    Args:
        runner: runs the commands.
        run: the MLflow run.
        use_case: its use case.
        context: what the standard asks a proposal to say, by field.
        notes: for the reviewers.
    """
    said = [part for field, text in context.items() for part in ("--context", f"{field}={text}")]
    propose = ["signoff", "propose", run, *said, "--notes", notes]
    done = runner.run(as_person(propose, "ana"), why="Ana proposes")
    version = done.find(rf"\b({use_case}/\d+)\b")
    approve, promote = ["signoff", "approve", version, "--env"], ["signoff", "promote", version, "--env"]
    confirmed = [part for item in CHECKLIST for part in ("--confirm", item)]
    runner.run(as_person([*approve, "test"], "ben"), why="Ben approves for test")
    runner.run(as_person([*promote, "test"], "cleo"), why="Cleo promotes to test")
    runner.run(as_person([*approve, "prod", *confirmed], "ben"), why="Ben confirms the checklist")
    runner.run(as_person([*approve, "prod", *confirmed], "cleo"), why="and so does the platform owner")
    runner.run(as_person([*promote, "prod"], "cleo"), why="Cleo promotes to production")
    return version


def line(done: Done, *parts: str) -> str:
    """The first output line that holds all of these, its columns and what follows a semicolon left out.

    Raises:
        DemoError: there is none.
    """
    for text in done.output.splitlines():
        if all(part in text for part in parts):
            return " ".join(text.partition(";")[0].split())
    raise DemoError(f"the output has no line with {' and '.join(parts)}:\n{done.output}")


def check_runs(runner: Runner) -> None:
    """Compare the runs that are remembered with MLflow's database.

    Raises:
        DemoError: one is gone.
    """
    database = runner.folder / "mlflow.db"
    for facts in runner.state.values():
        if "run" in facts and not _stored(database, facts["run"]):
            raise DemoError(
                f"run {facts['run']} is gone from {database}; start again with: make {runner.target} ARGS=--fresh"
            )


def _stored(database: Path, run: str) -> bool:
    if not database.is_file():
        return False
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute("select 1 from runs where run_uuid = ?", [run]).fetchone() is not None
