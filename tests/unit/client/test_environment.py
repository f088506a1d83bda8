import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from signoff.adapters.environment import current_environment, frozen_packages, platform_facts, runtime
from signoff.record.digest import Digest


def test_the_package_list_is_that_of_the_interpreter() -> None:
    found: dict[str, str] = {}
    for one in distributions():
        found.setdefault(
            one.metadata["Name"].lower().replace("_", "-"), f"{one.metadata['Name']}=={one.version}\n"
        )
    assert frozen_packages() == "".join(sorted(found.values()))


def test_a_package_installed_while_the_notebook_runs_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = frozen_packages()
    folder = tmp_path / "new_thing-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: New.Thing\nVersion: 1.2\n\nVersion: 9\n")
    assert sorted({*frozen_packages().splitlines()} - {*before.splitlines()}) == ["New.Thing==1.2"]


def test_a_file_written_beside_the_script_does_not_make_it_look_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = frozen_packages()
    (tmp_path / "mlflow.db-journal").write_text("")
    assert frozen_packages() is before


def test_the_first_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("1", "2"):
        folder = tmp_path / number / "some_thing.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: some-thing\nVersion: {number}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "1"), str(tmp_path / "2")])
    assert frozen_packages() == "some-thing==1\n"


def test_the_digest_is_that_of_the_attached_file() -> None:
    environment = current_environment({}, full=False)
    assert environment.digest == Digest.of(environment.packages.encode())
    assert environment.platform == {}


def test_runtime_names_the_libraries_people_ask_for() -> None:
    packages = "Flask==3.0\nmlflow==3.17.2\nscikit_learn==1.9.0\n"
    assert runtime(packages, {}) == "mlflow 3.17.2; scikit-learn 1.9.0"
    assert runtime("mlflow-skinny==3.17.2\n", {}) == "mlflow 3.17.2"
    assert runtime("", {"DATABRICKS_RUNTIME_VERSION": "16.4"}) == "databricks 16.4"


def test_only_harmless_variables_are_recorded() -> None:
    facts = platform_facts({"AWS_SECRET_ACCESS_KEY": "s3cret", "TZ": "UTC", "SIGNOFF_IMAGE": "team/train:7"})
    assert facts["variables"] == "TZ=UTC"
    assert facts["image"] == "team/train:7"
    assert "s3cret" not in repr(facts)
    assert int(facts["cpus"]) >= 1
    assert all(facts.values())
