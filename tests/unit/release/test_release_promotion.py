from collections.abc import Sequence
from dataclasses import replace

import pytest
from release_changes import Change, about, deciding, digest, saying
from release_samples import (
    ABE,
    ANA,
    BEA,
    BEN,
    CLEO,
    DORA,
    FAILED,
    FAY,
    PASSED,
    PROD,
    RULES,
    STRANGER,
    Desk,
    Key,
    approved_desk,
    candidate_of,
    gate_decision,
    needs,
    next_version,
    released_desk,
    two_versions,
    with_environment,
)

from signoff.errors import EvidenceError
from signoff.gate.model import CheckResult
from signoff.release.promotion import Candidate, Promotion, release_statement
from signoff.standard.model import EnvironmentRules


def codes(promotion: Promotion) -> list[str]:
    return [reason.code for reason in promotion.decision.reasons]


def test_a_version_with_all_it_needs_is_released() -> None:
    desk = approved_desk()
    promotion = desk.decide()
    assert promotion.decision.allowed
    assert promotion.decision.remarks == ()
    assert promotion.binding == desk.binding()
    assert promotion.approvals is not None
    assert set(promotion.approvals.counting) == {BEN.email}


@pytest.mark.parametrize(
    ("actor", "code"),
    [
        (ANA, "role"),
        (BEN, "role"),
        (FAY, "unknown-role"),
        (STRANGER, "not-on-roster"),
    ],
)
def test_who_may_not_promote(actor: Key, code: str) -> None:
    assert codes(approved_desk().decide(actor=actor)) == [code]


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (
            candidate_of(1, "other bytes", run_id="run of model 1"),
            ["model-bytes-changed", "approval-missing"],
        ),
        (candidate_of(run_id="another run"), ["version-replaced"]),
        (candidate_of(authors=(ANA.email, BEN.email)), ["approval-missing"]),
        (candidate_of(gaps=("column 'age' (long) is missing",)), ["input-schema"]),
        (candidate_of(gaps=("a", "b")), ["input-schema", "input-schema"]),
    ],
)
def test_the_version_as_it_is_now_is_what_was_approved(candidate: Candidate, expected: list[str]) -> None:
    assert codes(approved_desk().decide(candidate=candidate)) == expected


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (
            "proposal",
            about("model", "other bytes"),
            ["model-bytes-changed", "gate-missing"],
        ),
        ("proposal", about("decision", "no such decision"), ["gate-missing", "approval-missing"]),
        ("proposal", saying(run_id="another run"), ["version-replaced"]),
        ("proposal", saying(version=2), ["not-proposed"]),
        ("decision", about("model", "other bytes"), ["gate-missing"]),
        ("decision", deciding(rules=str(digest("other rules"))), ["gate-rules-changed"]),
        ("decision", deciding(verdict="fail"), ["gate-inconsistent"]),
        ("approval", about("model", "other bytes"), ["approval-missing"]),
        ("approval", about("decision", "another"), ["approval-missing"]),
        ("approval", about("rules", "older rules"), ["approval-missing"]),
        ("approval", about("proposal", "another"), ["approval-missing"]),
        ("approval", about("model", None), ["approval-missing"]),
        ("approval", saying(environment="test"), ["approval-missing"]),
        ("approval", saying(version=2), ["approval-missing"]),
    ],
)
def test_each_thing_changed_alone_stops_it(name: str, change: Change, expected: list[str]) -> None:
    assert codes(approved_desk().retold(name, change).decide()) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((), ["not-proposed"]),
        ((STRANGER,), ["not-proposed"]),
        ((BEN,), ["proposer-role"]),
        ((ABE,), []),
        ((STRANGER, ANA), []),
    ],
)
def test_the_proposal_is_signed_by_somebody_who_may_propose(keys: Sequence[Key], expected: list[str]) -> None:
    """Unsigned, it is no proposal; signed by somebody else, its approvals still hold and the role does not."""
    assert codes(approved_desk().retold("proposal", keys=keys).decide()) == expected


@pytest.mark.parametrize("name", ["proposal", "decision", "approval"])
def test_each_thing_deleted_stops_it(name: str) -> None:
    missing = {"proposal": "not-proposed", "decision": "gate-missing", "approval": "approval-missing"}
    assert codes(approved_desk().without(name).decide()) == [missing[name]]


def test_a_decision_whose_content_is_about_another_model_is_undecided() -> None:
    other = gate_decision("other bytes").to_json()["candidate"]
    with pytest.raises(EvidenceError, match="another model"):
        approved_desk().retold("decision", deciding(candidate=other)).decide()


def test_edited_rules_void_gate_and_approval_and_another_use_case_does_not_matter() -> None:
    desk = approved_desk()
    desk.rules = replace(RULES, notes=("business_context",))
    assert codes(desk.decide()) == ["gate-rules-changed", "approval-missing"]
    desk.rules = with_environment(replace(PROD, checklist=("read the errors",)))
    assert codes(desk.decide()) == ["approval-missing"]
    desk.rules = with_environment(replace(RULES.environments["test"], checklist=("x",)))
    assert codes(desk.decide()) == []


@pytest.mark.parametrize(
    ("environment", "approvers", "missing"),
    [
        (needs(), (), []),
        (needs(("reviewer", 1)), (BEN,), []),
        (needs(("reviewer", 2)), (BEN,), ["1 more approval by reviewer"]),
        (needs(("reviewer", 2)), (BEN, BEN), ["1 more approval by reviewer"]),
        (needs(("reviewer", 2)), (CLEO,), ["2 more approvals by reviewer"]),
        (needs(("reviewer", 1), ("platform-owner", 1)), (BEN, BEA), ["1 more approval by platform-owner"]),
        (needs(("reviewer", 1), ("platform-owner", 1)), (DORA,), ["1 more approval by platform-owner"]),
        (needs(("reviewer", 1), ("platform-owner", 1)), (DORA, BEN), []),
        (needs(("reviewer", 1), ("platform-owner", 1)), (CLEO, DORA), []),
    ],
)
def test_so_many_different_people_per_role(
    environment: EnvironmentRules, approvers: Sequence[Key], missing: list[str]
) -> None:
    desk = Desk(rules=with_environment(environment))
    desk.gate()
    desk.propose()
    for key in approvers:
        desk.approve(key)
    reasons = desk.decide().decision.reasons
    assert [reason.code for reason in reasons] == ["approval-missing"] * len(missing)
    assert all(text in reason.message for text, reason in zip(missing, reasons, strict=True))


def test_why_an_approval_does_not_count_is_told_with_what_is_missing() -> None:
    (reason,) = approved_desk().retold("approval", about("rules", "older rules")).decide().decision.reasons
    assert "the approval of ben@shop.example does not count: the rules of this use case" in reason.message
    assert "bea@shop.example, ben@shop.example, dora@shop.example" in reason.fix


def test_a_standing_rejection_stops_it_although_enough_approved() -> None:
    desk = approved_desk(PROD, BEN)
    desk.reject(BEA)
    (reason,) = desk.decide().decision.reasons
    assert reason.code == "rejected"
    assert "fairness: recall of the top band" in reason.message
    desk.approve(BEA)
    assert desk.decide().decision.allowed


def test_self_approval_is_refused_or_shown() -> None:
    own = candidate_of(authors=(ANA.email, BEN.email))
    assert codes(approved_desk().decide(candidate=own)) == ["approval-missing"]
    shown = approved_desk(replace(PROD, self_approval="recorded")).decide(candidate=own)
    assert shown.decision.allowed
    assert shown.decision.remarks == ("self-approved: ben@shop.example is an author of this version",)


# the gate


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (FAILED, [FAILED.id]),
        (replace(FAILED, status="inconclusive"), [FAILED.id]),
        (replace(FAILED, severity="warn"), []),
    ],
)
def test_blocking_checks_have_passed(check: CheckResult, code: list[str]) -> None:
    desk = Desk()
    desk.gate(decision=gate_decision("model 1", checks=(PASSED, check)))
    desk.propose()
    desk.approve()
    assert codes(desk.decide()) == code


def test_a_waived_check_lets_it_pass_and_is_shown() -> None:
    desk = Desk()
    desk.gate(decision=gate_decision("model 1", checks=(PASSED, FAILED)))
    desk.propose()
    desk.approve()
    desk.waive(FAILED.id)
    promotion = desk.decide()
    assert promotion.decision.allowed
    assert promotion.decision.remarks == (f"waived: {FAILED.id} by cleo@shop.example",)


@pytest.mark.parametrize("keys", [(), (ANA,), (BEN,)])
def test_a_waiver_that_does_not_count_is_told(keys: Sequence[Key]) -> None:
    desk = Desk()
    desk.gate(decision=gate_decision("model 1", checks=(PASSED, FAILED)))
    desk.propose()
    desk.approve()
    desk.waive(FAILED.id, keys=keys)
    promotion = desk.decide()
    assert codes(promotion) == [FAILED.id]
    assert "does not count: no valid signature" in promotion.decision.remarks[0]


def test_production_that_moved_since_the_gate_stops_it() -> None:
    desk = released_desk()
    desk.gate(decision=gate_decision("model 3", baseline="model 1"))
    desk.propose(3, "model 3")
    desk.approve(version=3, model="model 3")
    assert desk.decide(3, "model 3").decision.allowed
    next_version(desk, 2, baseline="model 1")
    (reason,) = desk.decide(3, "model 3").decision.reasons
    assert reason.code == "gate-baseline-changed"
    assert digest("model 1").short in reason.message
    assert digest("model 2").short in reason.message


@pytest.mark.parametrize("baseline", [None, "model 9"])
def test_a_candidate_is_compared_with_what_is_in_production(baseline: str | None) -> None:
    desk = released_desk()
    desk.gate(decision=gate_decision("model 2", baseline=baseline))
    desk.propose(2, "model 2")
    desk.approve(version=2, model="model 2")
    assert codes(desk.decide(2, "model 2")) == ["gate-baseline-changed"]


def test_production_itself_may_be_released_again_for_it_was_compared_with_its_predecessor() -> None:
    desk = two_versions()
    assert desk.decide(2, "model 2").decision.allowed
    assert codes(desk.decide(1, "model 1")) == ["gate-baseline-changed"]


def test_a_baseline_that_does_not_verify_is_remarked() -> None:
    """An author writes a weak model into the ledger as production, so that anything looks better."""
    desk = two_versions().retold("release 2", keys=(ANA,))
    desk.gate(decision=gate_decision("model 3", baseline="model 2"))
    desk.propose(3, "model 3")
    desk.approve(version=3, model="model 3")
    remarks = desk.decide(3, "model 3").decision.remarks
    assert any("compared with: the release is not signed by a person who may promote" in r for r in remarks)


# the order of environments

AFTER_TEST = replace(PROD, after="test")


def test_a_version_passes_through_the_environment_before() -> None:
    desk = approved_desk(AFTER_TEST)
    (reason,) = desk.decide().decision.reasons
    assert reason.code == "environment-order"
    assert reason.fix == "signoff promote churn/1 --env test"
    desk.release(environment="test")
    assert desk.decide().decision.allowed


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (None, ()),
        (None, (STRANGER,)),
        (None, (ANA,)),  # an author who can write to the database says that it was in test
        (None, (BEN,)),
        (saying(environment="dev"), (CLEO,)),
        (saying(version=2), (CLEO,)),  # the same bytes under another number
        (about("model", "other bytes"), (CLEO,)),
    ],
)
def test_what_is_no_release_in_the_environment_before(change: Change | None, keys: Sequence[Key]) -> None:
    desk = approved_desk(AFTER_TEST)
    desk.release(environment="test")
    assert codes(desk.retold("release", change, keys=keys).decide()) == ["environment-order"]


@pytest.mark.parametrize(
    ("version", "model"),
    [(2, "model 1"), (1, "model 9")],  # the same bytes under another number, and another model under this one
)
def test_a_good_release_of_something_else_there_is_none(version: int, model: str) -> None:
    desk = Desk(rules=with_environment(AFTER_TEST))
    desk.gate(model)
    desk.propose(version, model)
    desk.release(version, model, environment="test")
    desk.gate()
    desk.propose()
    desk.approve()
    assert codes(desk.decide()) == ["environment-order"]


def test_a_release_that_was_taken_back_there_is_none() -> None:
    desk = Desk(rules=with_environment(AFTER_TEST))
    for version in (2, 1):
        desk.gate(model=f"model {version}")
        desk.propose(version, f"model {version}")
        desk.release(version, f"model {version}", environment="test", name=f"release {version}")
    desk.approve()
    assert desk.decide().decision.allowed
    desk.roll_back(environment="test")
    assert codes(desk.decide()) == ["environment-order"]


def test_all_that_is_missing_is_listed_at_once() -> None:
    desk = Desk(rules=with_environment(replace(AFTER_TEST, approvals=needs(("reviewer", 1)).approvals)))
    desk.gate(decision=gate_decision("model 1", checks=(PASSED, FAILED)))
    desk.propose()
    found = desk.decide(actor=ANA, candidate=candidate_of(gaps=("gap",)))
    assert codes(found) == ["role", FAILED.id, "approval-missing", "environment-order", "input-schema"]


def test_the_release_statement_names_all_that_it_rests_on() -> None:
    environment = needs(("reviewer", 1), ("platform-owner", 1))
    desk = released_desk(environment, BEN, DORA)
    release = desk.signed("release")
    approvals = {s.signers[0]: s.id for s in desk.history.of("approval")}
    assert {s.name: s.digest for s in release.statement.subjects} == {
        "model": digest("model 1"),
        "decision": desk.signed("decision").id,
        "rules": desk.rules.environment_digest("prod"),
        "proposal": desk.signed("proposal").id,
        **{f"approval:{person}": approval for person, approval in approvals.items()},
    }
    said = release.statement.predicate
    assert said["required"] == [{"role": "reviewer", "count": 1}, {"role": "platform-owner", "count": 1}]
    assert said["approved"] == [
        {"approver": BEN.email, "statement": str(approvals[BEN.email]), "roles": ["reviewer"]},
        {
            "approver": DORA.email,
            "statement": str(approvals[DORA.email]),
            "roles": ["reviewer", "platform-owner"],
        },
    ]
    assert (said["number"], said["previous"], said["self_approved"], said["waived"]) == (1, None, [], {})


def test_the_next_release_names_the_one_before() -> None:
    desk = two_versions()
    second = desk.signed("release 2")
    assert second.number("number") == 2
    assert second.text("previous") == str(desk.signed("release").id)


def test_the_release_statement_shows_self_approval_and_waivers() -> None:
    desk = Desk(rules=with_environment(replace(PROD, self_approval="recorded")))
    desk.gate(decision=gate_decision("model 1", checks=(PASSED, FAILED)))
    desk.propose(keys=(ANA, BEN))
    desk.approve(BEN)
    waiver = desk.waive(FAILED.id)
    promotion = desk.decide(candidate=candidate_of(authors=(ANA.email, BEN.email)))
    assert promotion.binding is not None
    assert promotion.approvals is not None
    statement = release_statement(
        desk.rules,
        desk.rules.environments["prod"],
        candidate=candidate_of(authors=(ANA.email, BEN.email)),
        binding=promotion.binding,
        approvals=promotion.approvals,
        waivers=desk.waivers(),
        actor=CLEO.email,
        previous=None,
        log=desk.head,
        at=desk.at,
    )
    assert statement.predicate["waived"] == {FAILED.id: str(waiver)}
    assert statement.predicate["self_approved"] == [BEN.email]
