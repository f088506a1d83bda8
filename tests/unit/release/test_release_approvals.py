from collections.abc import Sequence
from dataclasses import replace

import pytest
from release_changes import Change, digest, saying
from release_samples import (
    ABE,
    ANA,
    BEA,
    BEN,
    CLEO,
    DORA,
    FAY,
    PEOPLE,
    PROD,
    STRANGER,
    Desk,
    Key,
    approved_desk,
    two_versions,
)

from signoff.evidence.ledger import LogHead
from signoff.record.digest import Json
from signoff.release.approval import (
    Approvals,
    Binding,
    approval_statement,
    count_approvals,
    decide_approval,
    decide_rejection,
)
from signoff.release.model import REJECTION_CODES, Signed
from signoff.standard.model import EnvironmentRules


def counted(
    desk: Desk,
    *,
    environment: EnvironmentRules = PROD,
    version: int = 1,
    binding: Binding | None = None,
    authors: Sequence[str] = (ANA.email,),
) -> Approvals:
    return count_approvals(
        desk.history,
        environment=environment,
        version=version,
        binding=binding or desk.binding(environment.name, f"model {version}"),
        people=PEOPLE,
        authors=frozenset(authors),
    )


def test_a_good_approval_counts_with_the_roles_of_its_signer() -> None:
    found = counted(approved_desk(PROD, BEN, DORA))
    assert set(found.counting) == {BEN.email, DORA.email}
    assert found.roles == {BEN.email: ("reviewer",), DORA.email: ("reviewer", "platform-owner")}
    assert found.void == ()
    assert found.rejections == ()


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("model", "the model's files changed"),
        ("decision", "the gate decision is another one"),
        ("rules", "the rules of this use case and environment changed"),
        ("proposal", "the proposal is another one"),
    ],
)
def test_each_subject_changed_alone_voids_the_approval(subject: str, told: str) -> None:
    desk = approved_desk()
    now = desk.binding()
    changed = {
        "model": replace(now, model=digest("other")),
        "decision": replace(now, decision=digest("other")),
        "rules": replace(now, rules=digest("other")),
        "proposal": replace(now, proposal=digest("other")),
    }[subject]
    found = counted(desk, binding=changed)
    assert found.counting == {}
    (why,) = found.void
    assert told in why
    assert sum(clause in why for clause in ("files changed", "another one", "and environment changed")) == 1
    assert digest("other").short in why


@pytest.mark.parametrize(
    ("key", "keys", "told"),
    [
        (BEN, (), "no valid signature of ben@shop.example (signed: nobody)"),
        (BEN, (STRANGER,), "nobody in the roster has this key"),
        (BEN, (ANA,), "no valid signature of ben@shop.example (signed: ana@shop.example)"),
        (ABE, (ABE,), "to approve takes the role"),
        (FAY, (FAY,), "which the standard does not know"),
        (ANA, (ANA,), "is an author of this version"),
    ],
)
def test_whose_approvals_do_not_count(key: Key, keys: Sequence[Key], told: str) -> None:
    desk = approved_desk(PROD, CLEO)
    desk.approve(key, keys=keys)
    found = counted(desk)
    assert set(found.counting) == {CLEO.email}
    (why,) = found.void
    assert told in why


def test_a_signature_below_the_approval_of_somebody_else_is_no_approval_of_ones_own() -> None:
    desk = approved_desk()
    desk.approve(BEN, keys=(BEN, BEA))
    assert set(counted(desk).counting) == {BEN.email}


@pytest.mark.parametrize(
    "change",
    [saying(environment="test"), saying(version=2)],
)
def test_an_approval_of_another_environment_or_version_is_not_this_one(change: Change) -> None:
    found = counted(approved_desk().retold("approval", change))
    assert found.counting == {}
    assert found.void == ()


def test_the_same_approval_twice_counts_once() -> None:
    assert len(counted(approved_desk(PROD, BEN, BEN)).counting) == 1


@pytest.mark.parametrize(
    ("said", "counts", "stands"),
    [
        (("approve",), True, False),
        (("reject",), False, True),
        (("approve", "reject"), False, True),
        (("reject", "approve"), True, False),
        (("approve", "reject", "approve"), True, False),
        (("reject", "approve", "reject"), False, True),
    ],
)
def test_each_persons_last_word_counts(said: Sequence[str], counts: bool, stands: bool) -> None:  # noqa: FBT001 - a table
    desk = approved_desk(PROD, BEA)
    for word in said:
        (desk.approve if word == "approve" else desk.reject)(BEN)
    found = counted(desk)
    assert (BEN.email in found.counting) == counts
    assert bool(found.rejections) == stands
    assert BEA.email in found.counting


def test_a_rejection_says_who_and_why() -> None:
    desk = approved_desk(PROD, BEA)
    desk.reject(BEN)
    assert counted(desk).rejections == ("ben@shop.example rejected it: fairness: recall of the top band",)


def test_a_rejection_stands_only_by_a_person_who_may_and_on_these_files() -> None:
    desk = approved_desk()
    desk.reject(ABE)
    desk.reject(STRANGER)
    desk.reject(BEA, model="model 9")
    desk.reject(BEA, environment="test")
    desk.reject(BEA, version=2)
    assert counted(desk).rejections == ()


def test_an_unsigned_rejection_neither_stands_nor_takes_the_approval_away() -> None:
    desk = approved_desk()
    desk.reject(BEN)
    unsigned = desk.retold("rejection", keys=())
    assert set(counted(unsigned).counting) == {BEN.email}
    assert counted(unsigned).rejections == ()


def test_an_authors_approval_counts_where_it_is_recorded() -> None:
    lenient = replace(PROD, self_approval="recorded")
    desk = approved_desk(lenient)
    assert set(counted(desk, environment=lenient, authors=[BEN.email]).counting) == {BEN.email}
    assert counted(desk, authors=[BEN.email], binding=desk.binding()).counting == {}


@pytest.mark.parametrize(
    ("ticked", "missing"),
    [((), "a, b"), (("a",), "b"), (("b", "other"), "a"), (("b", "a"), None)],
)
def test_the_whole_checklist_is_confirmed(ticked: Sequence[str], missing: str | None) -> None:
    careful = replace(PROD, checklist=("a", "b"))
    desk = approved_desk()
    desk.approve(BEA, ticked=ticked)
    found = counted(desk, environment=careful, binding=desk.binding())
    assert (BEA.email in found.counting) == (missing is None)
    assert missing is None or any(f"not confirmed: {missing}" in why for why in found.void)


def test_approvals_before_a_rollback_are_void_and_later_ones_count() -> None:
    desk = two_versions()
    desk.roll_back()
    found = counted(desk, version=2)
    assert found.counting == {}
    assert "rolled back since" in found.void[0]
    desk.approve(BEN, version=2, model="model 2")
    assert set(counted(desk, version=2).counting) == {BEN.email}


def test_a_rollback_elsewhere_or_from_another_version_voids_nothing() -> None:
    desk = two_versions()
    desk.roll_back()
    assert set(counted(desk, version=1, binding=first_binding(desk)).counting) == {BEN.email}
    other = desk.retold("rollback", saying(environment="test"))
    assert set(counted(other, version=2).counting) == {BEN.email}


def first_binding(desk: Desk) -> Binding:
    first = next(s for s in desk.history.of("approval") if s.number("version") == 1).statement
    model, decision, rules, proposal = (s.digest for s in first.subjects)
    return Binding(model=model, decision=decision, rules=rules, proposal=proposal)


def test_an_approval_taken_out_and_put_back_after_the_rollback_stays_void() -> None:
    """The place in the database is not signed; the log's size that the approver saw is."""
    desk = two_versions()
    desk.roll_back()
    second = next(t for t in desk.told if t.name == "approval" and t.statement.predicate["version"] == 2)
    replayed = Desk(rules=desk.rules, told=[*(t for t in desk.told if t is not second), second])
    assert replayed.history.statements[-1].statement.kind == "approval"
    assert counted(replayed, version=2).counting == {}


def test_an_approval_without_a_log_head_goes_by_its_place() -> None:
    desk = two_versions()
    desk.approve(BEN, version=2, model="model 2", name="early")
    early = desk.retold("early", saying(log=None))
    early.roll_back()
    assert counted(early, version=2).counting == {}
    desk.roll_back()
    desk.approve(BEN, version=2, model="model 2", name="late")
    assert set(counted(desk.retold("late", saying(log=None)), version=2).counting) == {BEN.email}


def test_an_approver_who_saw_the_log_as_the_rollback_did_had_not_seen_the_rollback() -> None:
    desk = two_versions()
    seen: Json = {"size": desk.head.size, "root": str(desk.head.root)}
    desk.roll_back()
    desk.approve(BEN, version=2, model="model 2", name="late")
    assert counted(desk.retold("late", saying(log=seen)), version=2).counting == {}


# what may be signed


def proposal_of(desk: Desk) -> Signed:
    return desk.signed("proposal")


@pytest.mark.parametrize(
    ("approver", "codes"),
    [
        (BEN, []),
        (CLEO, []),
        (ANA, ["role", "self-approval"]),
        (ABE, ["role"]),
        (FAY, ["unknown-role"]),
        (STRANGER, ["not-on-roster"]),
    ],
)
def test_who_may_sign_an_approval(approver: Key, codes: list[str]) -> None:
    decision = decide_approval(
        PROD,
        subject="churn/1 for prod",
        approver=approver.email,
        people=PEOPLE,
        authors=frozenset({ANA.email}),
        proposal=proposal_of(approved_desk()),
        ticked=(),
    )
    assert [reason.code for reason in decision.reasons] == codes
    assert decision.allowed == (not codes)
    assert decision.remarks == ()


def test_everything_that_an_approval_lacks_is_told_at_once() -> None:
    decision = decide_approval(
        replace(PROD, checklist=("a", "b", "c")),
        subject="churn/1 for prod",
        approver=BEN.email,
        people=PEOPLE,
        authors=frozenset({BEN.email}),
        proposal=None,
        ticked=("b",),
    )
    codes = [reason.code for reason in decision.reasons]
    assert codes == ["not-proposed", "self-approval", "checklist", "checklist"]
    assert [r.message.rpartition(" ")[2] for r in decision.reasons[2:]] == ["a", "c"]


def test_self_approval_is_a_remark_where_it_is_recorded() -> None:
    decision = decide_approval(
        replace(PROD, self_approval="recorded"),
        subject="churn/1 for prod",
        approver=BEN.email,
        people=PEOPLE,
        authors=frozenset({BEN.email}),
        proposal=proposal_of(approved_desk()),
        ticked=(),
    )
    assert decision.allowed
    assert decision.remarks == ("self-approved: ben@shop.example is an author of this version",)


@pytest.mark.parametrize(
    ("reviewer", "code", "proposed", "codes"),
    [
        (BEN, "fairness", True, []),
        (ANA, "fairness", True, ["role"]),
        (BEN, "ugly", True, ["reason-code"]),
        (BEN, "", True, ["reason-code"]),
        (BEN, "other", False, ["not-proposed"]),
        (STRANGER, "ugly", False, ["not-on-roster", "reason-code", "not-proposed"]),
    ],
)
def test_who_may_reject_and_with_which_code(
    reviewer: Key,
    code: str,
    proposed: bool,  # noqa: FBT001 - a table
    codes: list[str],
) -> None:
    decision = decide_rejection(
        subject="churn/1 for prod",
        reviewer=reviewer.email,
        people=PEOPLE,
        code=code,
        proposal=proposal_of(approved_desk()) if proposed else None,
    )
    assert [reason.code for reason in decision.reasons] == codes


@pytest.mark.parametrize("code", REJECTION_CODES)
def test_every_listed_code_is_accepted(code: str) -> None:
    proposal = proposal_of(approved_desk())
    assert decide_rejection(
        subject="churn/1", reviewer=BEN.email, people=PEOPLE, code=code, proposal=proposal
    ).allowed


def test_the_statement_names_all_that_is_approved_and_the_log_as_it_was_seen() -> None:
    desk = approved_desk()
    statement = approval_statement(
        desk.rules,
        environment="prod",
        version=1,
        binding=desk.binding(),
        approver=BEN.email,
        roles=("reviewer",),
        self_approved=False,
        ticked=("a",),
        comment="fine",
        log=LogHead(size=7, root=digest("root")),
        at="2026-11-23T10:00:00Z",
    )
    assert {s.name: s.digest for s in statement.subjects} == {
        "model": digest("model 1"),
        "decision": desk.signed("decision").id,
        "rules": desk.rules.environment_digest("prod"),
        "proposal": desk.signed("proposal").id,
    }
    assert statement.predicate == {
        "use_case": "churn",
        "environment": "prod",
        "version": 1,
        "approver": BEN.email,
        "roles": ["reviewer"],
        "self_approved": False,
        "checklist": ["a"],
        "comment": "fine",
        "log": {"size": 7, "root": str(digest("root"))},
        "at": "2026-11-23T10:00:00Z",
    }
