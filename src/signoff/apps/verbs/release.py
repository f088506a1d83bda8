"""`signoff promote`: the alias and the statement move together."""

from dataclasses import replace

from signoff.apps.verbs.alias import Moved, joined, move, point_again
from signoff.apps.verbs.gate import baseline_environment
from signoff.apps.verbs.recording import (
    allowed_entry,
    mirror_status,
    record_refusal,
    signed,
)
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.verbs.subject import VersionSubject, version_subject
from signoff.apps.verbs.transfer import Arrived, arrive, copy_plan
from signoff.apps.workspace import Actor, Workspace, now, require_key
from signoff.errors import StoreError
from signoff.evidence.statement import Statement
from signoff.record.digest import Digest
from signoff.release.arrival import Held, held_release
from signoff.release.chain import verify_release
from signoff.release.inherited import inherited, next_number
from signoff.release.model import Reason, Release, ReleaseDecision
from signoff.release.promotion import (
    Promotion,
    decide_promotion,
    release_statement,
)
from signoff.release.waivers import waivers_for
from signoff.rollout.recorded import decide_recorded
from signoff.standard.model import EnvironmentRules


def promote(
    workspace: Workspace, reference: VersionReference, *, environment: str, actor: Actor, dry_run: bool
) -> Moved:
    """Release a version into an environment.

    Args:
        workspace: the team's workspace.
        reference: the version.
        environment: the environment.
        actor: who promotes; with a key.
        dry_run: decide and report only.

    Raises:
        SignoffError: it could not be decided, or the alias could not be moved; then nothing changed.
    """
    require_key(actor)
    subject = version_subject(workspace, reference, tried=True)
    rules = workspace.environment(subject.rules, environment)
    current = subject.history.release(environment)
    standing = _standing(workspace, subject, current, actor)
    if current is not None and standing is not None:
        return _stand_again(
            workspace, subject, rules, current, decision=standing, actor=actor, dry_run=dry_run
        )
    promotion = decide_release(workspace, subject, rules, actor)
    moved = Moved(
        decision=promotion.decision,
        alias=rules.alias,
        before=None if current is None else current.version,
        after=reference.version,
    )
    if not promotion.decision.allowed:
        if not dry_run:
            record_refusal(
                workspace,
                promotion.decision,
                actor=actor,
                use_case=subject.rules.name,
                version=reference.version,
            )
        return moved
    if dry_run:
        return replace(moved, plan=_plan(workspace, subject, rules, promotion))
    arrived = arrive(
        workspace,
        subject.rules,
        rules,
        record=subject.record,
        model=subject.candidate.model,
        history=subject.history,
        head=subject.head,
        actor=actor,
    )
    if isinstance(arrived, tuple):
        return _not_arrived(workspace, subject, moved, arrived, actor=actor)
    decision = replace(promotion.decision, remarks=(*promotion.decision.remarks, *arrived.remarks))
    statement = _release(
        workspace,
        replace(subject, head=arrived.head),
        rules,
        promotion,
        actor=actor,
        current=current,
        there=arrived.version,
    )
    return replace(moved, decision=decision, statement=statement)


def _not_arrived(
    workspace: Workspace,
    subject: VersionSubject,
    moved: Moved,
    reasons: tuple[Reason, ...],
    *,
    actor: Actor,
) -> Moved:
    """Refuse what was approved here and is something else there; the alias there stays."""
    decision = replace(moved.decision, reasons=reasons)
    record_refusal(
        workspace, decision, actor=actor, use_case=subject.rules.name, version=subject.record.version
    )
    return replace(moved, decision=decision)


def _plan(
    workspace: Workspace, subject: VersionSubject, environment: EnvironmentRules, promotion: Promotion
) -> tuple[str, ...]:
    binding, approvals = promotion.binding, promotion.approvals
    if binding is None or approvals is None:
        return ()
    people = workspace.people()
    signed_by = [f"{person} ({', '.join(people.roles_of(person))})" for person in sorted(approvals.counting)]
    batch = subject.rules.batch
    copies = (
        ()
        if environment.server is None
        else (copy_plan(workspace, subject.rules, environment, subject.record),)
    )
    return (
        f"files    {binding.model}, hashed now, as proposed",
        f"run      {subject.record.run_id}",
        f"gate     statement {binding.decision.short}",
        f"rules    {binding.rules.short} of {subject.rules.name} and {environment.name}",
        f"signed   {', '.join(signed_by) or 'nobody has to'}",
        "input    "
        + (
            "no input table in the standard"
            if batch is None or batch.input is None
            else f"{batch.input} has the {len(subject.inputs.columns)} columns of the signature"
        ),
        *copies,
        "writes   release statement, audit entry and alias "
        + ("in one transaction" if joined(workspace, environment) else "one after the other"),
    )


def decide_release(
    workspace: Workspace, subject: VersionSubject, environment: EnvironmentRules, actor: Actor
) -> Promotion:
    """Decide whether a version may be released, by the waivers and people of today."""
    today = now()[:10]
    waivers = waivers_for(
        subject.history,
        model=subject.candidate.model,
        rules=subject.rules.digest,
        people=workspace.people(),
        authors=subject.candidate.authors,
        today=today,
    )
    return decide_promotion(
        subject.rules,
        environment,
        actor=actor.name,
        candidate=subject.candidate,
        history=subject.history,
        people=workspace.people(),
        waivers=waivers,
        baseline_environment=baseline_environment(subject.rules),
        today=today,
        decide_again=decide_recorded,
    )


def _standing(
    workspace: Workspace, subject: VersionSubject, current: Release | None, actor: Actor
) -> ReleaseDecision | None:
    """The answer when this version is what is released already: its own statement is enough.

    None when something else is released, when the statement is not good, or when the actor may not promote.
    """
    if current is None or (current.version, current.model) != (
        subject.record.version,
        subject.candidate.model,
    ):
        return None
    people = workspace.people()
    decision = ReleaseDecision(
        transition="promote",
        subject=f"{subject.record.ref} to {current.statement.text('environment')}",
        reasons=(
            *people.refusals(actor.name, "promote"),
            *verify_release(subject.history, current.statement, people=people),
        ),
    )
    return decision if decision.allowed else None


def _stand_again(
    workspace: Workspace,
    subject: VersionSubject,
    environment: EnvironmentRules,
    current: Release,
    *,
    decision: ReleaseDecision,
    actor: Actor,
    dry_run: bool,
) -> Moved:
    """See that what is released stands where it should: its copy on another server, and the alias."""
    moved = Moved(decision=decision, alias=environment.alias, before=current.version, after=current.version)
    found: Held | Arrived | tuple[Reason, ...]
    if dry_run:
        found = held_release(environment, current, history=subject.history, people=workspace.people())
        if isinstance(found, tuple):
            return replace(moved, plan=(copy_plan(workspace, subject.rules, environment, subject.record),))
    else:
        found = arrive(
            workspace,
            subject.rules,
            environment,
            record=subject.record,
            model=current.model,
            history=subject.history,
            head=subject.head,
            actor=actor,
        )
        if isinstance(found, tuple):
            return _not_arrived(workspace, subject, moved, found, actor=actor)
    remarks = found.remarks if isinstance(found, Arrived) else ()
    return point_again(
        workspace,
        subject.rules,
        environment,
        current,
        decision=replace(decision, remarks=(*decision.remarks, *remarks)),
        history=subject.history,
        there=found.version,
        actor=actor,
        size=found.head.size if isinstance(found, Arrived) else subject.head.size,
        dry_run=dry_run,
    )


def _release(
    workspace: Workspace,
    subject: VersionSubject,
    environment: EnvironmentRules,
    promotion: Promotion,
    *,
    actor: Actor,
    current: Release | None,
    there: int,
) -> Digest:
    at = now()
    statement = statement_of_release(
        workspace, subject, environment, promotion, actor=actor, current=current, at=at
    )
    entry = allowed_entry(
        action="promote",
        actor=actor,
        use_case=subject.rules.name,
        subject=f"{subject.record.ref} to {environment.name}",
        statement=statement.id,
        at=at,
        detail={
            "from_version": None if current is None else current.version,
            "version": subject.record.version,
        },
    )
    move(
        workspace,
        subject.rules,
        environment,
        version=subject.record.version,
        there=there,
        run_id=subject.record.run_id,
        envelope=signed(statement, actor),
        entry=entry,
        expected=subject.head.size,
    )
    mirror_status(
        workspace, subject.rules.registered_model, subject.record.version, f"released: {environment.name}"
    )
    return statement.id


def statement_of_release(
    workspace: Workspace,
    subject: VersionSubject,
    environment: EnvironmentRules,
    promotion: Promotion,
    *,
    actor: Actor,
    current: Release | None,
    at: str,
) -> Statement:
    """The release statement of an allowed promotion.

    Raises:
        StoreError: the promotion has no proposal or approvals, so it was not allowed.
    """
    if promotion.binding is None or promotion.approvals is None:
        raise StoreError("an allowed promotion has a proposal and approvals")
    return release_statement(
        subject.rules,
        environment,
        candidate=subject.candidate,
        binding=promotion.binding,
        approvals=promotion.approvals,
        waivers=waivers_for(
            subject.history,
            model=subject.candidate.model,
            rules=subject.rules.digest,
            people=workspace.people(),
            authors=subject.candidate.authors,
            today=at[:10],
        ),
        actor=actor.name,
        previous=current,
        log=subject.head,
        at=at,
        taken=inherited(subject.history, environment.name, workspace.people()),
        number=next_number(subject.history, environment.name, current),
    )
