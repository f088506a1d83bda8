"""The guarded server as an ASGI application: MLflow's own inside, Signoff's routes beside it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

from signoff.apps.server.actor import Scope, asking
from signoff.apps.server.settings import API_PREFIXES, PAGES_PREFIX
from signoff.release.guard.model import Ruling

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TOLD = "signoff.told"
"""Key of the scope under which a request's rulings with refusals or warnings are kept until it is answered."""
WARNING_HEADER = b"x-signoff-warning"
_OWN = (*API_PREFIXES, PAGES_PREFIX)
_HEADER_LIMIT = 500

_log = logging.getLogger("signoff.server")


class Teller(Protocol):
    """Writes down what requests were told."""

    def write_told(self, told: list[Ruling]) -> None:
        """Append refusals and warnings to the audit log; blocks while it does."""


def own_prefixes(static_prefix: str) -> tuple[str, ...]:
    """Where Signoff's own routes lie: also below the static prefix, where the UI asks for them."""
    return _OWN if not static_prefix else (*_OWN, *(static_prefix + prefix for prefix in _OWN))


class GuardedServer:
    """Hands requests on to MLflow, names the request to the guard, and answers Signoff's own routes.

    Args:
        mlflow: MLflow's application.
        own: Signoff's; sees paths without static prefix.
        teller: the guard.
        static_prefix: the server's; "" for none.
    """

    def __init__(self, mlflow: Asgi, own: Asgi, *, teller: Teller, static_prefix: str) -> None:
        self._mlflow = mlflow
        self._own = own
        self._teller = teller
        self._static_prefix = static_prefix
        self._prefixes = own_prefixes(static_prefix)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; scopes of another kind, such as lifespan, are MLflow's."""
        if scope["type"] != "http":
            await self._mlflow(scope, receive, send)
            return
        app = self._mlflow
        path: str = scope["path"]
        if path.startswith(self._prefixes) and (unprefixed := self._own_path(path)):
            app = self._own
            scope = dict(scope, path=unprefixed, raw_path=unprefixed.encode(), root_path="")

        async def sending(message: Message) -> None:
            if TOLD in scope and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *warning_headers(scope[TOLD])]
            await send(message)

        with asking(scope):
            try:
                await app(scope, receive, sending)
            finally:
                if TOLD in scope:
                    await self._write(scope[TOLD])

    def _own_path(self, path: str) -> str | None:
        """The path without static prefix when it is one of ours; ``/signoffs`` is not."""
        for prefix in self._prefixes:
            if path == prefix or path.startswith(prefix + "/"):
                return path if prefix in _OWN else path.removeprefix(self._static_prefix)
        return None

    async def _write(self, told: list[Ruling]) -> None:
        try:
            await asyncio.to_thread(self._teller.write_told, told)
        except Exception:  # noqa: BLE001 - the answer is out, and a server goes on
            # What was refused stays refused; the operator learns that the log has a gap.
            _log.exception("a refusal or warning could not be written to the audit log")


def warning_headers(told: list[Ruling]) -> list[tuple[bytes, bytes]]:
    """One header for each warning, in ASCII and on one line, as HTTP wants it."""
    return [
        (WARNING_HEADER, _header(f"{objection.rule}: {objection.subject}: {objection.reason.message}"))
        for ruling in told
        for objection in ruling.warned
    ]


def _header(text: str) -> bytes:
    line = " ".join(text.split())[:_HEADER_LIMIT]
    return "".join(char if char.isprintable() else "?" for char in line).encode("ascii", "replace")
