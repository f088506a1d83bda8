"""docs/workflow.md: each rule has its place in the standard, a command that exists, and a test that exists."""

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest
from test_docs import rows_in

from signoff.apps.cli.main import COMMANDS
from signoff.standard.schema import StandardDocument
from signoff.standard.shape import Section

ROOT = Path(__file__).resolve().parents[2]
ROWS = rows_in((ROOT / "docs/workflow.md").read_text("utf-8"))
RULES = [row[0] for row in ROWS]


def test_the_page_has_rules_and_no_rule_twice() -> None:
    assert len(RULES) > 40
    assert len(set(RULES)) == len(RULES)


@pytest.mark.parametrize("row", ROWS, ids=RULES)
def test_each_rule_has_a_place_a_command_and_tests(row: list[str]) -> None:
    _, places, commands, tests = row
    for place in _quoted(places):
        assert place == "signoff.roster.yaml" or _is_key(place.split(".")), place
    for command in _quoted(commands):
        assert _is_command(command.split()), command
    assert _quoted(commands)
    assert _quoted(tests)
    for test in _quoted(tests):
        file, _, name = test.partition("::")
        assert name in _tests_in(ROOT / "tests" / file), test


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _is_command(words: list[str]) -> bool:
    program, *rest = words
    if program == "make":
        return (
            re.search(rf"(?m)^{re.escape(rest[0])}( \S+)*:", (ROOT / "Makefile").read_text("utf-8"))
            is not None
        )
    if program == "signoff":
        return rest[0] in COMMANDS
    import mlflow

    import signoff

    name = command.split("(")[0] if (command := " ".join(words)) else ""
    owner = {"mlflow": mlflow, "signoff": signoff}[name.split(".")[0]]
    return hasattr(owner, name.split(".")[1])


def _is_key(path: list[str], section: object = StandardDocument) -> bool:
    """Whether the dotted path, without names that a team chooses, leads through the schema."""
    kind = _section_of(section)
    if not path:
        return True
    if kind is None:
        return False
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every section is a dataclass
    return path[0] in names and _is_key(path[1:], hints[path[0]])


def _section_of(hint: object) -> type[Section] | None:
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint if issubclass(hint, Section) else None
    found = (_section_of(part) for part in get_args(hint) if part is not Ellipsis)
    return next((kind for kind in found if kind is not None), None)


def _tests_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
