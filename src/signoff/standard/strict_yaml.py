"""Strict YAML: text to plain values with the line of each, or every fault in it.

YAML 1.2.2 with the core schema (section 10.3.2) and nothing else: `no` is text, `010` is ten. Anchors, tags,
directives, doubled keys, keys that are not text and further documents are refused, and size and depth are
capped, so that what a person reads in the file is what the machine reads.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from signoff.errors import Fault, StandardError
from signoff.record.digest import Json

Path: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], int | float]], ...] = (
    (re.compile(r"[-+]?[0-9]+\Z"), int),
    (re.compile(r"0o[0-7]+\Z"), lambda text: int(text, 8)),
    (re.compile(r"0x[0-9a-fA-F]+\Z"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"), lambda text: float(text.replace(".", ""))),
)
_LONGEST_NUMBER = 400

_HINTS = (
    ("\\t", "indent with spaces; YAML allows no tabs there"),
    ("mapping values are not allowed", "put text that holds a colon in quotes, or check the indentation"),
    ("expected <block end>", "lines of one block start in the same column; check the indentation"),
    ("could not find expected ':'", "a key needs a colon and a space after it"),
    ("unexpected end of stream", "close the quote that opens here"),
    ("expected ',' or", "close the bracket, or add the missing comma"),
    ("cannot start any token", "put the value in quotes"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class YamlDocument:
    """A document as plain values.

    Attributes:
        value: the values; None for an empty document.
        lines: 1-based line of each path: of the key in a mapping, of the item in a list.
    """

    value: Json
    lines: Mapping[Path, int]

    def line_of(self, path: Path) -> int | None:
        """The line of this path; None when the document has no such path."""
        return self.lines.get(path)


def load_yaml(text: str, file: str) -> YamlDocument:
    """Read one strict YAML document.

    Args:
        text: the document.
        file: its name, for messages.

    Raises:
        StandardError: the text is not YAML, or uses what is refused here; all faults found are listed.
    """
    document, refused = read_yaml(text, file)
    if refused:
        raise StandardError(file, refused)
    return document


def read_yaml(text: str, file: str) -> tuple[YamlDocument, tuple[Fault, ...]]:
    """Read YAML as far as it can be read: the document, and what in it is refused here.

    With faults the document is good for finding more of them and for nothing else: of a doubled key it holds
    the last value, and None in place of an alias.

    Raises:
        StandardError: the text is too long, nested too deeply, or not YAML; all faults found are listed.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = f"{size:,} bytes; at most {MAX_BYTES:,} are read"
        raise StandardError(file, [Fault(path="", line=None, message=message)])
    builder = _Builder(text)
    try:
        value = builder.document()
    except _TooDeepError:
        raise StandardError(file, builder.faults) from None
    except YAMLError as error:
        raise StandardError(file, [*builder.faults, _syntax_fault(error, text)]) from error
    return YamlDocument(value=value, lines=builder.lines), tuple(builder.faults)


def dotted(path: Path) -> str:
    """The path as people read it: ``use_cases.churn.slices[0].metric``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class _TooDeepError(Exception):
    """Nested beyond the cap; the fault is recorded."""


class _Builder:
    """Builds plain values from parse events; one event of look-ahead is never needed."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self.lines: dict[Path, int] = {}
        self._events = iter(YAML(typ="safe", pure=True, plug_ins=[]).parse(text))

    def document(self) -> Json:
        """The first document's value; a second one is a fault."""
        value: Json = None
        documents = 0
        while not isinstance(event := self._next(), StreamEndEvent):
            if not isinstance(event, DocumentStartEvent):
                continue
            documents += 1
            if documents > 1:
                self._fault((), event, "a second document starts here", "keep one document per file")
                break
            if event.version or event.tags:
                self._fault((), event, "a % directive above `---` is not allowed", "remove it")
            value = self._value(self._next(), ())
        return value

    def _next(self) -> Event:
        event: Event = next(self._events)
        return event

    def _value(self, event: Event, path: Path) -> Json:
        """The value that starts with this event."""
        self.lines.setdefault(path, _line(event))
        if isinstance(event, AliasEvent):
            self._fault(path, event, f"the alias *{event.anchor} is not allowed", "write the value out")
            return None
        if isinstance(event, NodeEvent):
            self._refuse_anchor_and_tag(event, path)
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if len(path) >= MAX_DEPTH:
            self._fault(path[:3], event, f"nested deeper than {MAX_DEPTH} levels")
            raise _TooDeepError
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return self._mapping(path)

    def _sequence(self, path: Path) -> Json:
        items: list[Json] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> Json:
        values: dict[str, Json] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event, path)
            here = (*path, key)
            if key in values:
                message = f"the key {key!r} appears twice; the first is in line {self.lines[here]}"
                self._fault(here, event, message, "keep one of them")
            self.lines.setdefault(here, _line(event))
            values[key] = self._value(self._next(), here)
        return values

    def _key(self, event: Event, path: Path) -> str:
        if not isinstance(event, ScalarEvent):
            self._fault(path, event, "a key must be text, not a list, mapping or alias")
            self._value(event, (*path, "?"))
            return "?"
        self._refuse_anchor_and_tag(event, path)
        text = str(event.value)
        if _is_plain(event) and not isinstance(_plain(text), str):
            self._fault(path, event, f"the key {text!r} is not text", f'write "{text}" in quotes')
        return text

    def _scalar(self, event: ScalarEvent, path: Path) -> Json:
        text = str(event.value)
        if not _is_plain(event):
            return text
        if len(text) > _LONGEST_NUMBER and _number(text) is not None:
            self._fault(path, event, f"a number of {len(text)} characters")
            return None
        return _plain(text)

    def _refuse_anchor_and_tag(self, event: NodeEvent, path: Path) -> None:
        if event.anchor is not None:
            self._fault(path, event, f"the anchor &{event.anchor} is not allowed", "write the value out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            hint = "remove it; quotes make text of a value"
            self._fault(path, event, f"the tag {_short_tag(str(tag))} is not allowed", hint)

    def _fault(self, path: Path, event: Event, message: str, hint: str | None = None) -> None:
        self.faults.append(Fault(path=dotted(path), line=_line(event), message=message, hint=hint))


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _is_plain(event: ScalarEvent) -> bool:
    return not event.style


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _plain(text: str) -> bool | int | float | str | None:
    """A scalar without quotes, resolved by the core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    convert = _number(text)
    return text if convert is None else convert(text)


def _number(text: str) -> Callable[[str], int | float] | None:
    return next((convert for pattern, convert in _NUMBERS if pattern.match(text)), None)


def _syntax_fault(error: YAMLError, text: str) -> Fault:
    """What the parser could not read, in words, with the line it happened in."""
    if isinstance(error, ReaderError):
        at = text.count("\n", 0, error.position) + 1
        message = f"the character U+{error.character:04X} is not allowed in YAML"
        return Fault(path="", line=at, message=message, hint="remove it, or save the file as UTF-8 text")
    if not isinstance(error, MarkedYAMLError):
        return Fault(path="", line=None, message=f"not YAML: {error}")
    problem = str(error.problem or error.context)
    opened = error.context_mark if "stream" in problem else None
    mark = opened or error.problem_mark or error.context_mark
    hint = next((hint for sign, hint in _HINTS if sign in problem), None)
    line = None if mark is None else int(mark.line) + 1
    context = f" {error.context}" if error.context and error.problem else ""
    return Fault(path="", line=line, message=f"not YAML: {problem}{context}", hint=hint)
