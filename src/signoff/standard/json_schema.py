"""The JSON Schema of a standard, from the same declarations that read it: editors complete and check it."""

import json
from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from signoff.record.digest import Json
from signoff.standard.schema import StandardDocument
from signoff.standard.shape import About, Section, about_of, is_required

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: Mapping[object, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def json_schema() -> str:
    """The schema (draft 2020-12) as indented JSON, ended by a newline."""
    definitions: dict[str, Json] = {}
    root = _section(StandardDocument, definitions)
    schema = {"$schema": DIALECT, "title": "Signoff standard", **root, "$defs": definitions}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(kind: type[Section], definitions: dict[str, Json]) -> dict[str, Json]:
    declared = fields(kind)  # type: ignore[arg-type]  # every section is a dataclass
    properties: dict[str, Json] = {}
    for field in declared:
        what = about_of(field)
        properties[field.name] = {
            "description": what.description,
            **_value(field.type, what, definitions),
            **_default(field.default),
        }
    schema: dict[str, Json] = {
        "description": (kind.__doc__ or "").split("\n", maxsplit=1)[0],
        "type": "object",
        "properties": properties,
        "required": [field.name for field in declared if is_required(field)],
        "additionalProperties": False,
    }
    if kind.EXACTLY_ONE:
        schema["oneOf"] = [{"required": [key]} for key in kind.EXACTLY_ONE]
    return schema


def _default(value: object) -> dict[str, Json]:
    return {"default": value} if isinstance(value, bool | int | float | str) else {}


def _value(hint: object, what: About, definitions: dict[str, Json]) -> dict[str, Json]:
    """The schema of one value, after its type hint."""
    origin = get_origin(hint)
    if origin in {UnionType, Union}:
        return _union(hint, what, definitions)
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if origin is tuple:
        return _list(get_args(hint)[0], what, definitions)
    if origin is Mapping:
        return _mapping(get_args(hint)[1], what, definitions)
    if isinstance(hint, type) and issubclass(hint, Section):
        return _reference(hint, definitions)
    return _scalar(hint, what)


def _union(hint: object, what: About, definitions: dict[str, Json]) -> dict[str, Json]:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    nothing: Json = {"type": "null"}
    if len(kinds) == 1:
        return {"anyOf": [_value(kinds[0], what, definitions), nothing]}
    return {"anyOf": [*({"type": _TYPES[kind]} for kind in kinds), nothing]}


def _list(kind: object, what: About, definitions: dict[str, Json]) -> dict[str, Json]:
    items = _value(kind, what, definitions)
    schema: dict[str, Json] = {"type": "array", "items": items}
    if what.filled:
        schema["minItems"] = 1
    return {"anyOf": [items, schema]} if what.one_or_many else schema


def _mapping(kind: object, what: About, definitions: dict[str, Json]) -> dict[str, Json]:
    values = _value(kind, what, definitions)
    schema: dict[str, Json] = {"type": "object", "additionalProperties": values}
    if what.key_choices:
        schema["properties"] = dict.fromkeys(what.key_choices, values)
    if what.keys is not None:
        schema["propertyNames"] = {"pattern": _anchored(what.keys.pattern)}
    if what.filled:
        schema["minProperties"] = 1
    return schema


def _reference(kind: type[Section], definitions: dict[str, Json]) -> dict[str, Json]:
    name = kind.__name__.removesuffix("Section")
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _section(kind, definitions)
    reference: dict[str, Json] = {"$ref": f"#/$defs/{name}"}
    if not kind.SHORTHAND:
        return reference
    short = next(field for field in fields(kind) if field.name == kind.SHORTHAND)  # type: ignore[arg-type]
    return {"anyOf": [_value(short.type, about_of(short), definitions), reference]}


def _scalar(kind: object, what: About) -> dict[str, Json]:
    schema: dict[str, Json] = {"type": _TYPES[kind]}
    if kind is str:
        schema["minLength"] = 1
        if what.choices:
            schema["enum"] = list(what.choices)
        if what.form is not None:
            schema["pattern"] = _anchored(what.form.pattern)
        if what.suggestions:
            return {"anyOf": [{"enum": list(what.suggestions)}, schema]}
    bounds = {"minimum": what.at_least, "exclusiveMinimum": what.above, "maximum": what.at_most}
    schema.update({key: bound for key, bound in bounds.items() if bound is not None})
    return schema


def _anchored(pattern: str) -> str:
    r"""The whole-text pattern in the dialect of JSON Schema, which knows no ``\Z``."""
    return f"^(?:{pattern})$".replace(r"\Z", "$")
