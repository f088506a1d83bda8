"""What was committed, asked of a real git."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from signoff.adapters.git import changed_files, file_at, file_log, resolve_commit
from signoff.errors import StoreError
from signoff.record.code import FileChange

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ben | O", "-c", "user.email=ben@shop.example", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits; the second adds, changes and removes."""
    root = tmp_path / "team"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a name.py").write_bytes(b"one\r\ntwo\r\n")
    (root / "gone.txt").write_text("x\n")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    (root / "a name.py").write_bytes(b"one\r\nthree\r\nfour\r\n")
    (root / "logo.png").write_bytes(bytes(range(256)))
    (root / "gone.txt").unlink()
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "second: é\n\nwith a body")
    return root


def test_a_revision_becomes_a_full_hash(repository: Path) -> None:
    assert resolve_commit(repository, "HEAD~1") == git(repository, "rev-parse", "HEAD~1")
    assert resolve_commit(repository, "main") == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    "text", ["", "HEAD~9", "nothing", "--all", "-h", "HEAD:gone.txt", "HEAD~1:gone.txt", "a b"]
)
def test_what_is_no_revision_is_none(repository: Path, text: str) -> None:
    assert resolve_commit(repository, text) is None


def test_a_file_has_its_own_bytes_in_each_commit(repository: Path) -> None:
    old, new = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
    assert file_at(repository, old, "a name.py") == b"one\r\ntwo\r\n"
    assert file_at(repository, new, "logo.png") == bytes(range(256))
    assert file_at(repository, new, "gone.txt") is None
    assert file_at(repository, new, "missing") is None


def test_changed_files_with_their_lines(repository: Path) -> None:
    old, new = git(repository, "rev-parse", "HEAD~1"), git(repository, "rev-parse", "HEAD")
    assert changed_files(repository, old, new) == (
        FileChange(path="a name.py", added=2, deleted=1),
        FileChange(path="gone.txt", added=0, deleted=1),
        FileChange(path="logo.png", added=None, deleted=None),
    )
    assert changed_files(repository, new, new) == ()
    assert changed_files(repository, "0" * 40, new) is None
    assert changed_files(repository, "--output=x", new) is None


def test_the_log_of_a_file_names_who_when_and_why(repository: Path) -> None:
    newest, oldest = file_log(repository, "a name.py", last=9) or ()
    assert (newest.author, newest.email, newest.subject) == ("Ben | O", "ben@shop.example", "second: é")
    assert newest.parent == oldest.commit
    assert oldest.parent is None
    assert newest.at[4] == "-"
    assert [c.subject for c in file_log(repository, "a name.py", last=1) or ()] == ["second: é"]
    assert file_log(repository, "*", last=9) == (), "a path is no pattern"


def test_git_that_takes_too_long_is_an_error_and_no_answer(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StoreError, match="git did not answer"):
        changed_files(repository, "a" * 40, "b" * 40, timeout_s=0.2)
