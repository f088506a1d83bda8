"""How deep JSON may be nested that is kept for good.

Python reads and writes JSON by recursion: what one caller could write, another with a deeper stack could not read any
more. So the bound is far below any stack's, counted in the bytes, and the same for everybody.
"""

import re

from signoff.errors import EvidenceError

MOST_LEVELS = 20
"""Objects and lists around each other, the outermost counted."""

# A string up to its end, or to the end of the data when it has none: each byte is looked at once.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_OPENING = b"[{"


def refuse_deep(data: bytes, what: str) -> None:
    """Refuse JSON that is nested deeper than is kept.

    Raises:
        EvidenceError: it is.
    """
    if is_deep(data):
        raise EvidenceError(f"{what} is nested deeper than {MOST_LEVELS} levels")


def is_deep(data: bytes) -> bool:
    """Whether JSON is nested deeper than `MOST_LEVELS`."""
    if data.count(b"[") + data.count(b"{") <= MOST_LEVELS:
        return False
    return bool(_deep_parts(data))


def without_deep(data: bytes) -> bytes:
    """The JSON with null in place of everything that is nested deeper than `MOST_LEVELS`."""
    kept: list[bytes] = []
    end = 0
    for start, stop in _deep_parts(data):
        kept += [data[end:start], b"null"]
        end = stop
    return b"".join((*kept, data[end:]))


def _deep_parts(data: bytes) -> list[tuple[int, int]]:
    """Begin and end of each outermost part that is too deep; the last one ends with the data when it has no end."""
    found: list[tuple[int, int]] = []
    level, begin = 0, 0
    for token in _TOKEN.finditer(data):
        mark = token[0]
        if mark[:1] == b'"':
            continue
        if mark in _OPENING:
            level += 1
            if level == MOST_LEVELS + 1:
                begin = token.start()
        else:
            if level == MOST_LEVELS + 1:
                found.append((begin, token.end()))
            level -= 1
    if level > MOST_LEVELS:
        found.append((begin, len(data)))
    return found
