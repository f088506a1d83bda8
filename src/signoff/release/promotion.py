"""May this version be released into this environment, or an earlier one be put back?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json
from signoff.record.model_version import ModelVersionRecord
from signoff.release.approval import Approvals, Binding, count_approvals, head_json
from signoff.release.canary import DecideAgain
from signoff.release.chain import verify_release
from signoff.release.components import changed_reasons, components_named
from signoff.release.evaluation import stale_refusals
from signoff.release.guard.evidence import evidence_reasons
from signoff.release.history import History, decision_of
from signoff.release.inherited import Inherited
from signoff.release.model import Reason, Release, ReleaseDecision, Signed
from signoff.release.people import People, rollback_refusals, unmet
from signoff.release.proposal import Judged, gate_refusals
from signoff.release.readiness import readiness_refusals
from signoff.release.waivers import Waivers
from signoff.standard.model import EnvironmentRules, UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A version as it is now.

    Attributes:
        version: the registry's record.
        model: digest of its files, hashed now.
        authors: who ran, committed or proposed it.
        input_gaps: what the deployment's input table lacks for its signature.
        components: of a bundle role → digest; empty for another model.
        changed: parts of its frozen run's evidence that are others now.
    """

    version: ModelVersionRecord
    model: Digest
    authors: frozenset[str]
    input_gaps: tuple[str, ...]
    components: Mapping[str, Digest] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """A decided promotion with all a release statement names.

    Attributes:
        decision: the answer.
        binding: what the counting approvals are bound to; None when there is no proposal or decision.
        approvals: the approvals as they were judged; None in the same case.
    """

    decision: ReleaseDecision
    binding: Binding | None
    approvals: Approvals | None


def decide_promotion(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    actor: str,
    candidate: Candidate,
    history: History,
    people: People,
    waivers: Waivers,
    baseline_environment: str,
    today: str,
    decide_again: DecideAgain | None = None,
) -> Promotion:
    """Decide whether a version may be released into an environment; all that is missing is listed.

    Args:
        rules: the use case's rules now.
        environment: the environment's rules now.
        actor: e-mail of the person whose key signs.
        candidate: the version as it is now.
        history: the use case's statements.
        people: the roster and roles.
        waivers: the waivers that count.
        baseline_environment: the environment whose model the gate compares with.
        today: ISO date, UTC.
        decide_again: decides from a canary's recorded counts; without it no canary counts as complete.
    """
    version = candidate.version
    reasons = list(people.refusals(actor, "promote"))
    remarks: list[str] = []
    proposal = history.proposal(version.version)
    binding: Binding | None = None
    approvals: Approvals | None = None
    if proposal is None:
        reasons.append(
            Reason(
                code="not-proposed",
                message=f"{version.ref} was never proposed, or its proposal has no valid signature",
                fix=f"signoff propose {version.run_id or 'RUN'}",
            )
        )
    else:
        reasons += _proposal_refusals(candidate, proposal, people)
        judged = _judged(history, proposal)
        released = history.release(baseline_environment)
        baseline = None if released is None else released.model
        if released is not None and released.version == version.version and judged is not None:
            # The version is production itself already: it was judged against its predecessor.
            context = judged.decision.context
            baseline = None if context.baseline is None else context.baseline.digest
        if released is not None:
            remarks += _baseline_remarks(history, released, people)
        reasons += gate_refusals(
            rules,
            run_id=version.run_id or "RUN",
            judged=judged,
            data=None,
            baseline=baseline,
            waived=waivers.by_code,
            then="then propose and approve it again",
        )
        reasons += stale_refusals(
            environment,
            None if judged is None else judged.signed,
            ref=version.ref,
            run_id=version.run_id or "RUN",
            today=today,
        )
        decision = proposal.statement.subject("decision")
        if decision is not None:
            binding = Binding(
                model=candidate.model,
                decision=decision,
                rules=rules.environment_digest(environment.name),
                proposal=proposal.id,
                components=candidate.components,
            )
            approvals = count_approvals(
                history,
                environment=environment,
                version=version.version,
                binding=binding,
                people=people,
                authors=candidate.authors,
            )
            reasons += _approval_refusals(environment, version.ref, approvals, people)
            remarks += [
                f"self-approved: {person} is an author of this version"
                for person in sorted(set(approvals.counting) & candidate.authors)
            ]
    reasons += _order_refusals(environment, candidate, history, people)
    reasons += readiness_refusals(
        rules,
        environment,
        ref=version.ref,
        version=version.version,
        model=candidate.model,
        history=history,
        people=people,
        decide_again=decide_again,
    )
    reasons += [
        Reason(code="input-schema", message=f"the deployment's input does not fit the model: {gap}")
        for gap in candidate.input_gaps
    ]
    remarks += [f"waived: {code} by {', '.join(w.signers)}" for code, w in sorted(waivers.by_code.items())]
    return Promotion(
        decision=ReleaseDecision(
            transition="promote",
            subject=f"{version.ref} to {environment.name}",
            reasons=tuple(reasons),
            remarks=(*remarks, *waivers.refused),
        ),
        binding=binding,
        approvals=approvals,
    )


def _judged(history: History, proposal: Signed) -> Judged | None:
    decision = proposal.statement.subject("decision")
    found = None if decision is None else history.by_id(decision)
    if found is None or found.statement.kind != "gate-decision":
        return None
    if found.statement.subject("model") != proposal.statement.subject("model"):
        return None
    return Judged(signed=found, decision=decision_of(found))


def _proposal_refusals(candidate: Candidate, proposal: Signed, people: People) -> list[Reason]:
    reasons: list[Reason] = []
    proposed = proposal.statement.subject("model")
    if proposed != candidate.model:
        reasons.append(
            Reason(
                code="model-bytes-changed",
                message=f"the model's files changed since {candidate.version.ref} was proposed (proposed"
                f" {'nothing' if proposed is None else proposed.short}, now {candidate.model.short})",
                fix="find out who changed them; then log the model again and propose the new run",
            )
        )
    reasons += evidence_reasons(candidate.version.ref, candidate.changed)
    reasons += changed_reasons(
        candidate.version.ref,
        "its proposal",
        then=components_named(proposal.statement),
        now=candidate.components,
        fix="find out who changed it; then log the bundle again and propose the new run",
    )
    if proposal.text("run_id") != candidate.version.run_id:
        reasons.append(
            Reason(
                code="version-replaced",
                message=f"{candidate.version.ref} comes from run {candidate.version.run_id}, the proposal is about"
                f" run {proposal.text('run_id')}: the version was deleted and registered again",
                fix=f"signoff propose {candidate.version.run_id or 'RUN'}",
            )
        )
    if not any(people.may(signer, "propose") for signer in proposal.signers):
        reasons.append(
            Reason(
                code="proposer-role",
                message=f"the proposal was signed by {', '.join(proposal.signers)}, who may not propose",
            )
        )
    return reasons


def _approval_refusals(
    environment: EnvironmentRules, ref: str, approvals: Approvals, people: People
) -> list[Reason]:
    void = f" ({'; '.join(approvals.void)})" if approvals.void else ""
    missing = [
        Reason(
            code="approval-missing",
            message=f"{environment.name} needs {rule.count} more approval{'s' if rule.count > 1 else ''}"
            f" by {rule.role}{void}",
            fix=f"signoff approve {ref} --env {environment.name}"
            f"   (on the roster with that role: {', '.join(people.having([rule.role])) or 'nobody'})",
        )
        for rule in unmet(environment.approvals, approvals.roles)
    ]
    rejected = [
        Reason(code="rejected", message=text, fix="the reviewer who rejected it can approve it later")
        for text in approvals.rejections
    ]
    return [*missing, *rejected]


def _baseline_remarks(history: History, released: Release, people: People) -> list[str]:
    """A remark and no refusal: else nothing could be promoted past a release that does not verify."""
    problems = verify_release(history, released.statement, people=people)
    return [f"the production model that it was compared with: {problem.message}" for problem in problems]


def _order_refusals(
    environment: EnvironmentRules, candidate: Candidate, history: History, people: People
) -> list[Reason]:
    if environment.after is None:
        return []
    ref = candidate.version.ref
    passed = any(
        s.text("environment") == environment.after
        and s.statement.subject("model") == candidate.model
        and s.number("version") == candidate.version.version
        and not verify_release(history, s, people=people)
        for s in history.of("release")
    )
    if passed:
        return []
    return [
        Reason(
            code="environment-order",
            message=f"{ref} was not released in {environment.after} yet; {environment.name} comes after it",
            fix=f"signoff promote {ref} --env {environment.after}",
        )
    ]


def release_statement(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    candidate: Candidate,
    binding: Binding,
    approvals: Approvals,
    waivers: Waivers,
    actor: str,
    previous: Release | None,
    log: LogHead,
    at: str,
    taken: Inherited | None = None,
    number: int | None = None,
) -> Statement:
    """What releases a version until it is revoked; ``taken`` stood there as inherited and is named as the one before."""
    before = previous.statement if previous is not None else None if taken is None else taken.statement
    version = candidate.version
    signed_by = sorted(approvals.counting.items())
    approved: list[Json] = [
        {"approver": person, "statement": str(signed.id), "roles": list(approvals.roles[person])}
        for person, signed in signed_by
    ]
    required: list[Json] = [{"role": rule.role, "count": rule.count} for rule in environment.approvals]
    self_approved: list[Json] = [*sorted(set(approvals.counting) & candidate.authors)]
    return Statement(
        kind="release",
        subjects=(
            *binding.subjects(),
            *(Subject(name=f"approval:{person}", digest=signed.id) for person, signed in signed_by),
        ),
        predicate={
            "use_case": rules.name,
            "environment": environment.name,
            "alias": environment.alias,
            "registered_model": rules.registered_model,
            "version": version.version,
            "run_id": version.run_id,
            "number": number if number is not None else 1 if previous is None else previous.number + 1,
            "previous": None if before is None else str(before.id),
            "required": required,
            "approved": approved,
            "self_approved": self_approved,
            "waived": {code: str(w.id) for code, w in sorted(waivers.by_code.items())},
            "actor": actor,
            "log": head_json(log),
            "at": at,
        },
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollback:
    """A decided rollback.

    Attributes:
        decision: the answer.
        current: what is released now.
        target: the release statement to return to; None when there is none.
    """

    decision: ReleaseDecision
    current: Release | None
    target: Signed | None


def decide_rollback(
    environment: str,
    *,
    use_case: str,
    actor: str,
    history: History,
    people: People,
    reason: str,
    changed: Mapping[Digest, Sequence[Reason]] | None = None,
) -> Rollback:
    """Decide on a return to the last good release; of what is known today it needs its files and nothing else.

    Args:
        environment: the environment.
        use_case: its name.
        actor: e-mail of the person whose key signs.
        history: the use case's statements.
        people: the roster and roles.
        reason: why.
        changed: releases that cannot be used, by statement id, with what was found: their files are not what was
            released any more. They are passed over; when none older can be used, the rollback is refused.
    """
    skipped = changed or {}
    found = dict.fromkeys(reason for reasons in skipped.values() for reason in reasons)
    current = history.release(environment)
    target = (
        None
        if current is None
        else last_good(history, environment, current, people=people, without=frozenset(skipped))
    )
    reasons = rollback_refusals(people, actor, reason)
    if current is None:
        reasons.append(Reason(code="nothing-released", message=f"nothing is released in {environment}"))
    elif target is None and skipped:
        reasons += [
            replace(
                reason,
                message=f"{reason.message}; there is no other earlier release in {environment} to return to",
                fix="find out who changed it and put it back, promote another version, or take the deployment down",
            )
            for reason in found
        ]
    elif target is None:
        reasons.append(
            Reason(
                code="no-last-good",
                message=f"there is no earlier good release in {environment} to return to",
                fix="remove the deployment by hand, or promote another version",
            )
        )
    else:
        reasons += verify_release(history, target, people=people)
    return Rollback(
        decision=ReleaseDecision(
            transition="rollback",
            subject=f"{use_case}@{environment}",
            reasons=tuple(reasons),
            remarks=()
            if target is None
            else tuple(f"passed over ({reason.code}): {reason.message}" for reason in found),
        ),
        current=current,
        target=target,
    )


def decide_completion(
    environment: str,
    *,
    use_case: str,
    actor: str,
    current: Release,
    history: History,
    people: People,
) -> ReleaseDecision:
    """Decide on pointing the alias where the newest rollback said, when that was interrupted."""
    return ReleaseDecision(
        transition="rollback",
        subject=f"{use_case}@{environment}",
        reasons=(
            *people.refusals(actor, "rollback"),
            *verify_release(history, current.statement, people=people),
        ),
        remarks=("the rollback was recorded before; its alias is moved now",),
    )


def last_good(
    history: History,
    environment: str,
    current: Release,
    *,
    people: People,
    without: Iterable[Digest] = (),
) -> Signed | None:
    """The newest release before the current one, of another version, that no rollback has left and that verifies.

    When none of them verifies it is the newest, so that its faults can be told; not when some are left out.

    Args:
        history: the use case's statements.
        environment: the environment.
        current: what is released there.
        people: the roster and roles.
        without: ids of releases that are known to be of no use.
    """
    left_out = frozenset(without)
    revoked = history.revoked(environment)
    earlier = [
        signed
        for signed in history.of("release")
        if signed.text("environment") == environment
        and signed.order < current.statement.order
        and signed.id not in revoked
        and signed.number("version") != current.version
        and signed.signers
        and signed.id not in left_out
    ]
    newest_first = earlier[::-1]
    good = (signed for signed in newest_first if not verify_release(history, signed, people=people))
    return next(good, newest_first[0] if newest_first and not left_out else None)


def rollback_statement(
    environment: str, *, use_case: str, rollback: Rollback, actor: str, reason: str, log: LogHead, at: str
) -> Statement:
    """The statement that puts an earlier release back and revokes the one it leaves."""
    current, target = rollback.current, rollback.target
    if current is None or target is None:
        raise ValueError("a rollback statement needs a current release and a target")
    model = target.statement.subject("model")
    if model is None:
        raise ValueError("the target release names no model")
    return Statement(
        kind="rollback",
        subjects=(
            Subject(name="model", digest=model),
            Subject(name="release", digest=target.id),
            Subject(name="revoked-release", digest=current.statement.id),
        ),
        predicate={
            "use_case": use_case,
            "environment": environment,
            "from_version": current.version,
            "to_version": target.number("version"),
            "number": current.number + 1,
            "actor": actor,
            "reason": reason,
            "log": head_json(log),
            "at": at,
        },
    )
