"""What a proposal froze must still be what its run shows when the version is approved and released."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from guarded_team import CLEO, guarded, make_server, refusal, set_alias
from team import CONTEXT, Team, alias, copy_team, refused, signoff

from signoff.adapters.ledger_sql.marker import mark_guarded

AROUND = {
    "params": ("UPDATE params SET value = '7' WHERE run_uuid = ?", "params"),
    "metric": ("UPDATE latest_metrics SET value = 0.99 WHERE run_uuid = ?", "metrics"),
    "captured tags": ("DELETE FROM tags WHERE key LIKE 'signoff.%' AND run_uuid = ?", "tags"),
    "history": ("UPDATE metrics SET value = 0.99 WHERE run_uuid = ?", "metric history"),
}


def database(team: Team) -> str:
    return f"sqlite:///{team.folder / 'mlflow.db'}"


def sql(team: Team, statement: str) -> None:
    """What somebody with the database's password does."""
    with closing(sqlite3.connect(team.folder / "mlflow.db")) as connection, connection:
        assert connection.execute(statement, (team.good,)).rowcount > 0


@pytest.fixture
def frozen(made: Team, tmp_path: Path) -> Team:
    team = copy_team(made, tmp_path / "team")
    assert signoff(team, "gate", team.good).code == 0
    mark_guarded(database(team), since="2026-11-22T00:00:00Z", by="a test")
    outcome = signoff(team, "propose", team.good, *CONTEXT, key="ana")
    assert outcome.code == 0, outcome
    return team


@pytest.mark.parametrize(("statement", "part"), AROUND.values(), ids=AROUND)
def test_what_was_changed_around_the_server_is_neither_approved_nor_released(
    frozen: Team, statement: str, part: str
) -> None:
    assert signoff(frozen, "approve", "tumours/1", key="ben").code == 0
    sql(frozen, statement)
    for verb, person in (("approve", "ben"), ("promote", "cleo")):
        outcome = signoff(frozen, verb, "tumours/1", "--format", "json", key=person)
        refused(outcome, "evidence-changed")
        assert f"was proposed: {part}" in outcome.out
    with guarded(make_server(frozen)):
        text = refusal(frozen, CLEO, 1, "evidence-changed")
    assert "Fix: find out who changed it (signoff admin reconcile)" in text


def test_an_artifact_that_was_rewritten_is_not_approved(frozen: Team) -> None:
    next(frozen.folder.glob(f"**/{frozen.good}/artifacts/evidence/*")).write_text("{}")
    refused(signoff(frozen, "approve", "tumours/1", "--format", "json", key="ben"), "evidence-changed")


def test_what_stays_open_is_no_change_of_the_evidence(frozen: Team) -> None:
    sql(frozen, "UPDATE runs SET name = 'another name' WHERE run_uuid = ?")
    sql(frozen, "UPDATE tags SET value = 'x' WHERE key = 'mlflow.runName' AND run_uuid = ?")
    assert signoff(frozen, "approve", "tumours/1", key="ben").code == 0
    with guarded(make_server(frozen)):
        set_alias(frozen, CLEO, 1)
    assert alias(frozen) == 1
