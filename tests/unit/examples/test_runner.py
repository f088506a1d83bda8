from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "team folder"


def test_finished_steps_are_remembered(scripts: dict[str, ModuleType], folder: Path) -> None:
    module = scripts["runner"]
    folder.mkdir()
    first = module.Runner(folder=folder, console=Console(quiet=True), steps=2)
    assert not first.load()
    first.finish("first", run="abc")
    second = module.Runner(folder=folder, console=Console(quiet=True), steps=2)
    assert second.load()
    assert second.state == {"first": {"run": "abc"}}


def test_a_command_runs_in_the_folder_without_the_callers_settings(
    scripts: dict[str, ModuleType], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("SIGNOFF_KEY", "~/.ssh/mine")
    folder.mkdir()
    code = "import os; print(os.getcwd()); print([n for n in os.environ if n in ('MLFLOW_TRACKING_URI', 'SIGNOFF_KEY')])"
    done = (
        scripts["runner"]
        .Runner(folder=folder, console=Console(quiet=True), steps=1)
        .run(["python", "-c", code])
    )
    assert done.output.splitlines() == [str(folder), "[]"]
    assert done.find(r"^(\[.*\])$") == "[]"


def test_an_exit_code_that_the_story_does_not_expect_stops_it(
    scripts: dict[str, ModuleType], folder: Path
) -> None:
    module = scripts["runner"]
    folder.mkdir()
    stage = module.Runner(folder=folder, console=Console(quiet=True), steps=1)
    refuse = ["python", "-c", "print('why'); raise SystemExit(1)"]
    assert stage.run(refuse, expect=1).output == "why\n"
    with pytest.raises(module.DemoError, match="exit code 1; the demo expected 0"):
        stage.run(refuse)
    assert [path.read_text().splitlines()[1] for path in sorted((folder / module.LOG).iterdir())] == [
        "why",
        "why",
    ]
