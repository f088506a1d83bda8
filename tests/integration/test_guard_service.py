"""MLflow's own client on a guarded store, in this process: what the alias editor and plain code may do."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from guarded_team import ANA, CLEO, MIA, SERVER, entries, guarded, make_server, refusal, scope_of, set_alias
from ledger_behaviour import append_bytes, deep
from mlflow.exceptions import MlflowException
from mlflow_server import own_database
from team import (
    CONTEXT,
    STANDARD,
    Team,
    alias,
    edit_standard,
    inside,
    log_run,
    logged,
    make_team,
    registry,
    signoff,
)

from signoff.adapters.key_files import load_key
from signoff.apps.server.actor import asking
from signoff.apps.server.asgi import TOLD
from signoff.apps.server.guard import ServerGuard
from signoff.evidence.dsse import sign_statement
from signoff.evidence.statement import Statement
from signoff.release.guard.model import Record, governed_entry

BEN = "ben@lab.example"


def test_the_alias_is_the_promote_button(approved: Team) -> None:
    with guarded(make_server(approved)):
        set_alias(approved, CLEO, 1)
    assert alias(approved) == 1
    status = signoff(approved, "status", "tumours", "--format", "json")
    assert status.code == 0, status
    assert f"{CLEO} (vouched by {SERVER})" in status.out
    assert ("promote", "allowed") in logged(approved)
    assert f"(vouched by {SERVER})" in signoff(approved, "lineage", "tumours@prod").out
    assert signoff(approved, "predict", "tumours").code == 0


def test_without_approval_the_alias_stays_and_the_text_lists_what_is_missing(proposed: Team) -> None:
    with guarded(make_server(proposed)):
        text = refusal(proposed, CLEO, 1, "approval-missing")
    assert "Fix: signoff approve tumours/1 --env prod" in text


@pytest.mark.parametrize(
    ("login", "code", "fix"),
    [
        (ANA, "role", "ask somebody with that role"),
        (MIA, "not-on-roster", "have the owner of the roster add the person"),
        (SERVER, "not-on-roster", "have the owner of the roster add the person"),
        (None, None, None),
    ],
)
def test_only_who_may_promote_can_press_it(
    approved: Team, login: str | None, code: str | None, fix: str | None
) -> None:
    with guarded(make_server(approved)):
        text = refusal(approved, login, 1, *([code] if code else []))
    assert (fix or "nobody is logged in") in text


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (partial(make_server, key=False), "server-key"),
        (partial(make_server, vouches=False), "server-key"),
        (partial(make_server, single_user=True), "no-login"),
    ],
)
def test_a_server_that_cannot_vouch_names_the_command(
    approved: Team, server: Callable[[Team], ServerGuard], code: str
) -> None:
    with guarded(server(approved)):
        text = refusal(approved, CLEO, 1, code)
    assert "signoff promote tumours/1 --env prod" in text
    assert signoff(approved, "promote", "tumours/1", key="cleo").code == 0
    assert alias(approved) == 1


def test_what_is_released_may_be_pointed_at_again_by_anybody_logged_in(released: Team) -> None:
    before = len(entries(released))
    with guarded(make_server(released, vouches=False, key=False)):
        set_alias(released, ANA, 1)
    *_, standard, again = entries(released)
    assert len(entries(released)) == before + 2
    assert standard["action"] == "standard"
    assert (again["action"], again["outcome"], again["actor"]) == ("guard:alias", "allowed", ANA)
    assert (again["statement"], again["subject"]) == (None, "tumours@prod")
    assert logged(released)


def test_pointing_back_at_the_release_before_is_a_rollback(twice: Team) -> None:
    scope = scope_of(CLEO)
    with guarded(make_server(twice)) as guard:
        with asking(scope):
            registry(twice).set_registered_model_alias("tumours", "prod", "1")
            guard.write_told(scope[TOLD])
        assert alias(twice) == 1
        shown = [registry(twice).get_model_version("tumours", n).tags["signoff.status"] for n in ("1", "2")]
        assert shown == ["released: prod", "rolled back: prod"]
        assert signoff(twice, "predict", "tumours").code == 0
        text = refusal(twice, CLEO, 2, "approval-missing")
    assert "rolled back since" in text
    assert logged(twice)[-2:] == [("rollback", "allowed"), ("predict", "allowed")]


def test_changed_files_are_found_when_the_button_is_pressed(approved: Team) -> None:
    for model in approved.folder.glob("**/model.skops"):
        model.write_bytes(model.read_bytes() + b" ")
    with guarded(make_server(approved)):
        refusal(approved, CLEO, 1, "model-bytes-changed")


def test_two_presses_at_once_leave_one_release(approved: Team) -> None:
    """Decided on a log that went on meanwhile: nothing is written."""
    from signoff.errors import ConflictError

    guard = make_server(approved)
    with guarded(guard):
        asker = guard._in_force.rules.askers.of(CLEO)
        entry = governed_entry(
            at="2026-11-23T10:00:00Z", asker=asker, action="guard:alias", use_case="tumours", subject="x"
        )
        size = guard.workspace().ledger().head().size
        with closing(sqlite3.connect(approved.folder / "mlflow.db")) as connection:
            guard.write((Record(entry=entry, size=size),), connection=connection)
            connection.commit()
            with pytest.raises(ConflictError, match="another decision on tumours"):
                guard.write((Record(entry=entry, size=size),), connection=connection)
            guard.write((Record(entry=replace(entry, use_case="cells"), size=size),), connection=connection)


def test_a_run_registers_when_it_conforms_and_passed_its_gate(fresh: Team) -> None:

    def register(run: str) -> None:
        client = registry(fresh)
        (model,) = (o.model_id for o in client.get_run(run).outputs.model_outputs)
        with asking(scope_of(ANA)):
            client.create_model_version("tumours", f"models:/{model}", run_id=run, model_id=model)

    edit_standard(fresh, "use_cases:", "guard: {registration: enforce}\nuse_cases:")
    with inside(fresh.folder):
        incomplete = log_run("good", complete=False)
    assert signoff(fresh, "gate", fresh.good).code == 0
    with guarded(make_server(fresh)):
        with asking(scope_of(ANA)):
            registry(fresh).create_registered_model("tumours")
        register(fresh.good)
        for run, codes in (
            (fresh.weak, ["gate-missing"]),
            (incomplete, ["param:feature_set", "gate-missing"]),
        ):
            with pytest.raises(MlflowException) as error:
                register(run)
            assert all(f"({code})" in error.value.message for code in codes), error.value.message
            assert f"signoff propose {run}" in error.value.message
    assert [v.version for v in registry(fresh).search_model_versions("name = 'tumours'")] in ([1], ["1"])


def test_a_refusal_is_written_down_once_after_the_response(proposed: Team) -> None:

    guard = make_server(proposed)
    scope = scope_of(CLEO)
    with guarded(guard), asking(scope):
        for _ in range(2):
            with pytest.raises(MlflowException):
                registry(proposed).set_registered_model_alias("tumours", "prod", "1")
        guard.write_told(scope[TOLD])
    refused = [entry for entry in entries(proposed) if entry["outcome"] == "refused"]
    assert [(e["action"], e["actor"], e["subject"]) for e in refused] == [
        ("guard:alias", CLEO, "tumours@prod")
    ]
    assert str(refused[0]["reasons"]).startswith(
        "['(approval-missing) prod needs 1 more approval by reviewer"
    )


def test_a_version_from_a_running_training_is_kept_without_an_alias_and_the_run_says_so(fresh: Team) -> None:

    edit_standard(fresh, "use_cases:", "guard: {registration: enforce}\nuse_cases:")
    assert signoff(fresh, "gate", fresh.weak).code == 1
    client, guard, scope = registry(fresh), make_server(fresh), scope_of(ANA)
    client.set_terminated(fresh.good, status="RUNNING")
    (model,) = (o.model_id for o in client.get_run(fresh.good).outputs.model_outputs)
    with guarded(guard), asking(scope):
        for registered in ("tumours", "scratch"):
            client.create_registered_model(registered)
            client.create_model_version(registered, f"models:/{model}", run_id=fresh.good, model_id=model)
        with pytest.raises(MlflowException, match="model-unknown"):
            client.set_registered_model_alias("scratch", "best", "1")
        for name, code in (("champion", "not-proposed"), ("prod", "not-proposed")):
            with pytest.raises(MlflowException, match=code):
                client.set_registered_model_alias("tumours", name, "1")
        client.set_terminated(fresh.good, status="FINISHED")
        guard.write_told(scope[TOLD])
    assert "(quarantined)" in client.get_run(fresh.good).data.tags["signoff.warning"]
    for registered in ("tumours", "scratch"):
        assert client.get_model_version(registered, "1").tags["signoff.status"] == "quarantined"


def test_what_was_proposed_and_deleted_through_the_server_is_no_change_around_it(proposed: Team) -> None:
    with guarded(make_server(proposed)), asking(scope_of(ANA)):
        registry(proposed).delete_model_version("tumours", "1")
    looked = signoff(proposed, "admin", "reconcile")
    assert looked.code == 0, looked
    assert "tumours/1" not in signoff(proposed, "status", "tumours").out


def test_a_new_standard_comes_into_force_and_a_broken_one_does_not(proposed: Team) -> None:
    standard = proposed.folder / "signoff.yaml"
    good = standard.read_text()
    guard = make_server(proposed)
    with guarded(guard):
        refusal(proposed, CLEO, 1, "approval-missing")
        standard.write_text("signoff: 1\nprofile: [\n")
        guard.refresh()
        (problem,) = guard.problems()
        assert "is not in force as it lies there" in problem
        refusal(proposed, CLEO, 1, "approval-missing")
        standard.write_text(good.replace("use_cases:", "guard: {alias: warn}\nuse_cases:", 1))
        guard.refresh()
        assert guard.problems() == ()
        set_alias(proposed, CLEO, 1)
        guard.refresh()
    named = [entry["detail"] for entry in entries(proposed) if entry["action"] == "standard"]
    assert len(named) == len({json.dumps(detail, sort_keys=True) for detail in named}) == 2


def test_files_are_watched_without_any_request(proposed: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    from signoff.apps.server import in_force

    monkeypatch.setattr(in_force, "_EVERY_SECONDS", 0.01)
    guard = make_server(proposed)
    assert guard.rules().level("alias") == "enforce"
    guard.watch()
    edit_standard(proposed, "use_cases:", "guard: {alias: warn}\nuse_cases:")
    deadline = time.monotonic() + 30
    while guard.rules().level("alias") != "warn" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert guard.rules().level("alias") == "warn"


def test_a_worker_that_starts_again_names_no_standard_twice(proposed: Team) -> None:
    guard = make_server(proposed)
    for one in (guard, guard, make_again(proposed)):
        with guarded(one):
            one.refresh()
    assert [entry["action"] for entry in entries(proposed)].count("standard") == 1


def make_again(team: Team) -> ServerGuard:
    return ServerGuard(
        team.folder / "signoff.yaml", database=f"sqlite:///{team.folder / 'mlflow.db'}", artifacts=None
    )


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        ("DROP TABLE signoff_log", "it cannot be decided now"),
        ("DELETE FROM signoff_log WHERE idx = 0", "is missing"),
        ("UPDATE signoff_log SET entry = x'7b7d' WHERE idx = 0", "it cannot be decided now"),
        ("DELETE FROM signoff_statement", "not in the ledger"),
    ],
)
def test_without_a_sound_ledger_what_is_governed_stays_and_logging_goes_on(
    approved: Team, damage: str, text: str
) -> None:
    guard = make_server(approved)
    with guarded(guard):
        with closing(sqlite3.connect(approved.folder / "mlflow.db")) as store, store:
            store.execute(damage)
        assert text in refusal(approved, CLEO, 1)
        with asking(scope_of(ANA)):
            registry(approved).log_metric(approved.weak, "late", 1.0)
            assert registry(approved).get_run(approved.weak).data.metrics["late"] == 1.0


def test_an_entry_of_old_that_is_nested_too_deeply_closes_nothing(approved: Team) -> None:
    uri = f"sqlite:///{approved.folder / 'mlflow.db'}"
    with guarded(make_server(approved)) as guard:
        old = replace(guard.workspace().ledger().entries(last=1)[0].entry, use_case="tumours")
        append_bytes(uri, deep(old), use_case="tumours")
        set_alias(approved, CLEO, 1)
    for verb in (
        ("predict", "tumours"),
        ("rollback", "tumours", "--reason", "x"),
        ("admin", "audit", "--verify"),
    ):
        outcome = signoff(approved, *verb, key="cleo" if verb[0] == "rollback" else None)
        assert (outcome.code, "is not JSON" in outcome.err) == (1 if verb[0] == "rollback" else 0, False), (
            outcome
        )
    assert "nested deeper than 20 levels" in signoff(approved, "admin", "audit", "--verify").out


def test_what_an_author_signed_as_the_log_s_head_and_is_none_closes_nothing(approved: Team) -> None:
    key = load_key(Path(approved.key("ana")))
    with guarded(make_server(approved)) as guard:
        ledger = guard.workspace().ledger()
        (known, *_) = ledger.find(use_case="tumours", kind="gate-decision")
        said = Statement(
            kind="load-test",
            subjects=known.statement.subjects,
            predicate={"use_case": "tumours", "log": {"size": -1, "root": str(ledger.head().root)}},
        )
        entry = replace(
            ledger.entries(last=1)[0].entry, action="bench", use_case="tumours", statement=str(said.id)
        )
        with ledger.transaction() as writer:
            writer.put(sign_statement(said, key), use_case="tumours", version=None, run_id=None)
            writer.append(replace(entry, outcome="allowed", detail={}))
        set_alias(approved, CLEO, 1)
    assert signoff(approved, "predict", "tumours").code == 0
    assert "is not {size, root}" in signoff(approved, "admin", "audit", "--verify").out


def test_a_loop_of_refused_calls_leaves_one_entry_and_no_conflict(approved: Team) -> None:

    with guarded(make_server(approved)) as guard:
        size = guard.workspace().ledger().head().size
        for _ in range(20):
            scope = scope_of(MIA)
            with asking(scope):
                with pytest.raises(MlflowException):
                    registry(approved).set_registered_model_alias("tumours", "prod", "1")
                guard.write_told(scope[TOLD])
        assert guard.workspace().ledger().head().size == size + 1
        entry = governed_entry(
            at="2026-11-23T10:00:00Z",
            asker=guard._in_force.rules.askers.of(CLEO),
            action="guard:alias",
            use_case="tumours",
            subject="x",
        )
        with closing(sqlite3.connect(approved.folder / "mlflow.db")) as connection:
            guard.write((Record(entry=entry, size=size),), connection=connection)
            connection.commit()


def test_a_log_that_was_cut_behind_the_server_s_back_stops_decisions(approved: Team) -> None:
    from signoff.evidence.merkle import EMPTY_ROOT, Frontier

    guard = make_server(approved)
    with guarded(guard):
        refusal(approved, ANA, 1, "role")
        with closing(sqlite3.connect(approved.folder / "mlflow.db")) as store, store:
            store.execute("DELETE FROM signoff_log")
            store.execute(
                "UPDATE signoff_head SET size = 0, root = ?, frontier = ?",
                (f"sha256:{EMPTY_ROOT.hex()}", Frontier().to_bytes()),
            )
        assert "does not continue" in refusal(approved, CLEO, 1)


def test_the_command_s_own_write_passes_in_the_server_s_process(approved: Team) -> None:
    with guarded(make_server(approved)):
        assert signoff(approved, "promote", "tumours/1", key="cleo").code == 0
    assert alias(approved) == 1


def test_removing_vouches_from_the_roster_voids_what_the_server_signed(approved: Team) -> None:
    with guarded(make_server(approved)):
        set_alias(approved, CLEO, 1)
    roster = approved.folder / "signoff.roster.yaml"
    roster.write_text(roster.read_text().replace("vouches: true", "roles: [platform-owner]"))
    outcome = signoff(approved, "predict", "tumours")
    assert outcome.code != 0
    assert "may not sign on behalf of others" in outcome.err + outcome.out


@pytest.mark.postgres
def test_on_postgresql_presses_at_once_release_once(tmp_path: Path, postgres_uri: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import mlflow

    with own_database(postgres_uri) as database:
        team = make_team(tmp_path / "repo", f"{STANDARD}store: {database}\n", database)
        for arguments, key in (
            (("gate", team.good), None),
            (("propose", team.good, *CONTEXT), "ana"),
            (("approve", "tumours/1"), "ben"),
        ):
            assert signoff(team, *arguments, key=key).code == 0
        client = mlflow.MlflowClient(database, registry_uri=database)

        def press(_: int) -> str:
            try:
                with asking(scope_of(CLEO)):
                    client.set_registered_model_alias("tumours", "prod", "1")
            except MlflowException as error:
                return str(error.error_code)
            return "done"

        with guarded(make_server(team, database=database)), ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(press, range(8)))
        assert answers.count("done") >= 1
        # Bare MLflow answers some alias writes that meet with BAD_REQUEST.
        assert {*answers} <= {"done", "BAD_REQUEST", "RESOURCE_CONFLICT"}
        found = logged(team)
        assert found.count(("promote", "allowed")) == 1
        assert found.count(("guard:alias", "allowed")) == answers.count("done") - 1
        assert signoff(team, "predict", "tumours").code == 0


def test_what_a_warning_rule_cannot_decide_is_a_warning_too(fresh: Team) -> None:
    import mlflow

    # A registry in a database looks for a version's model at the process's tracking URI.
    mlflow.set_tracking_uri(f"sqlite:///{fresh.folder / 'mlflow.db'}")
    assert signoff(fresh, "gate", fresh.good).code == 0
    for file in fresh.folder.glob("**/MLmodel"):
        file.write_text("")
    guard, scope = make_server(fresh), scope_of(ANA)
    client = registry(fresh)
    (model,) = (o.model_id for o in client.get_run(fresh.good).outputs.model_outputs)
    assert signoff(fresh, "admin", "migrate").code == 0
    with guarded(guard), asking(scope):
        client.create_registered_model("tumours")
        client.create_model_version("tumours", f"models:/{model}", run_id=fresh.good, model_id=model)
    codes = {objection.reason.code for ruling in scope[TOLD] for objection in ruling.warned}
    assert "undecided" in codes
