"""Whose signatures on an envelope count.

The steps, in this order:

(1) the payload is the canonical bytes of a statement of a known kind;
(2) the signature names a key that the roster gives to one person;
(3) the signature is an SSHSIG of that very key, made for this project's namespace;
(4) it verifies over the envelope's pre-authentication encoding;
(5) each person counts once, however many keys signed.

What fails in (2) to (4) is reported, never dropped in silence.
"""

from dataclasses import dataclass

from signoff.errors import EvidenceError
from signoff.evidence import sshsig
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry
from signoff.evidence.roster import Person, Roster


@dataclass(frozen=True, kw_only=True, slots=True)
class SignatureCheck:
    """What the signatures of one envelope are worth.

    Attributes:
        signers: the distinct people who signed, in the order of their first good signature.
        problems: each signature that does not count, as ``<fingerprint>: <reason>``.
    """

    signers: tuple[Person, ...]
    problems: tuple[str, ...]


def verified_signers(envelope: Envelope, roster: Roster) -> SignatureCheck:
    """Check every signature of the envelope against the people of the roster.

    Raises:
        EvidenceError: the payload is no statement of this project, so there is nothing to sign.
    """
    _ = envelope.statement  # (1)
    signers: list[Person] = []
    problems: list[str] = []
    for signature in envelope.signatures:
        person = roster.by_fingerprint(signature.keyid)  # (2)
        if person is None:
            problems.append(f"{signature.keyid}: nobody in the roster has this key")
            continue
        key = next(key for key in person.keys if key.fingerprint == signature.keyid)
        try:
            sshsig.verify(key, signature.sig, envelope.signed_bytes)  # (3), (4)
        except EvidenceError as error:
            problems.append(f"{signature.keyid}: {error.what}")
            continue
        if person not in signers:  # (5)
            signers.append(person)
    return SignatureCheck(signers=tuple(signers), problems=tuple(problems))


SIGNED_WITH = "signed_with"
"""Field of a log entry's detail: fingerprint of the key that signed the statement the entry brought."""


def signature_fault(entry: Entry, envelope: Envelope, roster: Roster) -> str | None:
    """Why a statement lacks the signature that its log entry names; None when it has it.

    A key that is no longer on the roster proves nobody, but its signature must still be there.
    """
    keyid = entry.detail.get(SIGNED_WITH)
    if not isinstance(keyid, str):
        return None
    if all(signature.keyid != keyid for signature in envelope.signatures):
        return f"the signature of {entry.actor} was removed"
    person = roster.by_fingerprint(keyid)
    if person is not None and person not in verified_signers(envelope, roster).signers:
        return f"the signature of {entry.actor} does not verify"
    return None
