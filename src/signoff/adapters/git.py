"""What git says about the code that runs, and about what was committed.

What training asks is one cheap question without an exception; what people ask later may take longer, and says
so when it took too long. No locks, no network.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from signoff.errors import StoreError
from signoff.record.code import CommitRecord, FileChange

_COMMIT = re.compile(r"[0-9a-f]{7,64}")

TIMEOUT_S = 2.0
"""A status that takes longer is given up: training must not wait for git."""

PATIENCE_S = 15.0
"""How long a person who compares commits waits for git."""

NOT_CODE = ("**/mlruns/**", "**/mlartifacts/**", "**/mlflow.db*")
"""What MLflow itself writes into a working folder by default; it does not make a tree dirty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GitState:
    """A working tree at one moment.

    Attributes:
        commit: full hash of HEAD; None before the first commit.
        branch: checked-out branch; None when HEAD is detached.
        dirty: whether anything differs from the commit, files that git does not know included; None when
            git took too long to say.
    """

    commit: str | None
    branch: str | None
    dirty: bool | None


def find_repository(start: Path) -> Path | None:
    """The top folder of the working tree that holds a folder; None outside every repository."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return None


def read_state(root: Path, *, with_dirty: bool = True, timeout_s: float = TIMEOUT_S) -> GitState | None:
    """The state of the working tree at ``root``.

    Args:
        root: top folder of a working tree.
        with_dirty: False asks only for commit and branch, which is fast in a tree of any size.
        timeout_s: patience in seconds, for each of at most two calls.

    Returns:
        None when git is not installed, refuses the folder, or is too slow even for commit and branch.
    """
    if with_dirty:
        excluded = [f":(top,exclude,glob){pattern}" for pattern in NOT_CODE]
        try:
            text = _git(root, ["status", "--porcelain=v2", "--branch", "--", ":(top)", *excluded], timeout_s)
        except subprocess.TimeoutExpired:
            return read_state(root, with_dirty=False, timeout_s=timeout_s)
        return None if text is None else _parse_status(text)
    try:
        text = _git(root, ["rev-parse", "HEAD", "--abbrev-ref", "HEAD"], timeout_s)
    except subprocess.TimeoutExpired:
        return None
    if text is None:
        return None
    commit, branch = text.split()
    return GitState(commit=commit, branch=None if branch == "HEAD" else branch, dirty=None)


def read_email(root: Path | None, *, timeout_s: float = TIMEOUT_S) -> str | None:
    """The e-mail address that a commit made here would carry; None when git has none."""
    try:
        text = _git(root or Path.cwd(), ["config", "user.email"], timeout_s)
    except subprocess.TimeoutExpired:
        return None
    return (text or "").strip() or None


def commit_people(root: Path, commit: str, *, timeout_s: float = TIMEOUT_S) -> tuple[str, ...]:
    """Author and committer of a commit as ``Name <e-mail>``; empty when the repository does not have it.

    Args:
        root: top folder of a working tree.
        commit: hex digits of its hash; anything else is no commit.
        timeout_s: patience in seconds.
    """
    if not _COMMIT.fullmatch(commit):
        return ()
    try:
        text = _git(root, ["show", "-s", "--format=%an <%ae>%n%cn <%ce>", f"{commit}^{{commit}}"], timeout_s)
    except subprocess.TimeoutExpired:
        return ()
    return tuple(dict.fromkeys((text or "").splitlines()))


def resolve_commit(root: Path, revision: str, *, timeout_s: float = PATIENCE_S) -> str | None:
    """The full hash of the commit that a revision such as ``HEAD~1`` names; None when it names none.

    Raises:
        StoreError: git took too long.
    """
    with _patience(root, timeout_s):
        text = _git(root, ["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], timeout_s)
    found = (text or "").strip()
    return found if _COMMIT.fullmatch(found) else None


def file_at(root: Path, commit: str, path: str, *, timeout_s: float = PATIENCE_S) -> bytes | None:
    """The bytes of a file in a commit; None when the commit does not have it.

    Args:
        root: top folder of a working tree.
        commit: full hash.
        path: relative to ``root``, with ``/``.
        timeout_s: patience in seconds.

    Raises:
        StoreError: git took too long.
    """
    with _patience(root, timeout_s):
        return _git_bytes(root, ["cat-file", "blob", f"{commit}:{path}"], timeout_s)


def changed_files(
    root: Path, old: str, new: str, *, timeout_s: float = PATIENCE_S
) -> tuple[FileChange, ...] | None:
    """The files that differ between two commits, by path; None when the repository lacks one of them.

    A renamed file counts as one deleted and one added.

    Raises:
        StoreError: git took too long.
    """
    if not (_COMMIT.fullmatch(old) and _COMMIT.fullmatch(new)):
        return None
    options = ["--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"]
    with _patience(root, timeout_s):
        text = _git(root, ["diff", *options, f"{old}^{{commit}}", f"{new}^{{commit}}", "--"], timeout_s)
    return None if text is None else tuple(_file_change(row) for row in text.split("\0") if row)


def file_log(
    root: Path, path: str, *, last: int, timeout_s: float = PATIENCE_S
) -> tuple[CommitRecord, ...] | None:
    """The commits that changed a file, newest first; None when git has none to ask.

    Args:
        root: top folder of a working tree.
        path: relative to ``root``, with ``/``.
        last: at most so many.
        timeout_s: patience in seconds.

    Raises:
        StoreError: git took too long.
    """
    form = "%H%x00%P%x00%an%x00%ae%x00%aI%x00%s"
    arguments = ["log", "--no-show-signature", f"--max-count={last}", f"--format={form}", "--", path]
    with _patience(root, timeout_s):
        text = _git(root, ["-c", "log.follow=false", "--literal-pathspecs", *arguments], timeout_s)
    return None if text is None else tuple(_commit(line) for line in text.split("\n") if line)


def _file_change(row: str) -> FileChange:
    added, deleted, path = row.split("\t", 2)
    return FileChange(
        path=path,
        added=int(added) if added.isdigit() else None,
        deleted=int(deleted) if deleted.isdigit() else None,
    )


def _commit(line: str) -> CommitRecord:
    commit, parents, author, email, at, subject = line.split("\0", 5)
    return CommitRecord(
        commit=commit,
        parent=parents.split()[0] if parents else None,
        author=author,
        email=email,
        at=at,
        subject=subject,
    )


@contextmanager
def _patience(root: Path, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"git did not answer within {timeout_s:g} s", where=str(root)) from error


def _parse_status(text: str) -> GitState:
    headers: dict[str, str] = {}
    dirty = False
    for line in text.splitlines():
        if line.startswith("# "):
            key, _, value = line[2:].partition(" ")
            headers[key] = value
        elif line:
            dirty = True
    commit = headers.get("branch.oid", "(initial)")
    branch = headers.get("branch.head", "(detached)")
    return GitState(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        dirty=dirty,
    )


def _git(root: Path, arguments: list[str], timeout_s: float) -> str | None:
    said = _git_bytes(root, arguments, timeout_s)
    return None if said is None else said.decode("utf-8", errors="replace")


def _git_bytes(root: Path, arguments: list[str], timeout_s: float) -> bytes | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, and a path that git gets as its folder
            [git, "-C", str(root), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=_quiet(os.environ),
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _quiet(environ: Mapping[str, str]) -> dict[str, str]:
    # GIT_DIR and its like, set inside hooks, would answer for another repository than the folder's.
    kept = {name: value for name, value in environ.items() if name not in {"GIT_DIR", "GIT_WORK_TREE"}}
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
