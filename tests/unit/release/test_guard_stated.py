"""Which runs the ledger keeps frozen, and which bear the mark for nothing."""

from dataclasses import replace

import pytest
from release_samples import RULES, released_desk

from signoff.errors import EvidenceError
from signoff.evidence.audit import StatementRow, StoredLedger
from signoff.evidence.ledger import LogHead
from signoff.record.digest import Digest
from signoff.release.guard.stated import left_frozen, stated_runs
from signoff.release.history import History

DESK = released_desk()
RUN = DESK.history.of("proposal")[0].text("run_id")
STORED = StoredLedger(
    rows=(),
    head=LogHead(size=0, root=Digest("0" * 64)),
    frontier=b"",
    statements=tuple(
        StatementRow(id=str(envelope.id), envelope=envelope.to_json(), use_case="churn")
        for envelope in DESK.envelopes
    ),
)


def test_a_version_and_its_run_are_named_once_with_the_newest_statement() -> None:
    (stated,) = stated_runs(RULES, DESK.history)
    assert (stated.use_case, stated.ref, stated.run_id) == ("churn", "churn/1", RUN)
    assert stated.statement.statement.kind == "release"


def test_what_nobody_signed_freezes_nothing() -> None:
    unsigned = tuple(replace(signed, signers=()) for signed in DESK.history.statements)
    assert stated_runs(RULES, History(statements=unsigned)) == ()


def test_a_mark_is_left_only_where_no_statement_at_all_is_about_the_run() -> None:
    marked = {RUN: "churn", "f" * 32: "churn", "e" * 32: "elsewhere"}
    assert left_frozen(marked, STORED) == ("e" * 32, "f" * 32)
    assert left_frozen({RUN: "churn"}, STORED) == ()
    of_no_use_case = tuple(replace(row, use_case="gone") for row in STORED.statements)
    assert left_frozen({RUN: "churn"}, replace(STORED, statements=of_no_use_case)) == ()


def test_nothing_is_called_left_while_a_statement_cannot_be_read() -> None:
    damaged = replace(STORED, statements=(StatementRow(id="x", envelope="{", use_case="churn"),))
    with pytest.raises(EvidenceError):
        left_frozen({RUN: "churn"}, damaged)
