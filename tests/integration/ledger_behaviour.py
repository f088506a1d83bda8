"""What a ledger does, whatever database it is in; the test modules say which."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.ledger_sql.address import parse_address
from signoff.adapters.ledger_sql.connection import write_session
from signoff.errors import ConflictError, EvidenceError, StoreError
from signoff.evidence.audit import audit
from signoff.evidence.dsse import Envelope, Signature
from signoff.evidence.ledger import Entry, Ledger, LoggedEntry
from signoff.evidence.log_entry import entry_bytes
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.evidence.statement import Statement, StatementKind, Subject
from signoff.record.digest import Digest


def entry(number: int, use_case: str = "churn", statement: str | None = None) -> Entry:
    return Entry(
        at="2026-11-22T10:15:00Z",
        actor="ana@shop.example",
        action="approve",
        outcome="allowed",
        use_case=use_case,
        subject=f"{use_case}/{number}",
        statement=statement,
        reasons=(),
        detail={"number": number, "word": "Größe \u0000 ✓"},
    )


def envelope(note: str, kind: StatementKind = "note", signature: bytes = b"signature") -> Envelope:
    subject = Subject(name="model", digest=Digest.of(b"model"))
    statement = Statement(kind=kind, subjects=(subject,), predicate={"note": note})
    return Envelope(payload=statement.payload(), signatures=(Signature(keyid="SHA256:x", sig=signature),))


def execute(uri: str, statement: str, *values: str | int | None) -> None:
    """Change the database behind the ledger's back."""
    with write_session(parse_address(uri)) as session:
        session.rows(statement, values)


def deep(entry: Entry) -> bytes:
    """The entry as an older program could keep it."""
    return entry_bytes(replace(entry, detail={"d": 0})).replace(b'"d":0', b'"d":' + b"[" * 985 + b"]" * 985)


def append_bytes(uri: str, data: bytes, *, use_case: str) -> None:
    """Append an entry that this program would not write."""
    stored = SqlLedger(uri).stored()
    size, leaf = stored.head.size, leaf_hash(data)
    frontier = Frontier.from_bytes(stored.frontier).append(leaf)
    with write_session(parse_address(uri)) as session:
        session.rows(
            "INSERT INTO signoff_log (idx, use_case, entry, leaf) VALUES (?, ?, ?, ?)",
            (size, use_case, data, leaf),
        )
        session.rows(
            "UPDATE signoff_head SET size = ?, root = ?, frontier = ?",
            (frontier.size, f"sha256:{frontier.root().hex()}", frontier.to_bytes()),
        )


def alarms(ledger: SqlLedger) -> list[str]:
    return [finding.problem for finding in audit(ledger.stored()).findings]


class LedgerBehaviour:
    """Run for each database by a subclass with the fixture ``uri``: an empty database."""

    @pytest.fixture
    def ledger(self, uri: str) -> SqlLedger:
        return SqlLedger.create(uri, standalone=True)

    def test_an_entry_that_was_decided_on_another_log_is_a_conflict(self, ledger: SqlLedger) -> None:
        with pytest.raises(ConflictError), ledger.transaction() as writer:
            writer.append(entry(0), expected=1)
        assert ledger.head().size == 0
        with ledger.transaction() as writer:
            assert writer.append(entry(0), expected=0) == 0

    @pytest.mark.parametrize(
        "between",
        [
            {"outcome": "refused"},
            {"use_case": "fraud"},
            {"action": "predict"},
            {"action": "guard:alias", "detail": {"mode": "warn"}},
        ],
    )
    def test_what_decides_nothing_on_the_use_case_is_no_conflict(
        self, ledger: SqlLedger, between: dict[str, Any]
    ) -> None:
        with ledger.transaction() as writer:
            writer.append(entry(0))
            for number in range(3):
                writer.append(replace(entry(number), **between))
        with ledger.transaction() as writer:
            assert writer.append(entry(1), expected=1) == 4
        with pytest.raises(ConflictError), ledger.transaction() as writer:
            writer.append(entry(2), expected=4)
        with pytest.raises(ConflictError), ledger.transaction() as writer:
            writer.append(entry(2), expected=6)
        assert ledger.head().size == 5

    def test_of_two_that_decide_at_once_one_is_written(self, ledger: SqlLedger) -> None:
        def decide(number: int) -> bool:
            try:
                with ledger.transaction() as writer:
                    writer.append(replace(entry(number), outcome="refused"))
                with ledger.transaction() as writer:
                    writer.append(entry(number), expected=0)
            except ConflictError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(decide, range(8))) == 1
        assert alarms(ledger) == []

    def test_an_entry_of_old_that_is_nested_too_deeply_closes_nothing(
        self, ledger: SqlLedger, uri: str
    ) -> None:
        with ledger.transaction() as writer:
            writer.append(entry(0))
        append_bytes(uri, deep(entry(1)), use_case="churn")
        with ledger.transaction() as writer:
            writer.append(entry(2), expected=1)
        assert [one.entry.outcome for one in ledger.entries()] == ["allowed", "failed", "allowed"]
        assert alarms(ledger) == []
        with ledger.connection() as raw:
            assert len(ledger.grown_on(raw, since=0).rows) == 3

    def test_a_new_ledger_is_empty(self, ledger: SqlLedger) -> None:
        as_port: Ledger = ledger
        assert as_port.entries() == ()
        assert as_port.head().root.hex == Frontier().root().hex()
        assert alarms(ledger) == []

    def test_what_is_appended_is_read_back_in_order(self, ledger: SqlLedger) -> None:
        written = [entry(0), entry(1, "fraud"), entry(2), entry(3)]
        for one in written[:2]:
            with ledger.transaction() as writer:
                writer.append(one)
        with ledger.transaction() as writer:
            assert [writer.append(one) for one in written[2:]] == [2, 3]
        logged = tuple(LoggedEntry(index=i, entry=one) for i, one in enumerate(written))
        assert ledger.entries() == logged
        assert ledger.entries(last=2) == logged[2:]
        assert ledger.entries(use_case="churn", last=2) == (logged[2], logged[3])
        assert ledger.entries(use_case="fraud") == (logged[1],)
        assert ledger.head().root.hex == Frontier.of(leaf_hash(entry_bytes(e)) for e in written).root().hex()
        assert alarms(ledger) == []

    def test_a_statement_is_kept_and_found(self, ledger: SqlLedger) -> None:
        first, second = envelope("first"), envelope("second", kind="approval")
        with ledger.transaction() as writer:
            assert writer.put(first, use_case="churn", version="3", run_id="r1") == first.id
            writer.put(second, use_case="churn", version=None, run_id="r2")
        assert ledger.get(first.id) == first
        assert ledger.get(Digest.of(b"other")) is None
        assert ledger.find(use_case="churn") == (first, second)
        assert ledger.find(use_case="churn", kind="approval") == (second,)
        assert ledger.find(use_case="churn", version="3") == (first,)
        assert ledger.find(use_case="churn", run_id="r2") == (second,)
        assert ledger.find(use_case="fraud") == ()

    def test_putting_a_statement_again_adds_signatures_and_names_that_were_open(
        self, ledger: SqlLedger
    ) -> None:
        once, again = envelope("x", signature=b"one"), envelope("x", signature=b"two")
        for one, version in ((once, None), (again, "3"), (once, None)):
            with ledger.transaction() as writer:
                writer.put(one, use_case="churn", version=version, run_id="r1")
        (found,) = ledger.find(use_case="churn", version="3", run_id="r1")
        assert found.signatures == once.signatures + again.signatures

    def test_a_statement_is_not_kept_for_two_versions(self, ledger: SqlLedger) -> None:
        with ledger.transaction() as writer:
            writer.put(envelope("x"), use_case="churn", version="3", run_id=None)
        with (
            pytest.raises(EvidenceError, match="kept for 3; it cannot also be for 4"),
            ledger.transaction() as writer,
        ):
            writer.put(envelope("x"), use_case="churn", version="4", run_id=None)

    def test_a_transaction_that_fails_keeps_nothing(self, ledger: SqlLedger) -> None:
        def fail_midway() -> None:
            with ledger.transaction() as writer:
                writer.put(envelope("x"), use_case="churn", version=None, run_id=None)
                writer.append(entry(0))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_midway()
        assert ledger.find(use_case="churn") == ()
        assert ledger.entries() == ()
        assert alarms(ledger) == []

    def test_nothing_is_seen_before_the_commit(self, ledger: SqlLedger) -> None:
        with ledger.transaction() as writer:
            writer.append(entry(0))
            assert ledger.entries() == ()
        assert len(ledger.entries()) == 1

    def test_writers_at_the_same_time_queue(self, ledger: SqlLedger) -> None:
        def append(number: int) -> int:
            with ledger.transaction() as writer:
                return writer.append(entry(number))

        with ThreadPoolExecutor(4) as pool:
            indexes = list(pool.map(append, range(40)))
        assert sorted(indexes) == list(range(40))
        assert {(logged.index, logged.entry.detail["number"]) for logged in ledger.entries()} == set(
            zip(indexes, range(40), strict=True)
        )
        assert alarms(ledger) == []

    def test_a_database_without_ledger_reads_as_empty_and_is_not_written(self, uri: str) -> None:
        ledger = SqlLedger(uri)
        assert not ledger.exists()
        assert ledger.head().size == 0
        assert ledger.entries() == ()
        assert ledger.find(use_case="churn") == ()
        assert ledger.get(Digest.of(b"x")) is None
        with pytest.raises(StoreError, match="no ledger yet") as caught, ledger.transaction():
            pytest.fail("there is nothing to write to")
        assert caught.value.hint == "signoff admin migrate"
        with pytest.raises(StoreError, match="no ledger yet"):
            ledger.stored()

    def test_the_tables_wait_for_mlflow_s_own(self, uri: str) -> None:
        with pytest.raises(StoreError, match="MLflow's own tables are not there yet"):
            SqlLedger.create(uri)
        assert not SqlLedger(uri).exists()
        execute(uri, "CREATE TABLE experiments (experiment_id INTEGER)")
        assert SqlLedger.create(uri).exists()

    def test_migrating_again_changes_nothing(self, ledger: SqlLedger, uri: str) -> None:
        with ledger.transaction() as writer:
            writer.append(entry(0))
        before = ledger.stored()
        SqlLedger.create(uri, standalone=True)
        assert ledger.stored() == before

    def test_two_callers_may_make_the_tables_at_once(self, uri: str) -> None:
        with ThreadPoolExecutor(2) as pool:
            made = list(pool.map(lambda _: SqlLedger.create(uri, standalone=True).exists(), range(2)))
        assert made == [True, True]

    def test_a_ledger_of_a_newer_program_is_left_alone(self, ledger: SqlLedger, uri: str) -> None:
        execute(uri, "UPDATE signoff_alembic_version SET version_num = '9999'")
        with pytest.raises(StoreError, match="revision 9999; this program works with 0002"):
            ledger.head()
        with pytest.raises(StoreError, match="9999"), ledger.transaction():
            pytest.fail("this ledger must not be written")
        with pytest.raises(StoreError, match="9999"):
            ledger.migrate(standalone=True)

    @pytest.mark.parametrize(
        ("attack", "found"),
        [
            ("DELETE FROM signoff_log WHERE idx = 1", "missing"),
            ("DELETE FROM signoff_log WHERE idx = 2", "head"),
            (
                "UPDATE signoff_log SET entry = (SELECT entry FROM signoff_log WHERE idx = 0) WHERE idx = 1",
                "rewritten",
            ),
            ("UPDATE signoff_log SET use_case = 'fraud' WHERE idx = 1", "rewritten"),
            ("UPDATE signoff_head SET size = 2", "head"),
            ("DELETE FROM signoff_statement", "statement"),
        ],
    )
    def test_what_is_changed_behind_its_back_is_found(
        self, ledger: SqlLedger, uri: str, attack: str, found: str
    ) -> None:
        with ledger.transaction() as writer:
            name = writer.put(envelope("x"), use_case="churn", version=None, run_id=None)
            for number in range(3):
                writer.append(entry(number, statement=str(name)))
        assert alarms(ledger) == []
        execute(uri, attack)
        assert found in alarms(ledger)

    def test_a_changed_statement_is_not_handed_out(self, ledger: SqlLedger, uri: str) -> None:
        with ledger.transaction() as writer:
            name = writer.put(envelope("x"), use_case="churn", version=None, run_id=None)
        execute(uri, "UPDATE signoff_statement SET envelope = ?", envelope("y").to_json())
        with pytest.raises(EvidenceError, match="not the statement"):
            ledger.get(name)
        with pytest.raises(EvidenceError, match="not the statement"):
            ledger.find(use_case="churn")
        with pytest.raises(EvidenceError, match="were changed"), ledger.transaction() as writer:
            writer.put(envelope("x"), use_case="churn", version=None, run_id=None)

    def test_nothing_is_appended_to_a_changed_head(self, ledger: SqlLedger, uri: str) -> None:
        execute(uri, "UPDATE signoff_head SET size = 7")
        with (
            pytest.raises(EvidenceError, match="head of the audit log was changed"),
            ledger.transaction() as writer,
        ):
            writer.append(entry(0))
        execute(uri, "DELETE FROM signoff_head")
        with pytest.raises(EvidenceError, match="is gone"):
            ledger.head()


@contextmanager
def mlflow_listeners(session_class: type, **listeners: Callable[..., None]) -> Iterator[None]:
    """SQLAlchemy listeners on every session of the process, removed afterwards."""
    from sqlalchemy import event

    for name, listener in listeners.items():
        event.listen(session_class, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners.items():
            event.remove(session_class, name, listener)


class OneTransactionWithMlflow:
    """An alias moved by MLflow and our entry about it are kept together, or neither is."""

    def test_commit_and_rollback(self, uri: str) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
        from sqlalchemy.orm import Session

        store = SqlAlchemyStore(uri)
        store.create_registered_model("churn")
        for _ in range(2):
            store.create_model_version("churn", source="/models/churn")
        ledger = SqlLedger.create(uri)
        refuse = False

        def record(session: Session) -> None:
            session.flush()
            raw = session.connection().connection.driver_connection
            assert raw is not None
            writer = SqlLedger.writer_on(raw)
            name = writer.put(envelope(f"moved {refuse}"), use_case="churn", version=None, run_id=None)
            writer.append(entry(0, statement=str(name)))
            if refuse:
                raise MlflowException("not while it is frozen", error_code=PERMISSION_DENIED)

        with mlflow_listeners(Session, before_commit=record):
            store.set_registered_model_alias("churn", "prod", "1")
        with mlflow_listeners(Session, before_commit=record):
            refuse = True
            with pytest.raises(MlflowException, match="not while it is frozen"):
                store.set_registered_model_alias("churn", "prod", "2")

        assert int(store.get_model_version_by_alias("churn", "prod").version) == 1
        assert ledger.find(use_case="churn") == (envelope("moved False"),)
        assert ledger.head().size == 1
        assert alarms(ledger) == []
        store.engine.dispose()

    def test_mlflow_still_works_and_upgrades_beside_the_ledger(self, uri: str) -> None:
        import sqlalchemy
        from mlflow.store.db.utils import _upgrade_db
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(uri, "/tmp/artifacts").engine.dispose()  # noqa: S108 - never written
        ledger = SqlLedger.create(uri)
        with ledger.transaction() as writer:
            writer.append(entry(0))
        engine = sqlalchemy.create_engine(uri)
        _upgrade_db(engine)
        engine.dispose()
        again = SqlAlchemyStore(uri, "/tmp/artifacts")  # noqa: S108
        assert [experiment.name for experiment in again.search_experiments()] == ["Default"]
        again.engine.dispose()
        assert alarms(ledger) == []
