"""What is released where, and how an environment goes back."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_changes import Change, about, digest, lacking, saying
from release_samples import (
    ANA,
    BEN,
    CLEO,
    DORA,
    FAY,
    PEOPLE,
    PROD,
    RULES,
    STRANGER,
    Desk,
    Key,
    approved_desk,
    gate_decision,
    next_version,
    released_desk,
    two_versions,
    with_environment,
)

from signoff.errors import EvidenceError
from signoff.evidence.dsse import sign_statement
from signoff.release.history import decision_of, read_history
from signoff.release.model import Reason
from signoff.release.promotion import decide_completion, last_good, rollback_statement


def test_nothing_is_released_before_the_first_release() -> None:
    assert approved_desk().history.release("prod") is None


def test_a_release_then_a_newer_one_then_back() -> None:
    desk = released_desk()
    first = desk.history.release("prod")
    assert first is not None
    assert (first.version, first.number, first.rollback) == (1, 1, None)
    assert first.model == digest("model 1")
    next_version(desk, 2, baseline="model 1")
    second = desk.history.release("prod")
    assert second is not None
    assert (second.version, second.number) == (2, 2)
    desk.roll_back()
    third = desk.history.release("prod")
    assert third is not None
    assert (third.version, third.number) == (1, 3)
    assert third.statement.id == first.statement.id
    assert third.rollback is not None
    assert third.rollback.id == desk.signed("rollback").id
    assert desk.history.revoked("prod") == {second.statement.id}


NO_APPROVALS = replace(
    RULES, environments={n: replace(e, approvals=()) for n, e in RULES.environments.items()}
)


@settings(max_examples=25, deadline=None)
@given(moves=st.lists(st.tuples(st.sampled_from(["dev", "test"]), st.booleans()), max_size=7))
def test_in_each_environment_the_numbers_rise_and_the_stack_of_versions_is_followed(
    moves: list[tuple[str, bool]],
) -> None:
    desk = Desk(rules=NO_APPROVALS)
    stacks: dict[str, list[int]] = {"dev": [], "test": []}
    numbers: dict[str, list[int]] = {"dev": [], "test": []}
    for version, (environment, forward) in enumerate(moves, start=1):
        stack, model = stacks[environment], f"model {version}"
        if forward:
            desk.gate(model)
            desk.propose(version, model)
            desk.release(version, model, environment=environment)
            stack.append(version)
        elif len(stack) > 1:
            desk.roll_back(environment=environment)
            stack.pop()
        else:
            assert not desk.decide_rollback(environment=environment).decision.allowed
            continue
        current = desk.history.release(environment)
        assert current is not None
        numbers[environment].append(current.number)
        for name, versions in stacks.items():
            found = desk.history.release(name)
            assert (None if found is None else found.version) == (versions[-1] if versions else None)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


@pytest.mark.parametrize("keys", [(), (STRANGER,)])
@pytest.mark.parametrize("name", ["release 2", "rollback"])
def test_an_unsigned_statement_on_top_is_undecided(name: str, keys: Sequence[Key]) -> None:
    desk = two_versions()
    if name == "rollback":
        desk.roll_back()
    with pytest.raises(EvidenceError, match="no valid signature of a person on the roster"):
        desk.retold(name, keys=keys).history.release("prod")


def test_an_unsigned_statement_below_does_not_stop_what_is_on_top() -> None:
    """Somebody who left, or a row that somebody put there, must not close an environment for good."""
    current = two_versions().retold("release", keys=()).history.release("prod")
    assert current is not None
    assert (current.version, current.number) == (2, 2)


def test_the_next_number_is_above_any_that_was_signed() -> None:
    current = two_versions().retold("release", saying(number=7)).history.release("prod")
    assert current is not None
    assert current.number == 7


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (about("release", "nothing"), "returns to a release that is not in the ledger"),
        (about("release", None), "returns to a release that is not in the ledger"),
        (about("release", digest("model 1")), "returns to a release that is not in the ledger"),
    ],
)
def test_a_rollback_to_nothing_is_undecided(change: Change, told: str) -> None:
    desk = two_versions()
    desk.roll_back()
    with pytest.raises(EvidenceError, match=told):
        desk.retold("rollback", change).history.release("prod")


def test_a_rollback_to_an_unsigned_release_or_to_no_release_is_undecided() -> None:
    desk = two_versions()
    desk.roll_back()
    for broken in (
        desk.retold("release", keys=()),
        desk.retold("rollback", about("release", desk.signed("proposal").id)),
    ):
        with pytest.raises(EvidenceError, match="not in the ledger"):
            broken.history.release("prod")


@pytest.mark.parametrize("change", [lacking("version"), saying(version="1"), about("model", None)])
def test_a_release_without_version_or_model_is_undecided(change: Change) -> None:
    with pytest.raises(EvidenceError, match="names no version or no model"):
        released_desk().retold("release", change).history.release("prod")


def test_a_statement_kept_under_another_use_case_is_told() -> None:
    desk = approved_desk()
    with pytest.raises(EvidenceError, match="the ledger's index was changed"):
        read_history("cells", desk.envelopes, PEOPLE.roster)


def test_signers_and_signatures_that_do_not_count_are_both_kept() -> None:
    desk = approved_desk().retold("approval", keys=(STRANGER, BEN, BEN))
    approval = desk.signed("approval")
    assert approval.signers == (BEN.email,)
    assert len(approval.problems) == 1
    assert approval.order == 2


def test_the_newest_signed_proposal_counts() -> None:
    desk = approved_desk()
    second = desk.propose(name="second")
    desk.propose(name="unsigned", keys=())
    desk.propose(2, name="other version")
    found = desk.history.proposal(1)
    assert found is not None
    assert found.id == second
    assert desk.history.proposal(3) is None


def test_looks_count_pairs_of_model_and_rules_on_one_table() -> None:
    desk = Desk()
    for model in ("a", "b", "a"):
        desk.gate(model)
    history, table = desk.history, digest("table")
    look = [history.look(data=table, candidate=digest(m), rules=RULES.digest) for m in ("a", "b", "c")]
    assert look == [1, 2, 3]
    assert history.look(data=table, candidate=digest("a"), rules=digest("other")) == 3
    assert history.look(data=digest("other table"), candidate=digest("a"), rules=RULES.digest) == 1


def test_the_same_rows_in_another_file_are_no_new_table() -> None:
    desk = Desk()
    desk.gate("a", rows="rows")
    desk.gate("b")
    history, table, rows = desk.history, digest("table"), digest("rows")
    look = history.look(data=digest("another file"), rows=rows, candidate=digest("c"), rules=RULES.digest)
    assert look == 2, "b was judged before rows were remembered"
    assert history.look(data=table, rows=rows, candidate=digest("c"), rules=RULES.digest) == 3
    other = history.look(
        data=digest("another file"), rows=digest("new"), candidate=digest("c"), rules=RULES.digest
    )
    assert other == 1
    assert history.looked(data=table, rows=None) == tuple((digest(m), RULES.digest) for m in ("a", "b"))


def test_decisions_on_a_model_are_read_back() -> None:
    desk = Desk()
    desk.gate("a")
    desk.gate("b")
    ((signed, decision),) = desk.history.gate_decisions(model=digest("b"))
    assert decision == gate_decision("b")
    assert decision_of(signed) == decision


def test_only_a_gate_decision_carries_one() -> None:
    with pytest.raises(EvidenceError, match="carries no gate decision"):
        decision_of(approved_desk().signed("proposal"))


# going back


def codes(desk: Desk, *, actor: Key = CLEO, reason: str = "complaints") -> list[str]:
    return [r.code for r in desk.decide_rollback(actor=actor, reason=reason).decision.reasons]


@pytest.mark.parametrize(
    ("actor", "reason", "expected"),
    [
        (CLEO, "complaints", []),
        (DORA, "complaints", []),
        (BEN, "complaints", ["role"]),
        (ANA, "complaints", ["role"]),
        (FAY, "complaints", ["unknown-role"]),
        (STRANGER, "", ["not-on-roster", "reason"]),
        (CLEO, " \t", ["reason"]),
    ],
)
def test_who_may_roll_back_and_why(actor: Key, reason: str, expected: list[str]) -> None:
    assert codes(two_versions(), actor=actor, reason=reason) == expected


def test_a_rollback_needs_something_to_leave_and_something_to_return_to() -> None:
    assert codes(approved_desk()) == ["nothing-released"]
    assert codes(released_desk()) == ["no-last-good"]
    desk = two_versions()
    desk.roll_back()
    assert codes(desk) == ["no-last-good"]


def test_a_rollback_asks_nothing_of_gate_approvals_rules_or_aliases_of_today() -> None:
    desk = two_versions()
    desk.rules = with_environment(replace(PROD, checklist=("new",), after="test"))
    decided = desk.decide_rollback()
    assert decided.decision.allowed
    assert decided.target is not None
    assert decided.target.id == desk.signed("release").id


def test_two_steps_back_skip_what_was_left() -> None:
    desk = next_version(two_versions(), 3, baseline="model 2")
    for expected in (2, 1):
        target = desk.decide_rollback().target
        assert target is not None
        assert target.number("version") == expected
        desk.roll_back()
    assert codes(desk) == ["no-last-good"]


CHANGED = Reason(code="model-bytes-changed", message="the files of churn/2 changed")


def test_a_rollback_passes_over_a_release_whose_files_changed() -> None:
    desk = next_version(two_versions(), 3, baseline="model 2")
    decided = desk.decide_rollback(changed={desk.signed("release 2").id: (CHANGED,)})
    assert decided.decision.allowed
    assert decided.target is not None
    assert decided.target.number("version") == 1
    assert decided.decision.remarks == ("passed over (model-bytes-changed): the files of churn/2 changed",)


def test_with_nothing_whole_to_return_to_a_rollback_is_refused() -> None:
    desk = two_versions()
    decided = desk.decide_rollback(changed={desk.signed("release").id: (CHANGED,)})
    (reason,) = decided.decision.reasons
    assert (reason.code, decided.target) == ("model-bytes-changed", None)
    assert "no other earlier release in prod" in reason.message


def test_what_a_rollback_left_is_no_place_to_return_to_later() -> None:
    desk = two_versions()
    desk.roll_back()
    next_version(desk, 3, baseline="model 1")
    assert codes(desk) == []
    assert codes(desk.retold("release", keys=())) == ["no-last-good"]


def test_going_back_never_goes_forward() -> None:
    """Version 2 did not verify when production went back past it to 1; that it does again brings it not back."""
    desk = next_version(two_versions(), 3, baseline="model 2")
    place = next(n for n, t in enumerate(desk.told) if t.name == "release 2") - 1
    approval = desk.told.pop(place)
    desk.roll_back()
    desk.told.insert(place, approval)
    current = desk.history.release("prod")
    assert current is not None
    assert current.version == 1
    assert codes(desk) == ["no-last-good"]


def test_the_same_version_released_twice_is_no_place_to_return_to() -> None:
    desk = two_versions()
    desk.say("again", saying(number=3)(desk.signed("release 2").statement), CLEO)
    target = desk.decide_rollback().target
    assert target is not None
    assert target.number("version") == 1


def test_a_release_elsewhere_is_no_place_to_return_to() -> None:
    desk = two_versions().retold("release", saying(environment="test"))
    assert codes(desk) == ["no-last-good"]


def test_an_unsigned_release_is_no_place_to_return_to() -> None:
    assert codes(two_versions().retold("release", keys=())) == ["no-last-good"]


def test_when_the_only_place_does_not_verify_its_faults_are_told() -> None:
    desk = two_versions().retold("release", keys=(ANA,))
    assert codes(desk) == ["release-signature"]
    current = desk.history.release("prod")
    assert current is not None
    found = last_good(desk.history, "prod", current, people=PEOPLE)
    assert found is not None
    assert found.number("version") == 1


def test_forged_releases_do_not_stand_between_production_and_its_last_good_release() -> None:
    """An author writes two releases into the database; the platform owner goes back past both."""
    desk = released_desk()
    for number in (2, 3):
        forged = saying(version=number, number=number, required=[])(desk.signed("release").statement)
        desk.say(f"forged {number}", forged, ANA)
    assert codes(desk) == []
    desk.roll_back()
    current = desk.history.release("prod")
    assert current is not None
    assert (current.version, current.number) == (1, 4)


def test_leaving_a_version_leaves_every_release_of_it_so_far() -> None:
    desk = two_versions()
    again = desk.say("again", saying(number=3)(desk.signed("release 2").statement), CLEO)
    desk.roll_back()
    assert desk.history.revoked("prod") == {desk.signed("release 2").id, again}
    assert desk.history.revoked("test") == frozenset()
    later = desk.say("later", saying(number=5)(desk.signed("release 2").statement), CLEO)
    assert later not in desk.history.revoked("prod")


@pytest.mark.parametrize(
    ("actor", "keys", "expected"),
    [(CLEO, (CLEO,), []), (BEN, (CLEO,), ["role"]), (CLEO, (ANA,), ["rollback-signature"])],
)
def test_an_interrupted_rollback_is_completed_by_one_who_may_when_it_verifies(
    actor: Key, keys: Sequence[Key], expected: list[str]
) -> None:
    desk = two_versions()
    desk.roll_back()
    desk = desk.retold("rollback", keys=keys)
    current = desk.history.release("prod")
    assert current is not None
    decision = decide_completion(
        "prod", use_case="churn", actor=actor.email, current=current, history=desk.history, people=PEOPLE
    )
    assert [reason.code for reason in decision.reasons] == expected
    assert decision.allowed == (not expected)


def test_the_rollback_statement_names_what_it_leaves_and_what_it_returns_to() -> None:
    desk = two_versions()
    first, second = desk.signed("release").id, desk.signed("release 2").id
    size = len(desk.told)
    desk.roll_back()
    statement = desk.signed("rollback").statement
    assert {s.name: s.digest for s in statement.subjects} == {
        "model": digest("model 1"),
        "release": first,
        "revoked-release": second,
    }
    said = statement.predicate
    assert (said["from_version"], said["to_version"], said["number"]) == (2, 1, 3)
    assert said["log"] == {"size": size, "root": str(digest("log"))}
    assert sign_statement(statement, CLEO).id == desk.signed("rollback").id


def test_without_a_target_there_is_no_rollback_statement() -> None:
    desk = released_desk()
    with pytest.raises(ValueError, match="a target"):
        rollback_statement(
            "prod",
            use_case="churn",
            rollback=desk.decide_rollback(),
            actor=CLEO.email,
            reason="x",
            log=desk.head,
            at=desk.at,
        )
