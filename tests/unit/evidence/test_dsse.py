import base64
import json

import pytest
from evidence_samples import ANA, BEN, statement
from hypothesis import example, given
from hypothesis import strategies as st

from signoff.errors import EvidenceError
from signoff.evidence.dsse import (
    MAX_PAYLOAD_BYTES,
    PAYLOAD_TYPE,
    Envelope,
    Signature,
    pae,
    sign_statement,
)

SIGNED = sign_statement(statement(note="ok"), ANA)


def test_pae_is_that_of_the_specification() -> None:
    # protocol.md of DSSE, section "Test Vectors".
    encoded = pae("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.tuples(st.text(), st.binary()), st.tuples(st.text(), st.binary()))
def test_no_two_payloads_share_the_bytes_that_are_signed(
    one: tuple[str, bytes], two: tuple[str, bytes]
) -> None:
    assert (pae(*one) == pae(*two)) == (one == two)


@given(
    st.binary(max_size=300),
    st.lists(
        st.builds(
            Signature,
            keyid=st.text(min_size=1, max_size=60).filter(str.isprintable),
            sig=st.binary(min_size=1),
        ),
        max_size=4,
        unique=True,
    ),
)
def test_an_envelope_survives_its_json(payload: bytes, signatures: list[Signature]) -> None:
    envelope = Envelope(payload=payload, signatures=tuple(signatures))
    assert Envelope.from_json(envelope.to_json()) == envelope


@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(1e15, 1e22) | st.floats(-1e22, -1e15))
@example(float(2**53 - 1))
@example(float(2**53))
@example(6.26955672401437e18)
@example(1e21)
def test_a_statement_is_read_with_every_number_that_can_be_said(number: float) -> None:
    said = statement(evalue=number)
    assert sign_statement(said).statement == said


def test_signing_keeps_the_id_and_signs_once() -> None:
    unsigned = sign_statement(statement(note="ok"))
    both = SIGNED.with_signature(BEN.sign(SIGNED.signed_bytes))
    assert unsigned.signatures == ()
    assert unsigned.id == SIGNED.id == both.id == statement(note="ok").id
    assert both.with_signature(SIGNED.signatures[0]) == both
    assert both.statement == statement(note="ok")


def field(**changes: object) -> str:
    return json.dumps(json.loads(SIGNED.to_json()) | changes)


def signature_field(**changes: object) -> str:
    return field(signatures=[json.loads(SIGNED.to_json())["signatures"][0] | changes])


SIGNATURE = json.loads(SIGNED.to_json())["signatures"][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "nested deeper than 20 levels"),
        ("[]", "exactly the fields payload, payloadType, signatures"),
        (field(extra=1), "exactly the fields"),
        ('{"payload": "", "payload": ""}', "twice"),
        (field(payloadType="text/plain"), "payloadType is 'text/plain'"),
        (field(payload=5), "payload is text"),
        (field(payload="a"), "payload is not base64"),
        (field(payload="YQ=\n="), "payload is not base64"),
        (field(payload="YR=="), "canonical base64"),
        (field(payload="ä"), "payload is not base64"),
        (field(payload=base64.b64encode(b"x" * (MAX_PAYLOAD_BYTES + 1)).decode()), "at most 1048576"),
        (" " * 2_200_000, "at most"),
        (field(signatures={}), "signatures are a list"),
        (field(signatures=[SIGNATURE, SIGNATURE]), "twice"),
        (field(signatures=[SIGNATURE | {"sig": "AAAA" * i} for i in range(1, 66)]), "at most 64"),
        (signature_field(keyid=None), "keyid is text"),
        (signature_field(keyid=""), "1 to 200"),
        (signature_field(sig=""), "between 1 and 1024"),
        (signature_field(cert="x"), "exactly the fields keyid, sig"),
    ],
)
def test_an_envelope_that_is_off_is_refused(text: str, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        Envelope.from_json(text)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"\xff",
        b"[" * 100_000,
        statement().payload() + b" ",
        statement(size=1.0).payload().replace(b":1}", b":9007199254740993}"),
        statement(size=1.0).payload().replace(b":1}", b":1" + b"0" * 400 + b"}"),
    ],
    ids=[
        "no statement",
        "bytes",
        "depth",
        "space",
        "a whole number between two doubles",
        "beyond all doubles",
    ],
)
def test_a_payload_that_is_no_statement_is_refused_on_reading(payload: bytes) -> None:
    with pytest.raises(EvidenceError):
        _ = Envelope(payload=payload).statement


def test_the_payload_type_is_that_of_in_toto() -> None:
    assert json.loads(SIGNED.to_json())["payloadType"] == PAYLOAD_TYPE == "application/vnd.in-toto+json"
