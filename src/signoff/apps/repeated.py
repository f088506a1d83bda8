"""Refusals on their way to a server's audit log: the same one again and again is counted, not written anew.

The log keeps everything for good, and any login may ask for what is refused to it. So a worker writes the same refusal
of the same login once in `WINDOW_SECONDS`, and of different ones `MOST` of a login; the others are counted, and the
next entry says how many it stands for in its ``count``. What a worker only counted in the minute before it ends is lost.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import COUNT

WINDOW_SECONDS = 60.0
MOST = 100
"""Different refusals of one login in a window that are written one by one; further ones are counted by action."""
FURTHER = "further refusals"
"""Subject of the entry that counts them."""

_Key = tuple[str, str, str, str, tuple[str, ...]]


@dataclass(kw_only=True, slots=True)
class _Told:
    """A refusal that was written, and what came since.

    Attributes:
        until: end of its window.
        entry: the newest.
        more: how many came that were not written.
    """

    until: float
    entry: Entry
    more: int = 0


@dataclass(kw_only=True, slots=True)
class RepeatedRefusals:
    """What one process refused of late; safe to share between threads.

    Args:
        clock: seconds, monotonic.
    """

    clock: Callable[[], float] = time.monotonic
    _told: dict[_Key, _Told] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def due(self, *refused: Entry) -> tuple[Entry, ...]:
        """What to append to the log, now that these were refused: themselves, and what was counted till now.

        Args:
            refused: entries of refusals; the detail's ``login`` says whose.
        """
        with self._lock:
            present = self.clock()
            ended = {key: told for key, told in self._told.items() if told.until <= present}
            for key in ended:
                del self._told[key]
            new = [entry for one in refused if (entry := self._new(one, present, ended)) is not None]
            counted = [_standing_for(told.entry, told.more) for told in ended.values() if told.more]
            return (*counted, *new)

    def _new(self, entry: Entry, present: float, ended: dict[_Key, _Told]) -> Entry | None:
        """The entry of a refusal, with what was counted in its window before; None when it is counted itself."""
        key = _key(entry)
        if key not in self._told and sum(known[0] == key[0] for known in self._told) >= MOST:
            entry = replace(entry, subject=FURTHER, reasons=())
            key = _key(entry)
        told = self._told.get(key)
        if told is None:
            self._told[key] = _Told(until=present + WINDOW_SECONDS, entry=entry)
            before = ended.pop(key, None)
            return _standing_for(entry, 1 + (0 if before is None else before.more))
        told.entry, told.more = entry, told.more + 1
        return None


def _key(entry: Entry) -> _Key:
    login = entry.detail.get("login")
    return str(login or entry.actor), entry.action, entry.use_case, entry.subject, entry.reasons


def _standing_for(entry: Entry, count: int) -> Entry:
    return entry if count == 1 else replace(entry, detail={**entry.detail, COUNT: count})
