"""What a guarded server proves before it serves: that the hooks hear every write and refuse one."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from signoff.adapters.mlflow_hooks import listeners, store_plugin
from signoff.adapters.mlflow_hooks.tables import unclassified

_AUTH_MODELS = "mlflow.server.auth.db.models"
_SCHEMES = ("sqlite", "postgresql")


def plugin_active() -> bool:
    """Whether MLflow opens databases through Signoff's store entry points, in the server as in clients.

    A plugin that cannot be imported, or another one of the same name, only makes MLflow warn.
    """
    from mlflow.server import handlers
    from mlflow.tracking._model_registry import utils as registry
    from mlflow.tracking._tracking_service import utils as tracking

    wanted = (
        (handlers._tracking_store_registry, store_plugin.tracking_store),  # noqa: SLF001 - MLflow keeps them so
        (handlers._model_registry_store_registry, store_plugin.model_registry_store),  # noqa: SLF001
        (tracking._tracking_store_registry, store_plugin.tracking_store),  # noqa: SLF001
        (registry._get_store_registry(), store_plugin.model_registry_store),  # noqa: SLF001
    )
    return all(kept._registry.get(scheme) is builder for kept, builder in wanted for scheme in _SCHEMES)  # noqa: SLF001


def problems(stores: Sequence[object]) -> tuple[str, ...]:
    """Everything that would let a write pass the guard; empty when none would.

    Args:
        stores: MLflow's database stores of this process; each is made to try writes, which are rolled back.
    """
    return tuple(_problems(stores))


def _problems(stores: Sequence[Any]) -> Iterator[str]:
    if not listeners.hooks_installed():
        yield "the hooks in SQLAlchemy are not installed"
    if not plugin_active():
        yield (
            "MLflow does not open its databases through Signoff's store entry points: jobs and `mlflow gc` would"
            " not be guarded"
        )
    if unknown := unclassified(_tables()):
        yield f"MLflow has tables that this program does not know: {', '.join(unknown)}"
    for store in stores:
        name = f"{type(store).__module__}.{type(store).__name__}"
        if not hasattr(store, "ManagedSessionMaker"):
            yield f"{name} keeps nothing in a database"
            continue
        for way, write in _WRITES.items():
            if not _refused(store, write):
                yield f"{name} wrote {way} although nobody asked for it"


def _tables() -> set[str]:
    from mlflow.store.db.base_sql_model import Base

    found = set(Base.metadata.tables)
    if _AUTH_MODELS in sys.modules:
        found |= set(sys.modules[_AUTH_MODELS].Base.metadata.tables)
    return {name for name in found if not name.startswith("alembic_")}


def _refused(store: Any, write: Callable[[Any], None]) -> bool:
    from mlflow.exceptions import MlflowException

    with listeners.trying(), store.ManagedSessionMaker(read_only=False) as session:
        try:
            write(session)
        except MlflowException as error:
            return str(error.error_code) == "PERMISSION_DENIED"
        finally:
            session.rollback()
    return False


def _by_flush(session: Any) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlExperimentTag

    session.add(SqlExperimentTag(experiment_id=0, key="signoff.selftest", value=""))
    session.flush()


def _by_bulk(session: Any) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlTraceTag

    session.query(SqlTraceTag).filter(SqlTraceTag.request_id == "signoff.selftest").delete()


def _by_bulk_objects(session: Any) -> None:
    from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel

    session.bulk_save_objects([SqlRegisteredModel(name="signoff.selftest", workspace="default")])


def _by_text(session: Any) -> None:
    import sqlalchemy

    session.execute(sqlalchemy.text("DELETE FROM runs WHERE run_uuid = 'signoff.selftest'"))


_WRITES: dict[str, Callable[[Any], None]] = {
    "through its unit of work": _by_flush,
    "with one statement": _by_bulk,
    "past its session": _by_bulk_objects,
    "with SQL text": _by_text,
}
