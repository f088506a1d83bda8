"""What a worker of the guarded server proves before it serves: that nothing can be written past the guard."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from signoff.apps.server.routes import found_routes, route_problems
from signoff.errors import SignoffError


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A server as it was put together.

    Attributes:
        native: MLflow's FastAPI app.
        flask: the Flask app that it mounts.
        minor: MLflow's version, such as ``3.17``.
        static_prefix: the server's; "" for none.
        with_users: it has basic-auth's routes for users and roles.
        guest: package of another login plugin; None for none.
        repository: the artifact repository that it keeps.
        hooks: the hooks' own test; gives the problems that it finds.
    """

    native: Any
    flask: Any
    minor: str
    static_prefix: str
    with_users: bool
    guest: str | None
    repository: object
    hooks: Callable[[], Sequence[str]]


def problems(built: Built) -> tuple[str, ...]:
    """Everything that keeps this server from being guarded; empty when it may serve."""
    return tuple(_problems(built))


def _problems(built: Built) -> Iterator[str]:
    from signoff.adapters.mlflow_artifacts import is_guarded, unknown_writers

    try:
        found = found_routes(built.native, built.flask, static_prefix=built.static_prefix)
        yield from route_problems(found, minor=built.minor, with_users=built.with_users, guest=built.guest)
    except SignoffError as error:
        yield str(error)
    name = type(built.repository).__name__
    if not is_guarded(built.repository):
        yield f"the artifact store {name} is not guarded"
    for method in unknown_writers(built.repository):
        yield f"the artifact store {name} writes with {method}, which is not known"
    yield from built.hooks()
