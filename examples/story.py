"""A story that real commands tell: a team's folder is laid out, steps follow each other, a second run goes on.

Each example has a team's files, people with keys made for it, and steps; what they have in common is here.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from examples.runner import STATE, DemoError, Runner
from examples.wheels import WheelError

CHECKOUT = Path(__file__).resolve().parents[1]
PEOPLE = {
    "ana": ("Ana Torres", "author", "trains the model"),
    "ben": ("Ben Okafor", "reviewer", "reviews it"),
    "cleo": ("Cleo Lindqvist", "platform-owner", "owns the platform"),
}

Step = Callable[[Runner], dict[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """An example.

    Attributes:
        name: its folder below ``examples`` and ``demo``.
        target: the make target that tells it.
        about: one line for ``--help``.
        steps: key, title and what is done, in order.
        check: compares what is remembered as done with what is there; raises DemoError.
        happened: one line for each thing that was shown: its name, and what it came to.
        then: commands to try next, with what each does.
    """

    name: str
    target: str
    about: str
    steps: tuple[tuple[str, str, Step], ...]
    check: Callable[[Runner], None]
    happened: Callable[[Runner], Iterable[tuple[str, str]]]
    then: Callable[[Runner], Iterable[tuple[str, str]]] = lambda _: ()

    @property
    def team(self) -> Path:
        """The team's own files."""
        return CHECKOUT / "examples" / self.name / "team"


def run_story(story: Story) -> int:
    """Tell the story as the command line asks; 0 when it is complete, 2 when it cannot go on."""
    parser = argparse.ArgumentParser(description=story.about)
    parser.add_argument("--fresh", action="store_true", help="delete the example's folder and start again")
    parser.add_argument("--dir", type=Path, default=CHECKOUT / "demo" / story.name, help="where to work")
    given = parser.parse_args()
    console = Console(highlight=False)
    try:
        tell(story, given.dir.resolve(), console, fresh=given.fresh)
    except (DemoError, WheelError, OSError) as error:
        console.file.flush()
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def tell(story: Story, folder: Path, console: Console, *, fresh: bool) -> None:
    """Tell the story in this folder.

    Raises:
        DemoError: the folder is not the example's, or a command did not do what the story needs.
    """
    start = time.perf_counter()
    if folder.exists() and any(folder.iterdir()) and not (folder / STATE).is_file():
        raise DemoError(f"{folder} holds something that the example did not make; name another with --dir")
    if fresh and folder.exists():
        shutil.rmtree(folder)
    runner = Runner(folder=folder, console=console, steps=len(story.steps), target=story.target)
    again = f"`make {story.target} ARGS=--fresh` starts again"
    if runner.load():
        if "lay out" in runner.state and not (folder / ".git").is_dir():
            raise DemoError(f"{folder} is not as the example left it, the repository is gone; {again}")
        story.check(runner)
        finished = sum(name in runner.state for name, _, _ in story.steps)
        runner.say(f"Resumed in {folder}: {finished} of {len(story.steps)} steps were done earlier; {again}.")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        runner.finish("begun")
        runner.say(f"Started afresh in {folder}.")
    for number, (name, words, step) in enumerate(story.steps, start=1):
        resumed = name in runner.state
        runner.title(number, words, resumed=resumed)
        if not resumed:
            runner.finish(name, **step(runner))
    _sum_up(story, runner, time.perf_counter() - start)


def _sum_up(story: Story, runner: Runner, seconds: float) -> None:
    """What was shown, where it is, and what to try next."""
    runner.console.print("\nWhat happened", style="bold")
    took = f"{seconds:.0f} s; everything is in {runner.folder}, each command's output in .demo/log"
    for name, words in (*story.happened(runner), ("took", took)):
        runner.say(f"  {name:<10} {words}")
    commands = tuple(story.then(runner))
    if commands:
        runner.console.print("\nTry next", style="bold")
        runner.say(f"  cd {runner.folder} && export PATH={Path(sys.executable).parent}:$PATH")
    for command, does in commands:
        runner.say(f"  {command:<74} # {does}")


def lay_out(runner: Runner, team: Path, *, data: Mapping[str, Path], message: str) -> dict[str, str]:
    """The team's own repository: standard, code, roster with demo keys; data beside it, not in it.

    Args:
        runner: runs the commands.
        team: the team's files; ``gitignore`` becomes ``.gitignore``.
        data: files to copy, by their path in the team's folder.
        message: of the first commit.
    """
    folder = runner.folder
    ignored = shutil.ignore_patterns("__pycache__", "gitignore")
    shutil.copytree(team, folder, dirs_exist_ok=True, ignore=ignored)
    shutil.copyfile(team / "gitignore", folder / ".gitignore")
    for name, source in data.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
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
    runner.run(["git", "commit", "--quiet", "--message", message])
    return {"commit": runner.run(["git", "rev-parse", "HEAD"], show=False).output.strip()}


def roster(folder: Path) -> str:
    """The roster of the example's three people, with the public keys just made."""
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


def as_person(command: list[str], person: str) -> list[str]:
    """The command, signed by one of the example's people."""
    return [*command, "--key", f"keys/{person}"]
