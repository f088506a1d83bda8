"""Statements and the audit log in three tables of an SQL database, through plain DBAPI.

SQLAlchemy and Alembic are imported only to make the tables: commands that read stay quick to start.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from signoff.adapters.ledger_sql.address import Address, SqliteAddress, parse_address
from signoff.adapters.ledger_sql.connection import (
    DbapiConnection,
    Session,
    Value,
    read_session,
    write_session,
)
from signoff.adapters.ledger_sql.schema import has_ledger, has_table, migrate, no_ledger
from signoff.errors import ConflictError, EvidenceError, StoreError
from signoff.evidence.audit import LogRow, StatementRow, StoredLedger
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry, LedgerWriter, LoggedEntry, LogHead
from signoff.evidence.log_entry import entry_bytes, is_decision, read_entry
from signoff.evidence.merkle import EMPTY_ROOT, Frontier, leaf_hash
from signoff.evidence.statement import StatementKind
from signoff.record.digest import Digest

GUARD_TABLE = "signoff_guard"
"""Its one row says that a server guards the database."""
_CHUNK = 500
"""Values in one IN list: SQLite takes 999 at least."""
_EMPTY_HEAD = LogHead(size=0, root=Digest(EMPTY_ROOT.hex()))


@dataclass(frozen=True, kw_only=True, slots=True)
class LogGrowth:
    """What the log gained since some size, with the statements that its entries name; unchecked.

    Attributes:
        head: the head now.
        rows: index and bytes of each entry from that size on, in order.
        statements: envelope texts by id.
    """

    head: LogHead
    rows: tuple[tuple[int, bytes], ...]
    statements: Mapping[str, str]


class SqlLedger:
    """The ledger of one database; holds no connection between calls, so threads and forks may share it.

    A database without the ledger's tables reads as an empty ledger and cannot be written.
    """

    def __init__(self, uri: str) -> None:
        self._address: Address = parse_address(uri)

    @property
    def where(self) -> str:
        """The address for messages: no password, no options."""
        return self._address.shown

    @classmethod
    def create(cls, uri: str, *, standalone: bool = False) -> "SqlLedger":
        """The ledger at this address, its tables made when they are missing; see ``migrate``."""
        ledger = cls(uri)
        ledger.migrate(standalone=standalone)
        return ledger

    def migrate(self, *, standalone: bool = False) -> None:
        """Make the tables, or bring them to the newest revision; does nothing when they are up to date.

        Args:
            standalone: the database is the ledger's own; else it must hold MLflow's tables already, because
                MLflow sets up its own only in a database that is empty.

        Raises:
            StoreError: MLflow's tables are not there, or the database refuses.
        """
        if standalone:
            _make_file(self._address)
        else:
            with read_session(self._address) as session:
                if not has_table(session, "experiments"):
                    raise StoreError(
                        "MLflow's own tables are not there yet, and must come first",
                        where=self.where,
                        hint="start MLflow on this store once, or run: mlflow db upgrade <store uri>",
                    )
        migrate(self._address)

    def exists(self) -> bool:
        """Whether the database holds a ledger; a database file that is not there yet holds none."""
        if isinstance(self._address, SqliteAddress) and not self._address.path.exists():
            return False
        with read_session(self._address) as session:
            return has_ledger(session)

    @contextmanager
    def transaction(self) -> Iterator[LedgerWriter]:
        """One write transaction; commits at the end of the block, rolls back on an exception.

        Raises:
            StoreError: there is no ledger, or the database cannot be reached or written.
        """
        with write_session(self._address) as session:
            if not has_ledger(session):
                raise no_ledger(self.where)
            yield _SqlLedgerWriter(session=session)

    @contextmanager
    def connection(self) -> Iterator[DbapiConnection]:
        """The driver's connection in one write transaction of the database, as `transaction`: for MLflow's own rows."""
        with write_session(self._address) as session:
            yield session.raw

    def is_guarded(self) -> bool:
        """Whether a server guards the database."""
        if isinstance(self._address, SqliteAddress) and not self._address.path.exists():
            return False
        with read_session(self._address) as session:
            return has_table(session, GUARD_TABLE) and bool(
                session.rows(f"SELECT id FROM {GUARD_TABLE} WHERE id = 1")  # noqa: S608 - constant
            )

    @staticmethod
    def writer_on(connection: DbapiConnection, *, known: bool = False) -> LedgerWriter:
        """A writer inside a transaction that somebody else opened and will commit or roll back.

        Args:
            connection: the driver's connection; of an SQLAlchemy session ``session.connection().connection
                .driver_connection``, after its last flush.
            known: that the database has a ledger was seen before.

        Raises:
            StoreError: another driver, or a database without ledger.
        """
        session = Session.around(connection, "the database of this transaction")
        if not known and not has_ledger(session):
            raise no_ledger(session.shown)
        return _SqlLedgerWriter(session=session)

    def get(self, statement: Digest) -> Envelope | None:
        """The statement by its id.

        Raises:
            EvidenceError: the stored bytes do not have that digest.
        """
        with self._reading() as session:
            found = (
                []
                if session is None
                else session.rows(
                    "SELECT id, kind, envelope FROM signoff_statement WHERE id = ?", (str(statement),)
                )
            )
        return _read_envelope(*found[0]) if found else None

    def find(
        self,
        *,
        use_case: str,
        kind: StatementKind | None = None,
        version: str | None = None,
        run_id: str | None = None,
    ) -> tuple[Envelope, ...]:
        """Statements with that index, oldest first; names that are None do not narrow the search.

        Raises:
            EvidenceError: a stored statement is not what it is filed under.
        """
        wanted = {"use_case": use_case, "kind": kind, "version": version, "run_id": run_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        condition = " AND ".join(f"{name} = ?" for name in given)
        statement = f"SELECT id, kind, envelope FROM signoff_statement WHERE {condition} ORDER BY seq"  # noqa: S608
        with self._reading() as session:
            found = [] if session is None else session.rows(statement, tuple(given.values()))
        return tuple(_read_envelope(*row) for row in found)

    def head(self) -> LogHead:
        """The log's head now."""
        with self._reading() as session:
            return _EMPTY_HEAD if session is None else _read_head(session)[0]

    def entries(self, *, use_case: str | None = None, last: int | None = None) -> tuple[LoggedEntry, ...]:
        """Entries in order; the last so many of a use case or of all.

        Raises:
            EvidenceError: a stored entry is malformed.
        """
        condition, values = ("WHERE use_case = ?", [use_case]) if use_case is not None else ("", [])
        bound: list[Value] = [*values]
        limit = ""
        if last is not None:
            limit = "LIMIT ?"
            bound.append(last)
        statement = f"SELECT idx, entry FROM signoff_log {condition} ORDER BY idx DESC {limit}"  # noqa: S608
        with self._reading() as session:
            found = [] if session is None else session.rows(statement, bound)
        return tuple(
            LoggedEntry(index=index, entry=read_entry(_bytes(entry))) for index, entry in reversed(found)
        )

    def stored(self) -> StoredLedger:
        """Everything as stored, in one snapshot, unchecked: for the audit.

        Raises:
            StoreError: there is no ledger.
        """
        with self._reading() as session:
            if session is None:
                raise no_ledger(self.where)
            head, frontier = _read_head(session)
            log = session.rows("SELECT idx, entry, leaf, use_case FROM signoff_log ORDER BY idx")
            statements = session.rows("SELECT id, envelope, use_case FROM signoff_statement ORDER BY seq")
        return StoredLedger(
            rows=tuple(
                LogRow(index=index, entry=_bytes(entry), leaf=_bytes(leaf), use_case=use_case)
                for index, entry, leaf, use_case in log
            ),
            head=head,
            frontier=frontier,
            statements=tuple(
                StatementRow(id=name, envelope=text, use_case=about) for name, text, about in statements
            ),
        )

    @staticmethod
    def grown_on(connection: DbapiConnection, *, since: int) -> LogGrowth:
        """Read on in a transaction that somebody else opened.

        Args:
            connection: the driver's connection.
            since: so many entries are known already.

        Raises:
            StoreError: another driver, a database without ledger, or one that cannot be read.
            EvidenceError: an entry cannot be read.
        """
        return _grown(Session.around(connection, "the database of this transaction"), since)

    @staticmethod
    def grew_on(connection: DbapiConnection, *, use_case: str, since: int) -> bool:
        """Whether a use case has an entry beyond so many of the log, which is locked until that transaction ends.

        Raises:
            StoreError: another driver, a database without ledger, or one that cannot be written.
        """
        session = Session.around(connection, "the database of this transaction")
        if _locked_head(session)[0].size <= since:
            return False
        newer = "SELECT 1 FROM signoff_log WHERE use_case = ? AND idx >= ? LIMIT 1"
        return bool(session.rows(newer, (use_case, since)))

    @staticmethod
    def decided_on(connection: DbapiConnection, *, use_case: str, since: int) -> bool:
        """Whether a use case has a decision beyond so many entries; the log is locked until the transaction ends.

        Raises:
            StoreError: another driver, a database without ledger, or one that cannot be written.
            EvidenceError: an entry cannot be read.
        """
        session = Session.around(connection, "the database of this transaction")
        return _decided(session, _locked_head(session)[0], use_case=use_case, since=since)

    def checked(self) -> StoredLedger:
        """Everything that decisions read: what stands in a database of one's own is read as it is.

        Raises:
            StoreError: there is no ledger.
        """
        return self.stored()

    @contextmanager
    def _reading(self) -> Iterator[Session | None]:
        """A read session; None when the database has no ledger."""
        with read_session(self._address) as session:
            yield session if has_ledger(session) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _SqlLedgerWriter:
    """Writes on a session; the head's row is locked first, so that writers queue and no index is given twice."""

    session: Session

    def put(self, envelope: Envelope, *, use_case: str, version: str | None, run_id: str | None) -> Digest:
        _lock_head(self.session)
        kept = self.session.rows(
            "SELECT use_case, version, run_id, envelope FROM signoff_statement WHERE id = ?",
            (str(envelope.id),),
        )
        if not kept:
            self.session.rows(
                "INSERT INTO signoff_statement (id, kind, use_case, version, run_id, envelope)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (str(envelope.id), envelope.statement.kind, use_case, version, run_id, envelope.to_json()),
            )
            return envelope.id
        index = _merged_index(envelope.id, kept[0][:3], (use_case, version, run_id))
        merged = Envelope.from_json(kept[0][3])
        if merged.id != envelope.id:
            raise EvidenceError("the stored bytes of this statement were changed", where=str(envelope.id))
        for signature in envelope.signatures:
            merged = merged.with_signature(signature)
        self.session.rows(
            "UPDATE signoff_statement SET version = ?, run_id = ?, envelope = ? WHERE id = ?",
            (*index[1:], merged.to_json(), str(envelope.id)),
        )
        return envelope.id

    def append(self, entry: Entry, *, expected: int | None = None) -> int:
        data = entry_bytes(entry)
        head, stored_frontier = _locked_head(self.session)
        if expected is not None and _decided(self.session, head, use_case=entry.use_case, since=expected):
            raise ConflictError(
                "another decision was recorded while this one was made; nothing was changed",
                hint="run the same command again",
            )
        frontier = Frontier.from_bytes(stored_frontier)
        if frontier.size != head.size or frontier.root().hex() != head.root.hex:
            raise EvidenceError(
                "the head of the audit log was changed; nothing is appended to it",
                where=self.session.shown,
                hint="signoff admin audit --verify",
            )
        leaf = leaf_hash(data)
        frontier = frontier.append(leaf)
        self.session.rows(
            "INSERT INTO signoff_log (idx, use_case, entry, leaf) VALUES (?, ?, ?, ?)",
            (head.size, entry.use_case, data, leaf),
        )
        self.session.rows(
            "UPDATE signoff_head SET size = ?, root = ?, frontier = ? WHERE id = 1",
            (frontier.size, f"sha256:{frontier.root().hex()}", frontier.to_bytes()),
        )
        return head.size


def _grown(session: Session, since: int) -> LogGrowth:
    # One question, because every decision asks it: the head's row stands beside each entry, or alone.
    found = session.rows(
        "SELECT h.size, h.root, l.idx, l.entry FROM signoff_head h"
        " LEFT JOIN signoff_log l ON l.idx >= ? AND l.idx < h.size WHERE h.id = 1 ORDER BY l.idx",
        (since,),
    )
    if not found:
        raise _no_head(session)
    size, root = found[0][:2]
    head = LogHead(size=size, root=Digest.parse(str(root)))
    rows = tuple((index, _bytes(entry)) for _, _, index, entry in found if index is not None)
    entries = (read_entry(entry) for _, entry in rows)
    named = list(dict.fromkeys(e.statement for e in entries if e.statement is not None))
    statements: dict[str, str] = {}
    for start in range(0, len(named), _CHUNK):
        chunk = named[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        statements |= session.rows(
            f"SELECT id, envelope FROM signoff_statement WHERE id IN ({marks})",  # noqa: S608 - marks only
            chunk,
        )
    return LogGrowth(head=head, rows=rows, statements=statements)


def _decided(session: Session, head: LogHead, *, use_case: str, since: int) -> bool:
    """Whether what was decided on so many entries must be decided again: a log that lost some is another one."""
    if head.size <= since:
        return head.size < since
    newer = session.rows("SELECT entry FROM signoff_log WHERE use_case = ? AND idx >= ?", (use_case, since))
    return any(is_decision(read_entry(_bytes(entry))) for (entry,) in newer)


def _lock_head(session: Session) -> None:
    if session.dialect == "sqlite":
        # In a transaction that was opened elsewhere this first write takes the lock that BEGIN IMMEDIATE takes.
        session.rows("UPDATE signoff_head SET size = size WHERE id = 1")
    else:
        session.rows("SELECT id FROM signoff_head WHERE id = 1 FOR UPDATE")


def _locked_head(session: Session) -> tuple[LogHead, bytes]:
    """The head with its row locked, in one question where the database can."""
    if session.dialect == "sqlite":
        _lock_head(session)
        return _read_head(session)
    return _read_head(session, " FOR UPDATE")


def _read_head(session: Session, lock: str = "") -> tuple[LogHead, bytes]:
    found = session.rows(f"SELECT size, root, frontier FROM signoff_head WHERE id = 1{lock}")  # noqa: S608 - constant
    if not found:
        raise _no_head(session)
    size, root, frontier = found[0]
    return LogHead(size=size, root=Digest.parse(str(root))), _bytes(frontier)


def _no_head(session: Session) -> EvidenceError:
    return EvidenceError("the head of the audit log is gone", where=session.shown)


def _read_envelope(name: str, kind: str, text: str) -> Envelope:
    envelope = Envelope.from_json(text)
    if str(envelope.id) != name or envelope.statement.kind != kind:
        raise EvidenceError(
            "the stored bytes are not the statement that they are filed under",
            where=name,
            hint="signoff admin audit --verify",
        )
    return envelope


def _merged_index(
    statement: Digest, kept: tuple[str, str | None, str | None], given: tuple[str, str | None, str | None]
) -> tuple[str, str | None, str | None]:
    """The index with names filled in that were still open; a statement is never filed under two names."""
    for old, new in zip(kept, given, strict=True):
        if old is not None and new is not None and old != new:
            raise EvidenceError(
                f"this statement is kept for {old}; it cannot also be for {new}", where=str(statement)
            )
    use_case, version, run_id = (
        old if old is not None else new for old, new in zip(kept, given, strict=True)
    )
    return use_case or "", version, run_id


def _bytes(value: object) -> bytes:
    """A stored value as bytes; SQLite keeps any type in any column, and what is no bytes fails its check later."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def _make_file(address: Address) -> None:
    """An empty database file for a ledger of its own; SQLite takes an empty file for an empty database."""
    if isinstance(address, SqliteAddress):
        try:
            address.path.touch()
        except OSError as error:
            raise StoreError(f"the file cannot be made: {error.strerror}", where=address.shown) from error
