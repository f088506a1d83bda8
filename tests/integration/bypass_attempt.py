"""What an attempt to get around the guard is: requests, who sends them, and what may be answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field

API = "/api/2.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"
API3 = "/api/3.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
EVERYBODY = ("ana", "ben", "cleo", "mia", "admin")
MANAGERS = ("ana", "admin")
"""Whom MLflow itself lets change what the team made: its author and the administrator of logins."""
GUARD = frozenset({403})
"""Refused by the guard, in its words."""
NO_SUCH = frozenset({400, 401, 403, 404, 405, 501})
"""Refused by the guard or by MLflow itself, which need not reach the guard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request, with ``{names}`` of the place in path and body.

    Attributes:
        method: HTTP method.
        path: with its query, as it goes over the wire.
        body: JSON, or bytes as they are; None for none.
        headers: further ones.
    """

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def about(self, names: Mapping[str, str]) -> "Request":
        """The request with the place's names filled in."""
        path, body = _filled(self.path, names), _filled(self.body, names)
        assert isinstance(path, str)
        return Request(method=self.method, path=path, body=body, headers=self.headers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """Something that must not go through.

    Attributes:
        name: of it, unique.
        requests: what is sent, in order.
        who: logins that try it, each for itself; None is nobody.
        answers: HTTP statuses that each request may be answered with.
        bare: whether it goes through on a server without guard: something is changed there. Where not, MLflow has
            its own reason to refuse it, or there is nothing of that name.
    """

    name: str
    requests: tuple[Request, ...]
    who: tuple[str | None, ...] = MANAGERS
    answers: frozenset[int] = GUARD
    bare: bool = True


def post(route: str, body: object, base: str = API) -> Request:
    """A POST with JSON to a route of MLflow's API."""
    return Request(method="POST", path=f"{base}/{route}", body=body)


def patch(route: str, body: object, base: str = API) -> Request:
    """A PATCH with JSON to a route of MLflow's API."""
    return Request(method="PATCH", path=f"{base}/{route}", body=body)


def delete(route: str, body: object = None, base: str = API) -> Request:
    """A DELETE of a route of MLflow's API."""
    return Request(method="DELETE", path=f"{base}/{route}", body=body)


def put(path: str, content: bytes = b"other bytes") -> Request:
    """A PUT of bytes to an artifact's path below the proxy's root."""
    headers = {"Content-Type": "application/octet-stream"}
    return Request(method="PUT", path=f"{FILES}/{path}", body=content, headers=headers)


def _filled(value: object, names: Mapping[str, str]) -> object:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, bytes):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}".encode(), text.encode())
        return value
    if isinstance(value, dict):
        return {key: _filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, names) for item in value]
    return value
