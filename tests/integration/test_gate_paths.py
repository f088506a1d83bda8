"""Ways through the gate beside the common one, on real stores and real data."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from team import STANDARD, Team, cancer, copy_team, git, inside, log_run, make_team, signoff

CONTEXT = ("--context", "business_context=triage", "--notes", "first")


@pytest.fixture
def team(made: Team, tmp_path: Path) -> Team:
    return copy_team(made, tmp_path / "team")


def edit(team: Team, old: str, new: str) -> None:
    path = team.folder / "signoff.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def release_first(team: Team) -> None:
    for arguments, key in (
        (("gate", team.good), None),
        (("propose", team.good, *CONTEXT), "ana"),
        (("approve", "tumours/1"), "ben"),
        (("promote", "tumours/1"), "cleo"),
    ):
        outcome = signoff(team, *arguments, key=key)
        assert outcome.code == 0, outcome


def test_a_use_case_is_ranked_by_its_primary_metric_and_each_model_is_one_look(team: Team) -> None:
    with inside(team.folder):
        other = log_run("other")
        log_run("good", complete=False)
    outcome = signoff(team, "gate", "tumours", "--format", "json")
    decisions = json.loads(outcome.out)
    assert [d["verdict"] for d in decisions] == ["pass", "pass", "fail"]
    values = [
        next(c["candidate"] for c in d["checks"] if c["id"] in ("measured:roc_auc", "threshold:roc_auc"))
        for d in decisions[:2]
    ]
    assert values == sorted(values, reverse=True)
    assert {d["candidate"]["run_id"] for d in decisions} == {team.good, team.weak, other}
    assert sorted(d["look"] for d in decisions) == [1, 2, 3]
    again = json.loads(signoff(team, "gate", team.good, "--format", "json").out)
    assert again["look"] <= 3, "judging the same model again is no new look"


def test_the_released_run_is_neither_judged_again_nor_ranked(team: Team) -> None:
    release_first(team)
    looked = len(decisions_of(team))
    outcome = signoff(team, "gate", "tumours")
    assert f"note: run {team.good} is not judged: its model is released in prod" in outcome.err
    assert f"propose {team.good}" not in outcome.out
    assert decisions_of(team)[looked:] == [team.weak]
    alone = signoff(team, "gate", "tumours", "--last", "1")
    assert decisions_of(team)[looked + 1 :] == [team.weak], alone


def test_no_more_runs_are_judged_than_the_table_has_looks_left(team: Team) -> None:
    edit(team, "looks: 3", "looks: 2")
    git(team.folder, "commit", "-qam", "Two looks")
    with inside(team.folder):
        other = log_run("other")
    outcome = signoff(team, "gate", "tumours")
    assert "note: 1 older run is not judged: the evaluation table allows 2 looks in all" in outcome.err
    assert sorted(decisions_of(team)) == sorted([team.weak, other])
    order = [line.split()[1] for line in outcome.out.splitlines() if re.match(r"  \d\. ", line)]
    assert order == ["PASS", "FAIL"]
    assert "what passed, then inconclusive, then failed; each best first by roc_auc:" in outcome.out
    again = signoff(team, "gate", "tumours")
    assert again.code == 0, "what was judged before costs no look"
    assert set(decisions_of(team)) == {team.weak, other}
    with inside(team.folder):
        log_run("other")
    used_up = signoff(team, "gate", "tumours", "--last", "1")
    assert used_up.code == 2
    assert "the 2 looks at the evaluation table are used up" in used_up.err


def test_the_same_rows_written_again_are_no_fresh_table(team: Team) -> None:
    import pandas as pd

    table = team.folder / "eval/table.parquet"
    assert signoff(team, "gate", team.good).code == 0
    frame = pd.read_parquet(table)
    frame.iloc[::-1].to_parquet(table, index=False, compression="gzip")
    outcome = json.loads(signoff(team, "gate", team.weak, "--format", "json").out)
    assert outcome["look"] == 2


def decisions_of(team: Team) -> list[str]:
    """The runs judged, in order."""
    with sqlite3.connect(team.folder / "mlflow.db") as store:
        entries = [json.loads(row) for (row,) in store.execute("SELECT entry FROM signoff_log ORDER BY idx")]
    store.close()
    return [e["subject"].removeprefix("run ") for e in entries if e["action"] == "gate"]


def test_a_table_that_was_looked_at_often_enough_passes_nobody(team: Team) -> None:
    edit(team, "looks: 3", "looks: 1")
    assert signoff(team, "gate", team.good).code == 0
    outcome = signoff(team, "gate", team.weak)
    assert outcome.code == 1
    assert "budget(looks)" in outcome.out
    refused = signoff(team, "propose", team.weak, *CONTEXT, key="ana")
    assert refused.code == 1
    assert "budget:looks" in refused.out


def test_better_by_wants_the_gain_and_a_retraining_of_the_same_does_not_have_it(team: Team) -> None:
    release_first(team)
    edit(
        team,
        "primary: {metric: roc_auc, no_worse_than: 0.05}",
        "primary: {metric: roc_auc, better_by: 0.001}",
    )
    with inside(team.folder):
        same = log_run("good")
    outcome = signoff(team, "gate", same)
    assert outcome.code == 1
    assert "wanted ≥ 0.0010" in outcome.out


def test_a_named_positive_class_of_text_labels(team: Team) -> None:
    import pandas as pd

    table = team.folder / "eval/table.parquet"
    frame = pd.read_parquet(table)
    frame["benign"] = frame["benign"].map({0: "malignant", 1: "benign"})
    frame.to_parquet(table, index=False)
    edit(team, "label: benign, row_key: sample}", "label: benign, positive: benign, row_key: sample}")
    outcome = signoff(team, "gate", team.good)
    assert outcome.code == 2, "the model answers with 0 and 1, which are not the names in the table"
    assert "the model knows the classes 0 and 1" in outcome.err
    assert "labels 'benign' and 'malignant'" in outcome.err


def test_rows_of_one_patient_count_as_a_cluster(team: Team) -> None:
    import pandas as pd

    table = team.folder / "eval/table.parquet"
    frame = pd.read_parquet(table)
    frame["sample"] //= 4
    frame.to_parquet(table, index=False)
    refused = signoff(team, "gate", team.good)
    assert refused.code == 2
    assert "cluster: sample" in refused.err
    edit(team, "row_key: sample}", "row_key: sample, cluster: sample}")
    outcome = signoff(team, "gate", team.good)
    assert outcome.code in (0, 1), outcome
    assert "clusters" in outcome.out


def test_a_model_that_asks_for_the_label_is_not_given_it(team: Team) -> None:
    (mlmodel,) = (path for path in team.folder.glob("mlruns/**/MLmodel") if team.good in path.read_text())
    text = mlmodel.read_text()
    leaking = text.replace(
        "inputs: '[{", 'inputs: \'[{"type": "long", "name": "benign", "required": false}, {', 1
    )
    assert leaking != text
    mlmodel.write_text(leaking)
    outcome = signoff(team, "gate", team.good)
    assert outcome.code == 2
    assert "asks for the label 'benign'" in outcome.err


def test_latency_is_measured_on_single_rows(team: Team) -> None:
    edit(team, "at_least: 0.8}", "at_least: 0.8}\n      - {metric: latency_p95_ms, at_most: 60000}")
    outcome = signoff(team, "gate", team.good)
    assert outcome.code == 0, outcome
    assert "PASS  threshold(latency_p95_ms)" in outcome.out
    edit(team, "at_most: 60000", "at_most: 0.000001")
    assert "FAIL  threshold(latency_p95_ms)" in signoff(team, "gate", team.good).out


REGRESSION = """\
signoff: 1
profile: small
use_cases:
  progression:
    owner: ana@lab.example
    type: regression
    evaluate: {data: eval/diabetes.parquet, label: target}
    primary: {metric: mae, no_worse_than: 5}
    thresholds:
      - {metric: mae, at_most: 60}
"""


def test_a_regression_goes_the_same_way(tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes

    team = make_team(tmp_path / "repo", STANDARD)
    (team.folder / "signoff.yaml").write_text(REGRESSION)
    subprocess.run(["git", "-C", str(team.folder), "commit", "-qam", "Regression"], check=True)
    frame = load_diabetes(as_frame=True).frame
    frame[1::2].to_parquet(team.folder / "eval/diabetes.parquet", index=False)
    run = log_regression(team, frame[::2], alpha=0.1)
    outcome = signoff(team, "gate", run)
    assert outcome.code == 0, outcome
    assert signoff(team, "propose", run, *CONTEXT, key="ana").code == 0
    assert signoff(team, "approve", "progression/1", key="ben").code == 0
    assert signoff(team, "promote", "progression/1", key="cleo").code == 0
    worse = log_regression(team, frame[::2], alpha=1000.0)
    outcome = signoff(team, "gate", worse)
    assert outcome.code == 1
    assert re.search(r"^FAIL +margin\(mae\)", outcome.out, re.MULTILINE)


def log_regression(team: Team, train: Any, *, alpha: float) -> str:
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import Ridge

    import signoff as package

    columns = [name for name in train.columns if name != "target"]
    with inside(team.folder):
        mlflow.set_tracking_uri(f"sqlite:///{team.folder / 'mlflow.db'}")
        mlflow.set_experiment("progression")
        model = Ridge(alpha=alpha).fit(train[columns], train["target"])
        with mlflow.start_run(run_name="ridge") as run:
            mlflow.log_params({"model_type": "ridge", "alpha": alpha, "seed": 0, "feature_set": "all"})
            mlflow.log_metrics({"mae": 50.0, "rmse": 60.0})
            package.log_dataset(train, name="diabetes", source="scikit-learn")
            errors = (train["target"] - model.predict(train[columns])).abs().to_frame("error")
            package.log_evidence("residuals", errors)
            package.log_evidence("worst_predictions", errors.nlargest(5, "error"))
            mlflow.sklearn.log_model(
                model,
                name="model",
                signature=infer_signature(train[columns], model.predict(train[columns])),
                input_example=train[columns].head(2),
            )
        run_id: str = run.info.run_id
    return run_id


@pytest.mark.parametrize(
    "arguments", [("status",), ("check", "tumours"), ("lineage", "tumours@prod"), ("admin", "audit")]
)
def test_reading_never_imports_mlflow(team: Team, arguments: tuple[str, ...]) -> None:
    release_first(team)
    program = (
        "import sys\nfrom signoff.apps.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    code = stop.code\n"
        "sys.exit(9 if 'mlflow' in sys.modules else code)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=team.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr


def test_the_reports_lie_among_the_runs_artifacts(team: Team) -> None:
    signoff(team, "gate", team.good)
    reports = sorted(
        path.suffix for path in team.folder.glob(f"mlruns/*/{team.good}/artifacts/signoff/gate/*")
    )
    assert reports == [".json", ".md"]


def test_the_data_of_these_tests_is_what_it_says() -> None:
    frame = cancer()
    assert len(frame) == 569
    assert frame["benign"].sum() == 357
