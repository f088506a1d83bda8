"""Taking over what production aliases point at, and returning to it when no earlier release is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from signoff.apps.verbs.alias import Moved, move
from signoff.apps.verbs.freezing import Freeze, freezing
from signoff.apps.verbs.recording import (
    allowed_entry,
    history_of,
    mirror_status,
    record_refusal,
    signed,
    write,
)
from signoff.apps.workspace import Actor, Workspace, now, private_copy, require_key
from signoff.errors import ModelError, StoreError
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry
from signoff.record.digest import Digest
from signoff.record.model_version import ModelVersionRecord
from signoff.release.history import History
from signoff.release.inherited import (
    UNVERIFIED,
    Inherited,
    decide_inherit,
    decide_return,
    inherited_statement,
    next_number,
    return_statement,
)
from signoff.release.model import Release, ReleaseDecision
from signoff.standard.model import EnvironmentRules, UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenOver:
    """What came of taking over an environment.

    Attributes:
        decision: the answer.
        use_case: the use case.
        environment: the environment.
        version: the version taken over; None when refused.
        statement: id of the statement; None when refused.
        unread: why its files could not be hashed; "" when they were.
    """

    decision: ReleaseDecision
    use_case: str
    environment: str
    version: int | None = None
    statement: Digest | None = None
    unread: str = ""


def inherit(workspace: Workspace, use_case: str, *, environment: str, actor: Actor) -> TakenOver:
    """Take over what an environment's alias points at as an inherited release; no alias moves.

    Args:
        workspace: the team's workspace.
        use_case: its name.
        environment: the environment.
        actor: who takes it over; with a key.

    Raises:
        SignoffError: it could not be decided or recorded.
    """
    require_key(actor)
    rules = workspace.use_case(use_case)
    into = workspace.environment(rules, environment)
    workspace.ledger(create=True)
    head = workspace.log_head()
    reader = workspace.reader_of(into)
    pointed = reader.alias(rules.registered_model, into.alias)
    record = None if pointed is None else reader.version(rules.registered_model, pointed)
    decision = decide_inherit(
        rules,
        into,
        actor=actor.name,
        history=history_of(workspace, rules.name),
        people=workspace.people(),
        pointed=pointed,
        record=record,
    )
    if not decision.allowed or record is None:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name, version=pointed)
        return TakenOver(decision=decision, use_case=rules.name, environment=environment)
    model, unread = _files(workspace, into, record)
    at = now()
    statement = inherited_statement(
        rules, into, record=record, model=model, actor=actor.name, log=head, at=at
    )
    entry = allowed_entry(
        action="inherit",
        actor=actor,
        use_case=rules.name,
        subject=f"{record.ref} in {environment}",
        statement=statement.id,
        at=at,
        detail={"version": record.version, "unverified": True, **({"unread": unread} if unread else {})},
    )
    envelope = signed(statement, actor)
    with _held(workspace, into, record) as freeze:
        frozen = (
            None
            if freeze is None
            else freeze.entry(workspace.reader().run(freeze.run_id), proposal=entry, actor=actor)
        )
        with (workspace.ledger() if freeze is None else freeze).transaction() as writer:
            write(writer, envelope, entry, version=record.ref, run_id=record.run_id, expected=head.size)
            if frozen is not None:
                writer.append(frozen)
    return TakenOver(
        decision=decision,
        use_case=rules.name,
        environment=environment,
        version=record.version,
        statement=statement.id,
        unread=unread,
    )


@contextmanager
def _held(
    workspace: Workspace, environment: EnvironmentRules, record: ModelVersionRecord
) -> Iterator[Freeze | None]:
    """The freeze of the version's run; None when it has none that ended and is there, or stands on another server."""
    run_id, reader = record.run_id, workspace.reader()
    there = run_id is not None and environment.server is None and bool(reader.active_runs({run_id}))
    if run_id is None or not there or reader.run(run_id).status != "FINISHED":
        yield None
        return
    with freezing(workspace, run_id, proposer=None) as freeze:
        yield freeze


def _files(
    workspace: Workspace, environment: EnvironmentRules, record: ModelVersionRecord
) -> tuple[Digest | None, str]:
    """Digest of the version's files, or why they cannot be read: what was there before may be damaged already."""
    try:
        with private_copy(workspace, record.uri, environment) as folder:
            return folder.digest, ""
    except (ModelError, StoreError) as error:
        return None, error.what


def return_to_inherited(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    current: Release,
    taken: Inherited,
    history: History,
    actor: Actor,
    reason: str,
    size: int,
) -> Moved:
    """Roll back from the first release to what was inherited: the alias is restored, and nothing verified stands.

    Args:
        workspace: the team's workspace.
        rules: the use case's rules.
        environment: the environment.
        current: the release that is left.
        taken: what was inherited.
        history: the use case's statements.
        actor: who rolls back; with a key.
        reason: why.
        size: size of the log when the history was read.
    """
    decision = decide_return(
        environment.name,
        use_case=rules.name,
        actor=actor.name,
        taken=taken,
        reason=reason,
        people=workspace.people(),
    )
    if not decision.allowed:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return Moved(
            decision=decision, alias=environment.alias, before=current.version, after=current.version
        )
    at = now()
    statement = return_statement(
        environment.name,
        use_case=rules.name,
        current=current,
        taken=taken,
        number=next_number(history, environment.name, current),
        actor=actor.name,
        reason=reason,
        log=workspace.log_head(),
        at=at,
    )
    entry = allowed_entry(
        action="rollback",
        actor=actor,
        use_case=rules.name,
        subject=f"{rules.registered_model}/{taken.version} back to {environment.name}",
        statement=statement.id,
        at=at,
        detail={"reason": reason, "version": taken.version, "unverified": True},
    )
    _point_back(
        workspace, rules, environment, taken, envelope=signed(statement, actor), entry=entry, size=size
    )
    mirror_status(workspace, rules.registered_model, taken.version, f"{UNVERIFIED}: {environment.name}")
    mirror_status(workspace, rules.registered_model, current.version, f"rolled back: {environment.name}")
    return Moved(
        decision=decision,
        alias=environment.alias,
        before=current.version,
        after=taken.version,
        statement=statement.id,
    )


def restore_inherited(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    taken: Inherited,
    *,
    actor: Actor,
    size: int,
) -> Moved:
    """Point the alias at what a recorded rollback returned to, when the registry could not be reached then."""
    pointed = workspace.reader_of(environment).alias(rules.registered_model, environment.alias)
    back = taken.rollback
    kept = None if back is None else workspace.ledger().get(back.id)
    decision = ReleaseDecision(
        transition="rollback",
        subject=f"{rules.name}@{environment.name}",
        reasons=workspace.people().refusals(actor.name, "rollback"),
        remarks=(taken.words(),),
    )
    moved = Moved(decision=decision, alias=environment.alias, before=pointed, after=taken.version)
    if not decision.allowed:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return moved
    if kept is None or back is None or pointed == taken.version:
        return replace(moved, already=True)
    entry = allowed_entry(
        action="rollback",
        actor=actor,
        use_case=rules.name,
        subject=decision.subject,
        statement=back.id,
        at=now(),
        detail={"alias_pointed_at": pointed, "version": taken.version, "unverified": True},
        signs=False,
    )
    _point_back(workspace, rules, environment, taken, envelope=kept, entry=entry, size=size)
    return replace(moved, statement=back.id)


def _point_back(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    taken: Inherited,
    *,
    envelope: Envelope,
    entry: Entry,
    size: int,
) -> None:
    """Record the rollback and point the alias: what was inherited has one number, that where its alias is."""
    move(
        workspace,
        rules,
        environment,
        version=taken.version,
        there=taken.version,
        run_id=taken.run_id or None,
        envelope=envelope,
        entry=entry,
        expected=size,
    )
