"""Production on an MLflow server of its own: the way there, what stops on it, and what happens without the first store."""

import base64
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow_server import MlflowServer, serving
from team import (
    CONTEXT,
    STANDARD,
    Outcome,
    Team,
    copy_team,
    edit_standard,
    forget_artifact_stores,
    inside,
    log_run,
    make_team,
    refused,
    signoff,
)
from wire import Fault, Wire, wired

LEDGER = "ledger: sqlite:///../ledger.db\n"
PROMOTE = ("promote", "tumours/1", "--env", "prod", "--format", "json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A team, and the server of its prod.

    Attributes:
        team: tumours/1 is released in test and approved for prod.
        server: prod's server.
        wire: the way to it.
    """

    team: Team
    server: MlflowServer
    wire: Wire

    def at_prod(self, question: str) -> list[Any]:
        """The first column of what prod's database answers."""
        with closing(sqlite3.connect(self.server.database.removeprefix("sqlite:///"))) as database:
            return [row[0] for row in database.execute(question)]

    @property
    def runs(self) -> int:
        return len(self.at_prod("SELECT run_uuid FROM runs"))

    @property
    def versions(self) -> list[int]:
        return self.at_prod("SELECT version FROM model_versions ORDER BY version")

    @property
    def alias(self) -> list[int]:
        return self.at_prod("SELECT version FROM registered_model_aliases WHERE alias = 'prod'")

    def said(self, kind: str) -> list[dict[str, Any]]:
        """Predicates of the statements of a kind about prod, oldest first."""
        from signoff.apps.workspace import open_workspace

        with inside(self.team.folder):
            found = open_workspace().ledger().find(use_case="tumours", kind=kind)  # type: ignore[arg-type]
        predicates = [dict(envelope.statement.predicate) for envelope in found]
        return [said for said in predicates if said["environment"] == "prod"]

    def files(self) -> list[Path]:
        """The model's files on prod's disk."""
        return sorted(self.server.artifacts.glob("*/models/*/artifacts/**/*.skops"))

    def nothing_is_released(self) -> None:
        assert self.said("release") == []
        assert self.alias == []

    def one_of_everything(self) -> None:
        assert (self.runs, self.versions, self.alias) == (1, [1], [1])
        assert len(self.said("arrival")) == len(self.said("release")) == 1
        assert self.at_prod("SELECT status FROM runs") == ["FINISHED"]


def done(outcome: Outcome) -> str:
    """The command succeeded; its output."""
    assert outcome.code == 0, outcome
    return outcome.out


def other(data: bytes) -> bytes:
    """The same bytes but for the last."""
    return data[:-1] + bytes([data[-1] ^ 1])


def contents(folder: Path) -> dict[str, bytes]:
    """Paths and bytes of all files below a folder."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("prod")
    with serving(f"sqlite:///{folder / 'prod.db'}", folder) as running:
        shutil.copy(folder / "prod.db", folder / "empty.db")
        yield running


@pytest.fixture(scope="module")
def wire(server: MlflowServer) -> Iterator[Wire]:
    with wired(server.address) as open_wire:
        yield open_wire


@pytest.fixture(scope="module")
def ready(wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> Team:
    environments = f"environments: {{prod: {{server: '{wire.address}', after: test}}}}\n"
    folder = tmp_path_factory.mktemp("ready") / "team/repo"
    team = make_team(folder, STANDARD + LEDGER + environments)
    done(signoff(team, "gate", team.good))
    done(signoff(team, "propose", team.good, *CONTEXT, key="ana"))
    done(signoff(team, "promote", "tumours/1", "--env", "test", key="cleo"))
    done(signoff(team, "approve", "tumours/1", "--env", "prod", key="ben"))
    return team


@pytest.fixture
def place(
    ready: Team, server: MlflowServer, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """Prod's server is empty."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    live = Path(server.database.removeprefix("sqlite:///"))
    with (
        closing(sqlite3.connect(live.with_name("empty.db"))) as empty,
        closing(sqlite3.connect(live)) as database,
    ):
        empty.backup(database)
    shutil.rmtree(server.artifacts, ignore_errors=True)
    wire.mend()
    wire.requests.clear()
    wire.authorizations.clear()
    yield Place(team=copy_team(ready, tmp_path / "team"), server=server, wire=wire)
    wire.mend()
    forget_artifact_stores()


def promoted(place: Place) -> Place:
    done(signoff(place.team, *PROMOTE, key="cleo"))
    return place


def test_a_version_is_copied_verified_and_released(place: Place) -> None:
    team = place.team
    plan = done(signoff(team, "promote", "tumours/1", "--env", "prod", "--dry-run", key="cleo"))
    assert re.search(rf"copy .*5 params.* to {place.wire.address}", plan), plan
    assert place.runs == 0
    out = done(signoff(team, "promote", "tumours/1", "--env", "prod", key="cleo"))
    assert "alias @prod moved from nothing to version 1" in out
    place.one_of_everything()

    (arrival,) = place.said("arrival")
    assert (arrival["version"], arrival["target_version"]) == (1, 1)
    assert arrival["run_id"] == team.good != arrival["target_run_id"]
    assert arrival["server"] == place.wire.address
    (here,) = [
        file.parent
        for file in team.folder.glob("mlruns/*/models/*/artifacts/MLmodel")
        if team.good in file.read_text()
    ]
    (there,) = [file.parent for file in place.server.artifacts.glob("*/models/*/artifacts/MLmodel")]
    assert contents(here) == contents(there)
    assert place.at_prod("SELECT value FROM params WHERE key = 'feature_set'") == ["good"]
    assert place.at_prod("SELECT count(*) FROM latest_metrics") == [3]
    assert place.at_prod("SELECT name FROM datasets") == ["wisconsin"]
    assert list(place.server.artifacts.glob("*/*/artifacts/evidence/threshold_rationale.md"))
    with closing(sqlite3.connect(team.folder / "mlflow.db")) as here_database:
        aliases = here_database.execute("SELECT alias FROM registered_model_aliases").fetchall()
    assert aliases == [("test",)], "prod's alias is on prod's server alone"

    requests = len(place.wire.requests)
    again = done(signoff(team, "promote", "tumours/1", "--env", "prod", key="cleo"))
    assert "released already; nothing had to change" in again
    assert not [r for r in place.wire.requests[requests:] if r.startswith(("PUT", "PATCH", "DELETE"))]
    place.one_of_everything()
    done(signoff(team, "admin", "audit", "--verify"))

    assert "version 1 since" in done(signoff(team, "status", "tumours"))
    assert "PROBLEM" not in done(signoff(team, "status", "tumours"))
    trace = json.loads(done(signoff(team, "lineage", "tumours@prod", "--format", "json")))
    states = {link["kind"]: link["state"] for link in trace["links"]}
    assert {states[kind] for kind in ("alias", "arrival", "release", "version", "model")} == {"verified"}
    (run,) = [link for link in trace["links"] if link["kind"] == "run"]
    assert f"copy of run {team.good}, unchanged since" in run["detail"]


BROKEN_OFF = [
    Fault(request="POST .*/experiments/create", when="after"),
    Fault(request="POST .*/runs/create", when="before"),
    Fault(request="POST .*/runs/create", when="after"),
    Fault(request="POST .*/runs/log-batch", when="before"),
    Fault(request="POST .*/runs/log-inputs", when="after"),
    Fault(request="PUT .*/evidence/false_negatives", when="before"),
    Fault(request="POST .*/runs/update", when="before"),
    Fault(request="POST .*/logged-models$", when="after"),
    Fault(request="PUT .*/models/.*/MLmodel", when="before"),
    Fault(request="POST .*/runs/outputs", when="before"),
    Fault(request="PATCH .*/logged-models/", when="before"),
    Fault(request="POST .*/registered-models/create", when="after"),
    Fault(request="POST .*/model-versions/create", when="before"),
    Fault(request="POST .*/model-versions/create", when="after"),
    Fault(request="GET .*/models/.*/MLmodel", when="before"),
    Fault(request="POST .*/model-versions/set-tag", when="before"),
    Fault(request="POST .*/registered-models/alias", when="before"),
    Fault(request="POST .*/registered-models/alias", when="after"),
]


@pytest.mark.parametrize("fault", BROKEN_OFF, ids=lambda f: f"{f.when} {f.request}")
def test_a_copy_that_broke_off_is_completed_by_the_same_command(place: Place, fault: Fault) -> None:
    place.wire.fault = fault
    outcome = signoff(place.team, *PROMOTE, key="cleo")
    assert place.wire.broke, "the fault was not met"
    assert outcome.code == 2, outcome
    if "alias" not in fault.request:
        place.nothing_is_released()
    done(signoff(place.team, *PROMOTE, key="cleo"))
    place.one_of_everything()
    done(signoff(place.team, "predict", "tumours"))
    done(signoff(place.team, "admin", "audit", "--verify"))


@pytest.mark.parametrize("step", ["runs/create", "model-versions/create", "registered-models/alias"])
def test_a_promotion_that_was_killed_is_completed_by_the_same_command(place: Place, step: str) -> None:
    command = [str(Path(sys.executable).with_name("signoff")), *PROMOTE, "--key", place.team.key("cleo")]
    plain = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "SIGNOFF_KEY")}
    with (place.team.folder.parent / "killed.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place.team.folder, env=plain, stdout=log, stderr=log)
        place.wire.then = lambda request: process.kill() if request.endswith(step) else None
        assert process.wait(timeout=120) == -signal.SIGKILL
    place.wire.mend()
    done(signoff(place.team, *PROMOTE, key="cleo"))
    place.one_of_everything()


@pytest.mark.parametrize("kind", ["arrival", "release"])
def test_a_statement_that_could_not_be_kept_is_made_by_the_same_command(place: Place, kind: str) -> None:
    ledger = place.team.folder.parent / "ledger.db"
    with closing(sqlite3.connect(ledger)) as database:
        database.execute(
            f"CREATE TRIGGER stop BEFORE INSERT ON signoff_statement WHEN NEW.kind = '{kind}'"
            " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    outcome = signoff(place.team, *PROMOTE, key="cleo")
    assert outcome.code == 2, outcome
    place.nothing_is_released()
    assert len(place.said("arrival")) == (kind == "release")
    with closing(sqlite3.connect(ledger)) as database:
        database.execute("DROP TRIGGER stop")
    done(signoff(place.team, *PROMOTE, key="cleo"))
    place.one_of_everything()


def test_bytes_changed_on_the_way_are_refused(place: Place) -> None:
    def flip(request: str, body: bytes) -> bytes:
        return other(body) if re.search(r"PUT .*/models/.*\.skops", request) else body

    place.wire.change = flip
    refused(signoff(place.team, *PROMOTE, key="cleo"), "arrival-digest")
    place.nothing_is_released()
    assert place.said("arrival") == []
    entries = json.loads(done(signoff(place.team, "admin", "audit", "--format", "json")))
    assert (entries[-1]["entry"]["action"], entries[-1]["entry"]["outcome"]) == ("promote", "refused")

    place.wire.mend()
    out = json.loads(done(signoff(place.team, *PROMOTE, key="cleo")))
    assert any("version 1 there, was left behind" in remark for remark in out["remarks"])
    assert (place.versions, place.alias) == ([1, 2], [2])
    (arrival,) = place.said("arrival")
    assert (arrival["version"], arrival["target_version"]) == (1, 2)
    assert "version 1 since" in done(signoff(place.team, "status", "tumours"))
    assert "with version 1 " in done(signoff(place.team, "predict", "tumours"))


def test_bytes_changed_there_before_they_are_read_back_are_refused(place: Place) -> None:
    def rewrite(request: str) -> None:
        if re.search("POST .*/model-versions/create", request):
            (file,) = place.files()
            file.write_bytes(other(file.read_bytes()))

    place.wire.then = rewrite
    refused(signoff(place.team, *PROMOTE, key="cleo"), "arrival-digest")
    place.nothing_is_released()


def test_a_run_changed_there_before_it_is_read_back_is_refused(place: Place) -> None:
    def rewrite(request: str) -> None:
        if re.search("POST .*/model-versions/create", request):
            database = place.server.database.removeprefix("sqlite:///")
            with closing(sqlite3.connect(database)) as there, there:
                there.execute("UPDATE params SET value = 'other' WHERE key = 'feature_set'")

    place.wire.then = rewrite
    refused(signoff(place.team, *PROMOTE, key="cleo"), "arrival-facts")
    place.nothing_is_released()


def test_bytes_changed_there_after_the_release_are_not_used(place: Place) -> None:
    promoted(place)
    (file,) = place.files()
    file.write_bytes(other(file.read_bytes()))
    refused(signoff(place.team, "predict", "tumours", "--format", "json"), "model-bytes-changed")
    done(signoff(place.team, *PROMOTE, key="cleo"))
    assert (place.versions, place.alias) == ([1, 2], [2])
    assert "with version 1 " in done(signoff(place.team, "predict", "tumours"))


def test_an_alias_moved_there_by_hand_is_refused_and_put_back(place: Place) -> None:
    promoted(place)
    database = place.server.database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database)) as there, there:
        there.execute("DELETE FROM registered_model_aliases")
    refused(signoff(place.team, "predict", "tumours", "--format", "json"), "alias-moved")
    assert "moved by hand" in done(signoff(place.team, "status", "tumours"))
    promoted(place).one_of_everything()
    done(signoff(place.team, "predict", "tumours"))


def test_an_arrival_that_nobody_who_promotes_has_signed_is_not_believed(place: Place) -> None:
    promoted(place)
    roster = place.team.folder / "signoff.roster.yaml"
    roster.write_text(roster.read_text().replace("[platform-owner]", "[reviewer]"))
    refused(
        signoff(place.team, "predict", "tumours", "--format", "json"),
        "release-signature",
        "arrival-signature",
    )


def test_prod_goes_on_without_the_first_store(place: Place) -> None:
    promoted(place)
    (place.team.folder / "mlflow.db").unlink()
    shutil.rmtree(place.team.folder / "mlruns")
    assert "with version 1 " in done(signoff(place.team, "predict", "tumours"))
    trace = json.loads(signoff(place.team, "lineage", "tumours@prod", "--format", "json").out)
    assert {link["state"] for link in trace["links"] if link["kind"] in ("arrival", "model", "version")} == {
        "verified"
    }


def test_a_rollback_returns_to_the_copy_that_is_there(place: Place) -> None:
    team = place.team
    promoted(place)
    with inside(team.folder):
        second = log_run("good")
    done(signoff(team, "gate", second))
    done(signoff(team, "propose", second, *CONTEXT, key="ana"))
    done(signoff(team, "promote", "tumours/2", "--env", "test", key="cleo"))
    done(signoff(team, "approve", "tumours/2", "--env", "prod", key="ben"))
    done(signoff(team, "promote", "tumours/2", "--env", "prod", key="cleo"))
    assert (place.versions, place.alias) == ([1, 2], [2])

    (team.folder / "mlflow.db").unlink()
    back = ("rollback", "tumours", "--env", "prod", "--reason", "complaints")
    place.wire.fault = Fault(request="POST .*/registered-models/alias", when="before")
    assert signoff(team, *back, key="cleo").code == 2
    assert place.alias == [2]
    refused(signoff(team, "predict", "tumours", "--format", "json"), "alias-moved")
    assert "from version 2 to version 1" in done(signoff(team, *back, key="cleo"))
    assert place.alias == [1]
    assert len(place.said("rollback")) == 1
    assert "with version 1 " in done(signoff(team, "predict", "tumours"))


def test_a_rollback_to_a_version_that_is_gone_there_is_refused(place: Place) -> None:
    team = place.team
    promoted(place)
    with inside(team.folder):
        second = log_run("good")
    done(signoff(team, "gate", second))
    done(signoff(team, "propose", second, *CONTEXT, key="ana"))
    done(signoff(team, "promote", "tumours/2", "--env", "test", key="cleo"))
    done(signoff(team, "approve", "tumours/2", "--env", "prod", key="ben"))
    done(signoff(team, "promote", "tumours/2", "--env", "prod", key="cleo"))
    database = place.server.database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database)) as there, there:
        there.execute("DELETE FROM model_versions WHERE version = 1")
    back = ("rollback", "tumours", "--env", "prod", "--reason", "complaints", "--format", "json")
    refused(signoff(team, *back, key="cleo"), "version-replaced")
    assert place.alias == [2]


def test_what_skipped_test_is_refused_unless_the_standard_lets_it_come_directly(place: Place) -> None:
    team = place.team
    with inside(team.folder):
        second = log_run("good")
    done(signoff(team, "gate", second))
    done(signoff(team, "propose", second, *CONTEXT, key="ana"))
    done(signoff(team, "approve", "tumours/2", "--env", "prod", key="ben"))
    direct = ("promote", "tumours/2", "--env", "prod", "--format", "json")
    refused(signoff(team, *direct, key="cleo"), "environment-order")
    assert place.runs == 0

    edit_standard(team, "after: test", "direct: refused")
    outcome = signoff(team, "standard", "check")
    assert outcome.code == 2, outcome
    edit_standard(team, "direct: refused", "direct: allowed")
    done(signoff(team, "approve", "tumours/2", "--env", "prod", key="ben"))
    done(signoff(team, *direct, key="cleo"))
    assert place.alias == [1]
    (arrival,) = place.said("arrival")
    assert (arrival["version"], arrival["target_version"]) == (2, 1)
    assert "version 2 since" in done(signoff(team, "status", "tumours"))
    assert "with version 2 " in done(signoff(team, "predict", "tumours"))


def test_a_server_that_is_away_is_told_and_nothing_is_released(place: Place, tmp_path: Path) -> None:
    edit_standard(place.team, place.wire.address, "http://127.0.0.1:9")
    outcome = signoff(place.team, *PROMOTE, key="cleo")
    assert outcome.code == 2, outcome
    assert place.said("release") == []
    status = done(signoff(place.team, "status", "tumours"))
    assert "version 1 since" in status, "test is on the first store"


def test_prod_must_not_be_the_store_itself(place: Place) -> None:
    edit_standard(place.team, f"'{place.wire.address}'", "sqlite:///mlflow.db")
    outcome = signoff(place.team, *PROMOTE, key="cleo")
    assert outcome.code == 2, outcome
    assert "the very store that versions are promoted from" in outcome.err


def test_each_server_gets_its_own_credentials_and_nobody_else_reads_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of-the-first-store")
    monkeypatch.setenv("SIGNOFF_PROD_USERNAME", "cleo")
    monkeypatch.setenv("SIGNOFF_PROD_PASSWORD", "of-the-prod-server")
    promoted(place)
    done(signoff(place.team, "predict", "tumours"))
    wanted = "Basic " + base64.b64encode(b"cleo:of-the-prod-server").decode()
    assert place.wire.authorizations == {wanted}
    kept = [
        *place.team.folder.parent.glob("ledger.db*"),
        Path(place.server.database.removeprefix("sqlite:///")),
    ]
    assert not [path for path in kept if b"of-the-prod-server" in path.read_bytes()]

    place.wire.authorizations.clear()
    monkeypatch.delenv("SIGNOFF_PROD_USERNAME")
    monkeypatch.delenv("SIGNOFF_PROD_PASSWORD")
    done(signoff(place.team, "status", "tumours"))
    promoted(place)
    assert place.wire.authorizations == {None}, "the first store's credentials stay with it"


def test_two_servers_that_are_files_beside_each_other_do_not_mix(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    edit_standard(place.team, f"'{place.wire.address}'", "sqlite:///prod/mlflow.db")
    (place.team.folder / "prod").mkdir()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow.set_tracking_uri("sqlite:///of-the-process.db")
    exported = os.environ["MLFLOW_TRACKING_URI"]
    promoted(place)
    assert place.runs == 0
    assert mlflow.get_tracking_uri() == "sqlite:///of-the-process.db"
    assert os.environ["MLFLOW_TRACKING_URI"] == exported
    with closing(sqlite3.connect(place.team.folder / "prod/mlflow.db")) as there:
        assert there.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
        assert there.execute("SELECT alias, version FROM registered_model_aliases").fetchall() == [
            ("prod", 1)
        ]
    with closing(sqlite3.connect(place.team.folder / "mlflow.db")) as here:
        assert here.execute("SELECT alias FROM registered_model_aliases").fetchall() == [("test",)]
    assert list(place.team.folder.glob("prod/mlartifacts/tumours/models/*/artifacts/MLmodel"))
    done(signoff(place.team, "predict", "tumours"))
