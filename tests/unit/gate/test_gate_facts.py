"""What the run's record must say."""

from dataclasses import replace

import pytest
from gate_cases import gate_rules, margin

from signoff.gate.facts import run_checks
from signoff.record.capture import ENVIRONMENT_ARTIFACT, ENVIRONMENT_DIGEST, GIT_COMMIT, GIT_DIRTY
from signoff.record.dataset import DatasetRecord
from signoff.record.run import RunRecord

RULES = gate_rules(margin("roc_auc", "no_worse_than", 0.02))
DATA = DatasetRecord(
    name="orders", digest="sha256:ab", source="s3://lake/orders", source_type="s3", context="training"
)
RUN = RunRecord(
    run_id="r1",
    run_name="churn-2026-11-16",
    experiment_id="1",
    experiment="churn",
    status="FINISHED",
    user="ana",
    started_at=0,
    ended_at=1,
    params={"feature_set": "rfm-3", "C": "1.0"},
    metrics={},
    tags={GIT_COMMIT: "4f1c2a9b7d3e", GIT_DIRTY: "false", ENVIRONMENT_DIGEST: "sha256:cd"},
    artifacts=(ENVIRONMENT_ARTIFACT, "report.html"),
    datasets=(DATA,),
    models=(),
)


def test_a_complete_run_passes_every_check() -> None:
    checks = run_checks(RULES, RUN)
    assert [c.id for c in checks] == [
        "documented:data",
        "documented:features",
        "reproducible:commit",
        "reproducible:parameters",
        "reproducible:environment",
    ]
    assert {(c.status, c.severity) for c in checks} == {("pass", "block")}


def tags(**changed: str | None) -> dict[str, str]:
    names = {"commit": GIT_COMMIT, "dirty": GIT_DIRTY, "environment": ENVIRONMENT_DIGEST}
    new = {**RUN.tags, **{names[key]: value for key, value in changed.items()}}
    return {name: value for name, value in new.items() if value is not None}


@pytest.mark.parametrize(
    ("run", "failing", "message"),
    [
        (replace(RUN, datasets=()), "documented:data", "no training data was logged"),
        (
            replace(RUN, datasets=(replace(DATA, context="evaluation"),)),
            "documented:data",
            "found: evaluation",
        ),
        (replace(RUN, datasets=(replace(DATA, source=""),)), "documented:data", "without a source"),
        (replace(RUN, datasets=(replace(DATA, digest=""),)), "documented:data", "without digest"),
        (replace(RUN, datasets=(replace(DATA, source_type="code"),)), "documented:data", "orders"),
        (replace(RUN, params={"C": "1.0"}), "documented:features", "feature_table_version"),
        (replace(RUN, tags=tags(commit=None)), "reproducible:commit", "no git commit"),
        (replace(RUN, tags=tags(dirty="true")), "reproducible:commit", "uncommitted changes"),
        (replace(RUN, tags=tags(dirty=None)), "reproducible:commit", "not known to be clean"),
        (replace(RUN, tags=tags(environment=None)), "reproducible:environment", ENVIRONMENT_DIGEST),
        (replace(RUN, artifacts=()), "reproducible:environment", ENVIRONMENT_ARTIFACT),
    ],
)
def test_what_is_missing_fails_and_says_what_to_do(run: RunRecord, failing: str, message: str) -> None:
    failed = [c for c in run_checks(RULES, run) if c.status == "fail"]
    assert [c.id for c in failed] == [failing]
    assert message in failed[0].message


def test_a_run_without_parameters_documents_nothing() -> None:
    failed = {c.id for c in run_checks(RULES, replace(RUN, params={})) if c.status == "fail"}
    assert failed == {"documented:features", "reproducible:parameters"}


def test_only_what_the_rules_ask_for_is_checked() -> None:
    assert run_checks(replace(RULES, documented_data=False, reproducible=False), RUN) == ()
    kinds = {c.id.split(":")[0] for c in run_checks(replace(RULES, documented_data=False), RUN)}
    assert kinds == {"reproducible"}
