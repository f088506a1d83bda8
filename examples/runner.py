"""Runs an example's commands one after the other, shows them, and remembers which are done.

What is remembered lies in ``.demo/`` of the team's folder: ``state.json`` (facts of finished steps) and ``log/``
(each command's whole output).
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

STATE = Path(".demo/state.json")
LOG = Path(".demo/log")
FOREIGN = (
    "MLFLOW_",
    "SIGNOFF_",
    "GIT_",
    "PYTHONPATH",
)  # settings of the caller that would reach into the demo


class DemoError(Exception):
    """The example cannot go on; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What a finished command said.

    Attributes:
        output: standard output and standard error, in the order they came.
        seconds: how long it took.
        code: its exit code.
    """

    output: str
    seconds: float
    code: int

    def find(self, pattern: str) -> str:
        """The first group of the first match.

        Raises:
            DemoError: there is none.
        """
        match = re.search(pattern, self.output, re.MULTILINE)
        if match is None:
            raise DemoError(f"the output holds no {pattern!r}:\n{self.output}")
        return match[1]

    def lines(self, start: str) -> list[str]:
        """The lines that start with this text, without surrounding space."""
        return [line.strip() for line in self.output.splitlines() if line.strip().startswith(start)]


@dataclass(kw_only=True)
class Runner:
    """Runs commands in the team's folder.

    Attributes:
        folder: the team's folder.
        console: where to show them.
        steps: how many steps the example has.
        target: the make target that runs it.
        state: facts of the finished steps, by step.
    """

    folder: Path
    console: Console
    steps: int
    target: str
    state: dict[str, dict[str, str]] = field(default_factory=dict)

    def load(self) -> bool:
        """Read what an earlier run has done; whether there was one."""
        path = self.folder / STATE
        if not path.is_file():
            return False
        self.state = json.loads(path.read_text("utf-8"))
        return bool(self.state)

    def finish(self, step: str, **facts: str) -> None:
        """Remember a step as done."""
        self.state[step] = facts
        path = self.folder / STATE
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(self.state, indent=2) + "\n", "utf-8")
        partial.replace(path)

    def title(self, number: int, words: str, *, resumed: bool) -> None:
        """Announce a step."""
        note = "  (done earlier)" if resumed else ""
        self.console.print(Text(f"\n[{number}/{self.steps}] {words}{note}", style="bold"), soft_wrap=True)

    def say(self, words: str) -> None:
        """A sentence between commands."""
        self.console.print(Text(words), soft_wrap=True)

    def run(
        self, command: Sequence[str], *, expect: int | tuple[int, ...] = 0, show: bool = True, why: str = ""
    ) -> Done:
        """Run one command and show it with its output.

        Args:
            command: as a person would type it; ``python`` and ``signoff`` are those of this environment.
            expect: the exit code that the story needs, or those that it can go on with.
            show: whether to print the output too; it is always kept in the log.
            why: what it does, in a few words, printed beside it.

        Raises:
            DemoError: it ended with another exit code.
        """
        typed = shlex.join(command)
        self.console.print(
            Text.assemble(("$ ", "dim"), (typed, "cyan"), (f"    # {why}" if why else "", "dim")),
            soft_wrap=True,
        )
        start = time.perf_counter()
        if self.console.is_terminal:
            with self.console.status(Text(typed.split(" --")[0])):
                ended = self._execute(command)
        else:
            ended = self._execute(command)
        done = Done(output=ended.stdout, seconds=time.perf_counter() - start, code=ended.returncode)
        self._keep(typed, done)
        wanted = expect if isinstance(expect, tuple) else (expect,)
        if done.code not in wanted:
            self._print(done.output)
            raise DemoError(
                f"`{typed}` ended with exit code {ended.returncode}; the example expected {wanted[0]}\n"
                f"  hint: the whole output is in {self.folder / LOG}; `make {self.target} ARGS=--fresh` starts again"
            )
        if show:
            self._print(done.output)
        self.console.print(Text(f"  exit code {done.code}, {done.seconds:.1f} s", style="dim"))
        return done

    def start(self, command: Sequence[str]) -> "subprocess.Popen[str]":
        """Start a command that goes on beside the next ones; its output is a pipe, which the caller reads."""
        program, environ = self._prepared(command)
        return subprocess.Popen(  # noqa: S603 - the commands are written in demo.py
            program, cwd=self.folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _execute(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        program, environ = self._prepared(command)
        return subprocess.run(  # noqa: S603 - the commands are written in demo.py
            program,
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _prepared(self, command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The command with the program of this environment, and the environment that it gets."""
        binaries = Path(sys.executable).parent
        program = sys.executable if command[0] == "python" else command[0]
        if (binaries / program).is_file():
            program = str(binaries / program)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        quiet = {
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_LOGGING_LEVEL": "ERROR",
            "PYTHONUNBUFFERED": "1",  # standard output and error in the order they came
            "COLUMNS": "110",
            "OMP_WAIT_POLICY": "passive",  # threads that spin make training crawl on a busy machine
        }
        return [program, *command[1:]], kept | quiet

    def _keep(self, typed: str, done: Done) -> None:
        folder = self.folder / LOG
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.iterdir())) + 1
        text = f"$ {typed}\n{done.output}exit code {done.code}, {done.seconds:.1f} s\n"
        (folder / f"{number:02d}.txt").write_text(text, "utf-8")

    def _print(self, output: str) -> None:
        for line in output.rstrip().splitlines():
            self.console.print(Text(f"  {line}"), soft_wrap=True)
