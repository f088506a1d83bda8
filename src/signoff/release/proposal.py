"""May this run become a registered candidate?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from signoff.conformance.model import Finding
from signoff.evidence.statement import Statement, Subject
from signoff.gate.model import GateDecision
from signoff.gate.verdict import contradictions
from signoff.record.digest import Digest, Json
from signoff.release.components import component_subjects
from signoff.release.model import Reason, ReleaseDecision, Signed
from signoff.release.people import People
from signoff.release.waivers import Waivers
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A gate decision with the statement that carries it."""

    signed: Signed
    decision: GateDecision


def needed_notes(rules: UseCaseRules) -> tuple[str, ...]:
    """The fields of context a proposal must fill; a rollback plan when an environment asks for one."""
    plan = any(environment.rollback_plan for environment in rules.environments.values())
    fields = (*rules.notes, "rollback_plan") if plan else rules.notes
    return tuple(dict.fromkeys(fields))


def decide_proposal(
    rules: UseCaseRules,
    *,
    run_id: str,
    proposer: str,
    people: People,
    findings: Sequence[Finding],
    judged: Judged | None,
    data: Digest | None,
    baseline: Digest | None,
    waivers: Waivers,
    notes: Mapping[str, str],
) -> ReleaseDecision:
    """Decide on a proposal.

    Args:
        rules: the use case's rules.
        run_id: the run proposed.
        proposer: e-mail of the person whose key signs.
        people: the roster and roles.
        findings: conformance findings on the run.
        judged: the newest gate decision on the model's files; None without one.
        data: digest of the evaluation table as the recipe finds it now; None to leave it out, as a server must
            that has no such table.
        baseline: digest of the production model now; None before a first release.
        waivers: the waivers that count.
        notes: what the proposer says, by field.
    """
    reasons = [
        *people.refusals(proposer, "propose"),
        *_conformance(run_id, findings, waivers),
        *gate_refusals(
            rules, run_id=run_id, judged=judged, data=data, baseline=baseline, waived=waivers.by_code
        ),
        *_notes(rules, notes),
    ]
    remarks = [f"waived: {code} by {', '.join(w.signers)}" for code, w in sorted(waivers.by_code.items())]
    return ReleaseDecision(
        transition="propose",
        subject=f"run {run_id}",
        reasons=tuple(reasons),
        remarks=(*remarks, *waivers.refused),
    )


def _conformance(run_id: str, findings: Sequence[Finding], waivers: Waivers) -> list[Reason]:
    return [
        Reason(
            code=finding.code,
            message=f"{finding.message} (asked by {finding.asked_by})",
            fix=finding.fix or f"signoff check {run_id}",
        )
        for finding in findings
        if finding.severity == "block" and not waivers.covers(finding.code)
    ]


def _notes(rules: UseCaseRules, notes: Mapping[str, str]) -> list[Reason]:
    return [
        Reason(
            code=f"note:{field}",
            message=f"the standard asks a proposal for {field}",
            fix=f'add --context {field}="…"' if field != "notes" else 'add --notes "…"',
        )
        for field in needed_notes(rules)
        if not notes.get(field, "").strip()
    ]


def gate_refusals(
    rules: UseCaseRules,
    *,
    run_id: str,
    judged: Judged | None,
    data: Digest | None,
    baseline: Digest | None,
    waived: Mapping[str, Signed],
    then: str = "",
) -> list[Reason]:
    """Why a gate decision does not carry this transition; empty when it does.

    Args:
        rules: the use case's rules now.
        run_id: the run, for the command in the hint.
        judged: the decision; None when there is none on these model files.
        data: digest of the evaluation table now; None to leave it out, as after a proposal.
        baseline: digest of the production model now; None before a first release.
        waived: check codes that are waived.
        then: what else a new decision takes, where the old one is part of a proposal.
    """
    again = f"signoff gate {run_id}" + (f"; {then}" if then else "")
    if judged is None:
        return [Reason(code="gate-missing", message="no gate decision on these model files", fix=again)]
    decision, context = judged.decision, judged.decision.context
    reasons: list[Reason] = []
    reasons += [
        Reason(
            code="gate-inconsistent",
            message=f"the stored gate decision contradicts itself: {text}",
            fix=again,
        )
        for text in contradictions(decision)
    ]
    if context.rules != rules.digest:
        reasons.append(
            Reason(
                code="gate-rules-changed",
                message=f"the rules of {rules.name} changed since the gate"
                f" (judged under {context.rules.short}, now {rules.digest.short})",
                fix=again,
            )
        )
    if data is not None and decision.data != data:
        reasons.append(
            Reason(
                code="gate-data-changed",
                message=f"the evaluation data changed since the gate"
                f" (judged on {decision.data.short}, now {data.short})",
                fix=again,
            )
        )
    judged_against = None if context.baseline is None else context.baseline.digest
    if judged_against != baseline:
        reasons.append(
            Reason(
                code="gate-baseline-changed",
                message="production is another model than the one this candidate was compared with"
                f" (compared with {_short(judged_against)}, now {_short(baseline)})",
                fix=again,
            )
        )
    return [*reasons, *_failed_checks(decision, waived, again)]


def _failed_checks(decision: GateDecision, waived: Mapping[str, Signed], again: str) -> list[Reason]:
    return [
        Reason(
            code=check.id,
            message=f"gate {check.status}: {check.title}: {check.message}",
            fix=again if check.status == "inconclusive" else "",
        )
        for check in decision.checks
        if check.severity == "block" and check.status != "pass" and check.id not in waived
    ]


def _short(digest: Digest | None) -> str:
    return "no model" if digest is None else digest.short


def proposal_statement(
    rules: UseCaseRules,
    *,
    version: int,
    run_id: str,
    model: Digest,
    components: Mapping[str, Digest],
    decision: Digest,
    proposer: str,
    authors: Sequence[str],
    notes: Mapping[str, str],
    waivers: Waivers,
    at: str,
) -> Statement:
    """The statement a proposer signs."""
    waived: dict[str, Json] = {code: str(w.id) for code, w in sorted(waivers.by_code.items())}
    return Statement(
        kind="proposal",
        subjects=(
            Subject(name="model", digest=model),
            Subject(name="decision", digest=decision),
            Subject(name="rules", digest=rules.digest),
            *component_subjects(components),
        ),
        predicate={
            "use_case": rules.name,
            "registered_model": rules.registered_model,
            "version": version,
            "run_id": run_id,
            "proposer": proposer,
            "authors": sorted(authors),
            "context": dict(notes),
            "waived": waived,
            "at": at,
        },
    )
