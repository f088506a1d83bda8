from collections.abc import Mapping
from dataclasses import replace

import pytest
from release_changes import digest
from release_samples import (
    ABE,
    ANA,
    BEN,
    FAILED,
    PASSED,
    PEOPLE,
    PROD,
    RULES,
    Desk,
    Key,
    gate_decision,
    with_environment,
)

from signoff.conformance.model import Finding
from signoff.gate.model import CheckResult, GateDecision
from signoff.record.digest import Digest
from signoff.release.model import ReleaseDecision
from signoff.release.proposal import Judged, decide_proposal, needed_notes, proposal_statement
from signoff.standard.model import UseCaseRules

NOTES = {"business_context": "weekly", "notes": "newer weeks"}
MISSING = Finding(
    code="param:feature_set",
    subject="run 1",
    message="param feature_set is missing",
    asked_by="type classification",
    fix="",
    fixable=False,
    severity="block",
)


def decided(
    desk: Desk | None = None,
    *,
    rules: UseCaseRules = RULES,
    proposer: Key = ANA,
    findings: tuple[Finding, ...] = (),
    decision: GateDecision | None = None,
    gated: bool = True,
    data: Digest | None = None,
    baseline: str | None = None,
    notes: Mapping[str, str] = NOTES,
) -> ReleaseDecision:
    desk = desk or Desk()
    judged = decision or gate_decision("model 1")
    desk.gate(decision=judged)
    return decide_proposal(
        rules,
        run_id="r1",
        proposer=proposer.email,
        people=PEOPLE,
        findings=findings,
        judged=Judged(signed=desk.signed("decision"), decision=judged) if gated else None,
        data=data or digest("table"),
        baseline=None if baseline is None else digest(baseline),
        waivers=desk.waivers(),
        notes=notes,
    )


def codes(decision: ReleaseDecision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_run_that_conforms_and_passed_is_registered() -> None:
    decision = decided()
    assert decision.allowed
    assert decision.remarks == ()


@pytest.mark.parametrize(
    ("finding", "expected"),
    [(MISSING, ["param:feature_set"]), (replace(MISSING, severity="warn"), [])],
)
def test_findings_that_block_stop_it(finding: Finding, expected: list[str]) -> None:
    decision = decided(findings=(finding,))
    assert codes(decision) == expected
    assert all(reason.fix == "signoff check r1" for reason in decision.reasons)


@pytest.mark.parametrize(
    ("check", "expected", "fix"),
    [
        (FAILED, [FAILED.id], ""),
        (replace(FAILED, status="inconclusive"), [FAILED.id], "signoff gate r1"),
        (replace(FAILED, severity="warn"), [], ""),
    ],
)
def test_checks_that_block_stop_it(check: CheckResult, expected: list[str], fix: str) -> None:
    decision = decided(decision=gate_decision("model 1", checks=(PASSED, check)))
    assert codes(decision) == expected
    assert [reason.fix for reason in decision.reasons] == [fix] * len(expected)


def test_waivers_cover_findings_and_checks_and_are_shown() -> None:
    desk = Desk()
    desk.waive(MISSING.code, FAILED.id)
    failed = gate_decision("model 1", checks=(PASSED, FAILED))
    decision = decided(desk, findings=(MISSING,), decision=failed)
    assert decision.allowed
    assert len(decision.remarks) == 2
    assert all(remark.startswith("waived: ") for remark in decision.remarks)


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (decided(gated=False), ["gate-missing"]),
        (decided(data=digest("newer table")), ["gate-data-changed"]),
        (decided(baseline="model 0"), ["gate-baseline-changed"]),
        (decided(decision=gate_decision("model 1", baseline="model 0")), ["gate-baseline-changed"]),
        (decided(decision=gate_decision("model 1", baseline="model 0"), baseline="model 0"), []),
        (decided(decision=gate_decision("model 1", rules=digest("older"))), ["gate-rules-changed"]),
        (decided(decision=replace(gate_decision("model 1"), verdict="fail")), ["gate-inconsistent"]),
        (decided(proposer=BEN), ["role"]),
        (decided(proposer=ABE), []),
        (decided(notes={}), ["note:business_context", "note:notes"]),
        (decided(notes={**NOTES, "notes": " \n"}), ["note:notes"]),
    ],
)
def test_what_stops_a_proposal(decision: ReleaseDecision, expected: list[str]) -> None:
    assert codes(decision) == expected


def test_a_rollback_plan_is_asked_for_once_when_an_environment_wants_one() -> None:
    assert needed_notes(RULES) == ("business_context", "notes")
    planned = with_environment(replace(PROD, rollback_plan=True))
    assert needed_notes(planned) == ("business_context", "notes", "rollback_plan")
    twice = replace(planned, notes=("rollback_plan", "notes"))
    assert needed_notes(twice) == ("rollback_plan", "notes")


def test_the_statement_names_model_decision_and_rules() -> None:
    desk = Desk()
    waiver = desk.waive(MISSING.code)
    statement = proposal_statement(
        RULES,
        version=3,
        run_id="r1",
        model=digest("m"),
        components={},
        decision=digest("d"),
        proposer=ANA.email,
        authors=[BEN.email, ANA.email],
        notes=NOTES,
        waivers=desk.waivers(),
        at="2026-11-23T10:00:00Z",
    )
    assert {s.name: s.digest for s in statement.subjects} == {
        "model": digest("m"),
        "decision": digest("d"),
        "rules": RULES.digest,
    }
    assert statement.predicate["authors"] == [ANA.email, BEN.email]
    assert statement.predicate["waived"] == {MISSING.code: str(waiver)}
