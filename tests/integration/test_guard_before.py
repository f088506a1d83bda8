"""A team that signed proposals and releases before there was a guard: a server freezes their runs when it starts."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from guard_server import Guarded, add_server_key, add_users, prepare, running, start, stop, work
from guarded_team import entries
from store_copies import Copy
from team import CONTEXT, Team, edit_standard, signoff

from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.ledger_sql.marker import mark_guarded
from signoff.adapters.mlflow_hooks.freeze import freeze_run, is_frozen
from signoff.apps.locate import VARIABLE as STANDARD_VARIABLE
from signoff.apps.server.prefork import prepare as prepare_server
from signoff.apps.server.settings import DATABASE_VARIABLE
from signoff.apps.verbs.freeze_stated import FrozenAtStart, freeze_stated
from signoff.apps.workspace import open_workspace
from signoff.evidence.log_entry import parse_entry
from signoff.release.proposal import decide_proposal


def database(team: Team) -> str:
    return f"sqlite:///{team.folder / 'mlflow.db'}"


def started(team: Team) -> FrozenAtStart:
    """What a server does with the team's database before it serves."""
    mark_guarded(database(team), since="2026-11-22T00:00:00Z", by="a test")
    workspace = open_workspace(str(team.folder / "signoff.yaml"))
    return freeze_stated(workspace, SqlLedger(database(team)))


def sql(team: Team, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(team.folder / "mlflow.db")) as connection, connection:
        connection.execute(statement, values)


def frozen(team: Team, run_id: str) -> bool:
    with SqlLedger(database(team)).connection() as connection:
        return is_frozen(connection, run_id)


def freezes(team: Team) -> list[dict[str, object]]:
    return [entry for entry in entries(team) if entry["action"] == "freeze"]


def found(team: Team) -> list[str]:
    """Codes of what the tripwire finds."""
    said = json.loads(signoff(team, "admin", "reconcile", "--format", "json").out)
    return [one["code"] for one in said["found"]]


def test_what_was_released_without_a_guard_is_frozen_once_and_the_tripwire_watches_it(released: Team) -> None:
    assert not frozen(released, released.good)
    first = started(released)
    (note,) = first.notes()
    assert note == (
        "1 proposed or released before now and not frozen: what their runs logged is frozen from now on:"
        f" tumours/1 (run {released.good})"
    )
    assert frozen(released, released.good)
    (entry,) = freezes(released)
    assert (entry["subject"], entry["actor"], entry["use_case"]) == ("tumours/1", "server", "tumours")
    detail = entry["detail"]
    assert isinstance(detail, dict)
    assert detail["run_id"] == released.good
    parts = {"params", "metrics", "metric history", "datasets", "models", "artifacts", "tags"}
    assert detail["evidence"].keys() == parts

    assert started(released).notes() == ()
    assert len(freezes(released)) == 1
    assert signoff(released, "admin", "audit", "--verify").code == 0
    assert found(released) == []
    sql(released, "UPDATE latest_metrics SET value = 0.99 WHERE run_uuid = ?", released.good)
    assert found(released) == ["evidence-changed"]


def test_a_start_that_was_cut_short_is_completed_by_the_next(proposed: Team) -> None:
    mark_guarded(database(proposed), since="2026-11-22T00:00:00Z", by="a test")
    with SqlLedger(database(proposed)).connection() as connection:
        freeze_run(connection, proposed.good)
    assert started(proposed).frozen == [f"tumours/1 (run {proposed.good})"]
    assert [entry["subject"] for entry in freezes(proposed)] == ["tumours/1"]


def test_a_mark_that_was_taken_off_is_set_again_and_hides_no_change(released: Team) -> None:
    started(released)
    sql(released, "UPDATE runs SET entry_point_name = '' WHERE run_uuid = ?", released.good)
    sql(released, "UPDATE params SET value = '7' WHERE run_uuid = ?", released.good)
    again = started(released)
    assert again.unmarked == [f"tumours/1 (run {released.good})"]
    assert any("opened around the server" in note for note in again.notes())
    assert frozen(released, released.good)
    assert found(released) == ["evidence-changed"]


GONE: dict[str, tuple[Callable[[Team], None], str]] = {
    "the run was deleted": (
        lambda team: sql(team, "UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", team.good),
        "1 whose run is deleted: tumours/1 (run ",
    ),
    "the run's row is gone": (
        lambda team: sql(team, "DELETE FROM runs WHERE run_uuid = ?", team.good),
        "1 whose run is gone, so that nothing can be frozen: tumours/1 (run ",
    ),
    "a statement is gone": (
        lambda team: sql(team, "DELETE FROM signoff_statement WHERE kind = 'proposal'"),
        "could not be read: runs of use case tumours: ",
    ),
}


@pytest.mark.parametrize(("damage", "says"), GONE.values(), ids=GONE)
def test_a_run_that_cannot_be_frozen_is_told_and_stops_no_server(
    released: Team, damage: Callable[[Team], None], says: str
) -> None:
    damage(released)
    (note,) = started(released).notes()
    assert says in note
    assert freezes(released) == []


def test_a_deleted_run_is_marked_and_logged_once_it_is_restored(released: Team) -> None:
    GONE["the run was deleted"][0](released)
    started(released)
    assert frozen(released, released.good)
    sql(released, "UPDATE runs SET lifecycle_stage = 'active' WHERE run_uuid = ?", released.good)
    started(released)
    assert [entry["subject"] for entry in freezes(released)] == ["tumours/1"]


# --- a proposal that was cut short


def cut_short(team: Team, run_id: str) -> None:
    """A server was killed after it froze the run, and before the proposal was written."""
    mark_guarded(database(team), since="2026-11-22T00:00:00Z", by="a test")
    with SqlLedger(database(team)).connection() as connection:
        freeze_run(connection, run_id)


def test_a_run_left_frozen_is_named_and_opened_by_somebody_who_may(released: Team) -> None:
    started(released)
    cut_short(released, released.weak)
    assert started(released).left == [released.weak]
    assert frozen(released, released.weak)
    assert found(released) == ["freeze-mark-left"]

    signoff(released, "admin", "reconcile", "--revert", key="ben")
    assert frozen(released, released.weak)
    done = signoff(released, "admin", "reconcile", "--revert", key="cleo")
    assert f"freeze-mark-left run {released.weak}: it is frozen, and no statement is about it" in done.out
    assert f"DONE: run {released.weak} is open again" in done.out
    assert done.code == 1
    assert not frozen(released, released.weak)
    assert frozen(released, released.good)
    last = entries(released)[-1]
    assert (last["action"], last["outcome"], last["actor"], last["use_case"], last["subject"]) == (
        "reconcile",
        "allowed",
        "cleo@lab.example",
        "tumours",
        f"run {released.weak}",
    )
    assert found(released) == []


def test_a_proposal_that_was_cut_short_is_completed_by_proposing_again(fresh: Team) -> None:
    assert signoff(fresh, "gate", fresh.good).code == 0
    cut_short(fresh, fresh.good)
    assert found(fresh) == ["freeze-mark-left"]
    assert signoff(fresh, "propose", fresh.good, *CONTEXT, key="ana").code == 0
    assert found(fresh) == []
    assert frozen(fresh, fresh.good)


def test_a_proposal_whose_run_is_opened_meanwhile_is_not_written(
    fresh: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_guarded(database(fresh), since="2026-11-22T00:00:00Z", by="a test")
    assert signoff(fresh, "gate", fresh.good).code == 0

    def opened_meanwhile(*given: object, **named: object) -> object:
        assert "is open again" in signoff(fresh, "admin", "reconcile", "--revert", key="cleo").out
        return decide_proposal(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("signoff.apps.verbs.propose.decide_proposal", opened_meanwhile)
    outcome = signoff(fresh, "propose", fresh.good, *CONTEXT, key="ana")
    assert outcome.code == 2
    assert "run the same command again" in outcome.err
    assert not frozen(fresh, fresh.good)
    assert [e["action"] for e in entries(fresh) if e["outcome"] == "allowed"] == ["gate", "reconcile"]


LEFT = (
    "INSERT INTO runs (run_uuid, name, entry_point_name, user_id, status, start_time, lifecycle_stage, artifact_uri,"
    " experiment_id) SELECT 'f', 'cut short', 'signoff:frozen', user_id, status, start_time, lifecycle_stage,"
    " artifact_uri, experiment_id FROM runs"
)


def test_both_databases_are_frozen_and_opened_alike(store_copy: Copy) -> None:
    uri = store_copy.store.database
    store_copy.sql("UPDATE runs SET entry_point_name = ''", LEFT)
    workspace = open_workspace(str(store_copy.team.folder / "signoff.yaml"))
    start_of_server = freeze_stated(workspace, SqlLedger(uri))
    name = f"tumours/1 (run {store_copy.team.good})"
    assert (start_of_server.frozen, start_of_server.unmarked, start_of_server.left) == ([name], [name], ["f"])
    assert found(store_copy.team) == ["freeze-mark-left"]
    done = signoff(store_copy.team, "admin", "reconcile", "--revert", key="cleo")
    assert "DONE: run f is open again" in done.out
    assert found(store_copy.team) == []
    assert freeze_stated(workspace, SqlLedger(uri)).notes() == ()


# --- the server itself


def logged_freezes(place: Guarded) -> dict[str, object]:
    stored = SqlLedger(place.store.database).stored()
    found = [parse_entry(row.entry) for row in stored.rows]
    assert len([e for e in found if e.action == "freeze"]) == 2
    return {str(e.detail["run_id"]): e.detail["evidence"] for e in found if e.action == "freeze"}


@pytest.mark.timeout(400)
def test_a_server_freezes_before_it_serves_and_once(tmp_path: Path) -> None:
    place = prepare(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", kind="bare")
    with running(place):
        add_users(place)
        place = work(place)
    edit_standard(place.team, f"ledger: {place.store.database}\n", "")
    add_server_key(place.team)
    place = replace(place, kind="guarded")
    log = place.folder / "server.log"
    process = start(place)
    try:
        assert "2 proposed or released before now and not frozen" in log.read_text()
        evidence = logged_freezes(place)
        assert evidence.keys() == {place.names["released"], place.names["proposed"]}
        assert all(isinstance(parts, dict) and "artifacts" in parts for parts in evidence.values())
        metric = {"key": "roc_auc", "value": 1.0, "timestamp": 1}
        for run, status in (("released", 403), ("proposed", 403), ("running", 200)):
            body = {"run_id": place.names[run], **metric}
            assert place.address.ask("ana", "POST", "/api/2.0/mlflow/runs/log-metric", body).status == status
        rename = {"run_id": place.names["proposed"], "run_name": "a better name"}
        assert place.address.ask("ana", "POST", "/api/2.0/mlflow/runs/update", rename).status == 200
        rename = {"run_id": place.names["released"], "run_name": "a better name"}
        assert place.address.ask("ana", "POST", "/api/2.0/mlflow/runs/update", rename).status == 403
    finally:
        stop(process)
    with running(place):
        assert logged_freezes(place) == evidence
    assert log.read_text().count("not frozen") == 1


def test_a_start_tells_what_it_froze_and_keeps_progress_bars_out_of_the_log(
    released: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server import handlers

    monkeypatch.setattr(handlers, "_tracking_store", None)
    monkeypatch.setenv(DATABASE_VARIABLE, database(released))
    monkeypatch.setenv(STANDARD_VARIABLE, str(released.folder / "signoff.yaml"))
    of_workers: dict[str, str] = {}
    notes = prepare_server({"host": "127.0.0.1"}, of_workers)
    assert any("1 proposed or released before now and not frozen" in note for note in notes)
    assert frozen(released, released.good)
    assert of_workers["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] == "false"
    assert of_workers["MALLOC_ARENA_MAX"] == "2"
