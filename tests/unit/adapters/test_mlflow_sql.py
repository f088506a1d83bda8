import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from signoff.adapters.mlflow_sql import SqlReader
from signoff.adapters.mlflow_sql.files import list_folder, local_path
from signoff.errors import StoreError


def _tables(path: Path, *statements: str) -> str:
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    return f"sqlite:///{path}"


def test_a_missing_database_is_named_and_not_created(tmp_path: Path) -> None:
    path = tmp_path / "no such.db"
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        SqlReader(f"sqlite:///{path}").experiments()
    assert caught.value.where == f"sqlite:///{path}"
    assert not path.exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database " * 200)
    with pytest.raises(StoreError, match="not an MLflow database"):
        SqlReader(f"sqlite:///{path}").experiments()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (("CREATE TABLE orders (id INTEGER)",), "not an MLflow database"),
        (
            (
                "CREATE TABLE experiments (experiment_id INTEGER, name TEXT)",
                "CREATE TABLE runs (run_uuid TEXT)",
            ),
            "schema of another MLflow version",
        ),
    ],
    ids=["other tables", "older MLflow"],
)
def test_a_database_of_another_kind_is_refused(
    tmp_path: Path, statements: tuple[str, ...], message: str
) -> None:
    reader = SqlReader(_tables(tmp_path / "other #1%41.db", *statements))
    with pytest.raises(StoreError, match=message):
        reader.experiments()


def test_a_locked_database_is_an_error_of_the_store(tmp_path: Path) -> None:
    uri = _tables(tmp_path / "busy.db", "CREATE TABLE experiments (name TEXT)")
    writer = sqlite3.connect(tmp_path / "busy.db")
    writer.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StoreError, match="locked"):
            SqlReader(uri, timeout=0.01).alias("churn", "prod")
    finally:
        writer.close()


@pytest.mark.parametrize(
    "uri", ["mysql://ana:hunter2@db/mlflow", "sqlite://", "./mlruns", "databricks", "", "postgresql:/x"]
)
def test_an_address_of_another_kind_is_refused(uri: str) -> None:
    with pytest.raises(StoreError, match="no database that Signoff reads") as caught:
        SqlReader(uri)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("postgresql://ana:hunter2@127.0.0.1:1/mlflow?sslmode=disable", "cannot be reached"),
        ("postgresql+psycopg2://ana:hunter2@127.0.0.1:1/mlflow", "cannot be reached"),
        ("postgresql://ana:hunter2%zz@127.0.0.1:1/mlflow", "malformed"),
        ("postgresql://ana:hunter2/x@127.0.0.1:1/mlflow", "percent codes"),
        ("postgresql://ana:hunter2?x@127.0.0.1:1/mlflow", "percent codes"),
        ("postgresql://ana:x@hunter2@127.0.0.1:1/mlflow", "percent codes"),
        ("postgresql://127.0.0.1:1/mlflow?password=hunter2&user=a@b", "percent codes"),
        ("postgresql://127.0.0.1:1/mlflow?password=hunter2&nonsense=1", "malformed"),
    ],
)
def test_no_message_repeats_a_password(uri: str, message: str) -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(StoreError, match=message) as caught:
        SqlReader(uri, timeout=1).experiments()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/srv/mlruns/1/run/artifacts", "/srv/mlruns/1/run/artifacts"),
        ("file:///srv/a%20b", "/srv/a b"),
        ("file:/srv/a", "/srv/a"),
        ("file://localhost/srv/a", "/srv/a"),
        ("file://nas/srv/a", None),
        ("s3://bucket/1", None),
        ("mlflow-artifacts:/1/run/artifacts", None),
        ("mlruns/1", "mlruns/1"),
    ],
)
def test_which_addresses_are_local(uri: str, path: str | None) -> None:
    assert local_path(uri) == path


def test_a_folder_is_listed_with_all_that_stands_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep.txt").touch()
    (tmp_path / "a" / "empty").mkdir()
    (tmp_path / "top ü.txt").touch()
    assert list_folder(str(tmp_path)) == ("a/b/deep.txt", "top ü.txt")
    assert list_folder(str(tmp_path / "none")) == ()


def test_reading_imports_neither_mlflow_nor_yaml_nor_http() -> None:
    program = (
        "import sys; from signoff.adapters.mlflow_sql import SqlReader; SqlReader('sqlite:///x.db');"
        "print([m for m in ('mlflow', 'sqlalchemy', 'ruamel.yaml', 'http.client', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
