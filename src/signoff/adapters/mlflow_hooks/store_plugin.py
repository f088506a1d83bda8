"""MLflow's store builders for ``sqlite`` and ``postgresql``, as entry points.

They build what MLflow builds, and then look whether the database is marked as guarded; where it is, and this process
is not its server, the hooks refuse what is not warranted. Every process that imports MLflow loads this module: it
imports nothing until a store is built.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MARKER = "signoff_guard"


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> "Any":
    """MLflow's tracking store for a database.

    MLflow has two builders under one name. The server's names an artifact root, and reads from the replica that its
    environment names; the client's names none.
    """
    import os

    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

    kind = WorkspaceAwareSqlAlchemyStore if _workspaces() else SqlAlchemyStore
    if artifact_uri is None:
        artifact_uri = os.environ.get(ARTIFACT_ROOT_ENV_VAR, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
        return _looked_at(kind(store_uri, artifact_uri))
    return _looked_at(kind(store_uri, artifact_uri, read_db_uri=_replica()))


def model_registry_store(store_uri: str) -> "Any":
    """MLflow's registry store for a database."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
    from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

    kind = WorkspaceAwareSqlAlchemyStore if _workspaces() else SqlAlchemyStore
    return _looked_at(kind(store_uri, read_db_uri=_replica()))


def _workspaces() -> bool:
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES

    return bool(MLFLOW_ENABLE_WORKSPACES.get())


def _replica() -> str | None:
    import os

    from mlflow.server.constants import READ_REPLICA_BACKEND_STORE_URI_ENV_VAR

    return os.environ.get(READ_REPLICA_BACKEND_STORE_URI_ENV_VAR)


def _looked_at(store: "Any") -> "Any":
    import sqlalchemy

    with store.engine.connect() as connection:
        guarded = (
            sqlalchemy.inspect(connection).has_table(_MARKER)
            and connection.execute(
                sqlalchemy.text(f"SELECT 1 FROM {_MARKER} WHERE id = 1")  # noqa: S608 - constant
            ).first()
        )
    if guarded:
        from signoff.adapters.mlflow_hooks.listeners import watch_outside

        watch_outside(store.engine)
    return store
