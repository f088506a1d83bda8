"""What stood in production before Signoff is taken over as it is, shown as unverified, and never used as verified."""

import json
from pathlib import Path
from typing import Any

import pytest
from team import (
    Team,
    alias,
    git,
    inside,
    log_run,
    logged,
    refused,
    registry,
    release_run,
    signoff,
)

TAKE = ("admin", "inherit", "--use-case", "tumours")


@pytest.fixture
def old(fresh: Team) -> Team:
    """tumours/1 was registered and put in production by hand, long before there was a ledger."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{fresh.folder / 'mlflow.db'}")  # the registry looks for models there
    client = registry(fresh)
    client.create_registered_model("tumours")
    run = client.get_run(fresh.weak)
    model = run.outputs.model_outputs[0].model_id
    with inside(fresh.folder):
        client.create_model_version("tumours", f"models:/{model}", run_id=fresh.weak, model_id=model)
    client.set_registered_model_alias("tumours", "prod", "1")
    return fresh


def test_it_is_shown_as_unverified_refused_to_use_and_named_by_the_next_release(old: Team) -> None:
    assert "set to version 1 by hand" in signoff(old, "status", "tumours").out
    taken = signoff(old, *TAKE, key="cleo")
    assert taken.code == 0, taken
    assert taken.out.startswith("TAKEN OVER  tumours@prod as inherited in prod\n")
    assert "inherited, unverified" in signoff(old, "status", "tumours").out
    assert "inherited, unverified" in signoff(old, "lineage", "tumours@prod").out
    assert signoff(old, "admin", "reconcile").code == 0
    refused(signoff(old, "predict", "tumours", "--format", "json"), "inherited-unverified")
    review = json.loads(signoff(old, "review", "--format", "json").out)
    assert "trace:inherited" in [item["code"] for part in review["sections"] for item in part["items"]]

    release_run(old, old.good, 2)
    shown = signoff(old, "status", "tumours").out
    assert "version 2 since" in shown
    assert "inherited, unverified" not in shown
    statement = statement_of(old, "promote")
    assert statement["predicate"]["previous"] == of(old, "inherit")
    assert signoff(old, "predict", "tumours").code == 0


def test_a_rollback_to_it_restores_the_alias_and_nothing_more(old: Team) -> None:
    assert signoff(old, *TAKE, key="cleo").code == 0
    release_run(old, old.good, 2)
    back = signoff(old, "rollback", "tumours", "--reason", "complaints", key="cleo")
    assert back.code == 0, back
    assert "only the alias was restored" in back.out
    assert alias(old) == 1
    assert "inherited, unverified" in signoff(old, "status", "tumours").out
    refused(signoff(old, "predict", "tumours", "--format", "json"), "inherited-unverified")

    with inside(old.folder):
        again = log_run("other")
    release_run(old, again, 3)
    assert alias(old) == 3
    assert signoff(old, "predict", "tumours").code == 0
    assert logged(old)[-1] == ("predict", "allowed")


def test_after_a_release_nothing_is_inherited(released: Team) -> None:
    refused(signoff(released, *TAKE, "--format", "json", key="cleo"), "inherited-late")


def test_an_environment_is_taken_over_once(old: Team) -> None:
    assert signoff(old, *TAKE, key="cleo").code == 0
    refused(signoff(old, *TAKE, "--format", "json", key="cleo"), "inherited-already")
    refused(signoff(old, *TAKE, "--env", "test", "--format", "json", key="cleo"), "inherited-nothing")


def test_it_takes_somebody_who_may_promote(old: Team) -> None:
    refused(signoff(old, *TAKE, "--format", "json", key="ana"), "role")
    assert "by hand" in signoff(old, "status", "tumours").out


def test_files_that_nobody_can_read_are_taken_over_without_a_digest(old: Team) -> None:
    for file in old.folder.rglob("MLmodel"):
        file.unlink()
    taken = signoff(old, *TAKE, key="cleo")
    assert taken.code == 0, taken
    assert "could not be hashed" in taken.out
    assert [s["name"] for s in statement_of(old, "inherit")["subject"]] == ["rules"]


def test_init_from_a_store_suggests_takes_over_and_tells_what_it_would_find(
    old: Team, tmp_path: Path
) -> None:
    client = registry(old)
    client.delete_registered_model_alias("tumours", "prod")
    client.set_registered_model_alias("tumours", "champion", "1")
    git(old.folder, "rm", "-q", "signoff.yaml", "signoff.roster.yaml")
    made = signoff(
        old, "init", "--from-store", "sqlite:///mlflow.db", "--owner", "cleo@lab.example", key="cleo"
    )
    assert made.code == 0, made
    assert "tumours: 2 finished runs looked at" in made.out
    assert "version 1 is inherited, unverified" in made.out
    text = (old.folder / "signoff.yaml").read_text()
    assert "environments: {prod: {alias: champion}}" in text
    assert signoff(old, "standard", "check").code == 0
    assert "inherited, unverified" in signoff(old, "status").out
    assert registry(old).get_model_version_by_alias("tumours", "champion").version in (1, "1")

    other = tmp_path / "other"
    other.mkdir()
    again = signoff(
        old, "init", "--from-store", "sqlite:///mlflow.db", "--alias", "live=prod", "--dir", str(other)
    )
    assert again.code == 0, again
    assert "nothing stands for production" in again.out
    assert signoff(old, "init", "--from-store", "sqlite:///mlflow.db", "--use-case", "x").code == 2


def of(team: Team, action: str) -> str:
    """Id of the statement of the newest allowed entry of an action."""
    entries = json.loads(signoff(team, "admin", "audit", "--format", "json").out)
    found: list[str] = [
        row["entry"]["statement"]
        for row in entries
        if (row["entry"]["action"], row["entry"]["outcome"]) == (action, "allowed")
    ]
    return found[-1]


def statement_of(team: Team, action: str) -> Any:
    from signoff.adapters.ledger_sql import SqlLedger
    from signoff.record.digest import Digest

    envelope = SqlLedger(f"sqlite:///{team.folder / 'mlflow.db'}").get(Digest.parse(of(team, action)))
    assert envelope is not None
    found: Any = json.loads(envelope.payload)
    return found
