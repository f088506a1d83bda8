"""Every kind of model through the command line, on real rows that come with scikit-learn and matplotlib.

Digits with their names as classes; patients ranked by how their diabetes went on, in lists of five; brain
waves and share prices forecast against the last value.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from team import CONTEXT, Outcome, Team, inside, make_repository, signoff

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LAGS = ["last", "second", "third", "fourth"]
STANDARD = """\
signoff: 1
profile: small
evidence: warn
model_types:
  digits: {like: text-classification}
use_cases:
  digits:
    owner: ana@lab.example
    type: digits
    evaluate: {data: eval/digits.parquet, label: digit, row_key: image}
    primary: {metric: macro_f1, no_worse_than: 0.05}
    slices:
      - {by: digit, metric: accuracy, no_worse_than: 0.2, inconclusive: warn}
    gate: {documented_data: false, reproducible: false}
    batch: {input: scoring/digits.parquet, output: predictions/digits, keys: [image]}
  patients:
    owner: ana@lab.example
    type: ranking
    evaluate: {data: eval/patients.parquet, label: grade, group: list, k: 3, row_key: patient}
    primary: {metric: ndcg, no_worse_than: 0.1}
    slices:
      - {by: half, metric: mrr, no_worse_than: 0.2}
    thresholds:
      - {metric: latency_p95_ms, at_most: 10000}
    gate: {documented_data: false, reproducible: false}
    batch: {input: scoring/patients.parquet, output: predictions/patients, keys: [patient]}
  waves:
    owner: ana@lab.example
    type: forecasting
    evaluate: {data: eval/waves.parquet, label: value, naive: last}
    primary: {metric: mae, no_worse_than: 1}
    slices:
      - {by: horizon, metric: mae, no_worse_than: 5}
    gate: {documented_data: false, reproducible: false}
  shares:
    owner: ana@lab.example
    type: forecasting
    evaluate: {data: eval/shares.parquet, label: value, naive: last}
    primary: {metric: mae, no_worse_than: 1}
    thresholds:
      - {metric: mae, at_most: 100}
    gate: {documented_data: false, reproducible: false}
"""


def digits() -> Any:
    from sklearn.datasets import load_digits

    frame = load_digits(as_frame=True).frame.rename(columns={"target": "digit"})
    frame["digit"] = [NAMES[code] for code in frame["digit"]]
    frame.insert(0, "image", range(len(frame)))
    return frame


def patients() -> Any:
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True).frame
    frame["grade"] = pd.qcut(frame.pop("target"), 4, labels=False)
    frame.insert(0, "patient", range(len(frame)))
    frame["list"] = frame["patient"] // 5
    frame["half"] = ["early" if number < 60 else "late" for number in frame["list"]]
    return frame


def lagged(series: Any, horizons: tuple[int, ...]) -> Any:
    """One row per time and horizon: the last four values and the one to come."""
    parts = []
    for horizon in horizons:
        part = pd.DataFrame({name: np.roll(series, at) for at, name in enumerate(LAGS)})
        part["value"] = np.roll(series, -horizon)
        part["horizon"] = horizon
        parts.append(part.iloc[len(LAGS) : -horizon])
    return pd.concat(parts, ignore_index=True)


def waves() -> Any:
    from matplotlib import cbook

    file: Any = cbook.get_sample_data("eeg.dat")
    with file:
        channels = np.frombuffer(file.read(), dtype=np.float64).reshape(800, 4)
    return pd.concat([lagged(channel, (1, 2)) for channel in channels.T], ignore_index=True)


def shares() -> Any:
    from matplotlib import cbook

    prices: Any = cbook.get_sample_data("goog.npz")
    return lagged(prices["price_data"]["adj_close"], (1,))


def halves(frame: Any) -> tuple[Any, Any]:
    """Rows for training and for evaluation; lists stay whole."""
    half = frame["list"] % 2 == 0 if "list" in frame else frame.index % 2 == 0
    return frame[half], frame[~half]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team with the four use cases and their tables; each test logs its runs and keeps to its use case."""
    folder = tmp_path_factory.mktemp("tasks") / "repo"
    make_repository(folder, STANDARD)
    frames = {"digits": digits(), "patients": patients(), "waves": waves(), "shares": shares()}
    for name, frame in frames.items():
        halves(frame)[1].to_parquet(folder / f"eval/{name}.parquet", index=False)
        inputs = frame.drop(columns=["digit", "grade", "value"], errors="ignore")
        inputs.to_parquet(folder / f"scoring/{name}.parquet", index=False)
    return Team(folder=folder, good="", weak="")


def log(team: Team, use_case: str, model: Any, features: Any, label_map: Any = None) -> str:
    import mlflow
    from mlflow.models import infer_signature

    from signoff import log_evidence

    with inside(team.folder):
        mlflow.set_tracking_uri(f"sqlite:///{team.folder / 'mlflow.db'}")
        mlflow.set_experiment(use_case)
        with mlflow.start_run() as run:
            if label_map is not None:
                log_evidence("label_map", label_map)
            mlflow.sklearn.log_model(
                model,
                name="model",
                signature=infer_signature(features, model.predict(features.head(9))),
                input_example=features.head(3),
                pip_requirements=["scikit-learn", "skops"],
            )
    run_id: str = run.info.run_id
    return run_id


def reader_of_digits(pixels: int, relabel: Mapping[str, str] | None = None) -> tuple[Any, Any]:
    """A model on the first pixels, and its features."""
    from sklearn.neighbors import NearestCentroid

    rows, _ = halves(digits())
    features = rows[[name for name in rows if name.startswith("pixel")][:pixels]]
    return NearestCentroid().fit(features, rows["digit"].replace(dict(relabel or {}))), features


def checks_of(outcome: Outcome) -> dict[str, Any]:
    return {check["id"]: check for check in json.loads(outcome.out)["checks"]}


def release(team: Team, run: str, use_case: str) -> None:
    for command in (
        ("propose", run, *CONTEXT, "--key", team.key("ana")),
        ("approve", f"{use_case}/1", "--key", team.key("ben")),
        ("promote", f"{use_case}/1", "--key", team.key("cleo")),
    ):
        outcome = signoff(team, *command)
        assert outcome.code == 0, outcome


def test_many_classes_are_judged_by_name_and_a_moved_label_is_refused(tasks: Team) -> None:
    model, features = reader_of_digits(64)
    first = log(tasks, "digits", model, features, model.classes_.tolist())
    found = checks_of(signoff(tasks, "gate", first, "--format", "json"))
    assert found["first-release:constant"]["status"] == "pass"
    assert found["stable:labels"]["status"] == "pass"
    assert found["measured:digit=eight:accuracy"]["rows"] > 50
    release(tasks, first, "digits")
    assert signoff(tasks, "predict", "digits").code == 0
    scored = pd.DataFrame(read_delta(tasks.folder / "predictions/digits"))
    assert list(scored.columns) == ["image", "prediction"]
    truth = digits().set_index("image")["digit"]
    assert (truth.loc[scored["image"]].to_numpy() == scored["prediction"].to_numpy()).mean() > 0.8

    model, features = reader_of_digits(60)
    again = log(tasks, "digits", model, features, dict(enumerate(model.classes_.tolist())))
    found = checks_of(signoff(tasks, "gate", again, "--format", "json"))
    assert found["margin:macro_f1"]["status"] == "pass"
    assert found["slice:digit=eight:accuracy"]["baseline"] is not None
    assert found["stable:labels"]["status"] == "pass"

    swapped = [*model.classes_.tolist()[1::-1], *model.classes_.tolist()[2:]]
    moved = log(tasks, "digits", model, features, swapped)
    outcome = signoff(tasks, "gate", moved, "--format", "json")
    assert outcome.code == 1, outcome
    assert (
        "in another order: place 0 is 'eight' and not 'five'"
        in checks_of(outcome)["stable:labels"]["message"]
    )

    model, features = reader_of_digits(64, {"nine": "neun"})
    renamed = log(tasks, "digits", model, features, model.classes_.tolist())
    outcome = signoff(tasks, "gate", renamed, "--format", "json")
    assert outcome.code == 1, outcome
    message = checks_of(outcome)["stable:labels"]["message"]
    assert "of the production model without 'nine' and with 'neun' beside" in message
    assert "labels that the model does not know: 'nine'" in message
    assert "no row is of class neun" in checks_of(outcome)["margin:macro_f1"]["message"]


def test_lists_are_ranked_against_a_random_order(tasks: Team) -> None:
    from sklearn.linear_model import LinearRegression

    rows, _ = halves(patients())
    runs = {}
    for columns, code in ((("s1",), 1), (("bmi", "bp", "s5"), 0)):
        features = rows[[*columns]]
        model = LinearRegression().fit(features, rows["grade"])
        runs[code] = log(tasks, "patients", model, features)
        outcome = signoff(tasks, "gate", runs[code], "--format", "json")
        assert outcome.code == code, outcome
        found = checks_of(outcome)
        assert (found["first-release:chance"]["status"] == "pass") == (code == 0)
        assert "a random order of each list" in found["first-release:chance"]["message"]
        assert found["threshold:latency_p95_ms"]["status"] == "pass"
        assert (found["measured:ndcg"]["rows"], found["measured:half=early:mrr"]["rows"]) == (44, 30)
    release(tasks, runs[0], "patients")
    assert signoff(tasks, "predict", "patients").code == 0
    assert sorted(read_delta(tasks.folder / "predictions/patients")) == ["patient", "score"]
    found = checks_of(signoff(tasks, "gate", runs[1], "--format", "json"))
    assert found["margin:ndcg"]["status"] != "pass"
    assert found["slice:half=late:mrr"]["rows"] == 14


@pytest.mark.parametrize(("use_case", "code"), [("waves", 0), ("shares", 1)])
def test_a_forecast_must_beat_the_last_value(tasks: Team, use_case: str, code: int) -> None:
    """Four values of a wave say more than one. Yesterday's share price is hard to beat, and a bound on its error
    does not stand in for that.
    """
    from sklearn.linear_model import LinearRegression

    rows, _ = halves({"waves": waves, "shares": shares}[use_case]())
    model = LinearRegression().fit(rows[LAGS], rows["value"])
    outcome = signoff(tasks, "gate", log(tasks, use_case, model, rows[LAGS]), "--format", "json")
    assert outcome.code == code, outcome
    found = checks_of(outcome)["first-release:naive"]
    assert (found["status"] == "pass") == (code == 0)
    assert "compared with the naive forecast in column last" in found["message"]


def read_delta(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    from deltalake import DeltaTable

    found: dict[str, Any] = pa.table(DeltaTable(str(path)).to_pyarrow_table()).to_pydict()
    return found
