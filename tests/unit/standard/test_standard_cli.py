import json
import os
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from team_standards import MINIMAL

from signoff.apps.cli.init import init, write_new
from signoff.apps.cli.standard import standard
from signoff.apps.standard_file import find_standard, read_standard
from signoff.errors import StandardError, UsageError
from signoff.evidence.roster import parse_roster
from signoff.standard.load import load_standard
from signoff.standard.names import SHIPPED_TYPES
from signoff.standard.scaffold import scaffold, scaffold_roster
from signoff.standard.strict_yaml import load_yaml

NAMES = ("signoff.yaml", "signoff.roster.yaml", ".signoff/schema.json", ".gitignore")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIGNOFF_STANDARD", raising=False)
    return tmp_path


def run(command: object, *args: str) -> str:
    result = CliRunner().invoke(command, args, catch_exceptions=False)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.output


def test_init_writes_files_that_are_valid_and_says_what_comes_next(folder: Path) -> None:
    output = run(init, "--use-case", "churn", "--owner", "ana@shop.example", "--profile", "mid")
    assert [name for name in NAMES if not (folder / name).is_file()] == []
    assert "signoff check churn" in output
    loaded = read_standard(find_standard(None))
    assert (loaded.profile, list(loaded.use_cases)) == ("mid", ["churn"])
    assert (
        (folder / "signoff.yaml")
        .read_text()
        .startswith("# yaml-language-server: $schema=.signoff/schema.json\n")
    )
    assert json.loads((folder / ".signoff/schema.json").read_text())["title"] == "Signoff standard"
    people = parse_roster((folder / "signoff.roster.yaml").read_text(), "r").people
    assert [(person.email, person.keys) for person in people] == [("ana@shop.example", ())]
    assert "mlflow.db" in (folder / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", NAMES[:3])
def test_init_overwrites_nothing_and_then_writes_nothing(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(UsageError, match="already exists; nothing was written"):
        run(init, "--use-case", "churn", "--owner", "Ana")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [(path.relative_to(folder).as_posix(), path.read_text()) for path in files] == [(name, "mine")]


def test_files_are_written_all_or_none(folder: Path) -> None:
    (folder / "blocked").write_text("a file, not a folder")
    with pytest.raises(UsageError, match="nothing was left behind"):
        write_new({folder / "new/a": "1", folder / "blocked/b": "2"})
    assert [path.name for path in folder.rglob("*")] == ["blocked"]


def test_a_gitignore_gains_only_what_it_lacks(folder: Path) -> None:
    (folder / ".gitignore").write_text("*.pyc\n/mlruns")
    run(init, "--use-case", "churn", "--owner", "Ana")
    assert (folder / ".gitignore").read_text().splitlines() == [
        "*.pyc",
        "/mlruns",
        "mlflow.db",
        "mlflow.db-*",
        "ledger.db",
        "ledger.db-*",
        "mlartifacts/",
        "basic_auth.db",
        ".signoff-server-secret",
        "keys/",
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--use-case", "a/b", "--owner", "Ana"), "cannot name a use case"),
        (("--use-case", "churn", "--owner", "ana@"), "cannot be an owner"),
        (
            ("--use-case", "churn", "--owner", "Ana", "--type", "vision"),
            "shipped types are classification, regression, forecasting",
        ),
        (
            ("--use-case", "churn", "--owner", "Ana", "--type", "clasification"),
            "did you mean `classification`?",
        ),
        (("--use-case", "ana", "--owner", "ana@shop.example"), "named after a person"),
    ],
)
def test_init_refuses_what_no_standard_can_hold(folder: Path, args: tuple[str, ...], words: str) -> None:
    with pytest.raises((UsageError, StandardError)) as caught:
        run(init, *args)
    assert words in str(caught.value)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("profile", ["small", "mid", "enterprise"])
@pytest.mark.parametrize("model_type", SHIPPED_TYPES)
@pytest.mark.parametrize(
    ("use_case", "owner"), [("churn", "ana@shop.example"), ("1e3", 'Ana "A." #1: O\'Neil'), ("null", "true")]
)
def test_every_scaffold_loads_and_so_do_its_comments(
    profile: str, model_type: str, use_case: str, owner: str
) -> None:
    text = scaffold(profile, model_type, use_case, owner)
    rules = load_standard(text, "signoff.yaml").use_cases[use_case]
    assert (rules.owner, rules.model_type) == (owner, model_type)
    full = re.sub(r"(?m)^( *)# ( *)(?=- |[a-z_]+:)", r"\1\2", text)
    everything = load_standard(full, "signoff.yaml").use_cases[use_case]
    assert everything.gate.slices
    assert everything.gate.thresholds
    assert everything.batch is not None
    assert everything.experiments[1] == f"{use_case}/retraining"
    assert load_yaml(scaffold_roster(owner), "r").value is not None


def test_the_standard_is_looked_for_in_one_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    for place in (folder, below):
        (place / "signoff.yaml").write_text("x")
    (folder / "other.yaml").write_text("x")
    monkeypatch.chdir(folder / "a")
    assert find_standard(None) == folder / "signoff.yaml"
    monkeypatch.setenv("SIGNOFF_STANDARD", "b/signoff.yaml")
    assert find_standard(None) == below / "signoff.yaml"
    assert find_standard("../other.yaml").samefile(folder / "other.yaml")
    assert find_standard(str(folder)).samefile(folder / "signoff.yaml")


@pytest.mark.parametrize("given", [None, "missing.yaml"])
def test_without_a_standard_the_way_to_one_is_shown(folder: Path, given: str | None) -> None:
    with pytest.raises(UsageError, match="signoff init"):
        find_standard(given)


def test_a_wrong_variable_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_STANDARD", "gone.yaml")
    with pytest.raises(UsageError, match="SIGNOFF_STANDARD names a file that does not exist"):
        find_standard(None)


def test_a_file_that_is_not_text_is_a_fault_with_its_line(folder: Path) -> None:
    path = folder / "signoff.yaml"
    path.write_bytes(b"signoff: 1\nname: \xff\n")
    with pytest.raises(StandardError) as caught:
        read_standard(path)
    assert [(fault.line, fault.message) for fault in caught.value.faults] == [(2, "not UTF-8 text")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_a_fault(folder: Path) -> None:
    path = folder / "signoff.yaml"
    path.write_text("x")
    path.chmod(stat.S_IWUSR)
    with pytest.raises(StandardError, match="cannot be read"):
        read_standard(path)


def test_check_says_that_all_is_well_or_lists_every_fault(folder: Path) -> None:
    path = folder / "signoff.yaml"
    path.write_text(MINIMAL)
    assert run(standard, "check") == "signoff.yaml: valid; version 1, profile small, 1 use case: churn\n"
    path.write_text(MINIMAL.replace("small", "big").replace("recall", "recal"))
    with pytest.raises(StandardError) as caught:
        run(standard, "check", "--standard", str(path))
    assert len(caught.value.faults) == 2


def test_show_prints_the_file_or_the_resolved_rules(folder: Path) -> None:
    (folder / "signoff.yaml").write_bytes(MINIMAL.replace("\n", "\r\n").encode())
    assert run(standard, "show").replace("\r\n", "\n") == MINIMAL
    assert "type classification" in run(standard, "show", "--resolved")
    document = json.loads(run(standard, "show", "--resolved", "--use-case", "churn", "--format", "json"))
    assert document["path"] == "signoff.yaml"
    with pytest.raises(UsageError, match="--resolved"):
        run(standard, "show", "--format", "json")


def test_schema_is_printed_without_a_standard(folder: Path) -> None:
    assert json.loads(run(standard, "schema"))["title"] == "Signoff standard"
