from dataclasses import replace

import pytest
from evidence_samples import ANA, BEN, STRANGER, Key, entry, roster, statement

from signoff.evidence.audit import LogRow, StatementRow, StoredLedger, audit, audit_ledger, signed_heads
from signoff.evidence.dsse import Envelope, sign_statement
from signoff.evidence.ledger import Entry, LoggedEntry, LogHead
from signoff.evidence.log_entry import entry_bytes
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.evidence.render import audit_text, entries_text
from signoff.record.digest import Digest, Json


def row(index: int, content: Entry) -> LogRow:
    data = entry_bytes(content)
    return LogRow(index=index, entry=data, leaf=leaf_hash(data), use_case=content.use_case)


def stored(*contents: Entry, statements: tuple[Envelope, ...] = ()) -> StoredLedger:
    return with_rows([row(i, content) for i, content in enumerate(contents)], statements)


def with_rows(rows: list[LogRow], statements: tuple[Envelope, ...] = ()) -> StoredLedger:
    """A ledger whose head fits its rows: what the owner of the database can always make."""
    tree = Frontier.of(r.leaf for r in rows)
    return StoredLedger(
        rows=tuple(rows),
        head=LogHead(size=tree.size, root=Digest(tree.root().hex())),
        frontier=tree.to_bytes(),
        statements=tuple(StatementRow(id=str(e.id), envelope=e.to_json()) for e in statements),
    )


LOG = stored(*map(entry, range(5)))


def head_of(ledger: StoredLedger, size: int) -> Envelope:
    """An approval, signed by Ana, that names the log's head when it had so many entries."""
    return signed_head_of(ledger, size, ANA)


def signed_head_of(ledger: StoredLedger, size: int, *signers: Key) -> Envelope:
    root = Frontier.of(r.leaf for r in ledger.rows[:size]).root().hex()
    return sign_statement(statement(log={"size": size, "root": f"sha256:{root}"}), *signers)


def problems(ledger: StoredLedger, *elsewhere: Envelope) -> list[tuple[str, int | None]]:
    return [(f.problem, f.index) for f in audit_ledger(ledger, roster(), elsewhere).findings]


def test_a_log_as_it_was_written_has_no_findings() -> None:
    report = audit_ledger(LOG, roster(), [head_of(LOG, 0), head_of(LOG, 3), head_of(LOG, 5)])
    assert report.ok
    assert report.head == LOG.head
    assert report.signed_size == 5
    assert audit_text(report).endswith("the log is as it was written")


def test_an_empty_log_has_no_findings() -> None:
    assert problems(stored()) == []


def rows_without(index: int) -> tuple[LogRow, ...]:
    return LOG.rows[:index] + LOG.rows[index + 1 :]


FORGED = entry_bytes(entry(1, actor="ben@shop.example"))


@pytest.mark.parametrize(
    ("ledger", "found"),
    [
        (
            replace(LOG, rows=(LOG.rows[0], replace(LOG.rows[1], entry=FORGED), *LOG.rows[2:])),
            [("rewritten", 1)],
        ),
        (
            replace(LOG, rows=(LOG.rows[0], row(1, entry(1, actor="x")), *LOG.rows[2:])),
            [("head", None), ("head", None)],
        ),
        (replace(LOG, rows=rows_without(2)), [("missing", 2), ("head", None), ("head", None)]),
        (replace(LOG, rows=LOG.rows[:4]), [("head", None), ("head", None)]),
        (
            replace(LOG, rows=(*LOG.rows[:2], replace(LOG.rows[2], use_case="fraud"), *LOG.rows[3:])),
            [("rewritten", 2)],
        ),
        (
            replace(
                LOG,
                head=LogHead(size=5, root=Digest.of(b"")),
            ),
            [("head", None)],
        ),
        (replace(LOG, frontier=Frontier().to_bytes()), [("head", None)]),
        (with_rows([LogRow(index=0, entry=b"{}", leaf=leaf_hash(b"{}"), use_case="")]), [("malformed", 0)]),
    ],
    ids=["entry", "entry and leaf", "gap", "tail", "use case", "head", "frontier", "not an entry"],
)
def test_a_log_changed_without_its_tree_is_found(
    ledger: StoredLedger, found: list[tuple[str, int | None]]
) -> None:
    assert problems(ledger) == found


REWRITTEN = stored(entry(0), entry(1, actor="ben@shop.example"), *map(entry, range(2, 5)))
SWAPPED = stored(entry(0), entry(2), entry(1), entry(3), entry(4))
INSERTED = stored(entry(0), entry(9), *map(entry, range(1, 5)))
ROOT = str(LOG.head.root)
CUT = stored(*map(entry, range(2)))
GROWN = stored(*map(entry, range(9)))


@pytest.mark.parametrize(
    ("ledger", "found"),
    [
        (REWRITTEN, ["diverged"]),
        (SWAPPED, ["diverged"]),
        (INSERTED, ["diverged"]),
        (CUT, ["cut"]),
        (stored(), ["cut"]),
        (GROWN, []),
    ],
    ids=["rewritten", "swapped", "inserted", "cut", "emptied", "grown"],
)
def test_a_log_recomputed_by_its_owner_is_found_by_a_signed_head(
    ledger: StoredLedger, found: list[str]
) -> None:
    assert problems(ledger) == []
    assert [problem for problem, _ in problems(ledger, head_of(LOG, 3))] == found


def test_a_signed_head_is_found_in_the_ledger_s_own_statements() -> None:
    ledger = with_rows(list(REWRITTEN.rows), (head_of(LOG, 3),))
    report = audit_ledger(ledger, roster())
    assert [f.problem for f in report.findings] == ["diverged"]
    assert "ana@shop.example signed a log of 3 entries" in audit_text(report)
    assert audit_text(report).endswith("the log was changed: 1 finding")


def test_a_head_that_nobody_known_signed_does_not_count() -> None:
    heads = [
        signed_head_of(REWRITTEN, 3),
        signed_head_of(REWRITTEN, 3, STRANGER),
        sign_statement(statement(), ANA),
    ]
    assert signed_heads(heads, roster()) == ()
    assert problems(LOG, *heads) == []
    assert "its owner could rewrite it unseen" in audit_text(audit(LOG))


@pytest.mark.parametrize(
    "log",
    [
        5,
        {"size": "3", "root": ROOT},
        {"size": True, "root": ROOT},
        {"size": -1, "root": ROOT},
        {"size": 3, "root": "sha256:"},
        {"size": 3},
        {"size": 3, "root": ROOT, "more": 1},
    ],
)
def test_what_somebody_signed_as_a_head_and_is_none_is_named_and_changes_nothing(log: Json) -> None:
    envelope = sign_statement(statement(log=log), BEN)
    assert signed_heads([envelope], roster()) == ()
    report = audit_ledger(stored(entry(0, statement=str(envelope.id)), statements=(envelope,)), roster())
    assert report.ok
    assert [(f.problem, f.index) for f in report.ignored] == [("ignored", None)]
    assert f"statement {envelope.id} names a head" in audit_text(report)


def test_an_entry_and_a_statement_of_old_that_are_nested_too_deeply_change_nothing() -> None:
    data = entry_bytes(replace(entry(0), detail={"d": 0})).replace(
        b'"d":0', b'"d":' + b"[" * 985 + b"]" * 985
    )
    payload = statement(log=0).payload().replace(b'"log":0', b'"log":' + b"[" * 985 + b"]" * 985)
    envelope = Envelope(payload=payload)
    old = LogRow(index=0, entry=data, leaf=leaf_hash(data), use_case="churn")
    ledger = with_rows([old, row(1, entry(1, statement=str(envelope.id)))])
    name = str(envelope.id)
    report = audit_ledger(
        replace(ledger, statements=(StatementRow(id=name, envelope=envelope.to_json()),)), roster()
    )
    assert (report.ok, [(f.problem, f.index) for f in report.ignored]) == (
        True,
        [("ignored", 0), ("ignored", None)],
    )


def test_lost_and_changed_statements_are_found() -> None:
    kept, lost = sign_statement(statement(note="kept"), ANA), sign_statement(statement(note="lost"), ANA)
    ledger = stored(
        entry(0, statement=str(kept.id)), entry(1, statement=str(lost.id)), statements=(kept, lost)
    )
    assert problems(ledger) == []
    assert problems(replace(ledger, statements=ledger.statements[:1])) == [("statement", None)]
    for broken in (lost.to_json(), "{}"):
        swapped = (replace(ledger.statements[0], envelope=broken), ledger.statements[1])
        assert problems(replace(ledger, statements=swapped)) == [("statement", None)]


def test_a_listed_entry_shows_its_reasons_and_no_control_characters() -> None:
    text = entries_text([LoggedEntry(index=7, entry=entry(7, actor="\x1b[2Jeve"))])
    assert "author and approver are one person" in text
    assert "churn/7" in text
    assert "\x1b" not in text
