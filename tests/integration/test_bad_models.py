"""Models that cannot be judged are named, and nothing in their files runs."""

import copy
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from team import Team, cancer, copy_team, inside, log_run, signoff
from untouched import undecided, untouched


@pytest.fixture(scope="module")
def odd_once(made: Team, tmp_path_factory: pytest.TempPathFactory) -> tuple[Team, dict[str, str]]:
    """Runs whose models cannot be judged, by what is odd about them."""
    import mlflow
    import numpy as np
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    team = copy_team(made, tmp_path_factory.mktemp("odd") / "team")
    frame = cancer()
    columns = ["mean_radius", "mean_texture"]
    model = LogisticRegression().fit(frame[columns], frame["benign"])
    calls_copy = make_pipeline(FunctionTransformer(copy.copy), model)
    answers_nan = LogisticRegression().fit(frame[columns], frame["benign"])
    answers_nan.coef_ = np.full_like(answers_nan.coef_, np.nan)
    signature = infer_signature(frame[columns], model.predict(frame[columns]))

    def log(*models: Any, **options: Any) -> str:
        with mlflow.start_run() as run:
            for number, one in enumerate(models):
                mlflow.sklearn.log_model(
                    one, name=f"model{number}", signature=signature, pip_requirements=[], **options
                )
        run_id: str = run.info.run_id
        return run_id

    with inside(team.folder):
        runs = {"no signature": log_run("good", signature=False)}
        runs["no model"] = log()
        runs["two models"] = log(model, model)
        runs["pickled"] = log(model, serialization_format="cloudpickle")
        code = team.folder / "own.py"
        code.write_text("VALUE = 1\n")
        runs["code"] = log(model, code_paths=[str(code)])
        code.unlink()
        runs["untrusted"] = log(calls_copy, skops_trusted_types=["copy.copy"])
        runs["answers NaN"] = log(answers_nan)
    return team, runs


@pytest.fixture
def odd(odd_once: tuple[Team, dict[str, str]], tmp_path: Path) -> tuple[Team, dict[str, str]]:
    team, runs = odd_once
    return copy_team(team, tmp_path / "team"), runs


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("no signature", ["the model has no signature", "infer_signature"]),
        ("no model", ["the run logged no model", "log_model"]),
        ("two models", ["the run logged 2 models: model0, model1", "one model per run"]),
        ("pickled", ["model.pkl", "may run code", "skops", "pickle: allowed"]),
        ("code", ["brings code of its own", "own.py"]),
        ("untrusted", ["types that are not trusted", "copy.copy"]),
        ("answers NaN", ["NaN"]),
    ],
)
def test_a_run_whose_model_cannot_be_judged(
    odd: tuple[Team, dict[str, str]], which: str, words: Sequence[str]
) -> None:
    team, runs = odd
    with untouched(team):
        undecided(signoff(team, "gate", runs[which]), *words)


def _model_folder(team: Team, run_id: str) -> Path:
    (found,) = (path for path in team.folder.glob("mlruns/**/MLmodel") if run_id in path.read_text())
    return found.parent


class Payload:
    """Pickles as a call that makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str, int]]:
        return os.mkdir, (str(self.target), 0o755)


def _as_sklearn(folder: Path, pickled: bytes) -> None:
    (folder / "model.pkl").write_bytes(pickled)


def _named_skops(folder: Path, pickled: bytes) -> None:
    (folder / "model.pkl").unlink()
    (folder / "model.skops").write_bytes(pickled)
    _edit(folder, "model.pkl", "model.skops")


def _as_lightgbm(folder: Path, pickled: bytes) -> None:
    """MLflow unpickles a LightGBM model of another class than Booster, whatever its file is called."""
    (folder / "model.pkl").unlink()
    (folder / "model.txt").write_bytes(pickled)
    document = YAML().load(folder / "MLmodel")
    document["flavors"] = {
        "lightgbm": {"data": "model.txt", "model_class": "lightgbm.sklearn.LGBMClassifier"},
        "python_function": {"data": "model.txt", "loader_module": "mlflow.lightgbm"},
    }
    YAML().dump(document, folder / "MLmodel")


def _nested(folder: Path, pickled: bytes) -> None:
    """What the root's MLmodel names looks harmless; MLflow follows its ``data`` to another MLmodel below."""
    (folder / "model.pkl").unlink()
    (folder / "model.lgb").write_text("tree")
    (folder / "sub").mkdir()
    (folder / "sub/model.bin").write_bytes(pickled)
    below = {"model_class": "x.Y", "data": "model.bin", "serialization_format": "cloudpickle"}
    YAML().dump({"flavors": {"lightgbm": below}}, folder / "sub/MLmodel")
    document = YAML().load(folder / "MLmodel")
    document["flavors"] = {
        "lightgbm": {"data": "model.lgb", "model_class": "lightgbm.basic.Booster"},
        "python_function": {"model_path": "model.lgb", "data": "sub", "loader_module": "mlflow.lightgbm"},
    }
    YAML().dump(document, folder / "MLmodel")


def _edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "MLmodel").read_text()
    assert old in text
    (folder / "MLmodel").write_text(text.replace(old, new))


@pytest.mark.parametrize("disguise", [_as_sklearn, _named_skops, _as_lightgbm, _nested])
def test_a_pickled_payload_never_runs(
    odd: tuple[Team, dict[str, str]], disguise: Callable[[Path, bytes], None], tmp_path: Path
) -> None:
    import pickle

    team, runs = odd
    target = tmp_path / "made by the payload"
    disguise(_model_folder(team, runs["pickled"]), pickle.dumps(Payload(target)))
    with untouched(team):
        undecided(signoff(team, "gate", runs["pickled"]), "model")
    assert not target.exists()
    pickle.loads(pickle.dumps(Payload(target)))  # noqa: S301 - shows that the payload would have worked
    assert target.exists()


def _link(folder: Path) -> None:
    (folder / "model.skops").rename(folder / "elsewhere.skops")
    (folder / "model.skops").symlink_to(folder / "elsewhere.skops")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "MLmodel").write_text("flavors: ["), ["the MLmodel file is not readable YAML"]),
        (lambda f: (f / "MLmodel").write_bytes(b"\xff\xfe"), ["the MLmodel file is not readable YAML"]),
        (lambda f: (f / "MLmodel").write_text("[" * 400), ["the MLmodel file is not readable YAML"]),
        (lambda f: (f / "MLmodel").write_text("- a list"), ["the MLmodel file is not a mapping"]),
        (lambda f: (f / "MLmodel").unlink(), ["no MLmodel file", "log_model"]),
        (lambda f: _edit(f, "flavors:", "flavours:"), ["no known loader"]),
        (lambda f: _edit(f, "python_function:", "python_function: []\n  other:"), ["no known loader"]),
        (lambda f: (f / "model.skops").write_bytes(b"PK\x03\x04"), ["does not load"]),
        (lambda f: (f / "model.skops").unlink(), ["is not where the MLmodel file says"]),
        (
            lambda f: _edit(f, "model_path: model.skops", "model_path: ../../etc/model.skops"),
            ["python_function.model_path", "outside of the model's folder", "../../etc/model.skops"],
        ),
        (
            lambda f: _edit(f, "model_path: model.skops", f"model_path: {f / 'model.skops'}"),
            ["python_function.model_path", "outside of the model's folder"],
        ),
        (
            lambda f: _edit(f, "pickled_model: model.skops", "pickled_model: /tmp/model.skops"),
            ["sklearn.pickled_model", "outside of the model's folder"],
        ),
        (lambda f: _edit(f, "code: null", "code: ../code"), ["../code", "outside of the model's folder"]),
        (_link, ["a link among the model's files", "model.skops"]),
        (lambda f: os.mkfifo(f / "pipe"), ["cannot be copied", "pipe"]),
        (shutil.rmtree, ["not there", "deleted"]),
    ],
)
def test_model_files_that_cannot_be_used(
    fresh: Team, spoil: Callable[[Path], object], words: Sequence[str]
) -> None:
    spoil(_model_folder(fresh, fresh.good))
    with _without_pipes(fresh), untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), *words)


@contextmanager
def _without_pipes(team: Team) -> Iterator[None]:
    yield
    for path in team.folder.rglob("pipe"):
        path.unlink()
