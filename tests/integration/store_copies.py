"""A team whose guarded store holds a released version, on either database; a copy of its own for each test."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from store_snapshot import Store
from team import (
    STANDARD,
    Team,
    copy_team,
    edit_standard,
    forget_artifact_stores,
    inside,
    log_run,
    make_repository,
    release_run,
)

Database = Literal["sqlite", "postgresql"]
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
_numbers = count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A team and its store, which a test may damage.

    Attributes:
        team: the team.
        store: its database, reached around MLflow.
    """

    team: Team
    store: Store

    def sql(self, *statements: str) -> None:
        """Change the database as somebody with its password would."""
        self.store.execute(*statements)

    def one(self, question: str) -> Any:
        """The one value that the database answers."""
        ((value,),) = self.store.rows(question)
        return value

    def alias(self) -> int | None:
        """Where production's alias points."""
        rows = self.store.rows("SELECT version FROM registered_model_aliases WHERE alias = 'prod'")
        return None if not rows else int(rows[0][0])

    @property
    def model_file(self) -> Path:
        """The released model's file of weights."""
        place = Path(self.one("SELECT storage_location FROM model_versions WHERE version = 1"))
        return next(place.rglob("*.skops"))


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_kind(request: pytest.FixtureRequest) -> Database:
    found: Database = request.param
    return found


@pytest.fixture(scope="module")
def guarded_release(
    store_kind: Database, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Team:
    """tumours/1 was proposed in a guarded database, so its run is frozen; and released."""
    from signoff.adapters.ledger_sql.marker import mark_guarded

    folder = tmp_path_factory.mktemp(store_kind) / "repo"
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    if store_kind == "postgresql":
        uri = new_database(request.getfixturevalue("postgres_uri"))
    make_repository(folder, f"store: {uri}\n{STANDARD}")
    with inside(folder):
        good = log_run("good", store=uri)
    team = Team(folder=folder, good=good, weak="")
    mark_guarded(uri, since="2026-11-22T00:00:00Z", by="a test")
    release_run(team, good, 1)
    return team


@pytest.fixture
def store_copy(
    store_kind: Database, guarded_release: Team, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Copy]:
    line = (guarded_release.folder / "signoff.yaml").read_text().splitlines()[0]
    old = line.removeprefix("store: ")
    if store_kind == "sqlite":
        team = copy_team(guarded_release, tmp_path / "team")
        uri = f"sqlite:///{team.folder / 'mlflow.db'}"
    else:
        uri = new_database(request.getfixturevalue("postgres_uri"), template=old)
        shutil.copytree(guarded_release.folder.parent, tmp_path / "team")
        folder = tmp_path / "team" / guarded_release.folder.name
        team = Team(folder=folder, good=guarded_release.good, weak="")
        forget_artifact_stores()
    edit_standard(team, line, f"store: {uri}")
    made = Copy(team=team, store=Store(database=uri, artifacts=team.folder))
    if store_kind == "postgresql":
        made.sql(
            *(
                f"UPDATE {table} SET {column} = replace({column}, '{guarded_release.folder}', '{team.folder}')"  # noqa: S608 - fixed names
                for table, column in _PLACES
            )
        )
    yield made
    _let_go(uri)


def new_database(server: str, template: str | None = None) -> str:
    """An empty PostgreSQL database, or a copy of one that nobody is connected to."""
    import psycopg2

    name = f"copy_{next(_numbers)}"
    source = ""
    if template is not None:
        _let_go(template)
        source = f" TEMPLATE {template.split('?', maxsplit=1)[0].rpartition('/')[2]}"
    with closing(psycopg2.connect(server.replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}{source}")
    return server.replace("/postgres?", f"/{name}?")


def _let_go(uri: str) -> None:
    """Close the connections that MLflow keeps to a database."""
    import gc

    from sqlalchemy import Engine

    for engine in [found for found in gc.get_objects() if isinstance(found, Engine)]:
        if str(engine.url.database) in uri:
            engine.dispose()
