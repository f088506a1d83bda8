"""Against a real git, in folders of its own."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from signoff.adapters.git import GitState, find_repository, read_email, read_state

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ben", "-c", "user.email=ben@shop.example", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "team"
    root.mkdir()
    git(root, "init", "-q")
    (root / "train.py").write_text("print(1)\n")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


@needs_git
def test_a_clean_tree(repository: Path) -> None:
    assert read_state(repository) == GitState(
        commit=git(repository, "rev-parse", "HEAD"), branch="main", dirty=False
    )


@needs_git
@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        ("train.py", True),
        ("new.py", True),
        ("deep/new.py", True),
        ("mlruns/0/meta.yaml", False),
        ("deep/mlartifacts/1/model.skops", False),
        ("mlflow.db", False),
        ("mlflow.db-wal", False),
    ],
)
def test_everything_but_mlflows_own_files_makes_it_dirty(repository: Path, path: str, *, dirty: bool) -> None:
    file = repository / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("changed\n")
    state = read_state(repository)
    assert state is not None
    assert state.dirty is dirty


@needs_git
def test_a_detached_head_has_no_branch_and_a_new_repository_no_commit(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "checkout", "-q", "--detach")
    for with_dirty in (True, False):
        state = read_state(repository, with_dirty=with_dirty)
        assert state is not None
        assert state.branch is None
        assert state.commit == git(repository, "rev-parse", "HEAD")
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert read_state(empty) == GitState(commit=None, branch="main", dirty=False)


@needs_git
def test_a_status_that_takes_too_long_still_gives_the_commit(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("git")
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *--porcelain*) exec sleep 30 ;; esac\nexec {real} "$@"\n')
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    commit = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    assert read_state(repository, timeout_s=1.0) == GitState(commit=commit, branch="main", dirty=None)


@needs_git
def test_asking_takes_no_lock_and_ignores_a_hooks_git_dir(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / ".git" / "index.lock").write_text("")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    state = read_state(repository)
    assert state is not None
    assert state.dirty is False


def test_without_git_there_is_no_state_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / ".git").mkdir()
    assert find_repository(tmp_path / "a" / "b") == tmp_path
    assert read_state(tmp_path) is None
    assert read_email(tmp_path) is None


@needs_git
def test_a_broken_repository_has_no_state(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert read_state(tmp_path) is None


@needs_git
def test_the_address_is_the_repositorys_own(repository: Path) -> None:
    git(repository, "config", "user.email", "eva@shop.example")
    assert read_email(repository) == "eva@shop.example"
