"""The JSON Schema says what the reader does: checked with a validator of just the words it uses."""

import json
import re
from typing import Any

import pytest
from team_standards import MINIMAL, as_text

from signoff.errors import StandardError
from signoff.standard.json_schema import DIALECT, json_schema
from signoff.standard.load import load_standard
from signoff.standard.metrics import METRICS
from signoff.standard.names import SHIPPED_TYPES
from signoff.standard.scaffold import scaffold
from signoff.standard.strict_yaml import load_yaml

SCHEMA: dict[str, Any] = json.loads(json_schema())
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "default", "type", "properties", "required",
    "additionalProperties", "oneOf", "anyOf", "enum", "items", "minItems", "minProperties", "minLength",
    "propertyNames", "pattern", "minimum", "exclusiveMinimum", "maximum",
}  # fmt: skip


def valid(value: Any, schema: dict[str, Any]) -> bool:
    return _valid_anywhere(value, schema) and _valid_of_its_kind(value, schema)


def _valid_anywhere(value: Any, schema: dict[str, Any]) -> bool:
    definition = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
    return (
        (not definition or valid(value, definition))
        and ("anyOf" not in schema or any(valid(value, option) for option in schema["anyOf"]))
        and ("oneOf" not in schema or sum(valid(value, option) for option in schema["oneOf"]) == 1)
        and ("enum" not in schema or any(value == e and type(value) is type(e) for e in schema["enum"]))
        and ("type" not in schema or _of_type(value, schema["type"]))
    )


def _valid_of_its_kind(value: Any, schema: dict[str, Any]) -> bool:
    match value:
        case dict():
            return _valid_object(value, schema)
        case list():
            return len(value) >= schema.get("minItems", 0) and all(valid(v, schema["items"]) for v in value)
        case str():
            short = len(value) < schema.get("minLength", 0)
            return not short and re.search(schema.get("pattern", ""), value) is not None
        case int() | float():
            least, above = schema.get("minimum", value), schema.get("exclusiveMinimum", value - 1)
            return bool(least <= value <= schema.get("maximum", value) and above < value)
    return True


def _of_type(value: Any, name: str) -> bool:
    if name in {"integer", "number"}:
        return not isinstance(value, bool) and isinstance(value, int if name == "integer" else int | float)
    return isinstance(value, TYPES[name])


def _valid_object(value: dict[str, Any], schema: dict[str, Any]) -> bool:
    properties, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    names = schema.get("propertyNames", {}).get("pattern", "")
    for key, item in value.items():
        inner = properties.get(key, other)
        if (
            inner is False
            or (isinstance(inner, dict) and not valid(item, inner))
            or not re.search(names, key)
        ):
            return False
    missing = set(schema.get("required", [])) - set(value)
    return not missing and len(value) >= schema.get("minProperties", 0)


def test_the_schema_is_a_complete_document() -> None:
    assert SCHEMA["$schema"] == DIALECT
    assert SCHEMA["title"] == "Signoff standard"
    assert SCHEMA["$defs"]["Primary"]["properties"]["metric"]["enum"] == list(METRICS)
    assert set(SCHEMA["required"]) == {"signoff", "profile", "use_cases"}


def test_every_field_is_described_and_every_word_known() -> None:
    def walk(schema: dict[str, Any]) -> None:
        assert set(schema) <= KNOWN
        for group in ("properties", "$defs"):
            for inner in schema.get(group, {}).values():
                walk(inner)
        for inner in (*schema.get("anyOf", []), *schema.get("oneOf", [])):
            walk(inner)

    walk(SCHEMA)
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        assert section["description"]
        assert all(field["description"] for field in section["properties"].values())


@pytest.mark.parametrize("profile", ["small", "mid", "enterprise"])
@pytest.mark.parametrize("model_type", SHIPPED_TYPES)
def test_what_init_writes_is_valid(profile: str, model_type: str) -> None:
    assert valid(load_yaml(MINIMAL, "f").value, SCHEMA)
    assert valid(load_yaml(scaffold(profile, model_type, "price", "Ana Torres"), "f").value, SCHEMA)


@pytest.mark.parametrize(
    ("top", "use_case"),
    [
        ({"profil": "small"}, {}),
        ({"signoff": 2}, {}),
        ({"profile": ...}, {}),
        ({"use_cases": {}}, {}),
        ({"version": 3}, {}),
        ({"environments": {"prod": {"self_approval": "always"}}}, {}),
        ({"environments": {"prod": {"alias": "latest"}}}, {}),
        ({"roles": {"lead": {"may": ["merge"]}}}, {}),
        ({"guard": "loud"}, {}),
        ({"guard": {"alias": "loud"}}, {}),
        ({"guard": {"link": "wiki"}}, {}),
        ({}, {"primary": {"metric": "roc_auc"}}),
        ({}, {"primary": {"metric": "roc_auc", "better_by": 0.1, "no_worse_than": 0.1}}),
        ({}, {"primary": {"metric": "gini", "better_by": 0.1}}),
        ({}, {"primary": {"metric": "roc_auc", "better_by": -1}}),
        ({}, {"gate": {"alpha": 0}}),
        ({}, {"experiment": []}),
        ({}, {"require": {"params": [{"accepts": ["x"]}]}}),
        ({}, {"window": "yes"}),
        ({}, {"owner": ""}),
    ],
)
def test_editor_and_reader_refuse_the_same(top: dict[str, object], use_case: dict[str, object]) -> None:
    text = as_text(top, use_case)
    assert not valid(load_yaml(text, "f").value, SCHEMA)
    with pytest.raises(StandardError):
        load_standard(text, "f")


@pytest.mark.parametrize(
    ("top", "use_case"),
    [
        ({"guard": "warn"}, {}),
        ({"guard": {"all": "off", "finished_run": "enforce", "link": "https://shop.example"}}, {}),
        ({"store": None}, {"experiment": "churn/trees", "require": {"params": ["a", {"name": "b"}]}}),
        ({"environments": {"own": {"approvals": {"reviewer": 1}}}}, {"evaluate": {"data": "d", "label": "y", "positive": 1}}),
        ({"model_types": {"uplift": {"like": "classification"}}}, {"type": "uplift", "gate": None}),
    ],
)  # fmt: skip
def test_editor_and_reader_accept_the_same(top: dict[str, object], use_case: dict[str, object]) -> None:
    text = as_text(top, use_case)
    assert valid(load_yaml(text, "f").value, SCHEMA)
    load_standard(text, "f")
