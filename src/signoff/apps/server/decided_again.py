"""Each signed transition, run again by the server as the verb that the person ran."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from signoff.apps.verbs import break_glass, canary, inherit, judge, propose, release, rollback
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.workspace import Actor, Workspace
from signoff.errors import ConflictError, RefusedError, UsageError
from signoff.evidence.audit import read_head
from signoff.evidence.dsse import Envelope, Signature
from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, StatementKind, parse_statement
from signoff.record.digest import Digest, Json
from signoff.release.model import Reason, ReleaseDecision
from signoff.standard.model import EnvironmentRules, UseCaseRules

_SHOWN = 80
"""Characters of a value that differs."""


@dataclass(frozen=True, slots=True)
class Words:
    """A statement's predicate, read strictly: a field of another type is an error of whoever sent it."""

    said: Mapping[str, Json]

    def text(self, field: str) -> str:
        """A text."""
        value = self.said.get(field)
        if not isinstance(value, str):
            raise UsageError(f"the statement's {field} is no text")
        return value

    def number(self, field: str) -> int:
        """A whole number."""
        value = self.said.get(field)
        if not isinstance(value, int) or isinstance(value, bool):
            raise UsageError(f"the statement's {field} is no whole number")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.said.get(field)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"the statement's {field} is no list of texts")
        return tuple(str(item) for item in value)

    def named(self, field: str) -> dict[str, str]:
        """Texts by name."""
        value = self.said.get(field)
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
            raise UsageError(f"the statement's {field} is no table of texts")
        return {name: str(item) for name, item in value.items()}

    def log(self) -> LogHead | None:
        """The head of the audit log that is named; None for none."""
        if "log" not in self.said:
            return None
        value = self.said["log"]
        head = read_head(value)
        if head is None:
            raise UsageError("the statement's log is no head of a log")
        return head


class Presented:
    """A signature that was sent, as a key that signs the bytes it was made over and no others.

    Args:
        envelope: the statement with its signature; None where nothing new may be signed.

    Attributes:
        used: whether it was asked for.
        other: how what the server would have signed differs; None when it did not.
    """

    def __init__(self, envelope: Envelope | None) -> None:
        self._envelope = envelope
        self.used = False
        self.other: Reason | None = None

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint, as the signature names it."""
        return "" if self._envelope is None else self._envelope.signatures[0].keyid

    def sign(self, message: bytes) -> Signature:
        """The signature.

        Raises:
            RefusedError: the server would sign something else.
            ConflictError: it would sign something, and was asked to point an alias again.
        """
        if self._envelope is None:
            raise ConflictError("the alias points there already, or something else was decided meanwhile")
        if message != self._envelope.signed_bytes:
            self.other = _other(self._envelope.statement, message)
            raise RefusedError(self.other.message)
        self.used = True
        return self._envelope.signatures[0]


def _other(sent: Statement, message: bytes) -> Reason:
    """What the server would have signed instead, field by field."""
    # DSSE's encoding: its name, then type and payload, each after its length.
    own = parse_statement(message.split(b" ", 4)[4])
    lines = [
        f"{name}: sent {_short(sent.predicate.get(name))}, the server has {_short(own.predicate.get(name))}"
        for name in sorted({*sent.predicate, *own.predicate})
        if sent.predicate.get(name) != own.predicate.get(name)
    ]
    names = dict.fromkeys((*(s.name for s in sent.subjects), *(s.name for s in own.subjects)))
    lines += [
        f"{name}: sent {_digest(sent.subject(name))}, the server has {_digest(own.subject(name))}"
        for name in names
        if sent.subject(name) != own.subject(name)
    ]
    told = "; ".join(lines) or f"a {sent.kind} was sent, the server has a {own.kind}"
    return Reason(
        code="statement-other",
        message=f"the server decided again, and would write something else than was signed: {told}",
        fix="bring standard, roster and this program to the server's state, and run the same command again",
    )


def _short(value: Json) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _digest(digest: Digest | None) -> str:
    return "nothing" if digest is None else digest.short


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """What is decided again.

    Attributes:
        workspace: the server's.
        statement: what was sent.
        words: its predicate.
        rules: the use case's.
        actor: the person, with the signature as key.
        alias: the move that was asked for.
        log: the log's head that the statement names.
    """

    workspace: Workspace
    statement: Statement
    words: Words
    rules: UseCaseRules
    actor: Actor
    alias: tuple[str, str, int] | None
    log: LogHead | None

    @property
    def reference(self) -> VersionReference:
        return VersionReference(name=self.rules.name, version=self.words.number("version"))

    @property
    def environment(self) -> EnvironmentRules:
        return self.workspace.environment(self.rules, self.words.text("environment"))


def decide_again(
    workspace: Workspace,
    statement: Statement,
    *,
    actor: Actor,
    alias: tuple[str, str, int] | None,
    log: LogHead | None,
) -> ReleaseDecision:
    """Run the verb that a statement came from.

    Args:
        workspace: the server's.
        statement: what was sent.
        actor: the person, with the signature as key.
        alias: the move that was asked for; None for none.
        log: the log's head that the statement names.

    Returns:
        The answer; when it was allowed it is written.

    Raises:
        SignoffError: it could not be decided, or the server would write something else.
    """
    words = Words(statement.predicate)
    case = _Case(
        workspace=workspace,
        statement=statement,
        words=words,
        rules=workspace.use_case(words.text("use_case")),
        actor=actor,
        alias=alias,
        log=log,
    )
    return _AGAIN[statement.kind](case)


def _propose(case: _Case) -> ReleaseDecision:
    words = case.words
    return propose.propose(
        case.workspace,
        words.text("run_id"),
        actor=case.actor,
        notes=words.named("context"),
        version=words.number("version"),
        named=frozenset(words.texts("authors")),
    ).decision


def _approve(case: _Case) -> ReleaseDecision:
    words = case.words
    return judge.approve(
        case.workspace,
        case.reference,
        environment=words.text("environment"),
        actor=case.actor,
        ticked=words.texts("checklist"),
        comment=words.text("comment"),
        log=case.log,
    ).decision


def _reject(case: _Case) -> ReleaseDecision:
    words = case.words
    return judge.reject(
        case.workspace,
        case.reference,
        environment=words.text("environment"),
        actor=case.actor,
        code=words.text("code"),
        comment=words.text("comment"),
    ).decision


def _note(case: _Case) -> ReleaseDecision:
    return judge.note(case.workspace, case.reference, actor=case.actor, text=case.words.text("text")).decision


def _waive(case: _Case) -> ReleaseDecision:
    words = case.words
    return judge.waive(
        case.workspace,
        words.text("run_id"),
        actor=case.actor,
        codes=words.texts("codes"),
        reason=words.text("reason"),
        until=words.text("until"),
    ).decision


def _promote(case: _Case) -> ReleaseDecision:
    _see_move(case, case.words.number("version"))
    return release.promote(
        case.workspace,
        case.reference,
        environment=case.environment.name,
        actor=case.actor,
        dry_run=False,
    ).decision


def _roll_back(case: _Case) -> ReleaseDecision:
    _see_move(case, case.words.number("to_version"))
    return rollback.rollback(
        case.workspace,
        case.rules.name,
        environment=case.environment.name,
        actor=case.actor,
        reason=case.words.text("reason"),
    ).decision


def _see_move(case: _Case, version: int) -> None:
    """Whether the alias that is asked for is the statement's.

    Raises:
        UsageError: it is another one, or none where it lies on this server.
    """
    environment = case.environment
    wanted = (case.rules.registered_model, environment.alias, version)
    if case.alias != (wanted if environment.server is None else None):
        raise UsageError(
            f"a {case.statement.kind} in {environment.name} moves alias @{wanted[1]} of {wanted[0]} to version {version}"
            if environment.server is None
            else f"{environment.name} stands on a server of its own: its alias is moved there"
        )


def _canary(case: _Case) -> ReleaseDecision:
    return canary.start_canary(
        case.workspace,
        case.reference,
        environment=case.environment.name,
        actor=case.actor,
        dry_run=False,
    ).decision


def _stop(case: _Case) -> ReleaseDecision:
    stopped = canary.stop_canary(
        case.workspace,
        case.rules.name,
        environment=case.environment.name,
        actor=case.actor,
        reason=case.words.text("message"),
    )
    if stopped is None:
        raise ConflictError(f"no canary runs in {case.environment.name}; nothing was changed")
    return stopped.decision


def _override(case: _Case) -> ReleaseDecision:
    words = case.words
    ended = case.statement.subject("override")
    if ended is not None:
        return break_glass.end_break_glass(
            case.workspace,
            case.rules.name,
            rule=words.text("rule"),
            reason=words.text("reason"),
            actor=case.actor,
            only=ended,
        ).decision
    return break_glass.break_glass(
        case.workspace,
        case.rules.name,
        rule=words.text("rule"),
        minutes=words.number("minutes"),
        reason=words.text("reason"),
        actor=case.actor,
    ).decision


def _inherit(case: _Case) -> ReleaseDecision:
    return inherit.inherit(
        case.workspace, case.rules.name, environment=case.environment.name, actor=case.actor
    ).decision


_AGAIN: Mapping[StatementKind, Callable[[_Case], ReleaseDecision]] = {
    "proposal": _propose,
    "approval": _approve,
    "rejection": _reject,
    "note": _note,
    "waiver": _waive,
    "release": _promote,
    "rollback": _roll_back,
    "canary": _canary,
    "rollout": _stop,
    "override": _override,
    "inherited": _inherit,
}
