"""MLflow's own client: versions, aliases and tags are written, artifacts written and fetched through it.

MLflow is imported when the first call needs it, never before.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any
from urllib.parse import urlparse

from signoff.addresses import password_of, shown, without_secrets
from signoff.errors import SignoffError, StoreError

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
"""MLflow's settings where the environment says nothing; its own seven tries at a stopped server take minutes."""

_ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"

Commit = Callable[[Any], None]
"""Called with the open DBAPI connection right before MLflow's own transaction commits."""


class MlflowStore:
    """MLflow's client for one tracking URI."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._made: Any = None

    @property
    def in_database(self) -> bool:
        """Whether writes go straight to a database, so that a commit hook can join their transaction."""
        return urlparse(self._uri).scheme.split("+")[0] in ("sqlite", "postgresql")

    def _client(self) -> Any:
        if self._made is None:
            import mlflow

            before = os.environ.get(_ADDRESS_VARIABLE)
            mlflow.set_tracking_uri(self._uri)
            mlflow.set_registry_uri(self._uri)
            if before is None:
                # MLflow also exports the address, and another standard opened in this process would follow it.
                os.environ.pop(_ADDRESS_VARIABLE, None)
            self._made = mlflow.MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._made

    def register(self, name: str, *, run_id: str, source: str, model_id: str | None, description: str) -> int:
        """Register a version of a run's model, or find the one that was registered before.

        Returns:
            The version number.
        """
        with _as_store_error(self._uri):
            client = self._client()
            existing = client.search_registered_models(filter_string=f"name = '{_quoted(name)}'")
            if not existing:
                client.create_registered_model(name)
            for version in client.search_model_versions(f"name = '{_quoted(name)}'"):
                if version.run_id == run_id and version.source == source:
                    return int(version.version)
            made = client.create_model_version(
                name, source=source, run_id=run_id, model_id=model_id, description=description
            )
            return int(made.version)

    def set_alias(self, name: str, alias: str, version: int, *, commit: Commit | None) -> None:
        """Point an alias at a version.

        Args:
            name: registered model.
            alias: the alias.
            version: the version.
            commit: joins the same transaction; only for databases (`in_database`).

        Raises:
            StoreError: the alias was not moved, and whatever ``commit`` wrote was rolled back with it.
        """
        joined = _joined(commit, name=name, alias=alias, version=version)
        with _as_store_error(self._uri), joined:
            self._client().set_registered_model_alias(name, alias, str(version))

    def tag_version(self, name: str, version: int, key: str, value: str) -> None:
        """Set a tag on a version, for people's eyes."""
        with _as_store_error(self._uri):
            self._client().set_model_version_tag(name, str(version), key, value)

    def download(self, uri: str, into: Path) -> None:
        """Copy what is in an artifact folder into a local one.

        Raises:
            StoreError: it is not there or cannot be read.
        """
        with _as_store_error(uri):
            self._repository(uri).download_artifacts("", dst_path=str(into))

    def read_file(self, uri: str) -> bytes:
        """The bytes of one artifact file.

        Raises:
            FileNotFoundError: there is no such file.
            StoreError: the artifact store cannot be read.
        """
        folder, _, name = uri.rpartition("/")
        if name not in self.list_files(folder):
            raise FileNotFoundError(uri)
        with _as_store_error(uri), tempfile.TemporaryDirectory() as local:
            return Path(self._repository(folder).download_artifacts(name, dst_path=local)).read_bytes()

    def list_files(self, uri: str) -> tuple[str, ...]:
        """Paths of all files below an artifact URI, relative to it, sorted.

        Raises:
            StoreError: the artifact store cannot be read.
        """
        with _as_store_error(uri):
            repository = self._repository(uri)
            found: list[str] = []
            folders: list[str | None] = [None]
            while folders:
                for entry in repository.list_artifacts(folders.pop()):
                    (folders if entry.is_dir else found).append(entry.path)
            return tuple(sorted(found))

    def _repository(self, uri: str) -> Any:
        self._client()
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(uri, tracking_uri=self._uri, registry_uri=self._uri)

    def log_text(self, run_id: str, path: str, text: str) -> None:
        """Write a text file among a run's artifacts."""
        with _as_store_error(self._uri), tempfile.TemporaryDirectory() as folder:
            client = self._client()
            file = Path(folder) / Path(path).name
            file.write_text(text, "utf-8")
            parent = str(Path(path).parent)
            client.log_artifact(run_id, str(file), None if parent == "." else parent)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag on a run."""
        with _as_store_error(self._uri):
            self._client().set_tag(run_id, key, value)


def _quoted(name: str) -> str:
    return name.replace("'", "\\'")


@contextmanager
def _as_store_error(where: str) -> Iterator[None]:
    try:
        with _quiet():
            yield
    except SignoffError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, SignoffError):
            raise error.__cause__ from None  # what a joined write raised; MLflow wraps it
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        if not isinstance(error, MlflowException | SQLAlchemyError | OSError):
            raise
        said = without_secrets(str(error).strip(), (password_of(where),))
        # The original may hold the whole address: it is not chained.
        raise StoreError(said or type(error).__name__, where=shown(where)) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow logs its schema migrations, and each error that it raises with a traceback; we report them once."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 - sets up its loggers when it is imported

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _joined(commit: Commit | None, *, name: str, alias: str, version: int) -> Iterator[None]:
    """Let ``commit`` write in the very transaction that points the alias at the version."""
    if commit is None:
        yield
        return
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    joined = False
    caller = get_ident()

    def before_commit(session: Any) -> None:
        nonlocal joined
        if get_ident() != caller:
            return  # listeners hear the sessions of all threads
        # Looked at before the flush: afterwards the session holds its rows only weakly.
        points = any(
            type(row).__name__ == "SqlRegisteredModelAlias"
            and (row.name, row.alias, int(row.version)) == (name, alias, version)
            for row in (*session.new, *session.dirty)
        )
        if points and not joined:
            session.flush()
            commit(session.connection().connection.driver_connection)
            joined = True

    def after_rollback(_session: Any, _previous: object) -> None:
        nonlocal joined
        joined = joined and get_ident() != caller

    event.listen(Session, "before_commit", before_commit)
    event.listen(Session, "after_soft_rollback", after_rollback)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", before_commit)
        event.remove(Session, "after_soft_rollback", after_rollback)
    if not joined:
        raise StoreError(
            "MLflow moved the alias in a way this version does not know; the release was not recorded",
            hint="run the same command again; if it repeats, this MLflow version is not supported",
        )
