"""Adding to a standard's text: comments, order and every other byte stay as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from signoff.errors import StandardError
from signoff.standard.model import Kind

_KEYS: dict[Kind, str] = {
    "param": "params",
    "metric": "metrics",
    "tag": "tags",
    "artifact": "artifacts",
    "model": "model",
    "dataset": "datasets",
}
_STEP = 2
"""Columns that a new block is indented by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AddRequirement:
    """A requirement to be added to a use case.

    Attributes:
        use_case: its name.
        kind: what is required.
        name: its canonical name.
        accepts: further names that satisfy it.
        severity: whether its absence blocks or warns.
        reason: why, in one line; it becomes a comment.
    """

    use_case: str
    kind: Kind
    name: str
    accepts: tuple[str, ...]
    severity: Literal["block", "warn"]
    reason: str


class NotEditable(Exception):  # noqa: N818 - an answer, not an error
    """The text has a form that nothing can be added to without rewriting what people wrote."""


def add_requirement(text: str, change: AddRequirement) -> str:
    """The text with the requirement at the end of its list.

    Args:
        text: a standard that loads.
        change: what to add.

    Raises:
        NotEditable: the list stands in a form that nothing can be added to.
    """
    try:
        root = YAML(typ="rt").compose(text)
    except (YAMLError, StandardError) as error:
        raise NotEditable(str(error)) from error
    item = _item(change)
    path = ("use_cases", change.use_case, "require", _KEYS[change.kind])
    node: Node = root
    for depth, key in enumerate(path):
        if not isinstance(node, MappingNode):
            raise NotEditable(f"{'.'.join(path[:depth])} is no mapping")
        child = _value(node, key)
        if child is None:
            return _add_key(text, node, path[depth:], item, change.reason)
        node = child
    if not isinstance(node, SequenceNode):
        raise NotEditable(f"{'.'.join(path)} is no list")
    return _add_item(text, node, item, change.reason)


def _item(change: AddRequirement) -> str:
    """The requirement as one line of YAML."""
    if not change.accepts and change.severity == "block":
        return _scalar(change.name)
    fields = [f"name: {_scalar(change.name)}"]
    if change.accepts:
        fields.append(f"accepts: [{', '.join(map(_scalar, change.accepts))}]")
    if change.severity != "block":
        fields.append(f"severity: {change.severity}")
    return "{" + ", ".join(fields) + "}"


def _scalar(text: str) -> str:
    """A name in single quotes, in which YAML knows no escape but the doubled quote; bare when it is plain.

    Raises:
        NotEditable: it holds a character that has no place in a line, or nothing that can be seen.
    """
    if not text.isprintable():
        raise NotEditable("a name with control characters")
    if not text.strip():
        raise NotEditable("a name without characters")
    words = text.replace("_", "").replace("-", "")
    plain = words.isascii() and words.isalnum() and text[0].isalpha()
    known = text.casefold() in {"true", "false", "null", "yes", "no", "on", "off"}
    return text if plain and not known else "'" + text.replace("'", "''") + "'"


def _value(node: MappingNode, key: str) -> Node | None:
    pairs: Sequence[tuple[Node, Node]] = node.value
    return next((value for name, value in pairs if isinstance(name, ScalarNode) and name.value == key), None)


def _add_key(text: str, node: MappingNode, keys: Sequence[str], item: str, reason: str) -> str:
    """Add a chain of keys that ends in a list of one item, at the end of a mapping."""
    if node.flow_style:
        flow = f"[{item}]"
        for key in reversed(keys[1:]):
            flow = f"{{{key}: {flow}}}"
        return _into_flow(text, node, f"{keys[0]}: {flow}")
    if not node.value:
        raise NotEditable("an empty mapping")
    column = node.value[0][0].start_mark.column
    lines = [f"{' ' * (column + _STEP * depth)}{key}:" for depth, key in enumerate(keys)]
    indent = " " * (column + _STEP * len(keys))
    return _after(text, _end(node), [*lines, f"{indent}# {_comment(reason)}", f"{indent}- {item}"])


def _add_item(text: str, node: SequenceNode, item: str, reason: str) -> str:
    if node.flow_style or not node.value:
        return _into_flow(text, node, item)
    indent = " " * node.start_mark.column
    return _after(text, _end(node), [f"{indent}# {_comment(reason)}", f"{indent}- {item}"])


def _comment(reason: str) -> str:
    return "".join(character if character.isprintable() else " " for character in reason)


def _into_flow(text: str, node: MappingNode | SequenceNode, added: str) -> str:
    """Add at the end of what stands in brackets."""
    close = node.end_mark.index - 1
    if text[close : close + 1] not in ("]", "}"):
        raise NotEditable("an empty value")
    head = text[:close]
    inner = head.rstrip()
    comma = "" if not node.value or inner.endswith(",") else ","
    if comma and _end(node, inside=True) != len(inner):
        raise NotEditable("a comment inside brackets")
    space = " " if node.value else ""
    return f"{inner}{comma}{space}{added}{head[len(inner) :]}{text[close:]}"


def _end(node: Node, *, inside: bool = False) -> int:
    """Index right behind the node's last character.

    A block's own end mark stands at the next token, behind comments and blank lines.
    """
    if isinstance(node, MappingNode | SequenceNode) and node.value and (inside or not node.flow_style):
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.index
    return end


def _after(text: str, index: int, lines: Sequence[str]) -> str:
    """Insert lines behind the line that the index stands in."""
    while index > 0 and text[index - 1] in "\r\n":  # a block of text ends at the start of a later line
        index -= 1
    newline = "\r\n" if "\r\n" in text else "\n"
    end = text.find("\n", index)
    added = "".join(line + newline for line in lines)
    if end < 0:
        return text + newline + added
    return text[: end + 1] + added + text[end + 1 :]
