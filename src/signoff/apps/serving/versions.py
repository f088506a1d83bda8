"""A version that can be served: verified, copied to a private folder, and kept alive in a process of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from signoff.apps.scoring.released import released_model, stated_model
from signoff.apps.serving.routes import Answer, Request, Served
from signoff.apps.serving.scorer_process import ScorerProcess, start_scorer
from signoff.apps.verbs.recording import history_of
from signoff.apps.workspace import Workspace
from signoff.errors import ModelError
from signoff.record.digest import Digest
from signoff.release.history import History
from signoff.release.model import Reason, Signed
from signoff.standard.model import EnvironmentRules, UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder

_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Before a process that ended is started again: the first time, the second, … and from then on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A version that may be loaded.

    Attributes:
        version: its number in the registry.
        statement: id of the release or canary statement that it rests on.
        folder: private copy of its files, whose digest was compared with the statement's.
        discard: removes the copy.
    """

    version: int
    statement: Digest
    folder: "ModelFolder"
    discard: Callable[[], None]


def verify_released(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, *, version: int | None = None
) -> Verified | tuple[Reason, ...]:
    """The version to serve, or why there is none.

    Args:
        workspace: the team's workspace.
        rules: the use case's.
        environment: where it must be released.
        version: one that was released there and has not been rolled back; None: what is released now.

    Raises:
        SignoffError: registry, ledger or files cannot be reached, or a statement is malformed.
    """
    if version is None:
        with ExitStack() as stack:
            found = stack.enter_context(released_model(workspace, rules, environment))
            if isinstance(found, tuple):
                return found
            return Verified(
                version=found.release.version,
                statement=found.release.statement.id,
                folder=found.model,
                discard=stack.pop_all().close,
            )
    history = history_of(workspace, rules.name, audited=True)
    releases = [
        move
        for move in history.moves(environment.name)
        if move.statement.kind == "release" and move.number("version") == version
    ]
    if not releases:
        ref = f"{rules.registered_model}/{version}"
        return (
            Reason(
                code="version-not-released",
                message=f"{ref} was never released in {environment.name}",
                fix=f"signoff promote {ref} --env {environment.name}",
            ),
        )
    return verify_stated(workspace, rules, environment, history=history, statement=releases[-1])


def verify_stated(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    history: History,
    statement: Signed,
) -> Verified | tuple[Reason, ...]:
    """The version that a release or canary statement names, or why it cannot be served.

    Raises:
        SignoffError: registry or files cannot be reached, or the statement is malformed.
    """
    with ExitStack() as stack:
        found = stack.enter_context(
            stated_model(workspace, rules, environment, history=history, statement=statement)
        )
        if isinstance(found, tuple):
            return found
        return Verified(
            version=statement.number("version") or 0,
            statement=statement.id,
            folder=found,
            discard=stack.pop_all().close,
        )


async def start_version(verified: Verified, *, rules: UseCaseRules, environ: Mapping[str, str]) -> Served:
    """Load a verified version in a process of its own, which is started again when it ends by itself.

    Stopping the scorer lets requests finish, ends the process and removes the private copy.

    Args:
        verified: the version.
        rules: the use case's.
        environ: environment variables that its process starts from.

    Raises:
        ModelError: it does not load; the private copy is removed.
    """

    async def start() -> ScorerProcess:
        return await start_scorer(
            verified.folder.path, verified.folder.digest, pickle=rules.gate.pickle, environ=environ
        )

    try:
        scorer = KeptScorer(await start(), start=start, discard=verified.discard)
    except BaseException:
        verified.discard()
        raise
    return Served(
        version=verified.version,
        model=verified.folder.digest,
        statement=verified.statement,
        scorer=scorer,
    )


class KeptScorer:
    """A scorer whose process is started again from the same private copy when it ends.

    The new process compares the digest anew, so a copy that was changed meanwhile is not loaded.
    """

    def __init__(
        self,
        process: ScorerProcess,
        *,
        start: Callable[[], Awaitable[ScorerProcess]],
        discard: Callable[[], None],
    ) -> None:
        self._process = process
        self._start = start
        self._discard = discard
        self._keeping = asyncio.create_task(self._keep())

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.alive

    @property
    def pid(self) -> int:
        """Of the process that answers now."""
        return self._process.pid

    async def answer(self, request: Request, *, timeout_s: float) -> Answer:
        """Score a request.

        Raises:
            ScorerGone: the process ended or does not answer in time.
        """
        return await self._process.answer(request, timeout_s=timeout_s)

    async def stop(self) -> None:
        """Let it finish what it has begun, end it, and remove the private copy."""
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping
        await self._process.stop()
        await asyncio.to_thread(self._discard)

    async def _keep(self) -> None:
        ends = 0
        while True:
            await self._process.ended()
            await self._process.stop()  # whoever waits is told, and the connection is closed
            await asyncio.sleep(_PAUSES_S[min(ends, len(_PAUSES_S) - 1)])
            ends += 1
            with suppress(ModelError):  # tried again after a longer pause
                self._process = await self._start()
