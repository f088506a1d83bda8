"""The extractive answer: sentences quoted from the passages. A passage is data here; nothing in it is followed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from signoff.adapters.bundle.index import Hits
from signoff.adapters.bundle.words import words_of
from signoff.gate.answers import sentences

_LONGEST = 2000
"""Characters of a sentence beyond which it is a table or listing; such a one is cut at a line end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract:
    """Quoted sentences.

    Attributes:
        sentences: word for word, in the order of the passages.
        places: of the passages that they come from, each once.
    """

    sentences: tuple[str, ...]
    places: tuple[int, ...]


def extract(
    query: Sequence[str], hits: Hits, texts: Sequence[str], *, count: int, rarity: Callable[[str], float]
) -> Extract:
    """The sentences that share most with the query, from the best passages first.

    A sentence's worth is its passage's score as a share of the best passage's, plus the share of the query's
    words that it has, each word weighted by its rarity. Of equal ones the first of the better passage wins.

    Args:
        query: the query's words.
        hits: what was retrieved, best first; at least one.
        texts: all passages' texts, by place.
        count: sentences wanted.
        rarity: how much a word says; above 0.
    """
    whole = sum(map(rarity, set(query))) or 1.0
    best = max(hits[0][1], 1e-9)
    ranked: list[tuple[float, int, int, str]] = []
    for rank, (place, score) in enumerate(hits):
        for position, (sentence, words) in enumerate(_sentences(texts[place])):
            shared = sum(map(rarity, set(query) & words)) / whole
            ranked.append((-(score / best + shared), rank, position, sentence))
    chosen = sorted(sorted(ranked)[:count], key=lambda row: row[1:3])
    places = dict.fromkeys(hits[rank][0] for _, rank, _, _ in chosen)
    return Extract(sentences=tuple(row[3] for row in chosen), places=tuple(places))


@lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[tuple[str, frozenset[str]], ...]:
    found = (_shortened(sentence) for sentence in sentences(text))
    return tuple((sentence, frozenset(words_of(sentence, "none"))) for sentence in found)


def _shortened(sentence: str) -> str:
    if len(sentence) <= _LONGEST:
        return sentence
    return sentence[: max(sentence.rfind("\n", 0, _LONGEST), 0) or _LONGEST].strip()
