"""May this person approve or reject, and which approvals count?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json
from signoff.release.components import component_changes, component_subjects, components_named
from signoff.release.history import History
from signoff.release.model import REJECTION_CODES, Reason, ReleaseDecision, Signed
from signoff.release.people import People
from signoff.standard.model import EnvironmentRules, UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """The bytes an approval is bound to; it is void when one of them changes.

    Attributes:
        model: digest of the version's files.
        decision: id of the gate decision.
        rules: digest of the resolved rules of the use case and environment.
        proposal: id of the proposal.
        components: of a bundle role → digest; empty for another model.
    """

    model: Digest
    decision: Digest
    rules: Digest
    proposal: Digest
    components: Mapping[str, Digest] = field(default_factory=dict)

    def subjects(self) -> tuple[Subject, ...]:
        """As statement subjects."""
        return (
            Subject(name="model", digest=self.model),
            Subject(name="decision", digest=self.decision),
            Subject(name="rules", digest=self.rules),
            Subject(name="proposal", digest=self.proposal),
            *component_subjects(self.components),
        )

    def broken_by(self, statement: Statement) -> tuple[str, ...]:
        """What changed since the statement was signed, one clause each; empty when nothing did."""
        told = {
            "model": "the model's files changed",
            "decision": "the gate decision is another one",
            "rules": "the rules of this use case and environment changed",
            "proposal": "the proposal is another one",
        }
        changed = component_changes(components_named(statement), self.components)
        return (
            *(
                f"{told[subject.name]} (signed for {_short(statement.subject(subject.name))},"
                f" now {subject.digest.short})"
                for subject in self.subjects()
                if subject.name in told and statement.subject(subject.name) != subject.digest
            ),
            *(f"a component changed: {change}" for change in changed),
        )


def _short(digest: Digest | None) -> str:
    return "nothing" if digest is None else digest.short


def decide_approval(
    environment: EnvironmentRules,
    *,
    subject: str,
    approver: str,
    people: People,
    authors: frozenset[str],
    proposal: Signed | None,
    ticked: Sequence[str],
) -> ReleaseDecision:
    """Decide whether an approval may be signed.

    Args:
        environment: the rules of the environment it is for.
        subject: such as ``churn/3 for prod``.
        approver: e-mail of the person whose key signs.
        people: the roster and roles.
        authors: who ran, committed or proposed the version.
        proposal: the version's proposal; None when it was never proposed.
        ticked: the checklist items the approver confirms.
    """
    reasons = list(people.refusals(approver, "approve"))
    remarks: list[str] = []
    if proposal is None:
        reasons.append(
            Reason(
                code="not-proposed",
                message="the version was never proposed, or its proposal has no valid signature",
                fix="signoff propose RUN",
            )
        )
    if approver in authors:
        if environment.self_approval == "recorded":
            remarks.append(f"self-approved: {approver} is an author of this version")
        else:
            reasons.append(
                Reason(
                    code="self-approval",
                    message=f"{approver} is an author of this version"
                    f" (authors: {', '.join(sorted(authors))}) and cannot approve it",
                    fix="ask another person with a role that approves",
                )
            )
    reasons += [
        Reason(
            code="checklist",
            message=f"checklist item not confirmed: {item}",
            fix=f'add --confirm "{item}" once you have checked it',
        )
        for item in environment.checklist
        if item not in ticked
    ]
    return ReleaseDecision(
        transition="approve", subject=subject, reasons=tuple(reasons), remarks=tuple(remarks)
    )


def decide_rejection(
    *, subject: str, reviewer: str, people: People, code: str, proposal: Signed | None
) -> ReleaseDecision:
    """Decide whether a rejection may be signed; authors may reject their own work."""
    reasons = list(people.refusals(reviewer, "reject"))
    if code not in REJECTION_CODES:
        reasons.append(
            Reason(
                code="reason-code",
                message=f"{code!r} is not a reason code",
                fix=f"use one of: {', '.join(REJECTION_CODES)}",
            )
        )
    if proposal is None:
        reasons.append(Reason(code="not-proposed", message="the version was never proposed"))
    return ReleaseDecision(transition="reject", subject=subject, reasons=tuple(reasons))


def approval_statement(
    rules: UseCaseRules,
    *,
    environment: str,
    version: int,
    binding: Binding,
    approver: str,
    roles: Sequence[str],
    self_approved: bool,
    ticked: Sequence[str],
    comment: str,
    log: LogHead,
    at: str,
) -> Statement:
    """The statement an approver signs; it also pins the audit log's head as the approver saw it."""
    return Statement(
        kind="approval",
        subjects=binding.subjects(),
        predicate={
            "use_case": rules.name,
            "environment": environment,
            "version": version,
            "approver": approver,
            "roles": list(roles),
            "self_approved": self_approved,
            "checklist": list(ticked),
            "comment": comment,
            "log": head_json(log),
            "at": at,
        },
    )


def head_json(head: LogHead) -> Json:
    """A log head as signed statements carry it."""
    return {"size": head.size, "root": str(head.root)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Approvals:
    """The approvals of a version for an environment, judged now.

    Attributes:
        counting: approver → the approval that counts.
        roles: approver → the roles that they hold now.
        void: why other approvals do not count, one sentence each.
        rejections: standing rejections, one sentence each.
    """

    counting: Mapping[str, Signed]
    roles: Mapping[str, tuple[str, ...]]
    void: tuple[str, ...]
    rejections: tuple[str, ...]


def count_approvals(
    history: History,
    *,
    environment: EnvironmentRules,
    version: int,
    binding: Binding,
    people: People,
    authors: frozenset[str],
) -> Approvals:
    """Judge all approvals and rejections of a version; each person's last word counts."""
    rollbacks = history.rollbacks_from(environment.name, version)
    last_word: dict[str, Signed] = {}
    for signed in history.statements:
        if signed.statement.kind not in ("approval", "rejection") or signed.number("version") != version:
            continue
        if signed.text("environment") == environment.name:
            last_word[_speaker(signed)] = signed
    counting: dict[str, Signed] = {}
    void: list[str] = []
    rejections: list[str] = []
    for person, signed in last_word.items():
        if signed.statement.kind == "rejection":
            if signed.statement.subject("model") == binding.model and people.may(person, "reject"):
                rejections.append(f"{person} rejected it: {signed.text('code')}: {signed.text('comment')}")
            continue
        why = _void(signed, person, environment=environment, binding=binding, people=people, authors=authors)
        if any(signed.precedes(rollback) for rollback in rollbacks):
            why = (*why, "the version was rolled back since")
        if why:
            void.append(f"the approval of {person} does not count: {'; '.join(why)}")
        else:
            counting[person] = signed
    roles = {person: people.roles_of(person) for person in counting}
    return Approvals(counting=counting, roles=roles, void=tuple(void), rejections=tuple(rejections))


def _speaker(signed: Signed) -> str:
    """The person it names, when they signed it; a signature below somebody else's approval is none of one's own."""
    named = signed.text("approver" if signed.statement.kind == "approval" else "reviewer")
    return named if named in signed.signers else f"unsigned {signed.id.short}"


def _void(
    approval: Signed,
    person: str,
    *,
    environment: EnvironmentRules,
    binding: Binding,
    people: People,
    authors: frozenset[str],
) -> tuple[str, ...]:
    why = list(binding.broken_by(approval.statement))
    if person not in approval.signers:
        problems = "; ".join(approval.problems) or f"signed: {', '.join(approval.signers) or 'nobody'}"
        why.append(
            f"it has no valid signature of {approval.text('approver') or 'a named approver'} ({problems})"
        )
        return tuple(why)
    why.extend(reason.message for reason in people.refusals(person, "approve"))
    if person in authors and environment.self_approval == "refused":
        why.append(f"{person} is an author of this version")
    unticked = [item for item in environment.checklist if item not in approval.texts("checklist")]
    if unticked:
        why.append(f"checklist items not confirmed: {', '.join(unticked)}")
    return tuple(why)
