"""One change of a rule in words, and how lists and fields without words of their own are compared."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from signoff.record.digest import Json, canonical_json

Effect = Literal["looser", "tighter", "changed"]
"""looser: something passes that did not; tighter: the other way round; changed: neither follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that changed.

    Attributes:
        where: standard, roles, guard, use case, requirements, gate, slices, thresholds, proposal, approvals,
            environments, batch, serving or monitors.
        effect: what it means for a candidate.
        words: what changed.
    """

    where: str
    effect: Effect
    words: str

    def to_json(self) -> Json:
        """All fields."""
        return {"where": self.where, "effect": self.effect, "words": self.words}


def looser(where: str, words: str) -> Change:
    """A change that asks for less."""
    return Change(where=where, effect="looser", words=words)


def tighter(where: str, words: str) -> Change:
    """A change that asks for more."""
    return Change(where=where, effect="tighter", words=words)


def changed(where: str, words: str) -> Change:
    """A change that asks for something else."""
    return Change(where=where, effect="changed", words=words)


def by_size(where: str, words: str, *, old: float, new: float, more_is: Effect) -> Change:
    """A number that changed.

    Args:
        where: see `Change`.
        words: what changed.
        old: the number before.
        new: the number now.
        more_is: what a larger number means: looser or tighter.
    """
    less_is: Effect = "tighter" if more_is == "looser" else "looser"
    return Change(where=where, effect=more_is if new > old else less_is, words=words)


def list_changes(
    where: str,
    old: Sequence[str],
    new: Sequence[str],
    *,
    added: Callable[[str], Change],
    removed: Callable[[str], Change],
    order: str,
) -> Iterator[Change]:
    """Entries that came and went; when neither did, whether their order changed.

    Args:
        where: see `Change`.
        old: the entries before.
        new: the entries now.
        added: words for one that came.
        removed: words for one that went.
        order: what the list is called when only its order changed.
    """
    came = [entry for entry in dict.fromkeys(new) if entry not in old]
    went = [entry for entry in dict.fromkeys(old) if entry not in new]
    yield from (added(entry) for entry in came)
    yield from (removed(entry) for entry in went)
    if not came and not went and tuple(old) != tuple(new):
        yield order_changed(where, order, old, new)


def order_changed(where: str, what: str, old: Sequence[str], new: Sequence[str]) -> Change:
    """The same entries in another order."""
    return changed(where, f"order of {what}: {', '.join(new)} instead of {', '.join(old)}")


def field_changes(
    where: str,
    old: Json,
    new: Json,
    *,
    said: frozenset[str] = frozenset(),
    names: Mapping[str, str] | None = None,
) -> Iterator[Change]:
    """Fields of which the bytes in a digest changed, each with both values.

    Args:
        where: see `Change`.
        old: what the digest was made of, a mapping.
        new: the same now.
        said: fields that are told elsewhere.
        names: what fields are called; their own names where it says nothing.
    """
    before = old if isinstance(old, Mapping) else {}
    after = new if isinstance(new, Mapping) else {}
    called = names or {}
    for name in dict.fromkeys((*after, *before)):
        was, now = before.get(name), after.get(name)
        if name not in said and canonical_json(was) != canonical_json(now):
            words = called.get(name, name.replace("_", " "))
            yield changed(where, f"{words}: {_value(now)} instead of {_value(was)}")


def _value(value: Json) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
