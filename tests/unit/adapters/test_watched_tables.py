"""Windows of the inference log, counts of unusable values, labels that come in late, answers that were given."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from signoff.adapters.watched_tables import (
    categories,
    column_quality,
    column_values,
    failed_requests,
    given_classes,
    log_window,
    log_windows,
    logged_answers,
    table_answers,
    with_labels,
)
from signoff.errors import DataError
from signoff.record.digest import Digest
from signoff.record.schema import ColumnRecord

MODEL = Digest.of(b"model")


def log(*requests: tuple[str, str, int | None, int], rows: int = 1) -> pd.DataFrame:
    """(name, time, version, status) per request, each with so many rows."""
    return pd.DataFrame(
        [
            {
                "signoff_request": name,
                "signoff_at": at,
                "signoff_version": version,
                "signoff_digest": None if version is None else str(MODEL),
                "signoff_status": status,
                "signoff_latency_ms": 5.0,
                "row": row,
            }
            for name, at, version, status in requests
            for row in range(rows)
        ]
    )


def window(frame: pd.DataFrame, *, size: int = 2, of: Any = "requests") -> list[str] | None:
    found = log_window(frame, version=1, model=MODEL, since="2026-01-02", size=size, of=of)
    return None if found is None else found.requests["signoff_request"].tolist()


def test_the_newest_full_window_is_found_whatever_the_order_of_the_rows() -> None:
    frame = log(*((f"r{i}", f"2026-01-02T00:00:0{i}Z", 1, 200) for i in range(5)), rows=3)
    assert window(frame) == ["r2", "r3"]
    assert window(frame.sample(frac=1.0, random_state=0)) == ["r2", "r3"]
    assert window(frame, size=6) is None
    found = log_window(frame, version=1, model=MODEL, since="2026", size=2, of="requests")
    assert found is not None
    assert (len(found.frame), found.waiting) == (6, 1)


def test_other_versions_and_earlier_requests_are_left_out_and_unanswered_ones_count() -> None:
    frame = log(
        ("early", "2026-01-01T23:59:59Z", 1, 200),
        ("other", "2026-01-02T00:00:01Z", 2, 200),
        ("mine", "2026-01-02T00:00:02Z", 1, 200),
        ("nobody", "2026-01-02T00:00:03Z", None, 503),
        ("refused", "2026-01-02T00:00:04Z", 1, 400),
        ("also", "2026-01-02T00:00:05Z", 1, 200),
    )
    assert window(frame, size=4) == ["mine", "nobody", "refused", "also"]
    assert window(frame, of="answers") == ["mine", "also"]
    found = log_window(frame, version=1, model=MODEL, since="2026-01-02", size=4, of="requests")
    assert found is not None
    assert failed_requests(found.requests) == 1, "what the caller got wrong is no failure"


def test_a_table_that_is_no_log_is_refused() -> None:
    with pytest.raises(DataError, match="no inference log"):
        window(pd.DataFrame({"x": [1]}))


@pytest.mark.parametrize(
    ("values", "kind", "missing", "unfit"),
    [
        ([1.0, None, float("inf"), 2.0], "double", 1, 1),
        ([1, 2, 2.5, None], "long", 1, 1),
        (["a", None, 3, "b"], "string", 1, 1),
        ([True, False, 1, None], "boolean", 1, 1),
        (["1", "2", 3.0, None], "double", 1, 2),
        ([pd.Timestamp("2026-01-01"), "2026-01-01", None, None], "datetime", 2, 1),
    ],
)
def test_values_that_are_missing_or_do_not_fit_are_counted(
    values: list[Any], kind: str, missing: int, unfit: int
) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    found = column_quality(frame, ColumnRecord(name="x", type=kind), known=None)
    assert (found.missing, found.unfit, found.unseen, found.rows) == (missing, unfit, 0, 4)


def test_a_column_that_is_gone_is_missing_in_every_row_unless_it_may_be() -> None:
    frame = pd.DataFrame({"x": [1.0, None]})
    assert column_quality(frame, ColumnRecord(name="y", type="double"), known=None).bad == 2
    may = ColumnRecord(name="y", type="double", required=False)
    assert column_quality(frame, may, known=None).bad == 0
    assert column_quality(frame, ColumnRecord(name="x", type="double", required=False), known=None).bad == 0


def test_categories_are_texts_that_repeat() -> None:
    frame = pd.DataFrame(
        {
            "band": ["low", "high"] * 100,
            "name": [f"person {i}" for i in range(200)],
            "number": [1.0, 2.0] * 100,
        }
    )
    known = categories(frame, frame.columns)
    assert known == {"band": frozenset({"low", "high"})}
    later = pd.DataFrame({"band": ["low", "middle", None]})
    found = column_quality(later, ColumnRecord(name="band", type="string"), known=known["band"])
    assert (found.missing, found.unseen) == (1, 1)


def test_columns_become_numbers_or_texts_as_the_reference_has_them() -> None:
    frame = pd.DataFrame(
        {"n": [1, None], "t": ["a", None], "d": pd.to_datetime(["2026-01-01", "2026-01-02"])}
    )
    assert np.isnan(column_values(frame, "n", numbers=True)).tolist() == [False, True]
    assert column_values(frame, "t", numbers=False).tolist() == ["a", ""]
    for name in ("t", "d", "gone"):
        with pytest.raises(DataError, match=name):
            column_values(frame, name, numbers=True)


def test_late_labels_are_joined_by_key_and_nothing_is_guessed() -> None:
    rows = pd.DataFrame({"id": [1, 2, 3], "label": [9, 9, 9], "x": [0.1, 0.2, 0.3]})
    labels = pd.DataFrame({"id": [3, 1, 7, 2], "label": [1.0, 0.0, 1.0, None]})
    found = with_labels(rows, labels, key="id", label="label")
    assert found[["id", "x", "label"]].to_numpy().tolist() == [[1.0, 0.1, 0.0], [3.0, 0.3, 1.0]]
    with pytest.raises(DataError, match="more than one label"):
        with_labels(rows, pd.DataFrame({"id": [1, 1], "label": [0, 1]}), key="id", label="label")
    with pytest.raises(DataError, match="lacks the column id"):
        with_labels(rows.drop(columns="id"), labels, key="id", label="label")


@pytest.mark.parametrize("keys", [["1", "2", "03"], [1.0, 2.0, 4.0], [1, 2, 4]])
def test_keys_that_are_texts_in_one_table_and_numbers_in_the_other_meet(keys: list[Any]) -> None:
    rows = pd.DataFrame({"id": keys, "x": [0.1, 0.2, 0.3]})
    texts = pd.DataFrame({"id": ["2", "1", "3"], "label": [5, 6, 7]})
    for labels in (texts, texts.assign(id=[2, 1, 3])):
        found = with_labels(rows, labels, key="id", label="label")
        assert found[["x", "label"]].to_numpy().tolist() == [[0.1, 6], [0.2, 5]]
        assert found["id"].tolist() == keys[:2]


def test_windows_follow_each_other_the_newest_first() -> None:
    frame = log(*((f"r{i}", f"2026-01-02T00:00:0{i}Z", 1, 200) for i in range(5)))
    found = log_windows(frame, version=1, model=MODEL, since="2026", size=2, of="requests")
    assert [window.requests["signoff_request"].tolist() for window in found] == [["r2", "r3"], ["r0", "r1"]]


def test_answers_of_the_log_are_classes_or_scores() -> None:
    def answers(*texts: str, task: str = "classification") -> Any:
        return logged_answers(pd.DataFrame({"signoff_prediction": texts}), task=task, positive="yes")

    assert answers('"yes"', '"no"', '["yes"]').decision.tolist() == [1.0, 0.0, 1.0]
    assert answers("0.25", "0.75").score.tolist() == [0.25, 0.75]
    assert answers("3", "4.5", task="regression").score.tolist() == [3.0, 4.5]
    for text in ('{"score": 1}', "null", "not json", "[1, 2]"):
        with pytest.raises(DataError):
            answers(text)
    with pytest.raises(DataError):
        answers('"many"', task="regression")


def test_answers_of_a_table_are_what_predict_wrote() -> None:
    frame = pd.DataFrame({"score": [0.2, 0.9], "prediction": [0, 1]})
    found = table_answers(frame)
    assert found.score is not None
    assert found.decision is not None
    assert (found.score.tolist(), found.decision.tolist()) == ([0.2, 0.9], [0.0, 1.0])
    assert given_classes(pd.DataFrame({"prediction": ["a", "b"]}), logged=False) == ("a", "b")
    with pytest.raises(DataError):
        given_classes(frame.drop(columns="prediction"), logged=False)
