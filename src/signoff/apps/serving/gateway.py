"""The process that callers meet: HTTP in, one verified version asked, the answer out with its name on it.

It speaks MLflow's scoring protocol as an ASGI application and never reads a body. Which version answers stands in
`Gateway.routes`, which is replaced as a whole; a request looks at it once, and again only when the version it chose
is gone. So a change of routes drops nothing: requests under way end where they began.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, TypeAlias

from signoff.apps.serving.refusals import JSON_TYPE, error_answer
from signoff.apps.serving.routes import Answer, Request, Routes, ScorerGone, Served
from signoff.apps.serving.tally import Tally
from signoff.record.digest import Json

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Route: TypeAlias = Literal["stable", "canary", "fallback"]

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of a request that are taken by default."""
STABLE_TIMEOUT_S: Final = 60.0
"""As MLflow's server: a slow answer of the last version there is helps more than an error."""
BODY_TIMEOUT_S: Final = 30.0
"""A body that is not complete by then ends its connection."""
_LAST_BODIES_S: Final = 0.5
"""So long the bodies that are on their way may take when the server ends."""
_DISCARDED: Final = 4
"""So many times the limit are read and thrown away, so that the caller sees the refusal and no broken connection."""

_METHODS: Final = {
    "/invocations": (b"POST",),
    "/ping": (b"GET",),
    "/health": (b"GET",),
    "/version": (b"GET",),
    "/signoff/health": (b"GET",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One answered request, for the inference log.

    Attributes:
        id: as the caller was told.
        at: seconds since 1970, when it had come in.
        latency_ms: from then to the answer.
        served: the version that answered; None when none could.
        route: how it was chosen.
        answer: what the caller got.
    """

    id: str
    at: float
    latency_ms: float
    served: Served | None
    route: Route
    answer: Answer


class Log(Protocol):
    """Where answered requests are remembered."""

    def add(self, seen: Seen) -> None:
        """Remember a request; returns at once and never raises."""

    def close(self) -> None:
        """Write what is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    answer: Answer
    served: Served | None
    route: Route


class Gateway:
    """The ASGI application.

    Attributes:
        routes: who answers; None while nothing verified is there. Replace it, never change it.
        tally: requests and errors by statement.
        log: the inference log; None when none is kept.
        health: says what is served and what is wrong, for people and probes; None: nobody knows.
    """

    def __init__(
        self,
        *,
        mlflow_version: str,
        routes: Routes | None = None,
        log: Log | None = None,
        max_body: int = MAX_BODY,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        """A gateway, which serves nothing without routes.

        Args:
            mlflow_version: what ``/version`` answers.
            routes: who answers from the start.
            log: the inference log.
            max_body: larger bodies are refused, in bytes.
            body_timeout_s: a body must be complete after so many seconds.
        """
        self.routes = routes
        self.tally = Tally()
        self.log = log
        self.health: Callable[[], Mapping[str, Json]] | None = None
        self._max_body = max_body
        self._body_timeout_s = body_timeout_s
        self._reading: set[asyncio.Timeout] = set()
        self._judging: set[asyncio.Task[None]] = set()
        self._mlflow_version = mlflow_version.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"].encode()
        allowed = _METHODS.get(path)
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            # Somebody before us may have gone by the other one: where the request ends is not certain.
            await _respond(send, _TWO_LENGTHS, _CLOSE)
        elif allowed is None:
            await _respond(send, Answer(status=404, body=b'{"detail":"Not Found"}', content_type=JSON_TYPE))
        elif method not in allowed:
            answer = Answer(status=405, body=b'{"detail":"Method Not Allowed"}', content_type=JSON_TYPE)
            await _respond(send, answer, ((b"allow", b", ".join(allowed)),))
        elif path == "/invocations":
            await self._invocations(scope, receive, send)
        elif path == "/signoff/health":
            told = {} if self.health is None else self.health()
            await _respond(send, Answer(status=200, body=json.dumps(told).encode(), content_type=JSON_TYPE))
        elif path == "/version":
            await _respond(send, Answer(status=200, body=self._mlflow_version, content_type=JSON_TYPE))
        else:
            await self._ping(send)

    def end_reading(self) -> None:
        """Wait no longer for bodies that have not come: the server ends."""
        self._body_timeout_s = _LAST_BODIES_S
        latest = asyncio.get_running_loop().time() + _LAST_BODIES_S
        for reading in self._reading:
            reading.reschedule(latest)

    async def _ping(self, send: Send) -> None:
        routes = self.routes
        if routes is None or not routes.stable.scorer.alive:
            await _respond(send, _NOTHING_SERVED)
            return
        await _respond(
            send, Answer(status=200, body=b"\n", content_type=JSON_TYPE), _names(routes.stable, "stable")
        )

    async def _invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        reading = asyncio.timeout(self._body_timeout_s)
        try:
            async with reading:
                self._reading.add(reading)
                body = await self._body(headers, receive)
        except _CallerGone:
            return
        except TimeoutError:
            await _respond(send, _INCOMPLETE, _CLOSE)
            return
        finally:
            self._reading.discard(reading)
        request_id = os.urandom(8).hex()
        if body is None:
            message = f"the body is larger than {self._max_body:,} bytes"
            refused = error_answer(413, "REQUEST_LIMIT_EXCEEDED", message)
            await _respond(send, refused, ((b"x-signoff-request", request_id.encode()),))
            return
        at, began = time.time(), time.perf_counter()
        request = Request(
            body=body,
            content_type=headers.get(b"content-type", b"").decode("latin-1"),
            rows_wanted=self.log is not None,
        )
        pin = headers.get(b"x-signoff-pin")
        outcome = await (self._routed(request) if pin is None else self._pinned(request, pin))
        if self.log is not None:
            self.log.add(
                Seen(
                    id=request_id,
                    at=at,
                    latency_ms=(time.perf_counter() - began) * 1000,
                    served=outcome.served,
                    route=outcome.route,
                    answer=outcome.answer,
                )
            )
        names = ((b"x-signoff-request", request_id.encode()), *_names(outcome.served, outcome.route))
        await _respond(send, outcome.answer, names)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None when it is larger than allowed.

        Raises:
            _CallerGone: it broke off.
        """
        stated = headers.get(b"content-length", b"0")
        too_large = not stated.isdigit() or int(stated) > self._max_body
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            too_large = too_large or size > self._max_body
            if not too_large:
                parts.append(part)
            if message["type"] == "http.disconnect":
                raise _CallerGone
            if not message.get("more_body", False) or (too_large and size > _DISCARDED * self._max_body):
                return None if too_large else parts[0] if len(parts) == 1 else b"".join(parts)

    async def _routed(self, request: Request) -> _Outcome:
        routes = self.routes
        if routes is None:
            return _Outcome(answer=_NOTHING_SERVED, served=None, route="stable")
        canary = routes.canary
        if canary is None or random.random() >= routes.weight:  # noqa: S311 - shares traffic, guards nothing
            return await self._by_stable(routes, request)
        return await self._by_canary(routes, canary, request)

    async def _by_stable(self, routes: Routes, request: Request) -> _Outcome:
        began = time.perf_counter()
        served, answer = await self._ask_stable(routes, request)
        slow = time.perf_counter() - began > routes.timeout_s  # the canary is judged by the same clock
        if routes.canary is None:
            self.tally.count(served.statement, failed=slow or _failed(answer))
        elif _refused(answer):
            self._judge(self._count_when_good_elsewhere(served, routes.canary, request, routes.timeout_s))
        else:
            self.tally.count(served.statement, failed=slow)
        return _Outcome(answer=answer, served=served, route="stable")

    async def _by_canary(self, routes: Routes, canary: Served, request: Request) -> _Outcome:
        try:
            answer = await canary.scorer.answer(request, timeout_s=routes.timeout_s)
        except ScorerGone as error:
            answer = error_answer(504, "CANARY_UNAVAILABLE", f"version {canary.version}: {error}")
        if not _refused(answer):
            self.tally.count(canary.statement, failed=False)
            return _Outcome(answer=answer, served=canary, route="canary")
        if routes.fallback == "none":
            self._judge(self._count_when_good_elsewhere(canary, routes.stable, request, STABLE_TIMEOUT_S))
            return _Outcome(answer=answer, served=canary, route="canary")
        served, second = await self._ask_stable(routes, request)
        if not _refused(second):
            self.tally.count(canary.statement, failed=True)
        self.tally.fell_back(canary.statement)
        return _Outcome(answer=second, served=served, route="fallback")

    def _judge(self, counting: Coroutine[None, None, None]) -> None:
        """Find out beside the answer whether a request counts: the caller does not wait for it."""
        task = asyncio.create_task(counting)
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    async def _count_when_good_elsewhere(
        self, failed: Served, other: Served, request: Request, timeout_s: float
    ) -> None:
        """Count a refusal or failure of one version when the other one answers the same request.

        One that both versions refuse or fail says nothing about either.
        """
        try:
            answer = await other.scorer.answer(replace(request, rows_wanted=False), timeout_s=timeout_s)
        except ScorerGone:
            return
        if not _refused(answer):
            self.tally.count(failed.statement, failed=True)

    async def _ask_stable(self, routes: Routes, request: Request) -> tuple[Served, Answer]:
        """Ask stable, and once more when it was replaced while the request was on its way."""
        served = routes.stable
        for _ in range(2):
            try:
                return served, await served.scorer.answer(request, timeout_s=STABLE_TIMEOUT_S)
            except ScorerGone as gone:
                now = self.routes
                if now is None or now.stable is served:
                    message = f"version {served.version} does not answer: {gone}"
                    return served, error_answer(503, "TEMPORARILY_UNAVAILABLE", message)
                served = now.stable
        return served, error_answer(
            503, "TEMPORARILY_UNAVAILABLE", f"version {served.version} does not answer"
        )

    async def _pinned(self, request: Request, pin: bytes) -> _Outcome:
        """By the version that the caller names; it is counted for no rollout, and never answered by another."""
        routes = self.routes
        if routes is None:
            return _Outcome(answer=_NOTHING_SERVED, served=None, route="stable")
        candidates: tuple[tuple[Served | None, Route], ...] = (
            (routes.stable, "stable"),
            (routes.canary, "canary"),
        )
        served_now = [(served, route) for served, route in candidates if served is not None]
        for served, route in served_now:
            if str(served.version).encode() == pin.strip():
                try:
                    answer = await served.scorer.answer(request, timeout_s=STABLE_TIMEOUT_S)
                except ScorerGone as gone:
                    message = f"version {served.version} does not answer: {gone}"
                    answer = error_answer(503, "TEMPORARILY_UNAVAILABLE", message)
                return _Outcome(answer=answer, served=served, route=route)
        listed = " and ".join(f"{served.version} ({route})" for served, route in served_now)
        message = f"the pinned version is not served; served: {listed}"
        return _Outcome(
            answer=error_answer(404, "RESOURCE_DOES_NOT_EXIST", message), served=None, route="stable"
        )


class _CallerGone(Exception):  # noqa: N818 - what happened
    """Nobody is there to be answered."""


_NOTHING_SERVED: Final = error_answer(
    503, "TEMPORARILY_UNAVAILABLE", "no verified version is there to answer; see the server's own output"
)
_CLOSE: Final = ((b"connection", b"close"),)
_TWO_LENGTHS: Final = error_answer(
    400, "BAD_REQUEST", "the request has both Content-Length and Transfer-Encoding; send one of them"
)
_INCOMPLETE: Final = error_answer(408, "REQUEST_TIMEOUT", "the body did not come in time")


def _failed(answer: Answer) -> bool:
    return answer.failed or answer.status >= 500


def _refused(answer: Answer) -> bool:
    """Also by a model that wants other columns, or raises: MLflow answers that with 400."""
    return answer.failed or answer.status >= 400


def _names(served: Served | None, route: Route) -> tuple[tuple[bytes, bytes], ...]:
    if served is None:
        return ()
    return (
        (b"x-signoff-version", str(served.version).encode()),
        (b"x-signoff-digest", str(served.model).encode()),
        (b"x-signoff-route", route.encode()),
    )


async def _respond(send: Send, answer: Answer, names: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    retry = ((b"retry-after", b"1"),) if answer.status == 503 else ()
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (b"content-type", answer.content_type.encode("latin-1")),
                (b"content-length", str(len(answer.body)).encode()),
                *names,
                *retry,
            ],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})
