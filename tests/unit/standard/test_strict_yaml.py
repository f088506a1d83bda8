import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.errors import StandardError
from signoff.standard.strict_yaml import MAX_BYTES, MAX_DEPTH, dotted, load_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-3", -3),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2011-03-07", "2011-03-07"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("True", True),
        ("~", None),
        ("null", None),
        ("'null'", "null"),
        ('"1"', "1"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    read = load_yaml(f"a: {text}", "f")
    assert read.value == {"a": value}
    assert isinstance(read.value, dict)
    assert type(read.value["a"]) is type(value)


def test_nan_is_read_as_a_number() -> None:
    read = load_yaml(".nan", "f").value
    assert isinstance(read, float)
    assert math.isnan(read)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(codec="ascii", categories=("L", "P")), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert load_yaml(json.dumps(value, ensure_ascii=False), "f").value == value


@given(st.text(st.sampled_from("ab: -\n\t[]{}&*!|>%@`'\"#,?<0.1~\x07\\é"), max_size=60))
def test_any_text_is_read_or_refused_with_faults(text: str) -> None:
    messages = _messages(text)
    assert messages is None or (messages and all(messages))


def _messages(text: str) -> list[str] | None:
    """What is wrong with it; None when it can be read."""
    try:
        load_yaml(text, "f")
    except StandardError as error:
        return [fault.message for fault in error.faults]
    return None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: &x 2\n", 2, "the anchor &x is not allowed"),
        ("a: 1\nb: *x\n", 2, "the alias *x is not allowed"),
        ("a: !!str 1\n", 1, "the tag !!str is not allowed"),
        ("a: !python/object:os.system x\n", 1, "is not allowed"),
        ("a: 1\nb: 2\na: 3\n", 3, "appears twice; the first is in line 1"),
        ("a: 1\n---\nb: 2\n", 2, "a second document starts here"),
        ("%YAML 1.1\n---\na: yes\n", 2, "a % directive"),
        ("a:\n  1: x\n", 2, "the key '1' is not text"),
        ("a:\n  true: x\n", 2, "the key 'true' is not text"),
        ("? [a]\n: 1\n", 1, "a key must be text"),
        ("a: [1\n", 1, "not YAML: expected ',' or ']'"),
        ("a:\n\t- 1\n", 2, "not YAML: found character '\\t'"),
        ("a: b: c\n", 1, "not YAML: mapping values are not allowed here"),
        ("a: 1\nb: 'x\n", 2, "not YAML: found unexpected end of stream"),
        ("a: 1\nb: \x07\n", 2, "the character U+0007 is not allowed"),
        ("a: " + "9" * 5000, 1, "a number of 5000 characters"),
        ("a: 0x" + "f" * 5000, 1, "a number of 5002 characters"),
    ],
)
def test_what_is_refused_names_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(StandardError) as caught:
        load_yaml(text, "f.yaml")
    assert [fault.line for fault in caught.value.faults] == [line]
    assert words in caught.value.faults[0].message


def test_several_refused_things_are_listed_together() -> None:
    with pytest.raises(StandardError) as caught:
        load_yaml("a: &x [1]\nb: *x\nc: !!int 1\nc: 2\n", "f.yaml")
    assert [fault.line for fault in caught.value.faults] == [1, 2, 3, 4]


def test_size_and_depth_are_capped_exactly() -> None:
    load_yaml("#" * MAX_BYTES, "f")
    with pytest.raises(StandardError, match="1 fault"):
        load_yaml("#" * (MAX_BYTES + 1), "f")
    load_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f")
    with pytest.raises(StandardError) as caught:
        load_yaml("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "f")
    assert "nested deeper than 20 levels" in caught.value.faults[0].message


def test_every_path_has_the_line_of_its_key_or_item() -> None:
    read = load_yaml("a:\n  b:\n    - 1\n    - c: 2\n", "f")
    assert read.line_of(("a", "b")) == 2
    assert read.line_of(("a", "b", 1)) == 4
    assert read.line_of(("a", "b", 1, "c")) == 4
    assert read.line_of(("a", "z")) is None


def test_an_empty_document_is_nothing() -> None:
    assert load_yaml("# only a comment\n", "f").value is None


def test_paths_are_shown_as_people_read_them() -> None:
    assert dotted(("use_cases", "churn", "slices", 0, "metric")) == "use_cases.churn.slices[0].metric"
