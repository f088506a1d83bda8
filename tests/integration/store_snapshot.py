"""All that a store holds, read around MLflow: every row of its database and every artifact's bytes."""

import hashlib
import io
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS = "signoff_"
"""Tables of that prefix are Signoff's: refusals are logged there, so they may grow where nothing else may change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A store at one moment.

    Attributes:
        tables: each table's rows as lines of text, sorted.
        files: each artifact's digest by its path.
    """

    tables: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """A database and the artifacts beside it.

    Attributes:
        database: URI of the database, SQLite or PostgreSQL.
        artifacts: folder of the artifacts.
    """

    database: str
    artifacts: Path

    @property
    def is_sqlite(self) -> bool:
        return self.database.startswith("sqlite:///")

    @property
    def file(self) -> Path:
        """The SQLite database's file."""
        return Path(self.database.removeprefix("sqlite:///"))

    def snapshot(self) -> Snapshot:
        """What is there now."""
        tables = self._sqlite_tables() if self.is_sqlite else self._postgres_tables()
        files = {
            str(path.relative_to(self.artifacts)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.artifacts.rglob("*"))
            if path.is_file()
        }
        return Snapshot(tables=tables, files=files)

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        """What the database answers to an SQL query."""
        if self.is_sqlite:
            with closing(sqlite3.connect(self.file, timeout=20)) as database:
                return database.execute(question).fetchall()
        with closing(self.postgres()) as connection, connection.cursor() as cursor:
            cursor.execute(question)
            return list(cursor.fetchall())

    def execute(self, *statements: str) -> None:
        """Change the database around MLflow and Signoff, in one transaction."""
        with closing(
            sqlite3.connect(self.file, timeout=20) if self.is_sqlite else self.postgres()
        ) as database:
            for statement in statements:
                database.cursor().execute(statement)
            database.commit()

    def postgres(self) -> Any:
        """A connection of our own."""
        import psycopg2

        return psycopg2.connect(self.database.replace("+psycopg2://", "://"))

    def keep(self, folder: Path) -> "Kept":
        """Copy everything into an empty folder, to put it back later."""
        shutil.copytree(self.artifacts, folder / "artifacts")
        tables = self._sqlite_tables() if self.is_sqlite else self._postgres_tables()
        tables = {name: rows for name, rows in tables.items() if not name.startswith(OURS)}
        if self.is_sqlite:
            _copy_database(self.file, folder / "copy.db")
        return Kept(store=self, folder=folder, tables=tables)

    def _sqlite_tables(self) -> dict[str, tuple[str, ...]]:
        with closing(sqlite3.connect(self.file, timeout=20)) as database:
            names = [
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {
                name: tuple(sorted(repr(row) for row in database.execute(f'SELECT * FROM "{name}"')))  # noqa: S608
                for name in names
            }

    def _postgres_tables(self) -> dict[str, tuple[str, ...]]:
        tables = {}
        with closing(self.postgres()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
            for (name,) in cursor.fetchall():
                text = io.StringIO()
                cursor.copy_expert(f'COPY "{name}" TO STDOUT', text)
                tables[name] = tuple(sorted(text.getvalue().splitlines()))
        return tables


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A copy of a store. What Signoff keeps in it is never put back: a log only grows.

    Attributes:
        store: the store.
        folder: where the copy is.
        tables: each of MLflow's tables; of PostgreSQL with its rows as COPY writes them.
    """

    store: Store
    folder: Path
    tables: Mapping[str, tuple[str, ...]]

    def put_back(self) -> None:
        """Make the store as it was, around a server that goes on."""
        if self.store.is_sqlite:
            self._copy_rows()
        else:
            self._copy_tables()
        shutil.rmtree(self.store.artifacts)
        shutil.copytree(self.folder / "artifacts", self.store.artifacts)

    def _copy_rows(self) -> None:
        with closing(sqlite3.connect(self.store.file, timeout=20)) as database:
            database.execute("ATTACH ? AS copy", (str(self.folder / "copy.db"),))
            for name in self.tables:
                known = database.execute(
                    f'PRAGMA main.table_info("{name}")'
                )  # without those that are computed
                columns = ", ".join(f'"{row[1]}"' for row in known)
                database.execute(f'DELETE FROM main."{name}"')  # noqa: S608 - a table of its own
                database.execute(f'INSERT INTO main."{name}" ({columns}) SELECT {columns} FROM copy."{name}"')  # noqa: S608 - as above
            database.commit()

    def _copy_tables(self) -> None:
        with closing(self.store.postgres()) as connection, connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")  # no foreign keys, no triggers
            cursor.execute("TRUNCATE " + ", ".join(f'"{name}"' for name in self.tables))
            for name, lines in self.tables.items():
                cursor.copy_expert(f'COPY "{name}" FROM STDIN', io.StringIO("".join(f"{x}\n" for x in lines)))
            connection.commit()


def _copy_database(source: Path, to: Path) -> None:
    with (
        closing(sqlite3.connect(source, timeout=20)) as old,
        closing(sqlite3.connect(to, timeout=20)) as new,
    ):
        old.backup(new)


def difference(before: Snapshot, after: Snapshot, *, ours: bool = False) -> list[str]:
    """What changed, one line each: rows gone and come, files gone, come and changed.

    Args:
        before: the earlier snapshot.
        after: the later one.
        ours: whether to look at Signoff's own tables too.
    """
    lines = []
    for table in sorted({*before.tables, *after.tables}):
        if table.startswith(OURS) and not ours:
            continue
        old, new = set(before.tables.get(table, ())), set(after.tables.get(table, ()))
        lines += [f"{table} - {row}" for row in sorted(old - new)]
        lines += [f"{table} + {row}" for row in sorted(new - old)]
    for path in sorted({*before.files, *after.files}):
        if before.files.get(path) != after.files.get(path):
            sign = "-" if path not in after.files else "+" if path not in before.files else "~"
            lines.append(f"file {sign} {path}")
    return lines
