import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_samples import ABE, ANA, BEN, CLEO, DORA, FAY, PEOPLE, STRANGER

from signoff.release.people import People, unmet
from signoff.standard.model import ApprovalRule, Transition

ROLE_NAMES = ("a", "b", "c")


def rule(role: str, count: int) -> ApprovalRule:
    return ApprovalRule(role=role, count=count)


def most_filled(seats: list[str], approvers: dict[str, tuple[str, ...]]) -> int:
    """Every placement tried: the first person stays out or takes any seat they may have."""
    if not approvers:
        return 0
    (_, roles), *others = approvers.items()
    rest = dict(others)
    taken = [1 + most_filled([*seats[:n], *seats[n + 1 :]], rest) for n, r in enumerate(seats) if r in roles]
    return max(most_filled(seats, rest), *taken, 0)


@pytest.mark.parametrize(
    ("required", "approvers", "missing"),
    [
        ((), {}, ()),
        ((rule("a", 1),), {}, (rule("a", 1),)),
        ((rule("a", 2),), {"x": ("a",)}, (rule("a", 1),)),
        ((rule("a", 1),), {"x": ("b",)}, (rule("a", 1),)),
        ((rule("a", 1), rule("b", 1)), {"x": ("a", "b")}, (rule("b", 1),)),  # one person, one role
        ((rule("a", 1), rule("b", 1)), {"x": ("a", "b"), "y": ("a",)}, ()),  # x has to give up a for y
        ((rule("a", 1), rule("b", 1)), {"w": ("a",), "x": ("a", "b")}, ()),
        ((rule("a", 1),), {"x": ("a",), "y": ("a",), "z": ()}, ()),
    ],
)
def test_each_approver_fills_one_role(
    required: tuple[ApprovalRule, ...],
    approvers: dict[str, tuple[str, ...]],
    missing: tuple[ApprovalRule, ...],
) -> None:
    assert unmet(required, approvers) == missing


@given(
    counts=st.dictionaries(st.sampled_from(ROLE_NAMES), st.integers(0, 2)),
    approvers=st.dictionaries(
        st.sampled_from("wxyz"), st.lists(st.sampled_from(ROLE_NAMES), unique=True).map(tuple)
    ),
)
def test_as_many_seats_stay_open_as_in_the_best_of_all_placements(
    counts: dict[str, int], approvers: dict[str, tuple[str, ...]]
) -> None:
    seats = [role for role, count in counts.items() for _ in range(count)]
    missing = unmet([rule(role, count) for role, count in counts.items()], approvers)
    assert sum(open_rule.count for open_rule in missing) == len(seats) - most_filled(seats, approvers)
    assert all(1 <= open_rule.count <= counts[open_rule.role] for open_rule in missing)


@given(approvers=st.dictionaries(st.sampled_from("vwxyz"), st.just(("a", "b"))))
def test_people_with_both_roles_together_fill_one_seat_each(approvers: dict[str, tuple[str, ...]]) -> None:
    missing = unmet([rule("a", 2), rule("b", 2)], approvers)
    assert sum(open_rule.count for open_rule in missing) == max(0, 4 - len(approvers))


@pytest.mark.parametrize(
    ("email", "transition", "codes"),
    [
        (ANA.email, "propose", []),
        (ANA.email, "approve", ["role"]),
        (BEN.email, "approve", []),
        (BEN.email, "promote", ["role"]),
        (CLEO.email, "promote", []),
        (DORA.email, "rollback", []),
        (FAY.email, "approve", ["unknown-role"]),
        (STRANGER.email, "note", ["not-on-roster"]),
        ("", "note", ["not-on-roster"]),
    ],
)
def test_refusals_name_what_is_missing(email: str, transition: Transition, codes: list[str]) -> None:
    assert [reason.code for reason in PEOPLE.refusals(email, transition)] == codes
    assert PEOPLE.may(email, transition) == (not codes)


def test_a_refusal_says_whom_to_ask() -> None:
    (reason,) = PEOPLE.refusals(ANA.email, "promote")
    assert reason.message == "ana@shop.example is author; to promote takes the role platform-owner"
    assert reason.fix == "ask somebody with that role: cleo@shop.example, dora@shop.example"


def test_when_no_role_may_the_refusal_says_so() -> None:
    nobody = People(roster=PEOPLE.roster, roles={"author": frozenset()})
    (reason,) = nobody.refusals(ANA.email, "promote")
    assert reason.message.endswith("takes the role (none may)")
    assert "nobody on the roster" in reason.fix


def test_identities_become_the_people_they_mean_and_unknown_ones_stay() -> None:
    meant = PEOPLE.emails(["ana-laptop", "A. Ana <elsewhere@x.example>", "ABE@shop.example", "root"])
    assert meant == {ANA.email, ABE.email, "root"}


def test_people_with_a_role_are_listed_in_order() -> None:
    assert PEOPLE.having(["reviewer", "platform-owner"]) == (
        "bea@shop.example",
        "ben@shop.example",
        "cleo@shop.example",
        "dora@shop.example",
    )
