"""The routes of MLflow's server that can change something: which are known, and which a built server has."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from signoff.errors import StoreError

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
RouteClass = Literal[
    "release",
    "artifacts",
    "experiments",
    "runs",
    "traces",
    "gateway",
    "server",
    "users",
    "inference",
    "read",
]
"""What a route can change: the registry, bytes, …; ``inference`` and ``read`` change nothing that is governed."""
CLASSES: tuple[RouteClass, ...] = get_args(RouteClass)
_ESSENTIAL: frozenset[RouteClass] = frozenset({"release", "artifacts", "experiments", "runs"})


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Route:
    """A route.

    Attributes:
        method: POST, PUT, PATCH or DELETE.
        path: as its framework writes it, without static prefix: ``/api/2.0/mlflow/datasets/<dataset_id>`` in
            Flask, ``/ajax-api/3.0/jobs/cancel/{job_id}`` in FastAPI.
    """

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A route of a built server.

    Attributes:
        route: it.
        package: the top-level package whose function answers it.
    """

    route: Route
    package: str


@cache
def known_routes(minor: str) -> dict[Route, RouteClass]:
    """The classified routes of an MLflow version.

    Args:
        minor: such as ``3.17``; of one that is not known the routes of the newest that is.

    Raises:
        ValueError: the package's table of routes is damaged.
    """
    lines = files(__package__).joinpath("routes.tsv").read_text("utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    newest = max((version for row in rows for version in row[4].split(",")), key=_numbers)
    wanted = minor if any(minor in row[4].split(",") for row in rows) else newest
    known: dict[Route, RouteClass] = {}
    for kind, method, path, prefixes, versions in rows:
        if wanted in versions.split(","):
            for prefix in prefixes.split(","):
                full = path if prefix == "-" else f"/{prefix}{path}"
                known[Route(method=method, path=full)] = _class(kind)
    return known


def known_minors() -> frozenset[str]:
    """The MLflow versions whose routes are classified, such as ``3.17``."""
    lines = files(__package__).joinpath("routes.tsv").read_text("utf-8").splitlines()[1:]
    return frozenset(version for line in lines for version in line.split("\t")[4].split(","))


def found_routes(native: Any, flask: Any, *, static_prefix: str) -> Iterator[Found]:
    """The routes of a built server that can change something.

    Args:
        native: MLflow's FastAPI app.
        flask: the Flask app that it mounts.
        static_prefix: the server's; "" for none.

    Raises:
        StoreError: the server has something in it that cannot be listed.
    """
    for rule in flask.url_map.iter_rules():
        view = flask.view_functions[rule.endpoint]
        for method in MUTATING & (rule.methods or set()):
            yield _found(method, rule.rule, view, static_prefix)
    for route in _native_routes(native):
        methods = getattr(route, "methods", None)
        if methods is None:
            _require_flask_mount(route)
            continue
        for method in MUTATING & set(methods):
            yield _found(method, route.path, route.endpoint, static_prefix)


def route_problems(
    found: Iterator[Found], *, minor: str, with_users: bool, guest: str | None
) -> tuple[str, ...]:
    """How the routes of a built server differ from those that are classified.

    Args:
        found: of the built server.
        minor: MLflow's version, such as ``3.17``.
        with_users: the server has basic-auth's routes for users and roles.
        guest: package of another login plugin that the server was started with: its own routes are its own.

    Returns:
        A sentence for each difference; empty when all is as known.
    """
    known = known_routes(minor)
    here = list(found)
    unknown = sorted({one.route for one in here if one.route not in known and one.package != guest})
    problems = [f"MLflow {minor} has the route {route}, which is not classified" for route in unknown]
    present = {one.route for one in here}
    missing = sorted(
        route for route, kind in known.items() if _expected(kind, with_users) and route not in present
    )
    problems += [f"MLflow {minor} lacks the route {route}, or hides it" for route in missing]
    return tuple(problems)


def _expected(kind: RouteClass, with_users: bool) -> bool:  # noqa: FBT001 - a pure predicate
    return kind in _ESSENTIAL or (kind == "users" and with_users)


def _native_routes(app: Any) -> Iterator[Any]:
    """Routes with those of included routers: FastAPI keeps these apart since 0.130, and flattened them before."""
    routing = importlib.import_module("fastapi.routing")
    contexts = getattr(routing, "iter_route_contexts", None)
    yield from app.routes if contexts is None else contexts(app.routes)


def _require_flask_mount(route: Any) -> None:
    original = getattr(route, "original_route", route)
    inner = getattr(original, "app", None)
    if type(original).__name__ == "Mount" and type(inner).__module__ == "mlflow.server.fastapi_app":
        return
    raise StoreError(
        f"MLflow's server has a {type(original).__name__} at {getattr(original, 'path', '?')!r},"
        " whose routes cannot be listed"
    )


def _found(method: str, path: str, endpoint: Any, static_prefix: str) -> Found:
    module = getattr(endpoint, "__module__", "") or ""
    short = path.removeprefix(static_prefix) if static_prefix else path
    return Found(route=Route(method=method, path=short), package=module.partition(".")[0])


def _class(text: str) -> RouteClass:
    for kind in CLASSES:
        if kind == text:
            return kind
    raise ValueError(f"routes.tsv has the class {text!r}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
