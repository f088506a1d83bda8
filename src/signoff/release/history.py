"""A use case's statements in order, and what follows from them.

Everything here reads verified statements only; the registry's aliases and tags are not asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signoff.errors import EvidenceError
from signoff.evidence.dsse import Envelope
from signoff.evidence.roster import Roster
from signoff.evidence.statement import StatementKind
from signoff.evidence.verify import verified_signers
from signoff.gate.model import GateDecision
from signoff.gate.parse import decision_from_json
from signoff.record.digest import Digest
from signoff.release.model import Release, Signed


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """All statements about one use case, oldest first."""

    statements: tuple[Signed, ...]

    def of(self, kind: StatementKind) -> tuple[Signed, ...]:
        """The statements of a kind, oldest first."""
        return tuple(signed for signed in self.statements if signed.statement.kind == kind)

    def by_id(self, statement: Digest) -> Signed | None:
        """The statement with that id."""
        return next((signed for signed in self.statements if signed.id == statement), None)

    def gate_decisions(self, *, model: Digest) -> tuple[tuple[Signed, GateDecision], ...]:
        """The gate's decisions on a model, oldest first.

        Raises:
            EvidenceError: a stored decision is malformed.
        """
        return tuple(
            (signed, decision_of(signed))
            for signed in self.of("gate-decision")
            if signed.statement.subject("model") == model
        )

    def proposal(self, version: int) -> Signed | None:
        """The newest signed proposal of the version."""
        found = [s for s in self.of("proposal") if s.number("version") == version and s.signers]
        return found[-1] if found else None

    def release(self, environment: str) -> Release | None:
        """What is released in the environment now; None before the first release.

        Raises:
            EvidenceError: the statement on top is unsigned, or a rollback names a release that is not there.
        """
        current: Release | None = None
        for signed in self.statements:
            if signed.statement.kind not in ("release", "rollback"):
                continue
            if signed.text("environment") == environment:
                current = self._release_of(signed, number=1 if current is None else current.number + 1)
        return current

    def _release_of(self, signed: Signed, *, number: int) -> Release:
        if not signed.signers:
            raise EvidenceError(
                f"the {signed.statement.kind} statement {signed.id.short} has no valid signature of a person on"
                f" the roster{_because(signed)}",
                hint="compare the roster with the one of that day; `signoff admin audit --verify` checks the log",
            )
        if signed.statement.kind == "release":
            return _release(signed, rollback=None, number=number)
        target = signed.statement.subject("release")
        found = None if target is None else self.by_id(target)
        if found is None or found.statement.kind != "release" or not found.signers:
            raise EvidenceError(f"rollback {signed.id.short} returns to a release that is not in the ledger")
        return _release(found, rollback=signed, number=number)

    def revoked(self, environment: str) -> frozenset[Digest]:
        """Ids of the releases in the environment that a rollback has left."""
        rollbacks = [s for s in self.of("rollback") if s.text("environment") == environment]
        left = (s.statement.subject("revoked-release") for s in rollbacks)
        return frozenset(digest for digest in left if digest is not None)

    def last_rollback_from(self, environment: str, version: int) -> int:
        """Order of the newest rollback away from the version there; -1 when there is none.

        Approvals before it do not count any more: what was taken back needs fresh eyes.
        """
        found = [
            s.order
            for s in self.of("rollback")
            if s.text("environment") == environment and s.number("from_version") == version
        ]
        return found[-1] if found else -1

    def look(self, *, data: Digest, candidate: Digest, rules: Digest) -> int:
        """Which look at this table a decision is: 1 for the first pair of model and rules judged on it.

        Judging the same model under the same rules again is free; under other rules it is a new look.
        """
        judged = [
            (signed.statement.subject("model"), signed.statement.subject("rules"))
            for signed in self.of("gate-decision")
            if signed.statement.subject("evaluation-data") == data
        ]
        seen = list(dict.fromkeys(judged))
        pair = (candidate, rules)
        return seen.index(pair) + 1 if pair in seen else len(seen) + 1


def decision_of(signed: Signed) -> GateDecision:
    """The decision that a gate-decision statement carries.

    Raises:
        EvidenceError: it carries none, or a malformed one.
    """
    decision = signed.statement.predicate.get("decision")
    if not isinstance(decision, Mapping):
        raise EvidenceError(f"statement {signed.id.short} carries no gate decision")
    return decision_from_json(decision)


def _because(signed: Signed) -> str:
    return f" ({'; '.join(signed.problems)})" if signed.problems else ""


def _release(signed: Signed, *, rollback: Signed | None, number: int) -> Release:
    version, model = signed.number("version"), signed.statement.subject("model")
    if version is None or model is None:
        raise EvidenceError(f"release statement {signed.id.short} names no version or no model")
    return Release(statement=signed, rollback=rollback, version=version, model=model, number=number)


def read_history(use_case: str, envelopes: Iterable[Envelope], roster: Roster) -> History:
    """Verify the signatures of a use case's stored envelopes, oldest first.

    Raises:
        EvidenceError: an envelope's payload is not a statement, or is one about another use case.
    """
    signed: list[Signed] = []
    for order, envelope in enumerate(envelopes):
        statement = envelope.statement
        if statement.predicate.get("use_case") != use_case:
            raise EvidenceError(
                f"statement {envelope.id.short} is about {statement.predicate.get('use_case')!r} but is kept under"
                f" {use_case!r}: the ledger's index was changed",
                hint="signoff admin audit --verify",
            )
        check = verified_signers(envelope, roster)
        signed.append(
            Signed(
                order=order,
                id=envelope.id,
                statement=statement,
                signers=tuple(person.email for person in check.signers),
                problems=check.problems,
            )
        )
    return History(statements=tuple(signed))
