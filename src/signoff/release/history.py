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

INHERITED_SUBJECT = "inherited"
"""Subject of a rollback that restored the alias of what was inherited: nothing verified is released then."""


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

        None too where only what was inherited stands (`signoff.release.inherited`). Whether it may be used is
        for `signoff.release.chain` to say.

        Raises:
            EvidenceError: the statement on top is unsigned, or a rollback names a release that is not there.
        """
        moves = self.moves(environment)
        if not moves:
            return None
        return self._release_of(moves[-1], number=max(len(moves), highest_number(moves)))

    def moves(self, environment: str) -> tuple[Signed, ...]:
        """The releases and rollbacks of an environment, oldest first: the last says what is released."""
        return tuple(
            signed
            for signed in self.statements
            if signed.statement.kind in ("release", "rollback") and signed.text("environment") == environment
        )

    def _release_of(self, signed: Signed, *, number: int) -> Release | None:
        if not signed.signers:
            raise EvidenceError(
                f"the {signed.statement.kind} statement {signed.id.short} has no valid signature of a person on"
                f" the roster{_because(signed)}",
                hint="compare the roster with the one of that day; `signoff admin audit --verify` checks the log",
            )
        if signed.statement.kind == "release":
            return _release(signed, rollback=None, number=number)
        if signed.statement.subject(INHERITED_SUBJECT) is not None:
            return None
        target = signed.statement.subject("release")
        found = None if target is None else self.by_id(target)
        if found is None or found.statement.kind != "release" or not found.signers:
            raise EvidenceError(f"rollback {signed.id.short} returns to a release that is not in the ledger")
        if found.text("environment") != signed.text("environment"):
            raise EvidenceError(
                f"rollback {signed.id.short} in {signed.text('environment')} returns to a release of"
                f" {found.text('environment') or 'no environment'}"
            )
        return _release(found, rollback=signed, number=number)

    def revoked(self, environment: str) -> frozenset[Digest]:
        """Ids of the releases in the environment that a rollback has left.

        A version may have been released several times, as when its alias was put back: leaving it leaves all.
        """
        rollbacks = [s for s in self.of("rollback") if s.text("environment") == environment]
        named = (s.statement.subject("revoked-release") for s in rollbacks)
        same_version = (
            release.id
            for release in self.of("release")
            if release.text("environment") == environment
            and any(
                release.order < s.order and release.number("version") == s.number("from_version")
                for s in rollbacks
            )
        )
        return frozenset((*(digest for digest in named if digest is not None), *same_version))

    def rollbacks_from(self, environment: str, version: int) -> tuple[Signed, ...]:
        """The rollbacks away from the version there, oldest first.

        Approvals before the last do not count any more: what was taken back needs fresh eyes.
        """
        return tuple(
            s
            for s in self.of("rollback")
            if s.text("environment") == environment and s.number("from_version") == version
        )

    def looked(self, *, data: Digest, rows: Digest | None) -> tuple[tuple[Digest | None, Digest | None], ...]:
        """The different pairs of model and rules judged on a table, in the order of their looks.

        Args:
            data: digest of the table's bytes.
            rows: digest of its rows, which the same rows in another file share; None when not known.
        """
        judged = [
            (signed.statement.subject("model"), signed.statement.subject("rules"))
            for signed in self.of("gate-decision")
            if signed.statement.subject("evaluation-data") == data
            or (rows is not None and signed.statement.subject("evaluation-rows") == rows)
        ]
        return tuple(dict.fromkeys(judged))

    def look(self, *, data: Digest, candidate: Digest, rules: Digest, rows: Digest | None = None) -> int:
        """Which look at this table a decision is: 1 for the first pair of model and rules judged on it.

        Judging the same model under the same rules again is free; under other rules it is a new look.
        """
        seen = self.looked(data=data, rows=rows)
        pair = (candidate, rules)
        return seen.index(pair) + 1 if pair in seen else len(seen) + 1


def highest_number(moves: Iterable[Signed]) -> int:
    """The highest number that a signed release or rollback bears; 0 when none does."""
    return max((move.number("number") or 0 for move in moves if move.signers), default=0)


def decision_of(signed: Signed) -> GateDecision:
    """The decision that a gate-decision statement carries.

    Raises:
        EvidenceError: it carries none, a malformed one, or one on another model than its subject.
    """
    found = signed.statement.predicate.get("decision")
    if signed.statement.kind != "gate-decision" or not isinstance(found, Mapping):
        raise EvidenceError(f"statement {signed.id.short} carries no gate decision")
    decision = decision_from_json(found)
    if decision.context.candidate.digest != signed.statement.subject("model"):
        raise EvidenceError(f"statement {signed.id.short} carries a gate decision on another model")
    return decision


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
    return History(
        statements=tuple(
            read_signed(use_case, envelope, roster, order=order) for order, envelope in enumerate(envelopes)
        )
    )


def read_signed(use_case: str, envelope: Envelope, roster: Roster, *, order: int) -> Signed:
    """Verify the signatures of one stored envelope of a use case.

    Args:
        use_case: its name.
        envelope: as it is stored.
        roster: whose signatures count.
        order: its place among the use case's statements, oldest 0.

    Raises:
        EvidenceError: its payload is not a statement, or is one about another use case.
    """
    statement = envelope.statement
    if statement.predicate.get("use_case") != use_case:
        raise EvidenceError(
            f"statement {envelope.id.short} is about {statement.predicate.get('use_case')!r} but is kept under"
            f" {use_case!r}: the ledger's index was changed",
            hint="signoff admin audit --verify",
        )
    check = verified_signers(envelope, roster)
    return Signed(
        order=order,
        id=envelope.id,
        statement=statement,
        signers=tuple(person.email for person in check.signers),
        problems=check.problems,
        vouched_by=tuple(server.email for server in check.vouchers),
    )
