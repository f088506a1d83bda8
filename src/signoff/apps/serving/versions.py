"""A version that can be served: verified, copied to a private folder, and kept alive in a process of its own."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from signoff.apps.scoring.released import released_model, stated_model
from signoff.apps.serving.routes import Answer, Request, Served
from signoff.apps.serving.scorer_process import ScorerProcess, start_scorer
from signoff.apps.verbs.recording import history_of
from signoff.apps.workspace import Workspace
from signoff.errors import ModelError, SignoffError
from signoff.record.digest import Digest
from signoff.release.history import History
from signoff.release.model import Reason, Signed
from signoff.standard.model import EnvironmentRules, UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder

_log = logging.getLogger("signoff.serving")

_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Before a process that ended is started again: the first time, the second, … and from then on."""
_GOOD_S: Final = 60.0
"""A process that has lived so long was well: the pauses begin with the first again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A version that may be loaded.

    Attributes:
        version: its number in the registry.
        statement: id of the release or canary statement that it rests on.
        folder: private copy of its files, whose digest was compared with the statement's.
        discard: removes the copy.
        again: verifies and copies the version anew, as when it was first verified; None: that cannot be done.
    """

    version: int
    statement: Digest
    folder: "ModelFolder"
    discard: Callable[[], None]
    again: "Callable[[], Verified | tuple[Reason, ...]] | None" = None


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
                again=partial(verify_released, workspace, rules, environment, version=found.release.version),
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
            again=partial(_verify_anew, workspace, rules, environment, statement=statement),
        )


def _verify_anew(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, *, statement: Signed
) -> Verified | tuple[Reason, ...]:
    """The same by what the ledger says now: the statement may have been revoked since."""
    history = history_of(workspace, rules.name, audited=True)
    return verify_stated(workspace, rules, environment, history=history, statement=statement)


async def start_version(verified: Verified, *, rules: UseCaseRules, environ: Mapping[str, str]) -> Served:
    """Load a verified version in a process of its own, as `keep_version` does, to be served."""
    return Served(
        version=verified.version,
        model=verified.folder.digest,
        statement=verified.statement,
        scorer=await keep_version(verified, rules=rules, environ=environ),
    )


async def keep_version(
    verified: Verified, *, rules: UseCaseRules, environ: Mapping[str, str]
) -> "KeptScorer":
    """Load a verified version in a process of its own, which is started again when it ends by itself.

    Stopping the scorer lets requests finish, ends the process and removes the private copy.

    Args:
        verified: the version.
        rules: the use case's.
        environ: environment variables that its process starts from.

    Raises:
        ModelError: it does not load; the private copy is removed.
    """
    source = _Source(verified, rules=rules, environ=environ)
    try:
        return KeptScorer(await source.start(), source=source, version=verified.version)
    except BaseException:
        source.discard()
        raise


class _Source:
    """Where the process of a version is started from: its private copy, or a new one from the registry."""

    def __init__(self, verified: Verified, *, rules: UseCaseRules, environ: Mapping[str, str]) -> None:
        self._verified = verified
        self._model = verified.folder.digest
        self._pickle = rules.gate.pickle
        self._environ = environ

    def discard(self) -> None:
        """Remove the private copy."""
        self._verified.discard()

    async def start(self) -> ScorerProcess:
        """Start the process from the private copy, whose digest it compares anew.

        Raises:
            ModelError: it does not load.
        """
        return await start_scorer(
            self._verified.folder.path, self._model, pickle=self._pickle, environ=self._environ
        )

    async def start_again(self) -> ScorerProcess:
        """The same; when that fails, from a copy that is made and verified anew.

        Raises:
            SignoffError: registry, ledger or files cannot be reached, the version may be used no longer, or it
                does not load.
        """
        again = self._verified.again
        try:
            return await self.start()
        except (ModelError, OSError):
            if again is None:
                raise
        found = await asyncio.to_thread(again)
        if isinstance(found, tuple):
            raise ModelError("; ".join(f"{reason.code}: {reason.message}" for reason in found))
        if found.folder.digest != self._model:
            await asyncio.to_thread(found.discard)
            raise ModelError(f"other bytes are released as version {found.version} now")
        before, self._verified = self._verified, found
        await asyncio.to_thread(before.discard)
        return await self.start()


class KeptScorer:
    """A scorer whose process is started again when it ends.

    The new process compares the digest anew, so a copy that was changed meanwhile is not loaded. When the private
    copy cannot be used any more, it is made anew from the registry, and verified as at the first start.
    """

    def __init__(self, process: ScorerProcess, *, source: _Source, version: int) -> None:
        self._process = process
        self._source = source
        self._version = version
        self._trouble = ""
        self._hurry = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep())

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.alive

    @property
    def pid(self) -> int:
        """Of the process that answers now."""
        return self._process.pid

    @property
    def trouble(self) -> str:
        """Why it cannot be asked; "" when it can."""
        if self.alive:
            return ""
        return self._trouble or "the scoring process ended and is being started again"

    def hurry(self) -> None:
        """Start it again now, when it waits to be started again: somebody needs it."""
        if not self.alive:
            self._hurry.set()

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
        await asyncio.to_thread(self._source.discard)

    async def _keep(self) -> None:
        starts = 0
        while True:
            began = time.monotonic()
            await self._process.ended()
            _log.error("version %d: its scoring process ended; it is started again", self._version)
            if time.monotonic() - began >= _GOOD_S:
                starts = 0
            with suppress(OSError):
                await self._process.stop()  # whoever waits is told, and the connection is closed
            starts = await self._start_again(starts)

    async def _start_again(self, starts: int) -> int:
        """Start until it starts, after longer and longer pauses; how often that was done."""
        told: set[str] = set()
        while True:
            await self._pause(_PAUSES_S[min(starts, len(_PAUSES_S) - 1)])
            starts += 1
            try:
                self._process = await self._source.start_again()
            except SignoffError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and tried again
                why = f"{type(error).__name__} while starting it"
            else:
                self._trouble = ""
                _log.warning("version %d can be asked again", self._version)
                return starts
            self._trouble = f"the scoring process ended and could not be started again: {why}"
            if why not in told:
                told.add(why)
                _log.error("version %d: %s; it is tried again", self._version, self._trouble)

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
