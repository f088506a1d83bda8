"""Pointing an alias at what is released, together with the statement that says so."""

from dataclasses import dataclass, replace
from typing import Any

from signoff.apps.verbs.recording import allowed_entry, write
from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import StoreError
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry, LedgerWriter
from signoff.record.digest import Digest
from signoff.release.arrival import released_number
from signoff.release.history import History
from signoff.release.model import Release, ReleaseDecision
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


def point_again(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    current: Release,
    *,
    decision: ReleaseDecision,
    history: History,
    there: int,
    actor: Actor,
    size: int,
    dry_run: bool,
) -> Moved:
    """Point the alias at what is released, where it points elsewhere: moved by hand, or never moved."""
    pointed = workspace.reader_of(environment).alias(rules.registered_model, environment.alias)
    top = current.rollback or current.statement
    moved = Moved(
        decision=decision,
        alias=environment.alias,
        before=released_number(environment, pointed, history=history),
        after=current.version,
        already=pointed == there,
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
    move(
        workspace,
        rules,
        environment,
        version=current.version,
        there=there,
        run_id=top.text("run_id") or current.statement.text("run_id"),
        envelope=kept,
        entry=entry,
        expected=size,
    )
    return replace(moved, statement=top.id)


def joined(workspace: Workspace, environment: EnvironmentRules) -> bool:
    """Whether alias and ledger lie in one database, here or behind one server: one transaction can write both."""
    if workspace.decides_elsewhere:
        return environment.server is None
    at = workspace.address_of(environment)
    return workspace.store_of(environment).in_database and workspace.ledger_uri == at


def move(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    version: int,
    there: int,
    run_id: str | None,
    envelope: Envelope,
    entry: Entry,
    expected: int,
) -> None:
    """Record the statement and point the alias, in one transaction where MLflow's database is the ledger's.

    The statement names the version by its number in the standard's store, the alias by that ``there``: on the
    environment's server.
    """
    from signoff.adapters.ledger_http import HttpLedgerWriter
    from signoff.adapters.ledger_sql import SqlLedger

    ledger = workspace.ledger(create=True)
    store = workspace.store_of(environment)
    ref = f"{rules.registered_model}/{version}"

    def record(writer: LedgerWriter) -> None:
        write(writer, envelope, entry, version=ref, run_id=run_id, expected=expected)

    if isinstance(ledger, SqlLedger) and joined(workspace, environment):

        def join(connection: Any) -> None:
            record(ledger.writer_on(connection))

        store.set_alias(rules.registered_model, environment.alias, there, commit=join)
        return
    # Two systems cannot commit together. The statement goes first: until the alias follows, serving refuses
    # the difference, and the same command run again completes it.
    with ledger.transaction() as writer:
        record(writer)
        if isinstance(writer, HttpLedgerWriter) and joined(workspace, environment):
            writer.move_alias(rules.registered_model, environment.alias, there)
    if joined(workspace, environment) or workspace.on_server:
        return  # the alias went along, or is on another server, where only the person's own program may move it
    try:
        store.set_alias(rules.registered_model, environment.alias, there, commit=None)
    except StoreError as error:
        raise StoreError(
            f"the release is recorded, but alias @{environment.alias} could not be moved: {error.what}",
            where=error.where,
            hint="run the same command again to complete it; until then nothing is served from this alias",
        ) from error
