"""Is this audit log still what was written? A pure check of the stored rows, head and statements.

The stored head detects changes by someone who can edit rows but forgets the tree. Whoever owns the database can
recompute all of it; against them stand the heads that people's signed statements name (``log: {size, root}`` in a
predicate): the first ``size`` entries must still have that ``root``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from signoff.errors import EvidenceError
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.log_entry import read_entry
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.evidence.nesting import MOST_LEVELS, is_deep
from signoff.evidence.roster import Roster
from signoff.evidence.verify import signature_fault, verified_signers
from signoff.record.digest import Digest, Json

Problem = Literal["missing", "rewritten", "malformed", "head", "cut", "diverged", "statement", "ignored"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogRow:
    """A row of the log as stored.

    Attributes:
        index: 0-based position that the row claims.
        entry: the entry's bytes.
        leaf: the leaf hash written beside it.
        use_case: the use case that look-ups find it by.
    """

    index: int
    entry: bytes
    leaf: bytes
    use_case: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StatementRow:
    """A statement as stored.

    Attributes:
        id: what it is found by.
        envelope: the text of its envelope.
        use_case: the use case that look-ups find it by; None when that was not read.
    """

    id: str
    envelope: str
    use_case: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLedger:
    """Everything stored, read in one snapshot.

    Attributes:
        rows: the log in order of index.
        head: size and root as stored.
        frontier: the stored bytes from which the next root is made.
        statements: all statements, oldest first.
    """

    rows: tuple[LogRow, ...]
    head: LogHead
    frontier: bytes
    statements: tuple[StatementRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedHead:
    """A head of the log that a signed statement names.

    Attributes:
        head: size and root at that time.
        statement: id of the statement.
        signers: e-mails of the people whose signatures verified.
    """

    head: LogHead
    statement: Digest
    signers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditFinding:
    """Something in the ledger is not as it was written.

    Attributes:
        problem: its kind.
        index: the entry concerned; None when it concerns the whole log or a statement.
        message: what differs from what, for people.
    """

    problem: Problem
    index: int | None
    message: str

    def to_json(self) -> Json:
        """All fields."""
        return {"problem": self.problem, "index": self.index, "message": self.message}


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """The outcome of an audit.

    Attributes:
        head: size and root recomputed from the stored entries.
        statements: how many statements are stored.
        signed_heads: the signed heads that the log was held against.
        findings: what is wrong; empty when all is well.
        ignored: what was written as it stands and says nothing: whoever wrote it would else close every decision.
    """

    head: LogHead
    statements: int
    signed_heads: tuple[SignedHead, ...]
    findings: tuple[AuditFinding, ...]
    ignored: tuple[AuditFinding, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.findings

    @property
    def signed_size(self) -> int:
        """Entries up to the last signed head; later ones rest on the database's owner alone."""
        return max((signed.head.size for signed in self.signed_heads), default=0)

    def to_json(self) -> Json:
        """All fields."""
        return {
            "ok": self.ok,
            "size": self.head.size,
            "root": str(self.head.root),
            "statements": self.statements,
            "signed_size": self.signed_size,
            "signed_heads": [
                {
                    "size": signed.head.size,
                    "root": str(signed.head.root),
                    "statement": str(signed.statement),
                    "signers": list(signed.signers),
                }
                for signed in self.signed_heads
            ],
            "findings": [finding.to_json() for finding in self.findings],
            "ignored": [finding.to_json() for finding in self.ignored],
        }


def audit_ledger(stored: StoredLedger, roster: Roster, elsewhere: Iterable[Envelope] = ()) -> AuditReport:
    """Audit a ledger against the heads that its own signed statements name, and those of others.

    Args:
        stored: everything stored, in one snapshot.
        roster: whose signatures count.
        elsewhere: statements from bundles kept elsewhere; they also show a ledger that was replaced whole.
    """
    own = (envelope for row in stored.statements if (envelope := _readable(row)) is not None)
    named = [*own, *elsewhere]
    report = audit(stored, signed_heads(named, roster), roster)
    return replace(report, ignored=(*report.ignored, *_no_heads(named)))


def audit(
    stored: StoredLedger, signed: Sequence[SignedHead] = (), roster: Roster | None = None
) -> AuditReport:
    """Hold the stored ledger against itself and against the signed heads.

    Args:
        stored: everything stored, in one snapshot.
        signed: heads from statements whose signatures verified.
        roster: whose signatures the log's entries name; None leaves signatures alone.
    """
    entries_head, kept, row_findings, deep = _replay(stored.rows)
    findings = [
        *row_findings,
        *_head_findings(stored),
        *_signed_findings(stored.rows, signed),
        *_statement_findings(stored, kept),
        *_signature_findings(stored, kept, roster),
    ]
    return AuditReport(
        head=entries_head,
        statements=len(stored.statements),
        signed_heads=tuple(signed),
        findings=tuple(findings),
        ignored=(*deep, *_deep_statements(stored)),
    )


def signed_heads(envelopes: Iterable[Envelope], roster: Roster) -> tuple[SignedHead, ...]:
    """The log heads that these envelopes name, where at least one signature verifies.

    What is no head of a log proves nothing of one, and is left out.

    Raises:
        EvidenceError: an envelope holds no statement.
    """
    found: list[SignedHead] = []
    for envelope in envelopes:
        head = read_head(envelope.statement.predicate.get("log"))
        check = verified_signers(envelope, roster)
        if head is None or not check.signers:
            continue
        emails = tuple(signer.email for signer in check.vouchers or check.signers)  # whoever saw that head
        found.append(SignedHead(head=head, statement=envelope.id, signers=emails))
    return tuple(found)


def _readable(row: StatementRow) -> Envelope | None:
    """The envelope of a row; None when it is broken, which the audit reports as a finding of its own."""
    try:
        envelope = Envelope.from_json(row.envelope)
        _ = envelope.statement
    except EvidenceError:
        return None
    return envelope


def read_head(value: Json) -> LogHead | None:
    """The head of a log that a statement names; None for what is no head."""
    if not isinstance(value, Mapping) or value.keys() != {"size", "root"}:
        return None
    size, root = value["size"], value["root"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(root, str):
        return None
    try:
        return LogHead(size=size, root=Digest.parse(root))
    except EvidenceError:
        return None


def _no_heads(envelopes: Iterable[Envelope]) -> list[AuditFinding]:
    """Statements that name something as the log's head that is none."""
    return [
        _finding(
            "ignored", None, f"statement {envelope.id} names a head of the log that is not {{size, root}}"
        )
        for envelope in envelopes
        if (named := envelope.statement.predicate.get("log")) is not None and read_head(named) is None
    ]


def _deep_statements(stored: StoredLedger) -> list[AuditFinding]:
    """Statements as they were written that are nested too deeply to be read."""
    return [
        _finding(
            "ignored",
            None,
            f"statement {row.id} is nested deeper than {MOST_LEVELS} levels, and says nothing",
        )
        for row in stored.statements
        if _is_deep(row)
    ]


def _is_deep(row: StatementRow) -> bool:
    try:
        envelope = Envelope.from_json(row.envelope)
    except EvidenceError:
        return False
    return envelope.is_deep and str(envelope.id) == row.id


def _replay(
    rows: Sequence[LogRow],
) -> tuple[LogHead, tuple[Entry, ...], list[AuditFinding], list[AuditFinding]]:
    """Recompute every leaf; the entries' real head, the readable ones, what is wrong, and what says nothing."""
    findings: list[AuditFinding] = []
    ignored: list[AuditFinding] = []
    entries: list[Entry] = []
    tree = Frontier()
    expected = 0
    for row in rows:
        if row.index != expected:
            findings.append(_missing(expected, row.index))
        expected = row.index + 1
        leaf = leaf_hash(row.entry)
        tree = tree.append(leaf)
        if leaf != row.leaf:
            findings.append(
                _finding("rewritten", row.index, "the entry does not have the leaf hash beside it")
            )
        try:
            entry = read_entry(row.entry)
        except EvidenceError as error:
            findings.append(_finding("malformed", row.index, error.what))
            continue
        if is_deep(row.entry):
            told = f"it is nested deeper than {MOST_LEVELS} levels, and counts as failed"
            ignored.append(_finding("ignored", row.index, told))
        entries.append(entry)
        if entry.use_case != row.use_case:
            message = f"look-ups find it under use case {row.use_case!r}, but it is about {entry.use_case!r}"
            findings.append(_finding("rewritten", row.index, message))
    return LogHead(size=tree.size, root=Digest(tree.root().hex())), tuple(entries), findings, ignored


def _missing(expected: int, found: int) -> AuditFinding:
    if found < expected:
        return _finding("rewritten", found, f"two rows claim index {found}, or it is below zero")
    which = f"entry {expected} is" if found == expected + 1 else f"entries {expected} to {found - 1} are"
    return _finding("missing", expected, f"{which} missing: entry {found} comes next")


def _head_findings(stored: StoredLedger) -> list[AuditFinding]:
    """The stored head and frontier against the stored leaf hashes; rewritten entries are reported by row."""
    tree = Frontier.of(row.leaf for row in stored.rows)
    findings: list[AuditFinding] = []
    if stored.head.size != tree.size:
        message = f"the stored head counts {stored.head.size} entries; {tree.size} are stored"
        findings.append(_finding("head", None, message))
    elif stored.head.root.hex != tree.root().hex():
        message = (
            f"the stored root is {stored.head.root.short}; the stored entries give {tree.root().hex()[:12]}"
        )
        findings.append(_finding("head", None, message))
    if stored.frontier != tree.to_bytes():
        message = "the stored frontier, from which the next root is made, does not belong to these entries"
        findings.append(_finding("head", None, message))
    return findings


def _signed_findings(rows: Sequence[LogRow], signed: Sequence[SignedHead]) -> list[AuditFinding]:
    """Each signed head against the root that the first so many entries have now."""
    sizes = {one.head.size for one in signed}
    tree = Frontier()
    roots = {0: tree.root()} if 0 in sizes else {}
    for row in rows:
        tree = tree.append(leaf_hash(row.entry))
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    findings: list[AuditFinding] = []
    for one in signed:
        who = f"{', '.join(one.signers)} signed a log of {one.head.size} entries in {one.statement.short}"
        now = roots.get(one.head.size)
        if now is None:
            findings.append(_finding("cut", None, f"{who}; only {tree.size} are left"))
        elif now.hex() != one.head.root.hex:
            message = f"{who} with root {one.head.root.short}; those entries now give {now.hex()[:12]}"
            findings.append(_finding("diverged", None, message))
    return findings


def _statement_findings(stored: StoredLedger, entries: Sequence[Entry]) -> list[AuditFinding]:
    """Statements that do not fit their id, and statements that the log names but the ledger lost."""
    findings: list[AuditFinding] = []
    for row in stored.statements:
        if _is_deep(row):
            continue
        try:
            envelope = Envelope.from_json(row.envelope)
            _ = envelope.statement
        except EvidenceError as error:
            findings.append(_finding("statement", None, f"statement {row.id}: {error.what}"))
            continue
        about = envelope.statement.predicate.get("use_case")
        if row.use_case is not None and isinstance(about, str) and row.use_case != about:
            message = f"statement {row.id} about {about} is filed under {row.use_case}"
            findings.append(_finding("statement", None, message))
        if str(envelope.id) != row.id:
            message = f"statement {row.id} now holds the bytes of {envelope.id.short}"
            findings.append(_finding("statement", None, message))
    kept = {row.id for row in stored.statements}
    lost = dict.fromkeys(
        entry.statement for entry in entries if entry.statement and entry.statement not in kept
    )
    findings.extend(
        _finding("statement", None, f"the log names {statement}, which is no longer kept")
        for statement in lost
    )
    return findings


def _signature_findings(
    stored: StoredLedger, entries: Sequence[Entry], roster: Roster | None
) -> list[AuditFinding]:
    """Statements without the signature that the log says they were written with."""
    if roster is None:
        return []
    kept = {row.id: envelope for row in stored.statements if (envelope := _readable(row)) is not None}
    found: list[AuditFinding] = []
    for entry in entries:
        envelope = kept.get(entry.statement or "")
        fault = None if envelope is None else signature_fault(entry, envelope, roster)
        if fault is not None:
            found.append(_finding("statement", None, f"statement {entry.statement}: {fault}"))
    return found


def _finding(problem: Problem, index: int | None, message: str) -> AuditFinding:
    return AuditFinding(problem=problem, index=index, message=message)
