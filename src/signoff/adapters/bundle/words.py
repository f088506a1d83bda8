"""Words of texts: how BM25 and the sentence picker see them. Part of the index's meaning: it never changes."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)
"""Lucene's English stop words."""


def words_of(text: str, stopwords: Literal["english", "none"]) -> list[str]:
    """Lower-case words in order, without the stop words; all of them when nothing else is left."""
    found = _WORD.findall(text.lower())
    if stopwords == "none":
        return found
    return [word for word in found if word not in _COMMON] or found


class Rarity:
    """How much a word says: BM25's inverse document frequency as Lucene computes it, ln(1 + (N - n + ½) / (n + ½)).

    A word that no passage has counts most: n is 0.
    """

    def __init__(self, passages: int, counts: Mapping[str, int]) -> None:
        self._passages = passages
        self._counts = counts

    @classmethod
    def of(cls, passages: Iterable[Iterable[str]]) -> "Rarity":
        """Counted over the words of all passages."""
        counts: dict[str, int] = {}
        total = 0
        for words in passages:
            total += 1
            for word in set(words):
                counts[word] = counts.get(word, 0) + 1
        return cls(total, counts)

    def __call__(self, word: str) -> float:
        """Above 0."""
        count = self._counts.get(word, 0)
        return math.log(1.0 + (self._passages - count + 0.5) / (count + 0.5))
