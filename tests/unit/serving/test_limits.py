"""A small body that is a very large table is refused before it is decoded."""

from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signoff.apps.serving.limits import excess
from signoff.apps.serving.routes import Request

PARQUET = "application/vnd.apache.parquet"


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = BytesIO()
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue()


def asked(body: bytes, kind: str = PARQUET, **limits: int) -> str | None:
    return excess(Request(body=body, content_type=kind), **limits)


def test_more_rows_than_are_taken() -> None:
    body = parquet(pa.table({"x": pa.repeat(1.0, 3_000_000)}))
    assert len(body) < 50_000
    assert asked(body) == "the table has 3,000,000 rows; at most 100,000 are taken in one request"
    assert asked(body, f" {PARQUET} ; charset=utf-8") is not None
    assert asked(body, "text/csv") is None


def test_rows_count_in_all_row_groups() -> None:
    body = parquet(pa.table({"x": pa.repeat(1.0, 11)}), row_group_size=2)
    assert asked(body, max_rows=11) is None
    assert "11 rows" in str(asked(body, max_rows=10))


@pytest.mark.parametrize(
    ("value", "rows", "columns", "options"),
    [
        ("a" * 10_000, 30_000, 1, {}),
        (b"a" * 10_000, 30_000, 1, {}),
        ("a" * 1_000_000, 300, 1, {"use_dictionary": False}),
        (1.0, 100_000, 300, {}),
    ],
    ids=["one text in many rows", "one value of bytes in many rows", "long texts", "many columns"],
)
def test_more_bytes_than_are_taken(
    value: str | bytes | float, rows: int, columns: int, options: dict[str, Any]
) -> None:
    column = pa.repeat(value, rows)
    body = parquet(pa.table({f"x{n}": column for n in range(columns)}), **options)
    assert len(body) < 1_000_000
    assert "bytes when it is decoded; at most 268,435,456 are taken" in str(asked(body))


def test_an_ordinary_table_is_taken_and_what_is_no_table_is_left_to_mlflow() -> None:
    table = pa.table({"x": [1.0, None], "s": ["a", None], "l": [[1, 2], []], "b": [True, False]})
    assert asked(parquet(table)) is None
    assert asked(b"") is None
    assert asked(b"PAR1 and so on PAR1") is None
