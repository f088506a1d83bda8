"""The guard on the lowest and the highest MLflow that it supports.

The wheel is laid over the installed MLflow for one run of the guard's own tests; nothing is installed. MLflow's wheel
holds the whole package, so the overlay is that version; only its dependencies are those of the lock file.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from examples.wheels import Member, cache_folder, fetch

ROOT = Path(__file__).resolve().parents[2]
GUARD_TESTS = ("test_guard_hooks.py", "test_guard_hooks_unforeseen.py", "test_guard_bypass.py")


def release(version: str, wheel: str, member: str) -> Member:
    """MLflow's wheel of a version, pinned."""
    return Member(
        package="mlflow",
        version=version,
        wheel=f"mlflow-{version}-py3-none-any.whl",
        wheel_sha256=wheel,
        member="mlflow/version.py",
        member_sha256=member,
        size="12 MB",
    )


VERSIONS = (
    release(
        "3.16.1",
        "e4dfe69ceae31dfc7b8480e76ffe6a7f36752bdfac30e058e6430ade1fb5920b",
        "ae07fb62e38ff647d29e20271530e9ef6fb93533f29b142303b14cafe99746f3",
    ),
    release(
        "3.18.0",
        "be7d84ba0d0b12392f5b53260cdb3e6d7b7ef4b80c29da90a89b5a1f6db7102f",
        "c97c3698005db397c5133ea073c0d779471afa9725068de9b166a03159ec6cac",
    ),
)


@pytest.fixture(params=VERSIONS, ids=lambda member: member.version)
def overlay(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A version's package in a folder of its own."""
    member: Member = request.param
    fetch(member)
    with zipfile.ZipFile(cache_folder() / member.wheel) as wheel:
        wheel.extractall(tmp_path / "overlay")
    return member.version, tmp_path / "overlay"


@pytest.mark.timeout(900)
def test_the_guard_holds_on_the_lowest_and_the_highest_version(
    overlay: tuple[str, Path], tmp_path: Path
) -> None:
    version, folder = overlay
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    asked = "import mlflow; print(mlflow.__version__)"
    found = subprocess.run(
        [sys.executable, "-c", asked],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == version
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not postgres", "-p", "no:cacheprovider"]
    command += [str(ROOT / "tests" / "integration" / name) for name in GUARD_TESTS]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
