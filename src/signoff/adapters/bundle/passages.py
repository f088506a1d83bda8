"""The passages of an index: ids and texts, one JSON object per line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from signoff.errors import DataError, ModelError

PASSAGES_FILE = "passages.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Passages:
    """What can be retrieved.

    Attributes:
        ids: distinct; the place of a passage is its number in the index.
        texts: by place.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def passages_of(frame: Any) -> Passages:
    """The columns ``id`` and ``text`` of a pandas DataFrame.

    Raises:
        DataError: a column is missing, holds anything but text, or an id stands twice.
    """
    for column in ("id", "text"):
        if column not in frame.columns:
            raise DataError(f"the passages have no column {column!r}", hint="give the columns id and text")
        wrong = next(
            (value for value in frame[column] if not isinstance(value, str) or not value.strip()), None
        )
        if wrong is not None or not len(frame):
            raise DataError(f"column {column!r} of the passages must hold a text in every row")
    try:
        return _checked(frame["id"].tolist(), frame["text"].tolist())
    except ValueError as error:
        raise DataError(f"the passages cannot be used: {error}") from error


def write_passages(passages: Passages) -> bytes:
    """The file's bytes: the same passages give the same bytes."""
    lines = (
        json.dumps({"id": id_, "text": text}, ensure_ascii=False)
        for id_, text in zip(passages.ids, passages.texts, strict=True)
    )
    return "".join(f"{line}\n" for line in lines).encode()


def read_passages(data: bytes) -> Passages:
    """Read the file.

    Raises:
        ModelError: a line is not an object with the two texts, or an id stands twice.
    """
    try:
        rows = list(_rows(data))
        return _checked([row[0] for row in rows], [row[1] for row in rows])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the passages cannot be read: {error}", where=PASSAGES_FILE) from error


def _rows(data: bytes) -> Iterator[tuple[str, str]]:
    # str.splitlines would also break at separators that stand inside of texts.
    for number, line in enumerate(data.decode("utf-8").removesuffix("\n").split("\n"), 1):
        row = json.loads(line)
        if not isinstance(row, dict) or set(row) != {"id", "text"} or set(map(type, row.values())) != {str}:
            raise ValueError(f"line {number} is not an object with the texts id and text")
        yield row["id"], row["text"]


def _checked(ids: list[str], texts: list[str]) -> Passages:
    if len(set(ids)) != len(ids):
        twice = next(id_ for place, id_ in enumerate(ids) if id_ in ids[:place])
        raise ValueError(f"the id {twice!r} stands twice")
    for id_, text in zip(ids, texts, strict=True):
        try:
            f"{id_}{text}".encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the passage {id_!a} is not Unicode text") from error
    return Passages(ids=tuple(ids), texts=tuple(texts))
