"""What a client sends to be written: decided again by the server, with the person's own signature as the key.

The client's program has decided already, on what it saw. The server does not take its word: it runs the very verb
that the person ran, on its own reading of standard, roster, run, files and ledger, in the person's name. Where the
verb would sign, the signature that was sent is handed out, and only for the very bytes that it was made over. So
nothing is written that the server would not have written itself.

(1) Whoever signed is whoever logged in; the entry names them, and the server adds the login. Where there is a login,
    only people on the roster have anything written but their refusals.
(2) A log head that the statement names is one that this log had, and nothing was decided on the use case since.
(3) A statement is taken once.
(4) The time that it names is now, give or take `MOST_MINUTES`.
(5) The verb is run again: it refuses, or would sign the same bytes. What measured or observed something (the gate, a
    load test, a monitor, a canary's step, an arrival) cannot be run again here: it is kept as said by that person.
(6) Statement, entry and alias are written in one transaction.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from signoff.apps.server.actor import off_roster
from signoff.apps.server.decided_again import Presented, Words, decide_again
from signoff.apps.verbs.recording import LOGIN, append_refusals, write
from signoff.apps.workspace import Actor, Workspace, said_at
from signoff.errors import ConflictError, RefusedError, UsageError
from signoff.evidence.audit import StoredLedger
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.log_entry import COUNT, is_decision, parse_entry, read_entry
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.evidence.nesting import refuse_deep
from signoff.evidence.roster import Roster
from signoff.evidence.statement import StatementKind
from signoff.evidence.verify import SIGNED_WITH, verified_signers
from signoff.record.digest import Digest
from signoff.release.guard.model import Asker, governed_entry
from signoff.release.history import decision_of, read_signed
from signoff.release.model import Reason, ReleaseDecision
from signoff.release.reconcile import RECONCILE_ACTION
from signoff.rollout.triggers import ACTED, MEASURED
from signoff.text import printable

MOST_MINUTES = 10
"""Between the time that something names and the server's clock."""
_MOST_HOURS = 24
"""A measurement names the time when it began."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_FIELDS = frozenset({"statements", "entries", "size", "alias"})
_ALIAS_FIELDS = frozenset({"name", "alias", "version"})
_NAMELESS = re.compile(r"(unverified:|unknown key SHA256:)[^\n]{1,200}\Z")
"""How entries call somebody whom no key of the roster proves."""

_ACTIONS: Mapping[StatementKind, tuple[str, ...]] = {
    "proposal": ("propose",),
    "note": ("note",),
    "approval": ("approve",),
    "rejection": ("reject",),
    "waiver": ("waive",),
    "release": ("promote",),
    "rollback": ("rollback",),
    "canary": ("canary",),
    "override": ("override",),
    "inherited": ("inherit",),
    "rollout": ("rollout", "rollback"),
    "gate-decision": ("gate",),
    "arrival": ("arrive",),
    "load-test": ("bench",),
    "trigger": ("trigger",),
}
"""Actions of the entry that brings a statement of a kind; a kind that is not here is not taken."""
_SAID: frozenset[StatementKind] = frozenset({"gate-decision", "arrival", "load-test", "trigger", "rollout"})
"""What measured or observed something."""
_UNSIGNED: frozenset[StatementKind] = frozenset({"gate-decision", "load-test", "trigger"})
_MOVES: frozenset[StatementKind] = frozenset({"release", "rollback"})
_OF_THEIR_OWN = frozenset({"predict", "serve", MEASURED, ACTED})
"""Actions that happen without a statement of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One request.

    Attributes:
        envelope: the statement; None for an entry alone.
        entry: the entry.
        size: size of the log when it was decided; None when nothing depends on it.
        alias: registered model, alias and version that move with the statement; None for no move.
    """

    envelope: Envelope | None
    entry: Entry
    size: int | None
    alias: tuple[str, str, int] | None


def parse_submission(body: bytes) -> Submission:
    """Read a request's body.

    Raises:
        UsageError: it is no submission.
        EvidenceError: its statement or entry is malformed.
    """
    refuse_deep(body, "a submission")
    try:
        document: object = json.loads(body)
    except ValueError as error:
        raise UsageError("the body is not JSON") from error
    if not isinstance(document, dict) or document.keys() != _FIELDS:
        raise UsageError(f"a submission has exactly the fields {', '.join(sorted(_FIELDS))}")
    statements, entries, size, alias = (document[n] for n in ("statements", "entries", "size", "alias"))
    if not _is_texts(statements, most=1) or not _is_texts(entries, most=1) or len(entries) != 1:
        raise UsageError("a submission has one entry, and one statement or none; each as text")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise UsageError("size is a whole number or null")
    return Submission(
        envelope=Envelope.from_json(statements[0]) if statements else None,
        entry=parse_entry(entries[0].encode()),
        size=size,
        alias=_alias(alias),
    )


def _is_texts(value: object, *, most: int) -> bool:
    return isinstance(value, list) and len(value) <= most and all(_is_text(text) for text in value)


def _is_text(value: object) -> bool:
    """Whether it is text that has bytes: JSON can name halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _alias(value: object) -> tuple[str, str, int] | None:
    if value is None:
        return None
    if isinstance(value, dict) and value.keys() == _ALIAS_FIELDS:
        name, alias, version = value["name"], value["alias"], value["version"]
        whole = isinstance(version, int) and not isinstance(version, bool)
        if isinstance(name, str) and isinstance(alias, str) and whole:
            return name, alias, version
    raise UsageError(f"alias is null, or has the fields {', '.join(sorted(_ALIAS_FIELDS))}")


def accept(workspace: Workspace, submission: Submission, *, asker: Asker) -> None:
    """Decide on a submission, and write it.

    Args:
        workspace: the server's, on its own database.
        submission: what was sent.
        asker: who was authenticated.

    Raises:
        RefusedError: refused; the audit log says so, and nothing else is written.
        ConflictError: somebody else decided something in between, or it was sent before; nothing is written.
        UsageError: it makes no sense; nothing is written.
        SignoffError: it could not be decided; nothing is written.
    """
    entry = submission.entry
    if entry.use_case not in workspace.standard.use_cases and not _is_finding(submission):
        raise UsageError(f"the standard knows no use case {entry.use_case!r}")
    _refuse_other_times(entry.at, hours=_MOST_HOURS)
    stored = workspace.ledger(create=True).checked()
    reason = _not_the_actor(submission, asker, workspace) or _not_its_entry(submission, stored)
    if reason is not None:
        _refuse(workspace, asker, entry, reason)
    if submission.envelope is None:
        _keep_alone(workspace, replace(entry, detail={**entry.detail, LOGIN: asker.login}), submission.size)
        return
    _accept_statement(workspace, submission, submission.envelope, stored, asker=asker)


def _keep_alone(workspace: Workspace, entry: Entry, size: int | None) -> None:
    """Write what happened without a statement of its own."""
    if entry.outcome == "refused" and size is None and COUNT not in entry.detail:
        append_refusals(workspace, entry)
        return
    with workspace.ledger().transaction() as writer:
        writer.append(entry, expected=size)


def _accept_statement(
    workspace: Workspace, submission: Submission, envelope: Envelope, stored: StoredLedger, *, asker: Asker
) -> None:
    statement, entry = envelope.statement, submission.entry
    words = Words(statement.predicate)
    head = _log_head(words, stored)
    again = any(row.id == str(envelope.id) for row in stored.statements)
    if again and (statement.kind not in _MOVES or submission.alias is None):
        raise ConflictError(f"statement {envelope.id.short} is recorded already; nothing was changed")
    if statement.kind in _SAID and not (statement.kind == "rollout" and entry.action == "rollback"):
        _keep(workspace, submission, envelope, asker=asker)
        return
    time = entry.at if again else words.text("at")
    _refuse_other_times(time, minutes=MOST_MINUTES)
    if not again and head is not None and statement.kind != "approval" and _decided(stored, entry, head):
        raise ConflictError("another decision was recorded while this one was made; nothing was changed")
    presented = Presented(None if again else envelope)
    actor = Actor(name=entry.actor, key=presented, login=asker.login)
    with said_at(time, log=None if again else head), _other_words(workspace, asker, entry, presented):
        decision = decide_again(workspace, statement, actor=actor, alias=submission.alias, log=head)
    if not decision.allowed:
        raise RefusedError(refusal(decision))
    if not again and not presented.used:
        raise ConflictError("this stands already, by an earlier statement; no other was written")


@contextmanager
def _other_words(workspace: Workspace, asker: Asker, entry: Entry, presented: Presented) -> Iterator[None]:
    """Write down that something else was signed than the server would write."""
    try:
        yield
    except RefusedError:
        if presented.other is None:
            raise
    if presented.other is not None:
        _refuse(workspace, asker, entry, presented.other)


def _keep(workspace: Workspace, submission: Submission, envelope: Envelope, *, asker: Asker) -> None:
    """Write what somebody measured or observed, as theirs."""
    statement, entry = envelope.statement, submission.entry
    words = Words(statement.predicate)
    rules = workspace.use_case(entry.use_case)
    signed = read_signed(rules.name, envelope, workspace.people().roster, order=0)
    if statement.kind == "gate-decision":
        outcome = "allowed" if decision_of(signed).verdict == "pass" else "refused"
        if entry.outcome != outcome:
            raise UsageError("the entry says another verdict than the gate's decision")
    elif entry.outcome != "allowed":
        raise UsageError("the entry's outcome is allowed: something was observed")
    if entry.at != words.text("at"):
        raise UsageError("statement and entry name different times")
    version = None if statement.kind == "gate-decision" else words.number("version")
    with workspace.ledger().transaction() as writer:
        write(
            writer,
            envelope,
            replace(entry, detail={**entry.detail, LOGIN: asker.login}),
            version=None if version is None else f"{rules.registered_model}/{version}",
            run_id=signed.text("run_id") or None,
            expected=submission.size,
        )


def _not_the_actor(submission: Submission, asker: Asker, workspace: Workspace) -> Reason | None:
    """Why the person who logged in is not who speaks here; None when they are. Step (1)."""
    entry, envelope = submission.entry, submission.envelope
    roster = workspace.people().roster
    named = entry.actor
    own = roster.by_identity(named) is not None if asker.single_user else named == asker.person
    if not own and not _NAMELESS.match(named):
        message = f"the entry speaks for {named}, logged in is {asker.name}"
        return Reason(code="entry-actor", message=message, fix="log in as the person who signs")
    if asker.person is None and not asker.single_user:
        return off_roster(asker)
    return None if envelope is None else _not_signed_by(named, envelope, entry, roster)


def _not_signed_by(named: str, envelope: Envelope, entry: Entry, roster: Roster) -> Reason | None:
    """Why a statement is not signed by whom its entry names, and by nobody else; None when it is."""
    kind = envelope.statement.kind
    if not envelope.signatures and kind in _UNSIGNED:
        return None
    if kind in _MOVES and SIGNED_WITH not in entry.detail:
        return None  # an earlier statement that is pointed at again; that it is recorded is seen to
    check = verified_signers(envelope, roster)
    if not check.problems and [p.email for p in check.signers] == [named] and len(envelope.signatures) == 1:
        return None
    by = ", ".join((*(person.email for person in check.signers), *check.problems)) or "nobody"
    message = f"the statement must be signed by {named} alone; signed: {by}"
    return Reason(code="signature-other", message=message, fix="sign it with your own key")


def _not_its_entry(submission: Submission, stored: StoredLedger) -> Reason | None:
    """Why the entry is not the one that the statement brings; None when it is. It would make the log unreadable."""
    entry, envelope = submission.entry, submission.envelope
    if envelope is None:
        return _not_alone(submission, stored)
    statement = envelope.statement
    keyid = envelope.signatures[0].keyid if envelope.signatures else None
    signed_with = entry.detail.get(SIGNED_WITH)
    known = any(row.id == str(envelope.id) for row in stored.statements)
    if entry.action not in _ACTIONS.get(statement.kind, ()):
        said = f"action {entry.action!r} does not bring a {statement.kind} statement"
    elif entry.statement != str(envelope.id):
        said = "the entry names another statement than the one that is sent"
    elif statement.predicate.get("use_case") != entry.use_case:
        said = "statement and entry are about different use cases"
    elif signed_with != keyid and not (known and signed_with is None):
        said = "the entry does not name the key that signed the statement"
    elif (submission.alias is not None) and statement.kind not in _MOVES:
        said = f"no alias moves with a {statement.kind} statement"
    else:
        return None
    return Reason(code="entry-other", message=said)


def _is_finding(submission: Submission) -> bool:
    """Whether it tells what a look around the server found; that is about no use case, or about several."""
    entry = submission.entry
    told = (entry.action, entry.outcome, entry.use_case) == (RECONCILE_ACTION, "refused", "")
    return told and submission.envelope is None


def _not_alone(submission: Submission, stored: StoredLedger) -> Reason | None:
    """Why an entry cannot stand without a statement of its own; None when it can."""
    entry = submission.entry
    known = {row.id: row.envelope for row in stored.statements}
    if submission.alias is not None:
        said = "an alias moves with a signed release or rollback only"
    elif entry.action not in {
        *_OF_THEIR_OWN,
        RECONCILE_ACTION,
        *(name for names in _ACTIONS.values() for name in names),
    }:
        said = f"clients do not write entries of action {entry.action!r}"
    elif entry.outcome == "allowed" and entry.action not in _OF_THEIR_OWN:
        said = f"action {entry.action!r} brings a statement"
    elif SIGNED_WITH in entry.detail:
        said = "the entry names a key, and brings no statement"
    elif entry.statement is not None and entry.action not in _OF_THEIR_OWN:
        said = f"a refused {entry.action} brings its statement, or names none"
    elif entry.statement is not None and entry.statement not in known:
        said = "the entry names a statement that is not in the ledger"
    elif entry.statement is not None and _use_case(known[entry.statement]) != entry.use_case:
        said = "the entry names a statement about another use case"
    else:
        return None
    return Reason(code="entry-other", message=said)


def _use_case(envelope: str) -> object:
    return Envelope.from_json(envelope).statement.predicate.get("use_case")


def _log_head(words: Words, stored: StoredLedger) -> LogHead | None:
    """The head of the log that a statement names; None when it names none. Step (2).

    Raises:
        UsageError: this log never had that head; everybody who reads it later would take the log for changed.
    """
    named = words.log()
    if named is None:
        return None
    if named.size <= len(stored.rows):
        frontier = Frontier.of(leaf_hash(row.entry) for row in stored.rows[: named.size])
        if Digest(frontier.root().hex()) == named.root:
            return named
    raise UsageError(f"the statement names a head of the log (size {named.size}) that this log never had")


def _decided(stored: StoredLedger, entry: Entry, head: LogHead) -> bool:
    """Whether something was decided on the entry's use case since the log had that head."""
    newer = (read_entry(row.entry) for row in stored.rows[head.size :])
    return any(one.use_case == entry.use_case and is_decision(one) for one in newer)


def _refuse_other_times(at: str, *, hours: int = 0, minutes: int = 0) -> None:
    """Step (4): nothing is said for later; what began before is a matter of its kind."""
    try:
        time = datetime.strptime(at, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise UsageError(f"{at!r} is not a time such as 2026-11-22T10:15:00Z") from error
    present = datetime.now(UTC)
    oldest = present - timedelta(hours=hours, minutes=minutes)
    if time.strftime(_TIME) != at or not oldest <= time <= present + timedelta(minutes=MOST_MINUTES):
        raise UsageError(
            f"it is of {at}, the server's clock says {present.strftime(_TIME)}",
            hint="set the clock, and run the same command again",
        )


def _refuse(workspace: Workspace, asker: Asker, entry: Entry, reason: Reason) -> None:
    """Write down that it was refused, and say so.

    Raises:
        RefusedError: always.
    """
    refused = governed_entry(
        at=datetime.now(UTC).strftime(_TIME),
        asker=asker,
        action="submit",
        use_case=entry.use_case,
        subject=printable(f"{entry.action}: {entry.subject}"[:200]),
        outcome="refused",
        reasons=(f"{reason.code}: {printable(reason.message)}",),
    )
    append_refusals(workspace, refused)
    raise RefusedError(_text(f"signoff refused {entry.action}: {entry.subject}", (reason,)))


def refusal(decision: ReleaseDecision) -> str:
    """A refused decision as the client shows it: what first, then each reason with its fix."""
    return _text(f"signoff refused {decision.transition}: {decision.subject}", decision.reasons)


def _text(heading: str, reasons: tuple[Reason, ...]) -> str:
    lines = [f"{printable(heading)}."]
    for reason in reasons:
        lines.append(f"({reason.code}) {printable(reason.message)}.")
        lines += [f"  Fix: {printable(reason.fix)}"] if reason.fix else []
    return "\n".join(lines)
