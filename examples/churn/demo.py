"""The weekly churn example from an empty folder to a governed release, by real commands.

    python -m examples.churn.demo [--fresh] [--dir demo/churn]

It lays out a team's repository, trains four models on three Mondays of August, and lets `signoff` judge, sign, release,
score and trace them. Then it watches what is released on every fourth Monday to the end of the data, 2011-12-05, while
the share of customers who stay away falls. Which Monday fires, what the gate says of the retrained model and whether it
is released follows from the data. Everything stays in the folder; a second run goes on where the first one stopped, or
says what is there.
"""

import re
import sqlite3
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from examples.churn import retail
from examples.runner import DemoError, Done, Runner
from examples.story import Step, Story, lay_out, run_story

FIRST, CHANGE, WEEKLY = "2011-08-01", "2011-08-08", "2011-08-15"
MONDAYS = ("2011-09-12", "2011-10-10", "2011-11-07", "2011-12-05")
SPARE = 0.05  # of what the approver saw, as signoff.yaml tolerates of recall
PRECISION = r"threshold\(precision\)\s+([0-9.]+)"
ANY = (0, 1, 2)  # in bounds, fired, undecided: the story goes on with each


def begin(runner: Runner) -> dict[str, str]:
    """The team's own repository, and the invoice lines beside it."""
    return lay_out(
        runner,
        STORY.team,
        data={"data/lines.parquet": retail.transactions()},
        message="Weekly churn: code, standard and roster",
    )


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
    gate = runner.run(["signoff", "gate", run], why="a retraining only has to be no worse")
    version = release(runner, run, "Weekly retraining", "Newer weeks; features and threshold as released.")
    return {"run": run, "version": version, "precision": gate.find(PRECISION)}


def predictions(runner: Runner) -> dict[str, str]:
    """Score this Monday's customers with the released version."""
    done = runner.run(["signoff", "predict", "churn"], why="verifies the release, then scores")
    return {"answer": done.output.strip().splitlines()[0]}


def trace(runner: Runner) -> dict[str, str]:
    """From the table back to run, data, commit, gate and approvals."""
    runner.run(["signoff", "lineage", "predictions/churn"], why="what does this table rest on?")
    runner.run(["signoff", "status"], why="what is released where?")
    return {}


def monitored(runner: Runner) -> dict[str, str]:
    """The retention team pays for its list: it may hold little less of the right customers than was approved."""
    approved = runner.state["weekly"]["precision"]
    runner.say(
        f"Approved with a precision of {approved}. The list is paid for with {SPARE} less at most; below that, retrain."
    )
    set_precision(runner, approved, "Watch the precision of the list")
    runner.run(["signoff", "standard", "check"])
    runner.run(["signoff", "watch", "churn", "--once"], expect=ANY, why="is all in bounds today?")
    return {"bound": bound_for(approved)}


def monday(runner: Runner, week: str) -> dict[str, str]:
    """Look on one Monday; whatever fires and follows is told."""
    runner.run(["python", "prepare.py", "--week", week, "--watch"], why=f"Monday {week}")
    watch = ["signoff", "watch", "churn", "--once"]
    runner.run(watch, expect=ANY, why="what it measures, and what follows, by itself")
    log = retrained(runner)
    if log is None:
        return {}
    run = re.findall(r"^run ([0-9a-f]{32})$", log.read_text("utf-8"), re.MULTILINE)[-1]
    gate = runner.run(["signoff", "gate", run], expect=(0, 1), why="is the retrained model no worse?")
    facts = {"log": log.name, "run": run, "verdict": gate.output.split()[0].lower()}
    if gate.code == 0:
        notes = (
            "Trained because the precision fell below its bound; the share of customers who stay away moved."
        )
        facts["version"] = release(runner, run, "The base rate moved", notes)
        approved = gate.find(PRECISION)
        runner.say(f"Approved with a precision of {approved}: the bound follows what the approver saw.")
        set_precision(runner, approved, "The precision that was approved now")
        runner.run(watch, expect=ANY, why="is the new release in bounds?")
    return facts


def retrained(runner: Runner) -> Path | None:
    """The output of a retraining that no earlier step knows; None without one."""
    known = {facts.get("log") for facts in runner.state.values()}
    logs = sorted((runner.folder / ".signoff" / "watch").glob("*.log"), key=lambda path: path.stat().st_mtime)
    return next((path for path in reversed(logs) if path.name not in known), None)


def taken_back(runner: Runner) -> dict[str, str]:
    """A drill: can the newest release be taken back, and is the one before still good?"""
    back = ["signoff", "rollback", "churn", "--env", "prod", "--key", "keys/cleo", "--reason", "drill"]
    done = runner.run(back, why="Cleo tries the way back")
    runner.run(["signoff", "watch", "churn", "--once"], expect=ANY, why="and is that one in bounds?")
    runner.run(["signoff", "status"], why="what is released, and how it is")
    return {"answer": done.find(r"(from version \d+ to version \d+)")}


def bound_for(approved: str) -> str:
    """The lowest precision that is in bounds for a release approved with this one."""
    return f"{float(approved) - SPARE:.4f}"


def set_precision(runner: Runner, approved: str, message: str) -> None:
    """Write the monitor of the precision into the standard, and commit it: a reviewed edit like any other."""
    path = runner.folder / "signoff.yaml"
    text = re.sub(r"^      precision: .*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    version = re.search(r'^version: "(\d+)"$', text, re.MULTILINE)
    if version is None:
        raise DemoError("signoff.yaml has no version")
    text = text.replace(version[0], f'version: "{int(version[1]) + 1}"')
    monitor = (
        "      precision: {kind: performance, metric: precision, table: watch/week.parquet,"
        f" at_least: {bound_for(approved)}, rows: 1000, then: retrain}}\n"
    )
    path.write_text(text + monitor, "utf-8")
    runner.run(["git", "commit", "--quiet", "--all", "--message", message])


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
            f"{runner.folder} is not as the demo left it, {', '.join(missing)} gone; start again with:"
            f" make {runner.target} ARGS=--fresh"
        )


def stored(folder: Path, query: str, value: str) -> bool:
    """Whether MLflow's database has a row for the value."""
    database = folder / "mlflow.db"
    if not database.is_file():
        return False
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute(query, (value,)).fetchone() is not None


def happened(runner: Runner) -> list[tuple[str, str]]:
    """What was shown."""
    state = runner.state
    runs = [facts["run"] for facts in state.values() if "run" in facts]
    lost, won, last = state["refused"], state["successor"], state["weekly"]
    watched = f"precision at least {state['monitored']['bound']}, that of {last['version']} less {SPARE}"
    return [
        ("logged", f"{len(runs)} runs in experiment churn"),
        ("refused", f"{lost['run']}  {lost['reason']}"),
        ("approved", f"{won['version']} from run {won['run']}: its threshold restores that recall; promoted"),
        ("retrained", f"{last['version']} from run {last['run']}: no worse than {won['version']}; promoted"),
        ("scored", state["predictions"]["answer"]),
        ("traced", "`signoff lineage predictions/churn`: table, version, run, data, commit, gate, approvals"),
        ("watched", f"{len(MONDAYS)} Mondays; {watched}"),
        *(("fired", words) for week in MONDAYS if (words := fired(state[f"monday {week}"], week))),
        ("taken back", f"{state['taken back']['answer']}, as a drill"),
    ]


def fired(facts: Mapping[str, str], week: str) -> str:
    """What followed on a Monday; "" when nothing fired."""
    if "run" not in facts:
        return ""
    then = f"{facts['version']} promoted" if "version" in facts else "not released"
    return f"{week}: retrained {facts['run']}; gate: {facts['verdict']}; {then}"


def then(runner: Runner) -> list[tuple[str, str]]:
    """What to try next."""
    refused_run = runner.state["refused"]["run"]
    newest = [facts["version"] for facts in runner.state.values() if "version" in facts][-1]
    return [
        (f"signoff gate {refused_run}", "judge the refused run against what is in production now"),
        (f"signoff approve {newest} --env prod --key keys/ana", "an author's approval: refused"),
        ("signoff lineage churn@prod", "what production rests on"),
        ("signoff watch churn --once", "measure what is released again: the same data fires nothing"),
        ("signoff admin audit --verify", "is the audit log as it was written?"),
        ("mlflow ui --backend-store-uri sqlite:///mlflow.db", "the same runs and versions in MLflow"),
    ]


STEPS: tuple[tuple[str, str, Step], ...] = (
    ("lay out", "A team's repository: standard, training code, roster", begin),
    ("first", f"Monday {FIRST}: the first release, recency and frequency", first_release),
    ("refused", f"Monday {CHANGE}: richer features, refused", refused),
    ("successor", f"Monday {CHANGE}: the same features, threshold from the last labelled week", successor),
    ("weekly", f"Monday {WEEKLY}: the weekly retraining", weekly),
    ("predictions", f"Monday {WEEKLY}: score the customers with what is in production", predictions),
    ("trace", "What does the table rest on?", trace),
    ("monitored", "What is released is watched: bounds before any later week is seen", monitored),
    *(
        (f"monday {week}", f"Monday {week}: what do the monitors say?", partial(monday, week=week))
        for week in MONDAYS
    ),
    ("taken back", "A release is taken back", taken_back),
)

STORY = Story(
    name="churn",
    target="demo",
    about="Watch a churn model go from notebook to production.",
    steps=STEPS,
    check=check_intact,
    happened=happened,
    then=then,
)


if __name__ == "__main__":
    sys.exit(run_story(STORY))
