import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from ledger_behaviour import LedgerBehaviour, OneTransactionWithMlflow, alarms, entry, execute

from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.ledger_sql.connection import Session
from signoff.errors import EvidenceError, StoreError

# Appends for ever; prints each index when it is acknowledged.
WRITER = """
import sys
from ledger_behaviour import entry, envelope
from signoff.adapters.ledger_sql import SqlLedger
ledger = SqlLedger(sys.argv[1])
while True:
    with ledger.transaction() as writer:
        statement = writer.put(envelope(str(ledger.head().size)), use_case="churn", version=None, run_id=None)
        index = writer.append(entry(0, statement=str(statement)))
    print(index, flush=True)
"""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("VACUUM")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


class TestSqlite(LedgerBehaviour):
    pass


class TestSqliteWithMlflow(OneTransactionWithMlflow):
    pass


def test_killed_writers_lose_nothing_that_was_acknowledged(uri: str) -> None:
    ledger = SqlLedger.create(uri, standalone=True)
    acknowledged = -1
    for round_number in range(10):
        command = [sys.executable, "-c", WRITER, uri]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
        ) as writer:
            assert writer.stdout is not None
            for _ in range(1 + 3 * round_number):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:
                acknowledged = int(line)
        assert writer.returncode == -signal.SIGKILL
        size = ledger.head().size
        # The last entry may be kept although its acknowledgement was not printed any more.
        assert size in {acknowledged + 1, acknowledged + 2}
        assert alarms(ledger) == []
        assert [logged.index for logged in ledger.entries()] == list(range(size))
        assert len(ledger.find(use_case="churn")) == size


def test_a_file_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'nowhere.db'}")
    with pytest.raises(StoreError, match="no such database file") as caught:
        ledger.head()
    assert caught.value.where == f"sqlite:///{tmp_path / 'nowhere.db'}"
    with pytest.raises(StoreError, match="no such database file"):
        SqlLedger.create(f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["99999999999", "1.5", "'text'", "x'00'"])
def test_a_value_of_another_type_in_the_log_is_found(uri: str, value: str) -> None:
    ledger = SqlLedger.create(uri, standalone=True)
    with ledger.transaction() as writer:
        writer.append(entry(0))
    for column, found in (("entry", "malformed"), ("leaf", "rewritten")):
        execute(uri, f"UPDATE signoff_log SET {column} = {value}")  # noqa: S608 - written above
        assert found in alarms(ledger)
    with pytest.raises(EvidenceError):
        ledger.entries()


def test_a_ledger_of_its_own_makes_its_file(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert not ledger.exists()
    ledger.migrate(standalone=True)
    assert ledger.exists()
    with pytest.raises(StoreError, match="cannot be made"):
        SqlLedger.create(f"sqlite:///{tmp_path / 'nowhere' / 'ledger.db'}", standalone=True)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        SqlLedger(f"sqlite:///{tmp_path / 'x.db'}").head()


def test_a_database_that_stays_locked_is_said_so(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signoff.adapters.ledger_sql.connection.BUSY_TIMEOUT_SECONDS", 0)
    ledger = SqlLedger.create(uri, standalone=True)
    with ledger.transaction():
        with pytest.raises(StoreError, match="database is locked") as caught, ledger.transaction():
            pytest.fail("two writers at once")
        assert caught.value.hint == "another process holds the database; try again"


def test_a_writer_on_another_connection_commits_nothing_itself(uri: str) -> None:
    ledger = SqlLedger.create(uri, standalone=True)
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        SqlLedger.writer_on(connection).append(entry(0))
        connection.rollback()
        assert ledger.head().size == 0
        SqlLedger.writer_on(connection).append(entry(1))
        connection.commit()
    assert [logged.entry for logged in ledger.entries()] == [entry(1)]


def test_a_writer_needs_a_ledger_and_a_known_driver() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(StoreError, match="no ledger yet"):
        SqlLedger.writer_on(connection)
    with pytest.raises(StoreError, match="no ledger on a connection of"):
        Session.around(StrangeConnection(), "x")


class StrangeConnection:
    def cursor(self) -> None:
        raise AssertionError
