"""The ledger behind a guarded MLflow server: read and written through the server's own API.

The server decides again before it writes, so a transaction is one submission: statements, entries and the move of
an alias go together, and are kept together or not at all. What it sends is believed only where it cannot be
checked: the entries must have the root that the head names, each envelope the digest that it is filed under, and
the log must continue what this process has seen of it.
"""

import base64
import logging
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from signoff.errors import ConflictError, EvidenceError, RefusedError, StoreError
from signoff.evidence.audit import LogRow, StatementRow, StoredLedger
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry, LoggedEntry, LogHead
from signoff.evidence.log_entry import entry_bytes, read_entry
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.evidence.statement import StatementKind
from signoff.record.digest import Digest
from signoff.remote import Answer, Remote, Wire

API = "/api/2.0/signoff"
STANDARD_HEADER = "x-signoff-standard"
"""Names, in each answer, the digest of the standard that the server decides by."""
_MOST_BYTES = 1 << 29
"""Of a ledger, unpacked; the answer to one request."""
_SUBMISSION_SECONDS = 900.0
"""The server hashes the model's files before it writes."""


class HttpLedger:
    """The ledger of one server; threads may share it.

    Args:
        remote: the server.
        standard: digest of the standard that is decided by here, to say so when the server has another.
    """

    def __init__(self, remote: Remote, *, standard: Digest) -> None:
        self._remote = remote
        self._standard = standard
        self._seen = _Seen()
        self._lock = Lock()
        self._told = False

    @property
    def where(self) -> str:
        """The server's address, for messages."""
        return self._remote.address

    def exists(self) -> bool:
        """Whether the server has this API, and so a ledger.

        Raises:
            StoreError: it has not, or cannot be reached.
        """
        return self.head().size >= 0

    def head(self) -> LogHead:
        """The log's head now, as the server says."""
        with self._remote.understood():
            return _head(self._get("head"))

    def get(self, statement: Digest) -> Envelope | None:
        """The statement by its id."""
        found = (row for row in self.checked().statements if row.id == str(statement))
        return next((Envelope.from_json(row.envelope) for row in found), None)

    def find(
        self,
        *,
        use_case: str,
        kind: StatementKind | None = None,
        version: str | None = None,
        run_id: str | None = None,
    ) -> tuple[Envelope, ...]:
        """Statements with that index, oldest first; names that are None do not narrow the search."""
        wanted = {"use_case": use_case, "kind": kind, "version": version, "run_id": run_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        with self._remote.understood():
            found = tuple(Envelope.from_json(text) for text in self._get("statements", given)["statements"])
        for envelope in found:
            said = envelope.statement
            if said.predicate.get("use_case") != use_case or kind not in (None, said.kind):
                raise EvidenceError("the server sent another statement than was asked for", where=self.where)
        return found

    def entries(self, *, use_case: str | None = None, last: int | None = None) -> tuple[LoggedEntry, ...]:
        """Entries in order; the last so many of a use case or of all."""
        logged = (LoggedEntry(index=r.index, entry=read_entry(r.entry)) for r in self.checked().rows)
        found = tuple(one for one in logged if use_case in (None, one.entry.use_case))
        return found if last is None else found[-last:]

    def stored(self) -> StoredLedger:
        """Everything as the server sent it, unchecked: for the audit. What was read before is not read again."""
        with self._lock:
            return self._read()

    def checked(self) -> StoredLedger:
        """Everything, held against the head and the ids.

        Raises:
            EvidenceError: the server sent entries or statements that are not what they are filed under, or a log
                that does not continue what it sent before.
        """
        with self._lock:
            found = self._read()
            self._seen.prove(found, self.where)
            return found

    @contextmanager
    def transaction(self) -> Iterator["HttpLedgerWriter"]:
        """Gather one submission, and send it at the end of the block.

        Raises:
            RefusedError: the server decided again, and refused; nothing is kept.
            ConflictError: somebody else decided something in between; nothing is kept.
            StoreError: the server cannot be reached, or could not decide.
        """
        writer = HttpLedgerWriter(ledger=self)
        yield writer
        if not writer.entries and not writer.envelopes:
            return
        answer = self._ask("submissions", body=writer.to_json(), timeout=_SUBMISSION_SECONDS)
        if not answer.good:
            raise self._failure(answer)
        missing = [envelope.id for envelope in writer.envelopes if self.get(envelope.id) is None]
        if missing:
            raise StoreError(
                f"the server took statement {missing[0].short}, and its log does not have it",
                where=self.where,
            )

    def _read(self) -> StoredLedger:
        seen = self._seen
        start = 0 if seen.stored is None else len(seen.stored.rows)
        headers = {"Accept-Encoding": "gzip"} | ({"If-None-Match": seen.tag} if seen.tag else {})
        answer = self._ask("stored", query={"from": str(start)}, headers=headers)
        if answer.status == 304 and seen.stored is not None:
            return seen.stored
        if not answer.good:
            raise self._failure(answer)
        with self._remote.understood():
            body = _unpacked(answer, self.where)
            page = self._remote.json_of(body)
            if page["from"] != start:
                raise ValueError(f"entries from {page['from']} on, asked for {start}")
            found = _continued(seen.stored, page)
        if found.head.size < start:
            self._seen = _Seen()
            raise EvidenceError(
                f"the server's log has {found.head.size} entries, it had {start} before", where=self.where
            )
        seen.stored, seen.tag = found, answer.headers.get("etag", "")
        return found

    def _get(self, resource: str, query: Mapping[str, str] | None = None) -> Wire:
        answer = self._ask(resource, query=query)
        if not answer.good:
            raise self._failure(answer)
        return self._remote.json_of(answer.body)

    def _ask(
        self,
        resource: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Wire | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        answer = self._remote.ask(
            f"{API}/{resource}", query=query, body=body, headers=headers, limit=_MOST_BYTES, timeout=timeout
        )
        named = answer.headers.get(STANDARD_HEADER, "")
        if named and named != str(self._standard) and not self._told:
            self._told = True
            logging.getLogger("signoff").warning(
                "note: the server at %s decides by another version of the standard (%s) than the file here (%s)",
                self.where,
                named.removeprefix("sha256:")[:12],
                self._standard.short,
            )
        return answer

    def _failure(self, answer: Answer) -> Exception:
        code, message = answer.said()
        if answer.status == 403 and code == "PERMISSION_DENIED":
            return RefusedError(message)
        if answer.status == 409 and code:
            return ConflictError(message, where=self.where, hint="run the same command again")
        if answer.status == 404 and code != "RESOURCE_DOES_NOT_EXIST":
            return StoreError(
                "the ledger cannot be reached through MLflow's HTTP address: this server has no Signoff",
                where=self.where,
                hint="start it with `signoff admin server`, or name the ledger's database with"
                " `ledger: postgresql+psycopg2://…` in the standard",
            )
        if 400 <= answer.status < 500 and answer.status != 401 and code:
            return StoreError(message, where=self.where)
        return self._remote.failure(answer)


@dataclass(kw_only=True, slots=True)
class HttpLedgerWriter:
    """What one submission will hold.

    Attributes:
        ledger: where it goes.
        envelopes: statements, in order.
        entries: entries, in order.
        size: size of the log when it was decided; None when nothing depends on it.
        alias: registered model, alias and version that move with it; None for no move.
    """

    ledger: HttpLedger
    envelopes: list[Envelope] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    size: int | None = None
    alias: tuple[str, str, int] | None = None

    def put(self, envelope: Envelope, *, use_case: str, version: str | None, run_id: str | None) -> Digest:  # noqa: ARG002
        """Gather a statement; under which names it is filed the server takes from what it says."""
        self.envelopes.append(envelope)
        return envelope.id

    def append(self, entry: Entry, *, expected: int | None = None) -> int:
        """Gather an entry; returns the index that it would get now."""
        _ = entry_bytes(entry)
        self.entries.append(entry)
        if expected is not None:
            self.size = expected
            return expected
        return self.ledger.head().size + len(self.entries) - 1

    def move_alias(self, name: str, alias: str, version: int) -> None:
        """Have the server point an alias at a version in the transaction that keeps the statement."""
        self.alias = (name, alias, version)

    def to_json(self) -> Wire:
        """The submission."""
        alias = (
            None if self.alias is None else dict(zip(("name", "alias", "version"), self.alias, strict=True))
        )
        return {
            "statements": [envelope.to_json() for envelope in self.envelopes],
            "entries": [entry_bytes(entry).decode() for entry in self.entries],
            "size": self.size,
            "alias": alias,
        }


@dataclass(kw_only=True, slots=True)
class _Seen:
    """What this process has read of the ledger, and how far it was proved."""

    stored: StoredLedger | None = None
    tag: str = ""
    proved: StoredLedger | None = None
    frontier: Frontier = field(default_factory=Frontier)

    def prove(self, found: StoredLedger, where: str) -> None:
        """Hold what is new against the head and its ids; a failure forgets all of it.

        Raises:
            EvidenceError: it is not what it is filed under.
        """
        if found is self.proved:
            return
        before = {} if self.proved is None else {row.id: row.envelope for row in self.proved.statements}
        frontier = self.frontier
        for row in found.rows[frontier.size :]:
            if row.index != frontier.size:
                self._forget()
                raise EvidenceError(f"entry {frontier.size} of the log is missing", where=where)
            frontier = frontier.append(leaf_hash(row.entry))
        wrong = [
            row.id
            for row in found.statements
            if before.get(row.id) != row.envelope and str(Envelope.from_json(row.envelope).id) != row.id
        ]
        if (frontier.size, frontier.root().hex()) != (found.head.size, found.head.root.hex) or wrong:
            self._forget()
            raise EvidenceError(
                f"statement {wrong[0]} is not what it is filed under"
                if wrong
                else "the entries that the server sent are not those of the log's head, or not a continuation of"
                " what it sent before",
                where=where,
                hint="signoff admin audit --verify; do not use what this server sends until that is explained",
            )
        self.proved, self.frontier = found, frontier

    def _forget(self) -> None:
        self.stored, self.tag, self.proved, self.frontier = None, "", None, Frontier()


def _head(page: Wire) -> LogHead:
    return LogHead(size=int(page["size"]), root=Digest.parse(str(page["root"])))


def _continued(before: StoredLedger | None, page: Wire) -> StoredLedger:
    """What was known and what is new; a statement that got another signature takes the place of the old one."""
    new = [
        StatementRow(id=str(row["id"]), envelope=str(row["envelope"]), use_case=row["use_case"])
        for row in page["statements"]
    ]
    rows = tuple(
        LogRow(
            index=int(row["index"]),
            entry=base64.b64decode(row["entry"], validate=True),
            leaf=base64.b64decode(row["leaf"], validate=True),
            use_case=str(row["use_case"]),
        )
        for row in page["rows"]
    )
    statements = {row.id: row for row in (*(() if before is None else before.statements), *new)}
    return StoredLedger(
        rows=rows if before is None else (*before.rows, *rows),
        head=_head(page["head"]),
        frontier=base64.b64decode(page["frontier"], validate=True),
        statements=tuple(statements.values()),
    )


def _unpacked(answer: Answer, where: str) -> bytes:
    if answer.headers.get("content-encoding") != "gzip":
        return answer.body
    unpacking = zlib.decompressobj(wbits=31)
    try:
        body = unpacking.decompress(answer.body, _MOST_BYTES)
    except zlib.error as error:
        raise StoreError(f"the server's answer cannot be unpacked: {error}", where=where) from error
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise StoreError(f"the server's answer is cut, or has more than {_MOST_BYTES} bytes", where=where)
    return body
