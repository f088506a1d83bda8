"""The whole path on other stores: behind a real MLflow server, and on PostgreSQL.

Also what happens between its steps: the registry fails after the ledger, the ledger fails under the registry,
and several people promote at the same time.
"""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from mlflow_server import serving
from team import STANDARD, Outcome, Team, inside, log_run, make_team, signoff

from signoff.adapters.ledger_sql import SqlLedger
from signoff.apps.workspace import Workspace, open_workspace

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
    return open_workspace(str(team.folder / "signoff.yaml"))


def alias(team: Team) -> int | None:
    return workspace_of(team).reader().alias("tumours", "prod")


def releases(team: Team) -> list[int]:
    """Versions of the release statements for prod, oldest first."""
    return [
        int(str(e.statement.predicate["version"]))
        for e in _ledger(team).find(use_case="tumours", kind="release")
    ]


def _ledger(team: Team) -> SqlLedger:
    return workspace_of(team).ledger()


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


class Proxy(ThreadingHTTPServer):
    """Hands requests on to a server; drops the connection for those whose path ends with ``broken``."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target = urlsplit(target)
        self.broken: str | None = None
        self.dropped = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def breaking(self, path: str) -> Iterator[None]:
        self.broken, dropped = path, self.dropped
        yield
        self.broken = None
        assert self.dropped > dropped, "no request was dropped"


class _Forward(BaseHTTPRequestHandler):
    server: Proxy

    def _forward(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.broken is not None and path.endswith(self.server.broken):
            if self.command != "GET":
                self.server.dropped += 1
                self.close_connection = True
                return
        target = self.server.target
        with closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)) as upstream:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    with Proxy(target) as proxy:
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


@pytest.mark.parametrize("ledger", ["of its own", "in the server's database"])
def test_the_whole_path_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: str) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    database = f"sqlite:///{tmp_path / 'server.db'}"
    kept = "sqlite:///../ledger.db" if ledger == "of its own" else database
    with serving(database, tmp_path) as server, proxied(server.address) as proxy:
        standard = f"{STANDARD}store: {proxy.address}\nledger: {kept}\n"
        team = make_team(tmp_path / "team/repo", standard, proxy.address)
        approved(team, team.good, 1)

        with proxy.breaking("registered-models/alias"):
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
            second = log_run("good", store=proxy.address)
        approved(team, second, 2)
        done(signoff(team, "promote", "tumours/2", key="cleo"))
        assert alias(team) == 2

        back = ("rollback", "tumours", "--reason", "complaints")
        with proxy.breaking("registered-models/alias"):
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
