"""How much a request may hold once it is decoded: a small compressed body can be a very large table.

JSON and CSV grow little when they are read, so that the limit of the body bounds them.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Final

from signoff.apps.serving.routes import Request

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData, ParquetFile

MAX_ROWS: Final = 100_000
"""Rows of a Parquet body that are decoded."""
MAX_DECODED: Final = 256 * 1024 * 1024
"""Bytes that a Parquet body may take once it is decoded."""

_PARQUET: Final = "application/vnd.apache.parquet"
_WIDEST: Final = 12
"""Bytes of the widest value of a fixed width that Parquet itself names, INT96."""


def excess(request: Request, *, max_rows: int = MAX_ROWS, max_decoded: int = MAX_DECODED) -> str | None:
    """Why a request is not decoded; None: it may be, or is no table that can be read.

    Args:
        request: as it came.
        max_rows: rows that are taken.
        max_decoded: bytes that are taken, decoded.
    """
    if request.content_type.split(";")[0].strip() != _PARQUET:
        return None
    from pyarrow.lib import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(BytesIO(request.body))
        rows = max(file.metadata.num_rows, _rows(file.metadata))
        if rows > max_rows:
            return f"the table has {rows:,} rows; at most {max_rows:,} are taken in one request"
        size = _stored(file.metadata)
        if size <= max_decoded:
            size = max(size, _repeated_texts(file, request.body))
    except (ArrowException, OSError, ValueError):
        return None  # MLflow reads the same bytes, and answers as it does
    if size > max_decoded:
        return f"the table takes {size:,} bytes when it is decoded; at most {max_decoded:,} are taken"
    return None


def _rows(metadata: "FileMetaData") -> int:
    return sum(metadata.row_group(place).num_rows for place in range(metadata.num_row_groups))


def _stored(metadata: "FileMetaData") -> int:
    """Bytes of all pages without compression, or of all values, whichever is more."""
    pages = values = 0
    for group in (metadata.row_group(place) for place in range(metadata.num_row_groups)):
        for place in range(group.num_columns):
            column = group.column(place)
            pages += column.total_uncompressed_size
            width = metadata.schema.column(place).length or _WIDEST
            values += column.num_values * width
    return max(pages, values)


def _repeated_texts(file: "ParquetFile", body: bytes) -> int:
    """Bytes of texts when each row has its own: a dictionary stores a text once, however many rows hold it."""
    import pyarrow.compute as pc
    from pyarrow import types
    from pyarrow.parquet import ParquetFile

    schema = file.schema_arrow
    texts = [
        field.name
        for field in schema
        if types.is_string(field.type)
        or types.is_binary(field.type)
        or types.is_large_string(field.type)
        or types.is_large_binary(field.type)
    ]
    total = 0
    for name in texts:
        table = ParquetFile(BytesIO(body), read_dictionary=[name]).read(columns=[name])
        for chunk in (chunk for column in table.columns for chunk in column.chunks):
            if types.is_dictionary(chunk.type):
                lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
            else:
                lengths = pc.binary_length(chunk)
            total += pc.sum(lengths).as_py() or 0
    return total
