"""What changed rules and roles do to candidates and releases."""

from dataclasses import replace

import pytest
from release_samples import (
    BEN,
    CLEO,
    PEOPLE,
    PROD,
    RULES,
    Desk,
    approved_desk,
    two_versions,
    with_environment,
)

from signoff.release.people import People
from signoff.release.rule_change import open_candidates, touched_by
from signoff.standard.model import UseCaseRules

CHANGED = replace(RULES, notes=(*RULES.notes, "audience"))
NOT_PROMOTING = replace(PEOPLE, roles={**PEOPLE.roles, "platform-owner": frozenset({"approve", "rollback"})})
LIVE_ALIAS = with_environment(replace(PROD, alias="live"))
CHECKLIST = with_environment(replace(PROD, checklist=("read it",)))
WITHOUT_PROD = replace(RULES, environments={n: e for n, e in RULES.environments.items() if n != "prod"})
VOID = "gate decisions and approvals made under the old rules are void: "
VOID_FOR_PROD = "approvals for prod given under the old rules are void, gate decisions are not: "
STAYS = "; the release churn/2 in prod stays"


def desk_with_a_candidate() -> Desk:
    """churn/2 is released, and churn/3 is proposed and approved."""
    desk = two_versions()
    desk.gate("model 3")
    desk.propose(3, "model 3")
    desk.approve(BEN, version=3, model="model 3")
    return desk


def said(
    desk: Desk, old: UseCaseRules | None, new: UseCaseRules | None, after: People = PEOPLE
) -> tuple[str, ...]:
    return touched_by(desk.history, old=old, new=new, before=PEOPLE, after=after)


def test_a_candidate_is_open_until_it_or_a_later_version_is_released() -> None:
    assert open_candidates(two_versions().history, RULES) == ()
    assert open_candidates(desk_with_a_candidate().history, RULES) == (3,)
    assert open_candidates(Desk().history, RULES) == ()
    passed_over = approved_desk()
    passed_over.gate("model 2")
    passed_over.propose(2, "model 2")
    passed_over.approve(version=2, model="model 2")
    passed_over.release(2, "model 2")
    assert passed_over.history.proposal(1) is not None
    assert open_candidates(passed_over.history, RULES) == ()


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (RULES, RULES, ()),
        (None, RULES, ()),
        (RULES, CHANGED, (f"{VOID}open candidate churn/3{STAYS}",)),
        (CHANGED, RULES, (f"{VOID}no open candidate{STAYS}", "judged under the new rules already: open candidate churn/3")),
        (
            CHANGED,
            replace(RULES, run_name="x"),
            (
                f"{VOID}no open candidate{STAYS}",
                "void before this change, judged under yet other rules: open candidate churn/3",
            ),
        ),
        (
            RULES,
            CHECKLIST,
            (
                f"{VOID_FOR_PROD}open candidate churn/3{STAYS}",
            ),
        ),
        (RULES, None, ("the use case is gone: no command reaches open candidate churn/3, the release churn/2 in prod",)),
    ],
)  # fmt: skip
def test_what_a_change_of_rules_touches(
    old: UseCaseRules | None, new: UseCaseRules | None, sentences: tuple[str, ...]
) -> None:
    assert said(desk_with_a_candidate(), old, new) == sentences


def test_a_release_that_commands_would_not_find_any_more_is_named() -> None:
    desk = desk_with_a_candidate()
    assert said(desk, RULES, LIVE_ALIAS)[-1] == (
        "commands look for churn@live instead of churn@prod:"
        " the release churn/2 is refused until that alias points at it"
    )
    assert said(desk, RULES, WITHOUT_PROD)[-1] == (
        "environment prod is gone: no command reaches the release churn/2 there"
    )


def test_roles_that_the_release_rests_on_are_missed() -> None:
    (sentence,) = said(desk_with_a_candidate(), RULES, RULES, NOT_PROMOTING)
    assert sentence.startswith("the new roles make the release churn/2 in prod unusable: ")
    assert CLEO.email in sentence


def test_roles_that_no_release_rests_on_touch_nothing() -> None:
    weaker = replace(PEOPLE, roles={**PEOPLE.roles, "author": frozenset()})
    assert said(desk_with_a_candidate(), RULES, RULES, weaker) == ()


def test_a_release_that_is_broken_already_is_not_blamed_on_the_change() -> None:
    desk = two_versions().retold("release 2", keys=(BEN,))
    assert said(desk, RULES, RULES, NOT_PROMOTING) == ()
