"""DSSE envelopes (https://github.com/secure-systems-lab/dsse, version 1): a payload and who signed it."""

import base64
import binascii
import json
from dataclasses import dataclass, replace
from typing import Protocol

from signoff.errors import EvidenceError
from signoff.evidence.nesting import is_deep, refuse_deep
from signoff.evidence.statement import Statement, parse_statement
from signoff.record.digest import Digest, Json, canonical_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"

MAX_PAYLOAD_BYTES = 1 << 20
MAX_SIGNATURES = 64
MAX_SIGNATURE_BYTES = 1 << 10
MAX_KEYID_CHARACTERS = 200
# Base64 adds a third; the rest is room for the signatures and the JSON around them.
MAX_TEXT_CHARACTERS = 2 * MAX_PAYLOAD_BYTES

_ENVELOPE_FIELDS = frozenset({"payload", "payloadType", "signatures"})
_SIGNATURE_FIELDS = frozenset({"keyid", "sig"})


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed, so that type and payload cannot be shifted."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One signature, not yet checked.

    Attributes:
        keyid: the key's fingerprint as ``ssh-keygen -l`` prints it; a hint for look-up, never proof.
        sig: an SSHSIG blob over the envelope's pre-authentication encoding.
    """

    keyid: str
    sig: bytes

    def __post_init__(self) -> None:
        if not 0 < len(self.keyid) <= MAX_KEYID_CHARACTERS:
            raise EvidenceError(f"a signature's keyid has 1 to {MAX_KEYID_CHARACTERS} characters")
        if not 0 < len(self.sig) <= MAX_SIGNATURE_BYTES:
            raise EvidenceError(
                f"a signature of {len(self.sig)} bytes; between 1 and {MAX_SIGNATURE_BYTES} expected"
            )


class Signer(Protocol):
    """Whatever holds a private key."""

    def sign(self, message: bytes) -> Signature:
        """Sign these bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A payload with its signatures. Holding one says nothing about whether they verify.

    Attributes:
        payload: the statement's canonical bytes.
        signatures: in the order in which they were added; none on a statement that nobody signed.
    """

    payload: bytes
    signatures: tuple[Signature, ...] = ()

    def __post_init__(self) -> None:
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            raise EvidenceError(
                f"a payload of {len(self.payload)} bytes; at most {MAX_PAYLOAD_BYTES} allowed"
            )
        if len(self.signatures) > MAX_SIGNATURES:
            raise EvidenceError(f"{len(self.signatures)} signatures; at most {MAX_SIGNATURES} allowed")
        if len(set(self.signatures)) != len(self.signatures):
            raise EvidenceError("the same signature stands in this envelope twice")

    @property
    def statement(self) -> Statement:
        """The payload, read.

        Raises:
            EvidenceError: it is not the canonical bytes of a known statement.
        """
        return parse_statement(self.payload)

    @property
    def is_deep(self) -> bool:
        """Whether the payload is nested too deeply to be read; older programs kept such ones, and they say nothing."""
        return is_deep(self.payload)

    @property
    def id(self) -> Digest:
        """Digest of the payload; signatures do not change it."""
        return Digest.of(self.payload)

    @property
    def signed_bytes(self) -> bytes:
        """What each signature is over."""
        return pae(PAYLOAD_TYPE, self.payload)

    def with_signature(self, signature: Signature) -> "Envelope":
        """The envelope with one more signature; itself when it has that signature already."""
        if signature in self.signatures:
            return self
        return replace(self, signatures=(*self.signatures, signature))

    def to_json(self) -> str:
        """Canonical JSON of the DSSE envelope."""
        signatures: list[Json] = [{"keyid": s.keyid, "sig": _encode(s.sig)} for s in self.signatures]
        return canonical_json(
            {"payload": _encode(self.payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
        ).decode()

    @classmethod
    def from_json(cls, text: str) -> "Envelope":
        """Read a DSSE envelope.

        Raises:
            EvidenceError: a field is missing, unknown, double, too long, or not standard base64.
        """
        if len(text) > MAX_TEXT_CHARACTERS:
            raise EvidenceError(
                f"an envelope of {len(text)} characters; at most {MAX_TEXT_CHARACTERS} allowed"
            )
        try:
            refuse_deep(text.encode(), "an envelope")
            document: object = json.loads(text, object_pairs_hook=_without_duplicates)
        except ValueError as error:
            raise EvidenceError(f"this envelope is not JSON: {error}") from error
        fields = _fields(document, _ENVELOPE_FIELDS, "an envelope")
        if fields["payloadType"] != PAYLOAD_TYPE:
            raise EvidenceError(f"payloadType is {fields['payloadType']!r}; wanted {PAYLOAD_TYPE!r}")
        rows = fields["signatures"]
        if not isinstance(rows, list):
            raise EvidenceError("an envelope's signatures are a list")
        return cls(
            payload=_decode(fields["payload"], "payload"),
            signatures=tuple(_read_signature(row) for row in rows),
        )


def sign_statement(statement: Statement, *signers: Signer) -> Envelope:
    """The statement in an envelope, signed by each signer in turn; unsigned when there is none."""
    envelope = Envelope(payload=statement.payload())
    for signer in signers:
        envelope = envelope.with_signature(signer.sign(envelope.signed_bytes))
    return envelope


def _read_signature(row: object) -> Signature:
    fields = _fields(row, _SIGNATURE_FIELDS, "a signature")
    keyid = fields["keyid"]
    if not isinstance(keyid, str):
        raise EvidenceError("a signature's keyid is text")
    return Signature(keyid=keyid, sig=_decode(fields["sig"], "sig"))


def _fields(value: object, wanted: frozenset[str], what: str) -> dict[str, object]:
    if not isinstance(value, dict) or value.keys() != wanted:
        raise EvidenceError(f"{what} has exactly the fields {', '.join(sorted(wanted))}")
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a field stands there twice")
    return result


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(value: object, field: str) -> bytes:
    if not isinstance(value, str):
        raise EvidenceError(f"{field} is text in base64")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvidenceError(f"{field} is not base64: {error}") from error
    # Base64 has spare bits at the end: one byte string, one spelling.
    if _encode(data) != value:
        raise EvidenceError(f"{field} is not in the one canonical base64 spelling of its bytes")
    return data
