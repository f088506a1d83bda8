"""Permission for exactly one change that Signoff itself has decided and is about to make.

A verb that registers a version or moves an alias has decided already, on signed statements. It names the change
while it asks MLflow for it; the guard's hooks, where they are, let that one change pass and nothing beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Warrant:
    """One change.

    Attributes:
        table: the table it is made in, such as ``registered_model_aliases`` or ``model_version_tags``.
        values: columns and values, as text, that identify the row and what it becomes; all must agree.
    """

    table: str
    values: tuple[tuple[str, str], ...]


_HELD: ContextVar[tuple[Warrant, ...]] = ContextVar("signoff_warrants", default=())


@contextmanager
def warranted(table: str, **values: str) -> Iterator[None]:
    """Hold a warrant for one change until the block ends; for the current thread or task only."""
    held = _HELD.set((*_HELD.get(), Warrant(table=table, values=tuple(sorted(values.items())))))
    try:
        yield
    finally:
        _HELD.reset(held)


def warrants() -> tuple[Warrant, ...]:
    """What is held here."""
    return _HELD.get()
