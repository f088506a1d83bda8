"""Rows that a transaction would write, read from the ORM's objects or from a statement."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Column, inspect, select

from signoff.adapters.mlflow_hooks.tables import STAMPS
from signoff.release.guard.model import Change, Operation


class Row(Protocol):
    """One row that would be written."""

    @property
    def table(self) -> str:
        """Name of its table."""

    @property
    def operation(self) -> Operation:
        """What would happen to it."""

    @property
    def changed(self) -> frozenset[str]:
        """Of an update the columns that would get another value."""

    def value(self, column: str) -> str | None:
        """A column's value after the change, before it for a delete; None when it is not set."""

    def change(self) -> Change:
        """The whole change."""


def text(value: object) -> str | None:
    """A value as the guard compares it: a version is "3", whether MLflow keeps it as number or text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Columns:
    """The columns of an ORM class: names of attribute and column, and where keys come from."""

    def __init__(self, cls: type) -> None:
        mapper: Any = inspect(cls)
        self.table: str = mapper.local_table.name
        self.names: dict[str, str] = {
            prop.key: prop.columns[0].name
            for prop in mapper.column_attrs
            if isinstance(prop.columns[0], Column)
        }
        self.attribute = {column: key for key, column in self.names.items()}
        self.keys = tuple(column.name for column in mapper.primary_key)
        # A child that was put into its parent's list has no foreign key before the flush.
        self.parents: dict[str, tuple[str, str]] = {}
        for relation in mapper.relationships:
            if relation.direction.name == "MANYTOONE":
                for local, remote in relation.local_remote_pairs:
                    self.parents.setdefault(local.name, (relation.key, remote.name))


@cache
def columns_of(cls: Any) -> Columns:
    """The columns of a class, read once."""
    return Columns(cls)


class OrmRow:
    """A row that the ORM would write in its next flush."""

    __slots__ = ("_columns", "_dict", "_state", "changed", "operation", "table")

    def __init__(self, obj: object, operation: Operation) -> None:
        kind: Any = type(obj)
        self._columns: Columns = columns_of(kind)
        self._state: Any = inspect(obj)
        self._dict: dict[str, Any] = self._state.dict
        self.table = self._columns.table
        self.operation = operation
        self.changed = frozenset(self._changed()) if operation == "update" else frozenset()

    def _changed(self) -> Iterator[str]:
        names = self._columns.names
        for key, before in self._state.committed_state.items():
            if key in names and (
                not _is_known(before) or key not in self._dict or text(before) != text(self._dict[key])
            ):
                yield names[key]

    def value(self, column: str) -> str | None:
        """See `Row`."""
        attribute = self._columns.attribute[column]
        if self._dict.get(attribute) is None and column in self._columns.parents:
            relation, remote = self._columns.parents[column]
            parent = self._dict.get(relation)
            return None if parent is None else OrmRow(parent, "insert").value(remote)
        return text(self._dict.get(attribute))

    def loaded(self, column: str) -> bool:
        """Whether the column's value is in memory."""
        return self._columns.attribute[column] in self._dict

    def before(self, column: str) -> str | None:
        """The column's value in the database, as far as it was loaded."""
        attribute = self._columns.attribute[column]
        before = self._state.committed_state.get(attribute, self._dict.get(attribute))
        return text(before) if _is_known(before) else None

    def change(self) -> Change:
        """See `Row`."""
        return Change(
            table=self.table,
            operation=self.operation,
            key=self._key(),
            before=self._before(),
            after=self._after(),
        )

    def _key(self) -> dict[str, str]:
        keys = self._columns.keys
        identity = self._state.identity
        values = [text(v) for v in identity] if identity else [self.value(column) for column in keys]
        return {column: value for column, value in zip(keys, values, strict=True) if value is not None}

    def _before(self) -> dict[str, str | None]:
        if self.operation == "insert":
            return {}
        if self.operation == "delete":
            return {column: self.before(column) for column in self._columns.attribute if self.loaded(column)}
        return {column: self._old(column) for column in self._shown()}

    def _after(self) -> dict[str, str | None]:
        if self.operation == "delete":
            return {}
        if self.operation == "update":
            return {column: self.value(column) for column in self._shown()}
        found = {column: self.value(column) for column in self._columns.attribute if self.loaded(column)}
        return found | {column: value for column, value in self._key().items() if column not in found}

    def _shown(self) -> frozenset[str]:
        """An alias that is pointed where it points already changes nothing, and is decided all the same."""
        if self.changed or self.table != "registered_model_aliases":
            return self.changed
        return frozenset({"version"})

    def _old(self, column: str) -> str | None:
        attribute = self._columns.attribute[column]
        if _is_known(self._state.committed_state.get(attribute)):
            return self.before(column)
        # Set without having been loaded: the database knows.
        table = self._state.mapper.local_table
        query = select(table.c[column]).where(
            *(
                key == value
                for key, value in zip(self._state.mapper.primary_key, self._state.identity, strict=True)
            )
        )
        return text(self._state.session.connection().execute(query).scalar())


def _is_known(value: object) -> bool:
    # SQLAlchemy's marks for "was never loaded" are members of an enumeration of its own.
    return type(value).__module__ != "sqlalchemy.orm.base"


def pending(session: Any) -> list[OrmRow]:
    """The rows of a session's next flush; rows that are only touched are left out."""
    rows = [OrmRow(obj, "insert") for obj in session.new]
    for obj in session.dirty:
        row = OrmRow(obj, "update")
        if row.changed or row.table == "registered_model_aliases":
            rows.append(row)
    rows.extend(OrmRow(obj, "delete") for obj in session.deleted)
    return rows


class StatementRow:
    """A row that one statement would write.

    Args:
        table: the table, of SQLAlchemy.
        operation: what the statement does.
        before: values of the row that is there, by column; empty for an insert.
        after: values that it gets, by column; empty for a delete.
    """

    __slots__ = ("_after", "_before", "_keys", "changed", "operation", "table")

    def __init__(
        self, table: Any, operation: Operation, *, before: Mapping[str, object], after: Mapping[str, object]
    ) -> None:
        self.table: str = table.name
        self.operation = operation
        self._keys = tuple(column.name for column in table.primary_key)
        self._before = {column: text(value) for column, value in before.items()}
        self._after = {column: text(value) for column, value in after.items()}
        self.changed = frozenset(
            column for column, value in self._after.items() if before and self._before.get(column) != value
        )

    def value(self, column: str) -> str | None:
        """See `Row`."""
        return self._after.get(column, self._before.get(column))

    def change(self) -> Change:
        """See `Row`."""
        key = {column: self._before.get(column, self._after.get(column)) for column in self._keys}
        before = self._before
        if self.operation == "update":
            before = {column: value for column, value in before.items() if column in self.changed}
        return Change(
            table=self.table,
            operation=self.operation,
            key={column: value for column, value in key.items() if value is not None},
            before=before,
            after=self._after,
        )


def only_stamps(row: Row) -> bool:
    """Whether an update says no more than when the row was touched."""
    return row.operation == "update" and bool(row.changed) and row.changed <= STAMPS
