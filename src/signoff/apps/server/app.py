"""The `mlflow.app` entry point ``signoff``: MLflow's server with its login, guarded.

MLflow's command imports this module before it starts any worker, and each worker then calls `create_app`.
"""

import gc
import os
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from signoff.apps.server import start_errors
from signoff.apps.server.settings import API_PREFIXES, APP_NAME, Settings, worker_settings
from signoff.errors import SignoffError, StoreError

if TYPE_CHECKING:
    from signoff.apps.server.asgi import Asgi, GuardedServer
    from signoff.apps.server.guard import ServerGuard
    from signoff.apps.server.login import Login


def create_app() -> "GuardedServer":
    """The application of one worker; a worker that cannot be guarded ends the server instead."""
    # What is made now stays as long as the worker: each full collection would look at all of it for nothing.
    gc.disable()
    try:
        return _compose(worker_settings(os.environ))
    except SignoffError as error:
        start_errors.give_up(error)
    except Exception as error:  # noqa: BLE001 - anything else would be a loop of restarts with a page of traceback each
        start_errors.give_up(StoreError(f"the server cannot start: {type(error).__name__}: {error}"))
    finally:
        gc.enable()


def _compose(settings: Settings) -> "GuardedServer":
    from mlflow.server import handlers
    from mlflow.version import VERSION

    from signoff.adapters import mlflow_artifacts
    from signoff.adapters.mlflow_hooks import coauthors, install, problems
    from signoff.apps.server import selftest
    from signoff.apps.server.asgi import GuardedServer
    from signoff.apps.server.guard import open_guard
    from signoff.apps.server.prerequisites import minor_version

    guard = open_guard(settings)
    install(guard)
    inner, guest = _mlflow_app(settings.auth)
    tracking, registry = handlers._get_tracking_store(), handlers._get_model_registry_store()  # noqa: SLF001 - made once per worker
    mlflow_artifacts.install(
        guard,
        _judge(guard, tracking.engine),
        note=partial(coauthors.note, tracking.engine),
        destination=settings.destination,
        engine=tracking.engine,
    )
    found = selftest.problems(
        selftest.Built(
            native=inner,
            flask=_flask(),
            minor=minor_version(VERSION),
            static_prefix=settings.static_prefix,
            with_users=settings.auth == "basic-auth",
            guest=guest,
            repository=handlers._get_artifact_repo_mlflow_artifacts(),  # noqa: SLF001 - the one that is kept
            hooks=lambda: problems((tracking, registry)),
        )
    )
    if found:
        raise StoreError("this server would not be guarded", where=f"MLflow {VERSION}", hint="; ".join(found))
    guard.arm()
    guard.watch()
    own = _own_app(guard, _login(settings.auth, inner))
    return GuardedServer(inner, own, teller=guard, static_prefix=settings.static_prefix)


def _mlflow_app(auth: str) -> "tuple[Asgi, str | None]":
    """MLflow's application behind its login, and the package of a login that is not MLflow's own."""
    if auth == "none":
        from mlflow.server.fastapi_app import app

        return app, None
    if auth == "basic-auth":
        from mlflow.server.auth import create_app as with_basic_auth

        return with_basic_auth(), None
    plugin = next(iter(entry_points(group="mlflow.app", name=auth)))  # the first, as MLflow chooses it
    loaded = plugin.load()
    inner = loaded() if callable(loaded) and not hasattr(loaded, "routes") else loaded
    if not hasattr(inner, "routes"):
        raise StoreError(f"the login plugin {auth!r} makes an application whose routes cannot be listed")
    from signoff.apps.server.login import add_probe

    add_probe(_flask())
    return inner, plugin.module.partition(".")[0]


def _flask() -> Any:
    from mlflow.server import app

    return app


def _judge(guard: "ServerGuard", engine: Any) -> Any:
    """Asks the guard about bytes as about rows, in a session of its own that commits the records."""
    from sqlalchemy.orm import Session

    from signoff.adapters.mlflow_hooks.deciding import decide
    from signoff.release.guard.model import Change

    def judge(changes: tuple[Change, ...], *, recorded: bool) -> None:
        with Session(engine) as session:
            decide(guard, changes, session)
            if recorded:
                session.commit()

    return judge


def _login(auth: str, inner: "Asgi") -> "Login":
    from signoff.apps.server.login import BasicLogin, OpenLogin, ProbedLogin

    if auth == "none":
        return OpenLogin()
    return BasicLogin() if auth == "basic-auth" else ProbedLogin(inner)


def _own_app(guard: "ServerGuard", login: "Login") -> "Asgi":
    """Signoff's routes, behind MLflow's checks of hosts and origins and behind the login."""
    from mlflow.server.fastapi_security import get_allowed_origins, init_fastapi_security
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from signoff.apps.server import api
    from signoff.apps.server.login import Gate
    from signoff.apps.server.pages import page_routes

    below = [Mount(prefix, routes=api.routes(guard)) for prefix in API_PREFIXES]
    routes = Starlette(routes=[*below, *page_routes(guard.workspace, problems=guard.problems)])
    gate = Gate(routes, login=login, allowed_origins=tuple(get_allowed_origins()))
    app = Starlette(routes=[Mount("/", app=gate)])
    init_fastapi_security(app)
    return app


def _served_command() -> Mapping[str, object] | None:
    """The options of the `mlflow server --app-name signoff` that imports this module; None in any other process."""
    click = sys.modules.get("click")
    context = None if click is None else click.get_current_context(silent=True)
    if context is None or context.params.get("app_name") != APP_NAME:
        return None
    options: Mapping[str, object] = context.params
    return options


if (_options := _served_command()) is not None:
    from signoff.apps.server.prefork import prepare_or_exit

    prepare_or_exit(_options)
