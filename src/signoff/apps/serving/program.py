"""`signoff serve`: verify, load in a process of its own, answer; and end without dropping a request."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import uvicorn

from signoff.apps.serving.control import DEFAULT_RULES, Control
from signoff.apps.serving.gateway import MAX_BODY, Gateway
from signoff.apps.serving.inference_log import InferenceLog
from signoff.apps.serving.routes import Routes, Served
from signoff.apps.serving.versions import KeptScorer, start_version, verify_released
from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import UsageError
from signoff.evidence.ledger import Entry
from signoff.record.digest import Json
from signoff.release.model import Reason
from signoff.standard.model import EnvironmentRules, UseCaseRules

_LAST_REQUESTS_S: Final = 60
_IDLE_CONNECTION_S: Final = 75
"""Longer than most callers and proxies keep an idle connection, so that it is theirs to close."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where and what to serve.

    Attributes:
        host: address to listen on.
        port: TCP port; 0 for a free one.
        version: serve this released version and follow nothing; None: what is released now.
        max_body: larger requests are refused, in bytes.
        environ: environment variables for the scoring processes.
    """

    host: str
    port: int
    version: int | None
    environ: Mapping[str, str]
    max_body: int = MAX_BODY


async def serve(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    endpoint: Endpoint,
    actor: Actor,
    tell: Callable[[str], None],
) -> tuple[Reason, ...]:
    """Serve until the process is asked to end.

    Args:
        workspace: the team's workspace.
        rules: the use case's.
        environment: where the version must be released.
        endpoint: where and what.
        actor: who serves, for the log; a canary's steps are written down in this name.
        tell: one line for the person at the terminal.

    Returns:
        Why nothing was served; empty after an endpoint that has ended in order.

    Raises:
        SignoffError: registry, ledger or files cannot be reached, the port is taken, or the model does not load.
    """
    settings = rules.serving or DEFAULT_RULES
    name = f"{rules.name}@{environment.name}"
    with _listening(endpoint.host, endpoint.port) as listener:
        gateway = Gateway(mlflow_version=_mlflow_version(), max_body=endpoint.max_body)
        keeper: Keeper
        if endpoint.version is None:
            keeper = Control(
                workspace, rules, environment, gateway=gateway, actor=actor, environ=endpoint.environ
            )
        else:
            keeper = Pinned(workspace, rules, environment, gateway=gateway, endpoint=endpoint)
        try:
            reasons = await keeper.begin()
            stable = None if gateway.routes is None else gateway.routes.stable
            await asyncio.to_thread(
                _record, workspace, rules, environment, actor=actor, stable=stable, reasons=reasons
            )
            if reasons or stable is None:
                return reasons
            gateway.health = keeper.health
            if settings.log is not None:
                gateway.log = InferenceLog(workspace.path(settings.log), tell=tell)
            ready = f"SERVING  {name} version {stable.version} ({stable.model.short}) on {_address(listener)}"
            server = _Server(gateway, ready=lambda: tell(ready))
            with server.until_signal():
                await _both(server.serve(sockets=[listener]), keeper, tell)
        finally:
            await keeper.close()
            if gateway.log is not None:
                await asyncio.to_thread(gateway.log.close)
        tell(f"STOPPED  {name}")
    return ()


class Keeper(Protocol):
    """Sets the gateway's routes, and keeps them right."""

    async def begin(self) -> tuple[Reason, ...]:
        """Load what may be served; or say why nothing may."""

    async def run(self) -> None:
        """Work until cancelled."""

    async def close(self) -> None:
        """End all scorers; what they have begun is finished."""

    def health(self) -> Mapping[str, Json]:
        """What is served, and what is wrong."""


class Pinned:
    """Serves one released version, whatever is released later: the ledger is asked once, at the start."""

    def __init__(
        self,
        workspace: Workspace,
        rules: UseCaseRules,
        environment: EnvironmentRules,
        *,
        gateway: Gateway,
        endpoint: Endpoint,
    ) -> None:
        self._workspace, self._rules, self._environment = workspace, rules, environment
        self._gateway, self._endpoint = gateway, endpoint

    async def begin(self) -> tuple[Reason, ...]:
        """Verify and load the version; or say why it may not be served.

        Raises:
            SignoffError: registry, ledger or files cannot be reached, or it does not load.
        """
        found = await asyncio.to_thread(
            verify_released,
            self._workspace,
            self._rules,
            self._environment,
            version=self._endpoint.version,
        )
        if isinstance(found, tuple):
            return found
        settings = self._rules.serving or DEFAULT_RULES
        self._gateway.routes = Routes(
            stable=await start_version(found, rules=self._rules, environ=self._endpoint.environ),
            canary=None,
            weight=0.0,
            timeout_s=settings.timeout_ms / 1000,
            fallback=settings.fallback,
        )
        return ()

    async def run(self) -> None:
        """Nothing is to be done: a process that ends is started again where it is kept."""

    async def close(self) -> None:
        """End the version's process when it has finished what it has begun."""
        if self._gateway.routes is not None:
            await self._gateway.routes.stable.scorer.stop()

    def _trouble(self) -> str:
        scorer = None if self._gateway.routes is None else self._gateway.routes.stable.scorer
        return scorer.trouble if isinstance(scorer, KeptScorer) else "nothing is loaded"

    def health(self) -> Mapping[str, Json]:
        """What is served."""
        routes = self._gateway.routes
        alive = routes is not None and routes.stable.scorer.alive
        return {
            "use_case": self._rules.name,
            "environment": self._environment.name,
            "version": self._endpoint.version,
            "digest": None if routes is None else str(routes.stable.model),
            "pinned": True,
            "problems": [] if alive else [self._trouble()],
        }


@asynccontextmanager
async def running(gateway: Gateway, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve what a gateway routes to, on a port of its own, until the block ends; yields the address.

    Raises:
        UsageError: the port cannot be used.
    """
    with _listening(host, port) as listener:
        listening = asyncio.Event()
        server = _Server(gateway, ready=listening.set)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await listening.wait()
            yield _address(listener)
        finally:
            server.should_exit = True
            await serving


async def _both(serving: Awaitable[None], keeper: Keeper, tell: Callable[[str], None]) -> None:
    """Serve until that ends, with the keeper at work beside it; whatever ends the keeper does not end serving."""

    async def keep() -> None:
        try:
            await keeper.run()
        except Exception as error:  # noqa: BLE001 - the last good version is better than none
            tell(f"the ledger is followed no longer ({type(error).__name__}); what is served goes on")

    keeping = asyncio.create_task(keep())
    try:
        await serving
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


class FirstError(logging.Filter):
    """Lets one line of uvicorn's through, without the traceback: callers choose how many mistakes there are."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is an error, and the first."""
        if self._told or record.levelno < logging.ERROR:
            return False
        self._told = True
        record.exc_info = record.exc_text = None
        return True


class _Server(uvicorn.Server):
    """Uvicorn, which says when it listens, and leaves what comes after a signal to its caller."""

    def __init__(self, gateway: Gateway, *, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                gateway,
                http="h11",  # the same parser wherever it is installed
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_keep_alive=_IDLE_CONNECTION_S,
                timeout_graceful_shutdown=_LAST_REQUESTS_S,
            )
        )
        self._gateway = gateway
        self._ready = ready

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        logger, once = logging.getLogger("uvicorn.error"), FirstError()
        logger.addFilter(once)
        try:
            await super().serve(sockets)
        finally:
            logger.removeFilter(once)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.end_reading()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own raises the signal again when it is done, before the scorers have been stopped."""
        yield

    @contextmanager
    def until_signal(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the server in order; a second SIGINT does not wait for requests."""
        loop = asyncio.get_running_loop()
        ends = (signal.SIGINT, signal.SIGTERM)
        for number in ends:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in ends:
                loop.remove_signal_handler(number)


def _mlflow_version() -> str:
    import mlflow.version

    return str(mlflow.version.VERSION)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; taken before anything is loaded, so that a port in use is told at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{host} is no address to listen on: {error}", hint="--host 127.0.0.1") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"port {port} of {host} cannot be used: {error}",
                hint="give another with --port, or end what listens there",
            ) from error
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _record(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    actor: Actor,
    stable: Served | None,
    reasons: tuple[Reason, ...],
) -> None:
    detail: dict[str, Json] = {} if stable is None else {"version": stable.version}
    entry = Entry(
        at=now(),
        actor=actor.name,
        action="serve",
        outcome="refused" if reasons else "allowed",
        use_case=rules.name,
        subject=f"{rules.name}@{environment.name}",
        statement=None if stable is None else str(stable.statement),
        reasons=tuple(f"{reason.code}: {reason.message}" for reason in reasons),
        detail=detail,
    )
    with workspace.ledger(create=True).transaction() as writer:
        writer.append(entry)
