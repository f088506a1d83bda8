"""The weekly churn example from an empty folder to a governed release, by real commands.

    python examples/churn/demo.py [--fresh] [--dir demo/churn]

It lays out a team's repository, trains four models on three Mondays, and lets `signoff` judge, sign, release, score
and trace them. The weeks are the last ones that the data allow: on Monday 2011-12-05, the last of the data, the last
week whose labels are complete is that of 2011-10-10. Everything stays in the folder; a second run goes on where the
first one stopped, or says what is there.
"""

import argparse
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import retail
from rich.console import Console
from runner import STATE, DemoError, Done, Runner

CHECKOUT = Path(__file__).resolve().parents[2]
TEAM = Path(__file__).resolve().parent / "team"
FIRST, CHANGE, WEEKLY = "2011-11-21", "2011-11-28", "2011-12-05"
PEOPLE = {
    "ana": ("Ana Torres", "author", "trains the model"),
    "ben": ("Ben Okafor", "reviewer", "reviews it"),
    "cleo": ("Cleo Lindqvist", "platform-owner", "owns the platform"),
}

Step = Callable[[Runner], dict[str, str]]


def main() -> int:
    """Run or resume the demo; 0 when the story is complete, 2 when it cannot go on."""
    parser = argparse.ArgumentParser(description="Watch a churn model go from notebook to production.")
    parser.add_argument("--fresh", action="store_true", help="delete the demo's folder and start again")
    parser.add_argument("--dir", type=Path, default=CHECKOUT / "demo" / "churn", help="where to work")
    given = parser.parse_args()
    console = Console(highlight=False)
    try:
        tell(given.dir.resolve(), console, fresh=given.fresh)
    except (DemoError, retail.RetailError, OSError) as error:
        console.file.flush()
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def tell(folder: Path, console: Console, *, fresh: bool) -> None:
    """Tell the story in this folder.

    Raises:
        DemoError: the folder is not the demo's, or a command did not do what the story needs.
    """
    start = time.perf_counter()
    if folder.exists() and any(folder.iterdir()) and not (folder / STATE).is_file():
        raise DemoError(f"{folder} holds something that the demo did not make; name another with --dir")
    if fresh and folder.exists():
        shutil.rmtree(folder)
    runner = Runner(folder=folder, console=console, steps=len(STORY))
    if runner.load():
        check_intact(runner)
        finished = sum(name in runner.state for name, _, _ in STORY)
        runner.say(
            f"Resumed in {folder}: {finished} of {len(STORY)} steps were done earlier; `make demo ARGS=--fresh` starts again."
        )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        runner.finish("begun")
        runner.say(f"Started afresh in {folder}.")
    for number, (name, words, step) in enumerate(STORY, start=1):
        resumed = name in runner.state
        runner.title(number, words, resumed=resumed)
        if not resumed:
            runner.finish(name, **step(runner))
    summary(runner, time.perf_counter() - start)


def lay_out(runner: Runner) -> dict[str, str]:
    """The team's own repository: standard, code, roster with demo keys; data beside it, not in it."""
    lines = retail.transactions()
    folder = runner.folder
    shutil.copytree(
        TEAM, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "gitignore")
    )
    shutil.copyfile(TEAM / "gitignore", folder / ".gitignore")
    (folder / "data").mkdir(exist_ok=True)
    shutil.copyfile(lines, folder / "data" / "lines.parquet")
    runner.run(
        ["git", "-c", "init.defaultBranch=main", "init", "--quiet"], why="a repository of the team's own"
    )
    for key, value in (
        ("user.name", PEOPLE["ana"][0]),
        ("user.email", "ana@shop.example"),
        ("commit.gpgsign", "false"),
    ):
        runner.run(["git", "config", key, value])
    for person, (_, _, does) in PEOPLE.items():
        for old in (folder / "keys").glob(f"{person}*"):
            old.unlink()
        comment = f"{person}@shop.example (demo key)"
        runner.run(["signoff", "admin", "keys", "new", f"keys/{person}", "--comment", comment], why=does)
    (folder / "signoff.roster.yaml").write_text(roster(folder), "utf-8")
    runner.say("signoff.roster.yaml now names the three people, their roles and their public keys.")
    runner.run(["signoff", "standard", "check"], why="is signoff.yaml sound?")
    runner.run(["git", "add", "--all"])
    runner.run(["git", "commit", "--quiet", "--message", "Weekly churn: code, standard and roster"])
    return {"commit": runner.run(["git", "rev-parse", "HEAD"], show=False).output.strip()}


def roster(folder: Path) -> str:
    """The roster of the demo's three people, with the public keys just made."""
    lines = ["# Who is who. The keys were made by the demo: nobody stands behind them.", "people:"]
    for person, (name, role, _) in PEOPLE.items():
        key = (folder / "keys" / f"{person}.pub").read_text("utf-8").strip()
        lines += [
            f"  {person}@shop.example:",
            f"    name: {name}",
            f"    roles: [{role}]",
            f'    keys: ["{key}"]',
            "    demo: true",
        ]
    return "\n".join(lines) + "\n"


def first_release(runner: Runner) -> dict[str, str]:
    """Recency and frequency, decided at 0.5: nothing to compare with yet."""
    prepare(runner, FIRST)
    run = train(runner, FIRST, "recency-frequency", "0.5")
    runner.run(["signoff", "check", run], why="is everything logged that the standard asks for?")
    runner.run(["signoff", "gate", run], why="a first release has no baseline; the absolute bounds hold")
    version = release(
        runner, run, "Weekly list for the retention team", "Recency and frequency, decided at 0.5."
    )
    return {"run": run, "version": version}


def refused(runner: Runner) -> dict[str, str]:
    """Richer features rank better, and miss the customers that matter most."""
    prepare(runner, CHANGE)
    run = train(runner, CHANGE, "rich", "0.5")
    done = runner.run(["signoff", "gate", run], expect=1, why="against production, on the same customers")
    propose = runner.run(
        propose_command(run, "Richer features", "AUC is up."), expect=1, why="so it is not registered"
    )
    return {
        "run": run,
        "reason": first_line(done, "FAIL  slice"),
        "answer": propose.output.strip().splitlines()[0],
    }


def successor(runner: Runner) -> dict[str, str]:
    """The same features with the threshold of the last labelled week."""
    run = train(runner, CHANGE, "rich", "last-week")
    runner.run(["signoff", "gate", run], why="the same evaluation table: its second look")
    notes = "Threshold from the last labelled week before the evaluation week; see threshold_rationale."
    version = release(runner, run, "Richer features without losing the best customers", notes)
    return {"run": run, "version": version}


def weekly(runner: Runner) -> dict[str, str]:
    """The next Monday: the same model on newer weeks, no worse than production."""
    prepare(runner, WEEKLY)
    run = train(runner, WEEKLY, "rich", "released")
    runner.run(["signoff", "gate", run], why="a retraining only has to be no worse")
    version = release(runner, run, "Weekly retraining", "Newer weeks; features and threshold as released.")
    return {"run": run, "version": version}


def predictions(runner: Runner) -> dict[str, str]:
    """Score this Monday's customers with the released version."""
    done = runner.run(["signoff", "predict", "churn"], why="verifies the release, then scores")
    return {"answer": done.output.strip().splitlines()[0]}


def trace(runner: Runner) -> dict[str, str]:
    """From the table back to run, data, commit, gate and approvals."""
    runner.run(["signoff", "lineage", "predictions/churn"], why="what does this table rest on?")
    runner.run(["signoff", "status"], why="what is released where?")
    return {}


def prepare(runner: Runner, week: str) -> None:
    """Write the evaluation and scoring tables of a Monday."""
    runner.run(["python", "prepare.py", "--week", week], why=f"Monday {week}")


def train(runner: Runner, week: str, features: str, threshold: str) -> str:
    """Train one model; its run id."""
    command = ["python", "train.py", "--week", week, "--features", features, "--threshold", threshold]
    return runner.run(command, why="one MLflow run").find(r"^run ([0-9a-f]{32})$")


def propose_command(run: str, context: str, notes: str) -> list[str]:
    """The author's proposal of a run."""
    return [
        "signoff",
        "propose",
        run,
        "--context",
        f"business_context={context}",
        "--notes",
        notes,
        "--key",
        "keys/ana",
    ]


def release(runner: Runner, run: str, context: str, notes: str) -> str:
    """Propose, approve and promote: three people, three signatures; the version."""
    done = runner.run(propose_command(run, context, notes), why="Ana proposes")
    version = done.find(r"\b(churn/\d+)\b")
    runner.run(["signoff", "approve", version, "--env", "prod", "--key", "keys/ben"], why="Ben approves")
    runner.run(["signoff", "promote", version, "--env", "prod", "--key", "keys/cleo"], why="Cleo promotes")
    return version


def first_line(done: Done, start: str) -> str:
    """The first output line that starts so."""
    found = done.lines(start)
    if not found:
        raise DemoError(f"the output holds no line that starts with {start}:\n{done.output}")
    return found[0]


def check_intact(runner: Runner) -> None:
    """Compare what is remembered as done with what is there.

    Raises:
        DemoError: something is gone.
    """
    missing = []
    if "lay out" in runner.state and not (runner.folder / ".git").is_dir():
        missing.append("the repository")
    for facts in runner.state.values():
        if "run" in facts and not stored(
            runner.folder, "select 1 from runs where run_uuid = ?", facts["run"]
        ):
            missing.append(f"run {facts['run']}")
        number = facts.get("version", "/").split("/")[1]
        query = "select 1 from model_versions where name = 'churn' and version = ?"
        if number and not stored(runner.folder, query, number):
            missing.append(f"version {number}")
    if (
        "predictions" in runner.state
        and not (runner.folder / "predictions" / "churn" / "_delta_log").is_dir()
    ):
        missing.append("the predictions table")
    if missing:
        raise DemoError(
            f"{runner.folder} is not as the demo left it, {', '.join(missing)} gone; start again with: make demo ARGS=--fresh"
        )


def stored(folder: Path, query: str, value: str) -> bool:
    """Whether MLflow's database has a row for the value."""
    database = folder / "mlflow.db"
    if not database.is_file():
        return False
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute(query, (value,)).fetchone() is not None


def summary(runner: Runner, seconds: float) -> None:
    """What was shown, where it is, and what to try next."""
    state, say = runner.state, runner.say
    runs = [facts["run"] for facts in state.values() if "run" in facts]
    lost, won, last = state["refused"], state["successor"], state["weekly"]
    runner.console.print("\nWhat happened", style="bold")
    say(f"  logged     {len(runs)} runs in experiment churn")
    say(f"  refused    {lost['run']}  {lost['reason']}")
    say(f"  approved   {won['version']} from run {won['run']}: its threshold restores that recall; promoted")
    say(f"  retrained  {last['version']} from run {last['run']}: no worse than {won['version']}; promoted")
    say(f"  scored     {state['predictions']['answer']}")
    say(
        "  traced     `signoff lineage predictions/churn`: table, version, run, data, commit, gate, approvals"
    )
    say(f"  took       {seconds:.0f} s; everything is in {runner.folder}, each command's output in .demo/log")
    runner.console.print("\nTry next", style="bold")
    say(f"  cd {runner.folder} && export PATH={Path(sys.executable).parent}:$PATH")
    for command, does in (
        (f"signoff gate {lost['run']}", "judge the refused run against what is in production now"),
        (f"signoff approve {last['version']} --env prod --key keys/ana", "an author's approval: refused"),
        ("signoff lineage churn@prod", "what production rests on"),
        (
            'signoff rollback churn --env prod --key keys/cleo --reason "drill"',
            "back to the last good release",
        ),
        ("signoff admin audit --verify", "is the audit log as it was written?"),
        ("mlflow ui --backend-store-uri sqlite:///mlflow.db", "the same runs and versions in MLflow"),
    ):
        say(f"  {command:<74} # {does}")


STORY: tuple[tuple[str, str, Step], ...] = (
    ("lay out", "A team's repository: standard, training code, roster", lay_out),
    ("first", f"Monday {FIRST}: the first release, recency and frequency", first_release),
    ("refused", f"Monday {CHANGE}: richer features, refused", refused),
    ("successor", f"Monday {CHANGE}: the same features, threshold from the last labelled week", successor),
    ("weekly", f"Monday {WEEKLY}: the weekly retraining", weekly),
    ("predictions", f"Monday {WEEKLY}: score the customers with what is in production", predictions),
    ("trace", "What does the table rest on?", trace),
)


if __name__ == "__main__":
    sys.exit(main())
