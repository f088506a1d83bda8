from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.conformance.decide import check_run, report
from signoff.record.run import LoggedModelRecord, RunRecord
from signoff.standard.model import Requirement, Standard, UseCaseRules

Ask = Callable[..., Requirement]


def codes(rules: UseCaseRules, run: RunRecord) -> list[str]:
    return [finding.code for finding in check_run(rules, run)]


def without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def test_a_run_that_logs_everything_conforms(rules: UseCaseRules, run: RunRecord) -> None:
    assert check_run(rules, run) == ()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"run_name": "ana tries things"}, "run:name", "'ana tries things'"),
        ({"run_name": "week-2011-06-05-b"}, "run:name", "does not match"),
        ({"status": "RUNNING"}, "run:status", "RUNNING"),
        ({"status": "FAILED"}, "run:status", "FAILED"),
        ({"experiment": "fraud"}, "run:experiment", "go to churn or churn/*"),
        ({"params": {}}, "param:threshold", "has no parameter threshold (or decision_*)"),
        ({"params": {"threshold": " "}}, "param:threshold", "empty"),
        ({"metrics": {}}, "metric:roc_auc", "has no metric roc_auc (or auc)"),
        ({"metrics": {"roc_auc": float("nan")}}, "metric:roc_auc", "nan"),
        ({"metrics": {"auc": float("inf")}}, "metric:roc_auc", "metric auc as inf"),
        (
            {"artifacts": ("environment/requirements.txt",)},
            "artifact:evidence/threshold_rationale*",
            "no artifact",
        ),
        (
            {"artifacts": ("evidence/threshold_rationale.md",)},
            "artifact:environment/requirements.txt",
            "no artifact",
        ),
        ({"datasets": ()}, "dataset:training", "no data set with context training"),
        ({"models": ()}, "model:count", "logs no model"),
    ],
)
def test_each_gap_has_its_own_finding(
    rules: UseCaseRules, run: RunRecord, change: dict[str, Any], code: str, words: str
) -> None:
    findings = check_run(rules, replace(run, **change))
    assert [finding.code for finding in findings] == [code]
    assert words in findings[0].message
    assert findings[0].subject == f"run {run.run_id}"


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"decision_threshold": "0.4"}},
        {"metrics": {"auc": 0.0}},
        {"metrics": {"roc_auc": float("nan"), "auc": 0.7}},
        {"experiment": "churn/retraining"},
        {"artifacts": ("environment/requirements.txt", "evidence/threshold_rationale.v2.pdf")},
    ],
)
def test_an_accepted_name_satisfies(rules: UseCaseRules, run: RunRecord, change: dict[str, Any]) -> None:
    assert codes(rules, replace(run, **change)) == []


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"signoff.git.commit": ""}, ["tag:signoff.git.commit"]),
        ({"signoff.git.commit": "", "mlflow.source.git.commit": "d" * 40}, []),
        ({"signoff.owner": ""}, ["tag:signoff.owner"]),
        ({"signoff.git.dirty": "true"}, ["run:dirty"]),
        ({"signoff.git.dirty": ""}, ["run:dirty"]),
    ],
)
def test_tags_may_say_it_in_mlflows_words_and_only_a_clean_tree_reproduces(
    rules: UseCaseRules, run: RunRecord, tags: dict[str, str], found: list[str]
) -> None:
    assert codes(rules, replace(run, tags={**run.tags, **tags})) == found


def test_a_dirty_tree_matters_only_where_the_gate_wants_to_reproduce(
    rules: UseCaseRules, run: RunRecord
) -> None:
    relaxed = replace(rules, gate=replace(rules.gate, reproducible=False))
    assert codes(relaxed, replace(run, tags=without(run.tags, "signoff.git.dirty"))) == []


def test_an_unknown_tree_is_reported_once(rules: UseCaseRules, run: RunRecord, ask: Ask) -> None:
    asked = replace(rules, requirements=(ask("tag", "signoff.git.dirty"),))
    assert codes(asked, replace(run, tags={})) == ["tag:signoff.git.dirty"]
    assert codes(asked, replace(run, tags={"signoff.git.dirty": "true"})) == ["run:dirty"]


def test_while_all_requirements_only_warn_so_do_names_and_dirty_trees(
    rules: UseCaseRules, run: RunRecord
) -> None:
    trial = replace(rules, requirements=tuple(replace(r, severity="warn") for r in rules.requirements))
    odd = replace(run, run_name="x", tags={"signoff.git.dirty": "true"})
    assert {finding.severity for finding in check_run(trial, odd)} == {"warn"}
    assert check_run(trial, replace(odd, status="FAILED"))[0].code == "run:status"


def test_a_message_lists_only_a_few_of_many_accepted_names(
    rules: UseCaseRules, run: RunRecord, ask: Ask
) -> None:
    many = replace(rules, requirements=(ask("param", "seed", "a", "b", "c", "d"),))
    assert check_run(many, run)[0].message.startswith("has no parameter seed (or a, b, c, …). ")


def test_a_model_needs_what_serving_will_need(
    rules: UseCaseRules, run: RunRecord, model: LoggedModelRecord
) -> None:
    bare = replace(model, inputs=None, has_input_example=False)
    assert codes(rules, replace(run, models=(bare,))) == ["model:signature", "model:input_example"]
    assert codes(rules, replace(run, models=(model, replace(bare, name="second")))) == [
        "model:count",
        "model:signature",
        "model:input_example",
    ]


@pytest.mark.parametrize(
    ("gap", "words"), [({"digest": ""}, "without digest"), ({"source": ""}, "without source")]
)
def test_data_without_digest_or_source_is_not_documented(
    rules: UseCaseRules, run: RunRecord, gap: dict[str, str], words: str
) -> None:
    findings = check_run(rules, replace(run, datasets=(replace(run.datasets[0], **gap),)))  # type: ignore[arg-type]
    assert [finding.code for finding in findings] == ["dataset:training"]
    assert words in findings[0].message


def test_blocking_findings_come_first_and_a_warning_alone_conforms(
    standard: Standard, rules: UseCaseRules, run: RunRecord, ask: Ask
) -> None:
    softer = replace(
        rules, requirements=(ask("metric", "latency", severity="warn"), *rules.requirements), run_name=None
    )
    assert report(standard, softer, (run,)).verdict == "conforms"
    both = report(standard, softer, (replace(run, params={}),))
    assert [finding.severity for finding in both.findings] == ["block", "warn"]
    assert both.verdict == "does not conform"
    assert both.rules == str(softer.digest)


def test_only_what_follows_from_the_record_can_be_fixed_afterwards(
    rules: UseCaseRules, run: RunRecord
) -> None:
    empty = replace(run, params={}, artifacts=(), tags=without(run.tags, "signoff.owner"))
    fixable = {finding.code for finding in check_run(rules, empty) if finding.fixable}
    assert fixable == {"tag:signoff.owner", "artifact:environment/requirements.txt"}
    unknown = replace(empty, tags=without(empty.tags, "signoff.environment.digest"))
    assert {f.code for f in check_run(rules, unknown) if f.fixable} == {"tag:signoff.owner"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logged=st.sets(st.sampled_from(["params", "metrics", "artifacts", "datasets", "models"])))
def test_logging_more_never_adds_a_finding(rules: UseCaseRules, run: RunRecord, logged: set[str]) -> None:
    gaps: dict[str, Any] = {"params": {}, "metrics": {}, "artifacts": (), "datasets": (), "models": ()}
    fewer = {key: value for key, value in gaps.items() if key not in logged}
    assert set(codes(rules, replace(run, **fewer))) <= set(codes(rules, replace(run, **gaps)))
