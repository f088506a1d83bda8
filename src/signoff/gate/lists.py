"""Lists to be ranked: each is one row of the gate, with one value per metric of order."""

from dataclasses import dataclass

import numpy as np

from signoff.gate.arrays import FloatArray, IntArray
from signoff.gate.model import Predictions
from signoff.gate.retrieval import list_values


@dataclass(frozen=True, kw_only=True, slots=True)
class Lists:
    """The rows of all lists, whatever their order in the table.

    Attributes:
        grades: shape (rows,): how relevant each row is, 0 or more.
        codes: shape (rows,): the list of each row, from 0, each code at least once.
        k: places of a list that count.
    """

    grades: FloatArray
    codes: IntArray
    k: int

    @property
    def count(self) -> int:
        """Number of lists."""
        return int(self.codes.max()) + 1 if self.codes.size else 0

    def judged(self, scores: FloatArray) -> Predictions:
        """What an order by these scores, shape (rows,), is worth; NaN for a list without a relevant row."""
        values = list_values(self.grades, scores, self.codes, self.k)
        return Predictions(score=None, decision=None, values=values)

    def at_random(self) -> Predictions:
        """What a random order is worth on average: that of scores which are all alike."""
        return self.judged(np.zeros_like(self.grades))
