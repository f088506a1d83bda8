"""`signoff serve` beside `mlflow models serve` on the same model, and how long a rollback takes.

The model is the churn example's: a gradient boosting with a threshold on twelve columns (numbers, whole numbers, a
boolean), trained on Online Retail II. The rows asked are those of its validation week. Both servers run with one
worker and one numeric thread; the load comes from a process of its own, and the servers take turns in each round.
Then a rollback is given under load: from its commit to the last answer of the version that was rolled back.

    make bench NAME=serving
"""

import argparse
import asyncio
import http.client
import json
import os
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
SECONDS = 4.0
AFTER_S = 5.0
"""How long the load goes on after the rollback command has ended."""
WORKLOADS = (("1 row, c=1", 1, 1), ("1 row, c=8", 1, 8), ("100 rows, c=8", 100, 8))
QUIET = {
    "OMP_NUM_THREADS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",
}
PROGRAM = str(Path(sys.executable).with_name("signoff"))
Json: TypeAlias = dict[str, Any]

# In a program of its own without a file: the runs belong to the team's repository, not to this checkout.
SET_UP = """
import sys
root, folder = sys.argv[1:]
sys.path[:0] = [root, f"{root}/examples/churn/team", f"{root}/tests/integration"]
import json, os
from pathlib import Path
import features, mlflow, model, pandas as pd, signoff
from examples.churn import retail
from sklearn.metrics import confusion_matrix
from team import CONTEXT, Team, inside, make_repository, signoff as command

STANDARD = '''
signoff: 1
profile: small
use_cases:
  churn:
    owner: ana@lab.example
    type: classification
    evaluate: {data: eval/week.parquet, label: churned, row_key: customer}
    primary: {metric: roc_auc, no_worse_than: 0.05}
    slices: [{by: value_band, metric: recall, no_worse_than: 0.3, inconclusive: warn}]
    gate: {looks: 2}
    serving: {timeout_ms: 10000}
'''
folder = Path(folder)
table = features.feature_table(retail.transactions())
line = model.TimeLine(today=table.loc[table["churned"].notna(), "week"].max() + pd.Timedelta(weeks=features.HORIZON_WEEKS))
rows, week = line.fit_rows(table), table[table["week"] == line.validation]
columns = features.FEATURE_SETS["rich"]
make_repository(folder, STANDARD)
evaluation = table[table["week"] == line.evaluation]
evaluation.assign(churned=evaluation["churned"].astype("int64")).to_parquet(folder / "eval/week.parquet", index=False)
for count in (1, 100):
    body = {"dataframe_split": week[columns].head(count).to_dict(orient="split")}
    (folder.parent / f"rows-{count}.json").write_text(json.dumps(body))

def log(seed):
    fitted = model.decide_at(model.fit(rows, "rich", seed), 0.5, rows)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("churn")
    with mlflow.start_run(run_name=f"churn-{seed}") as run:
        mlflow.log_params({"model_type": "boosting", "seed": seed, "threshold": 0.5, "feature_set": "rich"})
        mlflow.log_params({f"hp.{name}": value for name, value in model.HYPER_PARAMETERS.items()})
        mlflow.log_metrics({"roc_auc": 0.7, "precision": 0.5, "recall": 0.5})
        signoff.log_dataset(rows, name="customer-weeks", source="retail", context="training", version="1")
        signoff.log_evidence("threshold_rationale", "The middle.")
        answers = fitted.predict(week[columns])
        matrix = confusion_matrix(week["churned"].astype("int64"), answers)
        signoff.log_evidence("confusion_matrix", {"rows": matrix.tolist()})
        for name in ("false_positives", "false_negatives"):
            signoff.log_evidence(name, week.head(3))
        mlflow.sklearn.log_model(
            fitted, name="model", serialization_format="skops", skops_trusted_types=model.TRUSTED_TYPES,
            signature=mlflow.models.infer_signature(week[columns], answers), input_example=week[columns].head(3),
            pip_requirements=["scikit-learn", "skops"],
        )
    return run.info.run_id

with inside(folder):
    runs = [log(seed) for seed in (7, 11)]
team = Team(folder=folder, good=runs[0], weak=runs[1])
for version, run in enumerate(runs, 1):
    for arguments, key in (
        (("gate", run), None),
        (("propose", run, *CONTEXT), "ana"),
        (("approve", f"churn/{version}"), "ben"),
        (("promote", f"churn/{version}"), "cleo"),
    ):
        outcome = command(team, *arguments, key=key)
        if outcome.code != 0:
            sys.exit(f"setting up failed: {arguments[0]}: {outcome}")
"""


def main() -> int:
    """Measure and print tables, then one line of JSON; 2 when the set-up fails."""
    parser = argparse.ArgumentParser(description="Serving, beside MLflow's.")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        asked = json.loads(given.load)
        content = Path(asked.pop("body")).read_bytes()
        print(json.dumps(asyncio.run(load(content=content, **asked))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "team"
        print("releasing two versions of the churn model", flush=True)
        made = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SET_UP, str(ROOT), str(folder)],
            cwd=name,
            env=os.environ | QUIET,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            print(f"error: {made.stderr[-3000:]}", file=sys.stderr)
            return 2
        found = measure(folder)
    print(json.dumps(found))
    return 0


def measure(folder: Path) -> Json:
    """All figures, printed as they come."""
    with signoff_serve(folder) as ours, mlflow_serve(folder) as theirs:
        figures = throughput({"mlflow": theirs, "signoff": ours}, folder.parent)
        show(figures)
        back = rollback(ours, folder)
    print(
        f"\nrollback under load (c=8): last answer of the version rolled back {back['rollback_ms']:.0f} ms after the"
        f" commit; {back['failed_during_rollback']} of {back['requests_during_rollback']:,} requests failed;"
        f" the whole command took {back['rollback_command_s']:.1f} s"
    )
    medians = {
        f"{server}, {workload}": {
            key: round(statistics.median(turn[key] for turn in turns), 3) for key in turns[0]
        }
        for (server, workload), turns in figures.items()
    }

    def ratio(workload: str) -> float:
        return round(
            medians[f"signoff, {workload}"]["requests_per_s"]
            / medians[f"mlflow, {workload}"]["requests_per_s"],
            2,
        )

    return {
        "single_row_ratio_c8": ratio("1 row, c=8"),
        "single_row_ratio_c1": ratio("1 row, c=1"),
        "hundred_rows_ratio_c8": ratio("100 rows, c=8"),
        **back,
        "medians": medians,
        "rounds": ROUNDS,
        "machine": {
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
        },
    }


def throughput(servers: dict[str, str], bodies: Path) -> dict[tuple[str, str], list[Json]]:
    """Requests per second and times of each server under each workload, in turns; the first round is not kept."""
    found: dict[tuple[str, str], list[Json]] = {}
    for round_ in range(ROUNDS + 1):
        for workload, rows, connections in WORKLOADS:
            for server, address in servers.items():
                told = run_load(
                    address, bodies / f"rows-{rows}.json", connections=connections, seconds=SECONDS
                )
                if told["failed"]:
                    raise RuntimeError(f"{server} failed {told['failed']} requests of {workload}")
                if round_ > 0:
                    times = sorted(done - asked for asked, done, _ in told["seen"])
                    found.setdefault((server, workload), []).append(
                        {
                            "requests_per_s": len(times) / told["seconds"],
                            "p50_ms": 1000 * times[len(times) // 2],
                            "p99_ms": 1000 * times[int(0.99 * (len(times) - 1))],
                        }
                    )
    return found


def show(figures: dict[tuple[str, str], list[Json]]) -> None:
    """One line per server and workload: medians over the rounds, and their range."""
    load_now = os.getloadavg()[0]
    print(
        f"\nPython {platform.python_version()}, {os.cpu_count()} cores, load {load_now:.1f}, {ROUNDS} rounds in turns"
    )
    for (server, workload), turns in figures.items():
        rates = [turn["requests_per_s"] for turn in turns]
        p50, p99 = (statistics.median(turn[key] for turn in turns) for key in ("p50_ms", "p99_ms"))
        print(
            f"  {server:<8} {workload:<14} {statistics.median(rates):7.1f} requests/s"
            f" ({min(rates):.1f} to {max(rates):.1f})  p50 {p50:.1f} ms  p99 {p99:.1f} ms"
        )


def rollback(address: str, folder: Path) -> Json:
    """Roll back under load; see the module's text."""
    enough = folder.parent / "enough"
    generator = start_load(
        address, folder.parent / "rows-1.json", connections=8, seconds=300.0, enough=str(enough)
    )
    time.sleep(2.0)
    watch = CommitWatch(folder / "mlflow.db")
    begun = time.monotonic()
    command = [PROGRAM, "rollback", "churn", "--env", "prod", "--reason", "benchmark"]
    subprocess.run(
        [*command, "--key", str(folder.parent / "keys" / "cleo")],
        cwd=folder,
        env=os.environ | QUIET,
        check=True,
        capture_output=True,
    )
    took = time.monotonic() - begun
    time.sleep(AFTER_S)
    enough.touch()
    told = read_load(generator)
    old = [done for _, done, version in told["seen"] if version == "2"]
    new = [done for _, done, version in told["seen"] if version == "1"]
    if not old or not new or watch.at is None:
        raise RuntimeError("the endpoint did not follow the rollback")
    return {
        "rollback_ms": round(1000 * (max(old) - watch.at), 1),
        "failed_during_rollback": told["failed"],
        "requests_during_rollback": len(told["seen"]) + told["failed"],
        "rollback_command_s": round(took, 2),
    }


class CommitWatch:
    """When the audit log grew: looks every millisecond from a thread.

    Attributes:
        at: on the monotonic clock, in seconds; None until it did.
    """

    def __init__(self, database: Path) -> None:
        self.at: float | None = None
        self._uri = f"file:{database}?mode=ro"
        self._before = self._entries(sqlite3.connect(self._uri, uri=True))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        connection = sqlite3.connect(self._uri, uri=True)
        while self._entries(connection) == self._before:
            time.sleep(0.001)
        self.at = time.monotonic()

    @staticmethod
    def _entries(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT count(*) FROM signoff_log").fetchone()[0])


def run_load(address: str, body: Path, *, connections: int, seconds: float) -> Json:
    """Load a server for some seconds from a process of its own."""
    return read_load(start_load(address, body, connections=connections, seconds=seconds))


def start_load(
    address: str, body: Path, *, connections: int, seconds: float, enough: str = ""
) -> "subprocess.Popen[str]":
    """Start such a process; it ends early when there is a file of the name ``enough``."""
    told = json.dumps(
        {
            "address": address,
            "body": str(body),
            "connections": connections,
            "seconds": seconds,
            "enough": enough,
        }
    )
    return subprocess.Popen(
        [sys.executable, __file__, "--load", told], stdout=subprocess.PIPE, text=True, env=os.environ | QUIET
    )


def read_load(process: "subprocess.Popen[str]") -> Json:
    """What it saw, when it has ended."""
    out, _ = process.communicate(timeout=300)
    found: Json = json.loads(out)
    return found


async def load(address: str, content: bytes, connections: int, seconds: float, enough: str) -> Json:
    """Ask over so many connections, each waiting for its answer before it asks again.

    Returns:
        seen: (asked, answered, version) of each good answer, on the monotonic clock in seconds; failed: the
        others; seconds: how long it took.
    """
    seen: list[tuple[float, float, str]] = []
    failed = 0
    begun = time.monotonic()

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal failed
        while time.monotonic() < begun + seconds and not (enough and os.path.exists(enough)):  # noqa: ASYNC240, PTH110 - one cheap look
            asked = time.monotonic()
            try:
                async with session.post(
                    f"{address}/invocations", data=content, headers={"content-type": "application/json"}
                ) as answer:
                    await answer.read()
                    good = answer.status == 200
                    version = answer.headers.get("x-signoff-version", "")
            except aiohttp.ClientError:
                good, version = False, ""
            if good:
                seen.append((asked, time.monotonic(), version))
            else:
                failed += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        await asyncio.gather(*(work(session) for _ in range(connections)))
    return {"seen": seen, "failed": failed, "seconds": time.monotonic() - begun}


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A command that serves, and where."""

    command: tuple[str, ...]
    address: str


@contextmanager
def signoff_serve(folder: Path) -> Iterator[str]:
    """`signoff serve` on the team's release, with the control loop that follows the ledger."""
    port = free_port()
    command = (PROGRAM, "serve", "churn", "--env", "prod", "--port", str(port))
    with running(Server(command=command, address=f"http://127.0.0.1:{port}"), folder) as address:
        yield address


@contextmanager
def mlflow_serve(folder: Path) -> Iterator[str]:
    """`mlflow models serve` with one worker on the same version's files."""
    port = free_port()
    with sqlite3.connect(folder / "mlflow.db") as store:
        location = store.execute("SELECT storage_location FROM model_versions WHERE version = 2").fetchone()[
            0
        ]
    store.close()
    command = (sys.executable, "-m", "mlflow", "models", "serve", "-m", location, "--env-manager", "local")
    command += ("--workers", "1", "--host", "127.0.0.1", "--port", str(port))
    with running(Server(command=command, address=f"http://127.0.0.1:{port}"), folder) as address:
        yield address


@contextmanager
def running(server: Server, folder: Path) -> Iterator[str]:
    """Run a server until the block ends."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(
            server.command,
            cwd=folder,
            env=os.environ | QUIET | {"PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        begun = time.monotonic()
        while not answers(server.address):
            if process.poll() is not None or time.monotonic() > begun + 180:
                raise RuntimeError((folder.parent / "server.log").read_text()[-3000:])
            time.sleep(0.1)
        print(f"  ready after {time.monotonic() - begun:.1f} s: {' '.join(server.command[:4])} …", flush=True)
        yield server.address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(120)


def answers(address: str) -> bool:
    """Whether the server is ready."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
