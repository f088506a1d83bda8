from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from signoff.adapters.ledger_sql.address import PostgresAddress, SqliteAddress, parse_address
from signoff.adapters.ledger_sql.schema import MIGRATIONS, REVISION
from signoff.errors import StoreError


def test_the_revision_we_work_with_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [REVISION]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:////srv/mlflow.db", Path("/srv/mlflow.db")),
        ("sqlite:///mlflow.db", Path.cwd() / "mlflow.db"),
        ("sqlite+pysqlite:////srv/ml flow.db?timeout=5", Path("/srv/ml flow.db")),
    ],
)
def test_sqlite_addresses(uri: str, path: Path) -> None:
    assert parse_address(uri) == SqliteAddress(path=path)


@pytest.mark.parametrize(
    ("uri", "options", "shown"),
    [
        (
            "postgresql://ana:p%40ss%2Fw@db.example:5433/mlflow?sslmode=require",
            {"user": "ana", "password": "p@ss/w", "host": "db.example", "port": "5433"},
            "postgresql://ana@db.example:5433/mlflow",
        ),
        ("postgresql+psycopg2://db/mlflow", {"host": "db"}, "postgresql://db/mlflow"),
        (
            "postgres://u@/mlflow?host=/run/pg&password=geheim",
            {"user": "u", "host": "/run/pg"},
            "postgresql://u@/mlflow?host=/run/pg",
        ),
    ],
)
def test_postgres_addresses_show_no_secret(uri: str, options: dict[str, str], shown: str) -> None:
    address = parse_address(uri)
    assert isinstance(address, PostgresAddress)
    assert options.items() <= address.options.items()
    assert address.shown == shown
    for secret in ("p@ss/w", "p%40ss", "geheim"):
        assert secret not in repr(address)


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://ana:geheim@db/mlflow",
        "https://ana:geheim@mlflow.example",
        "databricks",
        "/srv/mlruns",
        "",
        "postgresql://ana:geheim@db:port/mlflow",
    ],
)
def test_other_stores_have_no_ledger(uri: str) -> None:
    with pytest.raises(StoreError) as caught:
        parse_address(uri)
    assert "geheim" not in str(caught.value)
    assert "postgresql://<user>@<host>/<database>" in str(caught.value)
