"""A ruling as text: what was refused, why, and what to do. Decides nothing."""

from collections.abc import Iterator, Mapping, Sequence

from signoff.release.guard.model import Objection, Ruling
from signoff.standard.guard import GuardRule
from signoff.text import printable

_SHOWN = 12
"""Reasons that a text names before it only counts the rest."""
_STAYS: Mapping[GuardRule, str] = {
    "experiment": "is neither made nor renamed",
    "artifact-location": "keeps its artifacts where the server puts them",
    "registration": "is not registered",
    "alias": "stays as it is",
    "freeze": "stays as it was judged",
    "finished-run": "stays as it ended",
    "deletion": "stays",
    "reserved-tag": "keeps its tags",
}

_NOT_LOOKED_AT = frozenset({"undecided", "nobody-asks"})
"""Codes of reasons that no rule has: nobody can say what the change was about."""


def refusal_text(ruling: Ruling, link: str) -> str:
    """What a client reads: rule and subject first, then each reason with its fix, one per line.

    Args:
        ruling: a ruling that refuses.
        link: address to read more at; "" for none.
    """
    return "\n".join([*_blocks(ruling.refused), *([f"More: {link}"] if link else [])])


def warning_line(objection: Objection) -> str:
    """One objection in one line, for a header, a tag or a list."""
    reason = objection.reason
    fix = f" Fix: {reason.fix}" if reason.fix else ""
    return printable(f"{objection.rule}: {objection.subject}: ({reason.code}) {reason.message}.{fix}")


def _stays(objection: Objection) -> str:
    if objection.reason.code in _NOT_LOOKED_AT:
        return "; nothing was changed."
    return f" {_STAYS[objection.rule]}."


def _blocks(objections: Sequence[Objection]) -> Iterator[str]:
    shown = objections[:_SHOWN]
    heading = None
    for objection in shown:
        now = (objection.rule, objection.subject)
        if now != heading:
            heading = now
            yield printable(f"signoff refused {objection.rule}: {objection.subject}{_stays(objection)}")
        reason = objection.reason
        yield printable(f"({reason.code}) {reason.message}.")
        if reason.fix:
            yield printable(f"  Fix: {reason.fix}")
    if len(objections) > len(shown):
        yield f"and {len(objections) - len(shown)} more reasons."
