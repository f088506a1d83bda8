"""Who calls Signoff's own routes: the same login as MLflow's, and no page of another site on their behalf."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from signoff.apps.server.actor import Scope, asking, authenticated_login
from signoff.apps.server.asgi import Asgi, Message, Receive, Send
from signoff.apps.server.routes import MUTATING
from signoff.apps.server.settings import API_PREFIXES

PROBE = f"{API_PREFIXES[0]}/whoami"
"""A Flask route that tells under which name another login plugin authenticated a request."""
_CHALLENGE = (b"www-authenticate", b'Basic realm="mlflow"')


class Login(Protocol):
    """Finds out who asks."""

    async def authenticate(self, scope: Scope) -> "str | Denied | None":
        """The name under which the request was authenticated; a denial; None where the server has no login."""


class Denied:
    """The answer to somebody who is not logged in.

    Attributes:
        status: HTTP status.
        headers: beside the content type.
        body: its bytes; None for the usual one.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int = 401, headers: tuple[tuple[bytes, bytes], ...] = (), body: bytes | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class OpenLogin:
    """No login: whoever reaches the server is its one user."""

    async def authenticate(self, scope: Scope) -> None:
        """Nobody to name."""


class BasicLogin:
    """MLflow's basic-auth, or the function that its configuration names instead."""

    async def authenticate(self, scope: Scope) -> str | Denied:
        """The user whose password the request carries; in a thread, since the password's hash takes long."""
        return await asyncio.to_thread(_basic_auth, scope)


def _basic_auth(scope: Scope) -> str | Denied:
    from mlflow.server import auth
    from starlette.requests import Request
    from starlette.responses import Response

    request = Request(scope)
    if auth.auth_config.authorization_function == auth.DEFAULT_AUTHORIZATION_FUNCTION:
        user = auth._authenticate_fastapi_request(request)  # noqa: SLF001 - the one function that checks a password there
    else:
        user = auth._authenticate_custom_for_fastapi(request)  # noqa: SLF001 - as above
    if isinstance(user, Response):
        return Denied(user.status_code, tuple(user.raw_headers), bytes(user.body))
    return Denied(headers=(_CHALLENGE,)) if user is None else str(user.username)


class ProbedLogin:
    """Another plugin: asks it through a route of MLflow's Flask app that only says who is there.

    Args:
        mlflow: the plugin's application.
    """

    def __init__(self, mlflow: Asgi) -> None:
        self._mlflow = mlflow

    async def authenticate(self, scope: Scope) -> str | Denied:
        """What the plugin says of a GET with the request's headers; its own answer when it lets nobody through."""
        answer: dict[str, Any] = {"status": 500, "headers": [], "body": b""}
        probe = dict(scope, method="GET", path=PROBE, raw_path=PROBE.encode(), query_string=b"", state={})
        probe["headers"] = [pair for pair in scope["headers"] if pair[0] not in _BODY_HEADERS]

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.update(status=message["status"], headers=list(message.get("headers", ())))
            else:
                answer["body"] += message.get("body", b"")

        with asking(probe):
            await self._mlflow(probe, receive, send)
        login = _login_in(answer)
        if login:
            return login
        status = answer["status"]
        if status < 300:  # a page, such as a form to log in, is not an answer of our route
            return Denied()
        return Denied(status, tuple(answer["headers"]), answer["body"])


def add_probe(flask: Any) -> None:
    """Add the route that a `ProbedLogin` asks to the Flask app, behind whatever login that has."""

    def whoami() -> tuple[dict[str, str], int]:
        return {"signoff_login": authenticated_login() or ""}, 200

    flask.add_url_rule(PROBE, "signoff_whoami", whoami, methods=["GET"])


_BODY_HEADERS = frozenset({b"content-length", b"content-type", b"transfer-encoding"})


def _login_in(answer: Mapping[str, Any]) -> str | None:
    if answer["status"] != 200:
        return None
    try:
        found = json.loads(answer["body"])
    except ValueError:
        return None
    login = found.get("signoff_login") if isinstance(found, dict) else None
    return login if isinstance(login, str) and login else None


class Gate:
    """Lets a request to Signoff's routes through when it is not another site's and somebody is logged in.

    Args:
        app: the routes.
        login: finds out who asks.
        allowed_origins: other sites whose pages may change things, as MLflow's ``--cors-allowed-origins``.
    """

    def __init__(self, app: Asgi, *, login: Login, allowed_origins: tuple[str, ...] = ()) -> None:
        self._app = app
        self._login = login
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to another site's page, 401 to nobody, and hand on the rest with ``state.username`` set."""
        if scope["method"] in MUTATING and is_cross_origin(scope["headers"], self._allowed_origins):
            await _answer(
                send, 403, "PERMISSION_DENIED", "a page of another site may not change anything here"
            )
            return
        found = await self._login.authenticate(scope)
        if isinstance(found, Denied):
            await _deny(send, found)
            return
        if found is not None:
            scope["state"]["username"] = found
        await self._app(scope, receive, send)


def is_cross_origin(headers: list[tuple[bytes, bytes]], allowed: tuple[str, ...] = ()) -> bool:
    """Whether a browser sent this from a page of another site; programs send neither header.

    Args:
        headers: of the request, names in lower case.
        allowed: origins such as ``https://app.example`` that count as our own; ``*`` for all.
    """
    given = dict(headers)
    origin = given.get(b"origin", b"").decode("latin-1")
    if origin and ("*" in allowed or origin in allowed):
        return False
    if given.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    host = given.get(b"host", b"").decode("latin-1")
    return bool(origin) and urlsplit(origin).netloc.lower() != host.lower()


async def _deny(send: Send, denied: Denied) -> None:
    if denied.body is None:
        await _answer(send, denied.status, "UNAUTHENTICATED", "log in to use this", denied.headers)
        return
    await send({"type": "http.response.start", "status": denied.status, "headers": list(denied.headers)})
    await send({"type": "http.response.body", "body": denied.body})


async def _answer(
    send: Send, status: int, code: str, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """An error in MLflow's form."""
    body = json.dumps({"error_code": code, "message": text}).encode()
    given = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})
