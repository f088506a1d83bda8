"""What the guard records commits with the change or not at all; decisions on one model come one after another."""

import threading
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hooked_store import ANA, NO, HookedStore
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.orm import Session

from signoff.adapters import mlflow_hooks
from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.mlflow_hooks.freeze import freeze_run, is_frozen, thaw_run
from signoff.errors import ConflictError, EvidenceError, StoreError
from signoff.release.guard.model import Record, Ruling, governed_entry


def record(action: str) -> Record:
    entry = governed_entry(
        at="2026-11-23T07:00:00Z", asker=ANA, action=action, use_case="churn", subject="churn/1"
    )
    return Record(entry=entry)


@pytest.fixture
def ledger(hooked: HookedStore) -> SqlLedger:
    """The ledger, with the guard writing its records there."""
    ledger = SqlLedger(hooked.uri)

    def write(records: tuple[Record, ...], connection: Any) -> None:
        for each in records:
            ledger.writer_on(connection).append(each.entry)

    hooked.guard.wrote = write
    return ledger


def logged(ledger: SqlLedger, since: int) -> list[str]:
    return [each.entry.action for each in ledger.entries()[since:]]


def test_a_record_commits_with_the_change(hooked: HookedStore, ledger: SqlLedger) -> None:
    name, size = hooked.model(), ledger.head().size
    hooked.guard.answer = Ruling(records=(record("alias"),))
    hooked.registry.set_registered_model_alias(name, "prod", "1")
    assert logged(ledger, size) == ["alias"]
    assert hooked.registry.get_model_version_by_alias(name, "prod").version == 1


def test_every_flush_of_a_transaction_brings_its_records_in_order(
    hooked: HookedStore, ledger: SqlLedger
) -> None:
    size = ledger.head().size
    answers = iter([Ruling(records=(record("first"),)), Ruling(records=(record("second"),))])
    hooked.guard.look = lambda _lookup: setattr(hooked.guard, "answer", next(answers))
    hooked.tracking.create_experiment(uuid4().hex)
    assert logged(ledger, size) == ["first", "second"]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (ConflictError("churn has a newer entry"), "RESOURCE_CONFLICT", 409),
        (StoreError("the ledger is read-only"), "PERMISSION_DENIED", 403),
        (EvidenceError("the head was changed"), "PERMISSION_DENIED", 403),
        (RuntimeError("a fault of ours"), "PERMISSION_DENIED", 403),
    ],
)
def test_a_record_that_cannot_be_written_undoes_the_change(
    hooked: HookedStore,
    error: Exception,
    code: str,
    status: int,
) -> None:
    name = hooked.model()
    before = hooked.rows()
    hooked.guard.answer = Ruling(records=(record("alias"),))

    def write(_records: tuple[Record, ...], _connection: object) -> None:
        raise error

    hooked.guard.wrote = write
    with pytest.raises(MlflowException) as caught:
        hooked.registry.set_registered_model_alias(name, "prod", "1")
    assert (caught.value.error_code, caught.value.get_http_status_code()) == (code, status)
    assert hooked.rows() == before


def test_a_guard_that_breaks_refuses(hooked: HookedStore) -> None:
    name = hooked.model()
    before = hooked.rows()

    def broken(_lookup: object) -> None:
        raise RuntimeError("a fault of ours")

    hooked.guard.look = broken
    with pytest.raises(MlflowException, match="could not be decided") as caught:
        hooked.registry.set_registered_model_alias(name, "prod", "1")
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert hooked.rows() == before


def test_records_of_what_was_rolled_back_are_forgotten(hooked: HookedStore, ledger: SqlLedger) -> None:
    name, size = hooked.model(), ledger.head().size
    hooked.guard.answer = Ruling(records=(record("alias"),))
    with hooked.registry.ManagedSessionMaker(read_only=False) as session:
        session.add(alias(name, "prod"))
        session.flush()
        session.rollback()
        hooked.guard.answer = Ruling(records=(record("the second try"),))
        session.add(alias(name, "prod"))
    assert logged(ledger, size) == ["the second try"]


def test_a_savepoint_that_was_rolled_back_takes_only_its_own_records(
    hooked: HookedStore, ledger: SqlLedger
) -> None:
    name, size = hooked.model(), ledger.head().size
    with hooked.registry.ManagedSessionMaker(read_only=False) as session:
        for kept, action in ((True, "before"), (False, "inside"), (True, "after")):
            hooked.guard.answer = Ruling(records=(record(action),))
            savepoint = None if kept else session.begin_nested()
            session.add(alias(name, action))
            session.flush()
            if savepoint is not None:
                savepoint.rollback()
    assert logged(ledger, size) == ["before", "after"]
    assert hooked.registry.get_registered_model(name).aliases == {"before": 1, "after": 1}


def test_a_version_that_mlflow_tries_again_to_make_is_recorded_once(
    hooked: HookedStore, ledger: SqlLedger
) -> None:
    name, size = hooked.model(versions=0), ledger.head().size
    hooked.guard.answer = Ruling(records=(record("register"),))
    tries = 0

    def somebody_was_first(session: Any, _context: object) -> None:
        nonlocal tries
        made = any(obj.__tablename__ == "model_versions" for obj in session.new)
        tries += made
        if made and tries == 1:
            raise sa.exc.IntegrityError("INSERT", {}, Exception("duplicate key"))

    event.listen(Session, "after_flush", somebody_was_first)
    try:
        made = hooked.registry.create_model_version(name, "s3://b")
    finally:
        event.remove(Session, "after_flush", somebody_was_first)
    assert (made.version, tries, len(hooked.guard.asked)) == (1, 2, 2)
    assert logged(ledger, size) == ["register"]


def test_warnings_are_told_and_the_change_happens(hooked: HookedStore) -> None:
    name = hooked.model()
    hooked.guard.answer = Ruling(warned=(NO,))
    hooked.registry.set_registered_model_alias(name, "prod", "1")
    assert hooked.guard.heard == [hooked.guard.answer]
    assert hooked.registry.get_model_version_by_alias(name, "prod").version == 1


def test_two_moves_of_an_alias_are_decided_one_after_the_other(hooked: HookedStore) -> None:
    name = hooked.model(versions=3)
    with hooked.unguarded():
        hooked.registry.set_registered_model_alias(name, "prod", "3")
    deciding, read, go_on = threading.Event(), threading.Event(), threading.Event()

    def look(_lookup: object) -> None:
        if len(hooked.guard.asked) == 1:
            deciding.set()
            assert go_on.wait(30)

    def hear(_session: Any, _context: object, _instances: object) -> None:
        if deciding.is_set():
            read.set()

    hooked.guard.look = look
    first, second = (
        threading.Thread(target=hooked.registry.set_registered_model_alias, args=(name, "prod", version))
        for version in ("1", "2")
    )
    event.listen(Session, "before_flush", hear, insert=True)
    try:
        first.start()
        assert deciding.wait(30)
        second.start()
        assert read.wait(30)  # the second has read the alias that the first is about to move
        go_on.set()
        first.join(30)
        second.join(30)
    finally:
        event.remove(Session, "before_flush", hear)
    moves = [(change.before["version"], change.after["version"]) for change in hooked.guard.changes]
    assert moves == [("3", "1"), ("1", "2")]


def alias(name: str, said: str) -> Any:
    from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModelAlias

    return SqlRegisteredModelAlias(workspace="default", name=name, alias=said, version=1)


class TestFreezing:
    def test_a_run_is_frozen_once_and_opened_again(self, hooked: HookedStore) -> None:
        run_id = hooked.run()
        with SqlLedger(hooked.uri).connection() as connection:
            assert freeze_run(connection, run_id)
            assert not freeze_run(connection, run_id)
            assert is_frozen(connection, run_id)
            assert thaw_run(connection, run_id)
            assert not thaw_run(connection, run_id)
            assert not is_frozen(connection, run_id)

    def test_a_run_that_is_not_there_cannot_be_frozen(self, hooked: HookedStore) -> None:
        with SqlLedger(hooked.uri).connection() as connection:
            assert not is_frozen(connection, "nowhere")
            with pytest.raises(StoreError, match="no such run"):
                freeze_run(connection, "nowhere")

    def test_no_answer_of_mlflow_shows_the_mark(self, hooked: HookedStore) -> None:
        assert "signoff" not in str(hooked.tracking.get_run(hooked.frozen_run()).to_dictionary())

    def test_a_metric_that_is_being_written_is_waited_for(self, hooked: HookedStore) -> None:
        run_id = hooked.run()
        written, commit, frozen = threading.Event(), threading.Event(), threading.Event()

        def log() -> None:
            hooked.tracking.log_metric(run_id, Metric("auc", 0.8, 1, 1))

        def hold(session: Any) -> None:
            if session.info.pop("hold", None):
                written.set()
                assert commit.wait(30)

        def mark(session: Any, _context: object) -> None:
            session.info["hold"] = True

        def freeze() -> None:
            with SqlLedger(hooked.uri).connection() as connection:
                freeze_run(connection, run_id)
            frozen.set()

        event.listen(Session, "after_flush", mark)
        event.listen(Session, "before_commit", hold)
        logging, freezing = threading.Thread(target=log), threading.Thread(target=freeze)
        try:
            logging.start()
            assert written.wait(30)
            freezing.start()
            early = frozen.wait(1)
            commit.set()
            logging.join(30)
            freezing.join(30)
        finally:
            event.remove(Session, "after_flush", mark)
            event.remove(Session, "before_commit", hold)
        assert not early
        assert frozen.is_set()
        assert hooked.tracking.get_run(run_id).data.metrics == {"auc": 0.8}


class TestSelfTest:
    def test_a_guarded_process_has_no_problems_before_it_is_armed(self, hooked: HookedStore) -> None:
        hooked.guard.on = False
        before = hooked.rows()
        assert mlflow_hooks.problems((hooked.tracking, hooked.registry)) == ()
        assert hooked.rows() == before
        assert hooked.guard.asked == []

    def test_without_hooks_each_write_is_named_and_rolled_back(self, hooked: HookedStore) -> None:
        mlflow_hooks.uninstall()
        before = hooked.rows()
        found = mlflow_hooks.problems((hooked.tracking,))
        assert found[0] == "the hooks in SQLAlchemy are not installed"
        assert [line.split(" although")[0].split(" wrote ")[1] for line in found[1:]] == [
            "through its unit of work",
            "with one statement",
            "past its session",
            "with SQL text",
        ]
        assert hooked.rows() == before

    def test_a_listener_that_is_gone_is_noticed(self, hooked: HookedStore) -> None:
        from signoff.adapters.mlflow_hooks import listeners

        event.remove(Session, "do_orm_execute", listeners._do_orm_execute)
        assert not mlflow_hooks.hooks_installed()
        assert mlflow_hooks.problems((hooked.tracking,)) == ("the hooks in SQLAlchemy are not installed",)

    def test_a_table_that_mlflow_did_not_have_is_named(self, hooked: HookedStore) -> None:
        from mlflow.store.db.base_sql_model import Base

        table = sa.Table("approvals", Base.metadata, sa.Column("id", sa.Integer, primary_key=True))
        try:
            (found,) = mlflow_hooks.problems((hooked.tracking,))
        finally:
            Base.metadata.remove(table)
        assert "approvals" in found

    @pytest.mark.usefixtures("hooked")
    def test_a_store_of_files_is_no_store_for_a_guard(self) -> None:
        (found,) = mlflow_hooks.problems((object(),))
        assert "keeps nothing in a database" in found

    def test_a_plugin_that_is_replaced_is_noticed(
        self,
        hooked: HookedStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from mlflow.server import handlers

        monkeypatch.setitem(handlers._tracking_store_registry._registry, "sqlite", lambda *_: None)
        assert "store entry points" in mlflow_hooks.problems((hooked.tracking,))[0]
