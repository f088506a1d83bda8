"""MLflow's own database stores with the guard's hooks around them, and a guard that remembers what it was asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from signoff.adapters import mlflow_hooks
from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.mlflow_hooks.freeze import freeze_run
from signoff.release.guard.model import Asker, Change, Objection, Record, Ruling
from signoff.release.guard.ports import StoreLookup
from signoff.release.model import Reason
from signoff.standard.guard import GuardRule, GuardRules

NO = Objection(
    rule="alias",
    use_case="churn",
    subject="churn@prod",
    reason=Reason(code="approval-missing", message="one approval is missing", fix="signoff approve churn/1"),
)
ANA = Asker(login="ana", person="ana@shop.example")


@dataclass(kw_only=True)
class RecordingGuard:
    """Answers what a test says, and remembers what it was asked and told."""

    who: Asker | None = ANA
    on: bool = True
    answer: Ruling = field(default_factory=Ruling)
    in_force: GuardRules = field(default_factory=lambda: GuardRules(levels={"finished-run": "off"}))
    asked: list[tuple[Change, ...]] = field(default_factory=list)
    heard: list[Ruling] = field(default_factory=list)
    wrote: Callable[[tuple[Record, ...], object], None] = lambda _records, _connection: None
    look: Callable[[StoreLookup], None] = lambda _lookup: None

    def armed(self) -> bool:
        return self.on

    def asker(self) -> Asker | None:
        return self.who

    def rules(self) -> GuardRules:
        return self.in_force

    def decide(self, changes: tuple[Change, ...], *, lookup: StoreLookup) -> Ruling:
        self.asked.append(changes)
        self.look(lookup)
        return self.answer

    def link(self, rule: GuardRule) -> str:
        return f"{self.in_force.link}#{rule}"

    def told(self, ruling: Ruling) -> None:
        self.heard.append(ruling)

    def write(self, records: tuple[Record, ...], *, connection: object) -> None:
        self.wrote(records, connection)

    @property
    def changes(self) -> list[Change]:
        """Everything that was asked about, in order."""
        return [change for changes in self.asked for change in changes]

    @property
    def seen(self) -> set[tuple[str, str]]:
        """Table and operation of all that was asked about."""
        return {(change.table, change.operation) for change in self.changes}


@dataclass(kw_only=True)
class HookedStore:
    """MLflow's two stores on one database, guarded."""

    uri: str
    tracking: Any
    registry: Any
    guard: RecordingGuard

    @contextmanager
    def unguarded(self) -> Iterator[None]:
        """What a test prepares is not asked about."""
        before, self.guard.on = self.guard.on, False
        try:
            yield
        finally:
            self.guard.on = before

    def experiment(self) -> str:
        with self.unguarded():
            return str(self.tracking.create_experiment(f"churn-{uuid4().hex[:8]}"))

    def run(self, experiment: str | None = None) -> str:
        with self.unguarded():
            made = self.tracking.create_run(experiment or self.experiment(), "ana", 1, [], "a run")
            return str(made.info.run_id)

    def frozen_run(self) -> str:
        run_id = self.run()
        self.freeze(run_id)
        return run_id

    def freeze(self, run_id: str) -> None:
        with SqlLedger(self.uri).connection() as connection:
            freeze_run(connection, run_id)

    def logged_model(self, run_id: str) -> str:
        with self.unguarded():
            run = self.tracking.get_run(run_id)
            made = self.tracking.create_logged_model(
                run.info.experiment_id, "model", run_id, [], [], "sklearn"
            )
            return str(made.model_id)

    def model(self, *, versions: int = 2) -> str:
        name = f"churn-{uuid4().hex[:8]}"
        with self.unguarded():
            self.registry.create_registered_model(name)
            for number in range(versions):
                self.registry.create_model_version(name, f"s3://models/{number}")
        return name

    def rows(self) -> dict[str, list[str]]:
        """All rows of MLflow's tables, as text."""
        from mlflow.store.db.base_sql_model import Base

        with self.tracking.engine.connect() as connection:
            return {
                name: sorted(map(str, connection.execute(table.select()).all()))
                for name, table in Base.metadata.tables.items()
            }


def new_stores(uri: str, folder: Path) -> tuple[Any, Any]:
    """MLflow's tracking and registry store, with a ledger in their database."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

    tracking = TrackingStore(uri, str(folder / "artifacts"))
    registry = RegistryStore(uri)
    SqlLedger.create(uri)
    return tracking, registry


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hooked_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HookedStore]:
    """MLflow's stores, once on SQLite and once on PostgreSQL; not hooked."""
    from mlflow_server import own_database

    folder = tmp_path_factory.mktemp("hooked")
    if request.param == "sqlite":
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        tracking, registry = new_stores(uri, folder)
        yield HookedStore(uri=uri, tracking=tracking, registry=registry, guard=RecordingGuard())
        return
    with own_database(request.getfixturevalue("postgres_uri")) as uri:
        tracking, registry = new_stores(uri, folder)
        yield HookedStore(uri=uri, tracking=tracking, registry=registry, guard=RecordingGuard())
        for store in (tracking, registry):
            store.engine.dispose()


@pytest.fixture
def hooked(hooked_database: HookedStore) -> Iterator[HookedStore]:
    """The stores with the hooks of a guard of this test's own."""
    hooked_database.guard = RecordingGuard()
    mlflow_hooks.install(hooked_database.guard)
    try:
        yield hooked_database
    finally:
        mlflow_hooks.uninstall()
