import json
from dataclasses import replace
from typing import Any

import pytest
from evidence_samples import entry
from hypothesis import given
from hypothesis import strategies as st

from signoff.errors import EvidenceError
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import entry_bytes, is_decision, parse_entry, read_entry
from signoff.record.digest import Json

texts = st.text(st.characters(codec="utf-8"), max_size=20)
entries = st.builds(
    Entry,
    at=texts,
    actor=texts,
    action=texts,
    outcome=st.sampled_from(["allowed", "refused", "failed"]),
    use_case=texts,
    subject=texts,
    statement=st.none() | texts,
    reasons=st.lists(texts, max_size=3).map(tuple),
    detail=st.dictionaries(
        texts, st.none() | st.booleans() | st.integers(-9, 9) | st.floats(2.0**53, 1e22) | texts, max_size=3
    ),
)


@given(entries)
def test_an_entry_survives_its_bytes(original: Entry) -> None:
    assert parse_entry(entry_bytes(original)) == original


def changed(**changes: object) -> bytes:
    return json.dumps(
        json.loads(entry_bytes(entry(1))) | changes, sort_keys=True, separators=(",", ":")
    ).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "nested deeper than 20 levels"),
        (b"[]", "missing or unknown"),
        (changed(extra=1), "missing or unknown"),
        (changed(at=5), "wrong type"),
        (changed(outcome="perhaps"), "wrong type"),
        (changed(outcome=[]), "wrong type"),
        (changed(reasons=[1]), "wrong type"),
        (changed(detail=None), "wrong type"),
        (changed(statement=3), "wrong type"),
        (changed() + b" ", "not canonical"),
    ],
)
def test_bytes_that_are_no_entry_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        parse_entry(data)


def test_an_entry_has_a_largest_size() -> None:
    with pytest.raises(EvidenceError, match="at most 262144"):
        entry_bytes(entry(1, actor="x" * (1 << 18)))


def deep(levels: int) -> bytes:
    """An entry as an older program kept it."""
    return changed(detail={"d": 0}).replace(b'"d":0', b'"d":' + b"[" * levels + b"]" * levels)


@pytest.mark.parametrize("levels", [19, 985, 100_000])
def test_an_entry_that_is_nested_too_deeply_is_not_written_and_counts_as_failed(levels: int) -> None:
    nested: Json = 0
    for _ in range(levels):
        nested = [nested]
    with pytest.raises(EvidenceError, match="nested"):
        entry_bytes(replace(entry(1), detail={"d": nested}))
    with pytest.raises(EvidenceError, match="nested deeper than 20 levels"):
        parse_entry(deep(levels))
    found = read_entry(deep(levels))
    assert (found.outcome, found.statement, found.use_case) == ("failed", None, entry(1).use_case)


def test_what_is_nested_less_is_read_as_ever() -> None:
    assert read_entry(deep(18)) == parse_entry(deep(18))
    for data in (b"{}", b"[" * 30 + b"]" * 30, deep(30)[:-1]):
        with pytest.raises(EvidenceError):
            read_entry(data)


ALLOWED = replace(entry(1), outcome="allowed")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"statement": "sha256:x"},
        {"action": "guard:alias"},
        {"action": "guard:alias", "detail": {"mode": "override"}},
        {"action": "gate", "outcome": "refused", "statement": "sha256:x"},
    ],
)
def test_decisions_rest_on(fields: dict[str, Any]) -> None:
    assert is_decision(replace(ALLOWED, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "promote", "outcome": "refused"},
        {"action": "guard:alias", "outcome": "refused"},
        {"action": "guard:alias", "detail": {"mode": "warn"}},
        {"action": "guard:registration"},
        {"action": "predict", "statement": "sha256:x"},
        {"action": "measure"},
        {"action": "standard"},
        {"outcome": "failed"},
    ],
)
def test_decisions_do_not_rest_on(fields: dict[str, Any]) -> None:
    assert not is_decision(replace(ALLOWED, **fields))
