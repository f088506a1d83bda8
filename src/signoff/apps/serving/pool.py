"""The versions in memory, each verified and in a process of its own: what is served, and what a rollback returns to."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

from signoff.apps.serving.versions import KeptScorer, keep_version, verify_stated
from signoff.apps.serving.wanted import BytesKey, Version
from signoff.apps.workspace import Workspace
from signoff.errors import ModelError, SignoffError
from signoff.release.history import History
from signoff.release.model import Reason
from signoff.standard.model import EnvironmentRules, UseCaseRules

AGAIN_S = 2.0
"""Before a version that could not be loaded is tried again."""

Done = Callable[[Version, ModelError | None], None]
"""Called when a version is loaded or could not be; with the error when its verified files do not load."""


class Pool:
    """Loads one version at a time, so that a start never takes all of the machine; belongs to one event loop."""

    def __init__(
        self,
        workspace: Workspace,
        rules: UseCaseRules,
        environment: EnvironmentRules,
        environ: Mapping[str, str],
    ) -> None:
        """An empty pool.

        Args:
            workspace: the team's workspace.
            rules: the use case's rules.
            environment: where the versions are released.
            environ: environment variables that scorers start from.
        """
        self._workspace, self._rules, self._environment = workspace, rules, environment
        self._environ = environ
        self._loaded: dict[BytesKey, KeptScorer] = {}
        self._loading: asyncio.Task[None] | None = None
        self._failed: dict[BytesKey, tuple[str, float]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def get(self, version: Version) -> KeptScorer | None:
        """The version's process, which may have ended and wait to be started again; None when it was not loaded."""
        return self._loaded.get(version.bytes_of)

    def ready(self, version: Version) -> bool:
        """Whether the version can be asked now."""
        scorer = self.get(version)
        return scorer is not None and scorer.alive

    def hurry(self, version: Version) -> None:
        """Start its process again at once, when it has ended."""
        scorer = self.get(version)
        if scorer is not None:
            scorer.hurry()

    def failure(self, version: Version) -> str:
        """Why it could not be loaded; "" when it could, or was not tried."""
        return self._failed.get(version.bytes_of, ("", 0.0))[0]

    def trouble(self, version: Version) -> str:
        """Why it cannot be asked although it was loaded; "" when it can, or was not loaded."""
        scorer = self.get(version)
        return "" if scorer is None else scorer.trouble

    async def load(self, version: Version, history: History) -> tuple[Reason, ...]:
        """Copy, verify and load a version.

        Returns:
            Why it may not be loaded; empty when it is there.

        Raises:
            SignoffError: its files cannot be reached or loaded; nothing of it is left.
        """
        found = await asyncio.to_thread(
            verify_stated,
            self._workspace,
            self._rules,
            self._environment,
            history=history,
            statement=version.statement,
        )
        if isinstance(found, tuple):
            return found
        self._loaded[version.bytes_of] = await keep_version(found, rules=self._rules, environ=self._environ)
        self._failed.pop(version.bytes_of, None)
        return ()

    def load_soon(self, version: Version, history: History, done: Done) -> None:
        """Load a version beside what is going on, unless it is there, another one is loading, or it failed just now."""
        _, at = self._failed.get(version.bytes_of, ("", float("-inf")))
        if self._loading is None and self.get(version) is None and time.monotonic() >= at + AGAIN_S:
            self._loading = asyncio.create_task(self._load_and_tell(version, history, done))

    async def _load_and_tell(self, version: Version, history: History, done: Done) -> None:
        unloadable: ModelError | None = None
        try:
            reasons = await self.load(version, history)
            why = "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)
        except ModelError as error:
            why, unloadable = str(error), error
        except SignoffError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - one version's trouble must not end serving
            why = f"{type(error).__name__} while loading it"
        self._loading = None
        if why:
            self._failed[version.bytes_of] = (why, time.monotonic())
        done(version, unloadable)

    def keep(self, wanted: Collection[BytesKey]) -> None:
        """End all others; what they have begun is finished."""
        for key in set(self._loaded) - set(wanted):
            task = asyncio.create_task(self._loaded.pop(key).stop())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        for key in set(self._failed) - set(wanted):
            del self._failed[key]

    async def close(self) -> None:
        """End all."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        self.keep(())
        await asyncio.gather(*self._ending, return_exceptions=True)
