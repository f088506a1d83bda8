"""Tables on disk: Parquet and CSV files, and Delta tables. Read whole, with a digest of their bytes."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray, IntArray, StrArray
from signoff.gate.labels import Label, class_codes
from signoff.gate.model import EvaluationTable, Predictions
from signoff.record.digest import Digest, FileDigest, folder_digest
from signoff.record.schema import ColumnRecord, SchemaRecord
from signoff.standard.metrics import Task
from signoff.standard.model import EvaluationRecipe, MarginRule

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from signoff.gate.lists import Lists  # brings SciPy, which a server that hashes tables has no use for

MAX_SLICES = 200
"""More values of one column are no slices that people judge, and a decision must stay readable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table in memory.

    Attributes:
        path: where it was read.
        frame: a pandas DataFrame.
        digest: of the file's bytes, or of a Delta table's active files.
        schema: its columns in MLflow's type names.
        version: version of a Delta table; None for files.
    """

    path: Path
    frame: Any
    digest: Digest
    schema: SchemaRecord
    version: int | None


def read_table(path: Path) -> Table:
    """Read a Parquet or CSV file or a Delta table.

    Raises:
        DataError: it is missing, empty or unreadable.
    """
    with _readable(path):
        table = _read_delta(path) if path.is_dir() else _read_file(path)
    if len(table.frame) == 0:
        raise DataError("the table has no rows", where=str(path))
    repeated = table.frame.columns[table.frame.columns.duplicated()]
    if len(repeated) > 0:
        raise DataError(f"column {repeated[0]!r} occurs more than once", where=str(path))
    return table


def table_digest(path: Path) -> Digest:
    """Digest of a table as `read_table` gives it, without its rows in memory.

    Raises:
        DataError: it is missing or unreadable.
    """
    with _readable(path):
        if not path.is_dir():
            return _file_digest(path)
        from deltalake import DeltaTable

        return _delta_digest(path, DeltaTable(str(path)))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the table in whatever goes wrong while it is read.

    Raises:
        DataError: it is missing or unreadable.
    """
    if not path.exists():
        raise DataError(
            "the table is not there", where=str(path), hint="write it, or correct its path in the standard"
        )
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"the table cannot be read: {type(error).__name__}: {error}", where=str(path)
        ) from error


def _file_digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _read_file(path: Path) -> Table:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        arrow = pq.read_table(path)
    elif path.suffix == ".csv":
        arrow = pa.Table.from_pandas(pd.read_csv(path, float_precision="round_trip"), preserve_index=False)
    else:
        raise DataError("only .parquet and .csv files and Delta tables are read", where=str(path))
    return Table(
        path=path,
        frame=arrow.to_pandas(),
        digest=_file_digest(path),
        schema=_schema(arrow.schema),
        version=None,
    )


def _read_delta(path: Path) -> Table:
    import pyarrow as pa
    from deltalake import DeltaTable

    table = DeltaTable(str(path))
    arrow = pa.table(table.to_pyarrow_table())
    return Table(
        path=path,
        frame=arrow.to_pandas(),
        digest=_delta_digest(path, table),
        schema=_schema(arrow.schema),
        version=table.version(),
    )


def _delta_digest(path: Path, table: "DeltaTable") -> Digest:
    """Digest of the files that a Delta table consists of now."""
    import pyarrow as pa

    actions = pa.table(table.get_add_actions(flatten=True))
    names = sorted(unquote(name) for name in actions.column("path").to_pylist())  # Delta's log holds URIs
    return folder_digest(
        [
            FileDigest(path=name, size=(path / name).stat().st_size, digest=_file_digest(path / name))
            for name in names
        ]
    )


def table_schema(path: Path) -> SchemaRecord:
    """The columns of a table; only a CSV file is read whole for it.

    Raises:
        DataError: it is missing or unreadable.
    """
    import pyarrow.parquet as pq

    if path.suffix == ".parquet" and path.is_file():
        try:
            return _schema(pq.read_schema(path))
        except Exception as error:
            raise DataError(f"the table cannot be read: {error}", where=str(path)) from error
    return read_table(path).schema


def _schema(schema: Any) -> SchemaRecord:
    return SchemaRecord(
        columns=tuple(
            ColumnRecord(name=f.name, type=_type_name(f.type), required=not f.nullable) for f in schema
        )
    )


def _type_name(arrow_type: Any) -> str:
    import pyarrow.types as t

    if t.is_dictionary(arrow_type):
        return _type_name(arrow_type.value_type)
    names = (
        (t.is_boolean, "boolean"),
        (t.is_int64, "long"),
        (t.is_uint32, "long"),
        (t.is_integer, "integer"),
        (t.is_float64, "double"),
        (t.is_floating, "float"),
        (t.is_string, "string"),
        (t.is_large_string, "string"),
        (t.is_temporal, "datetime"),
        (t.is_binary, "binary"),
    )
    return next((name for test, name in names if test(arrow_type)), str(arrow_type))


def evaluation_table(
    table: Table, recipe: EvaluationRecipe, *, slices: Iterable[MarginRule], task: Task
) -> EvaluationTable:
    """The rows that a gate judges on, each with its label; `ranking_table` reads lists.

    Args:
        table: the table as read.
        recipe: which columns are what.
        slices: the comparisons that are made per value of a column.
        task: what the label is: one of two classes, one of many, a number, or nothing that the gate reads.

    Raises:
        DataError: a column is missing, a label is missing or not usable, rows repeat a key, or a column has too
            many values to be a slice each.
    """
    where = str(table.path)
    columns = _read_columns(table, recipe, slices)
    _refuse_repeated_keys(table, recipe)
    label = table.frame[recipe.label]
    classes: tuple[str, ...] = ()
    if task == "assistant":
        truth = np.zeros(len(label))
    elif task == "classification":
        truth = np.asarray(label == label_pair(table, recipe)[1], dtype=np.float64)
    elif task == "multiclass":
        labels = class_labels(table, recipe)
        truth, classes = class_codes(label.tolist(), labels), tuple(map(str, labels))
    else:
        _refuse_missing_labels(label, recipe, where)
        truth = _number_label(label, recipe.label, where)
    return EvaluationTable(
        digest=table.digest,
        truth=truth,
        slices=columns,
        clusters=None
        if recipe.cluster is None
        else _codes(table.frame[recipe.cluster], recipe.cluster, where),
        classes=classes,
        reference=_naive(table, recipe),
    )


def ranking_table(
    table: Table, recipe: EvaluationRecipe, *, slices: Iterable[MarginRule]
) -> tuple[EvaluationTable, "Lists"]:
    """The lists that a gate judges on, one row each, and the rows that they are made of.

    Args:
        table: the table as read: one row per item of a list, with its relevance grade as the label.
        recipe: which columns are what; it names the group.
        slices: the comparisons that are made per value of a column.

    Raises:
        DataError: a column is missing or changes its value inside a list, a grade is missing or negative, no
            row is relevant, a list repeats a key, or a column has too many values to be a slice each.
    """
    where = str(table.path)
    if recipe.group is None:
        raise DataError(
            "nothing says which rows are one list", where=where, hint="name a column: evaluate: {group: …}"
        )
    columns = _read_columns(table, recipe, slices)
    _refuse_repeated_keys(table, recipe)
    label = table.frame[recipe.label]
    _refuse_missing_labels(label, recipe, where)
    grades = _number_label(label, recipe.label, where)
    if (grades < 0.0).any():
        raise DataError(
            f"{int((grades < 0.0).sum())} relevance grades in {recipe.label!r} are negative",
            where=where,
            hint="0 is not relevant, more is better",
        )
    if not grades.any():
        raise DataError(f"no row is relevant: all of {recipe.label!r} is 0", where=where)
    from signoff.gate.lists import Lists

    lists = Lists(grades=grades, codes=_codes(table.frame[recipe.group], recipe.group, where), k=recipe.k)
    _, first = np.unique(lists.codes, return_index=True)
    for name in (*columns, *((recipe.cluster,) if recipe.cluster else ())):
        _refuse_change_inside(table.frame[name], name, lists, first, where)
    evaluation = EvaluationTable(
        digest=table.digest,
        truth=np.zeros(lists.count),
        slices={name: values[first] for name, values in columns.items()},
        clusters=None
        if recipe.cluster is None
        else _codes(table.frame[recipe.cluster], recipe.cluster, where)[first],
        reference=lists.at_random(),
    )
    return evaluation, lists


def class_labels(table: Table, recipe: EvaluationRecipe) -> tuple[Label, ...]:
    """The different labels of a table with many classes, in order.

    Raises:
        DataError: labels are missing or no classes, or there is only one.
    """
    label, where = table.frame[recipe.label], str(table.path)
    _refuse_missing_labels(label, recipe, where)
    values = _different(label, recipe, where)
    if not all(isinstance(value, str | int | float | bool) for value in values):
        raise DataError(f"label {recipe.label!r} holds values that are no classes", where=where)
    if len(values) == 1:
        raise DataError(f"all labels are {values[0]!r}: one class cannot be judged", where=where)
    return tuple(values)


def _read_columns(
    table: Table, recipe: EvaluationRecipe, slices: Iterable[MarginRule]
) -> dict[str, StrArray]:
    """The slice columns as text, once all columns that the recipe and the slices name are there."""
    where = str(table.path)
    rules = tuple(slices)
    columns = list(dict.fromkeys(rule.by for rule in rules if rule.by is not None))
    others = (recipe.row_key, recipe.cluster, recipe.group, recipe.naive)
    named = list(dict.fromkeys((recipe.label, *columns, *(name for name in others if name is not None))))
    missing = [name for name in named if name not in table.frame.columns]
    if missing:
        raise DataError(
            f"column{'s' if len(missing) > 1 else ''} {', '.join(missing)} not in the evaluation table",
            where=where,
            hint=f"it has: {', '.join(str(c) for c in table.frame.columns)}",
        )
    values = {name: _as_text(table.frame[name]) for name in columns}
    for name in columns:
        if any(rule.by == name and not rule.only for rule in rules):
            _refuse_too_many(name, values[name], where)
    return values


def _refuse_missing_labels(label: Any, recipe: EvaluationRecipe, where: str) -> None:
    absent = int(label.isna().sum())
    if absent:
        raise DataError(f"{absent} of {len(label)} labels in {recipe.label!r} are missing", where=where)


def _naive(table: Table, recipe: EvaluationRecipe) -> Predictions | None:
    if recipe.naive is None:
        return None
    column, where = table.frame[recipe.naive], str(table.path)
    absent = int(column.isna().sum())
    if absent:
        raise DataError(
            f"{absent} of {len(column)} naive forecasts in {recipe.naive!r} are missing", where=where
        )
    return Predictions(score=_number_label(column, recipe.naive, where), decision=None)


def _refuse_change_inside(values: Any, name: str, lists: "Lists", first: IntArray, where: str) -> None:
    text = _as_text(values)
    changes = int((text != text[first][lists.codes]).sum())
    if changes:
        raise DataError(
            f"column {name!r} changes inside a list, in {changes:,} rows: a list belongs to one value of it",
            where=where,
            hint="slice lists by a property of the whole list, such as the segment of its user",
        )


def label_pair(table: Table, recipe: EvaluationRecipe) -> tuple[Any, Any]:
    """The negative and the positive label of a table with two classes.

    Raises:
        DataError: labels are missing or not two classes, or the positive one is not among them.
    """
    label, where = table.frame[recipe.label], str(table.path)
    _refuse_missing_labels(label, recipe, where)
    values = _different(label, recipe, where)
    shown = ", ".join(repr(v) for v in values[:5])
    if recipe.positive is not None and recipe.positive not in values:
        raise DataError(f"no row has the positive label {recipe.positive!r}; labels are {shown}", where=where)
    if len(values) == 1:
        raise DataError(f"all labels are {shown}: one class cannot be judged", where=where)
    if len(values) > 2:
        raise DataError(
            f"{len(values)} different labels ({shown}, …); this gate compares two classes",
            where=where,
            hint="for more classes take the type text-classification, or one of your own like it",
        )
    try:
        positive = max(values) if recipe.positive is None else recipe.positive
    except TypeError as error:
        raise DataError(f"labels of different types: {shown}", where=where) from error
    return next(value for value in values if value != positive), positive


def _different(label: Any, recipe: EvaluationRecipe, where: str) -> list[Any]:
    try:
        return sorted(label.unique().tolist(), key=str)
    except TypeError as error:
        raise DataError(f"label {recipe.label!r} holds lists or objects, not classes", where=where) from error


def _number_label(label: Any, name: str, where: str) -> FloatArray:
    try:
        values = np.asarray(label, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"label {name!r} holds values that are not numbers", where=where) from error
    if not np.isfinite(values).all():
        raise DataError(f"label {name!r} holds infinite values", where=where)
    return values


def _refuse_repeated_keys(table: Table, recipe: EvaluationRecipe) -> None:
    if recipe.row_key is None:
        return
    keys = table.frame[recipe.row_key]
    if keys.isna().any():
        raise DataError(f"some rows have no {recipe.row_key!r}", where=str(table.path))
    columns = [recipe.row_key] if recipe.group is None else [recipe.group, recipe.row_key]
    try:
        repeated = int(table.frame.duplicated(columns).sum())
    except TypeError as error:
        raise DataError(
            f"row key {recipe.row_key!r} holds lists or objects, not keys", where=str(table.path)
        ) from error
    if recipe.group is not None and repeated:
        raise DataError(
            f"{repeated} rows repeat a {recipe.row_key!r} inside their list: an item stands in a list once",
            where=str(table.path),
        )
    if recipe.cluster is None and repeated:
        raise DataError(
            f"{repeated} rows repeat a {recipe.row_key!r}: they are not independent",
            where=str(table.path),
            hint=f"keep one row per key, or set `evaluate: {{cluster: {recipe.row_key}}}` in the standard",
        )


def _refuse_too_many(name: str, values: StrArray, where: str) -> None:
    count = np.unique(values).size
    if count > MAX_SLICES:
        raise DataError(
            f"column {name!r} has {count:,} different values, at most {MAX_SLICES} can be slices",
            where=where,
            hint=f"name those to assess, `slices: [{{by: {name}, only: […]}}]`, or slice by a coarser column",
        )


def _as_text(values: Any) -> StrArray:
    return np.asarray(values.astype("object").where(values.notna(), "(missing)").astype(str), dtype=np.str_)


def _codes(values: Any, column: str, where: str) -> IntArray:
    import pandas as pd

    try:
        codes, _ = pd.factorize(values)
    except TypeError as error:
        raise DataError(f"column {column!r} holds lists or objects, not keys", where=where) from error
    if (codes < 0).any():
        raise DataError(f"some rows have no {column!r}", where=where)
    return np.asarray(codes, dtype=np.int64)
