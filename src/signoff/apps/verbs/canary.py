"""`signoff promote --canary`, and `signoff rollback` while a canary runs."""

from dataclasses import dataclass, replace

from signoff.apps.verbs.recording import (
    allowed_entry,
    history_of,
    mirror_status,
    record_refusal,
    signed,
    write,
)
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.verbs.release import decide_release, statement_of_release
from signoff.apps.verbs.subject import version_subject
from signoff.apps.verbs.transfer import arrive
from signoff.apps.workspace import Actor, Workspace, now, require_key
from signoff.record.digest import Digest
from signoff.release.canary import (
    canary_of,
    canary_statement,
    decide_canary,
    decide_stop,
    rollout_statement,
)
from signoff.release.model import ReleaseDecision
from signoff.rollout.recorded import decide_recorded
from signoff.standard.deployment import CanaryRules


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryChange:
    """What came of starting or ending a canary.

    Attributes:
        decision: the answer.
        version: the version on trial.
        plan: its steps; None when the standard has none.
        statement: id of the statement; None when nothing was written.
    """

    decision: ReleaseDecision
    version: int
    plan: CanaryRules | None
    statement: Digest | None = None


def start_canary(
    workspace: Workspace, reference: VersionReference, *, environment: str, actor: Actor, dry_run: bool
) -> CanaryChange:
    """Let a version be tried beside what is released; no alias moves.

    Args:
        workspace: the team's workspace.
        reference: the version.
        environment: the environment.
        actor: who promotes; with a key.
        dry_run: decide and report only.

    Raises:
        SignoffError: it could not be decided or recorded; then nothing changed.
    """
    require_key(actor)
    subject = version_subject(workspace, reference, tried=True)
    rules, into = subject.rules, workspace.environment(subject.rules, environment)
    released = subject.history.release(environment)
    promotion = decide_release(workspace, subject, into, actor)
    decision = decide_canary(
        promotion.decision,
        rules,
        environment,
        ref=subject.record.ref,
        version=subject.record.version,
        released=released,
        running=canary_of(subject.history, environment, people=workspace.people()),
    )
    plan = None if rules.serving is None else rules.serving.canary
    change = CanaryChange(decision=decision, version=subject.record.version, plan=plan)
    if not decision.allowed or plan is None or released is None:
        if not dry_run:
            record_refusal(workspace, decision, actor=actor, use_case=rules.name, version=reference.version)
        return change
    if dry_run:
        return change
    arrived = arrive(
        workspace,
        rules,
        into,
        record=subject.record,
        model=subject.candidate.model,
        history=subject.history,
        head=subject.head,
        actor=actor,
    )
    if isinstance(arrived, tuple):
        refused = replace(decision, reasons=arrived)
        record_refusal(workspace, refused, actor=actor, use_case=rules.name, version=reference.version)
        return replace(change, decision=refused)
    subject = replace(subject, head=arrived.head)
    at = now()
    release = statement_of_release(workspace, subject, into, promotion, actor=actor, current=released, at=at)
    statement = canary_statement(release, plan=plan, stable=released)
    entry = allowed_entry(
        action="canary",
        actor=actor,
        use_case=rules.name,
        subject=decision.subject,
        statement=statement.id,
        at=at,
        detail={"version": subject.record.version, "beside": released.version},
    )
    with workspace.ledger(create=True).transaction() as writer:
        write(
            writer,
            signed(statement, actor),
            entry,
            version=subject.record.ref,
            run_id=subject.record.run_id,
            expected=subject.head.size,
        )
    mirror_status(workspace, rules.registered_model, subject.record.version, f"canary: {environment}")
    return CanaryChange(decision=decision, version=subject.record.version, plan=plan, statement=statement.id)


def stop_canary(
    workspace: Workspace, use_case: str, *, environment: str, actor: Actor, reason: str
) -> CanaryChange | None:
    """End the canary that runs in an environment; None when none does.

    Who rolls back while a canary runs means the canary: it is what changed last. The release stays.

    Raises:
        SignoffError: it could not be decided or recorded; then nothing changed.
    """
    require_key(actor)
    rules = workspace.use_case(use_case)
    workspace.environment(rules, environment)
    head = workspace.log_head()
    people = workspace.people()
    canary = canary_of(
        history_of(workspace, rules.name), environment, people=people, decide_again=decide_recorded
    )
    if canary is None:
        return None
    decision = decide_stop(
        canary,
        use_case=rules.registered_model,
        environment=environment,
        actor=actor.name,
        people=people,
        reason=reason,
    )
    change = CanaryChange(decision=decision, version=canary.version, plan=canary.plan)
    if not decision.allowed:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name, version=canary.version)
        return change
    at = now()
    statement = rollout_statement(
        canary,
        use_case=rules.name,
        environment=environment,
        verdict="abort",
        message=reason,
        steps=(),
        evalues={},
        actor=actor.name,
        log=head,
        at=at,
    )
    entry = allowed_entry(
        action="rollback",
        actor=actor,
        use_case=rules.name,
        subject=decision.subject,
        statement=statement.id,
        at=at,
        detail={"reason": reason, "version": canary.version},
    )
    ref = f"{rules.registered_model}/{canary.version}"
    with workspace.ledger(create=True).transaction() as writer:
        write(writer, signed(statement, actor), entry, version=ref, run_id=None, expected=head.size)
    mirror_status(workspace, rules.registered_model, canary.version, f"canary ended: {environment}")
    return CanaryChange(decision=decision, version=canary.version, plan=canary.plan, statement=statement.id)
