"""`signoff rollback`: the alias and the statement return to the last good release together.

Before anything moves, the files of the release that is returned to are hashed. A release whose files are not what
was released is passed over for the one before it: returning to what nothing may load would be an outage. Files that
cannot be reached stop no rollback.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from signoff.apps.scoring.released import stated_model
from signoff.apps.verbs.alias import Moved, move, point_again
from signoff.apps.verbs.inherit import restore_inherited, return_to_inherited
from signoff.apps.verbs.recording import (
    allowed_entry,
    history_of,
    mirror_status,
    record_refusal,
    signed,
)
from signoff.apps.workspace import Actor, Workspace, now, require_key
from signoff.errors import ModelError, StoreError
from signoff.record.digest import Digest
from signoff.release.arrival import Held, held_release
from signoff.release.guard.ahead import found_ahead
from signoff.release.history import History
from signoff.release.inherited import inherited, taken_over
from signoff.release.model import Reason, Release, ReleaseDecision, Signed
from signoff.release.people import People
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
    looked: Looked = {}
    while True:
        moved = _attempt(workspace, rules, into, actor=actor, reason=reason, leaving=leaving, looked=looked)
        if moved is not None:
            return moved


Looked: TypeAlias = dict[Digest, tuple[tuple[Reason, ...], tuple[str, ...]]]
"""Per release statement why it cannot be used, and remarks: nothing is hashed twice."""


def _attempt(
    workspace: Workspace,
    rules: UseCaseRules,
    into: EnvironmentRules,
    *,
    actor: Actor,
    reason: str,
    leaving: Digest | None,
    looked: Looked,
) -> Moved | None:
    """Roll back by what the ledger says now; None when it went on while files were hashed: decide again.

    A log that others write to would otherwise refuse every rollback to a large model.
    """
    environment, known = into.name, len(looked)
    head = workspace.log_head()
    history = history_of(workspace, rules.name)
    current = history.release(environment)
    if current is not None and current.rollback is not None:
        pointed = workspace.reader_of(into).alias(rules.registered_model, into.alias)
        place = held_release(into, current, history=history, people=workspace.people())
        if isinstance(place, tuple) or pointed != place.version:
            return _complete_rollback(
                workspace, rules, into, history, current, place=place, actor=actor, size=head.size
            )
    taken_back = None if current is not None else inherited(history, environment, workspace.people())
    if taken_back is not None and taken_back.rollback is not None and leaving is None:
        return restore_inherited(workspace, rules, into, taken_back, actor=actor, size=head.size)
    if leaving is not None and (current is None or (current.rollback or current.statement).id != leaving):
        version = None if current is None else current.version
        nothing = ReleaseDecision(transition="rollback", subject=f"{rules.name}@{environment}", reasons=())
        return Moved(decision=nothing, alias=into.alias, before=version, after=version, already=True)
    aim = aim_rollback(workspace, rules, into, actor=actor, history=history, reason=reason, looked=looked)
    if len(looked) > known and workspace.ledger().head().size != head.size:
        return None
    decided, decision = aim.decided, aim.decided.decision
    before = None if decided.current is None else decided.current.version
    after = None if decided.target is None else decided.target.number("version")
    moved = Moved(decision=decision, alias=into.alias, before=before, after=after)
    if not decision.allowed or after is None or aim.place is None:
        return _not_put_back(
            workspace,
            rules,
            into,
            decided,
            moved,
            history=history,
            actor=actor,
            reason=reason,
            size=head.size,
        )
    statement = _put_back(
        workspace,
        rules,
        into,
        decided,
        actor=actor,
        reason=reason,
        size=head.size,
        version=after,
        there=aim.place.version,
    )
    return replace(moved, statement=statement)


def _not_put_back(
    workspace: Workspace,
    rules: UseCaseRules,
    into: EnvironmentRules,
    decided: Rollback,
    moved: Moved,
    *,
    history: History,
    actor: Actor,
    reason: str,
    size: int,
) -> Moved:
    """No earlier release can be put back: what was inherited is, where there is something, else nothing moves."""
    taken = taken_over(history, into.name, workspace.people())
    if decided.current is not None and decided.target is None and taken is not None:
        return return_to_inherited(
            workspace,
            rules,
            into,
            current=decided.current,
            taken=taken,
            history=history,
            actor=actor,
            reason=reason,
            size=size,
        )
    record_refusal(workspace, decided.decision, actor=actor, use_case=rules.name)
    return moved


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """What a rollback returns to.

    Attributes:
        decided: the decision.
        place: where the release that is returned to stands; None when the decision is to refuse.
    """

    decided: Rollback
    place: Held | None


def aim_rollback(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    actor: Actor,
    history: History,
    reason: str,
    looked: Looked,
) -> Aim:
    """Decide, and decide again without each release that turns out not to be there as it was released."""
    people: People = workspace.people()
    changed: dict[Digest, tuple[Reason, ...]] = {}
    while True:
        decided = decide_rollback(
            environment.name,
            use_case=rules.name,
            actor=actor.name,
            history=history,
            people=people,
            reason=reason,
            changed=changed,
        )
        if decided.target is None or not decided.decision.allowed:
            return Aim(decided=decided, place=None)
        place = held_release(environment, decided.target, history=history, people=people)
        if decided.target.id not in looked:
            look = partial(_looked_at, workspace, rules, environment, decided.target, history)
            looked[decided.target.id] = found_ahead(("release", decided.target.id), look)
        wrong, unseen = looked[decided.target.id]
        if isinstance(place, tuple):
            wrong = place
        elif not wrong:
            remarks = (*decided.decision.remarks, *unseen)
            decision = replace(decided.decision, remarks=remarks)
            return Aim(decided=replace(decided, decision=decision), place=place)
        changed[decided.target.id] = wrong


def _looked_at(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    target: Signed,
    history: History,
) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
    """Why a release cannot be used, and a remark when its files could not be reached."""
    ref = f"{rules.registered_model}/{target.number('version')}"
    try:
        with stated_model(workspace, rules, environment, history=history, statement=target) as found:
            return (found, ()) if isinstance(found, tuple) else ((), ())
    except StoreError as error:
        return (), (f"the files of {ref} were not looked at: {error.what}",)
    except ModelError as error:
        message = f"the files of {ref} changed since the release: {error.what}"
        return (Reason(code="model-bytes-changed", message=message),), ()


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
        log=workspace.log_head(),
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
