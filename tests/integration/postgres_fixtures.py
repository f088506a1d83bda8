"""A PostgreSQL server of the test session's own, from the machine's packages."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

_SERVERS = Path("/usr/lib/postgresql")
_OWNER = "postgres"


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresServer:
    """A server of our own.

    Listens on a Unix socket only. PostgreSQL refuses to run as root; then it runs as the user postgres.

    Attributes:
        folder: of its socket, its log and its data.
        binaries: folder of its programs.
    """

    folder: Path
    binaries: Path

    @property
    def uri(self) -> str:
        """Address of its empty database."""
        return f"postgresql+psycopg2://signoff@/postgres?host={self.folder}"

    @property
    def pid(self) -> int:
        """Process of the server; those that serve connections are its children."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def make(self) -> None:
        """Make its files."""
        self._run("initdb", "-U", "signoff", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        """Start it, and wait until it answers; after a kill it recovers first."""
        settings = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=60"
        self._run("pg_ctl", "-w", "-l", self.folder / "log", "-o", settings, "start")

    def stop(self) -> None:
        """Stop it at once."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str | Path) -> None:
        _as_owner(self.binaries / program, "-D", self.folder / "data", *arguments)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server, until the block ends."""
    binaries = _binaries()
    # Short, because a socket's path has at most 107 bytes; open, because the server may be another user.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(folder, user=_OWNER)
    server = PostgresServer(folder=folder, binaries=binaries)
    try:
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """Address of an empty database on a server that lives as long as the test session."""
    with postgres_server() as server:
        yield server.uri


@pytest.fixture
def new_postgres_database(postgres_uri: str) -> Callable[[], str]:
    """Makes a fresh database at each call and returns its address."""

    def make() -> str:
        import psycopg2

        name = f"test_{next(_numbers)}"
        connection = psycopg2.connect(postgres_uri.replace("+psycopg2", ""))
        try:
            connection.autocommit = True
            connection.cursor().execute(f"CREATE DATABASE {name}")
        finally:
            connection.close()
        return postgres_uri.replace("/postgres?", f"/{name}?")

    return make


_numbers = count(1)


def _binaries() -> Path:
    """The folder of the newest installed server's programs; a machine without one fails these tests."""
    found = sorted(_SERVERS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.fail(
            f"these tests need PostgreSQL's server programs in {_SERVERS}/*/bin: apt-get install postgresql",
            pytrace=False,
        )
    return found[-1].parent


def _as_owner(*command: str | Path) -> None:
    prefix = ["runuser", "-u", _OWNER, "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*prefix, *map(str, command)],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    if done.returncode != 0:
        pytest.fail(f"{command[0]} failed: {done.stderr}", pytrace=False)
