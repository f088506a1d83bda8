"""A guard that only warns refuses nothing; and what it keeps of who wrote to a run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from guarded_team import ANA, CLEO, entries, guarded, make_server, refusal, scope_of
from ledger_behaviour import append_bytes
from mlflow.entities import Param
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Engine
from team import (
    Team,
    alias,
    copy_team,
    edit_standard,
    registry,
    signoff,
)

from signoff.apps.server.actor import asking
from signoff.apps.server.asgi import TOLD
from signoff.apps.verbs.authors import authors_of
from signoff.record.capture import login_tag
from signoff.release.guard.model import Objection, Ruling
from signoff.release.model import Reason
from signoff.standard.guard import GUARD_RULES

BEN = "ben@lab.example"


def test_a_warning_lets_it_happen_and_stands_on_the_run(made_aware: Team) -> None:
    guard = make_server(made_aware)
    scope = scope_of(ANA)
    with guarded(guard), asking(scope):
        registry(made_aware).set_terminated(made_aware.good, status="RUNNING")
        guard.write_told(scope[TOLD])
    run = registry(made_aware).get_run(made_aware.good)
    assert run.info.status == "RUNNING"
    assert "(run-finished)" in run.data.tags["signoff.warning"]


def test_the_newest_five_different_warnings_stay_on_the_run(made_aware: Team) -> None:
    guard = make_server(made_aware)
    with guarded(guard):
        for number in (1, 2, 2, 3, 4, 5, 6):
            scope = scope_of(ANA)
            reason = Reason(code="run-finished", message=f"warning {number}")
            said = Objection(
                rule="finished-run", use_case="", subject=f"run {made_aware.good}", reason=reason
            )
            with asking(scope):
                guard.told(Ruling(warned=(said,)))
                guard.write_told(scope[TOLD])
    lines = registry(made_aware).get_run(made_aware.good).data.tags["signoff.warning"].splitlines()
    assert [line.rpartition("warning ")[2] for line in lines] == ["2.", "3.", "4.", "5.", "6."]


@pytest.mark.parametrize("level", ["warn", "off", "{alias: enforce}"])
def test_what_cannot_be_decided_is_refused_only_where_something_is_enforced(
    proposed: Team, level: str
) -> None:
    edit_standard(proposed, "use_cases:", f"guard: {level}\nuse_cases:")
    scope = scope_of(CLEO)
    with guarded(make_server(proposed)) as guard:
        ledger = guard.workspace().ledger()
        append_bytes(f"sqlite:///{proposed.folder / 'mlflow.db'}", b"{", use_case="tumours")
        before = ledger.stored().head.size
        if level == "{alias: enforce}":
            assert "tumours@prod" in refusal(proposed, CLEO, 1, "undecided")
            return
        with asking(scope):
            registry(proposed).set_registered_model_alias("tumours", "prod", "1")
        assert alias(proposed) == 1
        written = [row.entry.decode() for row in ledger.stored().rows[before:]]
    told = [said for ruling in scope.get(TOLD, ()) for said in ruling.warned]
    assert [(said.subject, said.reason.code) for said in told] == (
        [("change of tumours@prod", "undecided")] if level == "warn" else []
    )
    assert ["would be refused: (undecided)" in entry for entry in written] == [True] * len(told)


def test_with_warnings_alone_a_log_that_cannot_be_written_refuses_nothing(made_aware: Team) -> None:
    levels = ", ".join(f"{rule.replace('-', '_')}: warn" for rule in GUARD_RULES)
    edit_standard(made_aware, "guard: {finished_run: warn}", f"guard: {{{levels}}}")
    scope = scope_of(ANA)
    guard = make_server(made_aware)
    with guarded(guard):
        with closing(sqlite3.connect(made_aware.folder / "mlflow.db")) as connection:
            connection.execute("ALTER TABLE signoff_log RENAME TO signoff_log_away")
            connection.commit()
            with asking(scope):
                registry(made_aware).set_terminated(made_aware.good, status="RUNNING")
            assert registry(made_aware).get_run(made_aware.good).info.status == "RUNNING"
            connection.execute("ALTER TABLE signoff_log_away RENAME TO signoff_log")
            connection.commit()
        with asking(scope):
            guard.write_told(scope[TOLD])
    assert "guard:finished-run" in [entry["action"] for entry in entries(made_aware)]


def test_whoever_logs_to_the_run_of_another_is_an_author_of_it(made: Team, tmp_path: Path) -> None:
    team = copy_team(made, tmp_path / "team")
    client, notes = registry(team), list[object]()

    def count(_c: object, _k: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("INSERT INTO tags") and "SELECT" in statement:
            notes.append(parameters)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        with guarded(make_server(team)) as guard:
            with asking(scope_of(ANA)):
                run_id = client.create_run("0").info.run_id
                client.log_param(run_id, "depth", 3)
            assert notes == []
            with asking(scope_of(BEN)):
                client.log_metric(run_id, "recall", 0.9)
                client.log_param(run_id, "width", 5)
                client.log_batch(run_id, params=[Param("alpha", "1")])
            assert len(notes) == 1, "remembered after the first write"
            run = guard.workspace().reader().run(run_id)
            assert authors_of(guard.workspace(), run) >= {ANA, BEN}
            with asking(scope_of(ANA)), pytest.raises(MlflowException, match="tag-reserved"):
                client.delete_tag(run_id, login_tag(BEN))
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def test_what_was_rolled_back_makes_nobody_an_author(made: Team, tmp_path: Path) -> None:
    team = copy_team(made, tmp_path / "team")
    client = registry(team)
    with guarded(make_server(team)):
        with asking(scope_of(ANA)):
            run_id = client.create_run("0").info.run_id
            client.log_param(run_id, "depth", 3)
        with asking(scope_of(BEN)):
            with pytest.raises(MlflowException):
                client.log_param(run_id, "depth", 4)
            assert login_tag(BEN) not in client.get_run(run_id).data.tags
            client.log_param(run_id, "width", 4)
        assert client.get_run(run_id).data.tags[login_tag(BEN)] == BEN


@pytest.fixture
def made_aware(fresh: Team) -> Team:
    """A team whose standard warns of runs that are opened again."""
    assert signoff(fresh, "gate", fresh.good).code == 0
    edit_standard(fresh, "use_cases:", "guard: {finished_run: warn}\nuse_cases:")
    return fresh
