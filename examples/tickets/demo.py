"""Support documents, from an empty folder to a governed release, by real commands.

    python -m examples.tickets.demo [--fresh] [--dir demo/tickets]

A help desk routes documents to eight queues. Three ways to count are tried: words; words, pairs and pieces of words; fewer pieces. The
standard was written first: quality, no queue that pays for the others, a label map that stays as it is, and a bound on
the time for one document that follows from what the desk needs. Which candidate passes is what the documents say.
"""

import sys

from examples.releasing import check_runs, line, release
from examples.runner import DemoError, Done, Runner
from examples.story import Story, lay_out, run_story
from examples.tickets.newsgroups import documents_table

CONTEXT = {
    "limitations": "Postings of 1993 in English; no attachments",
    "rollback_plan": "Cleo returns to the last good version when a queue complains",
}


def begin(runner: Runner) -> dict[str, str]:
    """The team's repository and the tables of the day."""
    facts = lay_out(
        runner,
        STORY.team,
        data={"data/documents.parquet": documents_table()},
        message="Routing of documents: code, standard and roster",
    )
    runner.run(["python", "prepare.py"], why="documents to judge on, and today's inbox")
    return facts


def first_release(runner: Runner) -> dict[str, str]:
    """Words, released through test into production."""
    run = train(runner, "words")
    runner.run(["signoff", "check", run], why="is everything logged that the standard asks for?")
    done = gate(runner, run, why="a first release has no baseline; the absolute bounds hold", expect=(0, 1))
    if done.code != 0:
        raise DemoError(
            f"words are refused here: {line(done, 'latency_p95_ms')}\n"
            "  hint: the desk's bound is on real time, and this machine is too slow or too busy now; when it is\n"
            f"        quiet, `make {runner.target}` goes on from here"
        )
    version = to_production(
        runner, run, "Route documents to the desk's queues", "Words only; fast, and good enough."
    )
    return {"run": run, "version": version}


def strongest(runner: Runner) -> dict[str, str]:
    """Everything counted together: the best on paper, and what it costs."""
    run = train(runner, "everything")
    done = gate(runner, run, why="against production, on the same documents", expect=(1, 0))
    if done.code == 0:
        runner.say("On this machine it is fast enough for the desk's peak; the team still looks for less.")
    verdict = "passed" if done.code == 0 else "refused"
    return {
        "run": run,
        "verdict": verdict,
        "reason": line(done, "latency_p95_ms"),
        "quality": line(done, "margin(macro_f1)"),
    }


def renumbered(runner: Runner) -> dict[str, str]:
    """The released words again, but the label map numbers the largest queue first."""
    run = train(runner, "words", "largest-first")
    done = gate(runner, run, why="the model's own order is another one", expect=(1,))
    return {"run": run, "reason": line(done, "stable(labels)")}


def successor(runner: Runner) -> dict[str, str]:
    """Pairs of words, and pieces of five characters only: does it earn its place?"""
    run = train(runner, "lean")
    done = gate(runner, run, why="against production, on the same documents")
    notes = "Close to the strongest on the validation documents, at a third of its time."
    version = to_production(runner, run, "Pairs of words and short pieces", notes)
    return {"run": run, "quality": line(done, "margin(macro_f1)"), "version": version}


def routed(runner: Runner) -> dict[str, str]:
    """Route today's inbox with what is released, and trace the table."""
    done = runner.run(["signoff", "predict", "tickets"], why="verifies the release, then routes")
    runner.run(["signoff", "lineage", "routed/documents"], why="what does this table rest on?")
    runner.run(["signoff", "status"], why="what is released where?")
    return {"answer": done.output.strip().splitlines()[0]}


def train(runner: Runner, pipeline: str, label_map: str = "sorted") -> str:
    """Train one model; its run id."""
    command = ["python", "train.py", "--pipeline", pipeline]
    command += [] if label_map == "sorted" else ["--label-map", label_map]
    return runner.run(command, why="one MLflow run").find(r"^run ([0-9a-f]{32})$")


def gate(runner: Runner, run: str, *, why: str, expect: tuple[int, ...] = (0,)) -> Done:
    """Judge a run; the story knows which answers it can go on with."""
    return runner.run(["signoff", "gate", run], why=why, expect=expect)


def to_production(runner: Runner, run: str, context: str, notes: str) -> str:
    """Through test into production; the version."""
    said = {"business_context": context, **CONTEXT}
    return release(runner, run, use_case="tickets", context=said, notes=notes)


def happened(runner: Runner) -> list[tuple[str, str]]:
    """What was shown."""
    state = runner.state
    strongest, renumbered, successor = state["strongest"], state["renumbered"], state["successor"]
    return [
        ("released", f"{state['first']['version']}: words"),
        (strongest["verdict"], f"{strongest['run']}  {strongest['reason']}"),
        ("", f"although {strongest['quality']}"),
        ("refused", f"{renumbered['run']}  {renumbered['reason']}"),
        ("released", f"{successor['version']}: {successor['quality']}"),
        ("routed", state["routed"]["answer"]),
    ]


STORY = Story(
    name="tickets",
    target="example-tickets",
    about="Watch three ways to route documents meet one standard.",
    steps=(
        ("lay out", "A team's repository: standard, training code, roster", begin),
        ("first", "Words: the first release, through test into production", first_release),
        ("strongest", "Everything counted: the strongest on paper", strongest),
        ("renumbered", "A label map in another order", renumbered),
        ("successor", "Pairs of words and pieces of five characters", successor),
        ("routed", "Route today's inbox", routed),
    ),
    check=check_runs,
    happened=happened,
)


if __name__ == "__main__":
    sys.exit(run_story(STORY))
