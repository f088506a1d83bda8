"""Evaluation tables of each task: labels to codes, rows to lists, forecasts beside their naive one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from signoff.adapters.tables import Table, class_labels, evaluation_table, ranking_table
from signoff.errors import DataError
from signoff.record.digest import Digest
from signoff.record.schema import SchemaRecord
from signoff.standard.model import EvaluationRecipe, MarginRule


def table(**columns: list[Any]) -> Table:
    return Table(
        path=Path("week.parquet"),
        frame=pd.DataFrame(columns),
        digest=Digest.of(b""),
        schema=SchemaRecord(columns=()),
        version=None,
    )


def recipe(label: str, **given: Any) -> EvaluationRecipe:
    plain = {"positive": None, "row_key": None, "cluster": None, "score": None, "threshold": 0.5}
    return EvaluationRecipe(data="week.parquet", label=label, **{**plain, **given})


def by(column: str, metric: str = "accuracy") -> MarginRule:
    return MarginRule(metric=metric, mode="no_worse_than", margin=0.05, by=column)


class TestClasses:
    def test_labels_are_codes_and_a_slice_may_be_the_label(self) -> None:
        topics = table(topic=["b", "a", "c", "a"])
        read = evaluation_table(topics, recipe("topic"), slices=[by("topic")], task="multiclass")
        assert read.classes == ("a", "b", "c")
        assert read.truth.tolist() == [1.0, 0.0, 2.0, 0.0]
        assert read.slices["topic"].tolist() == ["b", "a", "c", "a"]
        assert class_labels(table(code=[1, 0, 1]), recipe("code")) == (0, 1)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (["a", None], "1 of 2 labels in 'topic' are missing"),
            (["a", "a"], "one class cannot be judged"),
            ([["a"], ["b"]], "lists or objects"),
            ([pd.Timestamp(0), pd.Timestamp(1)], "no classes"),
        ],
    )
    def test_what_is_no_class_is_refused(self, labels: list[Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            class_labels(table(topic=labels), recipe("topic"))


def visits(**changes: list[Any]) -> Table:
    rows: dict[str, list[Any]] = {
        "user": ["u", "v", "u", "v", "w"],
        "item": [1, 1, 2, 2, 1],
        "grade": [0, 2, 1, 0, 0],
        "segment": ["new", "old", "new", "old", "old"],
        "home": [1, 2, 1, 2, 2],
    }
    return table(**{**rows, **changes})


class TestLists:
    RECIPE = recipe("grade", group="user", row_key="item", cluster="home", k=1)

    def test_a_group_is_one_row(self) -> None:
        read, lists = ranking_table(visits(), self.RECIPE, slices=[by("segment", "ndcg")])
        assert read.rows == lists.count == 3
        assert read.slices["segment"].tolist() == ["new", "old", "old"]
        assert read.clusters is not None
        assert read.clusters.tolist() == [0, 1, 1]
        assert read.reference is not None
        chance = read.reference.values  # noqa: PD011 - a field of ours
        assert chance["mrr"].tolist()[:2] == [0.5, 0.5]
        best = lists.judged(np.asarray(visits().frame["grade"], dtype=np.float64)).values  # noqa: PD011
        assert best["ndcg"].tolist()[:2] == [1.0, 1.0]
        assert np.isnan(best["ndcg"][2])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"segment": ["new", "old", "old", "old", "old"]}, "'segment' changes inside a list, in 1 rows"),
            ({"home": [1, 2, 1, 1, 1]}, "'home' changes inside a list"),
            ({"grade": [0, 2, -1, 0, 0]}, "1 relevance grades in 'grade' are negative"),
            ({"grade": [0, 0, 0, 0, 0]}, "no row is relevant"),
            ({"grade": [0, 2, None, 0, 0]}, "1 of 5 labels in 'grade' are missing"),
            ({"grade": list("abcde")}, "values that are not numbers"),
            ({"user": ["u", "v", None, "v", "w"]}, "some rows have no 'user'"),
            ({"item": [1, 1, 1, 2, 1]}, "1 rows repeat a 'item' inside their list"),
        ],
    )
    def test_what_is_no_list_is_refused(self, changes: dict[str, list[Any]], message: str) -> None:
        with pytest.raises(DataError, match=message):
            ranking_table(visits(**changes), self.RECIPE, slices=[by("segment", "ndcg")])

    def test_a_missing_group_column_is_refused(self) -> None:
        with pytest.raises(DataError, match="column basket not in the evaluation table"):
            ranking_table(visits(), recipe("grade", group="basket"), slices=[])


class TestForecasts:
    def test_the_naive_forecast_is_what_a_first_release_is_compared_with(self) -> None:
        sales = table(sold=[3.0, 4.0], before=[2, 3])
        read = evaluation_table(sales, recipe("sold", naive="before"), slices=[], task="regression")
        assert read.reference is not None
        assert read.reference.score is not None
        assert read.reference.score.tolist() == [2.0, 3.0]

    @pytest.mark.parametrize(
        ("naive", "message"),
        [
            ([None, 1.0], "1 of 2 naive forecasts in 'before' are missing"),
            ([np.inf, 1.0], "infinite"),
            (list("ab"), "not numb"),
        ],
    )
    def test_a_naive_forecast_with_gaps_is_refused(self, naive: list[Any], message: str) -> None:
        with pytest.raises(DataError, match=message):
            evaluation_table(
                table(sold=[3.0, 4.0], before=naive),
                recipe("sold", naive="before"),
                slices=[],
                task="regression",
            )
