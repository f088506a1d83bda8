"""The team's `retrain` command: one at a time, in an environment without secrets of production, and not for ever."""

import fcntl
import os
import platform
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from signoff.record.capture import TRIGGER_VARIABLE
from signoff.record.digest import Digest

LOG_FOLDER = ".signoff/watch"
"""Where a retraining's output goes, below the standard's folder; not for the team's repository."""
MOST_HOURS = 6
"""A retraining that runs for longer is ended, and one that was started elsewhere is taken for lost."""
_OURS = "SIGNOFF_"
_PASSED_ON = frozenset({"SIGNOFF_STANDARD", "SIGNOFF_CACHE"})
_GRACE_S = 10.0  # between asking a command to end and ending it


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a command ended; the exit code is None when it was ended because it took too long."""

    exit_code: int | None


def place_of(folder: Path) -> str:
    """Where a command was started: the host, and which checkout on it."""
    return f"{platform.node()}/{Digest.of(str(folder).encode()).hex[:8]}"


def retrain_environment(given: Mapping[str, str], firing: Digest) -> dict[str, str]:
    """What a retraining may know of the process's environment.

    Keys and the credentials of environments' servers stay out; what MLflow needs for the team's own store goes in.
    """
    kept = {name: value for name, value in given.items() if not name.startswith(_OURS) or name in _PASSED_ON}
    return {**kept, TRIGGER_VARIABLE: str(firing)}


@contextmanager
def retrain_lease(folder: Path, use_case: str) -> Iterator[IO[str] | None]:
    """The right to retrain a use case from here; None while a command that got it is still running.

    The lock belongs to the open file, which the command inherits: it outlives a watch that was killed, and ends
    with the command.

    Raises:
        OSError: the folder cannot be written.
    """
    logs = folder / LOG_FOLDER
    logs.mkdir(parents=True, exist_ok=True)
    (logs.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    with (logs / f"{use_case}.lock").open("a+", encoding="utf-8") as lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        try:
            yield lease
        finally:
            fcntl.flock(lease, fcntl.LOCK_UN)  # also for what the command left running behind it


def lease_holder(folder: Path, use_case: str) -> str:
    """What the lock file says of the command that is running."""
    with suppress(OSError):
        return (folder / LOG_FOLDER / f"{use_case}.lock").read_text(encoding="utf-8").strip()
    return ""


@contextmanager
def running(
    command: str, *, lease: IO[str], folder: Path, output: Path, environment: Mapping[str, str], at: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the command, without a shell; whatever of it still runs at the end of the block is ended.

    Args:
        command: as the standard has it.
        lease: from `retrain_lease`.
        folder: where it runs.
        output: file that its output is appended to.
        environment: all of its variables.
        at: time of the start, for the lock file.

    Raises:
        OSError, ValueError: it cannot be started.
    """
    with output.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the team's own command, from its reviewed standard
            shlex.split(command),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lease.fileno(),),
        )
        try:
            lease.truncate(0)
            lease.write(f"process {process.pid} on {platform.node()}, since {at}\n")
            lease.flush()
            yield process
        finally:
            _end(process)


def ended(process: "subprocess.Popen[bytes]", *, seconds: float = MOST_HOURS * 3600.0) -> Ended:
    """Wait for the command, so many seconds at most; then it is ended with all that it started."""
    try:
        return Ended(exit_code=process.wait(timeout=seconds))
    except subprocess.TimeoutExpired:
        _end(process)
        return Ended(exit_code=None)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
