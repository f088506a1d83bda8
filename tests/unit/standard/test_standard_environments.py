from itertools import pairwise

import pytest
from team_standards import load

from signoff.standard.model import ApprovalRule, EnvironmentRules
from signoff.standard.names import PROFILES


def approvals(rules: EnvironmentRules) -> dict[str, int]:
    return {rule.role: rule.count for rule in rules.approvals}


@pytest.mark.parametrize(
    ("profile", "test", "prod", "after"),
    [
        ("small", {}, {"reviewer": 1}, None),
        ("mid", {"reviewer": 1}, {"reviewer": 1, "platform-owner": 1}, "test"),
        ("enterprise", {"reviewer": 1}, {"reviewer": 2, "platform-owner": 1}, "test"),
    ],
)
def test_profiles_ask_for_more_approvals_step_by_step(
    profile: str, test: dict[str, int], prod: dict[str, int], after: str | None
) -> None:
    environments = load({"profile": profile}).use_cases["churn"].environments
    assert list(environments) == ["dev", "test", "prod"]
    assert approvals(environments["dev"]) == {}
    assert approvals(environments["test"]) == test
    assert approvals(environments["prod"]) == prod
    assert environments["prod"].after == after
    assert {rules.self_approval for rules in environments.values()} == {"refused"}


def test_each_profile_holds_the_one_above_it() -> None:
    production = [load({"profile": name}).use_cases["churn"].environments["prod"] for name in PROFILES]
    for less, more in pairwise(production):
        assert sum(approvals(more).values()) > sum(approvals(less).values())
        assert set(more.checklist) > set(less.checklist)
        assert more.rollback_plan >= less.rollback_plan


def test_what_the_team_writes_replaces_the_profiles_value_and_keeps_the_rest() -> None:
    rules = load(
        {"profile": "mid", "environments": {"prod": {"alias": "champion", "checklist": ["read"]}}},
        environments={"prod": {"approvals": {"reviewer": 3}}},
    ).use_cases["churn"]
    prod = rules.environments["prod"]
    assert (prod.alias, prod.checklist, prod.rollback_plan, prod.after) == (
        "champion",
        ("read",),
        True,
        "test",
    )
    assert prod.approvals == (ApprovalRule(role="reviewer", count=3),)


def test_one_person_alone_is_recorded_in_small_only_when_asked() -> None:
    rules = load({"environments": {"prod": {"self_approval": "recorded"}}}).use_cases["churn"]
    assert rules.environments["prod"].self_approval == "recorded"
    assert rules.environments["test"].self_approval == "refused"


def test_own_environments_stand_where_after_puts_them() -> None:
    rules = load(
        {
            "environments": {
                "canary": {"after": "staging"},
                "staging": {"after": "test"},
                "prod": {"after": "canary"},
            }
        }
    ).use_cases["churn"]
    assert list(rules.environments) == ["dev", "test", "staging", "canary", "prod"]
    assert rules.environments["staging"].alias == "staging"
    assert rules.environments["staging"].self_approval == "refused"


def test_a_use_cases_environment_is_its_own() -> None:
    use_case = {
        "owner": "ana@shop.example",
        "type": "classification",
        "evaluate": {"data": "d", "label": "y"},
        "primary": {"metric": "f1", "no_worse_than": 0.1},
    }
    strict = {**use_case, "environments": {"prod": {"approvals": {"reviewer": 2}}}}
    standard = load({"use_cases": {"a": use_case, "b": strict}})
    a, b = standard.use_cases["a"].environments["prod"], standard.use_cases["b"].environments["prod"]
    assert (approvals(a), approvals(b)) == ({"reviewer": 1}, {"reviewer": 2})


def test_a_role_of_the_teams_own_may_approve() -> None:
    standard = load(
        {"roles": {"lead": {"may": ["approve"]}}, "environments": {"prod": {"approvals": {"lead": 1}}}}
    )
    assert approvals(standard.use_cases["churn"].environments["prod"]) == {"lead": 1}
