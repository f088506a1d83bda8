"""`signoff check` below the command line: a store in memory, all three forms."""

import json
from dataclasses import replace
from typing import Any

import pytest

from signoff.apps.cli.check import check_store, rendered
from signoff.errors import StoreError, UsageError
from signoff.record.experiment import ExperimentRecord
from signoff.record.run import RunRecord
from signoff.standard.model import Standard


@pytest.fixture
def mixed(store: Any, run: RunRecord) -> Any:
    """Newest first: a run with gaps, a run that conforms, a run outside every boundary."""
    store.held = [
        replace(run, run_id="a" * 32, params={}, artifacts=(), run_name="week 3" * 30),
        run,
        replace(run, run_id="b" * 32, experiment="scratch"),
    ]
    store.known = (ExperimentRecord(experiment_id="9", name="scratch/2011", runs=1, users=("ben",)),)
    return store


@pytest.mark.parametrize(
    ("target", "use_cases", "exit_code"),
    [
        (None, {"churn": 2, "fraud": 0}, 1),
        ("churn", {"churn": 2}, 1),
        ("fraud", {"fraud": 0}, 0),
        ("3f2a" + "0" * 28, {"churn": 1}, 0),
        ("a" * 32, {"churn": 1}, 1),
    ],
)
def test_what_is_audited_and_what_the_exit_code_says(
    standard: Standard, mixed: Any, target: str | None, use_cases: dict[str, int], exit_code: int
) -> None:
    checked = check_store(standard, mixed, None, target=target, last=5)
    assert {report.use_case: len(report.runs) for report in checked.audit.reports} == use_cases
    assert checked.exit_code == exit_code
    assert bool(checked.audit.experiments) == (target is None)
    assert checked.notes == ()


def test_last_counts_from_the_newest(standard: Standard, mixed: Any) -> None:
    checked = check_store(standard, mixed, None, target="churn", last=1)
    assert checked.audit.reports[0].runs == ("a" * 32,)


def test_a_run_outside_every_boundary_is_not_judged_by_somebody_elses_rules(
    standard: Standard, mixed: Any
) -> None:
    with pytest.raises(UsageError, match="belongs to no use case"):
        check_store(standard, mixed, None, target="b" * 32, last=5)
    with pytest.raises(UsageError, match=r"neither a run id .* nor a use case"):
        check_store(standard, mixed, None, target="chrun", last=5)
    with pytest.raises(StoreError):
        check_store(standard, mixed, None, target="c" * 32, last=5)


def test_a_run_whose_tag_names_its_use_case_is_told_its_experiment_is_wrong(
    standard: Standard, store: Any, run: RunRecord
) -> None:
    store.held = [replace(run, experiment="scratch", tags={**run.tags, "signoff.use_case": "churn"})]
    (report,) = check_store(standard, store, None, target=run.run_id, last=5).audit.reports
    assert report.use_case == "churn"
    assert [finding.code for finding in report.findings] == ["run:experiment"]


def test_fix_says_what_it_added_and_audits_afterwards(standard: Standard, store: Any, run: RunRecord) -> None:
    tags = {key: value for key, value in run.tags.items() if key != "signoff.owner"}
    store.held = [replace(run, tags=tags)]
    before = check_store(standard, store, None, target=run.run_id, last=5)
    after = check_store(standard, store, lambda: store, target=run.run_id, last=5)
    again = check_store(standard, store, lambda: store, target=run.run_id, last=5)
    assert (before.exit_code, after.exit_code) == (1, 0)
    assert after.notes == (f"added to run {run.run_id}: tag signoff.owner = ana@shop.example",)
    assert again.notes == ("nothing to add: no finding can be fixed afterwards",)


def test_text_fits_a_hundred_columns_and_says_where_and_how(standard: Standard, mixed: Any) -> None:
    text = rendered(check_store(standard, mixed, None, target=None, last=5).audit, "text")
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "churn: 1 of 2 runs conform (standard 3, rules " in text
    assert f"  run {'3f2a' + '0' * 28}  conforms\n" in text
    assert f"  run {'a' * 32}  does not conform: 4 blocking\n" in text
    assert "    BLOCK  param:threshold\n" in text
    assert "           asked by type classification\n           add      mlflow.log_…\n" in text
    assert "`signoff check --fix` can add this" in text
    assert "fraud: no runs yet" in text
    assert "experiment scratch/2011\n    BLOCK  experiment:unknown" in text
    assert text.endswith("\n\ndoes not conform\n")


def test_json_holds_everything_that_the_text_says(standard: Standard, mixed: Any) -> None:
    audit = check_store(standard, mixed, None, target=None, last=5).audit
    value = json.loads(rendered(audit, "json"))
    assert value["verdict"] == audit.verdict
    assert [u["use_case"] for u in value["use_cases"]] == ["churn", "fraud"]
    assert {f["code"] for f in value["use_cases"][0]["findings"]} == {
        "run:name",
        "param:threshold",
        "artifact:evidence/threshold_rationale*",
        "artifact:environment/requirements.txt",
    }
    assert [f["code"] for f in value["experiments"]] == ["experiment:unknown", "experiment:dated"]


def test_markdown_keeps_names_from_becoming_markup(standard: Standard, store: Any, run: RunRecord) -> None:
    store.held = [replace(run, run_name="<img src=x> [week](http://x)")]
    page = rendered(check_store(standard, store, None, target=None, last=5).audit, "markdown")
    assert page.startswith("# Conformance: does not conform\n")
    assert "<img" not in page
    assert "&lt;img" in page
    assert "\\[week\\]" in page
    assert f"### Run `{run.run_id}`: does not conform: 1 blocking" in page


def test_a_name_cannot_steer_the_terminal(standard: Standard, store: Any) -> None:
    store.held = []
    store.known = (ExperimentRecord(experiment_id="9", name="\x1b[2Jgone\nverdict", runs=1, users=()),)
    audit = check_store(standard, store, None, target=None, last=5).audit
    assert "\x1b" not in rendered(audit, "text")
    assert "\x1b" not in rendered(audit, "markdown")
    assert "gone\nverdict" not in rendered(audit, "text")
