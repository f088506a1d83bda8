"""`signoff admin break-glass`: lift a rule of the guard for a time, or end that before its time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from signoff.apps.verbs.recording import allowed_entry, history_of, record_refusal, signed, write
from signoff.apps.workspace import Actor, Workspace, now, require_key
from signoff.evidence.statement import Statement
from signoff.record.digest import Digest, Json
from signoff.release.model import ReleaseDecision, Signed
from signoff.release.override import (
    break_glasses,
    decide_end,
    decide_override,
    end_statement,
    override_statement,
)
from signoff.standard.guard import GuardRule
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifted:
    """What came of a break-glass.

    Attributes:
        decision: the answer.
        statement: id of the newest statement; None when refused.
        told: what is in force now for the use case, one line each.
    """

    decision: ReleaseDecision
    statement: Digest | None = None
    told: tuple[str, ...] = ()


def break_glass(
    workspace: Workspace, use_case: str, *, rule: str, minutes: int, reason: str, actor: Actor
) -> Lifted:
    """Lift a rule for a use case.

    Args:
        workspace: the team's workspace.
        use_case: its name.
        rule: the guard's rule.
        minutes: for how long.
        reason: why.
        actor: who lifts it; with a key.

    Raises:
        SignoffError: it could not be decided or recorded.
    """
    require_key(actor)
    rules = workspace.use_case(use_case)
    decision = decide_override(
        rules, rule, actor=actor.name, minutes=minutes, reason=reason, people=workspace.people()
    )
    if not decision.allowed:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return Lifted(decision=decision)
    at = now()
    statement = override_statement(
        rules,
        cast("GuardRule", rule),
        actor=actor.name,
        minutes=minutes,
        reason=reason,
        log=workspace.log_head(),
        at=at,
    )
    detail: dict[str, Json] = {"rule": rule, "minutes": minutes, "reason": reason.strip()}
    _write(workspace, rules, statement, actor=actor, subject=decision.subject, at=at, detail=detail)
    return Lifted(decision=decision, statement=statement.id, told=in_force(workspace, rules, at))


def end_break_glass(
    workspace: Workspace, use_case: str, *, rule: str, reason: str, actor: Actor, only: Digest | None = None
) -> Lifted:
    """End what lifts a rule for a use case now.

    Args:
        workspace: the team's workspace.
        use_case: its name.
        rule: the guard's rule.
        reason: why.
        actor: who ends it; with a key.
        only: the statement that is ended; None: each that lifts the rule.

    Raises:
        SignoffError: it could not be decided or recorded.
    """
    require_key(actor)
    rules = workspace.use_case(use_case)
    at = now()
    decision, ended = decide_end(
        rules,
        rule,
        actor=actor.name,
        history=history_of(workspace, rules.name),
        people=workspace.people(),
        now=at,
    )
    if not decision.allowed:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return Lifted(decision=decision)
    made = [
        _end(workspace, rules, one, actor=actor, reason=reason, at=at)
        for one in ended
        if only in (None, one.id)
    ]
    return Lifted(
        decision=decision, statement=made[-1] if made else None, told=in_force(workspace, rules, at)
    )


def _end(
    workspace: Workspace, rules: UseCaseRules, ended: Signed, *, actor: Actor, reason: str, at: str
) -> Digest:
    statement = end_statement(rules, ended, actor=actor.name, reason=reason, log=workspace.log_head(), at=at)
    rule = ended.text("rule")
    subject = f"end of {rule} for {rules.name}"
    detail: dict[str, Json] = {"rule": rule, "ends": str(ended.id), "reason": reason.strip()}
    _write(workspace, rules, statement, actor=actor, subject=subject, at=at, detail=detail)
    return statement.id


def _write(
    workspace: Workspace,
    rules: UseCaseRules,
    statement: Statement,
    *,
    actor: Actor,
    subject: str,
    at: str,
    detail: Mapping[str, Json],
) -> None:
    entry = allowed_entry(
        action="override",
        actor=actor,
        use_case=rules.name,
        subject=subject,
        statement=statement.id,
        at=at,
        detail=detail,
    )
    with workspace.ledger(create=True).transaction() as writer:
        write(writer, signed(statement, actor), entry, version=None, run_id=None)


def in_force(workspace: Workspace, rules: UseCaseRules, at: str) -> tuple[str, ...]:
    """What is lifted for a use case now, one line each."""
    glasses = break_glasses(history_of(workspace, rules.name), workspace.people())
    return tuple(glass.words(rules.registered_model) for glass in glasses if glass.covers(at))
