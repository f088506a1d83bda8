"""Column schemas as a model's signature or a table declares them."""

from dataclasses import dataclass

from signoff.record.digest import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnRecord:
    """One column.

    Attributes:
        name: its name.
        type: MLflow's type name: boolean, integer, long, float, double, string, binary, datetime; another
            text for nested types.
        required: whether a row must have a value.
    """

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaRecord:
    """The columns of a table or of a model's input, in order."""

    columns: tuple[ColumnRecord, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(column.name for column in self.columns)

    def to_json(self) -> Json:
        """A JSON list with one object per column."""
        return [{"name": c.name, "type": c.type, "required": c.required} for c in self.columns]
