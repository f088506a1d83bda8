"""The demo as a newcomer runs it, killed half-way and started again."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "examples.churn.demo"]
SIGNOFF = str(Path(sys.executable).with_name("signoff"))


def signoff(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SIGNOFF, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's folder and the output of the run that completed it."""
    folder = tmp_path_factory.mktemp("demo") / "churn"
    with subprocess.Popen(
        [*PROGRAM, "--dir", str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
    ) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("[4/13]"):
                os.killpg(first.pid, signal.SIGKILL)
                break
    again = subprocess.run(
        [*PROGRAM, "--dir", str(folder)], capture_output=True, text=True, check=False, timeout=480, cwd=ROOT
    )
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    return folder, again.stdout


@pytest.mark.timeout(900)
def test_a_killed_demo_resumes_where_it_was(demo: tuple[Path, str]) -> None:
    _, output = demo
    assert output.startswith("Resumed")
    assert "3 of 13 steps were done earlier" in output


def test_the_refused_run_was_never_registered_and_its_successor_is(demo: tuple[Path, str]) -> None:
    folder, output = demo
    refused = next(line.split()[1] for line in output.splitlines() if line.strip().startswith("refused"))
    log = json.loads(signoff(folder, "admin", "audit", "--format", "json").stdout)
    of_refused = [row["entry"] for row in log if refused in row["entry"]["subject"]]
    assert ("propose", "refused") in [(entry["action"], entry["outcome"]) for entry in of_refused]
    assert not any(entry["action"] == "propose" and entry["outcome"] == "allowed" for entry in of_refused)


def test_what_is_in_production_traces_to_everything_it_rests_on(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    for target in ("churn@prod", "predictions/churn"):
        traced = signoff(folder, "lineage", target, "--format", "json")
        assert traced.returncode == 0, traced.stdout
        states = {link["kind"]: link["state"] for link in json.loads(traced.stdout)["links"]}
        verified = {"release", "version", "model", "gate", "approval", "proposal", "log"}
        assert {states[kind] for kind in verified} == {"verified"}


def test_the_readme_shows_the_refused_gate_as_the_demo_prints_it(demo: tuple[Path, str]) -> None:
    folder, output = demo
    refused = next(line.split()[1] for line in output.splitlines() if line.strip().startswith("refused"))
    logs = (path.read_text() for path in sorted((folder / ".demo/log").iterdir()))
    printed = next(text for text in logs if f"signoff gate {refused}" in text)
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- refused gate: filled from make demo -->")[1].split("```")[1]
    shown = [line for line in block.splitlines()[2:] if line and not line.startswith("[exit code")]
    assert len(shown) > 10
    missing = [line for line in shown if _without_ids(line) not in _without_ids(printed)]
    assert missing == []


def _without_ids(text: str) -> str:
    return re.sub(r"\b(m-)?[0-9a-f]{8,}\b", "#", text)


def test_later_weeks_fire_by_themselves_and_what_follows_goes_through_the_gate(
    demo: tuple[Path, str],
) -> None:
    folder, output = demo
    log = [row["entry"] for row in json.loads(signoff(folder, "admin", "audit", "--format", "json").stdout)]
    fired = [entry for entry in log if entry["action"] == "trigger"]
    assert {entry["detail"]["monitor"] for entry in fired} == {"precision"}
    ended = [e["statement"] for e in log if e["action"] == "act" and e["detail"]["progress"] == "done"]
    assert ended == [entry["statement"] for entry in fired]
    told = [line.split() for line in output.splitlines() if line.strip().startswith("fired ")]
    assert [(words[1].rstrip(":"), words[5].rstrip(";")) for words in told] == [
        ("2011-11-07", "inconclusive"),
        ("2011-12-05", "pass"),
    ]
    traced = json.loads(signoff(folder, "lineage", "churn/4", "--format", "json").stdout)["links"]
    run = next(link for link in traced if link["kind"] == "run")
    assert any("a monitor fired" in line for line in run["detail"])
    before = json.loads(signoff(folder, "lineage", "churn/3", "--format", "json").stdout)["links"]
    assert len([link for link in before if link["kind"] == "trigger"]) == len(fired)


def test_the_release_that_followed_was_taken_back(demo: tuple[Path, str]) -> None:
    folder, output = demo
    assert "taken back from version 4 to version 3, as a drill" in output
    prod = json.loads(signoff(folder, "status", "--format", "json").stdout)[0]["environments"][-1]
    assert prod["version"] == 3
    assert any(line.startswith("precision:") for line in prod["health"])


def test_the_audit_log_verifies(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    assert signoff(folder, "admin", "audit", "--verify").returncode == 0


def test_nothing_of_the_demo_is_left_uncommitted(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    status = subprocess.run(
        ["git", "-C", str(folder), "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_the_commands_it_suggests_work(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    own = signoff(folder, "approve", "churn/4", "--env", "prod", "--key", "keys/ana")
    assert own.returncode == 1
    assert "self-approval" in own.stdout
    before = json.loads(signoff(folder, "status", "--format", "json").stdout)[0]["environments"][-1]
    back = signoff(folder, "rollback", "churn", "--env", "prod", "--key", "keys/cleo", "--reason", "drill")
    assert back.returncode == 0, back.stdout + back.stderr
    after = json.loads(signoff(folder, "status", "--format", "json").stdout)[0]["environments"][-1]
    assert (before["version"], after["version"]) == (3, 2)
    assert signoff(folder, "predict", "churn").returncode == 0
