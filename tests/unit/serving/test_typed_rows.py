"""The quick way builds the frame that MLflow would have built, or leaves the request to MLflow."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from signoff.apps.serving.typed_rows import TypedRows
from signoff.record.schema import ColumnRecord, SchemaRecord

TYPES = {"f": "double", "n": "long", "i": "integer", "x": "float", "b": "boolean", "s": "string"}
SCHEMA = SchemaRecord(columns=tuple(ColumnRecord(name=name, type=kind) for name, kind in TYPES.items()))
ROW = {"f": 1.5, "n": 7, "i": -3, "x": 0.1, "b": True, "s": "a"}
NAMES = list(TYPES)


class Spy:
    """Stands where the model would, and keeps what MLflow hands to it."""

    def __init__(self) -> None:
        self.given: Any = None

    def predict(self, data: Any) -> Any:
        self.given = data
        return [0] * len(data)


def by_mlflow(body: bytes) -> Any:
    """The frame that MLflow's server would hand to the model; None when it refuses."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature
    from mlflow.pyfunc import FLAVOR_NAME, PyFuncModel
    from mlflow.pyfunc.scoring_server import invocations
    from mlflow.types import ColSpec, DataType, Schema

    schema = Schema([ColSpec(DataType[kind], name) for name, kind in TYPES.items()])
    meta = Model(
        signature=ModelSignature(inputs=schema), flavors={FLAVOR_NAME: {"loader_module": "mlflow.sklearn"}}
    )
    spy = Spy()
    try:
        invocations(body, "application/json", PyFuncModel(model_meta=meta, model_impl=spy), schema)
    except MlflowException:
        return None
    return spy.given


def split(rows: list[dict[str, Any]], names: list[str] = NAMES, **more: Any) -> bytes:
    data = [[row[name] for name in names] for row in rows]
    return json.dumps({"dataframe_split": {"columns": names, "data": data, **more}}).encode()


def records(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"dataframe_records": rows}).encode()


TAKEN = {
    "split": split([ROW]),
    "records": records([ROW, ROW | {"s": "b"}]),
    "columns in another order": split([ROW, ROW], names=NAMES[::-1]),
    "keys in another order": records([dict(reversed(ROW.items()))]),
    "an index": split([ROW, ROW], index=[5, 5]),
    "an index of null": split([ROW], index=None),
    "whole numbers in a double column": split([ROW | {"f": 3}, ROW | {"f": 4.5}]),
    "only whole numbers in a double column": split([ROW | {"f": 3}, ROW | {"f": 4}]),
    "a number beyond float's whole numbers": split([ROW | {"f": 2**53 + 1}]),
    "null among doubles": records([ROW | {"f": None, "x": None}, ROW]),
    "only null in a double column": records([ROW | {"f": None}]),
    "null among texts": split([ROW | {"s": None}, ROW]),
    "only null in a text column": split([ROW | {"s": None}]),
    "the ends of a long": split([ROW | {"n": 2**63 - 1}, ROW | {"n": -(2**63)}]),
    "minus zero, whole and not": b'{"dataframe_records": [{"f": -0, "n": -0, "i": 0, "x": -0.0, "b": false, "s": ""}]}',
    "text beyond ASCII": split([ROW | {"s": "Größe \N{SNOWMAN}\u0000"}]),
    "the same key twice": b'{"dataframe_records": [{"f": 1, "f": 2.5, "n": 1, "i": 1, "x": 1, "b": true, "s": "a"}]}',
    "white space": b' \n{"dataframe_records" : [ ' + json.dumps(ROW).encode() + b" ] }\t",
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_taken_becomes_the_frame_of_mlflow(case: str) -> None:
    ours, theirs = TypedRows(SCHEMA).frame(TAKEN[case]), by_mlflow(TAKEN[case])
    assert ours is not None
    assert_frame_equal(ours, theirs)
    assert [repr(value) for value in ours.to_numpy().ravel()] == [
        repr(value) for value in theirs.to_numpy().ravel()
    ]


LEFT = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "not UTF-8": b'{"dataframe_records": [{"s": "\xff"}]}',
    "a byte order mark": b"\xef\xbb\xbf" + split([ROW]),
    "UTF-16": split([ROW]).decode().encode("utf-16"),
    "no rows": split([]),
    "no records": records([]),
    "both forms": b'{"dataframe_split": {"columns": [], "data": []}, "dataframe_records": []}',
    "null beside another form": b'{"dataframe_split": null, ' + records([ROW])[1:],
    "only null": b'{"dataframe_records": null}',
    "another form": b'{"inputs": [1]}',
    "params": b'{"params": {}, "dataframe_records": []}',
    "a missing column": records([{k: v for k, v in ROW.items() if k != "b"}]),
    "an extra column": records([ROW | {"more": 1}]),
    "a column twice": split([ROW], names=[*NAMES, "f"]),
    "no column names": json.dumps({"dataframe_split": {"data": [list(ROW.values())]}}).encode(),
    "a row too short": json.dumps({"dataframe_split": {"columns": NAMES, "data": [[1.5]]}}).encode(),
    "an index too short": split([ROW, ROW], index=[1]),
    "an index of texts": split([ROW], index=["a"]),
    "a fraction in a long column": split([ROW | {"n": 41.7}]),
    "a text in a boolean column": split([ROW | {"b": "false"}]),
    "a boolean in a double column": split([ROW | {"f": True}]),
    "null in a long column": split([ROW | {"n": None}]),
    "a number beyond a long": split([ROW | {"n": 2**63}]),
    "a number beyond an integer": split([ROW | {"i": 2**31}]),
    "a number beyond all": split([ROW | {"f": 10**400}]),
    "a whole number that float32 rounds": split([ROW | {"x": 2**53 + 1}]),
    "a number beyond float32": split([ROW | {"x": 1e39}]),
    "NaN": split([ROW | {"f": float("nan")}]),
    "infinity": split([ROW | {"f": float("inf")}]),
    "half a surrogate pair": b'{"dataframe_records": [{"f": 1, "n": 1, "i": 1, "x": 1, "b": true, "s": "\\ud800"}]}',
    "a list in a cell": split([ROW | {"f": [1]}]),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_not_certain_is_left_to_mlflow(case: str) -> None:
    assert TypedRows(SCHEMA).frame(LEFT[case]) is None


@pytest.mark.parametrize(
    "columns",
    [
        (),
        (("a", "datetime"),),
        (("a", "binary"),),
        (("a", "double"), ("a", "double")),
        (("a", "Array(double)"),),
    ],
)
def test_other_signatures_are_left_to_mlflow(columns: tuple[tuple[str, str], ...]) -> None:
    schema = SchemaRecord(columns=tuple(ColumnRecord(name=n, type=t) for n, t in columns))
    assert not TypedRows.takes(schema)


numbers = st.one_of(
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
)
fitting = st.fixed_dictionaries(
    {
        "f": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**64), 2**64) | st.none(),
        "n": st.integers(-(2**64), 2**64),
        "i": st.integers(-(2**32), 2**32),
        "x": st.floats(width=64) | st.integers() | st.none(),
        "b": st.booleans(),
        "s": st.text(max_size=5) | st.none(),
    }
)
anything = st.fixed_dictionaries(dict.fromkeys(NAMES, numbers))


@given(
    st.lists(fitting | anything, max_size=4), st.sampled_from(["split", "records"]), st.permutations(NAMES)
)
def test_whatever_is_taken_equals_mlflow(rows: list[dict[str, Any]], form: str, names: list[str]) -> None:
    body = split(rows, names=names) if form == "split" else records(rows)
    ours = TypedRows(SCHEMA).frame(body)
    if ours is not None:
        assert_frame_equal(ours, by_mlflow(body))


def test_the_blank_row_has_the_types_of_the_signature() -> None:
    blank = TypedRows(SCHEMA).blank()
    assert_frame_equal(blank.iloc[:0], pd.DataFrame(by_mlflow(split([ROW]))).iloc[:0])
