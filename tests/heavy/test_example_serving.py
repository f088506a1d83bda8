"""The serving example as a newcomer runs it, on the real invoices."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "examples.serving.demo"]
SIGNOFF = str(Path(sys.executable).with_name("signoff"))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The example's folder and what it printed."""
    folder = tmp_path_factory.mktemp("example") / "serving"
    done = subprocess.run(
        [*PROGRAM, "--dir", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=800
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


def log(folder: Path) -> list[Any]:
    done = subprocess.run(
        [SIGNOFF, "admin", "audit", "--format", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [row["entry"] for row in json.loads(done.stdout)]


@pytest.mark.timeout(900)
def test_a_good_canary_takes_over_and_a_failing_one_is_aborted(example: tuple[Path, str]) -> None:
    folder, _ = example
    verdicts = [entry["subject"] for entry in log(folder) if entry["action"] == "rollout"]
    assert verdicts == [
        "churn/2 in prod: advance",
        "churn/2 in prod: complete",
        "churn/3 in prod: abort",
    ]
    promoted = [
        e["detail"]["version"] for e in log(folder) if (e["action"], e["outcome"]) == ("promote", "allowed")
    ]
    assert promoted == [1, 2]


def test_the_aborted_model_failed_on_customers_that_the_evaluation_week_did_not_have(
    example: tuple[Path, str],
) -> None:
    _, output = example
    lines = [line.strip() for line in output.splitlines()]
    rescued = next(line for line in lines if line.endswith("no caller saw an error."))
    unknown = next(line for line in lines if line.endswith("their features are missing."))
    assert int(rescued.split()[0]) == int(unknown.split()[0]) > 0


def test_no_caller_saw_an_error(example: tuple[Path, str]) -> None:
    folder, output = example
    failed = [line.strip() for line in output.splitlines() if line.strip().endswith(" failed")]
    assert failed
    assert set(failed) == {"0 failed"}
    state = json.loads((folder / ".demo/state.json").read_text())
    assert state["rolled back"]["failed"] == "0"


def test_the_lineage_tells_of_both_canaries_and_the_rollback(example: tuple[Path, str]) -> None:
    folder, _ = example
    traced = subprocess.run(
        [SIGNOFF, "lineage", "churn/2", "--format", "json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    links = json.loads(traced.stdout)["links"]
    canaries = [link["name"].split(", statement")[0] for link in links if link["kind"] == "canary"]
    assert canaries == ["complete", "version 3 beside it: abort"]
    release = next(link for link in links if link["kind"] == "release")
    assert "revoked later by a rollback" in release["detail"]


def test_a_second_run_says_what_is_there(example: tuple[Path, str]) -> None:
    folder, _ = example
    again = subprocess.run(
        [*PROGRAM, "--dir", str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "7 of 7 steps were done earlier" in again.stdout
