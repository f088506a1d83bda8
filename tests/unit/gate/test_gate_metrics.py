"""Point metrics against scikit-learn, on rows made to be hard."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sk

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray
from signoff.gate.metrics import POINT_METRICS
from signoff.standard.metrics import METRICS

RANDOM = np.random.default_rng(20261116)
TRUTH = (RANDOM.random(400) < 0.3).astype(np.float64)
SCORES: dict[str, FloatArray] = {
    "distinct": RANDOM.random(400),
    "heavy ties": np.round(RANDOM.random(400), 1),
    "constant": np.full(400, 0.5),
    "certain 0 and 1": (RANDOM.random(400) < 0.4).astype(np.float64),
    "minus zero": np.where(RANDOM.random(400) < 0.5, -0.0, RANDOM.choice([0.0, 0.25], 400)),
    "adjacent doubles": np.nextafter(0.75, 1.0 - TRUTH),
    "tiny": 10.0 ** RANDOM.uniform(-300, 0, 400),
    "positives first, tied": np.sort(np.round(RANDOM.random(400), 1)),
}
OF_SCORES: dict[str, Callable[..., float]] = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
}
OF_DECISIONS: dict[str, Callable[..., float]] = {
    "accuracy": sk.accuracy_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
}
OF_VALUES: dict[str, Callable[..., float]] = {
    "mae": sk.mean_absolute_error,
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
}


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("name", OF_SCORES)
def test_score_metrics_agree_with_scikit_learn(name: str, scores: str) -> None:
    score = SCORES[scores]
    assert POINT_METRICS[name](TRUTH, score) == pytest.approx(OF_SCORES[name](TRUTH, score), rel=1e-12)


@pytest.mark.parametrize("name", OF_DECISIONS)
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_decision_metrics_agree_with_scikit_learn(name: str, share: float) -> None:
    decision = (RANDOM.random(400) < share).astype(np.float64)
    assert POINT_METRICS[name](TRUTH, decision) == pytest.approx(
        OF_DECISIONS[name](TRUTH, decision), rel=1e-13
    )


@pytest.mark.parametrize("name", OF_VALUES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_regression_metrics_agree_with_scikit_learn(name: str, scale: float) -> None:
    truth = RANDOM.normal(size=300) * scale
    value = truth + RANDOM.normal(size=300) * scale
    assert POINT_METRICS[name](truth, value) == pytest.approx(OF_VALUES[name](truth, value), rel=1e-12)


def test_every_quality_metric_of_the_standard_has_a_point_metric() -> None:
    of_rows = {name for name, metric in METRICS.items() if metric.kind in {"score", "decision"}}
    assert set(POINT_METRICS) == of_rows


def test_auc_does_not_depend_on_the_order_of_tied_rows() -> None:
    score = np.round(RANDOM.random(400), 1)
    first = np.argsort(-TRUTH, kind="stable")
    assert POINT_METRICS["roc_auc"](TRUTH[first], score[first]) == POINT_METRICS["roc_auc"](TRUTH, score)


@pytest.mark.parametrize(
    ("name", "truth", "answers"),
    [
        ("roc_auc", [1, 1], [0.1, 0.9]),
        ("roc_auc", [0, 0], [0.1, 0.9]),
        ("average_precision", [0, 0], [0.1, 0.9]),
        ("precision", [0, 1], [0, 0]),
        ("recall", [0, 0], [0, 1]),
        ("f1", [0, 0], [0, 0]),
        ("accuracy", [], []),
        ("r2", [2, 2], [1, 2]),
    ],
)
def test_an_undefined_metric_is_none(name: str, truth: list[float], answers: list[float]) -> None:
    assert POINT_METRICS[name](np.array(truth, dtype=np.float64), np.array(answers, dtype=np.float64)) is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [*OF_SCORES, *OF_VALUES])
def test_a_score_that_is_no_number_is_refused(name: str, wrong: float) -> None:
    score = RANDOM.random(400)
    score[[7, 9]] = wrong
    with pytest.raises(DataError, match="2 of 400 answers are NaN or infinite, the first in row 7"):
        POINT_METRICS[name](TRUTH, score)


@pytest.mark.parametrize("name", ["log_loss", "brier"])
def test_a_score_outside_0_and_1_is_no_probability(name: str) -> None:
    with pytest.raises(DataError, match=r"row 1 has 1\.5"):
        POINT_METRICS[name](np.array([0.0, 1.0]), np.array([0.5, 1.5]))
