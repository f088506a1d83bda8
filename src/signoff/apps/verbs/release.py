"""`signoff promote` and `signoff rollback`: the alias and the statement move together."""

from dataclasses import dataclass, replace
from typing import Any

from signoff.apps.verbs.gate import baseline_environment
from signoff.apps.verbs.recording import (
    allowed_entry,
    history_of,
    mirror_status,
    record_refusal,
    signed,
    write,
)
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.verbs.subject import VersionSubject, version_subject
from signoff.apps.workspace import Actor, Workspace, now, require_key
from signoff.errors import StoreError
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry, LedgerWriter
from signoff.record.digest import Digest
from signoff.release.chain import verify_release
from signoff.release.history import History
from signoff.release.model import Release, ReleaseDecision
from signoff.release.promotion import (
    Promotion,
    Rollback,
    decide_completion,
    decide_promotion,
    decide_rollback,
    release_statement,
    rollback_statement,
)
from signoff.release.waivers import waivers_for
from signoff.standard.model import EnvironmentRules, UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What came of a promotion or rollback.

    Attributes:
        decision: the answer.
        alias: the alias concerned.
        before: the version released before; None when nothing was.
        after: the version released, or to be released; None when there is none.
        statement: id of the statement; None when nothing was written.
        already: whether it was released already and nothing had to change.
        plan: what an allowed promotion rests on and would do, one line each.
    """

    decision: ReleaseDecision
    alias: str
    before: int | None
    after: int | None
    statement: Digest | None = None
    already: bool = False
    plan: tuple[str, ...] = ()


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
        return _point_again(
            workspace,
            subject.rules,
            rules,
            current,
            decision=standing,
            actor=actor,
            size=subject.head.size,
            dry_run=dry_run,
        )
    promotion = _decide(workspace, subject, rules, actor)
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
    statement = _release(workspace, subject, rules, promotion, actor=actor, current=current)
    return Moved(
        decision=promotion.decision,
        alias=rules.alias,
        before=moved.before,
        after=moved.after,
        statement=statement,
    )


def _plan(
    workspace: Workspace, subject: VersionSubject, environment: EnvironmentRules, promotion: Promotion
) -> tuple[str, ...]:
    binding, approvals = promotion.binding, promotion.approvals
    if binding is None or approvals is None:
        return ()
    people = workspace.people()
    signed_by = [f"{person} ({', '.join(people.roles_of(person))})" for person in sorted(approvals.counting)]
    batch = subject.rules.batch
    joined = workspace.store().in_database and workspace.ledger_uri == workspace.tracking_uri
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
        "writes   release statement, audit entry and alias "
        + ("in one transaction" if joined else "one after the other"),
    )


def _decide(
    workspace: Workspace, subject: VersionSubject, environment: EnvironmentRules, actor: Actor
) -> Promotion:
    waivers = waivers_for(
        subject.history,
        model=subject.candidate.model,
        rules=subject.rules.digest,
        people=workspace.people(),
        authors=subject.candidate.authors,
        today=now()[:10],
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


def _point_again(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    current: Release,
    *,
    decision: ReleaseDecision,
    actor: Actor,
    size: int,
    dry_run: bool,
) -> Moved:
    """Point the alias at what is released, where it points elsewhere: moved by hand, or never moved."""
    pointed = workspace.reader().alias(rules.registered_model, environment.alias)
    top = current.rollback or current.statement
    moved = Moved(
        decision=decision,
        alias=environment.alias,
        before=pointed,
        after=current.version,
        already=pointed == current.version,
    )
    kept = workspace.ledger().get(top.id)
    if moved.already or dry_run or kept is None:
        return moved
    entry = allowed_entry(
        action=decision.transition,
        actor=actor,
        use_case=rules.name,
        subject=decision.subject,
        statement=top.id,
        at=now(),
        detail={"alias_pointed_at": pointed, "version": current.version},
        signs=False,
    )
    _move(
        workspace,
        rules,
        environment,
        version=current.version,
        run_id=top.text("run_id") or current.statement.text("run_id"),
        envelope=kept,
        entry=entry,
        expected=size,
    )
    return replace(moved, statement=top.id)


def _release(
    workspace: Workspace,
    subject: VersionSubject,
    environment: EnvironmentRules,
    promotion: Promotion,
    *,
    actor: Actor,
    current: Release | None,
) -> Digest:
    if promotion.binding is None or promotion.approvals is None:
        raise StoreError("an allowed promotion has a proposal and approvals")
    at = now()
    statement = release_statement(
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
    _move(
        workspace,
        subject.rules,
        environment,
        version=subject.record.version,
        run_id=subject.record.run_id,
        envelope=signed(statement, actor),
        entry=entry,
        expected=subject.head.size,
    )
    mirror_status(
        workspace, subject.rules.registered_model, subject.record.version, f"released: {environment.name}"
    )
    return statement.id


def _move(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    version: int,
    run_id: str | None,
    envelope: Envelope,
    entry: Entry,
    expected: int,
) -> None:
    """Record the statement and point the alias, in one transaction where MLflow's database is the ledger's."""
    ledger = workspace.ledger(create=True)
    store = workspace.store()
    ref = f"{rules.registered_model}/{version}"

    def record(writer: LedgerWriter) -> None:
        write(writer, envelope, entry, version=ref, run_id=run_id, expected=expected)

    if store.in_database and workspace.ledger_uri == workspace.tracking_uri:

        def join(connection: Any) -> None:
            record(ledger.writer_on(connection))

        store.set_alias(rules.registered_model, environment.alias, version, commit=join)
        return
    # Two systems cannot commit together. The statement goes first: until the alias follows, serving refuses
    # the difference, and the same command run again completes it.
    with ledger.transaction() as writer:
        record(writer)
    try:
        store.set_alias(rules.registered_model, environment.alias, version, commit=None)
    except StoreError as error:
        raise StoreError(
            f"the release is recorded, but alias @{environment.alias} could not be moved: {error.what}",
            where=error.where,
            hint="run the same command again to complete it; until then nothing is served from this alias",
        ) from error


def rollback(workspace: Workspace, use_case: str, *, environment: str, actor: Actor, reason: str) -> Moved:
    """Return to the last good release, or finish a rollback whose alias could not be moved.

    Raises:
        SignoffError: it could not be decided, or the alias could not be moved.
    """
    require_key(actor)
    rules = workspace.use_case(use_case)
    into = workspace.environment(rules, environment)
    head = workspace.ledger().head()
    history = history_of(workspace, rules.name)
    current = history.release(environment)
    if current is not None and current.rollback is not None:
        pointed = workspace.reader().alias(rules.registered_model, into.alias)
        if pointed != current.version:
            return _complete_rollback(
                workspace, rules, into, history, current, pointed=pointed, actor=actor, size=head.size
            )
    decided = decide_rollback(
        environment,
        use_case=rules.name,
        actor=actor.name,
        history=history,
        people=workspace.people(),
        reason=reason,
    )
    before = None if decided.current is None else decided.current.version
    after = None if decided.target is None else decided.target.number("version")
    moved = Moved(decision=decided.decision, alias=into.alias, before=before, after=after)
    if not decided.decision.allowed or after is None:
        record_refusal(workspace, decided.decision, actor=actor, use_case=rules.name)
        return moved
    statement = _put_back(
        workspace, rules, into, decided, actor=actor, reason=reason, size=head.size, version=after
    )
    return Moved(decision=decided.decision, alias=into.alias, before=before, after=after, statement=statement)


def _complete_rollback(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    history: History,
    current: Release,
    *,
    pointed: int | None,
    actor: Actor,
    size: int,
) -> Moved:
    """Move the alias of a rollback that was recorded when the registry could not be reached."""
    decision = decide_completion(
        environment.name,
        use_case=rules.name,
        actor=actor.name,
        current=current,
        history=history,
        people=workspace.people(),
    )
    if not decision.allowed:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return Moved(decision=decision, alias=environment.alias, before=pointed, after=current.version)
    moved = _point_again(
        workspace, rules, environment, current, decision=decision, actor=actor, size=size, dry_run=False
    )
    left = None if current.rollback is None else current.rollback.number("from_version")
    _mirror_rollback(workspace, rules, environment, to=current.version, left=left)
    return moved


def _mirror_rollback(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, *, to: int, left: int | None
) -> None:
    mirror_status(workspace, rules.registered_model, to, f"released: {environment.name}")
    if left is not None:
        mirror_status(workspace, rules.registered_model, left, f"rolled back: {environment.name}")


def _put_back(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    decided: Rollback,
    *,
    actor: Actor,
    reason: str,
    size: int,
    version: int,
) -> Digest:
    at = now()
    statement = rollback_statement(
        environment.name,
        use_case=rules.name,
        rollback=decided,
        actor=actor.name,
        reason=reason,
        log=workspace.ledger().head(),
        at=at,
    )
    entry = allowed_entry(
        action="rollback",
        actor=actor,
        use_case=rules.name,
        subject=f"{rules.registered_model}/{version} back to {environment.name}",
        statement=statement.id,
        at=at,
        detail={"reason": reason, "version": version},
    )
    _move(
        workspace,
        rules,
        environment,
        version=version,
        run_id=decided.target.text("run_id") if decided.target is not None else None,
        envelope=signed(statement, actor),
        entry=entry,
        expected=size,
    )
    left = None if decided.current is None else decided.current.version
    _mirror_rollback(workspace, rules, environment, to=version, left=left)
    return statement.id
