"""The rows of a table by their content: a digest that no encoding or order changes, and copies among them."""

import hashlib
from typing import Any

import numpy as np

from signoff.errors import DataError
from signoff.record.digest import Digest, canonical_json
from signoff.standard.model import EvaluationRecipe

_FEW_COPIES = 0.01
_MOST = 0.5
_ENOUGH = 50  # fewer different rows are categories


def rows_digest(frame: Any) -> Digest:
    """Digest of the rows, whatever their order, the order of the columns or the kind of file.

    The same rows written again, as CSV or as a Parquet file with another compression, have the same digest.
    Numbers are compared in single precision, where a text file keeps them.

    Args:
        frame: a pandas DataFrame.
    """
    names = sorted(map(str, frame.columns))
    rows = np.sort(_of_rows(_hashes(frame))).astype("<u8")
    return Digest(hashlib.sha256(canonical_json(list(names)) + rows.tobytes()).hexdigest())


def copied_rows(frame: Any) -> int:
    """How many rows are surely copies of another: 0 when they may well be alike by chance.

    Rows of few possible values repeat by nature. They count as copies when more than 1 % of the rows repeat
    an earlier one in every column although, among at least 50 different rows, some column has half as many
    values as there are rows: chance does not repeat such rows. (Public tables with many natural repeats, such as Titanic
    or Wine Quality, have no such column.)

    Args:
        frame: a pandas DataFrame.
    """
    hashes = _hashes(frame)
    _, first = np.unique(_of_rows(hashes), return_index=True)
    copies = len(frame) - first.size
    if copies <= _FEW_COPIES * len(frame) or first.size < _ENOUGH:
        return 0
    different = hashes.iloc[first]
    return copies if any(different[name].nunique() >= _MOST * first.size for name in different) else 0


def refuse_copies(frame: Any, recipe: EvaluationRecipe, where: str) -> None:
    """Rows that nobody names must not be copies of each other.

    Args:
        frame: the evaluation table, a pandas DataFrame.
        recipe: a row key is checked for itself, and rows of one cluster may be alike: nothing is refused then.
        where: the table's path, for the message.

    Raises:
        DataError: they are.
    """
    if recipe.row_key is not None or recipe.cluster is not None:
        return
    copies = copied_rows(frame)
    if copies:
        raise DataError(
            f"{copies:,} of {len(frame):,} rows repeat another row in every column: they are not independent, and"
            " intervals would be too narrow",
            where=where,
            hint="keep each row once; or name the column that identifies a row with `evaluate: {row_key: …}`, or the"
            " one of which rows belong together with `evaluate: {cluster: …}`",
        )


def _hashes(frame: Any) -> Any:
    """Per cell a hash of its value, columns in the order of their names."""
    import pandas as pd

    columns = {str(name): _hashed(frame[name]) for name in sorted(frame.columns, key=str)}
    return pd.DataFrame(columns)


def _hashed(values: Any) -> Any:
    """Equal for values that a reader of a text file would not tell apart; missing values are equal too."""
    import pandas as pd
    from pandas.api import types

    if types.is_numeric_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(over="ignore"):
            single = numbers.astype(np.float32).astype(np.float64)
        whole = np.where(numbers == np.rint(numbers), numbers, single) + 0.0  # and no negative zero
        return pd.util.hash_array(np.where(np.isnan(whole), np.nan, whole))
    if types.is_datetime64_any_dtype(values.dtype):
        values = values.astype(str).where(values.notna())
    text = values.astype("object").where(values.notna(), "").astype(str)
    return pd.util.hash_array(text.to_numpy(dtype=object))


def _of_rows(hashes: Any) -> Any:
    import pandas as pd

    return pd.util.hash_pandas_object(hashes, index=False).to_numpy()
