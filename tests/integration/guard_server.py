"""A team behind a real MLflow server with people who log in: guarded, or bare to show what the guard is for."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from mlflow_server import QUIET, own_database
from store_snapshot import Kept, Store
from team import CONTEXT, STANDARD, Outcome, Team, git, inside, log_run, make_repository, signoff

from signoff.adapters.key_files import generate_key

PASSWORD = "correct horse battery"  # noqa: S105 - of a server that lives as long as a test
ADMIN = "admin"
PEOPLE = ("ana", "ben", "cleo")
STRANGER = "mia"
"""Has a login, stands on no roster."""
SERVER = "server"
"""Name of the server's own key file, beside the people's."""
Kind = Literal["guarded", "bare"]
_REDIRECTS = (301, 302, 303, 307, 308)
_HEALTHY_SECONDS = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What the server answered.

    Attributes:
        status: HTTP status.
        body: its bytes.
        headers: names in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a server listens, and how to ask it as somebody."""

    host: str = "127.0.0.1"
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(
        self,
        who: str | None,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        wait: float = 60,
    ) -> Reply:
        """Send one request, its path exactly as it is written; a redirect is followed with the same method and body.

        Args:
            who: login; None: nobody.
            method: HTTP method.
            path: with its query.
            body: bytes as they are; anything else as JSON; None for none.
            headers: further ones.
            wait: seconds for an answer.
        """
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        if who is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(f"{who}:{PASSWORD}".encode()).decode()
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=wait)) as connection:
            connection.request(method, path, content, sent)
            answer = connection.getresponse()
            reply = Reply(
                status=answer.status,
                body=answer.read(),
                headers={name.lower(): value for name, value in answer.getheaders()},
            )
        to = reply.headers.get("location", "")
        if reply.status in _REDIRECTS and to.removeprefix(self.url).startswith("/") and to != path:
            return self.ask(who, method, to.removeprefix(self.url), body, headers=headers, wait=wait)
        return reply

    @contextmanager
    def uploading(self, who: str, path: str, content: bytes) -> Iterator[socket.socket]:
        """Send a PUT, but for the last half of its bytes, which are sent when the block ends; gives the connection."""
        login = base64.b64encode(f"{who}:{PASSWORD}".encode()).decode()
        head = f"PUT {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Basic {login}\r\n"
        head += f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        half = len(content) // 2
        with socket.create_connection((self.host, self.port), timeout=60) as connection:
            connection.sendall(head.encode() + content[:half])
            yield connection
            with suppress(OSError):  # answered and closed already
                connection.sendall(content[half:])
            with suppress(OSError):
                while connection.recv(65536):
                    pass

    def call(
        self, who: str, path: str, body: object = None, method: str = "POST", version: str = "2.0"
    ) -> Any:
        """Ask MLflow's API for something that must work; gives the answer."""
        reply = self.ask(who, method, f"/api/{version}/mlflow/{path}", body)
        assert reply.status == 200, f"{method} {path}: {reply.status} {reply.text}"
        return reply.json


def free_address() -> Address:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return Address(port=free.getsockname()[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarded:
    """A team, the server in front of its store, and what happened there.

    Attributes:
        team: `good` is the run of tumours/1, which is released in prod; `weak` that of tumours/2, proposed only.
        address: the server.
        store: what is behind it, to look at directly.
        folder: the server's own folder: its log, its accounts.
        kind: guarded by Signoff or bare.
        names: what requests speak of: ids of runs, models, experiments, … by the names that the catalogue uses.
        kept: a copy of all that the team made, to put back what an attempt changed.
    """

    team: Team
    address: Address
    store: Store
    folder: Path
    kind: Kind
    names: Mapping[str, str] = field(default_factory=dict)
    kept: Kept | None = None

    def environment(self) -> dict[str, str]:
        """Variables of the server's process."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING_")},
            **QUIET,
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "signs the session cookies of a test",
            "SIGNOFF_STANDARD": str(self.team.folder / "signoff.yaml"),
        }

    def command(self, *options: str) -> list[str]:
        """The server's command line."""
        shared = ["--host", self.address.host, "--port", str(self.address.port)]
        shared += ["--backend-store-uri", self.store.database]
        shared += ["--artifacts-destination", str(self.store.artifacts), *options]
        if self.kind == "bare":
            return [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", *shared]
        program = "from signoff.apps.cli.main import main; main()"
        login = ["--auth", "basic-auth", "--key", self.team.key(SERVER)]
        return [sys.executable, "-c", program, "admin", "server", *login, *shared]

    def signoff(self, *arguments: str, person: str, key: str | None = None) -> Outcome:
        """Run a verb in the team's folder as a person: with their login, and their key unless another is given."""
        with logged_in(person):
            return signoff(self.team, *arguments, key=key or person)


@contextmanager
def logged_in(person: str) -> Iterator[None]:
    """MLflow clients of this process log in as a person until the block ends."""
    given = {"MLFLOW_TRACKING_USERNAME": person, "MLFLOW_TRACKING_PASSWORD": PASSWORD, **QUIET}
    given |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def prepare(folder: Path, database: str, *, kind: Kind, accounts: str | None = None) -> Guarded:
    """Make a team's repository and the configuration of its server; nothing runs yet.

    Args:
        folder: for everything.
        database: URI of an empty database.
        kind: guarded or bare.
        accounts: URI of the database of logins; None: a file in the server's folder.
    """
    address = free_address()
    text = STANDARD.replace("use_cases:", f"store: {address.url}\nguard: enforce\nuse_cases:", 1)
    if kind == "bare":
        text = text.replace("use_cases:", f"ledger: {database}\nuse_cases:", 1)
    make_repository(folder / "team" / "repo", text)
    team = Team(folder=folder / "team" / "repo", good="", weak="")
    if kind == "guarded":
        add_server_key(team)
    home = folder / "server"
    home.mkdir()
    write_accounts(home, accounts or f"sqlite:///{home / 'accounts.db'}")
    return Guarded(
        team=team,
        address=address,
        store=Store(database=database, artifacts=folder / "artifacts"),
        folder=home,
        kind=kind,
    )


def add_server_key(team: Team) -> None:
    """A key for the server, for which the roster vouches."""
    key = generate_key(Path(team.key(SERVER)), comment="the MLflow server")
    roster = team.folder / "signoff.roster.yaml"
    entry = f'  mlflow@lab.example:\n    name: The MLflow server\n    vouches: true\n    keys: ["{key.public_line}"]\n'
    roster.write_text(roster.read_text() + entry)
    git(team.folder, "commit", "-qam", "The server's key")


def write_accounts(home: Path, database: str) -> None:
    """MLflow's own login lets everybody do everything, so that what is refused is refused by the guard."""
    (home / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = MANAGE\ndatabase_uri = {database}\nadmin_username = {ADMIN}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 3600\n"
    )


@contextmanager
def running(
    place: Guarded, *, workers: int = 1, options: tuple[str, ...] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the place's server until the block ends; options are of `signoff admin server`."""
    process = start(place, workers=workers, options=options)
    try:
        yield process
    finally:
        stop(process)


def start(place: Guarded, *, workers: int = 1, options: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
    """Start the place's server, and wait until it answers; gives the leader of its group of processes."""
    log = place.folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            place.command("--workers", str(workers), *options),
            cwd=place.folder,
            env=place.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await_health(place, process, log)
    except BaseException:
        stop(process)
        raise
    return process


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server and all that it started."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def await_health(place: Guarded, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers.

    Raises:
        RuntimeError: it ended, or never did; with the end of its log.
    """
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{place.address.url}/health", timeout=5):  # noqa: S310 - our own address
                return
        except urllib.error.HTTPError:
            return  # below a static prefix there is no such page, but somebody answers
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-4000:]}")


def add_users(place: Guarded) -> None:
    """Everybody's login."""
    for user in (*PEOPLE, STRANGER):
        place.address.call(ADMIN, "users/create", {"username": user, "password": PASSWORD})


def work(place: Guarded) -> Guarded:
    """What a team did: a version released, one proposed, a run that goes on, one that nobody proposed."""
    with logged_in("ana"), inside(place.team.folder):
        released, proposed, finished = (log_run("good", store=place.address.url) for _ in range(3))
    place = replace(place, team=replace(place.team, good=released, weak=proposed))
    for run, person, arguments in (
        (released, "ana", ("gate", released)),
        (released, "ana", ("propose", released, *CONTEXT)),
        (released, "ben", ("approve", "tumours/1")),
        (released, "cleo", ("promote", "tumours/1")),
        (proposed, "ana", ("gate", proposed)),
        (proposed, "ana", ("propose", proposed, *CONTEXT)),
    ):
        outcome = place.signoff(*arguments, person=person)
        assert outcome.code == 0, f"{run}: {outcome}"
    return replace(place, names=further_work(place, released, proposed, finished))


def further_work(place: Guarded, released: str, proposed: str, finished: str) -> dict[str, str]:
    """A run that goes on, its quarantined version, another use case's run, a data set, a trace; names of all."""
    call = place.address.call
    tumours = _run(place, released)["info"]["experiment_id"]
    cells = call("ana", "experiments/create", {"name": "cells"})["experiment_id"]
    names = {
        "tumours": tumours,
        "cells": cells,
        "released": released,
        "proposed": proposed,
        "finished": finished,
        "running": _begin(place, tumours),
        "other": _begin(place, cells),
    }
    call("ana", "registered-models/create", {"name": "cells"})
    for kind in ("released", "proposed", "finished"):
        models = _run(place, names[kind])["outputs"]["model_outputs"]
        names[f"{kind}_model"] = models[0]["model_id"]
    (report, *_) = call("ana", f"artifacts/list?run_id={released}&path=signoff/gate", method="GET")["files"]
    names["report"] = report["path"].rpartition("/")[2]
    call("ana", "runs/update", {"run_id": names["other"], "status": "FINISHED", "end_time": 2})
    model = {"experiment_id": tumours, "name": "model", "source_run_id": names["running"]}
    model_id = call("ana", "logged-models", model)["model"]["info"]["model_id"]
    early = {
        "name": "tumours",
        "source": f"models:/{model_id}",
        "run_id": names["running"],
        "model_id": model_id,
    }
    names["running_model"] = model_id
    names["quarantined"] = call("ana", "model-versions/create", early)["model_version"]["version"]
    call("ana", "registered-models/create", {"name": "shadow"})
    call("ana", "model-versions/create", {**early, "name": "shadow"})
    gold = {"name": "gold", "experiment_ids": [cells]}
    names["dataset"] = call("ana", "datasets/create", gold, version="3.0")["dataset"]["dataset_id"]
    names["trace"] = "tr-0123456789abcdef0123456789abcdef"
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": cells}}
    about = {"trace_id": names["trace"], "trace_location": where, "request_time": "2026-01-01T00:00:00Z"}
    call("ana", "traces", {"trace": {"trace_info": {**about, "state": "OK"}}}, version="3.0")
    return names


def _run(place: Guarded, run_id: str) -> Any:
    return place.address.call("ana", f"runs/get?run_id={quote(run_id)}", method="GET")["run"]


def _begin(place: Guarded, experiment: str) -> str:
    call = place.address.call
    made = call("ana", "runs/create", {"experiment_id": experiment, "run_name": "by hand", "start_time": 1})
    run_id: str = made["run"]["info"]["run_id"]
    call("ana", "runs/log-parameter", {"run_id": run_id, "key": "C", "value": "1.0"})
    call("ana", "runs/log-metric", {"run_id": run_id, "key": "roc_auc", "value": 0.9, "timestamp": 1})
    return run_id


@contextmanager
def place_on(folder: Path, database: str, *, kind: Kind, workers: int = 1) -> Iterator[Guarded]:
    """A team that has worked, behind its server, until the block ends."""
    accounts = None if database.startswith("sqlite") else database
    place = prepare(folder, database, kind=kind, accounts=accounts)
    with running(place, workers=workers):
        add_users(place)
        place = work(place)
        (folder / "kept").mkdir()
        yield replace(place, kept=place.store.keep(folder / "kept"))


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The team behind a guarded server, once on SQLite and once on PostgreSQL; nothing may change in it."""
    folder = tmp_path_factory.mktemp("guarded")
    if request.param == "sqlite":
        with place_on(folder, f"sqlite:///{folder / 'mlflow.db'}", kind="guarded") as place:
            yield place
        return
    with (
        own_database(request.getfixturevalue("postgres_uri")) as database,
        place_on(folder, database, kind="guarded") as place,
    ):
        yield place
