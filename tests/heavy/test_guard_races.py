"""People who change the same things at once, and servers that are killed while they do: the log stays true.

CI tries a share; `make soak` tries long.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from guard_load import CONFLICTS, Load, counted, entries_of, violations
from guard_server import Guarded, await_health, place_on, start, stop
from mlflow_server import own_database
from postgres_fixtures import PostgresServer, postgres_server
from team import CONTEXT

SOAK = os.environ.get("SIGNOFF_TEST_PROFILE") == "soak"
OPERATIONS = {"postgresql": 10_000, "sqlite": 2_000} if SOAK else {"postgresql": 400, "sqlite": 200}
KILLS = 300 if SOAK else 6
SEED = 5

pytestmark = pytest.mark.timeout(4 * 3600 if SOAK else 600)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def busy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guarded]:
    """A team behind a guarded server with two workers."""
    if request.param == "sqlite":
        with place_on(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", kind="guarded", workers=2) as place:
            yield place
        return
    with (
        own_database(request.getfixturevalue("postgres_uri")) as database,
        place_on(tmp_path, database, kind="guarded", workers=2) as place,
    ):
        yield place


def test_eight_people_at_once_leave_a_true_log(
    busy: Guarded, record_property: Callable[[str, object], None]
) -> None:
    operations = OPERATIONS["sqlite" if busy.store.is_sqlite else "postgresql"]
    load = Load(place=busy, operations=operations, seed=SEED)
    before = len(entries_of(busy))
    load.run()
    record_property("answers", counted(load.done))
    assert violations(busy, load, before) == []
    odd = [one for one in load.done if one.status not in {200, 403} | CONFLICTS]
    assert odd == []  # a conflict is told as one, and not as an error of the server
    assert _moves(busy, before) > 0


@pytest.mark.parametrize("busy", ["sqlite"], indirect=True)
def test_an_upload_that_began_before_the_proposal_ends_without_effect(busy: Guarded) -> None:
    n = busy.names
    assert busy.signoff("gate", n["finished"], person="ana").code == 0
    before = busy.store.snapshot().files
    files = (
        f"{n['tumours']}/models/{n['finished_model']}/artifacts/model.skops",
        f"{n['tumours']}/{n['finished']}/artifacts/evidence/confusion_matrix.json",
    )
    with ExitStack() as uploads:
        for file in files:
            for way in ("/api/2.0/mlflow-artifacts/artifacts/", "//api/2.0/mlflow-artifacts/artifacts/"):
                uploads.enter_context(busy.address.uploading("ana", f"{way}{file}", b"x" * 400_000))
        time.sleep(1)
        proposed = busy.signoff("propose", n["finished"], *CONTEXT, person="ana")
        assert proposed.code == 0, proposed
    after = busy.store.snapshot().files
    assert {file: after[file] for file in files} == {file: before[file] for file in files}


@dataclass(kw_only=True, slots=True)
class Station:
    """A server and its database, to kill and to start again.

    Attributes:
        place: what is behind the server.
        process: the server's parent; its workers are of its group.
        database: its PostgreSQL server; None for SQLite.
    """

    place: Guarded
    process: "subprocess.Popen[bytes]"
    database: PostgresServer | None

    def kill(self, what: str) -> None:
        """Kill -9, and see that it comes back."""
        if what == "worker":
            os.kill(random.choice(_workers(self.process.pid)), signal.SIGKILL)  # noqa: S311 - any of them
        elif what == "server":
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = start(self.place, workers=2)
        elif self.database is not None and what == "connection":
            os.kill(random.choice(_children(self.database.pid)), signal.SIGKILL)  # noqa: S311 - any of them
        elif self.database is not None:
            os.kill(self.database.pid, signal.SIGKILL)
            _start_again(self.database)
        await_health(self.place, self.process, self.place.folder / "server.log")

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be killed here."""
        return (
            ("worker", "server") if self.database is None else ("worker", "connection", "server", "database")
        )


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def station(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Station]:
    """A team behind a server that will be killed."""
    if request.param == "sqlite":
        yield from _station(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", None)
        return
    with postgres_server() as server:
        yield from _station(tmp_path, server.uri, server)


def _station(folder: Path, database: str, server: PostgresServer | None) -> Iterator[Station]:
    with place_on(folder, database, kind="guarded") as place:
        pass
    station = Station(place=place, process=start(place, workers=2), database=server)
    try:
        yield station
    finally:
        stop(station.process)


def test_what_is_killed_leaves_a_true_log(
    station: Station, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - what to kill is no secret
    before = len(entries_of(station.place))
    load = Load(place=station.place, operations=1_000_000, seed=SEED)
    load.start()
    try:
        for number in range(KILLS):
            time.sleep(chance.uniform(0.5, 3))
            station.kill(station.kinds[number % len(station.kinds)])
        time.sleep(2)
    finally:
        load.stop()
    record_property("answers", counted(load.done))
    assert violations(station.place, load, before) == []
    assert _moves(station.place, before) > 0


def _moves(place: Guarded, before: int) -> int:
    """How often something was released or rolled back: without any, nothing was tried."""
    return sum(
        e.outcome == "allowed" and e.action in ("promote", "rollback") for e in entries_of(place)[before:]
    )


def _workers(pid: int) -> list[int]:
    """Processes that answer: those that uvicorn's own process started, which is what MLflow's command started."""
    (supervisor,) = _children(pid)
    workers = [child for child in _children(supervisor) if _is_worker(child)]
    assert workers, f"process {supervisor} has no workers"
    return workers


def _is_worker(pid: int) -> bool:
    """Whether it serves; multiprocessing's tracker of resources stands beside the workers."""
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _children(pid: int) -> list[int]:
    """Processes that a process started, and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(folder.name))
    assert found, f"process {pid} has no children"
    return found


def _start_again(database: PostgresServer) -> None:
    """What served connections has to end before a new server may use the same files."""
    for _ in range(50):
        try:
            database.start()
        except pytest.fail.Exception:
            time.sleep(0.2)
        else:
            return
    database.start()
