"""Which routes of MLflow's server are known, and what is said of one that is not."""

from dataclasses import replace

import pytest

from signoff.apps.server.routes import (
    CLASSES,
    Found,
    Route,
    RouteClass,
    known_minors,
    known_routes,
    route_problems,
)

ALIAS = Route(method="POST", path="/api/2.0/mlflow/registered-models/alias")
SKILL = Route(method="POST", path="/api/3.0/mlflow/skills")


def found(minor: str) -> list[Found]:
    return [Found(route=route, package="mlflow") for route in known_routes(minor)]


def told(
    built: list[Found], *, minor: str = "3.17", users: bool = True, guest: str | None = None
) -> tuple[str, ...]:
    return route_problems(iter(built), minor=minor, with_users=users, guest=guest)


def test_each_supported_version_is_classified_and_every_class_is_used() -> None:
    assert known_minors() == {"3.16", "3.17", "3.18"}
    for minor in known_minors():
        assert set(known_routes(minor).values()) == set(CLASSES)
        assert known_routes(minor)[ALIAS] == "release"
        assert told(found(minor), minor=minor) == ()
    assert SKILL in known_routes("3.18")
    assert SKILL not in known_routes("3.17")


def test_a_version_that_is_not_known_is_held_against_the_newest() -> None:
    assert known_routes("3.99") == known_routes("3.18")


@pytest.mark.parametrize("package", ["mlflow", "elsewhere"])
def test_a_new_route_is_named_unless_it_is_the_login_plugins_own(package: str) -> None:
    new = Found(route=Route(method="POST", path="/api/2.0/mlflow/anything"), package=package)
    assert told([*found("3.17"), new]) == (
        "MLflow 3.17 has the route POST /api/2.0/mlflow/anything, which is not classified",
    )
    assert told([*found("3.17"), new], guest="plugin") != ()
    assert told([*found("3.17"), replace(new, package="plugin")], guest="plugin") == ()


@pytest.mark.parametrize(
    ("kind", "missed"),
    [("release", True), ("artifacts", True), ("runs", True), ("users", True), ("gateway", False)],
)
def test_a_route_that_cannot_be_seen_matters_where_evidence_and_releases_are_written(
    kind: RouteClass,
    missed: bool,  # noqa: FBT001
) -> None:
    gone = next(route for route, of in known_routes("3.17").items() if of == kind)
    problems = told([one for one in found("3.17") if one.route != gone])
    assert problems == ((f"MLflow 3.17 lacks the route {gone}, or hides it",) if missed else ())


def test_without_basic_auth_there_are_no_users_routes() -> None:
    without = [one for one in found("3.17") if known_routes("3.17")[one.route] != "users"]
    assert told(without, users=False) == ()
    assert told(without) != ()
