"""Evaluation tables that cannot be judged on: a clear message, exit code 2 and an entry in the log."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from team import Team, cancer, signoff
from untouched import log_of, undecided, untouched

Change = Callable[[Any], Any]


def _nan_labels(frame: Any) -> Any:
    return frame.assign(benign=frame["benign"].astype(float).where(frame["sample"] > 10))


def _twice(frame: Any) -> Any:
    import pandas as pd

    return pd.concat([frame, frame.head(3)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="benign"), ["column benign", "it has: sample"]),
        (lambda f: f.drop(columns="size"), ["column size", "it has: sample"]),
        (lambda f: f.drop(columns=["size", "sample"]), ["columns size, sample"]),
        (lambda f: f.drop(columns="mean_texture"), ["mean_texture", "does not fit the model"]),
        (lambda f: f.assign(mean_texture="rough"), ["mean_texture", "does not fit the model"]),
        (_nan_labels, ["6 of 285 labels", "benign"]),
        (lambda f: f.assign(benign=1), ["one class", "1"]),
        (lambda f: f.assign(benign=f["sample"] % 3), ["3 different labels"]),
        (lambda f: f.assign(benign=[[1]] * len(f)), ["benign"]),
        (lambda f: f.head(0), ["no rows"]),
        (_twice, ["3 rows repeat", "sample", "cluster"]),
        (lambda f: f.assign(sample=f["sample"].where(f["sample"] > 10)), ["no 'sample'"]),
        (lambda f: f.assign(sample=[[1]] * len(f)), ["sample"]),
    ],
)
def test_an_evaluation_table_that_cannot_be_judged_on(
    fresh: Team, change: Change, words: Sequence[str]
) -> None:
    import pandas as pd

    table = fresh.folder / "eval/table.parquet"
    change(pd.read_parquet(table)).to_parquet(table, index=False)
    with untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), str(table), *words)
    assert len(log_of(fresh)) == 1, "the log remembers that it could not be decided"


def _removed(table: Path) -> None:
    table.unlink()


def _truncated(table: Path) -> None:
    table.write_bytes(table.read_bytes()[:1000])


def _some_folder(table: Path) -> None:
    table.unlink()
    table.mkdir()
    (table / "x.txt").write_text("no table")


def _repeated_column(table: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    read = pq.read_table(table)
    pq.write_table(read.append_column("benign", pa.array([0] * len(read))), table)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_removed, ["the table is not there", "in the standard"]),
        (_truncated, ["cannot be read"]),
        (_some_folder, ["cannot be read"]),
        (_repeated_column, ["benign"]),
    ],
)
def test_an_evaluation_table_that_cannot_be_read(
    fresh: Team, spoil: Callable[[Path], None], words: Sequence[str]
) -> None:
    table = fresh.folder / "eval/table.parquet"
    spoil(table)
    with untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), str(table), *words)


@pytest.mark.parametrize("name", ["table.csv", "table.txt", "delta table"])
def test_kinds_of_evaluation_tables(fresh: Team, name: str) -> None:
    from deltalake import write_deltalake

    frame = cancer()
    frame = frame[frame["sample"] % 2 == 0]
    target = fresh.folder / "eval" / name
    if name == "delta table":
        for size in ("large", "small"):  # two files
            rows = frame[frame["size"] == size]
            write_deltalake(str(target), rows.reset_index(drop=True), mode="append", partition_by=["size"])
    else:
        frame.to_csv(target, index=False)
    standard = fresh.folder / "signoff.yaml"
    standard.write_text(standard.read_text().replace("eval/table.parquet", f'"eval/{name}"'))
    outcome = signoff(fresh, "gate", fresh.good)
    if name == "table.txt":
        undecided(outcome, "only .parquet and .csv files and Delta tables are read")
    else:
        assert outcome.code == 0, outcome


def _edit(team: Team, old: str, new: str) -> None:
    standard = team.folder / "signoff.yaml"
    assert old in standard.read_text()
    standard.write_text(standard.read_text().replace(old, new, 1))


def test_a_column_of_too_many_values_is_no_slice_unless_some_are_named(fresh: Team) -> None:
    _edit(fresh, "by: size,", "by: sample,")
    with untouched(fresh):
        undecided(
            signoff(fresh, "gate", fresh.good), "column 'sample' has 285 different values", "200", "only:"
        )
    assert len(log_of(fresh)) == 1, "the log remembers that it could not be decided"
    _edit(fresh, "by: sample,", 'by: sample, only: ["0", "2"],')
    assert signoff(fresh, "gate", fresh.good).code == 0


def test_a_decision_too_large_to_keep_is_logged_as_failed(fresh: Team) -> None:
    """Thirty slice values of 50,000 characters and more make a statement of more than a mebibyte."""
    import pandas as pd

    table = fresh.folder / "eval/table.parquet"
    frame = pd.read_parquet(table)
    frame["size"] = [str(number % 60) * 50_000 for number in frame["sample"]]
    frame.to_parquet(table, index=False)
    with untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), "at most 1048576 allowed")
    (entry,) = log_of(fresh)
    assert "failed" in str(entry)


def test_rows_repeated_without_a_key_are_refused_and_the_same_rows_once_are_not(fresh: Team) -> None:
    import pandas as pd

    table = fresh.folder / "eval/table.parquet"
    _edit(fresh, ", row_key: sample}", "}")
    once = pd.read_parquet(table)
    pd.concat([once] * 20).to_parquet(table, index=False)
    with untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), "5,415 of 5,700 rows repeat another", "row_key")
    once.to_parquet(table, index=False)
    assert signoff(fresh, "gate", fresh.good).code == 0
