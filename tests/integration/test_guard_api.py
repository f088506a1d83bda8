"""The verbs through a guarded server, and what its API lets nobody do: one real server, real people."""

import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from guard_server import add_users, logged_in, prepare, running
from guard_submissions import ATTACKS, Place, body, entry_for, lone, model_of, noted, now, signed, statement
from team import CONTEXT, Team, copy_team, inside, log_run, refused, signoff

from signoff import load_model
from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.ledger_sql.marker import mark_guarded
from signoff.adapters.mlflow_sql.guarded import GuardedReader
from signoff.apps.standard_file import read_standard
from signoff.release.guard.evidence import FROZEN_MARK
from signoff.release.override import override_statement


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("api")
    guarded = prepare(folder, f"sqlite:///{folder / 'mlflow.db'}", kind="guarded")
    with running(guarded):
        add_users(guarded)
        with logged_in("ana"), inside(guarded.team.folder):
            first, second, third = (log_run("good", store=guarded.address.url) for _ in range(3))
        place = Place(guarded=guarded, runs=(first, second, third))
        done: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("ana", ("gate", first)),
            ("ana", ("propose", first, *CONTEXT)),
            ("ben", ("approve", "tumours/1")),
            ("cleo", ("promote", "tumours/1")),
            ("ana", ("gate", second)),
            ("ana", ("propose", second, *CONTEXT)),
            ("ana", ("gate", third)),
        )
        for person, arguments in done:
            outcome = guarded.signoff(*arguments, person=person)
            assert outcome.code == 0, outcome
        yield place


def test_every_verb_works_through_the_server_and_the_alias_goes_along(place: Place) -> None:
    glass = ("admin", "break-glass", "--use-case", "tumours", "--rule", "deletion")
    refused(
        place.guarded.signoff("promote", "tumours/2", "--format", "json", person="cleo"), "approval-missing"
    )
    for person, arguments, alias in (
        ("ben", ("note", "tumours/2", "Looked at the errors."), "1"),
        ("ben", ("reject", "tumours/2", "--reason", "documentation", "--comment", "no word on sizes"), "1"),
        ("ben", ("approve", "tumours/2"), "1"),
        ("cleo", ("promote", "tumours/2"), "2"),
        ("cleo", ("rollback", "tumours", "--reason", "complaints"), "1"),
        ("cleo", (*glass, "--reason", "the night's hotfix"), "1"),
        ("cleo", (*glass, "--reason", "it is done", "--end"), "1"),
    ):
        outcome = place.guarded.signoff(*arguments, person=person)
        assert (outcome.code, place.alias()) == (0, alias), outcome
    for arguments, told in (
        (("check", place.runs[2]), "conforms"),
        (("status", "tumours"), "rolled back from version 2: complaints"),
        (("lineage", "tumours@prod"), "verified  log"),
        (("predict", "tumours"), "569 rows with version 1"),
        (("admin", "audit", "--verify"), "the log is as it was written"),
    ):
        outcome = place.run("ana", *arguments)
        assert outcome.code == 0, outcome
        assert told in outcome.out
    with logged_in("ana"), inside(place.team.folder):
        assert load_model("tumours@prod").version == 1
    refused_before = [e.entry for e in place.ledger.entries() if e.entry.outcome == "refused"]
    assert [(e.action, e.actor, e.detail["login"]) for e in refused_before if e.action == "promote"] == [
        ("promote", "cleo@lab.example", "cleo")
    ]


def test_entries_name_the_login_and_a_proposal_brings_its_freeze(place: Place) -> None:
    by_action = {(e.entry.action, e.entry.subject): e.entry for e in place.ledger.entries()}
    assert by_action["propose", "tumours/1"].detail["login"] == "ana"
    assert by_action["approve", "tumours/1 for prod"].detail["login"] == "ben"
    frozen = by_action["freeze", "tumours/1"]
    assert frozen.statement == by_action["propose", "tumours/1"].statement
    evidence = frozen.detail["evidence"]
    assert isinstance(evidence, dict)
    assert {"params", "metrics", "metric history", "datasets", "artifacts"} <= set(evidence)
    assert marks(place) == (FROZEN_MARK, FROZEN_MARK, "")


def marks(place: Place) -> tuple[str, ...]:
    found = GuardedReader(place.guarded.store.database).marks(place.runs)
    return tuple(found[run] for run in place.runs)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_server_does_not_take(place: Place, attack: str) -> None:
    who, made, status, told = ATTACKS[attack]
    found = made(place)
    statements, entries, before = (
        len(place.ledger.stored().statements),
        place.ledger.head().size,
        place.alias(),
    )
    reply = place.post(who, found)
    assert reply.status == status, reply.text
    assert told in reply.text
    assert set(reply.json) == {"error_code", "message"}
    assert (len(place.ledger.stored().statements), place.alias()) == (statements, before)
    written = [e.entry for e in place.ledger.entries() if e.index >= entries]
    assert [(e.outcome, e.detail.get("login")) for e in written] == (
        [("refused", who)] if status == 403 else []
    )
    assert place.run("ana", "admin", "audit", "--verify").code == 0


def test_only_a_decision_on_the_use_case_makes_a_signed_statement_too_old(place: Place) -> None:
    """Signed on a head of the log that refusals of a stranger, predictions and other use cases went beyond."""
    alias = place.alias()
    made = lifted(place)
    move = {"name": "tumours", "alias": "prod", "version": "2"}
    assert (
        place.guarded.address.ask("mia", "POST", "/api/2.0/mlflow/registered-models/alias", move).status
        == 403
    )
    assert place.post("ana", lone(place)).status == 200
    reply = place.post("cleo", made)
    assert reply.status == 200, reply.text
    late = lifted(place)
    assert place.post("ana", noted(place, "ana", "ana", text="In between.")).status == 200
    reply = place.post("cleo", late)
    assert (reply.status, "another decision" in reply.text) == (409, True), reply.text
    assert place.alias() == alias


def test_refusals_of_a_stranger_keep_nobody_from_deciding(place: Place) -> None:
    alias, over = place.alias(), Event()
    statuses: set[int] = set()

    def ask_on() -> None:
        number = 0
        while not over.wait(0.05):
            number += 1
            statuses.add(place.post("mia", lone(place, subject=f"tumours/{number}")).status)

    size = place.ledger.head().size
    asking = Thread(target=ask_on)
    asking.start()
    try:
        for person, arguments in (
            ("ben", ("approve", "tumours/2")),
            ("cleo", ("promote", "tumours/2")),
            ("cleo", ("rollback", "tumours", "--reason", "complaints")),
        ):
            outcome = place.guarded.signoff(*arguments, person=person)
            assert outcome.code == 0, outcome
    finally:
        over.set()
        asking.join()
    assert (statuses, place.alias()) == ({403}, alias)
    assert [e.entry.outcome for e in place.ledger.entries() if e.index >= size].count("refused") > 5


def lifted(place: Place) -> dict[str, Any]:
    """A break-glass of Cleo's as the program signs it, on the log as it is now."""
    rules = read_standard(place.team.folder / "signoff.yaml").use_cases["tumours"]
    said = override_statement(
        rules,
        "deletion",
        actor="cleo@lab.example",
        minutes=5,
        reason="the night's hotfix",
        log=place.ledger.head(),
        at=now(),
    )
    envelope = signed(place, said, "cleo")
    return body(envelope, entry_for(envelope, "override", "cleo"))


@contextmanager
def params_changed(place: Place, run_id: str) -> Iterator[None]:
    """Until the block ends, what somebody with the database's password left in a run."""
    with closing(sqlite3.connect(place.guarded.store.database.removeprefix("sqlite:///"))) as connection:
        kept = connection.execute("SELECT value, key FROM params WHERE run_uuid = ?", (run_id,)).fetchall()
        with connection:
            connection.execute("UPDATE params SET value = value || '7' WHERE run_uuid = ?", (run_id,))
        try:
            yield
        finally:
            with connection:
                connection.executemany(
                    f"UPDATE params SET value = ? WHERE key = ? AND run_uuid = '{run_id}'",  # noqa: S608 - an id
                    kept,
                )


def test_the_tripwire_through_the_server_records_once_what_it_found(place: Place) -> None:
    before = place.ledger.head().size
    with params_changed(place, place.runs[1]):
        for _ in range(2):
            outcome = place.guarded.signoff("admin", "reconcile", "--format", "json", person="cleo")
            assert outcome.code == 1, outcome
            assert "evidence-changed" in outcome.out
            assert "not recorded" not in outcome.out + outcome.err
    written = [e.entry for e in place.ledger.entries() if e.index >= before]
    assert [(e.action, e.outcome, e.use_case, e.detail["login"]) for e in written] == [
        ("reconcile", "refused", "", "cleo")
    ]
    assert any("evidence-changed tumours/2" in reason for reason in written[0].reasons)
    assert place.run("ana", "admin", "audit", "--verify").code == 0


def test_a_server_approves_nothing_whose_evidence_was_changed(place: Place) -> None:
    with params_changed(place, place.runs[1]):
        outcome = place.guarded.signoff("approve", "tumours/2", person="ben")
    assert outcome.code == 1, outcome
    assert "(evidence-changed)" in outcome.err


def test_a_note_is_taken_once(place: Place) -> None:
    found = noted(place, "ana", "ana", text="Taken once.")
    first, second = place.post("ana", found), place.post("ana", found)
    assert (first.status, second.status) == (200, 409), (first.text, second.text)
    assert "recorded already" in second.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read(place: Place, kind: str) -> None:
    reply = place.post("ana", lone(place), **{"Content-Type": kind})
    assert (reply.status, reply.json["error_code"]) == (415, "INVALID_PARAMETER_VALUE")


def test_a_page_of_another_site_submits_nothing(place: Place) -> None:
    assert place.post("ana", lone(place), Origin="https://evil.example").status == 403


def test_a_refused_proposal_leaves_its_run_open(place: Place) -> None:
    """Sent past the program, which would have refused it itself: the context is missing."""
    guarded, run = place.guarded, place.runs[2]
    outputs = guarded.address.call("ana", f"runs/get?run_id={run}", method="GET")["run"]["outputs"]
    model = outputs["model_outputs"][0]["model_id"]
    asked = {"name": "tumours", "source": f"models:/{model}", "run_id": run, "model_id": model}
    made = guarded.address.call("ana", "model-versions/create", asked)
    version = int(made["model_version"]["version"])
    said = statement(
        "proposal",
        model_of(place, 1),
        registered_model="tumours",
        version=version,
        run_id=run,
        proposer="ana@lab.example",
        authors=["ana@lab.example"],
        context={},
        waived={},
    )
    envelope = signed(place, said, "ana")
    reply = place.post("ana", body(envelope, entry_for(envelope, "propose", "ana")))
    assert reply.status == 403, reply.text
    assert "note:business_context" in reply.text
    assert marks(place)[2] == ""
    assert guarded.signoff("propose", run, *CONTEXT, person="ana").code == 0
    assert marks(place)[2] == FROZEN_MARK


def test_what_can_be_read_needs_a_login_and_says_what_it_is_of(place: Place) -> None:
    for path in (
        "whoami",
        "head",
        "stored",
        "entries",
        "standard",
        "problems",
        "statements?use_case=tumours",
    ):
        for prefix in ("/api/2.0/signoff", "/ajax-api/2.0/signoff"):
            ask = place.guarded.address.ask
            assert ask(None, "GET", f"{prefix}/{path}").status == 401
            reply = ask("mia", "GET", f"{prefix}/{path}")
            assert reply.status == 200, reply.text
            assert reply.headers["x-signoff-standard"].startswith("sha256:")
    assert place.guarded.address.ask("ben", "GET", "/api/2.0/signoff/whoami").json == {
        "login": "ben",
        "person": "ben@lab.example",
        "single_user": False,
        "roles": ["reviewer"],
        "may": ["approve", "note", "reject"],
    }


def test_the_log_is_read_from_where_one_stopped_and_not_again(place: Place) -> None:
    ask = place.guarded.address.ask
    whole = ask("ana", "GET", "/api/2.0/signoff/stored")
    size = whole.json["head"]["size"]
    rest = ask("ana", "GET", f"/api/2.0/signoff/stored?from={size - 1}")
    assert [row["index"] for row in rest.json["rows"]] == [size - 1]
    assert b64decode(rest.json["rows"][0]["entry"]) == place.ledger.stored().rows[-1].entry
    same = ask("ana", "GET", "/api/2.0/signoff/stored", headers={"If-None-Match": whole.headers["etag"]})
    assert (same.status, same.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "stored?from=-1",
        "stored?from=x",
        "stored?since=1",
        "entries?last=0",
        "statements",
        "statements?use_case=tumours&kind=wish",
        "statements/sha256:short",
        "stored?from=1&from=2",
    ],
)
def test_a_malformed_question_is_an_error_of_whoever_asks(place: Place, path: str) -> None:
    reply = place.guarded.address.ask("ana", "GET", f"/api/2.0/signoff/{path}")
    assert (reply.status, reply.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), reply.text


def test_a_program_with_another_standard_is_told_so_and_refused(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """The promoter's own file asks for less; the server's does not."""
    path = place.team.folder / "signoff.yaml"
    text = path.read_text()
    other = place.team.folder / "other.yaml"
    other.write_text(text.replace("at_least: 0.8", "at_least: 0.7"))
    with logged_in("ben"):
        outcome = signoff(place.team, "approve", "tumours/1", "--standard", "other.yaml", key="ben")
    assert outcome.code == 1, outcome
    assert "statement-other" in outcome.err
    assert "rules: sent" in outcome.err
    assert "decides by another version of the standard" in caplog.text


def test_a_proposal_on_the_guarded_database_itself_freezes_its_run_or_leaves_it_open(
    made: Team, tmp_path: Path
) -> None:
    team = copy_team(made, tmp_path / "team")
    database = f"sqlite:///{team.folder / 'mlflow.db'}"
    assert signoff(team, "gate", team.good).code == 0
    mark_guarded(database, since=now(), by="a test")
    reader = GuardedReader(database)
    assert signoff(team, "propose", team.good, key="ana").code == 1
    assert reader.marks([team.good]) == {team.good: ""}
    outcome = signoff(team, "propose", team.good, *CONTEXT, key="ana")
    assert outcome.code == 0, outcome
    assert reader.marks([team.good]) == {team.good: FROZEN_MARK}
    actions = [e.entry.action for e in SqlLedger(database).entries(last=2)]
    assert actions == ["propose", "freeze"]
    assert signoff(team, "propose", team.good, "--notes", "again", key="ana").code == 1
    assert reader.marks([team.good]) == {team.good: FROZEN_MARK}, "it stays frozen: a proposal of it stands"
