"""README and docs against the code: what is shown works, and what there is, is said."""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import get_args

import click
import pytest

import signoff
from signoff.apps.cli.main import COMMANDS
from signoff.apps.cli.main import signoff as command_line
from signoff.evidence.audit import Problem
from signoff.evidence.roster import parse_roster
from signoff.record.digest import Json
from signoff.standard import defaults, schema, schema_deployment, schema_guard
from signoff.standard.load import load_standard
from signoff.standard.metrics import METRICS
from signoff.standard.model import MarginRule
from signoff.standard.names import SHIPPED_TYPES
from signoff.standard.shape import Section, about_of, is_required
from signoff.standard.strict_yaml import load_yaml

ROOT = Path(__file__).parents[2]
CODE = ROOT / "src/signoff"
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"))
)
_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\((?P<to>[^)\s]+)\)")
_CELLS = re.compile(r"(?<!\\)\|")


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def prose_of(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def section_of(page: str, title: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    parts = re.split(r"^#+ (.+)$", prose_of(page), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert title in found, f"{page} has no heading {title!r}"
    return found[title]


def rows_in(text: str) -> list[list[str]]:
    """The cells of all table rows, headers and rules left out."""
    lines = text.splitlines()
    rows = [
        line
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("|") and not set(line) <= set("|-: ") and not after.startswith("|---")
    ]
    return [[cell.strip() for cell in _CELLS.split(row)[1:-1]] for row in rows]


def first_codes(text: str) -> list[str]:
    """What stands in backticks at the start of each table row."""
    return [found[1] for row in rows_in(text) if (found := re.match(r"`([^`]+)`", row[0]))]


# --- standards and rosters


def yaml_blocks() -> Iterator[object]:
    for page in PAGES:
        for block in _FENCE.finditer(text_of(page)):
            if block["kind"] == "yaml":
                line = text_of(page).count("\n", 0, block.start()) + 2
                yield pytest.param(block["body"], id=f"{page}:{line}")


def whole_standard(part: dict[str, Json]) -> str:
    """A part of a standard laid over the smallest one: at its top, or into its use case."""
    use_case: dict[str, Json] = {
        "owner": "ana@shop.example",
        "type": "classification",
        "evaluate": {"data": "eval/week.parquet", "label": "churned"},
        "primary": {"metric": "roc_auc", "no_worse_than": 0.01},
    }
    top: dict[str, Json] = {"signoff": 1, "profile": "small"}
    at_top = {field.name for field in fields(schema.StandardDocument)}
    (top if set(part) <= at_top else use_case).update(part)
    return json.dumps({**top, "use_cases": {"churn": use_case}})


@pytest.mark.parametrize("block", yaml_blocks())
def test_every_yaml_block_is_a_sound_standard_or_roster(block: str) -> None:
    value = load_yaml(block, "block").value
    assert isinstance(value, dict)
    if "people" in value:
        assert parse_roster(block, "signoff.roster.yaml").people
    elif "signoff" in value:
        assert load_standard(block, "signoff.yaml").use_cases
    else:
        assert load_standard(whole_standard(value), "signoff.yaml").use_cases


def test_the_readme_begins_with_a_short_standard_and_a_refused_gate() -> None:
    kinds = [block["kind"] for block in _FENCE.finditer(text_of("README.md"))]
    first, refused = list(_FENCE.finditer(text_of("README.md")))[:2]
    assert kinds[:2] == ["yaml", "text"]
    assert 8 <= first["body"].count("\n") <= 12
    assert "<!-- refused gate: filled from make demo -->\n```text" in text_of("README.md")
    assert re.search(r"^FAIL {2}slice\(", refused["body"], re.MULTILINE)


# --- commands


def commands_in(page: str) -> Iterator[tuple[str, bool]]:
    """Each ``signoff …`` command of a page, and whether it is a whole line and not a word in a sentence."""
    blocks = [block["body"] for block in _FENCE.finditer(text_of(page))]
    for body in (*blocks, *_INDENTED.findall(prose_of(page))):
        for line in body.replace("\\\n", " ").splitlines():
            if found := re.match(r"\s*(?:\$ )?(signoff [a-z].*)", line):
                yield found[1], True
    for span in _SPAN.findall(prose_of(page)):
        if span.startswith("signoff "):
            yield span, False


def all_commands() -> list[tuple[str, str, bool]]:
    """Of all pages; ``signoff COMMAND --help`` stands for any of them."""
    return [
        (page, command, whole)
        for page in PAGES
        for command, whole in commands_in(page)
        if not command.startswith("signoff COMMAND")
    ]


def parse(command: str, *, whole: bool) -> None:
    """Let click parse a command without running it.

    Raises:
        click.ClickException: there is no such verb, option or argument, or one is missing.
    """
    words = shlex.split(command, comments=True)[1:]
    found: click.Command = command_line
    names = ["signoff"]
    while words and isinstance(found, click.Group) and not words[0].startswith("-"):
        name = words.pop(0)
        inner = found.get_command(click.Context(found), name)
        if inner is None:
            raise click.UsageError(f"no command {' '.join((*names, name))}")
        found = inner
        names.append(name)
    if not words and not whole:
        return  # a verb that is only mentioned
    if words != ["--help"]:
        found.make_context(" ".join(names), words)


@pytest.mark.parametrize(
    ("page", "command", "whole"), all_commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_shown_parses(page: str, command: str, whole: bool) -> None:  # noqa: FBT001
    try:
        parse(command, whole=whole)
    except click.ClickException as error:
        pytest.fail(f"{page}: {command}: {error.format_message()}")


@pytest.mark.parametrize(
    "command",
    [
        "signoff verify churn",
        "signoff promote churn/3 --force",
        "signoff standard lint",
        "signoff propose",
        "signoff admin audit --last none",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    with pytest.raises(click.ClickException):
        parse(command, whole=True)


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    found = {(page, whole) for page, _, whole in all_commands()}
    assert {("README.md", True), ("README.md", False), ("docs/release.md", True)} <= found


def leaves(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each command that can be given, and its line in the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from leaves(found, (*names, name))
        else:
            line = found.get_short_help_str(limit=200) if names else COMMANDS[name][1]
            yield " ".join((*names, name)), line


def test_the_readme_lists_every_verb_with_its_line_of_help() -> None:
    listed = {
        row[1].strip("`").removeprefix("signoff "): row[2]
        for row in rows_in(section_of("README.md", "Verbs"))
    }
    assert listed == dict(leaves(command_line))


def test_the_readme_names_every_function_of_the_package() -> None:
    named = set(re.findall(r"`signoff\.(\w+)\(", text_of("README.md")))
    assert named == set(signoff.__all__)


def test_the_make_targets_and_benchmarks_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*(?: [a-z][a-z-]*)*):", text_of("Makefile"), re.MULTILINE))
    known = {name for line in targets for name in line.split()}
    for page in PAGES:
        shown = " ".join((*_SPAN.findall(prose_of(page)), *_INDENTED.findall(prose_of(page))))
        for called in re.findall(r"\bmake ([a-z][a-z-]*)", shown):
            assert called in known, f"{page}: make {called}"
        for name in re.findall(r"NAME=(\w+)", shown):
            assert (ROOT / "benchmarks" / f"{name}.py").is_file(), f"{page}: {name}"


# --- links


def anchors_of(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_resolve(page: str) -> None:
    for link in _LINK.finditer(prose_of(page)):
        target, _, anchor = link["to"].partition("#")
        if "://" in target:
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {link['to']}"
        assert not anchor or anchor in anchors_of(path), f"{page}: {link['to']}"


def test_every_decision_record_is_listed() -> None:
    listed = set(_LINK.findall(text_of("docs/adr/README.md")))
    assert {path.name for path in (ROOT / "docs/adr").glob("0*.md")} == {
        name for name in listed if name.startswith("0")
    }


# --- reason codes


def calls_in(*folders: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call in the Python files of these folders, with the name that is called."""
    for folder in folders:
        for path in sorted((CODE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    yield getattr(node.func, "id", getattr(node.func, "attr", "")), node


def written(node: ast.expr) -> str | None:
    """A text as the docs write it, with a filled-in name in capitals; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (
            part.value
            if isinstance(part, ast.Constant)
            else ast.unparse(part.value).rpartition(".")[2].upper()
            for part in node.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )
        return "".join(str(part) for part in parts)
    return None


def codes_given(call: str, keyword: str, *folders: str) -> set[str]:
    """The codes that calls of this name give, by keyword or first in order."""
    found = set()
    for name, node in calls_in(*folders):
        if name == call:
            given = [k.value for k in node.keywords if k.arg == keyword] or node.args[:1]
            found |= {text for value in given if (text := written(value)) is not None}
    return found


def test_every_reason_of_the_code_is_in_the_docs_and_the_other_way_round() -> None:
    emitted = codes_given("Reason", "code", "release", "apps") | codes_given("_broken", "code", "release")
    titles = (
        "Who may",
        "Proposing",
        "Approving, rejecting, waiving",
        "Promoting",
        "Using a release",
        "Rolling back",
        "On a guarded server",
    )
    listed = [code for title in titles for code in first_codes(section_of("docs/release.md", title))]
    assert len(listed) == len(set(listed))
    assert set(listed) == emitted


def test_every_finding_of_check_is_in_the_docs_and_the_other_way_round() -> None:
    emitted = codes_given("Finding", "code", "conformance") | codes_given("_own", "code", "conformance")
    source = (CODE / "conformance/boundary.py").read_text("utf-8")
    emitted |= set(re.findall(r'"(experiment:\w+)"', source))
    assert set(first_codes(section_of("docs/release.md", "Findings of check"))) == emitted | {"KIND:NAME"}


def test_every_check_of_the_gate_is_in_the_docs_and_the_other_way_round() -> None:
    from signoff.gate.slices import check_names

    whole = MarginRule(metric="METRIC", mode="no_worse_than", margin=0.0)
    part = MarginRule(metric="METRIC", mode="no_worse_than", margin=0.0, by="COLUMN")
    emitted = {
        check_names(rule, value, prefix=prefix)[0]
        for prefix in ("", "measured")
        for rule, value in ((whole, None), (part, "VALUE"))
    }
    for call in ("CheckResult", "Question"):
        emitted |= codes_given(call, "id", "gate")
    emitted |= {code for code in codes_given("_check", "id", "gate") if ":" in code}
    assert set(first_codes(section_of("docs/release.md", "Checks of the gate"))) == emitted


def test_every_problem_of_the_audit_is_in_the_docs() -> None:
    assert first_codes(section_of("docs/release.md", "Problems of the audit log")) == [*get_args(Problem)]


def test_every_error_is_in_the_docs() -> None:
    tree = ast.parse((CODE / "errors.py").read_text("utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef)} - {"SignoffError", "Fault"}
    assert set(first_codes(section_of("docs/release.md", "Exit code 2"))) == names


# --- the reference of the standard

SECTIONS: dict[str, tuple[type[Section], ...]] = {
    "The file": (schema.StandardDocument,),
    "A use case": (schema.UseCaseSection,),
    "evaluate": (schema.EvaluateSection,),
    "primary": (schema.PrimarySection,),
    "slices": (schema.SliceSection,),
    "thresholds": (schema.ThresholdSection,),
    "gate": (schema.GateSection,),
    "batch": (schema_deployment.BatchSection,),
    "serving": (schema_deployment.ServingSection,),
    "canary": (schema_deployment.CanarySection,),
    "canary steps": (schema_deployment.CanaryStepSection,),
    "load": (schema_deployment.LoadSection,),
    "monitors": (schema_deployment.MonitorSection,),
    "Environments": (schema_deployment.EnvironmentSection,),
    "Roles": (schema.RoleSection,),
    "Guard": (schema_guard.GuardSection,),
    "What runs must carry": (schema.RequireSection, schema.RequirementSection),
    "Model types of your own": (schema.ModelTypeSection,),
}


@pytest.mark.parametrize("title", SECTIONS)
def test_the_reference_says_of_each_key_what_the_schema_says(title: str) -> None:
    wanted = [
        [f"`{field.name}`", "yes" if is_required(field) else "no", about_of(field).description]
        for section in SECTIONS[title]
        for field in fields(section)  # type: ignore[arg-type]  # every section is a dataclass
    ]
    shown = [row for row in rows_in(section_of("docs/standard.md", title)) if len(row) == 4]
    assert [[row[0], row[2], row[3]] for row in shown] == wanted


REQUIREMENTS = {
    "Baseline, of every run": defaults.baseline(),
    "With `window: true`": defaults.window(),
    **{f"Model type {name}": defaults.model_type(name).requires for name in SHIPPED_TYPES},
}


@pytest.mark.parametrize("title", REQUIREMENTS)
def test_the_reference_lists_what_runs_must_carry(title: str) -> None:
    wanted = [[f"`{r.kind}:{r.name}`", r.since, r.why] for r in REQUIREMENTS[title]]
    assert rows_in(section_of("docs/standard.md", title)) == wanted


def test_the_reference_lists_the_metrics_of_the_gate() -> None:
    rows = rows_in(section_of("docs/standard.md", "Metrics of the gate"))
    assert [(row[0], row[2], row[3] == "yes") for row in rows] == [
        (f"`{metric.name}`", "higher" if metric.higher_is_better else "lower", metric.paired)
        for metric in METRICS.values()
    ]


def test_the_reference_lists_the_environment_variables() -> None:
    used = {
        name
        for path in CODE.rglob("*.py")
        for name in re.findall(r'"(SIGNOFF_[A-Z_]+|MLFLOW_TRACKING_[A-Z]+)"', path.read_text("utf-8"))
    }
    listed = set(re.findall(r"`([A-Z_]+)`", section_of("docs/standard.md", "Environment variables")))
    assert listed == used


# --- the folders


def test_the_architecture_names_every_folder_in_the_order_of_the_contract() -> None:
    settings = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]
    layers = settings["contracts"][0]["layers"]
    path = " ← ".join(layer.removeprefix("signoff.") for layer in reversed(layers))
    assert f"    {path}\n" in text_of("docs/architecture.md")
    listed = first_codes(section_of("docs/architecture.md", "The folders"))
    there = {p.name + "/" for p in CODE.iterdir() if (p / "__init__.py").is_file()}
    there |= {p.name for p in CODE.glob("*.py")} - {"__init__.py"}
    inside = {p.name + "/" for p in (CODE / "apps").iterdir() if (p / "__init__.py").is_file()}
    assert there <= set(listed)
    assert {name for name in listed if name.endswith("/")} == {n for n in there if n.endswith("/")} | inside


def test_no_page_uses_an_em_dash() -> None:
    assert [page for page in PAGES if "\N{EM DASH}" in text_of(page)] == []
