"""The assistant example as a newcomer runs it, killed once and started again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "examples.assistant.demo"]
SIGNOFF = str(Path(sys.executable).with_name("signoff"))

pytestmark = [
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="the documents are Debian packages"),
    pytest.mark.timeout(1800),
]


def signoff(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SIGNOFF, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The example's folder and the output of the run that completed it; the first run was killed."""
    folder = tmp_path_factory.mktemp("example") / "assistant"
    command = [*PROGRAM, "--dir", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("[4/7]"):
                os.killpg(first.pid, signal.SIGKILL)
                break
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    return folder, again.stdout


def test_the_second_run_goes_on_where_the_first_was_killed(example: tuple[Path, str]) -> None:
    _, printed = example
    assert "3 of 7 steps were done earlier" in printed
    assert "[3/7] Words: the first release, through test into production  (done earlier)" in printed


def test_vectors_without_a_threshold_are_refused_for_answering_everything(example: tuple[Path, str]) -> None:
    _, printed = example
    refused = next(line for line in printed.splitlines() if line.strip().startswith("refused"))
    assert "slice(support=unsupported, abstention)" in refused


def test_an_exchanged_index_is_refused_and_named(example: tuple[Path, str]) -> None:
    _, printed = example
    exchanged = next(line for line in printed.splitlines() if line.strip().startswith("exchanged"))
    assert "component-changed: a component of assistant/2 changed since the release: index" in exchanged


def test_the_released_assistant_answers_and_abstains(example: tuple[Path, str]) -> None:
    import deltalake

    folder, _ = example
    rows = deltalake.DeltaTable(folder / "answers" / "inbox").to_pandas().set_index("query")
    assert rows["abstained"].loc["What is the best recipe for sourdough bread?"]
    answered = rows[~rows["abstained"]]
    assert len(answered) >= 4
    assert all(len(support) == 1 for support in answered["support"])


def test_what_is_in_production_is_the_second_version_and_the_log_verifies(example: tuple[Path, str]) -> None:
    folder, _ = example
    environments = json.loads(signoff(folder, "status", "--format", "json").stdout)[0]["environments"]
    assert [place["version"] for place in environments] == [None, 2, 2]
    assert signoff(folder, "admin", "audit", "--verify").returncode == 0


def test_nothing_of_the_example_is_left_uncommitted(example: tuple[Path, str]) -> None:
    folder, _ = example
    status = subprocess.run(
        ["git", "-C", str(folder), "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
