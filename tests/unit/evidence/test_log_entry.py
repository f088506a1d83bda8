import json

import pytest
from evidence_samples import entry
from hypothesis import given
from hypothesis import strategies as st

from signoff.errors import EvidenceError
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import entry_bytes, parse_entry

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
        (b"[" * 100_000, "not JSON"),
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
