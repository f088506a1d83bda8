"""How models are asked: the positive label is the table's, whatever order a model keeps its classes in."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from signoff.adapters.scoring import (
    answer_table,
    classify,
    classify_many,
    measure_latency,
    model_input,
    regress,
    score_rows,
)
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


WORDS = ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    "output",
    [
        np.array(WORDS),
        np.array(WORDS, dtype=object)[:, None],
        WORDS,
        pd.DataFrame({"label": WORDS, "score": [0.9, 0.8, 0.7, 0.6]}),
        pd.DataFrame({"prediction": WORDS, "score": [0.9, 0.8, 0.7, 0.6]}),
        pd.DataFrame({"topic": WORDS}),
    ],
)
def test_many_classes_are_answered_by_name(output: Any) -> None:
    assert classify_many(Answers(predict=output), FRAME, recipe=recipe()) == ("a", "b", "c", "a")
    table = pd.DataFrame({"label": list("zzzz"), "topic": WORDS})
    assert classify_many(Answers(predict=table), FRAME, recipe=recipe(score="topic")) == ("a", "b", "c", "a")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Answers(predict=np.eye(4)), "one class per row is needed"),
        (Answers(predict=np.array(WORDS[:3])), "one class per row is needed"),
        (Answers(predict=["a", None, "b", "c"]), "answers None, which is no class"),
        (Answers(predict=[1.0, np.nan, 2.0, 1.0]), "answers nan, which is no class"),
        (Answers(predict=pd.DataFrame({"x": WORDS, "y": WORDS})), "none of prediction, label"),
        (Answers(("A", "B"), predict=WORDS), "the model knows the classes 'A' and 'B', the evaluation table"),
    ],
)
def test_other_answers_are_no_classes(model: Answers, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        classify_many(model, FRAME, recipe=recipe(), seen=("a", "b"))


def test_rows_are_ordered_by_a_number_or_by_the_score_of_the_larger_class() -> None:
    assert score_rows(Answers(predict=[3, 1, 2, 0]), FRAME, recipe=recipe()).tolist() == [3, 1, 2, 0]
    clicks = Answers((0, 1), predict_proba=PROBABILITIES, predict=np.array([0, 0, 1, 1]))
    assert score_rows(clicks, FRAME, recipe=recipe()).tolist() == [0.1, 0.3, 0.6, 0.8]
    with pytest.raises(ModelError, match="gives classes and no scores"):
        score_rows(Answers((0, 1), predict=np.array([0, 1, 1, 0])), FRAME, recipe=recipe())
    with pytest.raises(ModelError, match="1 of 4 scores are NaN or infinite"):
        score_rows(Answers(predict=[1.0, np.nan, 0.0, 1.0]), FRAME, recipe=recipe())


def test_an_assistant_answers_with_a_table_of_one_row_per_question() -> None:
    questions = FRAME.set_axis([7, 8, 9, 10])
    answers = answer_table(Answers(predict=pd.DataFrame({"answer": WORDS})), questions)
    assert answers.index.tolist() == [7, 8, 9, 10]
    for output in (pd.DataFrame({"answer": WORDS[:3]}), WORDS):
        with pytest.raises(ModelError, match="table of 4 rows"):
            answer_table(Answers(predict=output), questions)
