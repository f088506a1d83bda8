"""ONNX files written field by field: one that holds its weights loads, one that takes them from elsewhere does not."""

import json
from pathlib import Path

import numpy as np
import pytest

from signoff.adapters.bundle.embedding import Embedder
from signoff.adapters.bundle.onnx_file import require_own_weights
from signoff.errors import ModelError
from signoff.record.bundle import OnnxSettings

WORDS = {"[UNK]": 0, "a": 1, "b": 2}
SIZE = 4
WEIGHTS = np.arange(1, 1 + len(WORDS) * SIZE, dtype="<f4")
TOKENIZER = json.dumps(
    {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": WORDS, "unk_token": "[UNK]"},
    }
).encode()  # fmt: skip


def varint(number: int) -> bytes:
    head = bytes([number & 0x7F | (0x80 if number > 0x7F else 0)])
    return head + (varint(number >> 7) if number > 0x7F else b"")


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def said(key: str, value: str) -> bytes:
    return field(13, field(1, key) + field(2, value))


INSIDE = field(9, WEIGHTS.tobytes())
ELSEWHERE = said("location", "w.bin") + said("length", str(WEIGHTS.nbytes)) + field(14, 1)


def tensor(values: bytes) -> bytes:
    return field(1, len(WORDS)) + field(1, SIZE) + field(2, 1) + field(8, "W") + values


def typed(name: str, kind: int, *shape: int | str) -> bytes:
    sizes = b"".join(field(1, field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sizes)))


def embedder(values: bytes) -> bytes:
    """Looks the vector of each token up in the tensor."""
    gather = field(1, "W") + field(1, "input_ids") + field(2, "out") + field(3, "look") + field(4, "Gather")
    ends = field(11, typed("input_ids", 7, 1, "n")) + field(12, typed("out", 1, 1, "n", SIZE))
    graph = field(1, gather) + field(2, "g") + field(5, tensor(values)) + ends
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


def loaded(model: bytes) -> Embedder:
    return Embedder(model=model, tokenizer=TOKENIZER, settings=OnnxSettings())


def test_a_model_that_holds_its_weights_loads() -> None:
    vector = loaded(embedder(INSIDE)).embed("a")
    row = WEIGHTS.reshape(-1, SIZE)[1]
    assert vector == pytest.approx(row / np.linalg.norm(row))


@pytest.mark.parametrize("place", ["w.bin", "sub/w.bin", "../w.bin", "{folder}/w.bin"])
def test_a_model_whose_weights_are_in_a_file_beside_it_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "here/sub").mkdir(parents=True)
    for folder in ("", "here", "here/sub"):
        (tmp_path / folder / "w.bin").write_bytes(WEIGHTS.tobytes())
    monkeypatch.chdir(tmp_path / "here")
    values = said("location", place.format(folder=tmp_path)) + said("length", str(WEIGHTS.nbytes))
    with pytest.raises(ModelError, match="ONNX external data"):
        loaded(embedder(values + field(14, 1)))


TENSOR = tensor(ELSEWHERE)
NODE = field(5, field(5, TENSOR))
"""A node with the tensor as an attribute."""
HOLDERS = {
    "initializer": field(7, field(5, TENSOR)),
    "second part of the graph": field(7, field(5, tensor(INSIDE))) + field(7, field(5, TENSOR)),
    "sparse initializer's values": field(7, field(15, field(1, TENSOR))),
    "sparse initializer's places": field(7, field(15, field(2, TENSOR))),
    "attribute": field(7, field(1, NODE)),
    "attribute's list": field(7, field(1, field(5, field(10, TENSOR)))),
    "attribute's sparse tensor": field(7, field(1, field(5, field(22, field(1, TENSOR))))),
    "attribute's list of sparse tensors": field(7, field(1, field(5, field(23, field(1, TENSOR))))),
    "branch": field(7, field(1, field(5, field(6, field(5, TENSOR))))),
    "node of a branch": field(7, field(1, field(5, field(6, field(1, NODE))))),
    "list of branches": field(7, field(1, field(5, field(11, field(5, TENSOR))))),
    "function": field(25, field(7, NODE)),
    "function's default": field(25, field(11, field(5, TENSOR))),
    "training": field(20, field(1, field(5, TENSOR))),
    "training step": field(20, field(2, field(5, TENSOR))),
    "location alone": field(7, field(5, tensor(said("location", "w.bin")))),
    "mark alone": field(7, field(5, tensor(INSIDE + field(14, 1)))),
    "mark taken back": field(7, field(5, tensor(ELSEWHERE + field(14, 0)))),
    "unknown mark": field(7, field(5, tensor(INSIDE + field(14, 2)))),
    "mark in a long number": field(7, field(5, tensor(INSIDE + bytes([0xF0, 0x80, 0x80, 0x00, 0x01])))),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_external_data_is_found_wherever_a_tensor_can_be(holder: str) -> None:
    with pytest.raises(ModelError, match="ONNX external data"):
        require_own_weights(field(1, 8) + HOLDERS[holder])


def test_a_tensor_that_says_that_it_is_whole_is_no_external_data() -> None:
    require_own_weights(field(1, 8) + field(7, field(5, tensor(INSIDE + field(14, 0)))))


def nested(depth: int) -> bytes:
    graph = field(5, tensor(INSIDE))
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return field(7, graph)


@pytest.mark.parametrize(
    "data",
    [
        field(7, b"abc")[:-1],
        bytes([7 << 3 | 3, 7 << 3 | 4]),  # a group
        field(7, 1),
        b"\x00\x00",
        # Field 7 after the number is cut to 32 bits, as some readers do.
        bytes([0x80 | 7 << 3 | 2, 0x80, 0x80, 0x80, 0x10]) + b"\x00",
        varint(9 << 3 | 2) + b"\xff" * 6,
        b"\xff" * 20,
        nested(40),
    ],
)
def test_bytes_that_readers_may_take_differently_do_not_load(data: bytes) -> None:
    with pytest.raises(ModelError, match="not an ONNX file"):
        require_own_weights(data)


def test_branches_inside_of_each_other_are_read() -> None:
    require_own_weights(nested(20))
