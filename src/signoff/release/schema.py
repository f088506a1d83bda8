"""Does a table carry what a model's signature asks for?"""

from signoff.record.schema import ColumnRecord, SchemaRecord

_WIDENS_TO = {
    "boolean": {"boolean"},
    "integer": {"integer", "long", "double"},
    "long": {"long", "double"},
    "float": {"float", "double"},
    "double": {"double"},
    "string": {"string"},
    "binary": {"binary"},
    "datetime": {"datetime"},
}
"""Which signature types a table column of the key's type can feed without losing a value.

integer to float is not among them: beyond 2**24 it loses digits. long to double is accepted although it does
so beyond 2**53, for counts and cents do not reach that; long to integer is not."""


def schema_gaps(needed: SchemaRecord, offered: SchemaRecord) -> tuple[str, ...]:
    """What the table lacks, one sentence per column; empty when the model can be fed."""
    by_name = {column.name: column for column in offered.columns}
    gaps = (_gap(column, by_name.get(column.name)) for column in needed.columns)
    return tuple(gap for gap in gaps if gap is not None)


def _gap(needed: ColumnRecord, offered: ColumnRecord | None) -> str | None:
    if offered is None:
        if not needed.required:
            return None
        return f"column {needed.name!r} ({needed.type}) is missing"
    if needed.type in _WIDENS_TO.get(offered.type, {offered.type}):
        return None
    return f"column {needed.name!r} is {offered.type}, the model's signature wants {needed.type}"
