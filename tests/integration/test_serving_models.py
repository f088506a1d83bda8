"""Other models than a pipeline of classes: each answers as MLflow's loader and scoring code would, in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import msgspec
import numpy as np
import pytest
from bundle_team import indexed, words
from mlflow.models import infer_signature
from mlflow.pyfunc.scoring_server import invocations
from mlflow.types import ParamSchema, ParamSpec
from serving_fixtures import JSON
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from team import inside

import signoff
from signoff.adapters.model_folder import open_model, read_folder
from signoff.apps.serving.routes import Request
from signoff.apps.serving.scoring import Scoring

IRIS = load_iris(as_frame=True)
DIABETES = load_diabetes(as_frame=True)


def save(folder: Path, model: Any, rows: Any, **options: Any) -> Path:
    signature = options.pop("signature", None) or infer_signature(rows, model.predict(rows))
    given = {"serialization_format": "skops", "pip_requirements": ["scikit-learn"]} | options
    mlflow.sklearn.save_model(model, str(folder), signature=signature, **given)
    return folder


def regression(folder: Path) -> Path:
    return save(folder, LinearRegression().fit(DIABETES.data, DIABETES.target), DIABETES.data)


def two_targets(folder: Path) -> Path:
    both = DIABETES.target.to_frame().assign(half=DIABETES.target / 2)
    return save(folder, LinearRegression().fit(DIABETES.data, both), DIABETES.data)


def probabilities(folder: Path) -> Path:
    model = LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target)
    return save(folder, model, IRIS.data, pyfunc_predict_fn="predict_proba")


def texts_as_classes(folder: Path) -> Path:
    model = LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target_names[IRIS.target])
    return save(folder, model, IRIS.data)


def unnamed_columns(folder: Path) -> Path:
    model = LinearRegression().fit(DIABETES.data.to_numpy(), DIABETES.target)
    return save(folder, model, DIABETES.data.to_numpy())


def with_params(folder: Path) -> Path:
    model = LinearRegression().fit(DIABETES.data, DIABETES.target)
    signature = infer_signature(DIABETES.data, model.predict(DIABETES.data))
    signature.params = ParamSchema([ParamSpec("depth", "long", 1)])
    return save(folder, model, DIABETES.data, signature=signature)


def assistant(folder: Path) -> Path:
    """A bundle of components, logged in a store beside it."""
    with inside(folder.parent):
        mlflow.set_tracking_uri(f"sqlite:///{folder.parent / 'mlflow.db'}")
        mlflow.set_experiment("docs")
        with mlflow.start_run():
            logged = signoff.log_bundle(components=words(), passages=indexed(), example="What is a lambda?")
        mlflow.artifacts.download_artifacts(logged.uri, dst_path=str(folder))
    (folder / "registered_model_meta").unlink(missing_ok=True)  # MLflow's mark of a download
    return folder


def body(rows: Any) -> bytes:
    return json.dumps({"dataframe_split": rows.to_dict(orient="split")}).encode()


DIABETES_ROWS, IRIS_ROWS = body(DIABETES.data.head(3)), body(IRIS.data.tail(3))
QUESTIONS = json.dumps({"dataframe_records": [{"query": "What is a lambda?"}, {"query": ""}]}).encode()
LISTS = json.dumps({"inputs": DIABETES.data.head(2).to_numpy().tolist()}).encode()
MODELS: dict[str, tuple[Callable[[Path], Path], bytes]] = {
    "regression": (regression, DIABETES_ROWS),
    "two targets": (two_targets, DIABETES_ROWS),
    "probabilities": (probabilities, IRIS_ROWS),
    "texts as classes": (texts_as_classes, IRIS_ROWS),
    "unnamed columns": (unnamed_columns, LISTS),
    "params": (with_params, DIABETES_ROWS[:-1] + b', "params": {"depth": 3}}'),
    "wrong params": (with_params, DIABETES_ROWS[:-1] + b', "params": {"depth": "deep"}}'),
    "a bundle": (assistant, QUESTIONS),
    "a bundle asked for something else": (assistant, DIABETES_ROWS),
}


def by_mlflow(folder: Path, asked: bytes) -> tuple[int, Any]:
    """Status, and the body or the error's code, of MLflow's own loader and scoring code."""
    model = mlflow.pyfunc.load_model(str(folder))
    try:
        found = invocations(asked, JSON, model, model.metadata.get_input_schema())
    except mlflow.MlflowException as error:
        return error.get_http_status_code(), error.error_code
    return found.status, found.response.encode()


@pytest.mark.parametrize("case", MODELS)
def test_the_answer_is_that_of_mlflow(case: str, tmp_path: Path) -> None:
    make, asked = MODELS[case]
    folder = read_folder(make(tmp_path / "model"))
    ours = Scoring(folder, open_model(folder, pickle="refused")).answer(
        Request(body=asked, content_type=JSON)
    )
    told = ours.body if ours.status == 200 else json.loads(ours.body)["error_code"]
    assert (ours.status, told) == by_mlflow(folder.path, asked)
    assert not ours.failed


def test_a_model_that_answers_nan_or_raises_has_failed(tmp_path: Path) -> None:
    model = LinearRegression().fit(DIABETES.data, DIABETES.target)
    model.coef_ = np.full_like(model.coef_, np.nan)
    folder = read_folder(save(tmp_path / "nan", model, DIABETES.data))
    scoring = Scoring(folder, open_model(folder, pickle="refused"))
    answer = scoring.answer(Request(body=DIABETES_ROWS, content_type=JSON))
    assert (answer.status, answer.failed) == (200, True)
    missing = json.dumps({"dataframe_records": [dict.fromkeys(DIABETES.data.columns)]}).encode()
    refused = scoring.answer(Request(body=missing, content_type=JSON))
    assert (refused.status, refused.failed) == (400, True)
    assert json.loads(refused.body)["message"] == "the model failed on these rows"
    broken = scoring.answer(Request(body=b"{", content_type=JSON))
    assert (broken.status, broken.failed) == (400, False)


def test_rows_are_sent_along_when_they_are_wanted(tmp_path: Path) -> None:
    folder = read_folder(regression(tmp_path / "model"))
    scoring = Scoring(folder, open_model(folder, pickle="refused"))
    for wanted in (True, False):
        answer = scoring.answer(Request(body=DIABETES_ROWS, content_type=JSON, rows_wanted=wanted))
        assert bool(answer.rows) is wanted
        if wanted:
            rows = msgspec.msgpack.decode(answer.rows)
            expected = [[n, "double", DIABETES.data[n].head(3).tolist()] for n in DIABETES.data.columns]
            assert rows == expected
