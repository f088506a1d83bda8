"""A table's digest is the same whether its rows are read or not; a Delta table's is of the files it consists of now."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake

from signoff.adapters.tables import read_table, table_digest
from signoff.errors import DataError

FRAME = pd.DataFrame({"id": np.arange(9), "text": list("abcdefghi")})


def _parquet(path: Path) -> None:
    FRAME.to_parquet(path, index=False)


def _csv(path: Path) -> None:
    FRAME.to_csv(path, index=False)


def _delta(path: Path) -> None:
    write_deltalake(str(path), FRAME)
    write_deltalake(str(path), FRAME, mode="append")


@pytest.mark.parametrize(("name", "write"), [("t.parquet", _parquet), ("t.csv", _csv), ("t", _delta)])
def test_the_digest_is_that_of_reading(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    assert table_digest(tmp_path / name) == read_table(tmp_path / name).digest


def test_rows_that_were_deleted_do_not_count(tmp_path: Path) -> None:
    _delta(tmp_path / "t")
    before = table_digest(tmp_path / "t")
    DeltaTable(str(tmp_path / "t")).delete("id > 6")
    after = table_digest(tmp_path / "t")
    assert after != before
    assert after == read_table(tmp_path / "t").digest


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the table is not there"):
        table_digest(tmp_path / "none.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="the table cannot be read"):
        table_digest(tmp_path / "empty")
