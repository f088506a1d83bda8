"""What somebody with a plain MLflow client, or the database itself, cannot get past Signoff."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from team import (
    CONTEXT,
    Team,
    alias,
    edit_standard,
    inside,
    log_run,
    logged,
    refused,
    registry,
    signoff,
)


def test_model_bytes_changed_after_the_approval_stop_the_promotion(approved: Team) -> None:
    _change_model_bytes(approved)
    outcome = signoff(approved, "promote", "tumours/1", "--format", "json", key="cleo")
    refused(outcome, "model-bytes-changed", "approval-missing")
    assert alias(approved) is None


def test_model_bytes_changed_after_the_release_stop_scoring_and_show_in_the_lineage(released: Team) -> None:
    _change_model_bytes(released)
    refused(signoff(released, "predict", "tumours", "--format", "json"), "model-bytes-changed")
    assert not (released.folder / "predictions").exists()
    outcome = signoff(released, "lineage", "tumours@prod")
    assert outcome.code == 1
    assert "the files changed" in outcome.out
    assert signoff(released, "gate", released.weak).code == 2, "a changed baseline is never loaded"


def _change_model_bytes(team: Team) -> None:
    (model,) = (path for path in team.folder.glob("mlruns/**/MLmodel") if team.good in path.read_text())
    with model.open("a") as file:
        file.write("# one more line\n")


def test_an_alias_moved_by_hand_is_refused_and_said_so(released: Team) -> None:
    client = registry(released)
    source = client.get_model_version("tumours", "1").source
    client.create_model_version("tumours", source=source, run_id=released.weak)
    client.set_registered_model_alias("tumours", "prod", "2")
    refused(signoff(released, "predict", "tumours", "--format", "json"), "alias-moved")
    assert not (released.folder / "predictions").exists()
    assert "moved by hand" in signoff(released, "status").out
    lineage = signoff(released, "lineage", "tumours@prod")
    assert lineage.code == 1
    assert "moved by hand" in lineage.out
    assert signoff(released, "promote", "tumours/1", key="cleo").code == 0, "promoting again puts it back"
    assert signoff(released, "predict", "tumours").code == 0


def test_a_moved_alias_is_put_back_although_the_rules_changed_since(released: Team) -> None:
    client = registry(released)
    source = client.get_model_version("tumours", "1").source
    client.create_model_version("tumours", source=source, run_id=released.weak)
    client.set_registered_model_alias("tumours", "prod", "2")
    edit_standard(released, "at_least: 0.8", "at_least: 0.9999")
    refused(
        signoff(released, "promote", "tumours/1", "--format", "json", key="ben"),
        "role",
        "gate-rules-changed",
        "approval-missing",
    )
    assert signoff(released, "promote", "tumours/1", "--dry-run", key="cleo").code == 0
    assert alias(released) == 2
    outcome = signoff(released, "promote", "tumours/1", key="cleo")
    assert outcome.code == 0, outcome
    assert alias(released) == 1
    assert logged(released)[-1] == ("promote", "allowed")
    assert signoff(released, "predict", "tumours").code == 0


def test_a_version_deleted_and_registered_again_is_refused(released: Team) -> None:
    client = registry(released)
    source = client.get_model_version("tumours", "1").source
    client.delete_model_version("tumours", "1")
    made = client.create_model_version("tumours", source=source, run_id=released.weak)
    client.set_registered_model_alias("tumours", "prod", made.version)
    outcome = signoff(released, "predict", "tumours", "--format", "json")
    assert outcome.code == 1
    assert {r["code"] for r in json.loads(outcome.out)["reasons"]} <= {"version-replaced", "alias-moved"}


def test_a_forged_release_statement_is_refused(proposed: Team) -> None:
    """An author writes a release into the database and moves the alias: the signature gives it away."""
    from signoff.adapters.key_files import load_key
    from signoff.adapters.ledger_sql import SqlLedger
    from signoff.evidence.dsse import sign_statement
    from signoff.evidence.statement import Statement

    ledger = SqlLedger(f"sqlite:///{proposed.folder / 'mlflow.db'}")
    (proposal,) = ledger.find(use_case="tumours", kind="proposal")
    forged = Statement(
        kind="release",
        subjects=proposal.statement.subjects,
        predicate={
            "use_case": "tumours",
            "environment": "prod",
            "version": 1,
            "run_id": proposed.good,
            "required": [],
        },
    )
    key = load_key(Path(proposed.key("ana")))
    registry(proposed).set_registered_model_alias("tumours", "prod", "1")
    with ledger.transaction() as writer:
        writer.put(sign_statement(forged, key), use_case="tumours", version="tumours/1", run_id=proposed.good)
    refused(signoff(proposed, "predict", "tumours", "--format", "json"), "nothing-released")
    newest = ledger.entries(last=1)[0].entry
    with ledger.transaction() as writer:
        writer.append(
            replace(newest, action="promote", outcome="allowed", statement=str(forged.id), reasons=())
        )
    outcome = signoff(proposed, "predict", "tumours", "--format", "json")
    assert outcome.code == 1
    assert "release-signature" in outcome.out


HIDE = {
    "filed elsewhere": "UPDATE signoff_statement SET use_case = 'elsewhere' WHERE kind = ?",
    "deleted": "DELETE FROM signoff_statement WHERE kind = ?",
    "signature removed": "UPDATE signoff_statement SET envelope = json_set(envelope, '$.signatures', json('[]'))"
    " WHERE kind = ?",
    "moved to the front": "UPDATE signoff_statement SET seq = -1 WHERE kind = ?",
}


@pytest.mark.parametrize("how", HIDE)
def test_a_rejection_cannot_be_hidden_by_whoever_writes_the_database(proposed: Team, how: str) -> None:
    assert signoff(proposed, "approve", "tumours/1", key="cleo").code == 0
    assert signoff(proposed, "reject", "tumours/1", "--reason", "performance", key="cleo").code == 0
    assert signoff(proposed, "approve", "tumours/1", key="ben").code == 0
    with sqlite3.connect(proposed.folder / "mlflow.db") as store:
        store.execute(HIDE[how], ("rejection",))
    store.close()
    assert signoff(proposed, "promote", "tumours/1", key="cleo").code in (1, 2)
    assert alias(proposed) is None
    seen = signoff(proposed, "admin", "audit", "--verify").code
    assert seen == (0 if how == "moved to the front" else 1), (
        "the order of rows decides nothing, so it may differ"
    )


@pytest.mark.parametrize("how", HIDE)
def test_a_rollback_cannot_be_hidden_by_whoever_writes_the_database(released: Team, how: str) -> None:
    with inside(released.folder):
        second = log_run("good")
    assert signoff(released, "gate", second).code == 0
    assert signoff(released, "propose", second, *CONTEXT, key="ana").code == 0
    assert signoff(released, "approve", "tumours/2", key="ben").code == 0
    assert signoff(released, "promote", "tumours/2", key="cleo").code == 0
    assert signoff(released, "rollback", "tumours", "--reason", "complaints", key="cleo").code == 0
    with sqlite3.connect(released.folder / "mlflow.db") as store:
        store.execute(HIDE[how], ("rollback",))
        store.execute("UPDATE registered_model_aliases SET version = 2 WHERE alias = 'prod'")
    store.close()
    assert signoff(released, "predict", "tumours").code in (1, 2)
    assert not (released.folder / "predictions").exists()


def test_rows_that_signoff_did_not_write_are_not_vouched_for(released: Team) -> None:
    """The table is written again with other rows and the copied metadata of the real commit."""
    import shutil

    from deltalake import CommitProperties, DeltaTable, write_deltalake

    assert signoff(released, "predict", "tumours").code == 0
    assert signoff(released, "lineage", "predictions/tumours").code == 0
    path = released.folder / "predictions/tumours"
    table = DeltaTable(str(path))
    frame = table.to_pandas()
    metadata = {"signoff": table.history(1)[0]["signoff"]}
    frame["prediction"] = 1 - frame["prediction"]
    shutil.rmtree(path)
    write_deltalake(str(path), frame, commit_properties=CommitProperties(custom_metadata=metadata))
    outcome = signoff(released, "lineage", "predictions/tumours")
    assert outcome.code == 1
    assert "not those that were written" in outcome.out
