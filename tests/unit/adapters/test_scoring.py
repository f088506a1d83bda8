"""How models are asked: the positive label is the table's, whatever order a model keeps its classes in."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from signoff.adapters.scoring import classify, measure_latency, model_input, regress
from signoff.errors import DataError, ModelError
from signoff.record.schema import ColumnRecord, SchemaRecord
from signoff.standard.model import EvaluationRecipe

FRAME = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})


class Answers:
    """A model with the given methods."""

    def __init__(self, classes: tuple[Any, ...] | None = None, **methods: Any) -> None:
        self.classes = classes
        self.methods = methods

    def __call__(self, method: str, frame: Any) -> Any:  # noqa: ARG002 - the answers are fixed
        if method not in self.methods:
            raise AttributeError(method)
        return self.methods[method]


def recipe(positive: int | str | None = None, *, score: str | None = None) -> EvaluationRecipe:
    return EvaluationRecipe(
        data="t.parquet",
        label="y",
        positive=positive,
        row_key=None,
        cluster=None,
        score=score,
        threshold=0.5,
    )


PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("classes", "labels", "predicted", "scores", "decisions"),
    [
        ((0, 1), (0, 1), [0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8], [0, 0, 1, 1]),
        ((0, 1), (1, 0), [0, 0, 1, 1], [0.9, 0.7, 0.4, 0.2], [1, 1, 0, 0]),
        (("no", "yes"), ("no", "yes"), ["no", "no", "yes", "yes"], [0.1, 0.3, 0.6, 0.8], [0, 0, 1, 1]),
        (("no", "yes"), ("yes", "no"), ["no", "no", "yes", "yes"], [0.9, 0.7, 0.4, 0.2], [1, 1, 0, 0]),
        ((False, True), (0, 1), [False, False, True, True], [0.1, 0.3, 0.6, 0.8], [0, 0, 1, 1]),
    ],
)
def test_the_score_is_that_of_the_tables_positive_label(
    classes: tuple[Any, ...],
    labels: tuple[Any, Any],
    predicted: list[Any],
    scores: list[float],
    decisions: list[int],
) -> None:
    model = Answers(classes, predict_proba=PROBABILITIES, predict=np.array(predicted))
    found = classify(model, FRAME, recipe=recipe(), labels=labels)
    assert found.score is not None
    assert found.decision is not None
    assert found.score.tolist() == scores
    assert found.decision.tolist() == decisions


@pytest.mark.parametrize("labels", [("no", "yes"), (1, 2), ("0", "1")])
def test_other_classes_than_the_labels_are_refused(labels: tuple[Any, Any]) -> None:
    model = Answers((0, 1), predict_proba=PROBABILITIES, predict=np.array([0, 0, 1, 1]))
    with pytest.raises(ModelError, match="the model knows the classes 0 and 1"):
        classify(model, FRAME, recipe=recipe(), labels=labels)


def test_a_decision_function_stands_for_scores() -> None:
    model = Answers(
        (0, 1), decision_function=np.array([-2.0, -1.0, 1.0, 2.0]), predict=np.array([0, 0, 1, 1])
    )
    found = classify(model, FRAME, recipe=recipe(), labels=(0, 1))
    assert found.score is not None
    assert found.score.tolist() == [-2.0, -1.0, 1.0, 2.0]
    turned = classify(model, FRAME, recipe=recipe(), labels=(1, 0))
    assert turned.score is not None
    assert turned.score.tolist() == [2.0, 1.0, -1.0, -2.0]


@pytest.mark.parametrize(
    "output",
    [
        np.array([0.1, 0.3, 0.6, 0.8]),
        PROBABILITIES,
        pd.Series([0.1, 0.3, 0.6, 0.8]),
        pd.DataFrame({"score": [0.1, 0.3, 0.6, 0.8], "why": list("abcd")}),
        pd.DataFrame({"anything": [0.1, 0.3, 0.6, 0.8]}),
    ],
)
def test_a_model_that_only_predicts_scores_is_decided_by_the_recipes_threshold(output: Any) -> None:
    found = classify(Answers(predict=output), FRAME, recipe=recipe(), labels=(0, 1))
    assert found.score is not None
    assert found.decision is not None
    assert found.score.tolist() == [0.1, 0.3, 0.6, 0.8]
    assert found.decision.tolist() == [0, 0, 1, 1]


def test_a_model_that_only_predicts_classes_gives_no_score() -> None:
    found = classify(Answers(predict=np.array([0, 1, 1, 0])), FRAME, recipe=recipe(), labels=(0, 1))
    assert found.score is None
    assert found.decision is not None
    assert found.decision.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Answers((0, 1, 2), predict=np.zeros(4)), "knows 3 classes"),
        (Answers((0, 1), predict_proba=PROBABILITIES[:3], predict=np.zeros(4)), "shape"),
        (Answers(predict=np.array([[1, 2, 3]] * 4)), "shape"),
        (Answers(predict=np.array([0.1, 0.2])), "shape"),
        (Answers(predict=pd.DataFrame({"a": [1.0] * 4, "b": [1.0] * 4})), "none of"),
        (Answers((0, 1), predict_proba=PROBABILITIES, predict=np.array([0, 1, 7, 0])), "predicts 7"),
        (Answers(), "fails on this table: AttributeError"),
    ],
)
def test_other_answers_are_refused(model: Answers, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        classify(model, FRAME, recipe=recipe(), labels=(0, 1))


@pytest.mark.parametrize(("positive", "expected"), [(None, [0.1, 0.3, 0.6, 0.8]), (0, [0.9, 0.7, 0.4, 0.2])])
def test_without_a_table_the_models_own_classes_decide(positive: int | None, expected: list[float]) -> None:
    model = Answers((0, 1), predict_proba=PROBABILITIES, predict=np.array([0, 0, 1, 1]))
    found = classify(model, FRAME, recipe=recipe(positive), labels=None)
    assert found.score is not None
    assert found.score.tolist() == expected


def test_a_regression_answers_one_number_per_row() -> None:
    assert regress(Answers(predict=[1, 2, 3, 4]), FRAME, recipe=recipe()).score is not None
    with pytest.raises(ModelError, match="2 values for 4 rows"):
        regress(Answers(predict=[1.0, 2.0]), FRAME, recipe=recipe())
    with pytest.raises(ModelError, match="not answer with numbers"):
        regress(Answers(predict=list("abcd")), FRAME, recipe=recipe())


def test_input_has_the_signatures_columns_order_and_types() -> None:
    schema = SchemaRecord(
        columns=(
            ColumnRecord(name="b", type="double"),
            ColumnRecord(name="a", type="long"),
            ColumnRecord(name="gone", type="double", required=False),
        )
    )
    frame = pd.DataFrame({"a": [1, 2], "extra": ["x", "y"], "b": [1, 2]})
    made = model_input(frame, schema)
    assert list(made.columns) == ["b", "a", "gone"]
    assert [str(dtype) for dtype in made.dtypes[:2]] == ["float64", "int64"]
    assert made["gone"].isna().all()
    assert frame["b"].dtype == np.int64, "the caller's table stays as it was"


def test_missing_values_in_a_whole_number_column_are_refused() -> None:
    schema = SchemaRecord(columns=(ColumnRecord(name="a", type="long"),))
    with pytest.raises(DataError, match="has 1 missing values"):
        model_input(pd.DataFrame({"a": [1.0, None]}), schema)


def test_latency_is_asked_row_by_row() -> None:
    sizes: list[int] = []
    times = measure_latency(lambda rows: sizes.append(len(rows)), FRAME)
    assert set(sizes) == {1}
    assert len(times) >= 299, "enough for the 99th percentile"
    assert (times >= 0).all()
