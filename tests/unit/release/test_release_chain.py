"""A good release, then each thing in it changed alone: every change is noticed, and the good twin passes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from release_changes import Change, about, deciding, lacking, saying
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
    PEOPLE,
    PROD,
    STRANGER,
    Desk,
    Key,
    gate_decision,
    needs,
    next_version,
    released_desk,
    two_versions,
    with_environment,
)

from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Json
from signoff.release.chain import approvals_of, verify_release


def faults(desk: Desk, name: str = "release") -> list[str]:
    return [reason.code for reason in verify_release(desk.history, desk.signed(name), people=PEOPLE)]


@pytest.mark.parametrize(
    ("required", "approvers"),
    [
        ((), ()),
        ((("reviewer", 1),), (BEN,)),
        ((("reviewer", 2),), (BEN, BEA)),
        ((("reviewer", 1), ("platform-owner", 1)), (BEN, DORA)),
        ((("reviewer", 1), ("platform-owner", 1)), (DORA, CLEO)),
        ((("reviewer", 1),), (BEN, BEA, CLEO)),
    ],
)
def test_what_was_promoted_by_the_rules_verifies(
    required: Sequence[tuple[str, int]], approvers: Sequence[Key]
) -> None:
    assert faults(released_desk(needs(*required), *approvers)) == []


@pytest.mark.parametrize("name", ["decision", "proposal", "approval", "release"])
def test_the_same_history_told_again_verifies(name: str) -> None:
    assert faults(released_desk().retold(name)) == []


# who signed


@pytest.mark.parametrize(
    ("name", "keys", "expected"),
    [
        ("release", (), ["release-signature"]),
        ("release", (STRANGER,), ["release-signature"]),
        ("release", (ANA,), ["release-signature"]),
        ("release", (BEN,), ["release-signature"]),
        ("release", (FAY,), ["release-signature"]),
        ("release", (ANA, DORA), []),
        ("proposal", (), ["proposal-missing"]),
        ("proposal", (STRANGER,), ["proposal-missing"]),
        ("approval", (), ["approval-signature", "approval-count"]),
        ("approval", (ANA,), ["approval-signature", "approval-count"]),
        ("approval", (BEA,), ["approval-signature", "approval-count"]),
        ("approval", (BEA, BEN), []),
        ("decision", (ABE,), []),
    ],
)
def test_each_statement_has_the_signature_it_needs(
    name: str, keys: Sequence[Key], expected: list[str]
) -> None:
    assert faults(released_desk().retold(name, keys=keys)) == expected


def test_who_signed_is_told() -> None:
    desk = released_desk().retold("release", keys=(ANA,))
    (reason,) = verify_release(desk.history, desk.signed("release"), people=PEOPLE)
    assert reason.message.endswith("(signed: ana@shop.example)")
    assert reason.fix == "signoff admin audit --verify"


# what is named


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("decision", "decision-missing"),
        ("proposal", "proposal-missing"),
        ("approval", "approval-signature"),
    ],
)
def test_what_was_deleted_is_missed(name: str, expected: str) -> None:
    assert expected in faults(released_desk().without(name))


def both(first: Change, second: Change) -> Change:
    return lambda statement: second(first(statement))


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (
            "release",
            about("model", "other"),
            ["decision-model", "proposal-model", "approval-binding", "approval-count"],
        ),
        (
            "release",
            about("model", None),
            ["decision-model", "proposal-model", "approval-binding", "approval-count"],
        ),
        ("release", about("rules", "other"), ["approval-binding", "approval-count"]),
        ("release", about("rules", None), ["approval-binding", "approval-count"]),
        (
            "release",
            about("decision", "other"),
            ["decision-missing", "proposal-model", "approval-binding", "approval-count"],
        ),
        ("release", about("proposal", None), ["proposal-missing", "approval-binding", "approval-count"]),
        ("release", about("approval:ben@shop.example", None), ["approval-count"]),
        ("release", about("approval:ben@shop.example", "none"), ["approval-signature", "approval-count"]),
        ("release", saying(environment="test"), ["approval-binding", "approval-count"]),
        ("release", saying(version=2), ["proposal-version", "approval-binding", "approval-count"]),
        ("release", saying(run_id="another run"), ["proposal-version"]),
        ("proposal", about("model", "other"), ["proposal-model"]),
        ("proposal", about("decision", "other"), ["proposal-model"]),
        ("proposal", saying(version=2), ["proposal-version"]),
        ("proposal", saying(run_id="another run"), ["proposal-version"]),
        ("approval", about("model", "other"), ["approval-binding", "approval-count"]),
        ("approval", about("decision", "other"), ["approval-binding", "approval-count"]),
        ("approval", about("rules", "other"), ["approval-binding", "approval-count"]),
        ("approval", about("proposal", None), ["approval-binding", "approval-count"]),
        ("approval", saying(version=2), ["approval-binding", "approval-count"]),
        ("approval", saying(environment="test"), ["approval-binding", "approval-count"]),
        ("approval", saying(approver=BEA.email), ["approval-binding", "approval-count"]),
        ("approval", lacking("approver"), ["approval-binding", "approval-count"]),
        ("decision", about("model", "other"), ["decision-model"]),
        ("decision", deciding(candidate=gate_decision("other").to_json()["candidate"]), ["decision-verdict"]),
        ("decision", deciding(verdict="fail"), ["decision-verdict"]),
        ("decision", deciding(case="against-baseline"), ["decision-verdict"]),
        ("decision", deciding(checks=[]), ["decision-verdict"]),
        (
            "decision",
            deciding(checks=[replace(PASSED, id="margin:roc_auc", lower=0.6).to_json()]),
            ["decision-verdict"],
        ),
        (
            "decision",
            deciding(checks=[PASSED.to_json(), FAILED.to_json()], verdict="fail"),
            ["decision-verdict"],
        ),
        ("decision", lacking("decision"), ["decision-verdict"]),
        ("decision", saying(decision="pass"), ["decision-verdict"]),
    ],
)
def test_each_thing_changed_alone_is_noticed(name: str, change: Change, expected: list[str]) -> None:
    assert faults(released_desk().retold(name, change)) == expected


@pytest.mark.parametrize(
    ("subject", "stand_in", "expected"),
    [
        ("decision", "approval", "decision-missing"),
        ("proposal", "approval", "proposal-missing"),
        ("approval:ben@shop.example", "proposal", "approval-signature"),
    ],
)
def test_a_statement_of_another_kind_does_not_stand_in(subject: str, stand_in: str, expected: str) -> None:
    desk = released_desk()
    assert expected in faults(desk.retold("release", about(subject, desk.signed(stand_in).id)))


@pytest.mark.parametrize("status", ["fail", "inconclusive"])
def test_a_check_that_did_not_pass_does_not_carry_a_release(status: str) -> None:
    failed = {**FAILED.to_json(), "status": status}  # type: ignore[dict-item]
    told = deciding(checks=[PASSED.to_json(), failed], verdict=status)
    assert faults(released_desk().retold("decision", told)) == ["decision-verdict"]


def test_a_remark_bound_to_the_same_bytes_is_no_approval() -> None:
    noted = released_desk().retold("approval", lambda statement: replace(statement, kind="note"))
    assert faults(noted) == ["approval-signature", "approval-count"]


def test_a_check_that_only_warns_carries_a_release() -> None:
    warning = replace(FAILED, severity="warn").to_json()
    told = deciding(checks=[PASSED.to_json(), warning])
    assert faults(released_desk().retold("decision", told)) == []


# the approvals asked for


def rows(*rules: tuple[Json, Json]) -> list[Json]:
    return [{"role": role, "count": count} for role, count in rules]


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        (rows(), []),
        (rows(("reviewer", 1)), []),
        (rows(("reviewer", 2)), ["approval-count"]),
        (rows(("platform-owner", 1)), ["approval-role"]),
        (rows(("reviewer", 10**12)), ["approval-count"]),
        (rows(("reviewer", 1), ("platform-owner", 1)), ["approval-count"]),
        (rows(("reviewer", 2), ("platform-owner", -2)), ["approval-count"]),
        (rows(("reviewer", 0)), ["approval-count"]),
        (rows(("reviewer", True)), ["approval-count"]),
        (rows(("reviewer", "1")), ["approval-count"]),
        (rows(("reviewer", 0.5)), ["approval-count"]),
        (rows((None, 1)), ["approval-count"]),
        ([{"role": "reviewer"}], ["approval-count"]),
        (["reviewer"], ["approval-count"]),
        (None, ["approval-count"]),
        ("none", ["approval-count"]),
        (0, ["approval-count"]),
        ({}, ["approval-count"]),
    ],
)
def test_what_was_asked_for_is_said_clearly_and_met(required: Json, expected: list[str]) -> None:
    """A platform owner may say that nobody had to approve; an unclear answer does not say it."""
    assert faults(released_desk().retold("release", saying(required=required))) == expected


def test_a_release_that_does_not_say_what_was_asked_for_is_not_good() -> None:
    assert faults(released_desk().retold("release", lacking("required"))) == ["approval-count"]


TWO_ROLES = needs(("reviewer", 1), ("platform-owner", 1))


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ({BEN: ["reviewer"], DORA: ["reviewer", "platform-owner"]}, []),
        ({BEN: ["reviewer"], DORA: ["reviewer"]}, ["approval-role"]),
        ({BEN: ["reviewer"], DORA: ["author"]}, ["approval-role"]),
        ({BEN: ["reviewer"]}, ["approval-role"]),
        ({}, ["approval-role", "approval-role"]),
    ],
)
def test_the_approvers_fill_the_roles_that_were_asked_for(
    roles: dict[Key, list[str]], expected: list[str]
) -> None:
    desk = released_desk(TWO_ROLES, BEN, DORA)
    approved: list[Json] = [{"approver": key.email, "roles": [*held]} for key, held in roles.items()]
    assert faults(desk.retold("release", saying(approved=approved))) == expected


@pytest.mark.parametrize(
    "approved", [None, "all", [], ["ben"], [{"approver": BEN.email, "roles": "reviewer"}]]
)
def test_approvers_whose_roles_are_not_recorded_fill_none(approved: Json) -> None:
    assert faults(released_desk().retold("release", saying(approved=approved))) == ["approval-role"]


def test_one_person_named_twice_counts_once() -> None:
    desk = released_desk(needs(("reviewer", 1)), BEN)
    again = Subject(name=f"approval:{BEN.email}", digest=desk.signed("approval").id)

    def twice(statement: Statement) -> Statement:
        told = replace(statement, subjects=(*statement.subjects, again))
        return saying(required=rows(("reviewer", 2)))(told)

    twice_named = desk.retold("release", twice)
    assert approvals_of(twice_named.signed("release")) == {BEN.email: again.digest}
    assert faults(twice_named) == ["approval-count"]


@pytest.mark.parametrize("name", ["BEN@shop.example", "ben-laptop", "B. ben", " ben@shop.example"])
def test_one_person_under_another_name_is_no_second_person(name: str) -> None:
    desk = released_desk(needs(("reviewer", 1)), BEN)
    other = about(f"approval:{name}", desk.signed("approval").id)
    changed = desk.retold("release", both(other, saying(required=rows(("reviewer", 2)))))
    assert "approval-signature" in faults(changed)
    assert "approval-count" in faults(changed)


def test_an_authors_approval_is_shown_or_the_release_is_not_good() -> None:
    desk = released_desk(replace(PROD, self_approval="recorded"), BEN)
    hidden = desk.retold("proposal", saying(authors=[ANA.email, BEN.email]))
    assert faults(hidden) == ["approval-author"]
    assert faults(hidden.retold("release", saying(self_approved=[BEN.email]))) == []
    assert faults(desk.retold("proposal", keys=(ANA, BEN))) == ["approval-author"]


# waivers


def waived_desk(*, keys: Sequence[Key] = (CLEO,)) -> Desk:
    desk = Desk(rules=with_environment(PROD))
    desk.gate(decision=gate_decision("model 1", checks=(PASSED, FAILED)))
    desk.propose()
    desk.waive(FAILED.id, "another:check", keys=keys)
    desk.approve()
    desk.release()
    return desk


def test_a_waived_check_carries_and_without_the_waiver_it_does_not() -> None:
    assert faults(waived_desk()) == []
    assert faults(waived_desk().without("waiver")) == ["decision-verdict"]


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (saying(codes=["another:check"]), (CLEO,)),
        (saying(codes=[]), (CLEO,)),
        (about("model", "other"), (CLEO,)),
        (about("rules", "other"), (CLEO,)),
        (saying(until="2026-11-22"), (CLEO,)),  # over on the day of the release
        (lacking("until"), (CLEO,)),
        (None, ()),
        (None, (STRANGER,)),
        (None, (ANA,)),  # by the author
    ],
)
def test_a_waiver_that_did_not_count_then_does_not_carry_now(
    change: Change | None, keys: Sequence[Key]
) -> None:
    assert faults(waived_desk().retold("waiver", change, keys=keys)) == ["decision-verdict"]


def test_a_waiver_that_ended_since_still_carries_its_release() -> None:
    assert faults(waived_desk().retold("waiver", saying(until="2026-11-23"))) == []


@pytest.mark.parametrize("waived", [{}, None, [FAILED.id], {FAILED.id: ""}, {FAILED.id: True}])
def test_a_check_is_waived_by_a_statement_and_not_by_saying_so(waived: Json) -> None:
    assert faults(waived_desk().retold("release", saying(waived=waived))) == ["decision-verdict"]


def test_another_kind_of_statement_is_no_waiver() -> None:
    desk = waived_desk()
    claimed = saying(waived={FAILED.id: str(desk.signed("approval").id)})
    assert faults(desk.retold("release", claimed)) == ["decision-verdict"]


# what came later


def test_a_release_that_a_rollback_left_is_not_good_and_the_one_it_returned_to_is() -> None:
    desk = two_versions()
    assert faults(desk) == []
    assert faults(desk, "release 2") == []
    desk.roll_back()
    assert faults(desk) == []
    assert faults(desk, "release 2") == ["release-revoked"]


@pytest.mark.parametrize("keys", [(ANA,), (BEN,), (FAY,)])
def test_a_rollback_by_somebody_who_may_not_does_not_bring_an_old_release_back(keys: Sequence[Key]) -> None:
    desk = two_versions()
    desk.roll_back()
    assert faults(desk.retold("rollback", keys=keys)) == ["rollback-signature"]


def test_a_forged_rollback_of_the_past_does_not_spoil_what_was_promoted_since() -> None:
    desk = two_versions()
    desk.roll_back()
    next_version(desk, 3, baseline="model 1")
    assert faults(desk.retold("rollback", keys=(ANA,)), "release 3") == []


def test_an_old_release_taken_out_and_put_on_top_is_noticed() -> None:
    desk = two_versions().moved_to_the_end("release")
    current = desk.history.release("prod")
    assert current is not None
    assert current.version == 1
    assert faults(desk) == ["release-order"]


def test_an_old_rollback_taken_out_and_put_on_top_is_noticed() -> None:
    desk = two_versions()
    desk.roll_back()
    next_version(desk, 3, baseline="model 1")
    assert faults(desk.moved_to_the_end("rollback")) == ["release-order"]


@pytest.mark.parametrize("number", [1, 0, -5, None, "3", 2.5])
def test_the_number_on_top_is_the_highest(number: Json) -> None:
    assert faults(two_versions().retold("release 2", saying(number=number)), "release 2") == ["release-order"]


def test_a_number_that_nobody_signed_raises_no_bar() -> None:
    forged = two_versions().retold("release", saying(number=99), keys=())
    assert "release-order" not in faults(forged, "release 2")


def test_editing_the_standard_does_not_touch_a_release() -> None:
    desk = released_desk()
    desk.rules = with_environment(needs(("reviewer", 2), ("platform-owner", 1)))
    assert faults(desk) == []


def test_an_approver_who_changed_roles_since_still_counts() -> None:
    desk = released_desk()
    roles = {**PEOPLE.roles, "reviewer": frozenset[object]()}
    later = replace(PEOPLE, roles=roles)  # type: ignore[arg-type]
    assert verify_release(desk.history, desk.signed("release"), people=later) == ()
