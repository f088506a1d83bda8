"""What the ledger says, kept in memory and read on from where the reading was left.

Each decision reads the log's head in its own transaction, and the entries that came since. Those must continue the
log that this process has seen: the head must be the root of the entries known before together with the new ones
(RFC 6962), else somebody changed or cut the log, and nothing is decided any more until it was looked at.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signoff.errors import EvidenceError
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.log_entry import read_entry
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.evidence.roster import Roster
from signoff.evidence.verify import signature_fault
from signoff.record.digest import Digest
from signoff.release.history import History, read_signed
from signoff.release.model import Signed

if TYPE_CHECKING:
    from signoff.adapters.ledger_sql import LogGrowth

_HINT = "signoff admin audit --verify; when it was restored on purpose, start the server again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The log at one moment, with a use case's statements in it.

    Attributes:
        head: the log's head.
        history: the use case's statements, signatures checked.
    """

    head: LogHead
    history: History


@dataclass(kw_only=True, slots=True)
class _About:
    """A use case: what the log names of it, and how much of that was verified against a roster."""

    named: list[Entry] = field(default_factory=list)
    roster: Digest | None = None
    verified: int = 0
    statements: dict[str, Signed] = field(default_factory=dict)
    history: History = field(default_factory=lambda: History(statements=()))


class LedgerView:
    """The log of one database as this process has seen it; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frontier = Frontier()
        self._head = LogHead(size=0, root=Digest(Frontier().root().hex()))
        self._envelopes: dict[str, Envelope] = {}
        self._about: dict[str, _About] = {}

    def read(self, use_case: str, roster: Roster, grown: "Callable[[int], LogGrowth]") -> Seen:
        """A use case's statements now.

        Args:
            use_case: its name.
            roster: whose signatures count.
            grown: reads what the log gained since so many entries.

        Raises:
            StoreError: the ledger cannot be read.
            EvidenceError: it does not continue what was read before, or a statement is missing or changed.
        """
        with self._lock:
            self._extend(grown(self._head.size))
            return Seen(head=self._head, history=self._history(use_case, roster))

    def _extend(self, growth: "LogGrowth") -> None:
        frontier = self._frontier
        entries: list[Entry] = []
        for index, data in growth.rows:
            if index != frontier.size:
                raise EvidenceError(f"entry {frontier.size} of the audit log is missing", hint=_HINT)
            frontier = frontier.append(leaf_hash(data))
            entries.append(read_entry(data))
        if (frontier.size, frontier.root().hex()) != (growth.head.size, growth.head.root.hex):
            raise EvidenceError(
                f"the audit log with its {growth.head.size} entries does not continue the {self._head.size} that were"
                " read before: it was changed or cut",
                hint=_HINT,
            )
        read = {name: Envelope.from_json(text) for name, text in growth.statements.items()}
        for index, entry in enumerate(entries, self._head.size):
            if entry.statement is not None and entry.statement not in read:
                raise EvidenceError(
                    f"entry {index} of the audit log names a statement that is not in the ledger", hint=_HINT
                )
        if changed := [name for name, envelope in read.items() if str(envelope.id) != name]:
            raise EvidenceError("a statement was changed", where=changed[0], hint=_HINT)
        self._envelopes.update(read)
        for entry in entries:
            if entry.statement is not None:
                self._about.setdefault(entry.use_case, _About()).named.append(entry)
        self._frontier, self._head = frontier, growth.head

    def _history(self, use_case: str, roster: Roster) -> History:
        about = self._about.get(use_case)
        if about is None:
            return History(statements=())
        if about.roster != roster.digest:
            about.roster, about.verified, about.statements = roster.digest, 0, {}
        if about.verified < len(about.named):
            for entry in about.named[about.verified :]:
                self._verify(about, use_case, entry, roster)
            about.history = History(statements=tuple(about.statements.values()))
            about.verified = len(about.named)
        return about.history

    def _verify(self, about: _About, use_case: str, entry: Entry, roster: Roster) -> None:
        name = str(entry.statement)
        envelope = self._envelopes[name]
        if envelope.is_deep:
            return  # it says nothing; the audit names it
        fault = signature_fault(entry, envelope, roster)
        if fault is not None:
            raise EvidenceError(f"statement {envelope.id.short}: {fault}", hint=_HINT)
        earlier = about.statements.get(name)
        order = len(about.statements) if earlier is None else earlier.order
        # Named again, it may have a further signature.
        about.statements[name] = read_signed(use_case, envelope, roster, order=order)
