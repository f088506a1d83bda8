import pytest
from evidence_samples import ANA, ANA_LAPTOP, BEN, STRANGER, Key, roster, statement

from signoff.errors import EvidenceError
from signoff.evidence.dsse import Envelope, Signature, sign_statement
from signoff.evidence.verify import verified_signers


@pytest.mark.parametrize(
    ("signers", "emails"),
    [
        ([], []),
        ([ANA], ["ana@shop.example"]),
        ([BEN, ANA], ["ben@shop.example", "ana@shop.example"]),
        ([ANA, ANA_LAPTOP], ["ana@shop.example"]),
    ],
)
def test_people_count_not_keys(signers: list[Key], emails: list[str]) -> None:
    check = verified_signers(sign_statement(statement(), *signers), roster())
    assert [person.email for person in check.signers] == emails
    assert check.problems == ()


def other_payload() -> Signature:
    return BEN.sign(sign_statement(statement(other=True)).signed_bytes)


def without_encoding() -> Signature:
    return BEN.sign(statement().payload())


def under_ben_s_name() -> Signature:
    sig = STRANGER.sign(sign_statement(statement()).signed_bytes).sig
    return Signature(keyid=BEN.public.fingerprint, sig=sig)


def garbage() -> Signature:
    return Signature(keyid=BEN.public.fingerprint, sig=b"garbage")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (STRANGER.sign(sign_statement(statement()).signed_bytes), "nobody in the roster"),
        (other_payload(), "does not fit these bytes"),
        (without_encoding(), "does not fit these bytes"),
        (under_ben_s_name(), "was made by"),
        (garbage(), "not an SSH signature"),
    ],
)
def test_a_signature_that_does_not_count_is_reported_beside_those_that_do(
    bad: Signature, reason: str
) -> None:
    check = verified_signers(sign_statement(statement(), ANA).with_signature(bad), roster())
    assert [person.email for person in check.signers] == ["ana@shop.example"]
    assert len(check.problems) == 1
    assert check.problems[0].startswith(bad.keyid)
    assert reason in check.problems[0]


def test_a_payload_that_is_no_statement_has_no_signers() -> None:
    envelope = Envelope(payload=b"{}")
    with pytest.raises(EvidenceError, match="not an in-toto statement"):
        verified_signers(envelope.with_signature(ANA.sign(envelope.signed_bytes)), roster())
