"""A canary: a version that may be tried beside the released one, and what came of it.

A canary statement is signed by a promoter and names all that a release statement would name, so that
`signoff.release.chain.verify_release` holds for it too. It moves no alias. Rollout statements say what was decided
about it, step by step. A canary ends when one of them aborts it, or when anything is released or rolled back.

A rollout statement that lets the canary go on counts only when a person who may promote, and who is no author of the
version, signed it, and when the counts that it carries lead to its verdict under the signed plan. One that aborts
counts when such a person signed it, or one who may roll back: an endpoint that nobody could sign for tries no canary,
and what others say of it ends nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from signoff.errors import EvidenceError
from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json
from signoff.release.approval import head_json
from signoff.release.chain import authors_named
from signoff.release.history import History
from signoff.release.model import Reason, Release, ReleaseDecision, Signed
from signoff.release.people import People, rollback_refusals
from signoff.standard.deployment import CanaryRules, CanaryStep
from signoff.standard.model import UseCaseRules

_INCOMPLETE = "canary-incomplete"
"""Code of the reason that refuses a promotion whose canary has not passed its last step."""

DecideAgain: TypeAlias = Callable[[CanaryRules, Json], str]
"""The verdict that the recorded counts of a canary's steps lead to under a plan; "" when they cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """A version on trial, beside what is released.

    Attributes:
        statement: the canary statement.
        version: its number in the registry.
        model: digest of its files.
        plan: the steps and bounds that its promoter signed.
        step: the 0-based step that it is in, by the rollout statements that count.
        complete: whether its last step is done; it stays in it until the version is promoted.
        last: the newest rollout statement that counts; None in the first step.
    """

    statement: Signed
    version: int
    model: Digest
    plan: CanaryRules
    step: int
    complete: bool
    last: Signed | None


def canary_of(
    history: History, environment: str, *, people: People, decide_again: DecideAgain | None = None
) -> Canary | None:
    """The canary that runs in an environment now; None without one.

    Whether it may be served is for `verify_release` to say.

    Args:
        history: the use case's statements.
        environment: where it is tried.
        people: the roster and roles.
        decide_again: decides from recorded counts; without it no step counts as done.

    Raises:
        EvidenceError: its statement or a rollout statement about it is malformed.
    """
    statement = _newest(history, environment, people)
    if statement is None or _left(history, environment, statement):
        return None
    rollouts = _rollouts(history, statement)
    if _aborts(history, statement, people):
        return None
    version, model = _version_of(statement)
    plan = plan_of(statement)
    step, complete, last = 0, False, None
    for rollout in rollouts:
        if decide_again is None or complete or rollout.number("step") != step:
            continue
        done = step + 1 == len(plan.steps)
        verdict = "complete" if done else "advance"
        if rollout.text("verdict") != verdict or not _goes_on(rollout, step, last):
            continue
        if decide_again(plan, rollout.statement.predicate.get("counts")) != verdict:
            continue
        if all(step_signer_fault(history, statement, people, signer) for signer in rollout.signers):
            continue
        step, complete, last = (step, True, rollout) if done else (step + 1, False, rollout)
    return Canary(
        statement=statement,
        version=version,
        model=model,
        plan=plan,
        step=step,
        complete=complete,
        last=last,
    )


def step_signer_fault(history: History, canary: Signed, people: People, signer: str) -> str:
    """Why a person's signature lets no step of a canary count; "" when it does.

    Args:
        history: the use case's statements.
        canary: the canary's statement; who the authors are says the proposal that it names.
        people: the roster and roles.
        signer: e-mail of the person.
    """
    if not people.may(signer, "promote"):
        return f"{signer} may not promote"
    authors = authors_named(history, canary)
    if not authors:
        return "the proposal that says who the authors are is not in the ledger"
    return f"{signer} is an author of version {canary.number('version')}" if signer in authors else ""


def completed_rollout(
    history: History,
    environment: str,
    *,
    version: int,
    model: Digest,
    plan: CanaryRules,
    people: People,
    decide_again: DecideAgain | None,
) -> Signed | None:
    """The rollout statement that says that this version passed every step of this plan; None without one.

    Args:
        history: the use case's statements.
        environment: where it was tried.
        version: its number in the registry.
        model: digest of its files now.
        plan: the standard's steps and bounds now.
        people: the roster and roles.
        decide_again: decides from recorded counts.

    Raises:
        EvidenceError: the canary's statement is malformed.
    """
    canary = canary_of(history, environment, people=people, decide_again=decide_again)
    if canary is None or not canary.complete:
        return None
    if (canary.version, canary.model, canary.plan) != (version, model, plan):
        return None
    return canary.last


def _goes_on(rollout: Signed, step: int, last: Signed | None) -> bool:
    """Whether a statement has the counts of its step, and of those before it what was recorded then."""
    counts = rollout.statement.predicate.get("counts")
    before = () if last is None else last.statement.predicate.get("counts")
    if not isinstance(counts, list | tuple) or not isinstance(before, list | tuple):
        return False
    return len(counts) == step + 1 and list(counts[:step]) == list(before)


def trial_words(
    history: History, environment: str, *, people: People, decide_again: DecideAgain | None
) -> str:
    """How the canary in an environment stands, or how the newest one ended; "" without one since the last release.

    Raises:
        EvidenceError: its statement or a rollout statement about it is malformed.
    """
    running = canary_of(history, environment, people=people, decide_again=decide_again)
    if running is not None and running.complete:
        return f"canary of version {running.version} is complete and waits for its promotion"
    if running is not None:
        steps = running.plan.steps
        share = f"{100 * steps[running.step].weight:g} % of the requests"
        return f"canary of version {running.version} is in step {running.step + 1} of {len(steps)}, {share}"
    newest = _newest(history, environment, people)
    if newest is None or _left(history, environment, newest):
        return ""
    ends = _aborts(history, newest, people)
    return f"canary of version {newest.number('version')} ended: {ends[-1].text('message')}" if ends else ""


def _newest(history: History, environment: str, people: People) -> Signed | None:
    found = [
        signed
        for signed in history.of("canary")
        if signed.text("environment") == environment
        and any(people.may(signer, "promote") for signer in signed.signers)
    ]
    return found[-1] if found else None


def _left(history: History, environment: str, canary: Signed) -> bool:
    """Whether something was released or rolled back since."""
    return any(canary.precedes(move) for move in history.moves(environment))


def _rollouts(history: History, canary: Signed) -> tuple[Signed, ...]:
    return tuple(s for s in history.of("rollout") if s.statement.subject("canary") == canary.id)


def _aborts(history: History, canary: Signed, people: People) -> tuple[Signed, ...]:
    """The rollout statements that end it: of people who may roll back, or whose signature its steps may bear."""
    return tuple(
        rollout
        for rollout in _rollouts(history, canary)
        if rollout.text("verdict") == "abort"
        and any(
            people.may(signer, "rollback") or not step_signer_fault(history, canary, people, signer)
            for signer in rollout.signers
        )
    )


def _version_of(statement: Signed) -> tuple[int, Digest]:
    version, model = statement.number("version"), statement.statement.subject("model")
    if version is None or model is None:
        raise EvidenceError(f"canary statement {statement.id.short} names no version or no model")
    return version, model


def plan_of(canary: Signed) -> CanaryRules:
    """The steps and bounds that a canary statement carries.

    Raises:
        EvidenceError: they are missing, malformed or out of bounds.
    """
    plan = canary.statement.predicate.get("plan")
    rows = plan.get("steps") if isinstance(plan, Mapping) else None
    if not isinstance(plan, Mapping) or not isinstance(rows, list | tuple) or not rows:
        raise _malformed(canary)
    steps: list[CanaryStep] = []
    for row in rows:
        weight = _number(row, "weight", canary)
        requests = _number(row, "requests", canary)
        if not 0 < weight <= 1 or requests < 1 or requests != int(requests):
            raise _malformed(canary)
        steps.append(CanaryStep(weight=weight, requests=int(requests)))
    error_rate, alpha = _number(plan, "error_rate", canary), _number(plan, "alpha", canary)
    deadline = _number(plan, "deadline_s", canary)
    rising = all(low.weight < high.weight for low, high in pairwise(steps))
    if not rising or not 0 < error_rate <= 0.5 or not 0 < alpha <= 0.5 or deadline < 1:
        raise _malformed(canary)
    return CanaryRules(steps=tuple(steps), error_rate=error_rate, alpha=alpha, deadline_s=int(deadline))


def _number(row: Json, field: str, canary: Signed) -> float:
    value = row.get(field) if isinstance(row, Mapping) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _malformed(canary)
    return float(value)


def _malformed(canary: Signed) -> EvidenceError:
    return EvidenceError(f"canary statement {canary.id.short} carries no plan that can be followed")


def decide_canary(
    promotion: ReleaseDecision,
    rules: UseCaseRules,
    environment: str,
    *,
    ref: str,
    version: int,
    released: Release | None,
    running: Canary | None,
) -> ReleaseDecision:
    """Decide whether a version may be tried beside the released one; all that is missing is listed.

    Args:
        promotion: the decision on promoting it: a canary needs all that a release needs, but a canary.
        rules: the use case's rules now.
        environment: where it would be tried.
        ref: the version, such as ``churn/3``.
        version: its number.
        released: what is released there.
        running: the canary that runs there.
    """
    reasons = [reason for reason in promotion.reasons if reason.code != _INCOMPLETE]
    if rules.serving is None or rules.serving.canary is None:
        message = f"the standard gives {rules.name} no steps for a canary"
        reasons.append(
            Reason(
                code="canary-plan",
                message=message,
                fix=f"add `serving: {{canary: …}}` to the use case, or: signoff promote {ref} --env {environment}",
            )
        )
    if released is None or released.version == version:
        message = (
            f"nothing is released in {environment}, so nothing could answer when the canary fails"
            if released is None
            else f"{ref} is what is released in {environment}"
        )
        fix = f"signoff promote {ref} --env {environment}" if released is None else ""
        reasons.append(Reason(code="canary-stable", message=message, fix=fix))
    if running is not None:
        message = f"version {running.version} is in its canary in {environment} since {running.statement.text('at')}"
        reasons.append(
            Reason(
                code="canary-running",
                message=message,
                fix=f"promote it when it is complete, or: signoff rollback {rules.name} --env {environment}"
                " --reason '…'",
            )
        )
    return replace(promotion, subject=f"{ref} to its canary in {environment}", reasons=tuple(reasons))


def canary_statement(release: Statement, *, plan: CanaryRules, stable: Release) -> Statement:
    """The statement that lets a version be tried.

    Args:
        release: the release statement that a promotion would have written.
        plan: the steps and bounds that it is tried by.
        stable: what is released now, and answers what the canary fails to.
    """
    said = {name: value for name, value in release.predicate.items() if name not in ("number", "previous")}
    return Statement(
        kind="canary",
        subjects=(*release.subjects, Subject(name="stable", digest=stable.statement.id)),
        predicate={**said, "plan": plan.to_json(), "stable_version": stable.version},
    )


def rollout_statement(
    canary: Canary,
    *,
    use_case: str,
    environment: str,
    verdict: Literal["advance", "complete", "abort"],
    message: str,
    steps: Sequence[Json],
    evalues: Mapping[str, Json],
    actor: str,
    log: LogHead,
    at: str,
) -> Statement:
    """What was decided about a canary, with the counts that it was decided from.

    Args:
        canary: the canary.
        use_case: its use case.
        environment: where it runs.
        verdict: what follows.
        message: the arithmetic, or the reason of the person who ended it.
        steps: the counts of each step so far, from which anyone can decide again; empty when a person ended it.
        evalues: the two e-values; empty when a person ended it.
        actor: who decided: the server, by its key, or a person.
        log: the audit log's head before it.
        at: ISO time, UTC.
    """
    return Statement(
        kind="rollout",
        subjects=(
            Subject(name="model", digest=canary.model),
            Subject(name="canary", digest=canary.statement.id),
        ),
        predicate={
            "use_case": use_case,
            "environment": environment,
            "version": canary.version,
            "step": canary.step,
            "verdict": verdict,
            "message": message,
            "counts": list(steps),
            "evalues": dict(evalues),
            "actor": actor,
            "log": head_json(log),
            "at": at,
        },
    )


def decide_stop(
    canary: Canary, *, use_case: str, environment: str, actor: str, people: People, reason: str
) -> ReleaseDecision:
    """Decide whether a person may end a canary: whoever may roll back, for a reason."""
    return ReleaseDecision(
        transition="rollback",
        subject=f"the canary of {use_case}/{canary.version} in {environment}; the release stays as it is",
        reasons=tuple(rollback_refusals(people, actor, reason, what="ending a canary")),
    )
