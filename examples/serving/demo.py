"""Churn behind an endpoint, from an empty folder to a rollback under load, by real commands.

    python -m examples.serving.demo [--fresh] [--dir demo/serving]

The order desk of a real shop asks for a churn score with every invoice. A released model answers; a retrained one is
tried on a tenth of the invoices, then on half, and takes over. A logistic regression passes the gate as well, for on
the evaluation week it is as good; what happens when the desk's requests reach it follows from the data.
"""

import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from examples.churn import retail
from examples.runner import DemoError, Runner
from examples.story import CHECKOUT, Story, as_person, lay_out, run_story

CHURN = CHECKOUT / "examples" / "churn" / "team"
SHARED = ("features.py", "model.py", "prepare.py", "train.py")
FIRST, RETRAINED = "2011-11-14", "2011-11-21"
WEEKS = ("2011-11-14", "2011-11-21", "2011-11-28")  # whose invoices are asked for, in turn
WAIT_S = 60.0
ANSWERS = "answers.jsonl"


def begin(runner: Runner) -> dict[str, str]:
    """The team's repository; the weekly features and models are those of the churn example."""
    try:
        lines = retail.transactions()
    except retail.WheelError as error:
        raise DemoError(str(error)) from error
    data = {"data/lines.parquet": lines} | {name: CHURN / name for name in SHARED}
    return lay_out(
        runner, STORY.team, data=data, message="Churn at the order desk: standard, code and roster"
    )


def first_release(runner: Runner) -> dict[str, str]:
    """Gradient-boosted trees on the weekly features."""
    runner.run(["python", "prepare.py", "--week", FIRST], why=f"Monday {FIRST}")
    run = trained(runner, ["python", "train.py", "--week", FIRST, "--features", "rich"])
    runner.run(["signoff", "gate", run], why="a first release has no baseline; the absolute bounds hold")
    version = approved(
        runner, run, "The desk's first model", "Trees; a missing feature is a value of its own."
    )
    runner.run(as_person(["signoff", "promote", version], "cleo"), why="Cleo promotes")
    return {"run": run, "version": version}


def loaded(runner: Runner) -> dict[str, str]:
    """Does it bear the desk's load?"""
    done = runner.run(
        as_person(["signoff", "admin", "bench", "churn"], "cleo"), why="real rows, one at a time"
    )
    return {"latency": line(done.output, "latency p95"), "throughput": line(done.output, "throughput")}


def good_canary(runner: Runner) -> dict[str, str]:
    """The weekly retraining is tried on real requests and takes over."""
    runner.run(["python", "prepare.py", "--week", RETRAINED], why=f"Monday {RETRAINED}")
    run = trained(runner, ["python", "train.py", "--week", RETRAINED, "--features", "rich"])
    runner.run(["signoff", "gate", run], why="a retraining only has to be no worse")
    version = approved(runner, run, "Weekly retraining", "Newer weeks; features as released.")
    runner.run(
        as_person(["signoff", "promote", version], "cleo"), expect=1, why="at once? The standard says no"
    )
    with endpoint(runner) as url:
        runner.run(as_person(["signoff", "promote", version, "--canary"], "cleo"), why="a tenth, then half")
        until(url, lambda health: bool(health["canary"] and health["canary"]["loaded"]), "the canary")
        for week in WEEKS:
            replay(runner, url, week)
            health = until(url, lambda _: True, "health")
            runner.say(f"  endpoint: {health['canary']['message']}")
            if health["canary"]["complete"]:
                break
        until(url, lambda health: bool(health["canary"]["complete"]), "the end of the canary")
        runner.run(as_person(["signoff", "promote", version], "cleo"), why="the canary is complete")
        until(url, lambda health: f"churn/{health['version']}" == version, version)
    return {"run": run, "version": version, "message": str(health["canary"]["message"])}


def failing_canary(runner: Runner) -> dict[str, str]:
    """A logistic regression is as good on the evaluation week; the desk's requests are not that week."""
    run = trained(runner, ["python", "linear.py", "--week", RETRAINED])
    runner.run(["signoff", "gate", run], why="against production, on the same customers")
    version = approved(runner, run, "Coefficients that can be read", "Logistic regression, same features.")
    with endpoint(runner) as url:
        runner.run(as_person(["signoff", "promote", version, "--canary"], "cleo"), why="try it")
        until(url, lambda health: bool(health["canary"] and health["canary"]["loaded"]), "the canary")
        answers = replay(runner, url, WEEKS[1])
        until(url, lambda health: health["canary"] is None, "the abort")
    rescued = sum(answer["route"] == "fallback" for answer in answers)
    missing = sum(answer["route"] == "fallback" and not answer["known"] for answer in answers)
    runner.say(
        f"  {rescued} requests that the canary failed were answered by the released one; no caller saw an error."
    )
    runner.say(f"  {missing} of them were for customers without a history: their features are missing.")
    log = json.loads(runner.run(["signoff", "admin", "audit", "--format", "json"], show=False).output)
    aborts = [row["entry"]["detail"]["message"] for row in log if row["entry"]["subject"].endswith(": abort")]
    if not aborts:
        raise DemoError("the audit log holds no abort")
    runner.say(f"  audit log: {aborts[-1]}")
    runner.run(as_person(["signoff", "promote", version], "cleo"), expect=1, why="nor can it be promoted now")
    return {"run": run, "version": version, "message": aborts[-1], "rescued": str(rescued)}


def rolled_back(runner: Runner) -> dict[str, str]:
    """Back to the first release while the desk keeps asking."""
    left = runner.state["good canary"]["version"].split("/")[1]
    with endpoint(runner) as url:
        until(
            url, lambda health: bool(health["previous"] and health["previous"]["loaded"]), "the last release"
        )
        command = [*traffic(url, WEEKS[2]), "--per-second", "20"]  # so that it outlasts the rollback
        runner.say(f"$ {' '.join(command)} &")
        with runner.start(command) as asking:
            time.sleep(4.0)
            commit = Commit(runner.folder / "mlflow.db")
            back = as_person(["signoff", "rollback", "churn", "--reason", "drill under load"], "cleo")
            runner.run(back, why="the desk keeps asking meanwhile")
            committed = commit.at()
            said, _ = asking.communicate()
        for text in said.splitlines():
            runner.say(f"  {text}")
    answers = read_answers(runner)
    failed = sum(answer["status"] != 200 for answer in answers)
    last = max((answer["at"] for answer in answers if answer["version"] == left), default=committed)
    took = max(0.0, last - committed) * 1000
    runner.say(
        f"  the last answer of version {left} came {took:.0f} ms after the rollback was recorded;"
        f" {failed} of {len(answers)} requests failed."
    )
    if failed:
        raise DemoError(f"{failed} requests failed during the rollback")
    if answers[-1]["version"] == left:
        raise DemoError(
            "the requests ended before the endpoint had followed the rollback; start again with ARGS=--fresh"
        )
    return {"left": left, "rollback_ms": f"{took:.0f}", "failed": str(failed), "requests": str(len(answers))}


def traced(runner: Runner) -> dict[str, str]:
    """What the version that took over rested on, and what came of it."""
    version = runner.state["good canary"]["version"]
    runner.run(["signoff", "lineage", version], why="how was it tried, and what became of it?")
    runner.run(["signoff", "status"], why="what is released where?")
    return {}


def trained(runner: Runner, command: list[str]) -> str:
    """Train one model; its run id."""
    return runner.run(command, why="one MLflow run").find(r"^run ([0-9a-f]{32})$")


def approved(runner: Runner, run: str, context: str, notes: str) -> str:
    """Propose and approve a run; its version."""
    propose = ["signoff", "propose", run, "--context", f"business_context={context}", "--notes", notes]
    version = runner.run(as_person(propose, "ana"), why="Ana proposes").find(r"\b(churn/\d+)\b")
    runner.run(as_person(["signoff", "approve", version], "ben"), why="Ben approves")
    return version


@contextmanager
def endpoint(runner: Runner) -> Iterator[str]:
    """`signoff serve` for the length of the block; yields its address.

    Raises:
        DemoError: it does not start.
    """
    command = as_person(["signoff", "serve", "churn", "--port", "0"], "cleo")
    runner.say(f"$ {' '.join(command)} &")
    with runner.start(command) as process:
        try:
            yield address(process, runner)
        finally:
            process.terminate()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def address(process: "subprocess.Popen[str]", runner: Runner) -> str:
    """The address that the endpoint says that it listens on; what it says later is read and dropped.

    Raises:
        DemoError: it ended before it said so.
    """
    output = process.stdout
    if output is None:
        raise DemoError("the endpoint's output is not read")
    said: list[str] = []
    for text in output:
        said.append(text)
        if found := re.search(r"http://[0-9.]+:\d+", text):
            runner.say(f"  {text.rstrip()}")
            threading.Thread(target=output.read, daemon=True).start()
            return found[0]
    raise DemoError(f"the endpoint did not start:\n{''.join(said)}")


def until(url: str, holds: Callable[[Any], bool], what: str) -> Any:
    """The endpoint's health, as soon as it is as wanted.

    Raises:
        DemoError: it does not come to that.
    """
    end = time.monotonic() + WAIT_S
    health: Any = None
    while time.monotonic() < end:
        with urlopen(f"{url}/signoff/health", timeout=30) as answer:  # noqa: S310 - our own endpoint
            health = json.load(answer)
        if holds(health):
            return health
        time.sleep(0.05)
    raise DemoError(f"{what} did not come within {WAIT_S:.0f} s: {json.dumps(health, indent=1)}")


def replay(runner: Runner, url: str, week: str) -> list[Mapping[str, Any]]:
    """The desk's requests of a week; each answer."""
    runner.run(traffic(url, week), why="every invoice, in order")
    return read_answers(runner)


def traffic(url: str, week: str) -> list[str]:
    """The command that asks for a week's invoices."""
    return ["python", "traffic.py", "--week", week, "--url", url, "--answers", f".demo/{ANSWERS}"]


def read_answers(runner: Runner) -> list[Mapping[str, Any]]:
    """The answers of the last replay."""
    lines = (runner.folder / ".demo" / ANSWERS).read_text("utf-8").splitlines()
    return [json.loads(text) for text in lines]


class Commit:
    """Watches for the next commit of the audit log, to date it more finely than in seconds."""

    def __init__(self, database: Path) -> None:
        """A watch on this database; begins at once."""
        self._database = database
        self._seen = 0.0
        self._before = self._size()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def at(self) -> float:
        """When it came, in seconds since 1970.

        Raises:
            DemoError: none came.
        """
        self._watching.join(WAIT_S)
        if not self._seen:
            raise DemoError("no decision was recorded")
        return self._seen

    def _watch(self) -> None:
        while not self._seen:
            if self._size() > self._before:
                self._seen = time.time()
            time.sleep(0.002)

    def _size(self) -> int:
        with sqlite3.connect(f"file:{self._database}?mode=ro", uri=True) as connection:
            found: int = connection.execute("SELECT size FROM signoff_head").fetchone()[0]
        connection.close()
        return found


def line(output: str, part: str) -> str:
    """The first output line that holds this.

    Raises:
        DemoError: there is none.
    """
    found = [text.strip() for text in output.splitlines() if part in text]
    if not found:
        raise DemoError(f"the output names no {part}:\n{output}")
    return found[0]


def check(runner: Runner) -> None:
    """Compare the versions that are remembered with the registry's.

    Raises:
        DemoError: one is gone.
    """
    database = runner.folder / "mlflow.db"
    for facts in runner.state.values():
        if "version" not in facts:
            continue
        number = facts["version"].split("/")[1]
        query = "SELECT 1 FROM model_versions WHERE name = 'churn' AND version = ?"
        found = None
        if database.is_file():
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                found = connection.execute(query, (number,)).fetchone()
        if found is None:
            raise DemoError(f"{facts['version']} is gone; start again with: make {STORY.target} ARGS=--fresh")


def happened(runner: Runner) -> list[tuple[str, str]]:
    """What was shown."""
    state = runner.state
    good, bad, back = state["good canary"], state["failing canary"], state["rolled back"]
    return [
        ("released", f"{state['first']['version']}; {state['loaded']['latency']}"),
        ("taken over", f"{good['version']}: {good['message']}"),
        ("aborted", f"{bad['version']}: {bad['message']}"),
        ("", f"{bad['rescued']} requests that it failed were answered by {good['version']}"),
        ("rolled back", f"to {state['first']['version']} in {back['rollback_ms']} ms under load;"),
        ("", f"of {back['requests']} requests meanwhile, {back['failed']} went without an answer"),
    ]


STORY = Story(
    name="serving",
    target="example-serving",
    about="Watch a churn model behind an endpoint: canary, abort and rollback on real requests.",
    steps=(
        ("lay out", "A team's repository: standard, training code, roster", begin),
        ("first", f"Monday {FIRST}: the first release", first_release),
        ("loaded", "Does it bear the desk's load?", loaded),
        ("good canary", f"Monday {RETRAINED}: the weekly retraining, tried on real requests", good_canary),
        ("failing canary", "A model that passed the gate, and real requests", failing_canary),
        ("rolled back", "Back to the first release, under load", rolled_back),
        ("traced", "What is remembered of it", traced),
    ),
    check=check,
    happened=happened,
)


if __name__ == "__main__":
    sys.exit(run_story(STORY))
