"""A real endpoint for tests: `signoff serve` in a process of its own, callers that never stop asking, and a team for it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from team import CONTEXT, STANDARD, Team, inside, log_run, make_team, signoff

SIGNOFF = str(Path(sys.executable).with_name("signoff"))
SERVING = """\
    serving:
      timeout_ms: 2000
      load: {connections: 2, seconds: 1, latency_p95_ms: 5000, requests_per_s: 1}
      canary:
        steps: [{weight: 0.2, requests: 20}, {weight: 0.5, requests: 20}]
"""
ROW = {
    "mean_radius": 14.0,
    "mean_texture": 19.0,
    "mean_smoothness": 0.1,
    "mean_concavity": 0.1,
    "worst_area": 900.0,
}
BODY = json.dumps({"dataframe_records": [ROW]})
WAIT_S = 60.0


def serving_team(folder: Path) -> Team:
    """A team with an endpoint: tumours/1 is released, tumours/2 is approved."""
    team = make_team(folder, STANDARD.replace("    batch: ", SERVING + "    batch: ", 1))
    with inside(team.folder):
        second = log_run("good")
    for number, run in ((1, team.good), (2, second)):
        done(signoff(team, "gate", run))
        done(signoff(team, "propose", run, *CONTEXT, key="ana"))
        done(signoff(team, "approve", f"tumours/{number}", key="ben"))
        if number == 1:
            done(signoff(team, "promote", "tumours/1", key="cleo"))
    return team


def done(outcome: Any) -> None:
    assert outcome.code == 0, outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One answer: when it came, on the monotonic clock; its status; which version by which route gave it."""

    at: float
    status: int
    version: int
    route: str


@dataclass(kw_only=True, slots=True)
class Endpoint:
    """A running endpoint."""

    process: "subprocess.Popen[str]"
    port: int
    output: list[str]

    def ask(self, body: str = BODY) -> Seen:
        """Score one row on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return ask_on(connection, body)
        finally:
            connection.close()

    def health(self) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/signoff/health")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def until(self, holds: Callable[[Any], bool], what: str) -> Any:
        """The health, as soon as it is as wanted."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            health = self.health()
            if holds(health):
                return health
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come: {self.health()}\n{''.join(self.output)}")

    def scorers(self) -> list[int]:
        """Process ids of the scoring processes, oldest first."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                line = (stat.parent / "cmdline").read_text()
            except OSError:
                continue
            if parent == self.process.pid and "serving.scorer" in line:
                found.append(int(stat.parent.name))
        return sorted(found)


def ask_on(connection: HTTPConnection, body: str = BODY) -> Seen:
    connection.request("POST", "/invocations", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return Seen(
        at=time.monotonic(),
        status=answer.status,
        version=int(answer.headers.get("x-signoff-version", "0")),
        route=answer.headers.get("x-signoff-route", ""),
    )


@contextmanager
def serving(team: Team, *, key: str | None = "cleo") -> Iterator[Endpoint]:
    """`signoff serve tumours` until the end of the block."""
    command = [SIGNOFF, "serve", "tumours", "--port", "0"]
    command += [] if key is None else ["--key", team.key(key)]
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "SIGNOFF_"))
    }
    output: list[str] = []
    with subprocess.Popen(
        command,
        cwd=team.folder,
        env=environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = 0
        for line in process.stdout:
            output.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
                break
        assert port, "".join(output)
        rest = threading.Thread(target=output.extend, args=(process.stdout,), daemon=True)
        rest.start()
        try:
            yield Endpoint(process=process, port=port, output=output)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(kw_only=True, slots=True)
class Callers:
    """Callers that ask again as soon as they are answered."""

    seen: list[Seen] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, port: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        while not self.stopped.is_set():
            try:
                self.seen.append(ask_on(connection))
            except OSError as error:
                self.errors.append(repr(error))
                connection.close()
        connection.close()

    def failed(self) -> list[Any]:
        return [*self.errors, *(seen for seen in self.seen if seen.status != 200)]


@contextmanager
def callers(endpoint: Endpoint, count: int = 3) -> Iterator[Callers]:
    """So many callers for the length of the block."""
    asking = Callers()
    threads = [threading.Thread(target=asking.run, args=(endpoint.port,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield asking
    finally:
        asking.stopped.set()
        for thread in threads:
            thread.join()


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
