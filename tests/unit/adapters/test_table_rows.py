"""Rows are the same rows in any file and order; copies are told from rows that are alike by nature."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from signoff.adapters.table_rows import copied_rows, rows_digest
from signoff.adapters.tables import read_table

RANDOM = np.random.default_rng(20261123)
ROWS = 400


def _table() -> Any:
    frame = pd.DataFrame(
        {
            "number": RANDOM.normal(size=ROWS),
            "single": RANDOM.normal(size=ROWS).astype(np.float32),
            "whole": RANDOM.integers(0, 10**12, size=ROWS),
            "small": RANDOM.integers(0, 50, size=ROWS).astype(np.int32),
            "flag": RANDOM.random(ROWS) < 0.5,
            "text": RANDOM.choice(["a", "b", "größer, als"], size=ROWS),
            "day": pd.Timestamp("2026-01-05") + pd.to_timedelta(RANDOM.integers(0, 99, size=ROWS), unit="D"),
        }
    )
    frame.loc[::7, "number"] = np.nan
    frame.loc[::5, "text"] = None
    return frame


TABLE = _table()


def _parquet(frame: Any, path: Path) -> None:
    frame.to_parquet(path, index=False)


def _compressed(frame: Any, path: Path) -> None:
    frame.to_parquet(path, index=False, compression="gzip", row_group_size=50)


def _csv(frame: Any, path: Path) -> None:
    frame.to_csv(path, index=False)


def _categories(frame: Any, path: Path) -> None:
    frame.assign(text=frame["text"].astype("category")).to_parquet(path, index=False)


def _delta(frame: Any, path: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(path), frame)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (_compressed, "again.parquet"),
        (_csv, "again.csv"),
        (_categories, "again.parquet"),
        (_delta, "again"),
    ],
)
def test_the_same_rows_in_another_file_order_and_column_order(tmp_path: Path, write: Any, name: str) -> None:
    _parquet(TABLE, tmp_path / "table.parquet")
    shuffled = TABLE.sample(frac=1.0, random_state=1)[sorted(TABLE.columns, reverse=True)]
    write(shuffled.reset_index(drop=True), tmp_path / name)
    first, second = read_table(tmp_path / "table.parquet"), read_table(tmp_path / name)
    assert first.digest != second.digest
    assert rows_digest(first.frame) == rows_digest(second.frame)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.assign(number=f["number"] * 1.001),
        lambda f: f.assign(whole=f["whole"] + 1),
        lambda f: f.assign(flag=~f["flag"]),
        lambda f: f.assign(text=f["text"].fillna("c")),
        lambda f: f.head(ROWS - 1),
        lambda f: pd.concat([f, f.head(1)]),
        lambda f: f.rename(columns={"small": "little"}),
        lambda f: f.assign(number=f["small"], small=f["number"]),
        lambda f: f.assign(text=list(f["text"][::-1])),
    ],
)
def test_other_rows_have_another_digest(change: Any) -> None:
    assert rows_digest(change(TABLE)) != rows_digest(TABLE)


def _low_cardinality(rows: int) -> Any:
    return pd.DataFrame(
        {
            "age": RANDOM.integers(18, 90, size=rows),
            "fare": np.round(RANDOM.exponential(3.0, size=rows), 1),
            "plan": RANDOM.choice(["small", "large"], size=rows),
            "gone": RANDOM.random(rows) < 0.2,
        }
    )


@pytest.mark.parametrize(
    ("frame", "copies"),
    [
        (TABLE, 0),
        (pd.concat([TABLE, TABLE.head(3)]), 0),
        (pd.concat([TABLE, TABLE.head(9)]), 9),
        (pd.concat([TABLE] * 20), 19 * ROWS),
        (_low_cardinality(200_000), 0),
        (TABLE[["flag", "text"]], 0),
        (pd.DataFrame({"embedding": [[float(n), 1.0] for n in range(50)] * 2}), 50),
    ],
    ids=["different", "1 % at most", "a few more", "twenty times", "low cardinality", "categories", "lists"],
)
def test_copies_are_counted_and_natural_repeats_are_not(frame: Any, copies: int) -> None:
    assert copied_rows(frame) == copies
