from itertools import pairwise

import pytest
from team_standards import load

from signoff.errors import StandardError
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
    shipped = load({"profile": "mid"}).use_cases["churn"].environments["prod"].checklist
    checklist = ["the mailing was stopped in time", *reversed(shipped)]
    rules = load(
        {"profile": "mid", "environments": {"prod": {"alias": "champion", "checklist": checklist}}},
        environments={"prod": {"approvals": {"reviewer": 3, "platform-owner": 1}}},
    ).use_cases["churn"]
    prod = rules.environments["prod"]
    assert (prod.alias, prod.checklist, prod.rollback_plan, prod.after) == (
        "champion",
        tuple(checklist),
        True,
        "test",
    )
    assert prod.approvals == (
        ApprovalRule(role="reviewer", count=3),
        ApprovalRule(role="platform-owner", count=1),
    )


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
        {
            "roles": {"lead": {"may": ["approve"]}},
            "environments": {"prod": {"approvals": {"reviewer": 1, "lead": 1}}},
        }
    )
    prod = standard.use_cases["churn"].environments["prod"]
    assert approvals(prod) == {"reviewer": 1, "lead": 1}


def test_more_environments_on_the_path_are_no_way_around_the_profiles() -> None:
    staging = {"after": "test", "approvals": {"reviewer": 1}}
    environments = {"live": {"after": "staging", "approvals": {"reviewer": 1}}, "staging": staging}
    rules = load({"profile": "mid", "environments": {**environments, "prod": {"after": "live"}}})
    assert list(rules.use_cases["churn"].environments) == ["dev", "test", "staging", "live", "prod"]


def test_a_small_teams_own_environment_may_do_without_an_approval() -> None:
    live = load({"environments": {"live": {}}}).use_cases["churn"].environments["live"]
    assert live.approvals == ()


def test_two_servers_do_not_take_their_credentials_from_the_same_variables() -> None:
    def given(second: str, server: str) -> dict[str, object]:
        own = {"direct": "allowed", "approvals": {"reviewer": 1}}
        return {"environments": {"eu-1": {**own, "server": "https://a"}, second: {**own, "server": server}}}

    with pytest.raises(StandardError, match=r"share the variables SIGNOFF_EU_1_"):
        load(given("eu_1", "https://b"))
    for second, server in (("eu_1", "https://a"), ("eu-2", "https://b")):
        shared = given(second, server)
        shared["environments"][second]["alias"] = "second"  # type: ignore[index]
        assert "eu-1" in load(shared).use_cases["churn"].environments
