"""Texts to vectors: an ONNX sentence embedder, and a cache of what was embedded before."""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from signoff.adapters.bundle.onnx_file import require_own_weights
from signoff.errors import ModelError
from signoff.record.bundle import OnnxSettings
from signoff.record.digest import Digest

Vectors = NDArray[np.float32]
MODEL_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"
MISSING = "pip install 'signoff[assistant]'"

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Embedder:
    """A sentence embedder in memory, made from bytes: nothing else is read.

    Each text is embedded by itself. Padding and the value range of its neighbours would change the vectors of
    models with quantised activations, and an answer must not depend on what else was asked.
    """

    def __init__(self, *, model: bytes, tokenizer: bytes, settings: OnnxSettings) -> None:
        """Load the model.

        Raises:
            ModelError: the bytes are none that load, the model takes weights from other files or asks for
                unknown inputs, or a library is not installed.
        """
        require_own_weights(model)
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ModelError(
                f"an embedder needs {error.name}, which is not installed", hint=MISSING
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # Threads that spin while they wait take the cores from whoever else works.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The other format that the library knows has weights elsewhere too, and was not looked at.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_buffer(tokenizer)
        except Exception as error:  # both libraries raise bare exceptions of their own
            raise ModelError(f"the embedder does not load: {type(error).__name__}: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(settings.max_tokens)
        self._inputs = {given.name for given in self._session.get_inputs()}
        if "input_ids" not in self._inputs or not self._inputs <= set(_INPUTS):
            raise ModelError(
                f"the embedder asks for {', '.join(sorted(self._inputs))}; {', '.join(_INPUTS)} are known"
            )
        self._settings = settings

    def embed(self, text: str) -> Vectors:
        """The vector of one text, shape (dimensions,), length 1.

        Raises:
            ModelError: the model fails, or gives no vector.
        """
        ids = np.asarray([self._tokenizer.encode(text).ids], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        try:
            output: Any = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        except Exception as error:  # onnxruntime raises bare exceptions of its own
            raise ModelError(f"the embedder fails: {type(error).__name__}: {error}") from error
        vector: Vectors = np.asarray(output, dtype=np.float32)[0]
        if vector.ndim == 2:
            vector = vector.mean(axis=0) if self._settings.pooling == "mean" else vector[0]
        length = float(np.linalg.norm(vector))
        if vector.ndim != 1 or not np.isfinite(length) or length == 0.0:
            raise ModelError("the embedder gives no vector")
        return vector / np.float32(length)


class Embeds(Protocol):
    """Turns one text into a vector of length 1."""

    def embed(self, text: str) -> Vectors:
        """The vector, shape (dimensions,)."""


Progress = Callable[[int, int], None]
"""Called with the texts embedded and their whole number."""


def embed_all(
    embedder: Embeds,
    texts: Sequence[str],
    *,
    digest: Digest,
    cache: Path | None,
    progress: Progress | None = None,
) -> Vectors:
    """Vectors of texts, shape (texts, dimensions); those that the cache has are not computed again.

    Args:
        embedder: the embedder.
        texts: the texts; at least one.
        digest: of the embedder component; vectors of another embedder are never used.
        cache: folder of the cache, made when it is missing; None for none.
        progress: told how far it is.

    Raises:
        ModelError: the embedder fails.
    """
    found = {} if cache is None else _cached(cache, digest, texts)
    made: dict[str, Vectors] = {}
    size = len(next(iter(found.values()))) if found else None
    for done, text in enumerate(texts, 1):
        if text not in found:
            vector = found[text] = made[text] = embedder.embed(text)
            size = len(vector) if size is None else size
            if len(vector) != size:
                raise ModelError("the embedder gives vectors of different lengths")
        if progress is not None:
            progress(done, len(texts))
        if cache is not None and len(made) == _KEEP_EVERY:
            _keep(cache, digest, made)
            made = {}
    if cache is not None and made:
        _keep(cache, digest, made)
    return np.stack([found[text] for text in texts])


_KEEP_EVERY = 200
"""Texts after which the cache is written, so that an interrupted run goes on where it stopped."""


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


_MARK = 8


def _marked(text: str, data: bytes) -> bytes:
    """A vector's bytes after a checksum of text and vector: damage is noticed, whoever may write could lie."""
    return hashlib.sha256(_key(text) + data).digest()[:_MARK] + data


def _file(cache: Path, digest: Digest) -> Path:
    return cache / f"{digest.hex}.sqlite"


def _cached(cache: Path, digest: Digest, texts: Sequence[str]) -> dict[str, Vectors]:
    """What the cache has; a cache that cannot be read has nothing."""
    path = _file(cache, digest)
    if not path.is_file():
        return {}
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = dict(connection.execute("SELECT text, vector FROM embedding").fetchall())
    except sqlite3.Error:
        return {}
    found: dict[str, Vectors] = {}
    for text in texts:
        kept = rows.get(_key(text))
        data = kept[_MARK:] if isinstance(kept, bytes) else b""
        if data and kept == _marked(text, data):
            found[text] = np.frombuffer(data, dtype="<f4")
    return found


def _keep(cache: Path, digest: Digest, made: dict[str, Vectors]) -> None:
    """Add to the cache; when it cannot be written, the next run computes again."""
    rows = [(_key(text), _marked(text, vector.astype("<f4").tobytes())) for text, vector in made.items()]
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(_file(cache, digest), timeout=30)) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS embedding (text BLOB PRIMARY KEY, vector BLOB NOT NULL)"
            )
            connection.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?)", rows)
    except (sqlite3.Error, OSError):
        return
