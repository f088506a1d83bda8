"""The support documents, told from an empty folder."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIGNOFF = str(Path(sys.executable).with_name("signoff"))
BOUND = 10.0
pytestmark = pytest.mark.timeout(900)


def signoff(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SIGNOFF, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("example") / "tickets"
    done = subprocess.run(
        [sys.executable, "-m", "examples.tickets.demo", "--dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


def state(folder: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((folder / ".demo/state.json").read_text("utf-8"))
    return found


def limits(text: str) -> tuple[float, float]:
    found = re.search(r"\[([0-9.]+), ([0-9.]+)\]", text)
    assert found is not None, text
    return float(found[1]), float(found[2])


def test_the_strongest_is_released_only_when_it_is_surely_fast_enough(told: tuple[Path, str]) -> None:
    strongest = state(told[0])["strongest"]
    assert "PASS" in strongest["quality"]
    lower, upper = limits(strongest["reason"])
    assert (strongest["verdict"] == "passed") == (upper <= BOUND)
    assert ("FAIL" in strongest["reason"]) == (lower > BOUND)


def test_a_label_map_in_another_order_is_refused(told: tuple[Path, str]) -> None:
    assert state(told[0])["renumbered"]["reason"].startswith("FAIL stable(labels)")


def test_what_routes_the_inbox_went_through_test_and_verifies(told: tuple[Path, str]) -> None:
    folder, _ = told
    version = state(folder)["successor"]["version"]
    shown = signoff(folder, "lineage", "routed/documents", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    states = re.findall(r'"state": "([a-z-]+)"', shown.stdout)
    assert "verified" in states
    assert set(states) <= {"verified", "recorded"}
    status = json.loads(signoff(folder, "status", "--format", "json").stdout)
    environments = {row["environment"]: row["version"] for row in status[0]["environments"]}
    assert environments["test"] == environments["prod"] == int(version.split("/")[1])


def test_a_second_telling_finds_everything_done(told: tuple[Path, str]) -> None:
    folder, _ = told
    again = subprocess.run(
        [sys.executable, "-m", "examples.tickets.demo", "--dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert again.returncode == 0, again.stderr
    assert "6 of 6 steps were done earlier" in again.stdout
