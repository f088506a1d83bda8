"""What a decision needs and takes long to find out, such as a digest of files, is found out before anything waits.

A decision is made while a lock is held on the database or on a model. Whoever can be kept waiting by others must not
wait for a file of their choosing to be hashed. So inside of `reading_ahead` a decision that needs more than it has
ends in `NotReadError`: its transaction is given up, `NotReadError.read` finds out what was missing with nothing held,
and the decision is made anew. Everywhere else it is found out at once.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar, cast

from signoff.errors import ConflictError

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What was found out: a value, or why there is none."""

    value: object = None
    error: Exception | None = None


_FOUND: ContextVar[dict[Hashable, _Found] | None] = ContextVar("signoff_found", default=None)


class NotReadError(ConflictError):
    """A decision needs what was not read ahead of it; nothing was decided."""

    def __init__(self, key: Hashable, find_out: Callable[[], object]) -> None:
        super().__init__("its files were not read yet; nothing was changed", hint="ask again")
        self._key = key
        self._find_out = find_out

    def read(self) -> None:
        """Find out what was missing, for the next decision inside of the same `reading_ahead`."""
        found = _FOUND.get()
        if found is None:
            return
        try:
            found[self._key] = _Found(value=self._find_out())
        except Exception as error:  # noqa: BLE001 - the decision meets it where it asks
            found[self._key] = _Found(error=error)


@contextmanager
def reading_ahead() -> Iterator[None]:
    """Until the block ends, decisions of this thread or task wait for nothing long; what was read is then forgotten."""
    held = _FOUND.set({})
    try:
        yield
    finally:
        _FOUND.reset(held)


def found_ahead(key: Hashable, find_out: Callable[[], Value]) -> Value:
    """What `find_out` gives, or raised, when it was last called for the key.

    Args:
        key: what it is about.
        find_out: takes long.

    Raises:
        NotReadError: it must be found out first.
    """
    found = _FOUND.get()
    if found is None:
        return find_out()
    if key not in found:
        raise NotReadError(key, find_out)
    if (error := found[key].error) is not None:
        raise error
    return cast("Value", found[key].value)
