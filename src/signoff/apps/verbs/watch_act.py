"""What follows a firing: done once, and told to the log.

The firing's statement is written first. An action that was interrupted is taken up again: a rollback is looked for
before it is made, a decision of the gate likewise; a retraining that was lost is started again, and the log says
that it was started twice.
"""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import IO, cast

from signoff.addresses import masked
from signoff.apps.verbs.gate import gate_run
from signoff.apps.verbs.recording import allowed_entry, history_of
from signoff.apps.verbs.retraining import (
    LOG_FOLDER,
    MOST_HOURS,
    ended,
    lease_holder,
    place_of,
    retrain_environment,
    retrain_lease,
    running,
)
from signoff.apps.verbs.rollback import rollback
from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import SignoffError
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import Outcome
from signoff.record.digest import Json
from signoff.release.history import History, decision_of
from signoff.rollout.triggers import (
    ACTED,
    Firing,
    Progress,
    left_by_rollback,
    not_permitted,
    progress_name,
    progress_of,
)
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Acted:
    """What came of a firing's action.

    Attributes:
        firing: the firing.
        progress: how far it came.
        message: in one line.
    """

    firing: Firing
    progress: Progress
    message: str

    def to_json(self) -> Json:
        """All fields, the firing by its statement."""
        return {
            "statement": str(self.firing.id),
            "monitor": self.firing.monitor,
            "then": self.firing.then,
            "progress": self.progress,
            "message": self.message,
        }


def act_on(workspace: Workspace, rules: UseCaseRules, firing: Firing, *, actor: Actor) -> Acted | None:
    """Do what follows a firing, and record it; None for a review, which people do, and for what was done meanwhile.

    Raises:
        SignoffError: the store cannot be reached; the firing still waits.
    """
    if not firing.may_act(rules.monitors):
        return _not_permitted(workspace, rules, firing, actor, why=not_permitted(firing))
    if firing.then == "rollback":
        return _roll_back(workspace, rules, firing, actor)
    if firing.then == "retrain":
        return _retrain(workspace, rules, firing, actor)
    if firing.then == "re-evaluate":
        return _evaluate_again(workspace, rules, firing, actor)
    return None


def _roll_back(workspace: Workspace, rules: UseCaseRules, firing: Firing, actor: Actor) -> Acted:
    """Leave the release that the firing is about, unless that happened already; finish what was interrupted."""
    permitted = actor.key is not None and not workspace.people().refusals(actor.name, "rollback")
    done = left_by_rollback(firing, history_of(workspace, rules.name))
    if done is None and not permitted:
        why = f"{actor.name} may not roll back"
        return _not_permitted(workspace, rules, firing, actor, why=why)
    if permitted:
        moved = rollback(
            workspace,
            rules.name,
            environment=firing.signed.text("environment"),
            actor=actor,
            reason=f"monitor {firing.monitor} fired: {firing.signed.text('message')}",
            leaving=firing.placed,
        )
        if not moved.decision.allowed:
            why = "; ".join(reason.message for reason in moved.decision.reasons)
            told = f"the rollback was refused: {why}"
            return _record(workspace, rules, firing, actor, progress="failed", message=told)
        done = done or left_by_rollback(firing, history_of(workspace, rules.name))
        if done is None:
            told = "something else was released in the meantime: there is nothing to leave"
            return _record(workspace, rules, firing, actor, progress="done", message=told)
    told = f"rolled back to version {done.number('to_version')}" if done is not None else "rolled back"
    told += "" if done is None else f", statement {done.id.short}"
    return _record(workspace, rules, firing, actor, progress="done", message=told)


def _not_permitted(
    workspace: Workspace, rules: UseCaseRules, firing: Firing, actor: Actor, *, why: str
) -> Acted:
    """Said once per actor: a loop must not fill the log with it."""
    message = why
    if firing.then == "rollback":
        people = workspace.people()
        able = people.having(role for role, allowed in people.roles.items() if "rollback" in allowed)
        message += (
            f"; it waits for {', '.join(able) or 'somebody who may (nobody on the roster)'}:"
            f" signoff rollback {rules.name} --env {firing.signed.text('environment')} --reason …"
        )
    told = any(
        progress_name(entry) == "not permitted" and entry.actor == actor.name
        for entry in _progress(workspace, rules, firing)
    )
    if told:
        return Acted(firing=firing, progress="not permitted", message=message)
    return _record(workspace, rules, firing, actor, progress="not permitted", message=message)


def _progress(workspace: Workspace, rules: UseCaseRules, firing: Firing) -> tuple[Entry, ...]:
    return progress_of(firing, [row.entry for row in workspace.ledger().entries(use_case=rules.name)])


def _retrain(workspace: Workspace, rules: UseCaseRules, firing: Firing, actor: Actor) -> Acted | None:
    """Run the team's command, unless one of this use case is running."""
    if rules.retrain is None:
        message = "the standard names no `retrain` command any more"
        return _record(workspace, rules, firing, actor, progress="failed", message=message)
    try:
        with retrain_lease(workspace.folder, rules.name) as lease:
            if lease is None:
                told = f"a retraining is running: {lease_holder(workspace.folder, rules.name)}"
                return Acted(firing=firing, progress="started", message=told)
            return _retrain_alone(workspace, rules, firing, actor, command=rules.retrain, lease=lease)
    except (OSError, ValueError) as error:
        message = f"`{rules.retrain}` could not be started: {error}"
        return _record(workspace, rules, firing, actor, progress="failed", message=message)


def _retrain_alone(
    workspace: Workspace, rules: UseCaseRules, firing: Firing, actor: Actor, *, command: str, lease: IO[str]
) -> Acted | None:
    progress = _progress(workspace, rules, firing)
    if {progress_name(entry) for entry in progress} & {"done", "failed"}:
        return None  # it ended between reading the log and getting the lease
    starts = [entry for entry in progress if progress_name(entry) == "started"]
    here = place_of(workspace.folder)
    if starts and starts[-1].detail.get("place") != here and starts[-1].at > _longest_ago():
        told = (
            f"it was started on {starts[-1].detail.get('place')} at {starts[-1].at} and may still run there"
        )
        return Acted(firing=firing, progress="started", message=told)
    output = workspace.folder / LOG_FOLDER / f"{firing.id.hex[:12]}.log"
    note = "started again: an earlier start has no end in the log" if starts else "started"
    _record(
        workspace,
        rules,
        firing,
        actor,
        progress="started",
        message=f"{note}: {command}",
        detail={"place": here},
    )
    with running(
        command,
        lease=lease,
        folder=workspace.folder,
        output=output,
        environment=retrain_environment(os.environ, firing.id),
        at=now(),
    ) as process:
        code = ended(process).exit_code
    shown = output.relative_to(workspace.folder)
    how = f"was ended after {MOST_HOURS} hours" if code is None else f"ended with exit code {code}"
    return _record(
        workspace,
        rules,
        firing,
        actor,
        progress="done" if code == 0 else "failed",
        message=f"`{command}` {how}; its output is in {shown}",
        detail={"exit_code": code, "output": str(shown), "pid": process.pid},
    )


def _longest_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=MOST_HOURS)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _evaluate_again(workspace: Workspace, rules: UseCaseRules, firing: Firing, actor: Actor) -> Acted:
    """Judge the released version's run on the evaluation data of today."""
    history = history_of(workspace, rules.name)
    found = _judged_since(history, firing)
    try:
        if found is None:
            gated = gate_run(workspace, firing.signed.text("run_id"), actor=actor)
            found = f"the gate says {gated.decision.verdict}, statement {gated.statement.short}"
    except SignoffError as error:
        message = f"the gate could not judge it: {error.what}"
        return _record(workspace, rules, firing, actor, progress="failed", message=message)
    return _record(workspace, rules, firing, actor, progress="done", message=found)


def _judged_since(history: History, firing: Firing) -> str | None:
    model = firing.signed.statement.subject("model")
    for signed in history.of("gate-decision"):
        if signed.order > firing.signed.order and signed.statement.subject("model") == model:
            return f"the gate says {decision_of(signed).verdict}, statement {signed.id.short}"
    return None


def _record(
    workspace: Workspace,
    rules: UseCaseRules,
    firing: Firing,
    actor: Actor,
    *,
    progress: Progress,
    message: str,
    detail: dict[str, Json] | None = None,
) -> Acted:
    message = masked(message, os.environ)
    entry = allowed_entry(
        action=ACTED,
        actor=actor,
        use_case=rules.name,
        subject=f"{rules.name}@{firing.signed.text('environment')}",
        statement=firing.id,
        at=now(),
        detail={
            "progress": progress,
            "then": firing.then,
            "monitor": firing.monitor,
            "message": message,
            **(detail or {}),
        },
        signs=False,
    )
    told = {"failed": ("failed", (message,)), "not permitted": ("refused", (message,))}
    outcome, reasons = told.get(progress, ("allowed", ()))
    with workspace.ledger(create=True).transaction() as writer:
        writer.append(replace(entry, outcome=cast("Outcome", outcome), reasons=reasons))
    return Acted(firing=firing, progress=progress, message=message)
