"""The guarded server as a program: what it refuses to start with, who reaches it, and bytes below it."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from guard_server import ADMIN, Address, Guarded, Reply, add_users, prepare, running
from guard_server import stop as stop_server

from signoff.adapters.mlflow_hooks.freeze import freeze_run

API = "/api/2.0/signoff/whoami"
PREFIX = "/team"
_ENDS_SECONDS = 120


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    """A team whose server has never run."""
    folder = tmp_path_factory.mktemp("cold")
    return prepare(folder, f"sqlite:///{folder / 'mlflow.db'}", kind="guarded")


def ended(place: Guarded, command: list[str], **variables: str) -> tuple[int, list[str], str]:
    """Run a command that must end by itself; gives its exit code, the lines of its error, and all it said."""
    done = subprocess.run(
        command,
        cwd=place.folder,
        env=place.environment() | variables,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_ENDS_SECONDS,
    )
    return (
        done.returncode,
        [line for line in done.stdout.splitlines() if line.startswith("error:")],
        done.stdout,
    )


NO_START = {
    "no login beyond loopback": (["--auth", "none", "--host", "0.0.0.0"], {}, "the one user"),  # noqa: S104
    "unknown login": (["--auth", "oidc"], {}, "no login plugin is called 'oidc'"),
    "no such key": (["--key", "nowhere"], {}, "no such key file"),
    "another database": (["--backend-store-uri", "mysql://h/d"], {}, "mysql"),
    "database is down": (["--backend-store-uri", "postgresql://127.0.0.1:1/d"], {}, "127.0.0.1"),
    "a file that is no database": (["--backend-store-uri", "sqlite:///{folder}/auth.ini"], {}, "auth.ini"),
    "artifacts past the server": (["--no-serve-artifacts"], {}, "--no-serve-artifacts"),
    "clients' own storage": ([], {"MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://b/x"}, "--default-artifact-root"),
    "gunicorn": ([], {"MLFLOW_GUNICORN_OPTS": "--preload"}, "uvicorn"),
    "waitress behind the dashes": (["--", "--waitress-opts=x"], {}, "--waitress-opts"),
    "a registry apart": ([], {"MLFLOW_REGISTRY_STORE_URI": "sqlite:///r.db"}, "--registry-store-uri"),
    "no standard": ([], {"SIGNOFF_STANDARD": "/nowhere/signoff.yaml"}, "SIGNOFF_STANDARD"),
    "no password": ([], {"MLFLOW_AUTH_ADMIN_PASSWORD": ""}, "no password"),
    "everybody's password": ([], {"MLFLOW_AUTH_ADMIN_PASSWORD": "password1234"}, "password"),
}


@pytest.mark.parametrize(("options", "variables", "says"), NO_START.values(), ids=NO_START)
def test_what_is_missing_ends_the_command_with_one_error(
    cold: Guarded, options: list[str], variables: dict[str, str], says: str
) -> None:
    given = [option.format(folder=cold.folder) for option in options]
    code, errors, said = ended(cold, cold.command(*given), **variables)
    assert (code, len(errors)) == (2, 1), said
    assert says in errors[0]
    assert "Traceback" not in said
    assert not (cold.folder.parent / "mlflow.db").exists()


def test_a_taken_port_ends_the_command(cold: Guarded) -> None:
    import socket

    with socket.create_server((cold.address.host, cold.address.port)):
        code, errors, said = ended(cold, cold.command())
    assert (code, len(errors)) == (2, 1), said
    assert f"port {cold.address.port}" in errors[0]


def test_an_encrypted_key_and_a_ledger_apart_end_the_command(cold: Guarded, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", key], check=True)
    code, errors, said = ended(cold, cold.command("--key", str(key)))
    assert (code, len(errors)) == (2, 1), said
    assert "passphrase" in errors[0]
    apart = tmp_path / "signoff.yaml"
    text = (cold.team.folder / "signoff.yaml").read_text()
    apart.write_text(text.replace("use_cases:", "ledger: sqlite:///ledger.db\nuse_cases:", 1))
    (tmp_path / "signoff.roster.yaml").write_text((cold.team.folder / "signoff.roster.yaml").read_text())
    code, errors, said = ended(cold, cold.command("--standard", str(apart)))
    assert (code, len(errors)) == (2, 1), said
    assert "ledger" in errors[0]


def test_mlflows_own_command_checks_the_same_before_it_starts_a_worker(cold: Guarded, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--app-name",
        "signoff",
        "--backend-store-uri",
        database,
    ]
    command += ["--port", str(cold.address.port), "--gunicorn-opts=--preload"]
    code, errors, said = ended(cold, command)
    assert (code, len(errors)) == (2, 1), said
    assert "uvicorn" in errors[0]
    assert "Started" not in said


PLUGIN = """
    from flask import g, request

    def known():
        g.mlflow_authenticated_user = request.headers.get("X-Login", "")
        return None if g.mlflow_authenticated_user else ("who are you?", 401)

    def create_app():
        from mlflow.server import app
        from mlflow.server.fastapi_app import create_fastapi_app
        app.before_request(known)
        return create_fastapi_app(app)

    def with_a_route_of_another_package():
        import json
        from mlflow.server import app
        app.add_url_rule("/api/2.0/back-door", "back", json.dumps, methods=["POST"])
        return create_app()

    def other_store(store_uri, artifact_uri=None):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        return SqlAlchemyStore(store_uri, artifact_uri)
"""
ENTRIES = """
    [mlflow.app]
    headers = login_plugin:create_app
    leaky = login_plugin:with_a_route_of_another_package
"""
LATE = """
    [mlflow.tracking_store]
    sqlite = login_plugin:other_store
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with another package's login plugins, and behind it one with a store plugin."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "login_plugin.py").write_text(dedent(PLUGIN))
    for name, entries, where in (("login", ENTRIES, folder), ("late", LATE, folder / "late")):
        info = where / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(dedent(entries).strip())
    return folder


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_worker_that_is_not_guarded_stops_the_server_once(
    tmp_path: Path, plugins: Path, workers: str
) -> None:
    place = prepare(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", kind="guarded")
    command = place.command("--workers", workers, "--auth", "leaky")
    code, errors, said = ended(place, command, PYTHONPATH=str(plugins))
    assert (code, len(errors)) == (2, 1), said
    assert "POST /api/2.0/back-door" in said
    assert "died" not in said
    assert "Application startup complete" not in said


def test_a_store_plugin_in_the_way_is_a_reason_not_to_start(tmp_path: Path, plugins: Path) -> None:
    place = prepare(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", kind="guarded")
    first = tmp_path / "first"
    first.mkdir()
    (first / "sitecustomize.py").write_text(f"import sys; sys.path.append({str(plugins / 'late')!r})")
    paths = os.pathsep.join((str(first), str(plugins)))
    code, errors, said = ended(place, place.command("--workers", "2"), PYTHONPATH=paths)
    assert (code, len(errors)) == (2, 1), said
    assert "store entry points" in errors[0]
    assert "Started" not in said


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """A server with a run in it, and another that is frozen.

    Attributes:
        address: the server.
        store: the folder that it keeps artifacts in.
        experiment: both runs' experiment.
        open: a run that goes on.
        frozen: a run that a proposal froze.
        direct: such a run whose artifacts lie outside of the server's storage, as runs of before may.
        outside: the folder of those artifacts.
    """

    address: Address
    store: Path
    experiment: str
    open: str
    frozen: str
    direct: str
    outside: Path

    def inside(self, run: str, name: str = "model.txt") -> Path:
        return self.store / self.experiment / run / "artifacts" / name


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    folder = tmp_path_factory.mktemp("files")
    place = prepare(folder, f"sqlite:///{folder / 'mlflow.db'}", kind="guarded")
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("MLFLOW_BASIC_AUTH_FAIL_CLOSED", "true")
        with running(place):
            add_users(place)
            call = place.address.call
            experiment = call("ana", "experiments/create", {"name": "tumours"})["experiment_id"]
            runs = [call("ana", "runs/create", {"experiment_id": experiment}) for _ in range(3)]
            ids = [run["run"]["info"]["run_id"] for run in runs]
            kept = Files(
                address=place.address,
                store=place.store.artifacts,
                experiment=experiment,
                open=ids[0],
                frozen=ids[1],
                direct=ids[2],
                outside=folder / "outside",
            )
            for run in ids:
                assert put(kept, f"{experiment}/{run}/artifacts/model.txt").status == 200
            with sqlite3.connect(folder / "mlflow.db") as database:
                assert freeze_run(database, kept.frozen)
                elsewhere = "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?"
                database.execute(elsewhere, (str(kept.outside), kept.direct))
            yield kept


def put(files: Files, path: str, *, route: str = "/api/2.0/mlflow-artifacts/artifacts/") -> Reply:
    return files.address.ask("ana", "PUT", route + path, b"other bytes")


def test_nobody_reaches_our_routes_without_the_login_and_everybody_with_it(files: Files) -> None:
    for path in (API, "/ajax-api/2.0/signoff/whoami", "/signoff/", "/api/2.0/signo%66f/whoami"):
        refused = files.address.ask(None, "GET", path)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="mlflow"'), path
        assert files.address.ask(None, "POST", path, {}).status == 401, path
    for who in (
        "ana",
        "mia",
        ADMIN,
    ):  # also where MLflow lets nobody but admins reach routes that it does not know
        assert files.address.ask(who, "GET", API).json["login"] == who


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_another_site_changes_nothing_here(files: Files, headers: dict[str, str]) -> None:
    for path in ("/api/2.0/signoff/submissions", "/ajax-api/2.0/signoff/submissions", "/signoff/anything"):
        for method in ("POST", "PUT", "DELETE"):
            assert files.address.ask("ana", method, path, {}, headers=headers).status == 403, (method, path)


def test_our_own_page_may_and_a_name_that_is_not_ours_may_not(files: Files) -> None:
    own = {"Origin": files.address.url, "Sec-Fetch-Site": "same-origin"}
    assert files.address.ask("ana", "POST", "/api/2.0/signoff/submissions", {}, headers=own).status == 400
    assert files.address.ask("ana", "GET", API, headers={"Host": "evil.example"}).status == 403


SPELLINGS = [
    "{experiment}/{run}/artifacts/model.txt",
    "{experiment}/{run}/artifacts/new/deep.txt",
    "{experiment}/{run}/./artifacts/model.txt",
    "{experiment}//{run}/artifacts//model.txt",
    "{experiment}/{run}/artifacts/%6dodel.txt",
    "{experiment}/{run}/%61rtifacts/model.txt",
    "./{experiment}/{run}/artifacts/model.txt",
]
ROUTES = [
    "/api/2.0/mlflow-artifacts/artifacts/",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/",
    "//api/2.0/mlflow-artifacts/artifacts/",
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_writes_into_a_frozen_run(files: Files, route: str, spelling: str) -> None:
    before = files.inside(files.frozen).read_bytes()
    reply = put(files, spelling.format(experiment=files.experiment, run=files.frozen), route=route)
    assert 400 <= reply.status < 500, reply
    assert files.inside(files.frozen).read_bytes() == before
    assert not files.inside(files.frozen, "new").exists()


def test_a_refusal_of_bytes_says_what_that_of_a_metric_says(files: Files) -> None:
    reply = put(files, f"{files.experiment}/{files.frozen}/artifacts/model.txt")
    assert (reply.status, reply.json["error_code"]) == (403, "PERMISSION_DENIED")
    assert "(run-frozen)" in reply.json["message"]
    assert "artifacts" in reply.json["message"]
    assert reply.json["message"].endswith(f"\nMore: {files.address.url}/signoff/rules/freeze")


@pytest.mark.parametrize(
    "ancestor",
    ["{experiment}", "{experiment}/{frozen}", "{experiment}/{frozen}/artifacts", "{experiment}/./", "."],
)
def test_deleting_what_a_frozen_run_lies_in_is_refused(files: Files, ancestor: str) -> None:
    path = ancestor.format(experiment=files.experiment, frozen=files.frozen)
    for route in ROUTES:
        assert 400 <= files.address.ask("ana", "DELETE", route + path).status < 500, route
    assert files.inside(files.frozen).exists()


def test_other_bytes_stay_free(files: Files) -> None:
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={files.open}&path=sent.txt"
    assert files.address.ask("ana", "POST", upload, b"sent").status == 200
    assert put(files, f"{files.experiment}/{files.open}/artifacts/model.txt").status == 200
    assert put(files, f"{files.experiment}/{files.frozen}/artifacts/signoff/gate.html").status == 200
    gone = files.address.ask(
        "ana", "DELETE", f"{ROUTES[0]}{files.experiment}/{files.open}/artifacts/sent.txt"
    )
    assert gone.status == 200
    assert not files.inside(files.open, "sent.txt").exists()


def test_the_ui_uploads_nothing_into_a_frozen_run(files: Files) -> None:
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={files.frozen}&path=sent.txt"
    assert files.address.ask("ana", "POST", upload, b"sent").status == 403
    assert not files.inside(files.frozen, "sent.txt").exists()


def test_a_run_that_lies_outside_of_the_servers_storage_is_frozen_too(files: Files) -> None:
    upload = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={files.direct}&path="
    assert files.address.ask("ana", "POST", upload + "early.txt", b"early").status == 200
    with sqlite3.connect(files.store.parent / "mlflow.db") as database:
        assert freeze_run(database, files.direct)
    assert files.address.ask("ana", "POST", upload + "late.txt", b"late").status == 403
    assert [path.name for path in files.outside.iterdir()] == ["early.txt"]
    about = {"run_id": files.direct, "path": "late.txt"}
    assert (
        files.address.ask("ana", "POST", "/api/2.0/mlflow/artifacts/presigned-upload-url", about).status
        >= 400
    )


@contextmanager
def started(place: Guarded, plugins: Path, *options: str) -> Iterator[Address]:
    """The place's server with another login, below the prefix, until the block ends."""
    log = place.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            place.command("--workers", "1", "--static-prefix", PREFIX, *options),
            cwd=place.folder,
            env=place.environment() | {"PYTHONPATH": str(plugins)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _ENDS_SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if place.address.ask(None, "GET", f"{PREFIX}/health").status != 503:
                    break
            except OSError:
                time.sleep(0.1)
        assert process.poll() is None, log.read_text()
        yield place.address
    finally:
        stop_server(process)


def test_a_login_plugin_and_a_static_prefix_hold_for_our_routes_too(tmp_path: Path, plugins: Path) -> None:
    place = prepare(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", kind="guarded")
    with started(place, plugins, "--auth", "headers") as address:
        for path in (API, PREFIX + API, PREFIX + "/signoff/"):
            assert address.ask(None, "GET", path).status == 401, path
        ana = {"X-Login": "ana@lab.example"}
        for path in (API, PREFIX + API):
            assert address.ask(None, "GET", path, headers=ana).json["person"] == "ana@lab.example"
        assert address.ask(None, "GET", PREFIX + "/signoff/", headers=ana).status == 200
        made = address.ask(
            None, "POST", f"{PREFIX}/api/2.0/mlflow/runs/create", {"experiment_id": "0"}, headers=ana
        )
        run = made.json["run"]["info"]["run_id"]
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            freeze_run(database, run)
        for prefix in ("", PREFIX):  # the native route stays below the root, Flask's twin has the prefix
            path = f"{prefix}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/a.txt"
            refused = address.ask(None, "PUT", path, b"bytes", headers=ana)
            assert refused.status == 403, path
        assert f"More: {address.url}{PREFIX}/signoff/rules/freeze" in refused.json["message"]
        assert not (place.store.artifacts / "0" / run).exists()


@pytest.mark.postgres
def test_a_guarded_database_with_its_logins_serves_again_after_a_restart(
    tmp_path: Path, new_postgres_database: Callable[[], str]
) -> None:
    database = new_postgres_database()
    place = prepare(tmp_path, database, kind="guarded", accounts=database)
    with running(place):
        add_users(place)
    with running(place, workers=2):
        assert place.address.ask("ana", "GET", API).json["person"] == "ana@lab.example"
        created = place.address.ask("ana", "POST", "/api/2.0/mlflow/experiments/create", {"name": "tumours"})
        assert created.status == 200
    assert "Traceback" not in (place.folder / "server.log").read_text()
