"""`signoff approve`, `reject`, `note`, and waivers: what people say about a candidate, signed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from signoff.apps.verbs.authors import authors_of
from signoff.apps.verbs.gate import baseline_environment
from signoff.apps.verbs.propose import newest_judgement
from signoff.apps.verbs.recording import allowed_entry, history_of, record_refusal, signed, write
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.verbs.subject import VersionSubject, version_subject
from signoff.apps.workspace import Actor, Workspace, now, private_copy, require_key, run_model
from signoff.conformance.decide import check_run
from signoff.errors import UsageError
from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest
from signoff.record.run import RunRecord
from signoff.release.approval import (
    Binding,
    approval_statement,
    decide_approval,
    decide_rejection,
)
from signoff.release.guard.evidence import evidence_reasons
from signoff.release.history import decision_of
from signoff.release.model import Reason, ReleaseDecision
from signoff.release.proposal import Judged, gate_refusals
from signoff.standard.model import UseCaseRules

_DAY = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What came of it.

    Attributes:
        decision: the answer.
        statement: id of the signed statement; None when refused.
    """

    decision: ReleaseDecision
    statement: Digest | None


def approve(
    workspace: Workspace,
    reference: VersionReference,
    *,
    environment: str,
    actor: Actor,
    ticked: Sequence[str],
    comment: str,
    log: LogHead | None = None,
) -> Said:
    """Sign an approval of a version for an environment.

    Args:
        workspace: the team's workspace.
        reference: the version.
        environment: what it is for.
        actor: who approves; with a key.
        ticked: checklist items that they confirm.
        comment: what they say.
        log: the log's head as they saw it; None: as it is now.

    Raises:
        SignoffError: it could not be decided.
    """
    require_key(actor)
    subject = version_subject(workspace, reference)
    rules = workspace.environment(subject.rules, environment)
    decision = decide_approval(
        rules,
        subject=f"{subject.record.ref} for {environment}",
        approver=actor.name,
        people=workspace.people(),
        authors=subject.candidate.authors,
        proposal=subject.proposal,
        ticked=ticked,
    )
    changed = evidence_reasons(subject.record.ref, subject.candidate.changed)
    decision = replace(decision, reasons=(*decision.reasons, *changed))
    decision = _with_what_stands_in_the_way(_with_unchanged_bytes(decision, subject), subject)
    proposed = None if subject.proposal is None else subject.proposal.statement.subject("decision")
    if not decision.allowed or subject.proposal is None or proposed is None:
        return _refused(workspace, decision, actor, subject)
    at = now()
    statement = approval_statement(
        subject.rules,
        environment=environment,
        version=reference.version,
        binding=Binding(
            model=subject.candidate.model,
            decision=proposed,
            rules=subject.rules.environment_digest(environment),
            proposal=subject.proposal.id,
            components=subject.candidate.components,
        ),
        approver=actor.name,
        roles=workspace.people().roles_of(actor.name),
        self_approved=actor.name in subject.candidate.authors,
        ticked=ticked,
        comment=comment,
        log=log or subject.head,
        at=at,
    )
    return _said(workspace, statement, decision, actor=actor, subject=subject, at=at)


def reject(
    workspace: Workspace,
    reference: VersionReference,
    *,
    environment: str,
    actor: Actor,
    code: str,
    comment: str,
) -> Said:
    """Sign a rejection of a version for an environment, with a reason code.

    Raises:
        SignoffError: it could not be decided.
    """
    require_key(actor)
    subject = version_subject(workspace, reference)
    workspace.environment(subject.rules, environment)
    decision = decide_rejection(
        subject=f"{subject.record.ref} for {environment}",
        reviewer=actor.name,
        people=workspace.people(),
        code=code,
        proposal=subject.proposal,
    )
    if not decision.allowed:
        return _refused(workspace, decision, actor, subject)
    at = now()
    statement = Statement(
        kind="rejection",
        subjects=(Subject(name="model", digest=subject.candidate.model),),
        predicate={
            "use_case": subject.rules.name,
            "environment": environment,
            "version": reference.version,
            "reviewer": actor.name,
            "code": code,
            "comment": comment,
            "at": at,
        },
    )
    return _said(workspace, statement, decision, actor=actor, subject=subject, at=at)


def note(workspace: Workspace, reference: VersionReference, *, actor: Actor, text: str) -> Said:
    """Sign a remark on a version.

    Raises:
        SignoffError: it could not be decided.
    """
    require_key(actor)
    if not text.strip():
        raise UsageError("the note is empty")
    subject = version_subject(workspace, reference)
    decision = ReleaseDecision(
        transition="note",
        subject=subject.record.ref,
        reasons=workspace.people().refusals(actor.name, "note"),
    )
    if not decision.allowed:
        return _refused(workspace, decision, actor, subject)
    at = now()
    statement = Statement(
        kind="note",
        subjects=(Subject(name="model", digest=subject.candidate.model),),
        predicate={
            "use_case": subject.rules.name,
            "version": reference.version,
            "author": actor.name,
            "text": text,
            "at": at,
        },
    )
    return _said(workspace, statement, decision, actor=actor, subject=subject, at=at)


def waive(
    workspace: Workspace, run_id: str, *, actor: Actor, codes: Sequence[str], reason: str, until: str
) -> Said:
    """Sign a waiver of named findings or checks on a run's model, until a day.

    Raises:
        UsageError: no reason, or a day that is not in the future.
        SignoffError: it could not be decided.
    """
    require_key(actor)
    if not reason.strip():
        raise UsageError("a waiver needs a reason", hint='add --comment "…"')
    if not _DAY.match(until) or until <= now()[:10]:
        raise UsageError(
            f"{until!r} is not a day in the future", hint="write the last day it counts as YYYY-MM-DD"
        )
    run = workspace.reader().run(run_id)
    rules = workspace.use_case_of_run(run)
    with private_copy(workspace, run_model(run).uri) as folder:
        model = folder.digest
    _refuse_unknown_codes(codes, _open_codes(workspace, rules, run, model))
    authors = authors_of(workspace, run)
    reasons = list(workspace.people().refusals(actor.name, "waive"))
    if actor.name in authors:
        reasons.append(
            Reason(
                code="self-waiver", message=f"{actor.name} is an author of this run and cannot waive for it"
            )
        )
    decision = ReleaseDecision(
        transition="waive", subject=f"{', '.join(codes)} for run {run_id}", reasons=tuple(reasons)
    )
    if not decision.allowed:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return Said(decision=decision, statement=None)
    at = now()
    statement = Statement(
        kind="waiver",
        subjects=(Subject(name="model", digest=model), Subject(name="rules", digest=rules.digest)),
        predicate={
            "use_case": rules.name,
            "run_id": run_id,
            "codes": list(codes),
            "reason": reason,
            "until": until,
            "by": actor.name,
            "at": at,
        },
    )
    entry = allowed_entry(
        action="waive",
        actor=actor,
        use_case=rules.name,
        subject=f"run {run_id}",
        statement=statement.id,
        at=at,
        detail={"codes": list(codes), "until": until},
    )
    with workspace.ledger(create=True).transaction() as writer:
        write(writer, signed(statement, actor), entry, version=None, run_id=run_id)
    return Said(decision=decision, statement=statement.id)


def _open_codes(workspace: Workspace, rules: UseCaseRules, run: RunRecord, model: Digest) -> tuple[str, ...]:
    """Codes of the findings and checks that stand in the run's way now."""
    findings = [finding.code for finding in check_run(rules, run) if finding.severity == "block"]
    judged = newest_judgement(history_of(workspace, rules.name), model, run.run_id)
    checks = (
        []
        if judged is None
        else [c.id for c in judged.decision.checks if c.severity == "block" and c.status != "pass"]
    )
    return tuple(dict.fromkeys((*findings, *checks)))


def _refuse_unknown_codes(codes: Sequence[str], known: Sequence[str]) -> None:
    for code in codes:
        if code not in known:
            raise UsageError(
                f"nothing called {code!r} stands in the way of this run",
                hint=f"what does: {', '.join(known)}" if known else "nothing does; it needs no waiver",
            )


def _with_unchanged_bytes(decision: ReleaseDecision, subject: VersionSubject) -> ReleaseDecision:
    proposed = None if subject.proposal is None else subject.proposal.statement.subject("model")
    if proposed is None or proposed == subject.candidate.model:
        return decision
    changed = Reason(
        code="model-bytes-changed",
        message=f"the model's files changed since the proposal (proposed {proposed.short},"
        f" now {subject.candidate.model.short})",
        fix="find out who changed them; nothing can be approved until a new run is proposed",
    )
    return replace(decision, reasons=(*decision.reasons, changed))


def _with_what_stands_in_the_way(decision: ReleaseDecision, subject: VersionSubject) -> ReleaseDecision:
    """Remark what a promotion would refuse now: an approval of it may be for nothing."""
    named = None if subject.proposal is None else subject.proposal.statement.subject("decision")
    found = None if named is None else subject.history.by_id(named)
    released = subject.history.release(baseline_environment(subject.rules))
    own = released is not None and released.version == subject.record.version
    if found is None or own or not decision.allowed:
        return decision
    refusals = gate_refusals(
        subject.rules,
        run_id=subject.record.run_id or "RUN",
        judged=Judged(signed=found, decision=decision_of(found)),
        data=None,
        baseline=None if released is None else released.model,
        waived={},
    )
    moved_on = (reason for reason in refusals if reason.code.startswith("gate-"))
    remarks = [f"a promotion would be refused now: {reason.message}" for reason in moved_on]
    return replace(decision, remarks=(*decision.remarks, *remarks))


def _refused(workspace: Workspace, decision: ReleaseDecision, actor: Actor, subject: VersionSubject) -> Said:
    record_refusal(
        workspace,
        decision,
        actor=actor,
        use_case=subject.rules.name,
        version=subject.record.version,
    )
    return Said(decision=decision, statement=None)


def _said(
    workspace: Workspace,
    statement: Statement,
    decision: ReleaseDecision,
    *,
    actor: Actor,
    subject: VersionSubject,
    at: str,
) -> Said:
    entry = allowed_entry(
        action=decision.transition,
        actor=actor,
        use_case=subject.rules.name,
        subject=decision.subject,
        statement=statement.id,
        at=at,
        detail={"version": subject.record.version},
    )
    with workspace.ledger(create=True).transaction() as writer:
        write(
            writer,
            signed(statement, actor),
            entry,
            version=subject.record.ref,
            run_id=subject.record.run_id,
        )
    return Said(decision=decision, statement=statement.id)
