"""Is a release statement still good? Checked before anything of it is loaded or returned to.

(1) It is signed by a person who may promote.
(2) It is not revoked by a rollback.
(3) The gate decision it names is in the ledger, is about the same model, follows from its own checks, and
    passed, or what did not pass was waived.
(4) The proposal it names is in the ledger, signed, and about the same model and decision.
(5) Each approval it names is in the ledger, signed by the approver it names, and bound to the same model,
    decision, rules and proposal.
(6) The approvals are as many as the environment asked for on that day, by different people.

The standard of today is not asked: a release, once issued, stays valid until revoked.
"""

from collections.abc import Mapping

from signoff.gate.verdict import contradictions
from signoff.record.digest import Digest
from signoff.release.history import History, decision_of
from signoff.release.model import Reason, Signed
from signoff.release.people import People

_BOUND = ("model", "decision", "rules", "proposal")


def verify_release(history: History, release: Signed, *, people: People) -> tuple[Reason, ...]:
    """Everything wrong with a release statement; empty when it is good."""
    return (
        *_signature(release, people),
        *_revocation(history, release),
        *_decision(history, release),
        *_proposal(history, release),
        *_approvals(history, release),
    )


def _broken(code: str, message: str) -> Reason:
    return Reason(code=code, message=message, fix="signoff admin audit --verify")


def _signature(release: Signed, people: People) -> list[Reason]:
    # Step 1.
    if any(people.may(signer, "promote") for signer in release.signers):
        return []
    who = ", ".join(release.signers) or "; ".join(release.problems) or "nobody"
    return [
        _broken("release-signature", f"the release is not signed by a person who may promote (signed: {who})")
    ]


def _revocation(history: History, release: Signed) -> list[Reason]:
    # Step 2.
    if release.id not in history.revoked(release.text("environment")):
        return []
    return [_broken("release-revoked", "the release was revoked by a rollback")]


def _decision(history: History, release: Signed) -> list[Reason]:
    # Step 3.
    found = _named(history, release, "decision", "gate-decision")
    if found is None:
        return [_broken("decision-missing", "the gate decision of the release is not in the ledger")]
    if found.statement.subject("model") != release.statement.subject("model"):
        return [_broken("decision-model", "the gate decision of the release is about another model")]
    decision = decision_of(found)
    waived = release.statement.predicate.get("waived")
    codes = set(waived) if isinstance(waived, Mapping) else set()
    open_checks = [
        check.title
        for check in decision.checks
        if check.severity == "block" and check.status != "pass" and check.id not in codes
    ]
    wrong = (*contradictions(decision), *(f"{title} did not pass" for title in open_checks))
    if wrong:
        return [_broken("decision-verdict", f"the gate decision does not carry it: {'; '.join(wrong)}")]
    return []


def _proposal(history: History, release: Signed) -> list[Reason]:
    # Step 4.
    found = _named(history, release, "proposal", "proposal")
    if found is None or not found.signers:
        return [_broken("proposal-missing", "the signed proposal of the release is not in the ledger")]
    if any(found.statement.subject(n) != release.statement.subject(n) for n in ("model", "decision")):
        return [_broken("proposal-model", "the proposal is about another model or gate decision")]
    return []


def _approvals(history: History, release: Signed) -> list[Reason]:
    # Step 5.
    reasons: list[Reason] = []
    good: set[str] = set()
    for person, digest in approvals_of(release).items():
        approval = history.by_id(digest)
        if approval is None or approval.statement.kind != "approval" or person not in approval.signers:
            reasons.append(
                _broken("approval-signature", f"the approval of {person} is missing or not signed by them")
            )
        elif any(approval.statement.subject(n) != release.statement.subject(n) for n in _BOUND):
            reasons.append(_broken("approval-binding", f"the approval of {person} is bound to other bytes"))
        else:
            good.add(person)
    # Step 6.
    needed = _required(release)
    if len(good) < needed:
        reasons.append(_broken("approval-count", f"{len(good)} good approvals, {needed} were asked for"))
    return reasons


def approvals_of(release: Signed) -> dict[str, Digest]:
    """Approver → id of the approval statement, as the release names them."""
    prefix = "approval:"
    return {
        subject.name.removeprefix(prefix): subject.digest
        for subject in release.statement.subjects
        if subject.name.startswith(prefix)
    }


def _required(release: Signed) -> int:
    rows = release.statement.predicate.get("required")
    if not isinstance(rows, list | tuple):
        return 0
    counts = (row.get("count") for row in rows if isinstance(row, Mapping))
    return sum(count for count in counts if isinstance(count, int))


def _named(history: History, release: Signed, subject: str, kind: str) -> Signed | None:
    digest = release.statement.subject(subject)
    found = None if digest is None else history.by_id(digest)
    return found if found is not None and found.statement.kind == kind else None
