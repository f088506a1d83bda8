"""A process that is not the server writes nothing in a guarded database but what a warrant names."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hooked_store import HookedStore, new_stores
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow_server import QUIET

from signoff.adapters import mlflow_hooks
from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.ledger_sql.marker import mark_guarded
from signoff.adapters.mlflow_hooks import store_plugin
from signoff.adapters.mlflow_hooks.listeners import watch_outside
from signoff.adapters.mlflow_store import MlflowStore
from signoff.errors import StoreError
from signoff.record.dataset import InputCopy
from signoff.release.warrant import warranted

SINCE = "2026-11-23T07:00:00Z"


@pytest.fixture
def guarded(hooked: HookedStore) -> HookedStore:
    """A guarded database in a process without a guard; `unguarded` lets a test prepare something."""
    mark_guarded(hooked.uri, since=SINCE, by="a test")
    return hooked


@pytest.fixture
def outside(guarded: HookedStore) -> Iterator[Callable[[], HookedStore]]:
    """Call it when everything is prepared: from then on this process is not the server."""

    def begin() -> HookedStore:
        mlflow_hooks.uninstall()
        watch_outside(guarded.tracking.engine)
        return guarded

    yield begin
    mlflow_hooks.uninstall()


Outside = Callable[[], HookedStore]


def test_the_mark_is_set_once_and_found(hooked: HookedStore) -> None:
    mark_guarded(hooked.uri, since=SINCE, by="the first server")
    mark_guarded(hooked.uri, since="2027-01-01T00:00:00Z", by="the second server")
    assert SqlLedger(hooked.uri).is_guarded()
    with hooked.tracking.engine.connect() as connection:
        assert connection.exec_driver_sql('SELECT since, "by" FROM signoff_guard').one()[0] == SINCE


def test_nothing_is_written_and_the_way_is_told(guarded: HookedStore, outside: Outside) -> None:
    run_id, name = guarded.run(), guarded.model()
    store = outside()
    before = store.rows()
    writes: tuple[Callable[[], object], ...] = (
        lambda: store.tracking.log_metric(run_id, Metric("auc", 0.8, 1, 1)),
        lambda: store.tracking.create_experiment("mine"),
        lambda: store.tracking.delete_run(run_id),
        lambda: store.tracking._hard_delete_run(run_id),
        lambda: store.registry.set_registered_model_alias(name, "prod", "1"),
        lambda: store.registry.delete_registered_model(name),
    )
    for write in writes:
        with pytest.raises(
            MlflowException, match="set MLFLOW_TRACKING_URI to the server's http address"
        ) as caught:
            write()
        assert caught.value.error_code == "PERMISSION_DENIED"
    assert store.rows() == before


def test_reading_is_free(guarded: HookedStore, outside: Outside) -> None:
    run_id, name = guarded.run(), guarded.model()
    store = outside()
    assert store.tracking.get_run(run_id).info.run_id == run_id
    assert len(store.registry.search_model_versions(f"name = '{name}'")) == 2


def test_a_warrant_lets_its_own_change_pass_and_no_other(guarded: HookedStore, outside: Outside) -> None:
    name = guarded.model()
    store = outside()
    with warranted("registered_model_aliases", name=name, alias="prod", version="1"):
        for alias, version in (("prod", "2"), ("test", "1")):
            with pytest.raises(MlflowException, match="belongs to a Signoff server"):
                store.registry.set_registered_model_alias(name, alias, version)
        store.registry.set_registered_model_alias(name, "prod", "1")
        with pytest.raises(MlflowException, match="belongs to a Signoff server"):
            store.registry.delete_registered_model_alias(name, "prod")
        with pytest.raises(MlflowException, match="belongs to a Signoff server"):
            store.registry.delete_model_version(name, "1")
    with pytest.raises(MlflowException, match="belongs to a Signoff server"):
        store.registry.set_registered_model_alias(name, "prod", "2")
    assert store.registry.get_registered_model(name).aliases == {"prod": 1}


def test_other_databases_of_the_process_stay_free(outside: Outside, tmp_path: Path) -> None:
    outside()
    tracking, registry = new_stores(f"sqlite:///{tmp_path / 'own.db'}", tmp_path)
    tracking.create_experiment("mine")
    registry.create_registered_model("mine")
    for store in (tracking, registry):
        store.engine.dispose()


def test_a_server_s_guard_goes_before(guarded: HookedStore) -> None:
    watch_outside(guarded.tracking.engine)
    name = guarded.model()
    guarded.registry.set_registered_model_alias(name, "prod", "1")
    assert guarded.guard.seen == {("registered_model_aliases", "insert")}


def test_what_the_verbs_write_is_warranted(guarded: HookedStore, outside: Outside, tmp_path: Path) -> None:
    experiment = guarded.experiment()
    name = guarded.tracking.get_experiment(experiment).name
    store = outside()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}")
    asked = MlflowStore(store.uri)
    run_id = asked.create_run(name, name="copy", started_at=7, tags={"signoff.copied_from": "test"})
    given = InputCopy(
        name="d", digest="1", source_type="local", source="s", schema=None, profile=None, tags={"a": "b"}
    )
    asked.log_facts(
        run_id, params={"depth": "3"}, metrics={"auc": 0.8}, at=8, tags={"team": "a"}, inputs=[given]
    )
    model_id = asked.log_model_folder(run_id, folder, name="model")
    asked.finish_run(run_id, status="FINISHED", ended_at=9)
    asked.set_tag(run_id, "signoff.status", "proposed")
    source = f"models:/{model_id}"
    version = asked.register(
        f"{name}-model", run_id=run_id, source=source, model_id=model_id, description="d"
    )
    asked.tag_version(f"{name}-model", version, "signoff.status", "proposed")
    asked.set_alias(f"{name}-model", "prod", version, commit=None)
    asked.delete_alias(f"{name}-model", "prod", commit=None)
    asked.set_alias(f"{name}-model", "prod", version, commit=None)

    run = store.tracking.get_run(run_id)
    assert (run.data.params, run.data.metrics, run.info.status) == ({"depth": "3"}, {"auc": 0.8}, "FINISHED")
    made = store.registry.get_model_version_by_alias(f"{name}-model", "prod")
    assert (made.run_id, made.tags) == (run_id, {"signoff.status": "proposed"})
    with pytest.raises(MlflowException, match="belongs to a Signoff server"):
        store.tracking.log_metric(run_id, Metric("auc", 0.9, 1, 1))


def test_an_alias_and_its_entry_still_commit_together(guarded: HookedStore, outside: Outside) -> None:
    name = guarded.model()
    store = outside()
    seen: list[Any] = []

    def refuse(_connection: Any) -> None:
        raise StoreError("the ledger is read-only")

    with pytest.raises(StoreError, match="read-only"):
        MlflowStore(store.uri).set_alias(name, "prod", 1, commit=refuse)
    assert store.registry.get_registered_model(name).aliases == {}
    MlflowStore(store.uri).set_alias(name, "prod", 1, commit=seen.append)
    assert len(seen) == 1
    assert store.registry.get_registered_model(name).aliases == {"prod": 1}


class TestStoreEntryPoints:
    def test_mlflow_opens_databases_through_them(self) -> None:
        assert mlflow_hooks.plugin_active()

    def test_they_build_what_mlflow_builds(self, hooked: HookedStore, tmp_path: Path) -> None:
        tracking = store_plugin.tracking_store(hooked.uri, str(tmp_path))
        assert type(tracking) is type(hooked.tracking)
        assert tracking.artifact_root_uri == str(tmp_path)
        assert type(store_plugin.model_registry_store(hooked.uri)) is type(hooked.registry)

    def test_a_database_without_the_mark_is_left_alone(self, tmp_path: Path) -> None:
        uri = f"sqlite:///{tmp_path / 'own.db'}"
        ran = python(
            f"import mlflow; mlflow.set_tracking_uri({uri!r}); mlflow.log_metric('auc', 0.8)", tmp_path
        )
        assert ran.returncode == 0, ran.stderr
        assert python(LOADED, tmp_path).stdout.split() == ["signoff.adapters.mlflow_hooks.store_plugin"]

    def test_a_notebook_with_the_database_s_address_is_refused(
        self, guarded: HookedStore, tmp_path: Path
    ) -> None:
        before = guarded.rows()
        ran = python(
            f"import mlflow; mlflow.set_tracking_uri({guarded.uri!r}); mlflow.set_experiment('mine')",
            tmp_path,
        )
        assert ran.returncode == 1
        assert "signoff refused insert of experiments" in ran.stderr
        assert guarded.rows() == before

    def test_gc_collects_nothing(self, guarded: HookedStore, tmp_path: Path) -> None:
        run_id = guarded.run()
        with guarded.unguarded():
            guarded.tracking.delete_run(run_id)
        before = guarded.rows()
        ran = subprocess.run(
            [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", guarded.uri],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | QUIET | {"MLFLOW_TRACKING_URI": guarded.uri},
        )
        assert ran.returncode != 0
        assert "belongs to a Signoff server" in ran.stderr + ran.stdout
        assert guarded.rows() == before


LOADED = """
import sys, mlflow
print(*(name for name in sys.modules if name.startswith("signoff.adapters.mlflow_hooks.")))
"""


def python(program: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | QUIET,
    )
