from pathlib import Path

import pytest
from rich.console import Console

from examples.runner import LOG, DemoError, Runner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "team folder"


def test_finished_steps_are_remembered(folder: Path) -> None:
    folder.mkdir()
    first = Runner(folder=folder, console=Console(quiet=True), steps=2, target="demo")
    assert not first.load()
    first.finish("first", run="abc")
    second = Runner(folder=folder, console=Console(quiet=True), steps=2, target="demo")
    assert second.load()
    assert second.state == {"first": {"run": "abc"}}


def test_a_command_runs_in_the_folder_without_the_callers_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("SIGNOFF_KEY", "~/.ssh/mine")
    folder.mkdir()
    code = "import os; print(os.getcwd()); print([n for n in os.environ if n in ('MLFLOW_TRACKING_URI', 'SIGNOFF_KEY')])"
    done = Runner(folder=folder, console=Console(quiet=True), steps=1, target="demo").run(
        ["python", "-c", code]
    )
    assert done.output.splitlines() == [str(folder), "[]"]
    assert done.find(r"^(\[.*\])$") == "[]"


def test_an_exit_code_that_the_story_does_not_expect_stops_it(
    folder: Path,
) -> None:
    folder.mkdir()
    stage = Runner(folder=folder, console=Console(quiet=True), steps=1, target="demo")
    refuse = ["python", "-c", "print('why'); raise SystemExit(1)"]
    assert stage.run(refuse, expect=1).output == "why\n"
    with pytest.raises(DemoError, match="exit code 1; the example expected 0"):
        stage.run(refuse)
    assert [path.read_text().splitlines()[1] for path in sorted((folder / LOG).iterdir())] == [
        "why",
        "why",
    ]
