"""An ONNX file as bytes of one file: whether its weights stand in it, or in others that nobody signed.

A tensor can name a file, and a place in it, to take its values from. Such a file is no part of the bundle: whoever
can write it changes the vectors, and no digest shows it. So every tensor is looked at, in the protobuf wire format
(https://protobuf.dev/programming-guides/encoding) and by the field numbers of ONNX's ``onnx.proto``.
"""

from collections.abc import Iterator
from typing import Literal, TypeAlias

from signoff.errors import ModelError

_Message: TypeAlias = Literal[
    "model", "training", "function", "graph", "node", "attribute", "sparse tensor", "tensor"
]

_TENSORS_IN: dict[_Message, dict[int, _Message]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}  # fmt: skip
"""Message → number of each field that can hold a tensor, at any depth, and the message that the field holds."""

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
"""Fields of a tensor: where its values are outside of the file, and whether they are; 0 says that they are not."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_DEEPEST = 100
"""Messages inside of each other; protobuf's own readers stop there too."""
_MOST_FIELDS = 2_000_000
"""Fields of a whole file; a sentence embedder has some thousands."""


class _WireError(ValueError):
    """The bytes are not in the wire format, or not in the part of it that ONNX files use."""


def require_own_weights(model: bytes) -> None:
    """Refuse an ONNX file that takes values from other files.

    A field that says where values are is refused even when another one says that they are in the file: readers
    differ in which of the two they believe.

    Raises:
        ModelError: a tensor has external data, or the bytes are no ONNX file.
    """
    try:
        outside = _names_other_files(memoryview(model))
    except _WireError as error:
        raise ModelError(
            f"the embedder does not load: not an ONNX file: {error}", where="model.onnx"
        ) from error
    if outside:
        raise ModelError(
            "the embedder does not load: it takes weights from another file (ONNX external data), which no"
            " signature covers",
            where="model.onnx",
            hint="save it as one file: onnx.save(onnx.load(PATH), PATH, save_as_external_data=False)",
        )


def _names_other_files(model: memoryview) -> bool:
    waiting: list[tuple[_Message, memoryview, int]] = [("model", model, 0)]
    fields = 0
    while waiting:
        kind, data, depth = waiting.pop()
        if depth > _DEEPEST:
            raise _WireError(f"messages are more than {_DEEPEST} deep")
        for number, wire, value in _fields(data):
            fields += 1
            if fields > _MOST_FIELDS:
                raise _WireError(f"more than {_MOST_FIELDS:,} fields")
            if kind == "tensor" and (
                number == _EXTERNAL_DATA or (number == _DATA_LOCATION and (wire, value) != (_VARINT, 0))
            ):
                return True
            inside = _TENSORS_IN[kind].get(number)
            if inside is not None:
                # A reader skips the field when it has another wire type; we need not know what it meant.
                if not isinstance(value, memoryview) or wire != _BYTES:
                    raise _WireError(f"field {number} of a {kind} is no message")
                waiting.append((inside, value, depth + 1))
    return False


def _fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of each field."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at, bytes_at_most=5)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise _WireError(f"a field has number {number}")
        if wire == _VARINT:
            value, at = _varint(data, at, bytes_at_most=10)
            yield number, wire, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at, bytes_at_most=5)
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise _WireError(f"field {number} has wire type {wire}")
        if size > len(data) - at:
            raise _WireError(f"field {number} goes beyond its message")
        yield number, wire, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int, *, bytes_at_most: int) -> tuple[int, int]:
    """A number of seven bits to a byte, the lowest first, and where the next thing begins."""
    number = 0
    for place, byte in enumerate(data[at : at + bytes_at_most]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise _WireError("a number does not end")
