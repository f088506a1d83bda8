"""The two indexes of passages: all vectors compared one by one (faiss), and BM25 over words (bm25s)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from signoff.adapters.bundle.embedding import MISSING, Vectors
from signoff.adapters.bundle.words import Rarity
from signoff.errors import ModelError
from signoff.record.bundle import RetrieverSettings, WordIndexSettings

Hits: TypeAlias = tuple[tuple[int, float], ...]
"""Place of a passage and its score, best first."""

FLAT_FILE = "index.faiss"
WORDS_FOLDER = "bm25"
_FLAT_MARKS = (b"IxFI", b"IxF2")
"""The first bytes of a flat index by inner product, and of one by distance; faiss reads no other kind for us."""
_LENGTH_OFF = 1e-3
"""How far a vector's length may be from 1: rounding to 32 bits leaves less than a thousandth of it."""
_ARRAYS = {"data": "data.csc.index.npy", "indices": "indices.csc.index.npy", "indptr": "indptr.csc.index.npy"}
_VOCABULARY = "vocab.index.json"


class FlatSearch:
    """Cosines of a query's vector with each passage's."""

    def __init__(self, data: bytes, *, passages: int, dimensions: int) -> None:
        """Read an index from bytes.

        Args:
            data: the file's bytes.
            passages: how many vectors it must hold.
            dimensions: of the embedder's vectors.

        Raises:
            ModelError: it is no flat index by inner product over so many vectors of these dimensions and of
                length 1: what it would give are no cosines of the passages.
        """
        faiss = _faiss()
        if data[:4] != _FLAT_MARKS[0]:
            raise ModelError("not a flat faiss index by inner product", where=FLAT_FILE)
        try:
            self._index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        except Exception as error:  # faiss raises bare RuntimeErrors
            raise ModelError(f"faiss cannot read the index: {error}", where=FLAT_FILE) from error
        if self._index.ntotal != passages:
            raise ModelError(
                f"the index holds {self._index.ntotal} vectors for {passages} passages", where=FLAT_FILE
            )
        if self._index.d != dimensions:
            raise ModelError(
                f"the embedder gives {dimensions} dimensions, the index has {self._index.d}", where=FLAT_FILE
            )
        # The header's own word on the metric is what faiss searches by, whatever its first bytes say.
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ModelError("the index does not compare by inner product", where=FLAT_FILE)
        _require_unit(faiss.rev_swig_ptr(self._index.get_xb(), passages * dimensions), dimensions)

    def search(self, vector: Vectors, settings: RetrieverSettings) -> Hits:
        """The best passages for a vector of length 1.

        Raises:
            ModelError: the vector has other dimensions than the index.
        """
        if vector.shape != (self._index.d,):
            raise ModelError(
                f"the embedder gives {vector.size} dimensions, the index has {self._index.d}", where=FLAT_FILE
            )
        scores, places = self._index.search(vector[None, :], min(settings.k, self._index.ntotal))
        found = zip(places[0].tolist(), scores[0].tolist(), strict=True)
        return tuple((place, score) for place, score in found if place >= 0 and score >= settings.min_score)


def _require_unit(values: NDArray[np.float32], dimensions: int) -> None:
    vectors = values.reshape(-1, dimensions)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        good = np.abs(lengths - 1.0) <= _LENGTH_OFF  # false for what is not finite
    if not good.all():
        place = int(np.argmin(good))
        raise ModelError(
            f"the vector of passage {place} has length {lengths[place]:.4g}, not 1 within {_LENGTH_OFF}",
            where=FLAT_FILE,
        )


def write_flat(vectors: Vectors) -> bytes:
    """A flat index of vectors of length 1, shape (passages, dimensions), as bytes."""
    faiss = _faiss()
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    data: bytes = faiss.serialize_index(index).tobytes()
    return data


class WordSearch:
    """BM25 as a share of what the query's words could reach at most.

    A passage's BM25 score is a sum over the query's words of rarity times a share below 1, so the sum of their
    rarities bounds it. Divided by that bound, scores of different queries can be held against one threshold.
    Words that no passage has count in the bound: a query about something else scores low.
    """

    def __init__(self, folder: Path, *, settings: WordIndexSettings, passages: int) -> None:
        """Read an index from the folder of its files; nothing is unpickled.

        Raises:
            ModelError: the files are not those of an index over so many passages.
        """
        bm25s = _bm25s()
        self._index = bm25s.BM25(k1=settings.k1, b=settings.b, method="lucene")
        self._index.nonoccurrence_array = None  # only other methods have one; bm25s.load would set this
        try:
            self._index.load_scores(folder, num_docs=passages, allow_pickle=False)
            vocabulary = json.loads((folder / _VOCABULARY).read_text("utf-8"))
        except (OSError, ValueError, EOFError, RecursionError) as error:
            raise ModelError(f"the index cannot be read: {error}", where=WORDS_FOLDER) from error
        counts = _checked(self._index.scores, vocabulary, passages)
        self._numbers: Mapping[str, int] = vocabulary
        self.rarity = Rarity(passages, {word: int(counts[number]) for word, number in vocabulary.items()})

    def search(self, words: Sequence[str], settings: RetrieverSettings) -> Hits:
        """The best passages for a query's words; one without any of the words is not found."""
        most = sum(map(self.rarity, words))
        known = [self._numbers[word] for word in words if word in self._numbers]
        if not known:
            return ()
        scores = np.asarray(self._index.get_scores_from_ids(known), dtype=np.float64) / most
        # The first of equal ones is the one that stands first among the passages.
        best = np.argsort(-scores, kind="stable")[: settings.k]
        found = ((int(place), min(1.0, float(scores[place]))) for place in best)
        return tuple((place, score) for place, score in found if score > 0.0 and score >= settings.min_score)


def write_words(passages: Sequence[Sequence[str]], settings: WordIndexSettings) -> Mapping[str, bytes]:
    """The files of a BM25 index of each passage's words, by name; the same words give the same bytes."""
    bm25s = _bm25s()
    from bm25s.tokenization import Tokenized

    # In order: bm25s itself numbers words as a Python set happens to hold them.
    numbers = {word: number for number, word in enumerate(sorted({w for words in passages for w in words}))}
    index = bm25s.BM25(k1=settings.k1, b=settings.b, method="lucene")
    index.index(
        Tokenized(ids=[[numbers[word] for word in words] for words in passages], vocab=numbers),
        show_progress=False,
        create_empty_token=False,
    )
    with TemporaryDirectory() as folder:
        index.save(folder, show_progress=False)
        files = {name: (Path(folder) / name).read_bytes() for name in _ARRAYS.values()}
    files[_VOCABULARY] = json.dumps(numbers, ensure_ascii=False, sort_keys=True).encode()
    return files


def _checked(arrays: Mapping[str, Any], vocabulary: object, passages: int) -> NDArray[np.int64]:
    """How many passages have each word; raises when the arrays do not describe such an index."""
    data, indices, indptr = (np.asarray(arrays[name]) for name in _ARRAYS)
    good = (
        isinstance(vocabulary, dict)
        and sorted(map(str, vocabulary.values())) == sorted(map(str, range(len(vocabulary))))
        and all(type(number) is int for number in vocabulary.values())
        and all(array.ndim == 1 for array in (data, indices, indptr))
        and data.dtype.kind == "f"
        and indices.dtype.kind == indptr.dtype.kind == "i"
        and data.size == indices.size
        and indptr.size == len(vocabulary) + 1
        and indptr.size > 1
        and indptr[0] == 0
        and indptr[-1] == data.size
        and bool(np.all(np.diff(indptr) >= 0))
        and bool(np.isfinite(data).all())
        and (not indices.size or (indices.min() >= 0 and indices.max() < passages))
    )
    if not good:
        raise ModelError(f"not a BM25 index over {passages} passages", where=WORDS_FOLDER)
    counts: NDArray[np.int64] = np.diff(indptr).astype(np.int64)
    return counts


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ModelError("a dense index needs faiss, which is not installed", hint=MISSING) from error
    return faiss


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError as error:
        raise ModelError("a BM25 index needs bm25s, which is not installed", hint=MISSING) from error
    return bm25s
