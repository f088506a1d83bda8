"""What a monitor answers. Reading a stored answer must not cost the import of NumPy."""

from dataclasses import dataclass
from typing import Literal

Standing = Literal["in bounds", "out of bounds", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """What a monitor found.

    Attributes:
        standing: in bounds, out of bounds, or undecided.
        value: what was measured, in the unit of the bound; None when nothing was.
        message: the arithmetic in one line, or why nothing was decided.
        rows: rows or requests that counted.
        detail: further lines, such as one per column.
    """

    standing: Standing
    value: float | None
    message: str
    rows: int
    detail: tuple[str, ...] = ()

    @staticmethod
    def undecided(why: str, *, rows: int = 0) -> "Assessment":
        """Nothing could be decided."""
        return Assessment(standing="undecided", value=None, message=why, rows=rows)
