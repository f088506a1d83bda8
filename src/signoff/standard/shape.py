"""Declared sections: plain values to typed ones, with every fault, and the same declaration as JSON Schema.

A section is a frozen dataclass whose fields say with `about` what they mean and which values they take.
`SectionReader` reads it strictly: no unknown key, no conversion, no silent default for a wrong value.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, MISSING, Field, dataclass, fields
from types import UnionType
from typing import ClassVar, Literal, TypeVar, Union, get_args, get_origin

from signoff.errors import Fault
from signoff.record.digest import Json
from signoff.standard.strict_yaml import Path, YamlDocument, dotted

_KEY = "signoff"
_LARGEST_INTEGER = 2**53 - 1
"""Canonical JSON holds no larger integer exactly (RFC 8785)."""


class Section:
    """A mapping with declared keys.

    Attributes:
        EXACTLY_ONE: keys of which one and only one must be given; empty for no such rule.
        SHORTHAND: the key that a plain text stands for instead of the whole mapping; "" for none.
    """

    __slots__ = ()
    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ()
    SHORTHAND: ClassVar[str] = ""

    def __init__(self, **values: object) -> None:
        """Subclasses are dataclasses: their generated initialiser takes the declared fields."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a text must look: a regular expression for the whole of it, and the same in words."""

    pattern: str
    words: str


@dataclass(frozen=True, slots=True)
class About:
    """What a field means and takes.

    Attributes:
        description: for people and editors.
        noun: what a value is called in messages, such as ``metric``.
        choices: the only values allowed; empty for any.
        suggestions: values that editors offer while others are allowed too.
        at_least: smallest number allowed.
        above: numbers must be larger than this.
        at_most: largest number allowed.
        form: how a text, or each text of a list, must look.
        keys: how the keys of a mapping must look.
        key_choices: keys that editors offer.
        filled: whether a list or mapping needs at least one item.
        one_or_many: whether a single text stands for a list of one.
    """

    description: str
    _: KW_ONLY
    noun: str = "value"
    choices: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    form: Form | None = None
    keys: Form | None = None
    key_choices: tuple[str, ...] = ()
    filled: bool = False
    one_or_many: bool = False


def about(what: About) -> Mapping[str, About]:
    """Field metadata that carries the declaration."""
    return {_KEY: what}


def about_of(field: "Field[object]") -> About:
    """The declaration of a section's field."""
    declared = field.metadata[_KEY]
    if not isinstance(declared, About):
        raise TypeError(f"{field.name} is declared with {declared!r}")
    return declared


def is_required(field: "Field[object]") -> bool:
    """Whether the key must be given."""
    return field.default is MISSING and field.default_factory is MISSING


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the closest known word, or with all of them when none is close."""
    words = list(known)
    if (close := closest(word, words)) is not None:
        return f"did you mean `{close}`?"
    return f"one of: {', '.join(words)}" if words else None


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a slip of the fingers turns into this one; None when none is near."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


class Faults:
    """Collects faults while a document is read, each with its line."""

    def __init__(self, document: YamlDocument) -> None:
        self._document = document
        self._found: dict[tuple[Path, str], Fault] = {}

    def add(self, path: Path, message: str, hint: str | None = None) -> None:
        """Note a fault at the path; the same message at the same path counts once."""
        fault = Fault(path=dotted(path), line=self.line(path), message=message, hint=hint)
        self._found.setdefault((path, message), fault)

    def line(self, path: Path) -> int | None:
        """The path's line, or that of the closest mapping or list around it."""
        for end in range(len(path), -1, -1):
            if (line := self._document.line_of(path[:end])) is not None:
                return line
        return None

    def within(self, prefix: Path) -> bool:
        """Whether a fault was found at or below the path."""
        return any(path[: len(prefix)] == prefix for path, _ in self._found)

    def listed(self) -> list[Fault]:
        """All faults in the order of the file."""
        return sorted(self._found.values(), key=lambda fault: fault.line or 0)


class _Unreadable:
    """Stands for a value whose fault has been noted."""


_UNREADABLE = _Unreadable()
_S = TypeVar("_S", bound=Section)


class SectionReader:
    """Reads plain values into sections and notes faults as it goes."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def section(self, kind: type[_S], value: Json, path: Path) -> _S | None:
        """The section; None when a key that it cannot do without is missing or of another kind.

        Reading goes on after a fault, to find the others: a value out of bounds is passed on as it is, an
        unknown word is taken for the closest known one, and an optional key that cannot be read keeps its
        default. So the caller must not use the result once faults were noted.
        """
        if kind.SHORTHAND and isinstance(value, str):
            value = {kind.SHORTHAND: value}
        if not isinstance(value, Mapping):
            self._faults.add(path, f"wanted a mapping of keys, got {_name_of(value)}", _keys_hint(kind))
            return None
        declared = {field.name: field for field in _fields(kind)}
        self._note_unknown_keys(declared, value, path)
        self._note_exactly_one(kind, value, path)
        given: dict[str, object] = {}
        complete = True
        for name, field in declared.items():
            if name not in value:
                if is_required(field):
                    self._faults.add(path, f"`{name}` is missing", _first_sentence(about_of(field)))
                    if get_origin(field.type) is Literal:
                        given[name] = get_args(field.type)[0]
                    else:
                        complete = False
                continue
            read = self._value(field.type, about_of(field), value[name], (*path, name))
            if not isinstance(read, _Unreadable):
                given[name] = read
            elif is_required(field):
                complete = False
        return kind(**given) if complete else None

    def _note_unknown_keys(
        self, declared: Mapping[str, "Field[object]"], value: Mapping[str, Json], path: Path
    ) -> None:
        for key in value:
            if key not in declared:
                self._faults.add((*path, key), f"unknown key `{key}`", did_you_mean(key, declared))

    def _note_exactly_one(self, kind: type[Section], value: Mapping[str, Json], path: Path) -> None:
        wanted = kind.EXACTLY_ONE
        given = [key for key in wanted if key in value]
        if wanted and len(given) != 1:
            names = " or ".join(f"`{key}`" for key in wanted)
            self._faults.add(path, f"exactly one of {names} is needed, got {len(given)}")

    def _value(self, hint: object, what: About, value: Json, path: Path) -> object:
        """The value as its type hint asks, or `_UNREADABLE` after a fault."""
        origin = get_origin(hint)
        if origin in {UnionType, Union}:
            return self._union(hint, what, value, path)
        if origin is Literal:
            return self._literal(get_args(hint), what, value, path)
        if origin is tuple:
            return self._list(get_args(hint)[0], what, value, path)
        if origin is Mapping:
            return self._mapping(get_args(hint)[1], what, value, path)
        if isinstance(hint, type) and issubclass(hint, Section):
            read = self.section(hint, value, path)
            return _UNREADABLE if read is None else read
        return self._scalar((hint,), what, value, path)

    def _union(self, hint: object, what: About, value: Json, path: Path) -> object:
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        if value is None:
            return None
        if len(kinds) == 1:
            return self._value(kinds[0], what, value, path)
        return self._scalar(tuple(kinds), what, value, path)

    def _literal(self, allowed: tuple[object, ...], what: About, value: Json, path: Path) -> object:
        for choice in allowed:
            if choice == value and type(choice) is type(value):
                return value
        words = {str(choice): choice for choice in allowed}
        self._faults.add(
            path, f"{_show(value)} is not a {what.noun} known here", did_you_mean(str(value), words)
        )
        return words[closest(str(value), words) or str(allowed[0])]

    def _list(self, kind: object, what: About, value: Json, path: Path) -> object:
        if what.one_or_many and isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            self._faults.add(path, f"wanted a list, got {_name_of(value)}", "write [first, second]")
            return _UNREADABLE
        if what.filled and not value:
            self._faults.add(path, "the list is empty")
            return _UNREADABLE
        items = [self._value(kind, what, item, (*path, at)) for at, item in enumerate(value)]
        return _UNREADABLE if any(isinstance(item, _Unreadable) for item in items) else tuple(items)

    def _mapping(self, kind: object, what: About, value: Json, path: Path) -> object:
        if not isinstance(value, Mapping):
            self._faults.add(path, f"wanted a mapping, got {_name_of(value)}", "write one `name: …` per line")
            return _UNREADABLE
        if what.filled and not value:
            self._faults.add(path, "the mapping is empty")
        read: dict[str, object] = {}
        for key, item in value.items():
            if what.keys is not None and not re.fullmatch(what.keys.pattern, key):
                self._faults.add((*path, key), f"`{key}` cannot be a name here", what.keys.words)
            read[key] = self._value(kind, what, item, (*path, key))
        return {key: item for key, item in read.items() if not isinstance(item, _Unreadable)}

    def _scalar(self, kinds: tuple[object, ...], what: About, value: Json, path: Path) -> object:
        if float in kinds and type(value) is int:
            value = float(value)
        if type(value) not in kinds:
            wanted = " or ".join(_KIND_NAMES[kind] for kind in kinds if isinstance(kind, type))
            self._faults.add(path, f"wanted {wanted}, got {_name_of(value)}", _conversion_hint(kinds, value))
            return _UNREADABLE
        if what.choices and value not in what.choices:
            self._faults.add(
                path, f"unknown {what.noun} {_show(value)}", did_you_mean(str(value), what.choices)
            )
            return closest(str(value), what.choices) or _UNREADABLE
        fault = _text_fault(value, what) if isinstance(value, str) else _number_fault(value, what)
        if fault is not None:
            self._faults.add(path, *fault)
        return value


_KIND_NAMES: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def _fields(kind: type[Section]) -> tuple["Field[object]", ...]:
    return fields(kind)  # type: ignore[arg-type]  # every section is a dataclass


def _keys_hint(kind: type[Section]) -> str:
    return f"keys here: {', '.join(field.name for field in _fields(kind))}"


def _first_sentence(what: About) -> str:
    return what.description.split(". ")[0].rstrip(".")


def _text_fault(value: str, what: About) -> tuple[str, str | None] | None:
    if not value.strip():
        return "the text is empty", None
    if what.form is not None and not re.fullmatch(what.form.pattern, value):
        return f"{_show(value)} cannot serve as {what.noun}", what.form.words
    return None


def _number_fault(value: object, what: About) -> tuple[str, str | None] | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value):
        return f"{value} is not a finite number", None
    if abs(value) > _LARGEST_INTEGER:
        return f"{_plain_number(value)} is larger than {_LARGEST_INTEGER:,}", None
    problems = (
        (what.at_least is not None and value < what.at_least, "is below", what.at_least),
        (what.above is not None and value <= what.above, "is not above", what.above),
        (what.at_most is not None and value > what.at_most, "is above the limit of", what.at_most),
    )
    for broken, words, bound in problems:
        if broken and bound is not None:
            return f"{_plain_number(value)} {words} {_plain_number(bound)}", None
    return None


def _plain_number(value: float) -> str:
    """As a person would write it: 1,000,000 and 0.05."""
    return f"{int(value):,}" if value == int(value) and abs(value) < _LARGEST_INTEGER else f"{value}"


def _conversion_hint(kinds: tuple[object, ...], value: Json) -> str | None:
    if value is None:
        return "write a value, or remove the line"
    if kinds == (bool,) and isinstance(value, str):
        return "write true or false"
    if str in kinds and isinstance(value, bool | int | float):
        return f'write "{str(value).lower() if isinstance(value, bool) else value}" in quotes'
    if isinstance(value, str) and float in kinds and re.fullmatch(r"[-+.0-9eE]+", value):
        return f"write {value} without quotes"
    if isinstance(value, str) and value.endswith("%"):
        return "write a share as a decimal number: 0.05 for 5 %"
    return None


def _name_of(value: Json) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text {_show(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _show(value: Json) -> str:
    text = str(value)
    return f"`{text}`" if len(text) <= 60 else f"`{text[:57]}…`"
