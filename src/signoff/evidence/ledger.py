"""The port to wherever statements and the audit log are kept."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from signoff.evidence.dsse import Envelope
from signoff.evidence.statement import StatementKind
from signoff.record.digest import Digest, Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One decision, allowed or refused, for the audit log.

    Attributes:
        at: ISO 8601 time in UTC, such as 2026-11-22T10:15:00Z.
        actor: who asked: an e-mail from the roster when a key proved it, else ``unverified:<os user>``.
        action: gate, propose, note, approve, reject, waive, promote, rollback, predict, trigger, act, measure…
        outcome: what came of it.
        use_case: its name; "" when none.
        subject: what it was about: run id, ``churn/3``, ``churn@prod``.
        statement: id of the statement it produced or rested on, as text; None when none.
        reasons: why, when refused; short lines.
        detail: further facts; JSON.
    """

    at: str
    actor: str
    action: str
    outcome: Literal["allowed", "refused", "failed"]
    use_case: str
    subject: str
    statement: str | None
    reasons: tuple[str, ...]
    detail: Mapping[str, Json]

    def to_json(self) -> Json:
        """All fields; its canonical bytes are the leaf of the log's Merkle tree."""
        return {
            "at": self.at,
            "actor": self.actor,
            "action": self.action,
            "outcome": self.outcome,
            "use_case": self.use_case,
            "subject": self.subject,
            "statement": self.statement,
            "reasons": list(self.reasons),
            "detail": dict(self.detail),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class LogHead:
    """Size and RFC 6962 root hash of the audit log at one moment."""

    size: int
    root: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedEntry:
    """An entry with its 0-based index in the log."""

    index: int
    entry: Entry


class LedgerWriter(Protocol):
    """Writes of one transaction: all of them are kept, or none."""

    def put(self, envelope: Envelope, *, use_case: str, version: str | None, run_id: str | None) -> Digest:
        """Keep a statement and return its id; the three names are an index for look-ups.

        Putting the same payload again adds signatures that are not there yet.
        """

    def append(self, entry: Entry, *, expected: int | None = None) -> int:
        """Append to the audit log.

        Args:
            entry: what is remembered.
            expected: size of the log when the decision was made; None when nothing depends on it. Beyond it the
                entry's use case may have none that decisions rest on (`log_entry.is_decision`).

        Returns:
            The entry's index; of a transaction that is sent as a whole, the index that it would get now.

        Raises:
            ConflictError: something else was decided in between; at the latest at the end of the transaction.
        """


class Ledger(Protocol):
    """Statements and the audit log."""

    def transaction(self) -> AbstractContextManager[LedgerWriter]:
        """One write transaction; commits at the end of the block, rolls back on an exception."""

    def get(self, statement: Digest) -> Envelope | None:
        """The statement by its id; the payload's digest is checked on reading.

        Raises:
            EvidenceError: the stored bytes do not have that digest.
        """

    def find(
        self,
        *,
        use_case: str,
        kind: StatementKind | None = None,
        version: str | None = None,
        run_id: str | None = None,
    ) -> tuple[Envelope, ...]:
        """Statements with that index, oldest first."""

    def head(self) -> LogHead:
        """The log's head now."""

    def entries(self, *, use_case: str | None = None, last: int | None = None) -> tuple[LoggedEntry, ...]:
        """Entries in order; the last so many of a use case or of all."""
