import sys
import traceback
from collections.abc import Callable

import pytest
from ledger_behaviour import LedgerBehaviour, OneTransactionWithMlflow

from signoff.adapters.ledger_sql import SqlLedger
from signoff.errors import StoreError


@pytest.fixture
def uri(new_postgres_database: Callable[[], str]) -> str:
    return new_postgres_database()


class TestPostgres(LedgerBehaviour):
    pass


class TestPostgresWithMlflow(OneTransactionWithMlflow):
    pass


def test_a_database_that_is_not_there_is_named(postgres_uri: str) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist') as caught:
        SqlLedger(postgres_uri.replace("/postgres?", "/nowhere?")).head()
    assert caught.value.where is not None
    assert caught.value.where.startswith("postgresql://signoff@/nowhere?host=/tmp/pg")


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="psycopg2 or psycopg is not installed") as caught:
        SqlLedger("postgresql://db/mlflow").head()
    assert caught.value.hint == "pip install 'signoff[postgres]'"


def test_a_server_that_is_down_is_said_so_without_the_password() -> None:
    with pytest.raises(StoreError, match="the database cannot be reached") as caught:
        SqlLedger("postgresql+psycopg2://ana:hunter%402@127.0.0.1:1/mlflow").head()
    assert caught.value.where == "postgresql://ana@127.0.0.1:1/mlflow"
    told = "".join(traceback.format_exception(caught.value))
    assert "hunter@2" not in told
    assert "hunter%402" not in told.replace('SqlLedger("postgresql+psycopg2://ana:hunter%402', "")
