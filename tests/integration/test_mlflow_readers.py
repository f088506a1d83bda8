"""The SQL and the REST reader against a real MLflow server: equal to each other, and to MLflow's client."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow_server import MlflowServer, mlflow_server

from signoff.adapters.mlflow_rest import RestReader
from signoff.adapters.mlflow_sql import SqlReader
from signoff.adapters.mlflow_sql.database import Query, Row
from signoff.errors import StoreError
from signoff.record.run import RunRecord

__all__ = ["mlflow_server"]

DIGEST = "sha256:" + "5a" * 32
INSIDE, OUTSIDE = "shop/churn", "shop/churn local"


@dataclass(frozen=True, kw_only=True)
class Store:
    server: MlflowServer
    sql: SqlReader
    rest: RestReader
    runs: tuple[str, ...]
    deleted: str

    @property
    def readers(self) -> tuple[SqlReader | RestReader, ...]:
        return self.sql, self.rest

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.server.address, registry_uri=self.server.address)


@pytest.fixture(scope="session")
def store(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with two experiments, one proxied by the server and one in a local folder."""
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_server.address, registry_uri=mlflow_server.address)
    folder = tmp_path_factory.mktemp("work")
    model_files = _save_model(folder / "model")
    locations = {INSIDE: None, OUTSIDE: (folder / "own space").as_uri()}
    experiments = {name: client.create_experiment(name, location) for name, location in locations.items()}
    logged = tuple(
        _log_run(client, experiments[name], model_files, started_at=started_at)
        for name, started_at in ((INSIDE, 1_000), (OUTSIDE, 3_000), (INSIDE, 2_000), (INSIDE, 2_000))
    )
    deleted = client.create_run(experiments[INSIDE], start_time=9_000).info.run_id
    client.delete_run(deleted)
    gone = client.create_experiment("shop/gone")
    client.create_run(gone)
    client.delete_experiment(gone)
    _register(client, logged)

    def local(uri: str) -> Path:
        return mlflow_server.artifacts / uri.removeprefix("mlflow-artifacts:/")

    def listed(uri: str) -> Sequence[str]:
        return [path.relative_to(local(uri)).as_posix() for path in local(uri).rglob("*") if path.is_file()]

    return Store(
        server=mlflow_server,
        sql=SqlReader(
            mlflow_server.database, fetch_text=lambda uri: local(uri).read_bytes(), list_files=listed
        ),
        rest=RestReader(mlflow_server.address),
        runs=tuple(run_id for run_id, _ in logged),
        deleted=deleted,
    )


def _save_model(path: Path) -> Path:
    import pandas as pd
    from mlflow import sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    table = pd.DataFrame({"recency": [1.0, 2.0, 8.0, 9.0], "orders": [4.0, 3.0, 1.0, 0.0]})
    model = LogisticRegression().fit(table, [0, 0, 1, 1])
    sklearn.save_model(
        model,
        str(path),
        signature=infer_signature(table, model.predict(table)),
        input_example=table[:2],
        serialization_format="skops",
        pip_requirements=["scikit-learn"],
    )
    return path


def _log_run(client: Any, experiment_id: str, model_files: Path, *, started_at: int) -> tuple[str, str]:
    """Log a run with everything a record holds; returns its id and that of its first model."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput

    tags = {"mlflow.user": "ana", "signoff.owner": "ana@shop.example", "empty": ""}
    run = client.create_run(experiment_id, start_time=started_at, run_name=f"week {started_at}", tags=tags)
    run_id: str = run.info.run_id
    for key, value in {"C": "0.5", "empty": "", "long": "x" * 6000}.items():
        client.log_param(run_id, key, value)
    for key, scores in {"auc": [0.7, 0.75], "nan": [math.nan], "inf": [math.inf], "tiny": [5e-324]}.items():
        for step, score in enumerate(scores):
            client.log_metric(run_id, key, score, step=step)
    week = Dataset(
        name="week",
        digest="4ae063df",
        source_type="delta_table",
        source=json.dumps({"path": "features/week", "delta_table_version": 7}),
        profile=json.dumps({"num_rows": 5942}),
    )
    full = [
        InputTag("mlflow.data.context", "training"),
        InputTag("signoff.dataset.sha256", DIGEST),
        InputTag("signoff.dataset.version", "2011-w30"),
    ]
    plain = Dataset(name="holdout", digest="77", source_type="local", source=json.dumps({"uri": "/eval.csv"}))
    client.log_inputs(run_id, datasets=[DatasetInput(week, full), DatasetInput(plain, [])])
    client.log_text(run_id, "0.4", "threshold/why/note ü.txt")
    client.log_dict(run_id, {"auc": 0.75}, "report.json")
    client.log_artifacts(run_id, str(model_files), "older/model")
    client.set_tag(run_id, "mlflow.log-model.history", json.dumps([{"artifact_path": "older/model"}]))
    outputs = []
    for name in ("model", "calibrated", "withdrawn", "empty"):
        model = client.create_logged_model(experiment_id, name=name, source_run_id=run_id)
        if name != "empty":
            client.log_model_artifacts(model.model_id, str(model_files))
        outputs.append(LoggedModelOutput(model.model_id, 0))
        if name == "withdrawn":
            client.delete_logged_model(model.model_id)
    client.log_outputs(run_id, outputs)
    client.set_terminated(run_id, end_time=started_at + 500)
    return run_id, outputs[0].model_id


def _register(client: Any, logged: Sequence[tuple[str, str]]) -> None:
    client.create_registered_model("churn")
    for run_id, model_id in logged[:3]:
        client.create_model_version("churn", f"models:/{model_id}", run_id=run_id, model_id=model_id)
    run_id, model_id = logged[0]
    older = f"{client.get_run(run_id).info.artifact_uri}/older/model"
    client.create_model_version("churn", older, run_id=run_id)
    client.create_model_version("churn", f"models:/{model_id}", model_id=model_id)
    for alias, version in {"prod": 2, "stable": 2, "test": 4}.items():
        client.set_registered_model_alias("churn", alias, version)
    client.delete_model_version("churn", "5")


def _comparable(record: Any) -> Any:
    """The record as plain values in which one NaN equals another."""
    return json.loads(json.dumps(asdict(record), sort_keys=True).replace("NaN", '"NaN"'))


def test_both_readers_give_equal_runs(store: Store) -> None:
    by_sql, by_rest = (reader.runs((INSIDE, OUTSIDE)) for reader in store.readers)
    assert [_comparable(run) for run in by_sql] == [_comparable(run) for run in by_rest]
    first, local, *tied = store.runs
    assert [run.run_id for run in by_sql] == [local, *sorted(tied), first]
    for run in by_sql:
        for reader in store.readers:
            assert _comparable(reader.run(run.run_id)) == _comparable(run)


def test_both_readers_survey_the_same_store(store: Store) -> None:
    by_sql, by_rest = store.sql.bare_runs(), store.rest.bare_runs()
    assert [bare.run.run_id for bare in by_sql] == [bare.run.run_id for bare in by_rest]
    assert len(by_sql) == 4
    for reader, found in ((store.sql, by_sql), (store.rest, by_rest)):
        whole = [_comparable(reader.with_files(bare)) for bare in found]
        assert whole == [_comparable(reader.run(bare.run.run_id)) for bare in found]
        newer = reader.bare_runs(since=2_000)
        assert [bare.run.run_id for bare in newer] == [
            bare.run.run_id for bare in found if bare.run.started_at >= 2_000
        ]
        assert 0 < len(newer) < len(found)
        asked = {*store.runs, store.deleted, "0" * 32}
        assert reader.active_runs(asked) == frozenset(store.runs)
        assert reader.registered_models() == ("churn",)
    assert all(bare.run.artifacts == () for bare in (*by_sql, *by_rest))


def test_a_record_holds_what_was_logged(store: Store) -> None:
    run = store.sql.run(store.runs[0])
    assert (run.run_name, run.experiment, run.status, run.user) == ("week 1000", INSIDE, "FINISHED", "ana")
    assert (run.started_at, run.ended_at) == (1_000, 1_500)
    assert run.params == {"C": "0.5", "empty": "", "long": "x" * 6000}
    assert math.isnan(run.metrics["nan"])
    assert (run.metrics["auc"], run.metrics["tiny"]) == (0.75, 5e-324)
    assert {"report.json", "threshold/why/note ü.txt", "older/model/MLmodel"} <= set(run.artifacts)
    holdout, week = run.datasets
    assert (holdout.digest, holdout.source, holdout.context, holdout.rows) == ("77", "/eval.csv", "", None)
    assert (week.digest, week.version, week.rows) == (DIGEST, "2011-w30", 5942)
    assert (week.source, week.context) == ("features/week", "training")
    assert [model.name for model in run.models] == ["model", "calibrated", "empty", "older/model"]
    for model in run.models:
        unread = model.name == "empty"
        assert model.flavors == (() if unread else ("python_function", "sklearn"))
        assert (None if model.inputs is None else model.inputs.names) == (
            None if unread else ("recency", "orders")
        )
        assert model.has_input_example is not unread


def test_records_agree_with_mlflows_client(store: Store) -> None:
    for record in store.rest.runs((INSIDE, OUTSIDE)):
        run = store.client.get_run(record.run_id)
        assert record.params == run.data.params
        assert record.tags == run.data.tags
        assert repr(sorted(record.metrics.items())) == repr(sorted(run.data.metrics.items()))
        assert (record.started_at, record.ended_at) == (run.info.start_time, run.info.end_time)
        assert record.experiment == store.client.get_experiment(run.info.experiment_id).name
        assert set(record.artifacts) == set(_files(store.client, record))
        assert {d.name for d in record.datasets} == {i.dataset.name for i in run.inputs.dataset_inputs}


def _files(client: Any, record: RunRecord) -> Iterator[str]:
    """The run's own files as the client lists them; it adds those of the logged models by the model's name."""
    folders = [None]
    while folders:
        for file in client.list_artifacts(record.run_id, folders.pop()):
            if file.is_dir:
                folders.append(file.path)
            else:
                yield file.path


def test_each_model_can_be_fetched_from_its_address(store: Store, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    for run in store.sql.runs((INSIDE, OUTSIDE), last=2):
        for number, model in enumerate(model for model in run.models if model.flavors):
            files = download_artifacts(
                artifact_uri=model.uri,
                dst_path=str(tmp_path / run.run_id / str(number)),
                tracking_uri=store.server.address,
            )
            told = Model.load(files)
            assert set(model.flavors) == set(told.flavors)
            assert model.inputs is not None
            assert list(model.inputs.names) == told.signature.inputs.input_names()


def test_experiments_are_named_exactly_or_by_prefix(store: Store) -> None:
    for reader in store.readers:
        assert len(reader.runs(("shop/*",))) == 4
        assert [run.run_id for run in reader.runs((OUTSIDE,))] == [store.runs[1]]
        assert reader.runs(("shop",)) == ()
        assert reader.runs(()) == ()
        assert [run.started_at for run in reader.runs(("shop/*",), last=2)] == [3_000, 2_000]
        assert reader.runs(("shop/*",), last=0) == ()


def test_experiments_are_counted_with_their_users(store: Store) -> None:
    by_sql, by_rest = (reader.experiments() for reader in store.readers)
    assert by_sql == by_rest
    assert [(e.name, e.runs, e.users) for e in by_sql] == [
        ("Default", 0, ()),
        (INSIDE, 3, ("ana",)),
        (OUTSIDE, 1, ("ana",)),
    ]


def test_an_unknown_or_deleted_run_is_an_error_that_names_it(store: Store) -> None:
    for reader in store.readers:
        for run_id in (store.deleted, "0" * 32, "it's"):
            with pytest.raises(StoreError, match="no active run") as caught:
                reader.run(run_id)
            assert caught.value.where
            assert caught.value.hint


def test_both_readers_give_equal_versions_as_the_client_does(store: Store) -> None:
    by_sql, by_rest = (reader.versions("churn") for reader in store.readers)
    assert by_sql == by_rest
    assert [(v.version, v.aliases) for v in by_sql] == [
        (4, ("test",)),
        (3, ()),
        (2, ("prod", "stable")),
        (1, ()),
    ]
    for record in by_sql:
        told = store.client.get_model_version("churn", str(record.version))
        assert record.uri == store.client.get_model_version_download_uri("churn", str(record.version))
        assert (record.run_id, record.created_at) == (told.run_id, told.creation_timestamp)
        assert told.source == (f"models:/{record.model_id}" if record.model_id else record.uri)
        assert sorted(told.aliases) == list(record.aliases)
        for reader in store.readers:
            assert reader.version("churn", record.version) == record


def test_a_version_and_the_model_it_came_from_have_one_address(store: Store) -> None:
    version = store.sql.version("churn", 2)
    assert version is not None
    assert version.run_id is not None
    models = {model.model_id: model.uri for model in store.rest.run(version.run_id).models}
    assert models[version.model_id] == version.uri


@pytest.mark.parametrize("name", ["churn", "other", "o'ther", 'o"ther'])
def test_what_the_registry_does_not_hold_is_none(store: Store, name: str) -> None:
    for reader in store.readers:
        assert reader.version(name, 5) is None
        assert reader.alias(name, "nobody") is None
        if name != "churn":
            assert reader.versions(name) == ()
            assert reader.alias(name, "prod") is None


def test_an_alias_that_moves_is_seen_at_once(store: Store) -> None:
    assert [reader.alias("churn", "prod") for reader in store.readers] == [2, 2]
    store.client.set_registered_model_alias("churn", "prod", "3")
    try:
        assert [reader.alias("churn", "prod") for reader in store.readers] == [3, 3]
    finally:
        store.client.set_registered_model_alias("churn", "prod", "2")


def test_a_prompt_is_read_by_its_version_and_is_no_registered_model(store: Store) -> None:
    text = "Question: {{question}}\n{{passages}} ü"
    store.client.register_prompt("answer", text)
    store.client.register_prompt("answer", "shorter")
    for reader in store.readers:
        assert (reader.prompt("answer", 1), reader.prompt("answer", 2)) == (text, "shorter")
        assert (reader.prompt("answer", 3), reader.prompt("churn", 2), reader.prompt("it's", 1)) == (
            None,
        ) * 3
        assert reader.registered_models() == ("churn",)


def test_more_runs_cost_no_more_queries(store: Store) -> None:
    def cost(experiment: str) -> int:
        asked: list[str] = []
        opened = store.sql._open

        @contextmanager
        def counting() -> Iterator[Query]:
            with opened() as query:

                def counted(statement: str, values: Sequence[object]) -> list[Row]:
                    asked.append(statement)
                    return query(statement, values)

                yield counted

        store.sql._open = counting
        try:
            store.sql.runs((experiment,))
        finally:
            store.sql._open = opened
        return len(asked)

    assert cost(INSIDE) == cost(OUTSIDE) <= 10


def test_sql_alone_does_not_reach_artifacts_behind_the_server(store: Store) -> None:
    reader = SqlReader(store.server.database)
    assert reader.run(store.runs[1]).artifacts
    with pytest.raises(StoreError, match="a database address alone does not reach them"):
        reader.run(store.runs[0])


def test_the_readers_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match=r"read-?only"), store.sql._open() as query:
        query("DELETE FROM registered_model_aliases", ())
    assert store.sql.alias("churn", "prod") == 2


def test_a_postgresql_database_of_another_kind_is_refused(new_postgres_database: Callable[[], str]) -> None:
    import psycopg2

    empty = new_postgres_database()
    reader = SqlReader(empty)
    with pytest.raises(StoreError, match="not an MLflow database"):
        reader.experiments()
    connection = psycopg2.connect(empty.replace("+psycopg2://", "://"))
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="schema of another MLflow version"):
        reader.experiments()
