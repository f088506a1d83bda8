"""`signoff rollback`: the alias and the statement return to the last good release together."""

from dataclasses import replace

from signoff.apps.verbs.alias import Moved, move, point_again
from signoff.apps.verbs.recording import (
    allowed_entry,
    history_of,
    mirror_status,
    record_refusal,
    signed,
)
from signoff.apps.workspace import Actor, Workspace, now, require_key
from signoff.record.digest import Digest
from signoff.release.arrival import Held, held_release
from signoff.release.history import History
from signoff.release.model import Reason, Release, ReleaseDecision, Signed
from signoff.release.promotion import (
    Rollback,
    decide_completion,
    decide_rollback,
    rollback_statement,
)
from signoff.standard.model import EnvironmentRules, UseCaseRules


def rollback(
    workspace: Workspace,
    use_case: str,
    *,
    environment: str,
    actor: Actor,
    reason: str,
    leaving: Digest | None = None,
) -> Moved:
    """Return to the last good release, or finish a rollback whose alias could not be moved.

    Args:
        workspace: the team's workspace.
        use_case: its name.
        environment: the environment.
        actor: who rolls back; with a key.
        reason: why.
        leaving: the release or rollback statement that must still be on top; with another there nothing is
            left any more, and nothing changes. None: leave whatever is released.

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
        pointed = workspace.reader_of(into).alias(rules.registered_model, into.alias)
        place = held_release(into, current, history=history, people=workspace.people())
        if isinstance(place, tuple) or pointed != place.version:
            return _complete_rollback(
                workspace, rules, into, history, current, place=place, actor=actor, size=head.size
            )
    if leaving is not None and (current is None or (current.rollback or current.statement).id != leaving):
        version = None if current is None else current.version
        nothing = ReleaseDecision(transition="rollback", subject=f"{rules.name}@{environment}", reasons=())
        return Moved(decision=nothing, alias=into.alias, before=version, after=version, already=True)
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
    found = () if decided.target is None else _standing_place(workspace, rules, into, decided.target, history)
    reasons = found if isinstance(found, tuple) else ()
    decision = replace(decided.decision, reasons=(*decided.decision.reasons, *reasons))
    moved = Moved(decision=decision, alias=into.alias, before=before, after=after)
    if not decision.allowed or after is None or isinstance(found, tuple):
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return moved
    statement = _put_back(
        workspace,
        rules,
        into,
        decided,
        actor=actor,
        reason=reason,
        size=head.size,
        version=after,
        there=found.version,
    )
    return replace(moved, statement=statement)


def _standing_place(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    target: Signed,
    history: History,
) -> Held | tuple[Reason, ...]:
    """Where the release that is returned to stands; on another server its version must still be there."""
    place = held_release(environment, target, history=history, people=workspace.people())
    if isinstance(place, tuple) or place.arrival is None:
        return place
    record = workspace.reader_of(environment).version(rules.registered_model, place.version)
    if record is not None and record.run_id == place.run_id:
        return place
    ref = f"{rules.registered_model}/{place.version} on the server of {environment.name}"
    state = "gone" if record is None else f"now of run {record.run_id}"
    return (
        Reason(
            code="version-replaced",
            message=f"{ref} is {state}, the release is about run {place.run_id} there",
            fix=f"signoff promote {rules.registered_model}/{target.number('version')} --env {environment.name}",
        ),
    )


def _complete_rollback(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    history: History,
    current: Release,
    *,
    place: Held | tuple[Reason, ...],
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
    if isinstance(place, tuple):
        decision = replace(decision, reasons=(*decision.reasons, *place))
    if not decision.allowed or isinstance(place, tuple):
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return Moved(
            decision=decision, alias=environment.alias, before=current.version, after=current.version
        )
    moved = point_again(
        workspace,
        rules,
        environment,
        current,
        decision=decision,
        history=history,
        there=place.version,
        actor=actor,
        size=size,
        dry_run=False,
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
    there: int,
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
    move(
        workspace,
        rules,
        environment,
        version=version,
        there=there,
        run_id=decided.target.text("run_id") if decided.target is not None else None,
        envelope=signed(statement, actor),
        entry=entry,
        expected=size,
    )
    left = None if decided.current is None else decided.current.version
    _mirror_rollback(workspace, rules, environment, to=version, left=left)
    return statement.id
