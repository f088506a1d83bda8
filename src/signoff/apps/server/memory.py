"""What a worker need not work out again: everything here follows from what it is kept with, or is not used."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from signoff.apps.workspace import Workspace, private_copy
from signoff.record.digest import Digest

_KEPT = 512
Value = TypeVar("Value")
FileState = tuple[int, int, int] | None


@dataclass(kw_only=True, slots=True)
class Kept(Generic[Value]):
    """The newest values by key, each with what it was worked out from; safe to share between threads.

    A value counts only when it rests on the very same objects: a history or a standard that was read anew is another
    object.
    """

    _values: "OrderedDict[object, tuple[tuple[object, ...], Value]]" = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def get(
        self,
        key: object,
        rests_on: tuple[object, ...],
        work_out: Callable[[], Value],
        *,
        only: Value | None = None,
    ) -> Value:
        """The value of a key, worked out when it is not known or rested on something else.

        Args:
            key: what it is the value of.
            rests_on: what it follows from.
            work_out: gives it.
            only: keep it when it is this; None: keep it whatever it is.
        """
        with self._lock:
            known = self._values.get(key)
        if known is not None and all(_same(a, b) for a, b in zip(known[0], rests_on, strict=True)):
            return known[1]
        value = work_out()
        if only is not None and value != only:
            return value
        with self._lock:
            self._values[key] = (rests_on, value)
            self._values.move_to_end(key)
            if len(self._values) > _KEPT:
                self._values.popitem(last=False)
        return value


def _same(one: object, other: object) -> bool:
    if isinstance(one, str | int | tuple) or one is None:
        return one == other
    return one is other


def model_digest(workspace: Workspace, uri: str) -> Digest:
    """Digest of a model's files, hashed now."""
    with private_copy(workspace, uri) as folder:
        return folder.digest


def file_state(path: Path) -> FileState:
    """What changes when a file is written; None for a folder or for nothing, of which this says too little."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if path.is_file() else None
