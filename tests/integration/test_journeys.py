"""The whole path on other stores: behind a real MLflow server, and on PostgreSQL.

Also what happens between its steps: the registry fails after the ledger, the ledger fails under the registry,
and several people promote at the same time.
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from urllib.parse import urlsplit

import pytest
from mlflow_server import own_database, serving
from team import STANDARD, Outcome, Team, copy_team, git, inside, log_run, make_team, registry, signoff
from wire import wired

from signoff.adapters.ledger_sql import SqlLedger
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.verbs.release import promote
from signoff.apps.workspace import Workspace, open_actor, open_workspace
from signoff.errors import StoreError

CONTEXT = ("--context", "business_context=triage of biopsies", "--notes", "first model")


def done(outcome: Outcome) -> str:
    """The command succeeded; its output."""
    assert outcome.code == 0, outcome
    return outcome.out


def approved(team: Team, run: str, version: int) -> None:
    """The run passes its gate, is proposed as that version and approved."""
    done(signoff(team, "gate", run))
    assert f"tumours/{version}" in done(signoff(team, "propose", run, *CONTEXT, key="ana"))
    done(signoff(team, "approve", f"tumours/{version}", key="ben"))


def workspace_of(team: Team) -> Workspace:
    with inside(team.folder):
        return open_workspace()


def alias(team: Team) -> int | None:
    return workspace_of(team).reader().alias("tumours", "prod")


def releases(team: Team) -> list[int]:
    """Versions of the release statements for prod, oldest first; each has the next number."""
    found = [
        envelope.statement.predicate for envelope in _ledger(team).find(use_case="tumours", kind="release")
    ]
    assert [release["number"] for release in found] == list(range(1, len(found) + 1))
    return [int(str(release["version"])) for release in found]


def _ledger(team: Team) -> SqlLedger:
    ledger = workspace_of(team).ledger()
    assert isinstance(ledger, SqlLedger)
    return ledger


def moves(team: Team) -> list[tuple[str, str]]:
    """Promotions and rollbacks in the audit log, with their outcomes."""
    return [
        (logged.entry.action, logged.entry.outcome)
        for logged in _ledger(team).entries()
        if logged.entry.action in ("promote", "rollback")
    ]


def predict_is_refused(team: Team) -> None:
    before = sorted(team.folder.glob("predictions/tumours/_delta_log/*.json"))
    outcome = signoff(team, "predict", "tumours", "--format", "json")
    assert outcome.code == 1, outcome
    assert [reason["code"] for reason in json.loads(outcome.out)["reasons"]] == ["alias-moved"]
    assert sorted(team.folder.glob("predictions/tumours/_delta_log/*.json")) == before


def everything_is_traced(team: Team) -> None:
    """From alias and output back to all they rest on; the log is as it was written."""
    for target in ("tumours@prod", "predictions/tumours"):
        trace = json.loads(done(signoff(team, "lineage", target, "--format", "json")))
        states = {link["kind"]: link["state"] for link in trace["links"]}
        assert {states[kind] for kind in ("release", "version", "model", "gate", "approval")} == {"verified"}
    done(signoff(team, "admin", "audit", "--verify"))


# Behind a server

ALIAS_MOVE = "(POST|DELETE) .*/registered-models/alias$"


@pytest.mark.parametrize("ledger", ["of its own", "in the server's database"])
def test_the_whole_path_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: str) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    database = f"sqlite:///{tmp_path / 'server.db'}"
    kept = "sqlite:///../ledger.db" if ledger == "of its own" else database
    with serving(database, tmp_path) as server, wired(server.address) as wire:
        standard = f"{STANDARD}store: {wire.address}\nledger: {kept}\n"
        team = make_team(tmp_path / "team/repo", standard, wire.address)
        approved(team, team.good, 1)

        with wire.losing(ALIAS_MOVE):
            outcome = signoff(team, "promote", "tumours/1", key="cleo")
        assert outcome.code == 2, outcome
        assert "the release is recorded, but alias @prod could not be moved" in outcome.err
        assert "run the same command again" in outcome.err
        assert "Traceback" not in outcome.err
        assert alias(team) is None
        predict_is_refused(team)
        assert "version 1" in done(signoff(team, "promote", "tumours/1", key="cleo"))
        assert alias(team) == 1
        assert "already" in done(signoff(team, "promote", "tumours/1", key="cleo"))
        assert "table version 0" in done(signoff(team, "predict", "tumours"))
        everything_is_traced(team)

        with inside(team.folder):
            second = log_run("good", store=wire.address)
        approved(team, second, 2)
        done(signoff(team, "promote", "tumours/2", key="cleo"))
        assert alias(team) == 2

        back = ("rollback", "tumours", "--reason", "complaints")
        with wire.losing(ALIAS_MOVE):
            outcome = signoff(team, *back, key="cleo")
        assert outcome.code == 2, outcome
        assert alias(team) == 2
        predict_is_refused(team)
        assert signoff(team, *back, key="ben").code == 1, "who may not roll back may not finish it"
        assert "from version 2 to version 1" in done(signoff(team, *back, key="cleo"))
        assert alias(team) == 1
        assert "rolled back from version 2: complaints" in done(signoff(team, "status"))
        done(signoff(team, "predict", "tumours"))
        everything_is_traced(team)
        assert signoff(team, *back, key="cleo").code == 1, "there is no earlier good release"
        assert alias(team) == 1
        before = moves(team)

    outcome = signoff(team, "promote", "tumours/1", key="cleo")
    assert outcome.code == 2, "the server is stopped"
    assert "cannot be reached" in outcome.err
    assert moves(team) == before


# On PostgreSQL


@pytest.fixture(scope="module")
def template(postgres_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """tumours/1 and tumours/2 are approved, nothing is released; the store is a PostgreSQL database."""
    with own_database(postgres_uri) as database:
        folder = tmp_path_factory.mktemp("postgres") / "team/repo"
        team = make_team(folder, f"{STANDARD}store: {database}\n", database)
        approved(team, team.good, 1)
        with inside(team.folder):
            second = log_run("good", store=database)
        approved(team, second, 2)
        yield team


@pytest.fixture
def team(template: Team, postgres_uri: str, tmp_path: Path) -> Iterator[Team]:
    """A copy of the template with a database of its own; artifacts are read where the template keeps them."""
    database = workspace_of(template).tracking_uri
    with own_database(postgres_uri) as empty:
        _copy_database(postgres_uri, database, empty)
        copied = tmp_path / "team"
        shutil.copytree(template.folder.parent, copied)
        standard = copied / "repo/signoff.yaml"
        standard.write_text(standard.read_text().replace(database, empty))
        git(copied / "repo", "commit", "-qam", "A copy of the store")
        yield Team(folder=copied / "repo", good=template.good, weak=template.weak)


def _copy_database(server: str, source: str, target: str) -> None:
    """Replace the empty target by a copy of the source; PostgreSQL copies only what nobody is connected to."""
    old, new = (urlsplit(uri).path.removeprefix("/") for uri in (source, target))
    execute(
        server,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{old}'",  # noqa: S608 - our names
        f'DROP DATABASE "{new}"',
        f'CREATE DATABASE "{new}" TEMPLATE "{old}"',
    )


def execute(uri: str, *statements: str) -> None:
    import psycopg2

    with closing(psycopg2.connect(uri.replace("+psycopg2://", "://"))) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$
"""


@pytest.mark.postgres
def test_the_whole_path_on_postgresql(team: Team) -> None:
    assert alias(team) is None
    done(signoff(team, "promote", "tumours/1", key="cleo"))
    assert "table version 0" in done(signoff(team, "predict", "tumours"))
    everything_is_traced(team)
    outcome = signoff(team, "promote", "tumours/2", "--format", "json", key="cleo")
    assert outcome.code == 1, "its gate compared it with nothing, and now there is a baseline"
    with inside(team.folder):
        third = log_run("good", store=workspace_of(team).tracking_uri)
    approved(team, third, 3)
    done(signoff(team, "promote", "tumours/3", key="cleo"))
    assert alias(team) == 3
    done(signoff(team, "rollback", "tumours", "--reason", "complaints", key="cleo"))
    assert alias(team) == 1
    assert "rolled back from version 3: complaints" in done(signoff(team, "status"))
    done(signoff(team, "predict", "tumours"))
    everything_is_traced(team)
    assert moves(team) == [
        ("promote", "allowed"),
        ("promote", "refused"),
        ("promote", "allowed"),
        ("rollback", "allowed"),
    ]


@pytest.mark.postgres
@pytest.mark.parametrize(
    "table", ["signoff_log", "signoff_statement", "signoff_head", "registered_model_aliases"]
)
def test_alias_and_entry_are_kept_together_or_not_at_all(team: Team, table: str) -> None:
    """Whichever of the tables cannot be written: nothing moves, nothing is recorded."""
    before = _ledger(team).stored()
    uri = workspace_of(team).tracking_uri
    # At the commit, or at the write: the last moment and the first.
    for when in (
        "CREATE CONSTRAINT TRIGGER refuse AFTER {} ON {} DEFERRABLE INITIALLY DEFERRED",
        "CREATE TRIGGER refuse BEFORE {} ON {}",
    ):
        trigger = when.format("INSERT OR UPDATE", table)
        execute(uri, REFUSE, f"{trigger} FOR EACH ROW EXECUTE FUNCTION refuse()")
        outcome = signoff(team, "promote", "tumours/1", key="cleo")
        assert outcome.code == 2, outcome
        assert "the disk is full" in outcome.err
        assert "Traceback" not in outcome.err
        assert alias(team) is None
        assert _ledger(team).stored() == before
        execute(uri, "DROP FUNCTION refuse CASCADE")
    done(signoff(team, "promote", "tumours/1", key="cleo"))
    assert alias(team) == 1
    assert releases(team) == [1]


@pytest.mark.postgres
def test_a_proposal_that_could_not_be_recorded_is_completed(team: Team) -> None:
    uri = workspace_of(team).tracking_uri
    with inside(team.folder):
        third = log_run("good", store=uri)
    done(signoff(team, "gate", third))
    before = _ledger(team).stored()
    execute(uri, REFUSE, "CREATE TRIGGER refuse BEFORE INSERT ON signoff_log EXECUTE FUNCTION refuse()")
    outcome = signoff(team, "propose", third, *CONTEXT, key="ana")
    assert outcome.code == 2, outcome
    assert "tumours/3 is registered, but its proposal could not be recorded" in outcome.err
    assert _ledger(team).stored() == before
    execute(uri, "DROP FUNCTION refuse CASCADE")
    assert "not-proposed" in signoff(team, "promote", "tumours/3", key="cleo").out
    assert "tumours/3" in done(signoff(team, "propose", third, *CONTEXT, key="ana"))


@pytest.mark.postgres
def test_a_read_only_database_is_said_so(team: Team) -> None:
    before = _ledger(team).stored()
    uri = workspace_of(team).tracking_uri
    name = urlsplit(uri).path.removeprefix("/")
    execute(uri, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    for command in (("promote", "tumours/1"), ("note", "tumours/1", "x"), ("gate", team.good)):
        outcome = signoff(team, *command, key="cleo")
        assert outcome.code == 2, outcome
        assert "read-only transaction" in outcome.err
        assert "Traceback" not in outcome.err
    done(signoff(team, "status"))
    assert alias(team) is None
    assert _ledger(team).stored() == before


# More than once


@pytest.fixture(scope="module")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """tumours/1 and tumours/2 are approved, nothing is released; the store is MLflow's default."""
    standard = STANDARD.replace("looks: 3", "looks: 4")
    team = make_team(tmp_path_factory.mktemp("sqlite") / "team/repo", standard)
    approved(team, team.good, 1)
    with inside(team.folder):
        second = log_run("good")
    approved(team, second, 2)
    return team


def test_what_was_taken_back_is_never_returned_to(sqlite_template: Team, tmp_path: Path) -> None:
    team = copy_team(sqlite_template, tmp_path / "team")
    done(signoff(team, "promote", "tumours/1", key="cleo"))

    def next_version(version: int) -> None:
        with inside(team.folder):
            run = log_run("good")
        approved(team, run, version)
        done(signoff(team, "promote", f"tumours/{version}", key="cleo"))

    next_version(3)
    registry(team).set_registered_model_alias("tumours", "prod", "1")
    done(signoff(team, "promote", "tumours/3", key="cleo"))
    assert alias(team) == 3
    assert releases(team) == [1, 3], "the standing release is enough to put its alias back"
    done(signoff(team, "rollback", "tumours", "--reason", "complaints", key="cleo"))
    assert alias(team) == 1
    next_version(4)
    done(signoff(team, "rollback", "tumours", "--reason", "complaints", key="cleo"))
    assert alias(team) == 1, "version 3 was taken back"


def promote_at_once(team: Team, versions: list[int]) -> list[int]:
    """Promote these versions from as many threads; the versions answered with success."""
    start = Barrier(len(versions))

    def one(version: int) -> int | None:
        workspace = workspaces.pop()
        actor = open_actor(workspace, team.key("cleo"))
        reference = VersionReference(name="tumours", version=version)
        start.wait()
        try:
            moved = promote(workspace, reference, environment="prod", actor=actor, dry_run=False)
        except StoreError as error:
            failures.append(error.what)
            return None
        return version if moved.decision.allowed and not moved.already else None

    failures: list[str] = []
    workspaces = [workspace_of(team) for _ in versions]
    with inside(team.folder), ThreadPoolExecutor(len(versions)) as pool:
        answered = [version for version in pool.map(one, versions) if version is not None]
    late = ("another decision", "locked", "duplicate key", "UNIQUE")
    assert all(any(word in failure for word in late) for failure in failures), failures
    return answered


def _released_at_once(team: Team) -> None:
    answered = promote_at_once(team, [1, 2, 1, 2])
    assert len(answered) >= 1, "one of them is the first"
    assert sorted(releases(team)) == sorted(answered)
    assert alias(team) == releases(team)[-1]
    assert [move for move in moves(team) if move[1] == "allowed"] == [("promote", "allowed")] * len(answered)
    done(signoff(team, "admin", "audit", "--verify"))
    done(signoff(team, "predict", "tumours"))


@pytest.mark.postgres
def test_promotions_at_the_same_time_on_postgresql(team: Team) -> None:
    _released_at_once(team)


def test_promotions_at_the_same_time_on_sqlite(sqlite_template: Team, tmp_path: Path) -> None:
    for attempt in ("first", "second"):
        _released_at_once(copy_team(sqlite_template, tmp_path / attempt))
