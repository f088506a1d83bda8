"""A break-glass lifts one rule for one use case for a time, and nobody can overlook it afterwards."""

import json
from collections.abc import Iterator

import pytest
from guard_server import Guarded, Reply, logged_in, place_on
from mlflow_server import own_database
from team import Team, signoff

from signoff.adapters.ledger_sql.triggers import install_triggers

GLASS = ("admin", "break-glass", "--use-case", "tumours", "--rule", "alias")
WHY = ("--reason", "the night job needs the old version")


@pytest.fixture(scope="module")
def place(postgres_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A team behind a server on PostgreSQL, with the database's triggers."""
    with (
        own_database(postgres_uri) as database,
        place_on(tmp_path_factory.mktemp("glass"), database, kind="guarded") as found,
    ):
        install_triggers(database, [("tumours", alias) for alias in ("dev", "test", "prod")])
        yield found


def point(place: Guarded, alias: str, version: str) -> Reply:
    """Set an alias as MLflow's own client does."""
    body = {"name": "tumours", "alias": alias, "version": version}
    return place.address.ask("ana", "POST", "/api/2.0/mlflow/registered-models/alias", body)


def seen(place: Guarded, *arguments: str) -> str:
    """What a verb that needs no key prints."""
    with logged_in("ana"):
        outcome = signoff(place.team, *arguments)
    assert outcome.code == 0, outcome
    return outcome.out


@pytest.mark.postgres
def test_it_lifts_exactly_its_rule_for_its_use_case_until_it_is_ended(place: Guarded) -> None:
    refused = point(place, "test", "1")
    assert refused.status == 403, refused.text

    lifted = place.signoff(*GLASS, "--minutes", "5", *WHY, person="cleo")
    assert lifted.code == 0, lifted
    assert "IN FORCE rule alias lifted by cleo@lab.example" in lifted.out
    moved = point(place, "test", "1")
    assert moved.status == 200, moved.text
    frozen = {"run_id": place.names["released"], "key": "late", "value": "1"}
    kept = place.address.ask("ana", "POST", "/api/2.0/mlflow/runs/log-parameter", frozen)
    assert kept.status == 403, kept.text

    assert point(place, "dev", "2").status == 200
    taken = place.signoff("admin", "inherit", "--use-case", "tumours", "--env", "dev", person="cleo")
    assert taken.code == 0, taken

    told = seen(place, "status")
    assert "version 2, inherited, unverified" in told
    assert "BREAK-GLASS IN FORCE: rule alias lifted by cleo@lab.example" in told
    assert "the night job needs the old version" in told
    entries = json.loads(seen(place, "admin", "audit", "--format", "json"))
    under = [
        row["entry"]
        for row in entries
        if row["entry"]["action"] == "guard:alias" and row["entry"]["outcome"] == "allowed"
    ]
    assert "cleo@lab.example" in json.dumps(under[-1]), under

    ended = place.signoff(*GLASS, "--end", *WHY, person="cleo")
    assert ended.code == 0, ended
    assert point(place, "test", "2").status == 403
    assert [point(place, "dev", version).status for version in ("2", "1")] == [200, 403]
    promoted = place.signoff("promote", "tumours/1", "--env", "test", person="cleo")
    assert promoted.code == 0, promoted
    told = seen(place, "status")
    assert "BREAK-GLASS over: rule alias lifted by cleo@lab.example" in told
    report = seen(place, "admin", "report")
    assert "alias (refuses now): " in report
    assert "BREAK-GLASS tumours: rule alias lifted by cleo@lab.example" in report


REFUSED = {
    "by a person without the role": (("--minutes", "5", *WHY), "ben", "role"),
    "for too long": (("--minutes", "481", *WHY), "cleo", "override-time"),
    "without a reason": (("--minutes", "5"), "cleo", "override-reason"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_it_is_refused(fresh: Team, why: str) -> None:
    arguments, person, code = REFUSED[why]
    outcome = signoff(fresh, *GLASS, *arguments, "--format", "json", key=person)
    assert outcome.code == 1, outcome
    assert [reason["code"] for reason in json.loads(outcome.out)["reasons"]] == [code]


def test_a_rule_that_does_not_exist_is_not_lifted(fresh: Team) -> None:
    outcome = signoff(fresh, *GLASS[:-1], "everything", *WHY, "--format", "json", key="cleo")
    assert [reason["code"] for reason in json.loads(outcome.out)["reasons"]] == ["override-rule"]


def test_a_release_made_under_it_says_so_wherever_it_is_shown(approved: Team) -> None:
    assert signoff(approved, *GLASS, *WHY, key="cleo").code == 0
    assert signoff(approved, "promote", "tumours/1", key="cleo").code == 0
    for arguments in (("status",), ("lineage", "tumours@prod")):
        assert "made under break-glass" in signoff(approved, *arguments).out
    review = json.loads(signoff(approved, "review", "--format", "json").out)
    items = [item for section in review["sections"] for item in section["items"]]
    assert [item["answer"] for item in items if item["code"] == "trace:break-glass"] == ["attention"]


def test_nothing_is_ended_that_is_not_in_force(fresh: Team) -> None:
    outcome = signoff(fresh, *GLASS, "--end", "--format", "json", key="cleo")
    assert [reason["code"] for reason in json.loads(outcome.out)["reasons"]] == ["override-none"]


@pytest.mark.postgres
def test_the_tripwire_sees_behind_a_server_with_the_addresses_of_its_database_and_artifacts(
    place: Guarded,
) -> None:
    text = (place.team.folder / "signoff.yaml").read_text()
    behind = place.team.folder / "behind.yaml"
    behind.write_text(text.replace(f"store: {place.address.url}", f"store: {place.store.database}"))
    look = ("admin", "reconcile", "--standard", str(behind), "--format", "json")
    blind = signoff(place.team, *look)
    assert json.loads(blind.out)["undecided"], blind

    seeing = (*look, "--artifacts", str(place.store.artifacts))
    before = json.loads(signoff(place.team, *seeing).out)
    assert before["undecided"] == []
    assert not {one["subject"] for one in before["found"]} & {"tumours/1", "tumours/2"}
    (model,) = place.store.artifacts.glob(f"*/models/{place.names['released_model']}/artifacts/*.skops")
    whole = model.read_bytes()
    model.write_bytes(whole + b" ")
    found = json.loads(signoff(place.team, *seeing).out)["found"]
    model.write_bytes(whole)
    assert ("model-bytes-changed", "tumours/1") in [(one["code"], one["subject"]) for one in found]
