# ruff: noqa: S608 - statements of somebody with the database's password
"""Changes around the server are found and named, on SQLite and PostgreSQL; by policy aliases are put right."""

import json
from collections.abc import Callable

import pytest
from store_copies import Copy
from team import Outcome, signoff


def look(made: Copy, *arguments: str, key: str | None = None) -> tuple[Outcome, list[str]]:
    """A look, and the codes of what it found."""
    outcome = signoff(made.team, "admin", "reconcile", *arguments, "--format", "json", key=key)
    return outcome, [one["code"] for one in json.loads(outcome.out)["found"]]


RUN = "(SELECT run_id FROM model_versions WHERE version = 1)"


def rewrite_model(made: Copy) -> None:
    made.model_file.write_bytes(made.model_file.read_bytes() + b" ")


def remove_model(made: Copy) -> None:
    made.model_file.unlink()


def rewrite_artifact(made: Copy) -> None:
    place = made.one(f"SELECT artifact_uri FROM runs WHERE run_uuid = {RUN}")
    next(
        made.team.folder.glob(
            f"**/{place.rpartition('/artifacts')[0].rpartition('/')[2]}/artifacts/evidence/*.json"
        )
    ).write_text("{}")


def by(*statements: str) -> Callable[[Copy], None]:
    return lambda made: made.sql(*statements)


AROUND = {
    "the alias points elsewhere": (
        by("UPDATE registered_model_aliases SET version = 7 WHERE alias = 'prod'"),
        ["alias-moved"],
    ),
    "the alias is deleted": (by("DELETE FROM registered_model_aliases"), ["alias-deleted"]),
    "another environment's alias is set": (
        by(
            "INSERT INTO registered_model_aliases (name, alias, version, workspace)"
            " SELECT name, 'test', 1, workspace FROM registered_models"
        ),
        ["alias-by-hand"],
    ),
    "a metric is rewritten": (
        by(f"UPDATE latest_metrics SET value = 0.99 WHERE key = 'precision' AND run_uuid = {RUN}"),
        ["evidence-changed"],
    ),
    "only the metric's history is": (
        by(f"UPDATE metrics SET value = 0.99 WHERE key = 'precision' AND run_uuid = {RUN}"),
        ["evidence-changed"],
    ),
    "a parameter is added": (
        by(
            "INSERT INTO params (run_uuid, key, value) SELECT run_id, 'seen', 'yes' FROM model_versions WHERE version = 1"
        ),
        ["evidence-changed"],
    ),
    "an artifact is rewritten": (rewrite_artifact, ["evidence-changed"]),
    "a captured tag is removed": (
        by(f"DELETE FROM tags WHERE key = 'mlflow.user' AND run_uuid = {RUN}"),
        ["evidence-changed"],
    ),
    "the run is unmarked": (
        by(f"UPDATE runs SET entry_point_name = '' WHERE run_uuid = {RUN}"),
        ["freeze-mark-gone"],
    ),
    "the run is deleted": (
        by(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = {RUN}"),
        ["run-gone"],
    ),
    "the logged model is deleted": (
        by("UPDATE logged_models SET lifecycle_stage = 'deleted'"),
        ["logged-model-gone", "evidence-changed"],
    ),
    "the version is deleted": (
        by("DELETE FROM model_version_tags", "DELETE FROM model_versions"),
        ["version-gone"],
    ),
    "the version is of another run": (
        by("UPDATE model_versions SET run_id = 'ffffffffffffffffffffffffffffffff'"),
        ["version-replaced", "run-gone"],
    ),
    "the model's bytes are others": (rewrite_model, ["model-bytes-changed"]),
    "the model's bytes are gone": (remove_model, ["model-bytes-changed"]),
    "a tag claims a release": (
        by("UPDATE model_version_tags SET value = 'released: test' WHERE key = 'signoff.status'"),
        ["status-tag"],
    ),
    "the audit log is cut": (
        by("DELETE FROM signoff_log WHERE idx = (SELECT MAX(idx) FROM signoff_log)"),
        ["log-changed", "alias-by-hand", "status-tag"],
    ),
}


@pytest.mark.parametrize("what", AROUND)
def test_what_was_changed_around_the_server_is_found_and_named(store_copy: Copy, what: str) -> None:
    clean, found = look(store_copy)
    assert (clean.code, found) == (0, []), clean
    damage, codes = AROUND[what]
    damage(store_copy)
    outcome, found = look(store_copy)
    assert outcome.code == 1
    assert list(dict.fromkeys(found)) == codes, outcome


MOVED = "UPDATE registered_model_aliases SET version = 7 WHERE alias = 'prod'"
BY_HAND = (
    "INSERT INTO registered_model_aliases (name, alias, version, workspace)"
    " SELECT name, 'test', 1, workspace FROM registered_models"
)


def test_a_moved_alias_is_pointed_back_by_somebody_who_may(store_copy: Copy) -> None:
    store_copy.sql(MOVED)
    refused, _ = look(store_copy, "--revert", key="ben")
    assert [reason["code"] for reason in json.loads(refused.out)["refused"]] == ["role"]
    assert store_copy.alias() == 7

    done, found = look(store_copy, "--revert", key="cleo")
    assert (done.code, found, store_copy.alias()) == (1, ["alias-moved"], 1)
    clean, found = look(store_copy)
    assert (clean.code, found) == (0, [])
    assert signoff(store_copy.team, "predict", "tumours").code == 0
    entries = json.loads(signoff(store_copy.team, "admin", "audit", "--format", "json").out)
    last = entries[-2]["entry"]
    assert (last["action"], last["outcome"], last["actor"], last["detail"]["from"], last["detail"]["to"]) == (
        "reconcile",
        "allowed",
        "cleo@lab.example",
        7,
        1,
    )
    assert signoff(store_copy.team, "admin", "audit", "--verify").code == 0


def test_what_nobody_released_is_taken_down(store_copy: Copy) -> None:
    store_copy.sql(BY_HAND)
    done, _ = look(store_copy, "--revert", key="cleo")
    assert "tumours@test deleted" in done.out
    assert look(store_copy)[1] == []


def test_changed_files_lose_their_alias_by_quarantine_and_cannot_be_reverted(store_copy: Copy) -> None:
    rewrite_model(store_copy)
    left, _ = look(store_copy, "--revert", key="cleo")
    assert json.loads(left.out)["repaired"][0]["failed"]
    assert store_copy.alias() == 1

    look(store_copy, "--quarantine", key="cleo")
    assert store_copy.alias() is None
    assert look(store_copy)[1] == ["alias-deleted", "model-bytes-changed"]
    assert signoff(store_copy.team, "predict", "tumours").code == 1


def test_a_log_that_was_changed_moves_no_alias(store_copy: Copy) -> None:
    damage, _ = AROUND["the audit log is cut"]
    damage(store_copy)
    outcome, _ = look(store_copy, "--quarantine", key="cleo")
    assert [reason["code"] for reason in json.loads(outcome.out)["refused"]] == ["log-changed"]
    assert store_copy.alias() == 1


def test_a_log_that_lost_what_an_earlier_look_saw_is_told(store_copy: Copy) -> None:
    from signoff.apps.verbs.reconcile import reconcile
    from signoff.apps.workspace import open_actor, open_workspace

    workspace = open_workspace(str(store_copy.team.folder / "signoff.yaml"))
    actor = open_actor(workspace, None)
    saw = reconcile(workspace, policy="report", actor=actor).head
    assert not reconcile(workspace, policy="report", actor=actor, before=saw).comparison.found
    store_copy.sql("DELETE FROM signoff_log WHERE idx >= 2")
    found = reconcile(workspace, policy="report", actor=actor, before=saw).comparison.found
    assert "log-shrunk" in [one.code for one in found]


def test_the_same_findings_are_remembered_once(store_copy: Copy) -> None:
    store_copy.sql(MOVED)
    for _ in range(3):
        look(store_copy)
    entries = json.loads(signoff(store_copy.team, "admin", "audit", "--format", "json").out)
    assert [row["entry"]["action"] for row in entries].count("reconcile") == 1


STOPPED = {
    "a captured tag is removed": f"DELETE FROM tags WHERE key = 'mlflow.user' AND run_uuid = {RUN}",
    "a frozen metric is rewritten": f"UPDATE latest_metrics SET value = 1 WHERE run_uuid = {RUN}",
    "its history is": f"UPDATE metrics SET value = 1 WHERE run_uuid = {RUN}",
    "a parameter is removed": f"DELETE FROM params WHERE run_uuid = {RUN}",
    "a parameter is added": f"INSERT INTO params (run_uuid, key, value) VALUES ({RUN}, 'a', 'b')",
    "a captured tag is added": f"INSERT INTO tags (run_uuid, key, value) VALUES ({RUN}, 'signoff.platform.job', 'b')",
    "a co-author is added": f"INSERT INTO tags (run_uuid, key, value) VALUES ({RUN}, 'signoff.login.0', 'mia')",
    "the run is unmarked": f"UPDATE runs SET entry_point_name = '' WHERE run_uuid = {RUN}",
    "the run is deleted": f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = {RUN}",
    "its row is removed": f"DELETE FROM runs WHERE run_uuid = {RUN}",
    "its model is deleted": "UPDATE logged_models SET lifecycle_stage = 'deleted'",
    "its data set is renamed": "UPDATE datasets SET digest = '0'",
    "its input is unlinked": f"DELETE FROM inputs WHERE destination_id = {RUN}",
    "the version is of another run": "UPDATE model_versions SET run_id = 'f'",
    "the version is deleted": "DELETE FROM model_versions",
    "the log loses an entry": "DELETE FROM signoff_log WHERE idx = 0",
    "an entry is rewritten": "UPDATE signoff_log SET use_case = 'cells'",
    "the log's head shrinks": "UPDATE signoff_head SET size = 1",
    "a statement goes": "DELETE FROM signoff_statement",
    "a statement forgets its run": "UPDATE signoff_statement SET run_id = NULL WHERE kind = 'proposal'",
}
THAWED = (
    (
        "INSERT INTO runs (run_uuid, name, entry_point_name, user_id, status, start_time, lifecycle_stage, artifact_uri,"
        " experiment_id) SELECT 'f', 'refused', 'signoff:frozen', user_id, status, start_time, lifecycle_stage,"
        " artifact_uri, experiment_id FROM runs WHERE lifecycle_stage = 'active'"
    ),
    "UPDATE runs SET entry_point_name = '' WHERE run_uuid = 'f'",
)
"""What a refused proposal does: the run was frozen while it was judged, and no statement is about it."""
ON_POSTGRESQL = {
    "the alias is moved": MOVED,
    "the alias is deleted": "DELETE FROM registered_model_aliases",
    "another alias is set": BY_HAND,
    "all metrics are emptied": "TRUNCATE metrics",
    "the log is emptied": "TRUNCATE signoff_log",
}


def test_triggers_stop_what_goes_around_the_server_and_let_the_work_go_on(
    store_copy: Copy,
    store_kind: str,
) -> None:
    assert signoff(store_copy.team, "admin", "triggers", "--install", key="ben").code == 1
    installed = signoff(store_copy.team, "admin", "triggers", "--install", key="cleo")
    assert installed.code == 0, installed
    for what, statement in (STOPPED | (ON_POSTGRESQL if store_kind == "postgresql" else {})).items():
        with pytest.raises(Exception, match="signoff: ") as stopped:  # each driver has its own class
            store_copy.sql(statement)
        assert type(stopped.value).__module__.partition(".")[0] in ("sqlite3", "psycopg2"), what
    clean, found = look(store_copy)
    assert (clean.code, found) == (0, []), clean

    store_copy.sql(
        "UPDATE runs SET name = 'renamed'",
        "INSERT INTO experiment_tags (key, value, experiment_id) VALUES ('a', 'b', 1)",
    )
    store_copy.sql(*THAWED)
    rolled = signoff(store_copy.team, "promote", "tumours/1", "--env", "test", key="cleo")
    assert rolled.code == 0, rolled

    assert signoff(store_copy.team, "admin", "triggers", "--remove", key="cleo").code == 0
    store_copy.sql(STOPPED["a frozen metric is rewritten"])


def test_triggers_that_were_dropped_are_told(store_copy: Copy, store_kind: str) -> None:
    assert signoff(store_copy.team, "admin", "triggers", "--install", key="cleo").code == 0
    on = " ON params" if store_kind == "postgresql" else ""
    store_copy.sql(f"DROP TRIGGER signoff_params_delete{on}")
    assert look(store_copy)[1] == ["triggers-gone"]
