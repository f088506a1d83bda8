"""MLflow's calls that need files to be read for their decision: given up, and made again when they are read.

They are wrapped on the class of MLflow's registry, around its whole transaction: that has ended when files are read.
"""

import functools
from collections.abc import Callable
from typing import Any

from signoff.adapters.mlflow_hooks.refusal import unread_of
from signoff.release.guard.ahead import reading_ahead

_CALLS = ("create_model_version", "set_registered_model_alias")
_READINGS = 8
"""More than any decision needs: the run, its model, the table, and a release or two."""


def install() -> None:
    """Wrap the calls; a second time does nothing."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    for name in _CALLS:
        original = getattr(SqlAlchemyStore, name)
        if not hasattr(original, "signoff_original"):
            setattr(SqlAlchemyStore, name, _patient(original))


def uninstall() -> None:
    """Take the wrappers off."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    for name in _CALLS:
        wrapped = getattr(SqlAlchemyStore, name)
        setattr(SqlAlchemyStore, name, getattr(wrapped, "signoff_original", wrapped))


def _patient(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        with reading_ahead():
            for _ in range(_READINGS):
                try:
                    return original(*arguments, **named)
                except Exception as error:
                    missing = unread_of(error)
                    if missing is None:
                        raise
                missing.read()
            return original(*arguments, **named)

    call.signoff_original = original  # type: ignore[attr-defined]
    return call
