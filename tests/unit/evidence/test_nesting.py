"""JSON that is kept is nested to a bound that no stack has a say in."""

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.evidence.nesting import MOST_LEVELS, is_deep, without_deep
from signoff.record.digest import Json

leaves = st.none() | st.integers(-9, 9) | st.text(st.sampled_from('[]{}"\\ab'), max_size=6)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text('[]{"\\', max_size=3), inner, max_size=2)
    ),
    max_leaves=12,
)


def levels(value: Json) -> int:
    match value:
        case str():
            return 0
        case Mapping():
            return 1 + max(map(levels, value.values()), default=0)
        case Sequence():
            return 1 + max(map(levels, value), default=0)
    return 0


def around(value: Json, times: int) -> Json:
    for _ in range(times):
        value = [value]
    return value


@given(values, st.integers(0, MOST_LEVELS + 2))
def test_levels_are_counted_and_brackets_in_texts_are_not(value: Json, times: int) -> None:
    whole = around(value, times)
    data = json.dumps(whole).encode()
    assert is_deep(data) == (levels(whole) > MOST_LEVELS)
    cut = json.loads(without_deep(data))
    assert levels(cut) == min(levels(whole), MOST_LEVELS)
    if not is_deep(data):
        assert cut == whole


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 30 + b'"', b"[" * 30 + b'"\\"' * 100_000 + b"\\"]
)
def test_what_is_no_json_is_looked_at_once(data: bytes) -> None:
    assert is_deep(data)
    assert not is_deep(without_deep(data))
