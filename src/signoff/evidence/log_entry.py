"""Audit-log entries as bytes: the leaves of the log's Merkle tree."""

import json
from collections.abc import Mapping
from typing import Literal, cast, get_args

from signoff.errors import EvidenceError
from signoff.evidence.ledger import Entry
from signoff.record.digest import Json, canonical_json, canonical_whole

Outcome = Literal["allowed", "refused", "failed"]

MAX_ENTRY_BYTES = 1 << 18
_TEXTS = ("at", "actor", "action", "use_case", "subject")
_FIELDS = frozenset({*_TEXTS, "outcome", "statement", "reasons", "detail"})


def entry_bytes(entry: Entry) -> bytes:
    """The entry's canonical JSON.

    Raises:
        EvidenceError: the entry is too long or holds a value without canonical JSON.
    """
    data = canonical_json(entry.to_json())
    if len(data) > MAX_ENTRY_BYTES:
        raise EvidenceError(f"a log entry of {len(data)} bytes; at most {MAX_ENTRY_BYTES} allowed")
    return data


def parse_entry(data: bytes) -> Entry:
    """Read what ``entry_bytes`` wrote.

    Raises:
        EvidenceError: the bytes are not the canonical JSON of an entry.
    """
    try:
        document: object = json.loads(data, parse_int=canonical_whole)
    except (ValueError, RecursionError) as error:
        raise EvidenceError("a log entry is not JSON") from error
    if not isinstance(document, dict) or document.keys() != _FIELDS:
        raise EvidenceError("a log entry has missing or unknown fields")
    reasons, statement, detail = document["reasons"], document["statement"], document["detail"]
    well_typed = (
        all(isinstance(document[name], str) for name in _TEXTS)
        and document["outcome"] in get_args(Outcome)
        and (statement is None or isinstance(statement, str))
        and isinstance(reasons, list)
        and all(isinstance(reason, str) for reason in reasons)
        and isinstance(detail, dict)
    )
    if not well_typed:
        raise EvidenceError("a field of a log entry has the wrong type")
    entry = Entry(
        at=document["at"],
        actor=document["actor"],
        action=document["action"],
        outcome=cast("Outcome", document["outcome"]),
        use_case=document["use_case"],
        subject=document["subject"],
        statement=statement,
        reasons=tuple(reasons),
        detail=cast("Mapping[str, Json]", detail),
    )
    if entry_bytes(entry) != data:
        raise EvidenceError("a log entry's bytes are not canonical")
    return entry
