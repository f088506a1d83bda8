"""A real MLflow server for tests: one process per database kind, on a free loopback port."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MlflowServer:
    """A running server.

    Attributes:
        address: its http address.
        database: URI of the database it keeps runs and versions in.
        artifacts: local folder in which it keeps artifacts.
    """

    address: str
    database: str
    artifacts: Path


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def mlflow_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    """An empty MLflow store behind a server, once on SQLite and once on PostgreSQL."""
    os.environ.update(QUIET)  # before the client is imported in this process
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "sqlite":
        with serving(f"sqlite:///{folder / 'mlflow.db'}", folder) as server:
            yield server
        return
    with (
        own_database(request.getfixturevalue("postgres_uri")) as database,
        serving(database, folder) as server,
    ):
        yield server


@contextmanager
def serving(database: str, folder: Path) -> Iterator[MlflowServer]:
    """Run a server until the block ends; its log stands in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = MlflowServer(
        address=f"http://127.0.0.1:{port}", database=database, artifacts=folder / "artifacts"
    )
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", database]
    command += ["--artifacts-destination", str(server.artifacts)]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | QUIET, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _await_health(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def own_database(uri: str) -> Iterator[str]:
    """A fresh database on the PostgreSQL server at the URI, dropped at the end."""
    import psycopg2

    name = f"readers_{uuid4().hex[:12]}"
    address, mark, options = uri.partition("?")
    connection = psycopg2.connect(uri.replace("+psycopg2://", "://"))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
            try:
                yield f"{address.rpartition('/')[0]}/{name}{mark}{options}"
            finally:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        connection.close()


def _await_health(server: MlflowServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.address}/health", timeout=5):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"mlflow server did not start:\n{log.read_text()[-4000:]}")
