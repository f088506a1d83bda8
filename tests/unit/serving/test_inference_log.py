"""The inference log: one row per scored row, one for a request that failed, and never an obstacle."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from signoff.apps.serving import inference_log
from signoff.apps.serving.gateway import Seen
from signoff.apps.serving.inference_log import InferenceLog, log_table
from signoff.apps.serving.routes import Answer, Request, ScorerGone, Served
from signoff.record.digest import Digest

JSON = "application/json"


class Ended:
    """A scorer whose process is not there any more: a log outlives it."""

    alive = False

    async def answer(self, request: Request, *, timeout_s: float) -> Answer:
        raise ScorerGone(f"not there: {request}, {timeout_s}")

    async def stop(self) -> None:
        """Nothing is left to stop."""


SERVED = Served(version=3, model=Digest.of(b"model"), statement=Digest.of(b"release"), scorer=Ended())


def seen(predictions: Any, *columns: tuple[str, str, list[Any]], status: int = 200, **changed: Any) -> Seen:
    answer = Answer(
        status=status,
        body=json.dumps({"predictions": predictions}).encode(),
        content_type=JSON,
        rows=msgspec.msgpack.encode(columns) if columns else b"",
    )
    given: dict[str, Any] = {
        "id": "a1",
        "at": 1_700_000_000.25,
        "latency_ms": 1.5,
        "served": SERVED,
        "route": "stable",
        "answer": answer,
    }
    return Seen(**(given | changed))


def written(path: Path) -> pd.DataFrame:
    from deltalake import DeltaTable

    frame: pd.DataFrame = DeltaTable(str(path)).to_pyarrow_table().to_pandas()
    return frame


def test_each_scored_row_is_a_row() -> None:
    table, incomplete = log_table(
        [seen([0, 1], ("area", "double", [1.5, 2.5]), ("size", "string", ["a", None])), seen([7], id="b2")]
    )
    assert incomplete == 0
    assert table.to_pylist() == [
        {
            "signoff_request": request,
            "signoff_at": "2023-11-14T22:13:20.250Z",
            "signoff_version": 3,
            "signoff_digest": str(SERVED.model),
            "signoff_route": "stable",
            "signoff_status": 200,
            "signoff_latency_ms": 1.5,
            "area": area,
            "size": size,
            "signoff_prediction": prediction,
        }
        for request, area, size, prediction in (
            ("a1", 1.5, "a", "0"),
            ("a1", 2.5, None, "1"),
            ("b2", None, None, "7"),
        )
    ]


@pytest.mark.parametrize(
    "answer", [seen([0], ("area", "double", [1.5]), status=400), seen(None, status=503, served=None)]
)
def test_a_request_that_failed_is_one_row_of_nulls(answer: Seen) -> None:
    (row,) = log_table([answer])[0].to_pylist()
    assert row["signoff_status"] == answer.answer.status
    assert row["signoff_prediction"] is None
    assert "area" not in row
    assert (row["signoff_version"] is None) == (answer.served is None)


@pytest.mark.parametrize(
    ("kind", "values", "arrow"),
    [
        ("boolean", [True], "bool"),
        ("integer", [1], "int32"),
        ("long", [2**62], "int64"),
        ("float", [0.5], "float"),
        ("double", [0.5], "double"),
        ("string", ["a"], "string"),
        ("binary", [b"a"], "binary"),
        ("datetime", ["2023-11-14T22:13:20"], "string"),
    ],
)
def test_input_columns_keep_their_types(kind: str, values: list[Any], arrow: str) -> None:
    table, _ = log_table([seen([0], ("value", kind, values))])
    assert str(table.schema.field("value").type) == arrow
    assert table["value"].to_pylist() == values


def test_nan_is_null_and_own_names_are_kept_apart() -> None:
    (row,) = log_table(
        [seen([float("nan")], ("area", "double", [float("nan")]), ("signoff_at", "string", ["x"]))]
    )[0].to_pylist()
    assert (row["area"], row["signoff_prediction"]) == (None, "NaN")
    assert row["signoff_at"] == "2023-11-14T22:13:20.250Z"


def test_what_was_added_is_in_the_table_at_the_end(tmp_path: Path) -> None:
    log = InferenceLog(tmp_path / "log", tell=pytest.fail)
    for number in range(50):
        log.add(seen([number], ("area", "double", [float(number)]), id=str(number)))
    log.close()
    assert sorted(written(tmp_path / "log")["area"]) == list(range(50))
    assert log.dropped == 0


def test_a_version_with_other_columns_widens_the_table(tmp_path: Path) -> None:
    for columns in ((("area", "double", [1.0]),), (("radius", "double", [2.0]),), ()):
        log = InferenceLog(tmp_path / "log", tell=pytest.fail)
        log.add(seen([0], *columns))
        log.close()
    assert {"area", "radius"} < set(written(tmp_path / "log").columns)


def test_a_table_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file in the way")
    told: list[str] = []
    log = InferenceLog(tmp_path / "log", tell=told.append, flush_s=0.01)
    log.add(seen([0]))
    while not told:
        log.add(seen([1]))
    log.close()
    assert log.dropped >= 2
    assert len(told) == 2
    assert "cannot be written" in told[0]
    assert f"lacks {log.dropped:,} requests" in told[1]


def test_more_than_the_buffer_holds_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_log, "MAX_BYTES", 2 * inference_log._size(seen([0])))
    told: list[str] = []
    log = InferenceLog(tmp_path / "log", tell=told.append, flush_s=60)
    for _ in range(5):
        log.add(seen([0]))
    log.close()
    assert len(written(tmp_path / "log")) == 2
    assert log.dropped == 3
    assert told == ["the inference log lacks 3 requests, which could not be written"]


@pytest.mark.parametrize("odd", [5, True, 1.5])
def test_one_request_that_does_not_fit_costs_no_other_its_place(odd: Any, tmp_path: Path) -> None:
    told: list[str] = []
    log = InferenceLog(tmp_path / "log", tell=told.append, flush_s=60)
    log._waiting = [
        seen([0], ("size", "string", ["a"]), id="good"),
        seen([0, 1], ("size", "string", ["a", odd]), ("area", "double", [1.5, 2.5]), id="odd"),
    ]
    log.close()
    frame = written(tmp_path / "log")
    assert frame[frame["signoff_request"] == "good"]["size"].tolist() == ["a"]
    rows = frame[frame["signoff_request"] == "odd"]
    assert rows["size"].isna().all()
    assert rows["area"].tolist() == [1.5, 2.5]
    assert rows["signoff_status"].tolist() == [200, 200]
    assert (log.dropped, log.incomplete) == (0, 1)
    assert told == ["the inference log lacks inputs of 1 requests, which do not fit it"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (("long", 1), ("double", 1.7), [1, None]),
        (("long", 1), ("double", 2.0), [1, 2]),
        (("double", 1.7), ("long", 2), [1.7, 2.0]),
        (("double", 1.7), ("long", 2**53 + 1), [1.7, None]),
        (("float", 0.5), ("double", 0.1), [0.5, None]),
        (("double", 0.5), ("string", "0.5"), [0.5, None]),
        (("string", "a"), ("double", 0.5), ["a", None]),
    ],
)
def test_no_value_is_changed_to_fit_the_table(
    first: Any, second: Any, kept: list[Any], tmp_path: Path
) -> None:
    lacking = 0
    for kind, value in (first, second):
        log = InferenceLog(tmp_path / "log", tell=lambda _: None)
        log.add(seen([0], ("x", kind, [value]), id=kind))
        log.close()
        lacking += log.incomplete
    by_request = written(tmp_path / "log").set_index("signoff_request")["x"]
    found = [None if pd.isna(by_request[kind]) else by_request[kind] for kind, _ in (first, second)]
    assert found == kept
    assert lacking == kept.count(None)


def test_versions_with_other_types_in_one_batch_keep_their_numbers() -> None:
    table, incomplete = log_table([seen([0], ("x", "long", [1])), seen([0], ("x", "double", [1.7]))])
    assert (table["x"].to_pylist(), incomplete) == ([1.0, 1.7], 0)


def test_a_request_that_the_table_refuses_is_written_without_its_inputs(tmp_path: Path) -> None:
    log = InferenceLog(tmp_path / "log", tell=lambda _: None, flush_s=60)
    log._waiting = [
        seen([0], ("area", "double", [1.5]), id="good"),
        seen([0], ("Area", "double", [1.5]), ("area", "double", [1.5]), id="odd"),
        seen([0], ("area", "double", [2.5]), id="last"),
    ]
    log.close()
    frame = written(tmp_path / "log").set_index("signoff_request")
    assert frame["area"].dropna().to_dict() == {"good": 1.5, "last": 2.5}
    assert frame.loc["odd", "signoff_status"] == 200
    assert (log.dropped, log.incomplete) == (0, 1)
