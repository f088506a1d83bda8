import re
from fnmatch import fnmatchcase

import pytest
from team_standards import load

from signoff.record import capture
from signoff.standard import defaults
from signoff.standard.model import Requirement
from signoff.standard.names import PROFILES, SHIPPED_TYPES

SHIPPED = [
    *defaults.baseline(),
    *defaults.window(),
    *(requirement for name in SHIPPED_TYPES for requirement in defaults.model_type(name).requires),
]
LOGS = re.compile(r'(?:log_param|log_metric|log_evidence|set_tag)\("(?P<name>[^"]+)"')


def by_code(requirements: tuple[Requirement, ...]) -> dict[str, Requirement]:
    return {requirement.code: requirement for requirement in requirements}


def test_the_baseline_asks_for_what_is_agreed() -> None:
    codes = set(by_code(load().use_cases["churn"].requirements))
    assert codes >= {
        "param:model_type", "param:feature_set", "param:seed", "param:hyper_parameters", "metric:roc_auc",
        "model:signature", "model:input_example", "dataset:training",
        f"artifact:{capture.ENVIRONMENT_ARTIFACT}",
        "artifact:threshold_rationale", "artifact:confusion_matrix", "param:threshold",
        *(f"tag:{name}" for name in (
            capture.USE_CASE, capture.OWNER, capture.CONTRIBUTOR, capture.GIT_COMMIT, capture.GIT_BRANCH,
            capture.GIT_DIRTY, capture.ENVIRONMENT, capture.PIPELINE, capture.PYTHON, capture.RUNTIME,
        )),
    }  # fmt: skip


def test_captured_tags_are_those_that_capture_writes() -> None:
    written = {value for name, value in vars(capture).items() if name.isupper() and isinstance(value, str)}
    asked = {requirement.name for requirement in SHIPPED if requirement.kind == "tag"}
    assert asked <= written


@pytest.mark.parametrize("requirement", SHIPPED, ids=lambda r: f"{r.kind}:{r.name}")
def test_the_line_that_a_requirement_shows_satisfies_it(requirement: defaults.ShippedRequirement) -> None:
    resolved = requirement.resolved("baseline")
    assert resolved.accepts[0] == resolved.name
    if resolved.name == capture.ENVIRONMENT_ARTIFACT:
        return  # attached by whatever evidence is logged
    for match in LOGS.finditer(resolved.how):
        name = f"evidence/{match['name']}.md" if resolved.kind == "artifact" else match["name"]
        assert any(fnmatchcase(name, pattern) for pattern in resolved.accepts)


@pytest.mark.parametrize("model_type", ["classification", "regression"])
def test_each_profile_asks_for_all_that_the_one_above_it_asks_for(model_type: str) -> None:
    metric = "roc_auc" if model_type == "classification" else "mae"
    before: set[str] = set()
    for profile in PROFILES:
        rules = load(
            {"profile": profile}, type=model_type, primary={"metric": metric, "no_worse_than": 0.1}
        ).use_cases["churn"]
        codes = {*by_code(rules.requirements), *rules.notes}
        assert codes >= before
        before = codes


def test_heavier_evidence_counts_from_mid_and_says_so() -> None:
    small = by_code(load().use_cases["churn"].requirements)
    mid = by_code(load({"profile": "mid"}).use_cases["churn"].requirements)
    heavier = set(mid) - set(small)
    assert "artifact:drift_sensitive_features" in heavier
    assert {mid[code].origin for code in heavier} == {"profile mid"}
    assert small["artifact:confusion_matrix"].origin == "type classification"


def test_names_that_teams_commonly_use_are_accepted() -> None:
    found = by_code(load().use_cases["churn"].requirements)
    for code, name in [
        ("param:hyper_parameters", "hp.max_depth"),
        ("param:hyper_parameters", "clf__C"),
        ("param:hyper_parameters", "learning_rate"),
        ("param:seed", "random_state"),
        ("param:model_type", "estimator_class"),
        ("metric:roc_auc", "training_roc_auc_score"),
        ("artifact:confusion_matrix", "plots/training_confusion_matrix.png"),
        ("artifact:threshold_rationale", "evidence/threshold_rationale.md"),
    ]:
        assert any(fnmatchcase(name, pattern) for pattern in found[code].accepts), (code, name)
    for code, name in [("param:feature_set", "feature_table_version"), ("metric:roc_auc", "pr_auc")]:
        assert not any(fnmatchcase(name, pattern) for pattern in found[code].accepts), (code, name)


def test_a_window_asks_for_its_dates_in_the_line_that_declares_it() -> None:
    assert "param:window_start" not in by_code(load().use_cases["churn"].requirements)
    found = by_code(load(window=True).use_cases["churn"].requirements)
    assert {"param:window_start", "param:window_end", "param:feature_table_version"} <= set(found)
    assert re.fullmatch(r"signoff\.yaml:\d+", found["param:window_start"].origin)


def test_the_teams_own_requirements_join_with_their_line() -> None:
    standard = load(
        {
            "require": {"params": ["campaign"], "tags": [{"name": "ticket", "severity": "warn"}]},
            "model_types": {"uplift": {"like": "classification", "require": {"metrics": ["qini"]}}},
        },
        type="uplift",
        require={"artifacts": [{"name": "fairness", "why": "The council reads it.", "accepts": ["*bias*"]}]},
    )
    rules = standard.use_cases["churn"]
    found = by_code(rules.requirements)
    assert rules.model_type == "uplift"
    assert found["param:campaign"].how == 'mlflow.log_param("campaign", …)'
    assert found["tag:ticket"].severity == "warn"
    assert found["metric:qini"].severity == "block"
    assert "artifact:confusion_matrix" in found
    fairness = found["artifact:fairness"]
    assert fairness.accepts == ("fairness", "evidence/fairness.*", "fairness.*", "*/fairness.*", "*bias*")
    assert fairness.why == "The council reads it."
    assert all(re.fullmatch(r"signoff\.yaml:\d+", found[c].origin) for c in ("param:campaign", "metric:qini"))


def test_the_closer_word_on_a_known_requirement_decides() -> None:
    found = by_code(
        load(
            {"require": {"params": [{"name": "feature_set", "accepts": ["fs"], "severity": "warn"}]}},
            require={"params": [{"name": "seed", "severity": "warn"}]},
        )
        .use_cases["churn"]
        .requirements
    )
    feature_set = found["param:feature_set"]
    assert (feature_set.severity, feature_set.accepts[0]) == ("warn", "feature_set")
    assert {"fs", "feature_version"} <= set(feature_set.accepts)
    assert feature_set.origin.startswith("signoff.yaml:")
    assert "feature" in feature_set.why
    assert found["param:seed"].severity == "warn"


def test_a_report_only_week_warns_everywhere() -> None:
    standard = load({"evidence": "warn"}, require={"params": [{"name": "x", "severity": "block"}]})
    assert {r.severity for r in standard.use_cases["churn"].requirements} == {"warn"}


def test_what_the_gate_measures_is_asked_of_nobody() -> None:
    assert {r.by for r in load().use_cases["churn"].requirements} == {"auto", "you"}
