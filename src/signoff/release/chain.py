"""Is a release statement still good? Checked before anything of it is loaded or returned to.

(1) It is signed by a person who may promote.
(2) It is not revoked by a rollback. When it is what is released now: a rollback that returned to it is signed
    by a person who may roll back, and no release or rollback before it bears its number or a higher one.
(3) The gate decision it names is in the ledger, is about the same model, follows from its own checks, and
    passed, or what did not pass was waived: by a waiver in the ledger, signed by somebody who is no author,
    on the same model and rules, for that day.
(4) The proposal it names is in the ledger, signed, and about the same model, decision, version and run.
    Where the model is a bundle, decision and proposal name the same components with the same digests.
(5) Each approval it names is in the ledger, signed by the approver it names, for this version and
    environment, bound to the same model, components, decision, rules and proposal, and given since the version
    was last rolled back. An author's approval is shown as self-approved.
(6) The approvals fill what the environment asked for on that day: so many different people per role, in the
    roles that the promoter recorded.

The standard of today is asked for (1) and (2) alone, for without it anybody could promote: a release, once
issued, stays valid until revoked.
"""

from collections.abc import Mapping

from signoff.errors import EvidenceError
from signoff.gate.model import GateDecision
from signoff.gate.verdict import contradictions
from signoff.record.digest import Digest
from signoff.release.components import component_changes, components_named
from signoff.release.history import History, decision_of, highest_number
from signoff.release.model import Reason, Signed
from signoff.release.people import People, unmet
from signoff.standard.model import ApprovalRule

_BOUND = ("model", "decision", "rules", "proposal")


def verify_release(history: History, release: Signed, *, people: People) -> tuple[Reason, ...]:
    """Everything wrong with a release statement; empty when it is good."""
    return (
        *_signature(release, people),
        *_revocation(history, release),
        *_place(history, release, people),
        *_decision(history, release),
        *_proposal(history, release),
        *_components(history, release),
        *_approvals(history, release),
    )


def _broken(code: str, message: str) -> Reason:
    return Reason(code=code, message=message, fix="signoff admin audit --verify")


def _signature(release: Signed, people: People) -> list[Reason]:
    # Step 1.
    if any(people.may(signer, "promote") for signer in release.signers):
        return []
    message = f"the release is not signed by a person who may promote (signed: {_signed_by(release)})"
    return [_broken("release-signature", message)]


def _signed_by(signed: Signed) -> str:
    return ", ".join(signed.signers) or "; ".join(signed.problems) or "nobody"


def _revocation(history: History, release: Signed) -> list[Reason]:
    # Step 2.
    if release.id not in history.revoked(release.text("environment")):
        return []
    return [_broken("release-revoked", "the release was revoked by a rollback")]


def _place(history: History, release: Signed, people: People) -> list[Reason]:
    # Step 2: what is released now was put there by its newest statement, not by moving an old one up.
    *before, top = history.moves(release.text("environment")) or (release,)
    back = top.statement.kind == "rollback"
    if release.id != (top.statement.subject("release") if back else top.id):
        return []
    reasons: list[Reason] = []
    if back and not any(people.may(signer, "rollback") for signer in top.signers):
        message = (
            f"the rollback to it is not signed by a person who may roll back (signed: {_signed_by(top)})"
        )
        reasons.append(_broken("rollback-signature", message))
    highest = highest_number(before)
    if before and (top.number("number") or 0) <= highest:
        message = (
            f"the {top.statement.kind} on top has number {top.number('number')}, one before it {highest}"
        )
        reasons.append(_broken("release-order", f"{message}: the order of the statements was changed"))
    return reasons


def _decision(history: History, release: Signed) -> list[Reason]:
    # Step 3.
    found = _named(history, release, "decision")
    if found is None or found.statement.kind != "gate-decision":
        return [_broken("decision-missing", "the gate decision of the release is not in the ledger")]
    if found.statement.subject("model") != release.statement.subject("model"):
        return [_broken("decision-model", "the gate decision of the release is about another model")]
    try:
        decision = decision_of(found)
    except EvidenceError as error:
        return [_broken("decision-verdict", f"the gate decision cannot be read: {error}")]
    open_checks = [
        check.title
        for check in decision.checks
        if check.severity == "block"
        and check.status != "pass"
        and not _is_waived(check.id, history=history, release=release, decision=decision)
    ]
    wrong = (*contradictions(decision), *(f"{title} did not pass" for title in open_checks))
    if wrong:
        return [_broken("decision-verdict", f"the gate decision does not carry it: {'; '.join(wrong)}")]
    return []


def _is_waived(code: str, *, history: History, release: Signed, decision: GateDecision) -> bool:
    waived = release.statement.predicate.get("waived")
    named = waived.get(code) if isinstance(waived, Mapping) else None
    return any(
        str(waiver.id) == named
        and code in waiver.texts("codes")
        and not set(waiver.signers) <= authors_named(history, release)
        and waiver.statement.subject("model") == release.statement.subject("model")
        and waiver.statement.subject("rules") == decision.context.rules
        and waiver.text("until") >= release.text("at")[:10]
        for waiver in history.of("waiver")
    )


def _proposal(history: History, release: Signed) -> list[Reason]:
    # Step 4.
    found = _named(history, release, "proposal")
    if found is None or found.statement.kind != "proposal" or not found.signers:
        return [_broken("proposal-missing", "the signed proposal of the release is not in the ledger")]
    if any(found.statement.subject(n) != release.statement.subject(n) for n in ("model", "decision")):
        return [_broken("proposal-model", "the proposal is about another model or gate decision")]
    if found.number("version") != release.number("version") or found.text("run_id") != release.text("run_id"):
        return [_broken("proposal-version", "the proposal is about another version or run")]
    return []


def _components(history: History, release: Signed) -> list[Reason]:
    # Steps 3 and 4. A statement that is missing was reported there.
    released = components_named(release.statement)
    return [
        _broken("component-changed", f"the {said} is about another component than the release: {change}")
        for said, found in (
            ("gate decision", _named(history, release, "decision")),
            ("proposal", _named(history, release, "proposal")),
        )
        if found is not None
        for change in component_changes(components_named(found.statement), released)
    ]


def authors_named(history: History, release: Signed) -> frozenset[str]:
    """Who signed the proposal that a release or canary names, and whom it names; empty when it is not there."""
    return authors_of_proposal(_named(history, release, "proposal"))


def authors_of_proposal(proposal: Signed | None) -> frozenset[str]:
    """Who signed a proposal, and whom it names; empty without one."""
    return frozenset() if proposal is None else frozenset((*proposal.signers, *proposal.texts("authors")))


def _approvals(history: History, release: Signed) -> list[Reason]:
    reasons: list[Reason] = []
    good: set[str] = set()
    for person, digest in approvals_of(release).items():
        found = approval_fault(history, release, person, digest)
        if found is None:
            good.add(person)
        else:
            reasons.append(found)
    hidden = good & authors_named(history, release) - {*release.texts("self_approved")}
    reasons += [
        _broken("approval-author", f"{person} is an author, and the release does not say so")
        for person in sorted(hidden)
    ]
    return [*reasons, *_unfilled(release, good)]


def approval_fault(history: History, release: Signed, person: str, digest: Digest) -> Reason | None:
    """What is wrong with an approval that a release names; None when it counts."""
    # Step 5.
    approval = history.by_id(digest)
    if approval is None or approval.statement.kind != "approval" or person not in approval.signers:
        return _broken("approval-signature", f"the approval of {person} is missing or not signed by them")
    said, wanted = approval.statement.predicate, release.statement.predicate
    if approval.text("approver") != person or any(
        said.get(field) != wanted.get(field) for field in ("environment", "version")
    ):
        return _broken(
            "approval-binding", f"the approval of {person} is for another person, version or environment"
        )
    components = components_named(release.statement)
    if components_named(approval.statement) != components or any(
        approval.statement.subject(n) != release.statement.subject(n) for n in _BOUND
    ):
        return _broken("approval-binding", f"the approval of {person} is bound to other bytes")
    rollbacks = history.rollbacks_from(release.text("environment"), release.number("version") or 0)
    if any(approval.precedes(r) for r in rollbacks if r.order < release.order):
        return _broken(
            "approval-before-rollback", f"the version was rolled back since the approval of {person}"
        )
    return None


def _unfilled(release: Signed, good: set[str]) -> list[Reason]:
    # Step 6.
    required = _required(release)
    if required is None:
        message = "the release does not say clearly which approvals were asked for"
        return [_broken("approval-count", message)]
    needed = sum(rule.count for rule in required)
    if len(good) < needed:
        return [_broken("approval-count", f"{len(good)} good approvals, {needed} were asked for")]
    roles = _recorded_roles(release)
    return [
        _broken(
            "approval-role", f"{rule.count} of the approvals by {rule.role} that were asked for are missing"
        )
        for rule in unmet(required, {person: roles.get(person, ()) for person in good})
    ]


def approvals_of(release: Signed) -> dict[str, Digest]:
    """Approver → id of the approval statement, as the release names them."""
    prefix = "approval:"
    return {
        subject.name.removeprefix(prefix): subject.digest
        for subject in release.statement.subjects
        if subject.name.startswith(prefix)
    }


def _required(release: Signed) -> tuple[ApprovalRule, ...] | None:
    """So many people per role; None when a row says anything else, for such a row must not ask for nobody."""
    rows = release.statement.predicate.get("required")
    if not isinstance(rows, list | tuple):
        return None
    rules: list[ApprovalRule] = []
    for row in rows:
        role = row.get("role") if isinstance(row, Mapping) else None
        count = row.get("count") if isinstance(row, Mapping) else None
        if not isinstance(role, str) or not isinstance(count, int) or isinstance(count, bool) or count < 1:
            return None
        rules.append(ApprovalRule(role=role, count=count))
    return tuple(rules)


def _recorded_roles(release: Signed) -> dict[str, tuple[str, ...]]:
    rows = release.statement.predicate.get("approved")
    found: dict[str, tuple[str, ...]] = {}
    for row in rows if isinstance(rows, list | tuple) else ():
        roles = row.get("roles") if isinstance(row, Mapping) else None
        if isinstance(row, Mapping) and isinstance(roles, list | tuple):
            found[str(row.get("approver"))] = tuple(str(role) for role in roles)
    return found


def _named(history: History, release: Signed, subject: str) -> Signed | None:
    digest = release.statement.subject(subject)
    return None if digest is None else history.by_id(digest)
