"""What stands around each call of MLflow's client: its settings, its silence, and its errors as ours."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock

from signoff.addresses import password_of, shown, without_secrets
from signoff.errors import RefusedError, SignoffError, StoreError

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's settings where the environment says nothing; its own seven tries at a stopped server take minutes, and
what it prints would stand among our answers."""

_ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""Where MLflow's client looks for credentials, whichever server it talks to."""
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"

_REFUSAL = "signoff refused"
"""How a guarded server begins what it refuses."""

ONE_AT_A_TIME = RLock()
"""MLflow reads credentials and retries from the process's environment, and its loggers are the process's: while
they are set for one store, no other store's call may run."""


@contextmanager
def as_the_process_s(uri: str) -> Iterator[None]:
    """For one call: a registry in a database looks for a version's model at the process's tracking URI."""
    from mlflow.tracking._tracking_service import utils

    exported = os.environ.get(_ADDRESS_VARIABLE)
    try:
        with utils._use_tracking_uri(uri):  # noqa: SLF001 - the public way forgets whether it was set at all
            yield
    finally:
        _put({_ADDRESS_VARIABLE: exported})


@contextmanager
def settings(credentials: Mapping[str, str] | None, *, once: bool) -> Iterator[None]:
    """Settings of MLflow that it only takes from the environment, for one call."""
    wanted: dict[str, str | None] = {}
    if credentials is not None:
        wanted |= {name: credentials.get(name) for name in CREDENTIALS}
    if once:
        wanted[_RETRIES] = "0"
    before = {name: os.environ.get(name) for name in wanted}
    _put(wanted)
    try:
        yield
    finally:
        _put(before)


def _put(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def as_store_error(where: str) -> Iterator[None]:
    """MLflow's errors as ours; what a guarded server refused stays a refusal.

    Raises:
        RefusedError: a guarded server refused.
        StoreError: MLflow could not be reached, or gave another error.
    """
    try:
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
        if getattr(error, "error_code", "") == "PERMISSION_DENIED" and _REFUSAL in said:
            raise RefusedError(said[said.index(_REFUSAL) :]) from None
        # The original may hold the whole address: it is not chained.
        raise StoreError(said or type(error).__name__, where=shown(where)) from None


@contextmanager
def quiet() -> Iterator[None]:
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
