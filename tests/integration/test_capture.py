"""Capture, data sets and evidence through an unmodified MLflow client on SQLite, read back from its database."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signoff.adapters.mlflow_sql import SqlReader
from signoff.conformance.decide import check_run
from signoff.errors import DataError, UsageError
from signoff.record import capture
from signoff.record.digest import Digest
from signoff.record.run import RunRecord
from signoff.standard.load import load_standard

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

STANDARD = """\
signoff: 1
version: "4"
profile: small
capture: minimal
use_cases:
  churn:
    owner: ana@shop.example
    type: classification
    evaluate: {data: eval/week.parquet, label: churned}
    primary: {metric: roc_auc, no_worse_than: 0.01}
"""
FRAUD = """\
  fraud:
    owner: eva@shop.example
    type: classification
    experiment: [fraud, "fraud/*"]
    evaluate: {data: eval/fraud.parquet, label: fraud}
    primary: {metric: roc_auc, no_worse_than: 0.01}
"""

Start = Callable[..., RunRecord]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow store of its own for this module: making one takes seconds."""
    import mlflow

    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    address = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(address)
    mlflow.MlflowClient().create_experiment("churn", artifact_location=(folder / "churn").as_uri())
    mlflow.MlflowClient().create_experiment("fraud/linear", artifact_location=(folder / "fraud").as_uri())
    yield address
    mlflow.set_tracking_uri(before)


@pytest.fixture(autouse=True)
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team repository with a standard, committed, as the working folder; no scheduler around it."""
    import mlflow.tracking.fluent

    from signoff.apps.client.capture import PIPELINES

    for name in list(os.environ):
        if name in PIPELINES or name.startswith(("SIGNOFF_", "MLFLOW_EXPERIMENT", "GIT_AUTHOR")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    root = tmp_path / "team"
    root.mkdir()
    monkeypatch.chdir(root)
    (root / "signoff.yaml").write_text(STANDARD)
    git(root, "init", "-q")
    git(root, "config", "user.email", "ben@shop.example")
    git(root, "config", "user.name", "Ben")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


@pytest.fixture
def start(uri: str) -> Start:
    """Runs a body inside ``mlflow.start_run`` and reads the run back."""
    import mlflow

    def run_it(body: Callable[[], object] = lambda: None, **options: object) -> RunRecord:
        with mlflow.start_run(**options) as run:
            body()
        return SqlReader(uri).run(run.info.run_id)

    return run_it


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_run_says_who_what_and_on_which_code_it_ran_without_a_line_of_user_code(
    start: Start, team: Path
) -> None:
    run = start()
    standard = load_standard(STANDARD, str(team / "signoff.yaml"))
    assert run.experiment == "churn"
    assert {name: run.tags[name] for name in (capture.USE_CASE, capture.OWNER, capture.CONTRIBUTOR)} == {
        capture.USE_CASE: "churn",
        capture.OWNER: "ana@shop.example",
        capture.CONTRIBUTOR: "ben@shop.example",
    }
    assert run.tags[capture.GIT_COMMIT] == git(team, "rev-parse", "HEAD")
    assert run.tags[capture.GIT_BRANCH] == git(team, "branch", "--show-current")
    assert run.tags[capture.GIT_DIRTY] == "false"
    assert run.tags[capture.ENVIRONMENT] == "dev"
    assert run.tags[capture.PIPELINE] == "local"
    assert run.tags[capture.STANDARD_VERSION] == "4"
    assert run.tags[capture.STANDARD_DIGEST] == str(standard.digest) == str(Digest.of(STANDARD.encode()))
    assert run.tags[capture.RUNTIME].startswith("mlflow 3.")
    assert not any(name.startswith(capture.PLATFORM_PREFIX) for name in run.tags)
    missing = {finding.code for finding in check_run(standard.use_cases["churn"], run)}
    assert not any(code.startswith("tag:") for code in missing)


def test_full_capture_adds_the_machine(start: Start, team: Path) -> None:
    (team / "signoff.yaml").write_text(STANDARD.replace("minimal", "full"))
    run = start()
    assert {f"{capture.PLATFORM_PREFIX}{name}" for name in ("os", "machine", "cpus")} <= set(run.tags)
    assert run.tags[capture.GIT_DIRTY] == "true"


def test_the_dirty_state_is_that_of_each_run_not_of_the_process(start: Start, team: Path) -> None:
    first = start()
    (team / "train.py").write_text("changed")
    second = start()
    git(team, "add", ".")
    git(team, "commit", "-q", "-m", "second")
    third = start()
    assert [run.tags[capture.GIT_DIRTY] for run in (first, second, third)] == ["false", "true", "false"]
    assert first.tags[capture.GIT_COMMIT] == second.tags[capture.GIT_COMMIT] != third.tags[capture.GIT_COMMIT]


def test_what_the_user_sets_wins(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_ENVIRONMENT", "prod")
    monkeypatch.setenv("SIGNOFF_PIPELINE", "weekly-7")
    run = start(tags={capture.CONTRIBUTOR: "service@shop.example"})
    assert run.tags[capture.ENVIRONMENT] == "prod"
    assert run.tags[capture.PIPELINE] == "weekly-7"
    assert run.tags[capture.CONTRIBUTOR] == "service@shop.example"


def test_with_two_use_cases_the_experiment_decides_then_the_variable_then_nothing(
    start: Start, team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    (team / "signoff.yaml").write_text(STANDARD + FRAUD)
    undecided = start()
    assert undecided.experiment == "Default"
    assert capture.USE_CASE not in undecided.tags
    assert undecided.tags[capture.STANDARD_VERSION] == "4"
    monkeypatch.setenv("SIGNOFF_USE_CASE", "churn")
    named = start()
    assert (named.experiment, named.tags[capture.USE_CASE]) == ("churn", "churn")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")  # restored after the test: set_experiment writes it
    mlflow.set_experiment("fraud/linear")
    placed = start()
    assert (placed.experiment, placed.tags[capture.USE_CASE]) == ("fraud/linear", "fraud")
    assert placed.tags[capture.OWNER] == "eva@shop.example"


def test_a_missing_experiment_is_made_and_named_as_the_standard_says(start: Start, team: Path) -> None:
    (team / "signoff.yaml").write_text(STANDARD.replace("  churn:", "  returns:"))
    assert start().experiment == "returns"
    assert start().experiment == "returns"


@pytest.mark.parametrize(
    ("text", "words"), [("signoff: 1\nprofil: small\n", "fault"), ("a: [", "fault"), ("\xff", "")]
)
def test_a_broken_standard_costs_one_warning_and_the_run_goes_on(
    start: Start, team: Path, caplog: pytest.LogCaptureFixture, text: str, words: str
) -> None:
    (team / "signoff.yaml").write_bytes(text.encode("latin-1"))
    with caplog.at_level(logging.DEBUG):
        first, second = start(), start()
    ours = [record for record in caplog.records if record.name == "signoff"]
    assert [record.levelname for record in ours] == ["WARNING"]
    assert words in ours[0].getMessage()
    assert "unexpected error" not in caplog.text
    for run in (first, second):
        assert run.status == "FINISHED"
        assert capture.STANDARD_DIGEST not in run.tags
        assert run.tags[capture.GIT_DIRTY] == "true"


def test_without_git_and_standard_a_script_runs_in_silence(tmp_path: Path, uri: str) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    script = folder / "train.py"
    script.write_text(
        "import mlflow, json\n"
        "with mlflow.start_run() as run: pass\n"
        "print(json.dumps(mlflow.get_run(run.info.run_id).data.tags))\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "GIT_"))}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=environ | {"PATH": str(tmp_path), "MLFLOW_TRACKING_URI": uri, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    tags = json.loads(done.stdout)
    assert "signoff" not in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert tags[capture.ENTRY_POINT] == "train.py"
    assert tags[capture.PYTHON] == ".".join(str(part) for part in sys.version_info[:3])
    assert capture.GIT_COMMIT not in tags
    assert capture.STANDARD_VERSION not in tags


def test_one_file_has_one_digest_wherever_it_is_asked(start: Start, team: Path) -> None:
    import pandas as pd

    import signoff
    from signoff.adapters.tables import read_table

    frame = pd.DataFrame({"spend": [1.0, 2.5], "churned": [0, 1]})
    frame.to_parquet(team / "week.parquet")
    frame.to_csv(team / "week.csv", index=False)

    def log() -> None:
        signoff.log_dataset("week.parquet", name="week", version="v3", target="churned")
        signoff.log_dataset(
            team / "week.csv", name="late", source="https://shop.example/week", context="evaluation"
        )

    late, week = start(log).datasets
    assert (week.name, week.context, week.rows, week.version, week.source) == (
        "week",
        "training",
        2,
        "v3",
        "week.parquet",
    )
    assert week.digest == str(read_table(team / "week.parquet").digest)
    assert (late.digest, late.rows) == (str(read_table(team / "week.csv").digest), 2)
    assert (late.source, late.source_type, late.context) == (
        "https://shop.example/week",
        "http",
        "evaluation",
    )


def test_a_delta_table_says_its_version_itself(start: Start, team: Path) -> None:
    import pandas as pd
    from deltalake import write_deltalake

    import signoff
    from signoff.adapters.tables import read_table

    table = team / "weeks"
    for week in (1, 2):
        write_deltalake(str(table), pd.DataFrame({"week": [week]}), mode="append")
    (logged,) = start(lambda: signoff.log_dataset(table, name="weeks")).datasets
    assert (logged.version, logged.rows, logged.source_type) == ("1", 2, "delta_table")
    assert logged.digest == str(read_table(table).digest)
    with pytest.raises(DataError, match="version 0 was named, but the table is at version 1"):
        start(lambda: signoff.log_dataset(table, name="weeks", version=0))


def test_a_frame_is_named_by_its_columns_types_and_values_in_order(start: Start) -> None:
    import pandas as pd

    import signoff
    from signoff.apps.client.datasets import frame_digest

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    others = [
        frame.iloc[::-1].reset_index(drop=True),
        frame[["b", "a"]],
        frame.astype({"a": "float64"}),
        frame.rename(columns={"a": "c"}),
        frame.assign(a=[1, 3]),
        frame.set_index("a"),
    ]
    assert frame_digest(frame.copy()) == frame_digest(frame)
    assert frame_digest(frame.iloc[:1]) == frame_digest(frame.head(1).copy())
    assert len({frame_digest(other) for other in [frame, *others]}) == 1 + len(others)
    (logged,) = start(lambda: signoff.log_dataset(frame, name="weeks", source="warehouse.weeks")).datasets
    assert (logged.digest, logged.rows, logged.source) == (str(frame_digest(frame)), 2, "warehouse.weeks")
    with pytest.raises(DataError, match="no canonical bytes"):
        frame_digest(pd.DataFrame({"a": [1, "x", object()]}))


def test_the_second_use_of_the_same_data_is_not_lost_in_silence(start: Start, team: Path) -> None:
    import signoff

    (team / "week.csv").write_text("a\n1\n")

    def log() -> None:
        signoff.log_dataset("week.csv", name="week")
        signoff.log_dataset("week.csv", name="week")
        signoff.log_dataset("week.csv", name="week-again", context="evaluation")
        with pytest.raises(UsageError, match="already logged data set 'week' with these bytes for training"):
            signoff.log_dataset("week.csv", name="week", context="evaluation")

    assert [(d.name, d.context) for d in start(log).datasets] == [
        ("week-again", "evaluation"),
        ("week", "training"),
    ]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("missing.parquet", DataError),
        ("missing-folder", DataError),
        ("notes.txt", DataError),
        ("broken.parquet", DataError),
        ("folder", DataError),
        ("s3://bucket/week.parquet", UsageError),
        ([1, 2], UsageError),
    ],
)
def test_data_that_cannot_be_digested_is_refused(start: Start, team: Path, data: object, error: type) -> None:
    import signoff

    (team / "notes.txt").write_text("a")
    (team / "broken.parquet").write_text("no parquet")
    (team / "folder").mkdir()
    with pytest.raises(error):
        start(lambda: signoff.log_dataset(data, name="week", source="x"))  # type: ignore[arg-type]


def test_evidence_of_each_kind_becomes_a_file_that_people_can_open(
    start: Start, team: Path, tmp_path: Path
) -> None:
    import mlflow
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    import signoff

    (team / "report.html").write_text("<p>fine</p>")
    figure = Figure()
    figure.subplots().plot([1, 2])

    def log() -> None:
        assert signoff.log_evidence("threshold_rationale", "Because.", note="Agreed in May.") == (
            "evidence/threshold_rationale.md"
        )
        signoff.log_evidence("confusion_matrix", {"tp": np.int64(3), "rates": np.array([0.5])})
        signoff.log_evidence("false_positives", pd.DataFrame({"id": [7]}))
        signoff.log_evidence("plots/roc", figure)
        signoff.log_evidence("report", team / "report.html")
        signoff.log_evidence("labels.txt", "churned")

    run = start(log)
    assert run.artifacts == (
        "environment/requirements.txt",
        "evidence/confusion_matrix.json",
        "evidence/false_positives.csv",
        "evidence/labels.txt",
        "evidence/plots/roc.png",
        "evidence/report.html",
        "evidence/threshold_rationale.md",
        "evidence/threshold_rationale.note.md",
    )
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run.run_id, dst_path=str(tmp_path)))
    assert (folder / "evidence/threshold_rationale.md").read_text() == "Because.\n"
    assert json.loads((folder / "evidence/confusion_matrix.json").read_text()) == {"tp": 3, "rates": [0.5]}
    assert (folder / "evidence/false_positives.csv").read_text() == "id\n7\n"
    packages = (folder / capture.ENVIRONMENT_ARTIFACT).read_bytes()
    assert str(Digest.of(packages)) == run.tags[capture.ENVIRONMENT_DIGEST]


def test_evidence_reaches_a_finished_run_but_another_environment_does_not(start: Start, uri: str) -> None:
    import mlflow

    import signoff

    elsewhere = start(tags={capture.ENVIRONMENT_DIGEST: str(Digest.of(b"another machine"))})
    signoff.log_evidence("late", "Found later.", run_id=elsewhere.run_id)
    assert SqlReader(uri).run(elsewhere.run_id).artifacts == ("evidence/late.md",)
    assert mlflow.active_run() is None


@pytest.mark.parametrize(
    "name", ["../escape", "/etc/passwd", "a/../b", "", "a b", ".hidden", "a/", "a//b", "a\nb"]
)
def test_a_name_cannot_leave_the_evidence_folder(start: Start, name: str) -> None:
    import signoff

    with pytest.raises(UsageError, match="not a name for evidence"):
        start(lambda: signoff.log_evidence(name, "x"))


@pytest.mark.parametrize(
    "content", [3, float("nan"), {"auc": float("nan")}, {"model": object()}, Path("missing.md")]
)
def test_evidence_that_has_no_file_form_is_refused(start: Start, content: object) -> None:
    import signoff

    with pytest.raises(UsageError):
        start(lambda: signoff.log_evidence("odd", content))  # type: ignore[arg-type]


def test_without_a_run_the_author_is_told_what_to_write(uri: str) -> None:
    import signoff

    with pytest.raises(UsageError, match="without an active run") as told:
        signoff.log_evidence("threshold_rationale", "Because.")
    assert "with mlflow.start_run():" in str(told.value)
    with pytest.raises(UsageError, match="without an active run"):
        signoff.log_dataset("week.parquet", name="week")
