"""No attempt to get around the guard goes through, whoever makes it, however it is spelled; bare MLflow lets them."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from bypass_attempt import API, GUARD, Attempt
from bypass_catalogue import CATALOGUE
from bypass_processes import STEPS, collected, tried
from guard_load import entries_of
from guard_server import ADMIN, Guarded, Reply, logged_in, place_on
from packaging.version import Version
from store_snapshot import Snapshot, difference

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses at which MLflow's clients try again for minutes, and lose the reason at the end."""
LOGIN_FAILS = Version(mlflow.__version__) < Version("3.17")
CASES = [
    pytest.param(attempt, who, id=f"{attempt.name} ({who or 'nobody'})")
    for attempt in CATALOGUE
    for who in attempt.who
]
REAL = [pytest.param(attempt, id=attempt.name) for attempt in CATALOGUE if attempt.bare]


@pytest.fixture(scope="module")
def untouched(guarded: Guarded) -> Snapshot:
    """What the guarded store held before anybody tried."""
    return guarded.store.snapshot()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The same team behind a server that nobody guards."""
    folder = tmp_path_factory.mktemp("bare")
    with place_on(folder, f"sqlite:///{folder / 'mlflow.db'}", kind="bare") as place:
        yield place


def made(place: Guarded, attempt: Attempt, who: str | None) -> list[Reply]:
    """Make the attempt; gives the server's answers."""
    requests = [request.about(place.names) for request in attempt.requests]
    return [
        place.address.ask(who, request.method, request.path, request.body, headers=request.headers)
        for request in requests
    ]


def changed(place: Guarded, before: Snapshot) -> list[str]:
    """What is different in the store now; it is put back."""
    lines = difference(before, place.store.snapshot())
    if lines:
        assert place.kept is not None
        place.kept.put_back()
    return lines


@pytest.mark.parametrize(("attempt", "who"), CASES)
def test_nothing_goes_through(
    guarded: Guarded, untouched: Snapshot, attempt: Attempt, who: str | None
) -> None:
    replies = made(guarded, attempt, who)
    assert changed(guarded, untouched) == []
    for reply in replies:
        if not _mlflows_own(reply, who):
            assert reply.status in attempt.answers, f"{reply.status} {reply.text[:400]}"
            assert reply.status not in RETRIED - attempt.answers, reply.text
            if attempt.answers == GUARD:
                assert reply.json["error_code"] == "PERMISSION_DENIED", reply.text
                assert reply.json["message"].startswith("signoff refused"), reply.text
                assert "(undecided)" not in reply.text, reply.text


def _mlflows_own(reply: Reply, who: str | None) -> bool:
    """Whether MLflow answered before it looked at the request, as it does on a bare server.

    Its login has to find out whom the thing belongs to, except for an administrator; that fails for odd spellings.
    Where workspaces are switched off it answers 500 to whoever names one. Before 3.17 its login fails, also with 500,
    at an artifact's address that no route of that method has.
    """
    if reply.status == 500:
        failed = LOGIN_FAILS and who != ADMIN and "<h1>Internal Server Error</h1>" in reply.text
        return failed or '"FEATURE_DISABLED"' in reply.text
    unread = reply.text == "Permission denied" or "Missing value for required parameter" in reply.text
    return who != ADMIN and reply.status in (400, 403) and unread


def test_programs_that_open_the_database_change_nothing(
    guarded: Guarded, untouched: Snapshot, tmp_path: Path
) -> None:
    said = tried(guarded, tmp_path / "said.json")
    assert {name: text for name, text in said.items() if "signoff refused" not in text} == {}
    assert said.keys() == STEPS.keys()
    assert changed(guarded, untouched) == []


def test_gc_collects_nothing_of_a_release(guarded: Guarded) -> None:
    run = guarded.names["released"]
    row = "UPDATE runs SET lifecycle_stage = '{}', deleted_time = {} WHERE run_uuid = '" + run + "'"  # noqa: S608 - an id of ours
    guarded.store.execute(row.format("deleted", 1))  # as somebody who owns the database can
    try:
        before = guarded.store.snapshot()
        ended = collected(guarded, run)
        assert ended.code != 0
        assert "signoff refused" in ended.text
        assert difference(before, guarded.store.snapshot()) == []
    finally:
        guarded.store.execute(row.format("active", "NULL"))


@pytest.mark.parametrize(("who", "actor"), [("cleo", "cleo@lab.example"), ("mia", "login:mia")])
def test_a_refusal_is_in_the_log(guarded: Guarded, who: str, actor: str) -> None:
    before = len(entries_of(guarded))
    # A name of its own: what was refused just now is counted, not written again.
    name = f"{who}-{uuid4().hex}"
    assert guarded.address.ask(who, "POST", f"{API}/experiments/create", {"name": name}).status == 403
    deadline = time.monotonic() + 30  # it is written after the answer
    while len(entries_of(guarded)) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    (entry,) = entries_of(guarded)[before:]
    assert (entry.actor, entry.action, entry.outcome) == (actor, "guard:experiment", "refused")
    assert entry.subject == f"experiment {name}"
    assert entry.detail["login"] == who
    assert any("experiment:unknown" in reason for reason in entry.reasons)


def test_a_released_model_may_be_measured_by_another_run(guarded: Guarded, untouched: Snapshot) -> None:
    n = guarded.names
    value = {"key": "recall_new", "value": 1.0, "timestamp": 9, "step": 0, "model_id": n["released_model"]}
    guarded.address.call("ben", "runs/log-metric", {"run_id": n["running"], **value})
    lines = changed(guarded, untouched)
    assert len(lines) == 4
    assert all(" + " in line and n["running"] in line for line in lines)
    # The fourth names ben, who measured in somebody else's run.
    assert [("signoff.login." in line, "ben" in line) for line in lines].count((True, True)) == 1


def test_whoever_is_logged_in_is_an_author(guarded: Guarded, untouched: Snapshot) -> None:
    from signoff.apps.verbs.authors import authors_of
    from signoff.apps.workspace import open_workspace

    claims = {"mlflow.user": "ana", "signoff.contributor": "ana@lab.example"}
    tags = [{"key": key, "value": value} for key, value in claims.items()]
    body = {"experiment_id": guarded.names["tumours"], "user_id": "ana", "start_time": 1, "tags": tags}
    run_id = guarded.address.call("ben", "runs/create", body)["run"]["info"]["run_id"]
    try:
        with logged_in("ana"):
            workspace = open_workspace(str(guarded.team.folder / "signoff.yaml"))
            assert "ben@lab.example" in authors_of(workspace, workspace.reader().run(run_id))
    finally:
        assert changed(guarded, untouched) != []


@pytest.mark.parametrize("attempt", REAL)
def test_it_goes_through_where_nobody_guards(bare: Guarded, attempt: Attempt) -> None:
    assert bare.kept is not None
    before = bare.store.snapshot()
    replies = made(bare, attempt, attempt.who[-1])
    assert changed(bare, before) != [], [f"{reply.status} {reply.text[:300]}" for reply in replies]


def test_the_catalogue_is_wide() -> None:
    names = [attempt.name for attempt in CATALOGUE]
    assert len(names) == len(set(names))
    assert len(REAL) >= 60
