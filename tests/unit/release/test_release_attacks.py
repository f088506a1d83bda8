"""What somebody with an author's key, or a promoter's, and the database can make pass: nothing they should not."""

import pytest
from release_changes import Change, about, saying
from release_samples import (
    ABE,
    ANA,
    BEN,
    CLEO,
    FAY,
    PEOPLE,
    PROD,
    STRANGER,
    Desk,
    Key,
    approved_desk,
    candidate_of,
    two_versions,
    with_environment,
)

from signoff.record.digest import Json
from signoff.release.chain import verify_release
from signoff.release.promotion import release_statement


def faults(desk: Desk, name: str = "release") -> list[str]:
    return [reason.code for reason in verify_release(desk.history, desk.signed(name), people=PEOPLE)]


def rows(*rules: tuple[Json, Json]) -> list[Json]:
    return [{"role": role, "count": count} for role, count in rules]


def both(first: Change, second: Change) -> Change:
    return lambda statement: second(first(statement))


def forged(desk: Desk, *, by: Key, **fields: Json) -> Desk:
    """A release of the proposed version, asking for no approval, written into the ledger."""
    promotion = desk.decide()
    assert promotion.binding is not None
    assert promotion.approvals is not None
    statement = release_statement(
        desk.rules,
        desk.rules.environments["prod"],
        candidate=candidate_of(),
        binding=promotion.binding,
        approvals=promotion.approvals,
        waivers=desk.waivers(),
        actor=CLEO.email,
        previous=desk.history.release("prod"),
        log=desk.head,
        at=desk.at,
    )
    desk.say("release", saying(required=[], **fields)(statement), by)
    return desk


def unapproved() -> Desk:
    desk = Desk(rules=with_environment(PROD))
    desk.gate()
    desk.propose()
    return desk


@pytest.mark.parametrize("key", [ANA, ABE, BEN, FAY, STRANGER])
def test_a_release_that_asks_for_nobody_is_the_promoters_word_alone(key: Key) -> None:
    assert faults(forged(unapproved(), by=CLEO)) == []
    assert faults(forged(unapproved(), by=key)) == ["release-signature"]


def reused(desk: Desk, approval: str) -> Desk:
    """A release by Cleo that names an approval which was given for something else."""
    named = about(f"approval:{BEN.email}", desk.signed(approval).id)
    roles: list[Json] = [{"approver": BEN.email, "roles": ["reviewer"]}]
    asked = saying(required=rows(("reviewer", 1)), approved=roles)
    return forged(desk, by=CLEO).retold("release", both(named, asked))


def test_an_approval_of_another_environment_is_not_used_again() -> None:
    desk = unapproved()
    desk.approve(environment="test", name="for test")
    assert "approval-binding" in faults(reused(desk, "for test"))


def test_an_approval_of_another_version_with_the_same_bytes_is_not_used_again() -> None:
    desk = unapproved()
    desk.approve(version=2, name="for two")
    assert faults(reused(desk, "for two")) == ["approval-binding", "approval-count"]


def test_the_approval_of_another_environment_bound_to_its_rules_is_not_used_again() -> None:
    """Even when the promoter copies the other environment's rules into the release."""
    desk = unapproved()
    desk.approve(environment="test", name="for test")
    other_rules = about("rules", desk.rules.environment_digest("test"))
    assert faults(reused(desk, "for test").retold("release", other_rules)) == [
        "approval-binding",
        "approval-count",
    ]


def test_an_approval_from_before_a_rollback_is_not_used_again() -> None:
    desk = two_versions()
    desk.roll_back()
    second = desk.told[[t.name for t in desk.told].index("release 2")]
    again = saying(number=4, previous=None)(second.statement)
    desk.say("again", again, CLEO)
    assert faults(desk, "again") == ["approval-before-rollback", "approval-count"]


def test_an_approval_by_a_person_who_may_not_approve_fills_no_role() -> None:
    desk = unapproved()
    desk.approve(ABE, name="by an author")
    named = about(f"approval:{ABE.email}", desk.signed("by an author").id)
    roles: list[Json] = [{"approver": ABE.email, "roles": ["author"]}]
    asked = saying(required=rows(("reviewer", 1)), approved=roles)
    assert faults(forged(desk, by=CLEO).retold("release", both(named, asked))) == ["approval-role"]


def test_a_release_of_another_environment_is_not_put_on_top_by_a_rollback() -> None:
    from signoff.errors import EvidenceError

    desk = two_versions()
    in_test = approved_desk()
    in_test.release(environment="test")
    test_release = in_test.told[-1]
    desk.roll_back()
    desk.say("test release", test_release.statement, CLEO)
    elsewhere = desk.retold("rollback", about("release", test_release.statement.id))
    with pytest.raises(EvidenceError, match="returns to a release of test"):
        elsewhere.history.release("prod")
