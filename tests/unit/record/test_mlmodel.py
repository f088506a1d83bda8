import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.record.mlmodel import UNREADABLE, read_mlmodel
from signoff.record.schema import ColumnRecord


def test_flavors_signature_and_example_are_read() -> None:
    file = read_mlmodel(
        b"""
flavors:
  python_function: {loader_module: mlflow.sklearn}
  sklearn: {serialization_format: skops}
saved_input_example_info: {artifact_path: input_example.json, type: dataframe}
signature:
  inputs: '[{"type": "double", "name": "recency", "required": true}, {"type":
    "long", "name": "orders", "required": false}]'
  outputs: '[{"type": "long", "required": true}]'
"""
    )
    assert file.flavors == ("python_function", "sklearn")
    assert file.has_input_example
    assert file.inputs is not None
    assert file.inputs.columns == (
        ColumnRecord(name="recency", type="double"),
        ColumnRecord(name="orders", type="long", required=False),
    )


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"type": "double"}, ColumnRecord(name="0", type="double")),
        (
            {"type": "long", "name": "a", "optional": True},
            ColumnRecord(name="a", type="long", required=False),
        ),
        (
            {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}},
            ColumnRecord(name="0", type="tensor"),
        ),
        (
            {"type": "array", "name": "words", "items": {"type": "string"}},
            ColumnRecord(name="words", type="array"),
        ),
    ],
)
def test_unusual_columns_keep_their_name_and_type(column: dict[str, object], expected: ColumnRecord) -> None:
    file = read_mlmodel(json.dumps({"signature": {"inputs": json.dumps([column])}}).encode())
    assert file.inputs is not None
    assert file.inputs.columns == (expected,)


@pytest.mark.parametrize("inputs", [None, "", "null", "{", '"text"', "[1, 2]", 5])
def test_a_signature_without_usable_inputs_counts_as_none(inputs: object) -> None:
    file = read_mlmodel(json.dumps({"flavors": {"sklearn": {}}, "signature": {"inputs": inputs}}).encode())
    assert file.inputs is None
    assert file.flavors == ("sklearn",)


@pytest.mark.parametrize(
    "data", [None, b"", b"- a\n- b", b"flavors: [", b"\xff\xfe", b"a: 1\na: 2", b"!!python/none x"]
)
def test_a_missing_or_malformed_file_says_nothing(data: bytes | None) -> None:
    assert read_mlmodel(data) == UNREADABLE


@given(
    st.binary(max_size=200) | st.text(alphabet="[]{}:-!&*?|>'\"%@ \n\tab10._", max_size=60).map(str.encode)
)
def test_no_bytes_make_reading_fail(data: bytes) -> None:
    assert isinstance(read_mlmodel(data).flavors, tuple)
