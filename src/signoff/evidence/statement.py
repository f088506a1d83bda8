"""in-toto statements (https://in-toto.io/Statement/v1): what is said about which bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast, get_args

from signoff.errors import EvidenceError
from signoff.evidence.nesting import refuse_deep
from signoff.record.digest import Digest, Json, canonical_json, canonical_whole

StatementKind = Literal[
    "gate-decision",
    "proposal",
    "note",
    "approval",
    "rejection",
    "waiver",
    "release",
    "rollback",
    "arrival",
    "canary",
    "rollout",
    "load-test",
    "trigger",
    "override",
    "inherited",
]
KINDS: tuple[StatementKind, ...] = get_args(StatementKind)
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_PREFIX = "urn:signoff:predicate:"
_PREDICATE_SUFFIX = ":v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Bytes that a statement is about; name is one of model, evaluation-data, decision, release and so on."""

    name: str
    digest: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One thing said, about named bytes.

    Attributes:
        kind: what is said.
        subjects: the bytes; at least one.
        predicate: the content; JSON.
    """

    kind: StatementKind
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Json]

    def payload(self) -> bytes:
        """Canonical bytes: the in-toto statement as RFC 8785 JSON.

        Raises:
            EvidenceError: the predicate has no canonical JSON, or is nested too deeply.
        """
        data = canonical_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": s.name, "digest": {"sha256": s.digest.hex}} for s in self.subjects],
                "predicateType": f"{_PREDICATE_PREFIX}{self.kind}{_PREDICATE_SUFFIX}",
                "predicate": self.predicate,
            }
        )
        refuse_deep(data, "a statement")
        return data

    @property
    def id(self) -> Digest:
        """Digest of the payload; signatures do not change it."""
        return Digest.of(self.payload())

    def subject(self, name: str) -> Digest | None:
        """Digest of the named subject; None when the statement has no such subject."""
        return next((s.digest for s in self.subjects if s.name == name), None)


@lru_cache(maxsize=4096)  # one reading of a log asks for each of its statements several times
def parse_statement(payload: bytes) -> Statement:
    """Read a payload; it must be the canonical bytes of a statement of a known kind.

    Raises:
        EvidenceError: it is not.
    """
    refuse_deep(payload, "a statement")
    try:
        document = json.loads(payload, parse_int=canonical_whole)
        predicate_type = document["predicateType"]
        kind = predicate_type.removeprefix(_PREDICATE_PREFIX).removesuffix(_PREDICATE_SUFFIX)
        subjects = tuple(
            Subject(name=str(row["name"]), digest=Digest(row["digest"]["sha256"]))
            for row in document["subject"]
        )
        predicate = document["predicate"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvidenceError("this payload is not an in-toto statement") from error
    if kind not in KINDS or not isinstance(predicate, dict) or not subjects:
        raise EvidenceError(f"statement of unknown kind {predicate_type!r}, or without subject or predicate")
    statement = Statement(
        kind=cast("StatementKind", kind), subjects=subjects, predicate=cast("Mapping[str, Json]", predicate)
    )
    if statement.payload() != payload:
        raise EvidenceError("the statement's bytes are not canonical: it was not written by this project")
    return statement
