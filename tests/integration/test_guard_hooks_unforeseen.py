"""Ways to write that MLflow does not use are refused, whatever they would write."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hooked_store import HookedStore
from mlflow.exceptions import MlflowException
from sqlalchemy import orm


def refused(hooked: HookedStore, write: Callable[[Any], object], said: str) -> None:
    def transaction() -> None:
        with hooked.tracking.ManagedSessionMaker(read_only=False) as session:
            write(session)

    before = hooked.rows()
    with pytest.raises(MlflowException, match=said) as caught:
        transaction()
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert hooked.rows() == before


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE runs SET status = 'FINISHED'",
        "  delete from runs",
        "INSERT INTO tags (key, value, run_uuid) VALUES ('signoff.gate', 'pass', 'x')",
        "WITH gone AS (SELECT 1) DELETE FROM runs",
        "DROP TABLE runs",
        "/* a remark */ DELETE FROM runs",
    ],
)
def test_text(hooked: HookedStore, text: str) -> None:
    hooked.run()
    refused(hooked, lambda session: session.execute(sa.text(text)), "only statements whose table")


def test_objects_past_the_unit_of_work(hooked: HookedStore) -> None:
    from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModelAlias

    name = hooked.model()
    alias = SqlRegisteredModelAlias(workspace="default", name=name, alias="prod", version=2)
    refused(hooked, lambda session: session.bulk_save_objects([alias]), "by cursor")


def test_statements_past_the_session(hooked: HookedStore) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlRun

    hooked.run()
    statement = sa.update(SqlRun.__table__).values(status="FINISHED")
    refused(hooked, lambda session: session.connection().execute(statement), "by cursor")


def test_bulk_statements_on_what_is_governed(hooked: HookedStore) -> None:
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
    from mlflow.store.tracking.dbmodels.models import SqlMetric

    hooked.model()
    refused(hooked, lambda session: session.query(SqlMetric).delete(), "by bulk")
    refused(hooked, lambda session: session.query(SqlModelVersion).update({"current_stage": "x"}), "by bulk")


def test_the_freeze_mark(hooked: HookedStore) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlRun

    run_id = hooked.frozen_run()

    def thaw(session: Any) -> None:
        session.get(SqlRun, run_id).entry_point_name = ""

    refused(hooked, thaw, "the mark that only Signoff writes")


def test_a_table_that_is_not_known(hooked: HookedStore) -> None:
    base = orm.declarative_base()

    class Secret(base):  # type: ignore[misc, valid-type]
        __tablename__ = "secret_door"
        id = sa.Column(sa.Integer, primary_key=True)

    for write in (
        lambda session: session.add(Secret(id=1)),
        lambda session: session.execute(sa.insert(Secret).values(id=1)),
        lambda session: session.bulk_save_objects([Secret(id=1)]),
        lambda session: session.execute(sa.delete(Secret)),
    ):
        refused(hooked, write, "secret_door")


def test_deleting_for_good(hooked: HookedStore) -> None:
    run_id = hooked.run()
    with pytest.raises(MlflowException, match="not foreseen"):
        hooked.tracking._hard_delete_run(run_id)
    experiment = hooked.experiment()
    with hooked.unguarded():
        hooked.tracking.delete_experiment(experiment)
    with pytest.raises(MlflowException, match="not foreseen"):
        hooked.tracking._hard_delete_experiment(experiment)
    model_id = hooked.logged_model(run_id)
    with pytest.raises(MlflowException, match="not foreseen"):
        hooked.tracking._hard_delete_logged_model(model_id)
    assert hooked.tracking.get_run(run_id)
