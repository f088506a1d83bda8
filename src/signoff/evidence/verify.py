"""Whose signatures on an envelope count.

The steps, in this order:

(1) the payload is the canonical bytes of a statement of a known kind;
(2) the signature names a key that the roster gives to one person;
(3) the signature is an SSHSIG of that very key, made for this project's namespace;
(4) it verifies over the envelope's pre-authentication encoding;
(5) it stands for the person whose key it is; or, where the roster says that the key's holder vouches for others, for
    the person on the roster whom a release or rollback names as `on_behalf_of`, and for nobody else. A key that does
    not vouch counts for nobody on a statement that names such a person;
(6) each person counts once, however many keys signed.

What fails in (2) to (5) is reported, never dropped in silence.
"""

from dataclasses import dataclass

from signoff.errors import EvidenceError
from signoff.evidence import sshsig
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry
from signoff.evidence.roster import Person, Roster
from signoff.evidence.statement import Statement, StatementKind

ON_BEHALF_OF = "on_behalf_of"
"""Field of a statement: e-mail of the person whom the server authenticated when it signed."""
_VOUCHED: frozenset[StatementKind] = frozenset({"release", "rollback"})
"""What a server may sign for a person: moves of an alias. What somebody judged, only they can sign."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignatureCheck:
    """What the signatures of one envelope are worth.

    Attributes:
        signers: the distinct people who signed, in the order of their first good signature.
        problems: each signature that does not count, as ``<fingerprint>: <reason>``.
        verified: fingerprints whose signature is good, for whomever it counts.
        vouchers: servers that signed on behalf of one of the signers.
    """

    signers: tuple[Person, ...]
    problems: tuple[str, ...]
    verified: tuple[str, ...] = ()
    vouchers: tuple[Person, ...] = ()


def verified_signers(envelope: Envelope, roster: Roster) -> SignatureCheck:
    """Check every signature of the envelope against the people of the roster.

    Raises:
        EvidenceError: the payload is no statement of this project, so there is nothing to sign.
    """
    statement = envelope.statement  # (1)
    signers: list[Person] = []
    vouchers: list[Person] = []
    problems: list[str] = []
    verified: list[str] = []
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
        verified.append(signature.keyid)
        meant = _stands_for(person, statement, roster)  # (5)
        if isinstance(meant, str):
            problems.append(f"{signature.keyid}: {meant}")
            continue
        if meant not in signers:  # (6)
            signers.append(meant)
        if person.vouches and person not in vouchers:
            vouchers.append(person)
    return SignatureCheck(
        signers=tuple(signers),
        problems=tuple(problems),
        verified=tuple(verified),
        vouchers=tuple(vouchers),
    )


def _stands_for(holder: Person, statement: Statement, roster: Roster) -> Person | str:
    """The person for whom a key's good signature counts, or why it counts for nobody."""
    named = ON_BEHALF_OF in statement.predicate
    if not holder.vouches:
        return f"{holder.email} may not sign on behalf of others" if named else holder
    if statement.kind not in _VOUCHED:
        return f"{holder.email} vouches for releases and rollbacks, and this is a {statement.kind}"
    behind = statement.predicate.get(ON_BEHALF_OF)
    person = next((p for p in roster.people if p.email == behind), None)
    if person is None or person.vouches:
        return f"{holder.email} signed on behalf of {behind or 'nobody'}, who is no person on the roster"
    return person


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
    known = roster.by_fingerprint(keyid) is not None
    if known and keyid not in verified_signers(envelope, roster).verified:
        return f"the signature of {entry.actor} does not verify"
    return None
