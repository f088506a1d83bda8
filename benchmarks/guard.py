"""What the guard costs: `mlflow server` with its own login, a second one for the noise floor, and the guarded server.

The three run side by side, each with one worker, its own database and the same team's runs and versions. Calls of each
kind are made one after the other on a connection that is kept open, in blocks of 25 that go round the servers in
random order; each block of one server is paired with the block of the others in the same round. The ratios are those
of the medians, with percentile bootstrap intervals over the rounds. One process of the same program is faster than
another by some per cent for as long as it lives, so all servers are started anew after each quarter of the calls. The
guard is at its strictest: every rule enforces.

    make bench NAME=guard
    make bench NAME=guard ARGS="--calls 500"
"""

import argparse
import base64
import http.client
import json
import os
import pickle
import platform
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from guard_server import (  # noqa: E402 - found through the path above
    PASSWORD,
    Guarded,
    Kind,
    prepare,
    running,
)
from mlflow_server import own_database  # noqa: E402
from postgres_fixtures import postgres_server  # noqa: E402

# In a program of its own without a file: the runs belong to the team's repository, not to this checkout.
WORK = """
import json, pickle, sys
sys.path.insert(0, sys.argv[1])
from guard_server import add_users, work
place = pickle.loads(bytes.fromhex(sys.argv[2]))
add_users(place)
print(json.dumps(dict(work(place).names)))
"""
BLOCK = 25
LOGGING = ("runs/create", "runs/log-metric", "runs/log-batch", "runs/search")
GOVERNED = ("registered-models/alias", "model-versions/create")
SIDES = ("bare", "twin", "guarded")
CLIENTS = 16
WINDOW_S = 4.0
WINDOWS = 6
GENERATIONS = 4
"""How often the servers are started for the calls of one kind of database."""
STARTS = 5
IMPORTS = 15
RESAMPLED = 2000


@dataclass(kw_only=True)
class Side:
    """One of the servers, and a connection to it."""

    name: str
    place: Guarded
    process: int = 0
    connection: http.client.HTTPConnection = field(init=False)
    run: str = ""
    batch: int = 0
    calls: int = 0
    times: dict[str, list[list[float]]] = field(default_factory=dict)

    def reconnect(self) -> None:
        """A fresh connection that has been used once: servers close those that were idle while others had their turn."""
        self.connection.close()
        self.connection = connect(self.place.address.port)
        self.connection.request("GET", "/health")
        self.connection.getresponse().read()

    def ask(self, path: str, body: dict[str, Any], method: str = "POST") -> Any:
        """One request as the author; anything but success ends the benchmark."""
        self.connection.request(method, f"/api/2.0/mlflow/{path}", json.dumps(body), headers())
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            sys.exit(f"{self.name}: {path}: {answer.status} {content[:400]!r}")
        return json.loads(content) if content else {}


def headers() -> dict[str, str]:
    """The author's login."""
    login = base64.b64encode(f"ana:{PASSWORD}".encode()).decode()
    return {"Content-Type": "application/json", "Authorization": f"Basic {login}"}


def body_of(side: Side, path: str) -> dict[str, Any]:
    """What is asked: each call writes something new."""
    side.calls += 1
    number, names = side.calls, side.place.names
    if path == "runs/create":
        return {"experiment_id": names["tumours"], "run_name": f"run-{number}", "start_time": number}
    if path == "runs/log-metric":
        return {"run_id": side.run, "key": "loss", "value": 1 / number, "timestamp": number, "step": number}
    if path == "runs/log-batch":
        return {
            "run_id": side.run,
            "metrics": [
                {"key": f"m{i}", "value": i / number, "timestamp": number, "step": number} for i in range(20)
            ],
            "params": [{"key": f"p{number}.{i}", "value": str(i)} for i in range(5)],
            "tags": [{"key": f"t{i}", "value": str(number)} for i in range(5)],
        }
    if path == "runs/search":
        return {"experiment_ids": [names["tumours"]], "filter": "metrics.roc_auc > 0.5", "max_results": 20}
    if path == "registered-models/alias":
        return {"name": "tumours", "alias": "candidate", "version": str(1 + number % 2)}
    model, run = names["proposed_model"], names["proposed"]
    return {"name": "tumours", "source": f"models:/{model}", "run_id": run, "model_id": model}


def block(side: Side, path: str) -> list[float]:
    """Milliseconds of each call of a block."""
    side.reconnect()
    if path in ("runs/log-metric", "runs/log-batch"):  # a fresh run: what a server has stored must not add up
        made = side.ask("runs/create", body_of(side, "runs/create"))
        side.run = made["run"]["info"]["run_id"]
    times = []
    for _ in range(BLOCK):
        body = body_of(side, path)
        start = time.perf_counter()
        side.ask(path, body)
        times.append((time.perf_counter() - start) * 1000)
    return times


def sequential(sides: Sequence[Side], calls: int, *, seed: int) -> None:
    """All kinds of calls, in rounds over all servers in random order."""
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    for path in (*LOGGING, *GOVERNED):
        for round_ in range(-1, max(2, calls // BLOCK)):
            for side in chance.sample(list(sides), len(sides)):
                found = block(side, path)
                if round_ >= 0:  # the first warms
                    side.times.setdefault(path, []).append(found)


def ratio(over: Side, under: Side, path: str) -> tuple[float, float, float]:
    """Ratio of the medians and its 95 % bootstrap interval; rounds are drawn, so the pairing stays."""
    pairs = list(zip(over.times[path], under.times[path], strict=True))
    chance = random.Random(11)  # noqa: S311
    drawn = sorted(_of_medians(chance.choices(pairs, k=len(pairs))) for _ in range(RESAMPLED))
    return _of_medians(pairs), drawn[int(0.025 * RESAMPLED)], drawn[int(0.975 * RESAMPLED)]


def _of_medians(pairs: Sequence[tuple[list[float], list[float]]]) -> float:
    over = statistics.median(time for found, _ in pairs for time in found)
    return over / statistics.median(time for _, found in pairs for time in found)


def median_ms(side: Side, path: str) -> float:
    """Median of all calls of a kind."""
    return statistics.median(time for found in side.times[path] for time in found)


def throughput(sides: Sequence[Side]) -> float:
    """Guarded over bare: requests per second of 16 clients, windows in turn; the median of the pairs."""
    rates: dict[str, list[float]] = {side.name: [] for side in sides}
    for window in range(WINDOWS + 1):
        for side in sides if window % 2 else sides[::-1]:
            asked = [
                sys.executable,
                __file__,
                "--load",
                str(side.place.address.port),
                side.place.names["tumours"],
            ]
            done = subprocess.run(asked, check=True, capture_output=True, text=True)
            if window:  # the first warms
                rates[side.name].append(float(done.stdout))
    pairs = [over / under for over, under in zip(rates["guarded"], rates["bare"], strict=True)]
    for name, found in rates.items():
        print(f"  {name:<8} {statistics.median(found):8.1f} calls/s  {[round(rate) for rate in found]}")
    return statistics.median(pairs)


def load(port: int, experiment: str) -> float:
    """Calls per second of 16 clients that log metrics, each to a run of its own; in a process of its own."""
    counts = [0] * CLIENTS
    end = time.perf_counter() + WINDOW_S

    def client(number: int) -> None:
        connection = connect(port)
        connection.request(
            "POST",
            "/api/2.0/mlflow/runs/create",
            json.dumps({"experiment_id": experiment, "start_time": number}),
            headers(),
        )
        run = json.loads(connection.getresponse().read())["run"]["info"]["run_id"]
        while time.perf_counter() < end:
            body = {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1, "step": counts[number]}
            connection.request("POST", "/api/2.0/mlflow/runs/log-metric", json.dumps(body), headers())
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def connect(port: int) -> http.client.HTTPConnection:
    """A connection that is kept open and does not wait to fill packets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def memory_mb(side: Side) -> float:
    """Proportional set size of the process that answers requests: the largest of the server's group."""
    sizes = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            group = int(status.read_text().rpartition(")")[2].split()[2])
            if group == os.getpgid(side.process):
                lines = (status.parent / "smaps_rollup").read_text().splitlines()
                sizes.append(int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024)
        except (OSError, StopIteration, ProcessLookupError):
            continue
    return max(sizes)


def start_s(place: Guarded) -> float:
    """Seconds from the command to the first healthy answer, on a database that is set up already."""
    begin = time.perf_counter()
    with running(place):
        return time.perf_counter() - begin


def import_extra_ms() -> float:
    """What `import mlflow` and making a client cost more where Signoff's plugins are installed."""
    program = "import mlflow; mlflow.MlflowClient('http://127.0.0.1:9')"
    without = (
        "import importlib.metadata as m; real = m.entry_points\n"
        "def entry_points(**given):\n"
        "    found = real(**given)\n"
        "    return m.EntryPoints(e for e in found if not e.value.startswith('signoff'))\n"
        "m.entry_points = entry_points\n"
    )
    times: dict[str, list[float]] = {"with": [], "without": []}
    for round_ in range(IMPORTS + 1):
        for name, code in (("with", f"import importlib.metadata\n{program}"), ("without", without + program)):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)
            if round_:
                times[name].append((time.perf_counter() - begin) * 1000)
    return statistics.median(a - b for a, b in zip(times["with"], times["without"], strict=True))


def worked(place: Guarded) -> dict[str, str]:
    """What the team did on the server: the names of its runs, models and experiments."""
    tests = str(ROOT / "tests" / "integration")
    asked = [sys.executable, "-W", "ignore", "-c", WORK, tests, pickle.dumps(place).hex()]
    done = subprocess.run(asked, cwd=place.folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"setting up failed: {done.stderr[-2000:]}")
    names: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return names


def side_on(name: str, folder: Path, database: str) -> Side:
    """A server of the comparison, which does not run yet."""
    kind: Kind = "guarded" if name == "guarded" else "bare"
    accounts = None if database.startswith("sqlite") else database
    return Side(name=name, place=prepare(folder / name, database, kind=kind, accounts=accounts))


@contextmanager
def serving(side: Side) -> Iterator[None]:
    """Run its server until the block ends; the first has the team's work done."""
    with running(side.place) as process:
        if not side.place.names:
            side.place = replace(side.place, names=worked(side.place))
        side.process, side.connection = process.pid, connect(side.place.address.port)
        yield


def compare(databases: Callable[[str], str], folder: Path, calls: int) -> dict[str, float]:
    """All figures on one kind of database."""
    sides = [side_on(name, folder, databases(name)) for name in SIDES]
    bare, twin, guarded = sides
    figures: dict[str, float] = {}
    for generation in range(GENERATIONS):
        with ExitStack() as stack:
            for side in sides:
                stack.enter_context(serving(side))
            sequential(sides, calls // GENERATIONS, seed=generation)
            if generation == 0:  # in the processes that the team's work was done in
                figures["throughput_ratio_c16"] = throughput([bare, guarded])
                figures["memory_mb_per_worker"] = memory_mb(guarded) - memory_mb(bare)
                print(
                    f"  memory of the worker: bare {memory_mb(bare):.0f} MB, guarded {memory_mb(guarded):.0f} MB"
                )
    for path in (*LOGGING, *GOVERNED):
        ours, noise = ratio(guarded, bare, path), ratio(twin, bare, path)
        added = median_ms(guarded, path) - median_ms(bare, path)
        print(
            f"  {path:<26} bare {median_ms(bare, path):6.2f} ms  guarded {ours[0]:.3f}"
            f" [{ours[1]:.3f}, {ours[2]:.3f}] ({added:+.2f} ms)  noise {noise[0]:.3f}"
            f" [{noise[1]:.3f}, {noise[2]:.3f}]",
            flush=True,
        )
        group = "logging" if path in LOGGING else "alias"
        for key, value in (
            (f"{group}_p50_ratio", ours[0]),
            (f"{group}_added_ms", added),
            ("noise_p50_ratio", max(noise[0], 1 / noise[0])),
        ):
            figures[key] = max(figures.get(key, -1e9), value)
    starts: dict[str, list[float]] = {"bare": [], "guarded": []}
    for _ in range(STARTS):
        for side in (bare, guarded):
            starts[side.name].append(start_s(side.place))
    figures["startup_extra_s"] = statistics.median(
        ours - theirs for ours, theirs in zip(starts["guarded"], starts["bare"], strict=True)
    )
    print(
        "  start: " + ", ".join(f"{kind} {statistics.median(found):.2f} s" for kind, found in starts.items())
    )
    return figures


def main() -> None:
    """Measure on both databases and print tables, then one line of JSON: the worse of the two."""
    parser = argparse.ArgumentParser(description="The guard beside a bare server.")
    parser.add_argument("--calls", type=int, default=5000, help="Calls of each kind to each server.")
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        print(load(int(given.load[0]), given.load[1]))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="guard-"))
    figures: dict[str, dict[str, float]] = {}
    try:
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("sqlite", flush=True)
        (folder / "lite").mkdir()
        figures["sqlite"] = compare(
            lambda name: f"sqlite:///{folder}/lite-{name}.db", folder / "lite", given.calls
        )
        print("postgresql", flush=True)
        with postgres_server() as server, ExitStack() as stack:
            made = {name: stack.enter_context(own_database(server.uri)) for name in SIDES}
            figures["postgresql"] = compare(made.__getitem__, folder / "postgres", given.calls)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    worse = {
        key: (min if key == "throughput_ratio_c16" else max)(found[key] for found in figures.values())
        for key in figures["sqlite"]
    }
    worse["import_extra_ms"] = import_extra_ms()
    print(json.dumps({**{key: round(value, 3) for key, value in worse.items()}, "calls": given.calls}))


if __name__ == "__main__":
    main()
