"""Frames between the gateway and a scorer: requests one way, answers back, told apart by a number.

All integers are big-endian. A frame is its length (4 bytes), then a fixed head, then the parts that the head
gives the lengths of. Both ends are ours and were started together; a frame that does not fit ends the connection.
"""

import struct
from dataclasses import dataclass
from typing import Final

from signoff.apps.serving.routes import Answer, Request

MAX_FRAME: Final = 256 * 1024 * 1024
"""Bytes. An answer may be larger than the largest body that the gateway takes."""
READY_ID: Final = 0
"""Number of the first answer, which a scorer sends unasked: status 200 when it is ready, 500 and why when not."""

LENGTH: Final = struct.Struct("!I")
_REQUEST: Final = struct.Struct("!Id?H")
_ANSWER: Final = struct.Struct("!IH?HI")


class BrokenFrame(ValueError):  # noqa: N818 - names what arrived
    """Bytes that are no frame of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request as it travels.

    Attributes:
        id: number; its answer bears the same.
        deadline: on this machine's monotonic clock, in seconds; after it nobody waits for the answer.
        request: what is asked.
    """

    id: int
    deadline: float
    request: Request


def pack_request(asked: Asked) -> bytes:
    """The frame of a request."""
    kind = asked.request.content_type.encode("latin-1", "replace")[:0xFFFF]
    head = _REQUEST.pack(asked.id, asked.deadline, asked.request.rows_wanted, len(kind))
    return b"".join((_length(head, kind, asked.request.body), head, kind, asked.request.body))


def unpack_request(frame: bytes) -> Asked:
    """Read a frame without its length.

    Raises:
        BrokenFrame: it is none.
    """
    try:
        number, deadline, rows_wanted, kind_length = _REQUEST.unpack_from(frame)
    except struct.error as error:
        raise BrokenFrame("a request frame is too short") from error
    kind, body = _split(frame, _REQUEST.size, kind_length)
    return Asked(
        id=number,
        deadline=deadline,
        request=Request(body=body, content_type=kind.decode("latin-1"), rows_wanted=rows_wanted),
    )


def pack_answer(number: int, answer: Answer) -> bytes:
    """The frame of an answer."""
    kind = answer.content_type.encode("latin-1", "replace")
    head = _ANSWER.pack(number, answer.status, answer.failed, len(kind), len(answer.rows))
    return b"".join((_length(head, kind, answer.rows, answer.body), head, kind, answer.rows, answer.body))


def unpack_answer(frame: bytes) -> tuple[int, Answer]:
    """Read a frame without its length: the request's number and its answer.

    Raises:
        BrokenFrame: it is none.
    """
    try:
        number, status, failed, kind_length, rows_length = _ANSWER.unpack_from(frame)
    except struct.error as error:
        raise BrokenFrame("an answer frame is too short") from error
    kind, rest = _split(frame, _ANSWER.size, kind_length)
    rows, body = _split(rest, 0, rows_length)
    return number, Answer(
        status=status, body=body, content_type=kind.decode("latin-1"), failed=failed, rows=rows
    )


def frame_length(prefix: bytes) -> int:
    """How many bytes follow the length.

    Raises:
        BrokenFrame: more than a frame may have.
    """
    length: int = LENGTH.unpack(prefix)[0]
    if length > MAX_FRAME:
        raise BrokenFrame(f"a frame of {length:,} bytes; at most {MAX_FRAME:,} are taken")
    return length


def _length(*parts: bytes) -> bytes:
    length = sum(len(part) for part in parts)
    if length > MAX_FRAME:
        raise BrokenFrame(f"a frame of {length:,} bytes; at most {MAX_FRAME:,} are sent")
    return LENGTH.pack(length)


def _split(frame: bytes, start: int, length: int) -> tuple[bytes, bytes]:
    end = start + length
    if end > len(frame):
        raise BrokenFrame("a frame is shorter than its head says")
    return frame[start:end], frame[end:]
