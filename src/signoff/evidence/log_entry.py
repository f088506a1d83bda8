"""Audit-log entries as bytes: the leaves of the log's Merkle tree."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, cast, get_args

from signoff.errors import EvidenceError
from signoff.evidence.ledger import Entry
from signoff.evidence.nesting import is_deep, refuse_deep, without_deep
from signoff.record.digest import Json, canonical_json, canonical_whole

Outcome = Literal["allowed", "refused", "failed"]

MAX_ENTRY_BYTES = 1 << 18
COUNT = "count"
"""Field of a refusal's detail: how many of the same it stands for; without it one."""
_TEXTS = ("at", "actor", "action", "use_case", "subject")
_FIELDS = frozenset({*_TEXTS, "outcome", "statement", "reasons", "detail"})
_WITHOUT_EFFECT = frozenset({"predict", "serve", "measure", "standard"})
"""Actions of entries that say what was done with a release, found on data, or came into force."""
GUARDED = "guard:"
"""Begins the action of every entry of the guard; what follows is the rule."""
_ALIAS_MOVED = "guard:alias"
"""Of what MLflow's own clients changed, the alias alone is what releases rest on."""


def entry_bytes(entry: Entry) -> bytes:
    """The entry's canonical JSON.

    Raises:
        EvidenceError: the entry is too long, nested too deeply, or holds a value without canonical JSON.
    """
    data = canonical_json(entry.to_json())
    refuse_deep(data, "a log entry")
    if len(data) > MAX_ENTRY_BYTES:
        raise EvidenceError(f"a log entry of {len(data)} bytes; at most {MAX_ENTRY_BYTES} allowed")
    return data


def parse_entry(data: bytes) -> Entry:
    """Read what ``entry_bytes`` wrote.

    Raises:
        EvidenceError: the bytes are not the canonical JSON of an entry.
    """
    refuse_deep(data, "a log entry")
    entry = _parsed(data)
    if entry_bytes(entry) != data:
        raise EvidenceError("a log entry's bytes are not canonical")
    return entry


def read_entry(data: bytes) -> Entry:
    """Read an entry out of a log.

    Older programs kept entries that are nested deeper than is written now. Such a one brings nothing: it counts as
    failed and without statement, whatever it says, so that whoever wrote it closes nothing to others.

    Raises:
        EvidenceError: the bytes are not the canonical JSON of an entry.
    """
    if not is_deep(data):
        return parse_entry(data)
    entry = _parsed(without_deep(data))
    unread: Mapping[str, Json] = {"unread": "it is nested too deeply"}
    return replace(entry, outcome="failed", statement=None, reasons=(), detail=unread)


def is_decision(entry: Entry) -> bool:
    """Whether what was decided before this entry must be decided again after it.

    Refusals, what only was warned of, readings and measurements change nothing that decisions rest on. A gate's
    decision does, also when it refused: it brings its statement.
    """
    if entry.action in _WITHOUT_EFFECT or entry.detail.get("mode") == "warn":
        return False
    if entry.action.startswith(GUARDED) and entry.action != _ALIAS_MOVED:
        return False
    return entry.outcome == "allowed" or entry.statement is not None


def _parsed(data: bytes) -> Entry:
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
    return Entry(
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
