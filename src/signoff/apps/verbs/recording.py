"""Writing a decision down: the statement, its signature and the audit entry in one transaction."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import StoreError
from signoff.evidence.dsse import Envelope, sign_statement
from signoff.evidence.ledger import Entry, LedgerWriter
from signoff.evidence.statement import Statement
from signoff.evidence.verify import SIGNED_WITH
from signoff.record.digest import Digest, Json
from signoff.release.history import History
from signoff.release.logged import logged_history, refuse_changed_log
from signoff.release.model import ReleaseDecision
from signoff.release.reconcile import STATUS_TAG

LOGIN = "login"
"""Field of an entry's detail: the name under which a server authenticated whoever asked for it."""


def history_of(workspace: Workspace, use_case: str, *, audited: bool = False) -> History:
    """The use case's statements as the audit log tells them; empty without a ledger.

    Args:
        workspace: for ledger and roster.
        use_case: its name.
        audited: hold the whole log against the heads that people signed first, as every use of a model and
            every promotion does. A rollback does not wait for it.

    Raises:
        EvidenceError: a statement that the log names is missing or changed, or the log itself is.
    """
    return histories_of(workspace, (use_case,), audited=audited)[use_case]


def histories_of(
    workspace: Workspace, use_cases: Iterable[str], *, audited: bool = False
) -> Mapping[str, History]:
    """The histories of several use cases from one reading of the ledger; see `history_of`."""
    ledger, roster = workspace.ledger(), workspace.people().roster
    if ledger.head().size == 0:
        return {name: History(statements=()) for name in use_cases}
    stored = ledger.checked()
    if audited:
        refuse_changed_log(stored, roster)
    return {name: logged_history(name, stored, roster) for name in use_cases}


def signed(statement: Statement, actor: Actor) -> Envelope:
    """The statement in an envelope, signed when the actor has a key."""
    return sign_statement(statement) if actor.key is None else sign_statement(statement, actor.key)


def login_detail(actor: Actor) -> dict[str, Json]:
    """The part of an entry's detail that says under which login a server knows the actor; empty for none."""
    return {} if actor.login is None else {LOGIN: actor.login}


def record_refusal(
    workspace: Workspace,
    decision: ReleaseDecision,
    *,
    actor: Actor,
    use_case: str,
    version: int | None = None,
) -> None:
    """Append a refused decision to the audit log."""
    about: dict[str, Json] = {} if version is None else {"version": version}
    entry = Entry(
        at=now(),
        actor=actor.name,
        action=decision.transition,
        outcome="refused",
        use_case=use_case,
        subject=decision.subject,
        statement=None,
        reasons=tuple(f"{reason.code}: {reason.message}" for reason in decision.reasons),
        detail={**about, **login_detail(actor)},
    )
    append_refusals(workspace, entry)


def append_refusals(workspace: Workspace, *refused: Entry) -> None:
    """Append refusals to the audit log; on a server the same one not again and again."""
    due = refused if workspace.refusals is None else workspace.refusals.due(*refused)
    if due:
        with workspace.ledger(create=True).transaction() as writer:
            for entry in due:
                writer.append(entry)


def allowed_entry(
    *,
    action: str,
    actor: Actor,
    use_case: str,
    subject: str,
    statement: Digest,
    at: str,
    detail: Mapping[str, Json],
    signs: bool = True,
) -> Entry:
    """The entry of a transition that happened.

    Args:
        action: the verb.
        actor: who did it.
        use_case: its name.
        subject: what it was about.
        statement: the statement it brought, or an earlier one that it rests on.
        at: ISO time, UTC.
        detail: further facts.
        signs: whether the actor signed that statement now.
    """
    proof: dict[str, Json] = {SIGNED_WITH: actor.key.fingerprint} if signs and actor.key is not None else {}
    return Entry(
        at=at,
        actor=actor.name,
        action=action,
        outcome="allowed",
        use_case=use_case,
        subject=subject,
        statement=str(statement),
        reasons=(),
        detail={**detail, **proof, **login_detail(actor)},
    )


def mirror_status(workspace: Workspace, registered_model: str, version: int, status: str) -> None:
    """Show the status as a tag of the version, for people's eyes.

    Nothing rests on the tag: the decision is in the ledger already, so a store that cannot be reached for
    this does not turn a success into an error. A guarded server keeps these tags to itself, and sets them.
    """
    if workspace.decides_elsewhere:
        return
    with suppress(StoreError):
        workspace.store().tag_version(registered_model, version, STATUS_TAG, status)


def write(
    writer: LedgerWriter,
    envelope: Envelope,
    entry: Entry,
    *,
    version: str | None,
    run_id: str | None,
    expected: int | None = None,
) -> None:
    """Put a statement and its entry.

    Args:
        writer: an open transaction.
        envelope: the signed statement.
        entry: what the log remembers of it.
        version: index for look-ups, such as ``churn/3``.
        run_id: index for look-ups.
        expected: size of the log when the decision was made; None when nothing depends on it.

    Raises:
        ConflictError: something else was decided on the use case in the meantime; nothing is kept.
    """
    writer.put(envelope, use_case=entry.use_case, version=version, run_id=run_id)
    writer.append(entry, expected=expected)
