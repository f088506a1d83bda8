"""The quick way in: requests whose every value has the signature's type become a frame without detours.

The frame is the one that MLflow would have built and enforced; what is not certain to come out the same is not
taken, and goes MLflow's own way. The tests hold both ways against each other.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import numpy as np
import pandas as pd

from signoff.record.schema import ColumnRecord, SchemaRecord

_INT64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_EXACT_INT: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""For float32: MLflow rounds whole numbers once, we by way of float64, which is the same up to here."""
_FORMS: Final[dict[str, Any]] = {
    "boolean": bool,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "long": _INT64,
    "float": _EXACT_INT | float | None,
    "double": _INT64 | float | None,
    "string": str | None,
}
"""What JSON may hold for a type. A whole number in a double column is MLflow's double; a fraction in a long column
it would cut off, so that is left to it."""
_DTYPES: Final = {"boolean": np.bool_, "integer": np.int32, "long": np.int64}
_MAX_ORDERS: Final = 16
"""Callers send columns in few orders; each has a decoder of its own."""


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: msgspec.Raw
    index: list[_INT64] | None = None


class TypedRows:
    """Reads ``dataframe_split`` and ``dataframe_records`` bodies of one signature."""

    def __init__(self, schema: SchemaRecord) -> None:
        """Prepare the decoders.

        Args:
            schema: columns of scalar types with distinct names; see `takes`.
        """
        self._columns = {column.name: column for column in schema.columns}
        record = msgspec.defstruct(
            "Record",
            [(f"c{place}", _FORMS[column.type]) for place, column in enumerate(schema.columns)],
            rename={f"c{place}": column.name for place, column in enumerate(schema.columns)},
            forbid_unknown_fields=True,
        )
        body = msgspec.defstruct(
            "Body",
            [
                # null is no absence: MLflow refuses it beside another form
                ("dataframe_split", _Split | msgspec.UnsetType, msgspec.UNSET),
                ("dataframe_records", list[record] | msgspec.UnsetType, msgspec.UNSET),  # type: ignore[valid-type]
            ],
            forbid_unknown_fields=True,
        )
        self._body: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._orders: dict[tuple[str, ...], msgspec.json.Decoder[Any]] = {}

    @staticmethod
    def takes(schema: SchemaRecord) -> bool:
        """Whether a signature is one that can be read this way."""
        return (
            len(schema.columns) > 0
            and len(set(schema.names)) == len(schema.names)
            and all(column.type in _FORMS for column in schema.columns)
        )

    def frame(self, body: bytes) -> pd.DataFrame | None:
        """The rows as MLflow would hand them to the model; None: ask MLflow.

        Args:
            body: of a request whose content type is JSON in UTF-8.

        Returns:
            The signature's columns in its order, shape (rows, columns), with at least one row.
        """
        try:
            found = self._body.decode(body)
            if (found.dataframe_split is msgspec.UNSET) == (found.dataframe_records is msgspec.UNSET):
                return None
            if found.dataframe_split is not msgspec.UNSET:
                return self._from_split(found.dataframe_split)
            rows = [msgspec.structs.astuple(row) for row in found.dataframe_records]
            return self._built(list(zip(*rows, strict=True)), tuple(self._columns), index=None)
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
            # Not ours to explain: MLflow reads the same bytes and answers as it does.
            return None

    def blank(self) -> pd.DataFrame:
        """One row of zeros, falses and empty texts."""
        row = {"string": "", "boolean": False}
        columns = self._columns.values()
        return pd.DataFrame({c.name: _array(c, (row.get(c.type, 0),)) for c in columns})

    def _from_split(self, split: _Split) -> pd.DataFrame | None:
        order = tuple(split.columns)
        decoder = self._orders.get(order)
        if decoder is None:
            if len(order) != len(self._columns) or set(order) != set(self._columns):
                return None
            row = tuple.__class_getitem__(tuple(_FORMS[self._columns[name].type] for name in order))
            decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
            if len(self._orders) < _MAX_ORDERS:
                self._orders[order] = decoder
        rows = decoder.decode(split.data)
        if split.index is not None and len(split.index) != len(rows):
            return None
        return self._built(list(zip(*rows, strict=True)), order, index=split.index)

    def _built(
        self, values: list[tuple[Any, ...]], order: tuple[str, ...], *, index: list[int] | None
    ) -> pd.DataFrame | None:
        if not values:  # no rows: MLflow has its own answer to that
            return None
        by_name = dict(zip(order, values, strict=True))
        return pd.DataFrame(
            {name: _array(column, by_name[name]) for name, column in self._columns.items()}, index=index
        )


def _array(column: ColumnRecord, values: Sequence[Any]) -> Any:
    if column.type == "string":
        return pd.Series(list(values)).array
    if column.type == "double":
        return np.array(values, dtype=np.float64)
    if column.type == "float":
        with np.errstate(over="raise"):
            return np.array(values, dtype=np.float64).astype(np.float32)
    return np.array(values, dtype=_DTYPES[column.type])
