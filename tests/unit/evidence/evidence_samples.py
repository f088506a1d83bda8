"""Keys, people and statements for the tests of evidence; the same on every run."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.evidence import sshsig
from signoff.evidence.dsse import Signature
from signoff.evidence.ledger import Entry
from signoff.evidence.roster import Roster, parse_roster
from signoff.evidence.sshsig import PublicKey
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json


@dataclass(frozen=True)
class Key:
    """A signer."""

    private: Ed25519PrivateKey
    public: PublicKey

    def sign(self, message: bytes) -> Signature:
        return Signature(keyid=self.public.fingerprint, sig=sshsig.sign(self.private, message))


def key(number: int) -> Key:
    private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return Key(private=private, public=PublicKey.of(private, f"key {number}"))


ANA, ANA_LAPTOP, BEN, STRANGER = map(key, range(1, 5))

ROSTER_TEXT = f"""\
people:
  ana@shop.example:
    name: Ana Torres
    roles: [author]
    keys: ["{ANA.public.line}", "{ANA_LAPTOP.public.line}"]
    also: [ana@laptop.local, atorres]
  ben@shop.example:
    name: Ben Okafor
    roles: [reviewer, platform]
    keys: ["{BEN.public.line}"]
    demo: true
"""


def roster() -> Roster:
    return parse_roster(ROSTER_TEXT, "roster.yaml")


def statement(**predicate: Json) -> Statement:
    subject = Subject(name="model", digest=Digest.of(b"model"))
    return Statement(kind="approval", subjects=(subject,), predicate=predicate)


def entry(number: int, **changes: str) -> Entry:
    fields = {"actor": "ana@shop.example", "action": "approve", "use_case": "churn"} | changes
    return Entry(
        at="2026-11-22T10:15:00Z",
        actor=fields["actor"],
        action=fields["action"],
        outcome="refused",
        use_case=fields["use_case"],
        subject=f"churn/{number}",
        statement=fields.get("statement"),
        reasons=("author and approver are one person",),
        detail={"number": number},
    )
