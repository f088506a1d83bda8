"""The gateway's side of a scorer: its process, and the requests that are under way in it."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from signoff.apps.serving.protocol import (
    LENGTH,
    READY_ID,
    Asked,
    BrokenFrame,
    frame_length,
    pack_request,
    unpack_answer,
)
from signoff.apps.serving.routes import Answer, Request, ScorerGone
from signoff.errors import ModelError
from signoff.record.digest import Digest

START_S: Final = 180.0
"""A cold start imports MLflow and loads the model; on a busy machine that takes a while."""
MAX_WAITING: Final = 1024
"""Requests under way in one scorer; one more is refused at once instead of waiting in vain."""
_STOP_S: Final = 90.0
"""Longer than the longest time a request is waited for."""

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_KEPT_BACK = ("SIGNOFF_", "MLFLOW_TRACKING_", "MLFLOW_REGISTRY_", "PG")
"""Prefixes of environment variables that a model has no business with."""
_FOR_MODELS = "SIGNOFF_GENERATOR_"
"""The one exception: where a bundle's generator is, and its key."""


class ScorerProcess:
    """A scorer: answers as `routes.Scorer` asks. Made by `start_scorer`; belongs to one event loop."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last = READY_ID
        self._stopping = False
        self._gone = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._receiving = asyncio.create_task(self._receive())

    async def ended(self) -> None:
        """Return when the process has ended, for whatever reason."""
        await self._process.wait()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not (self._gone or self._stopping) and self._process.returncode is None

    async def answer(self, request: Request, *, timeout_s: float) -> Answer:
        """Score a request.

        Raises:
            ScorerGone: the process ended or does not answer in time, or has too much to do already.
        """
        if not self.alive:
            raise ScorerGone("the scoring process is not there")
        if len(self._waiting) >= MAX_WAITING:
            raise ScorerGone(f"the scoring process has {MAX_WAITING} requests to answer first")
        loop = asyncio.get_running_loop()
        self._last = self._last % 0xFFFFFFFF + 1
        number = self._last
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting[number] = future
        self._idle.clear()
        late = loop.call_later(timeout_s, _give_up, future, timeout_s)
        try:
            self._writer.write(
                pack_request(Asked(id=number, deadline=time.monotonic() + timeout_s, request=request))
            )
            return await future
        except BrokenFrame as error:
            raise ScorerGone(str(error)) from error
        finally:
            late.cancel()
            self._waiting.pop(number, None)
            if not self._waiting:
                self._idle.set()

    async def stop(self) -> None:
        """Let it finish what it has begun, and end it. What is asked from now on is refused."""
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await self._idle.wait()
        self._writer.close()  # the process reads the end of its connection, and ends
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._receiving.cancel()
        with suppress(asyncio.CancelledError):
            await self._receiving

    async def _receive(self) -> None:
        try:
            while True:
                number, answer = await _read_answer(self._reader)
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_result(answer)
        except (asyncio.IncompleteReadError, BrokenFrame, OSError):
            pass
        finally:
            self._gone = True
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ScorerGone("the scoring process ended"))


async def start_scorer(
    folder: Path, digest: Digest, *, pickle: Literal["refused", "allowed"], environ: Mapping[str, str]
) -> ScorerProcess:
    """Start the process of a version and wait until it can answer.

    Args:
        folder: private copy of its files, whose digest the caller has compared; the process compares again.
        digest: as released.
        pickle: whether the use case allows formats that run code on loading.
        environ: environment variables; secrets of Signoff and of the stores are kept back.

    Raises:
        ModelError: the process refused the files, or could not load them.
    """
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "signoff.apps.serving.scorer"]
    command += ["--connection", str(theirs.fileno()), "--folder", str(folder)]
    command += ["--digest", str(digest), "--pickle", pickle]
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *command,
            pass_fds=(theirs.fileno(),),
            env=scorer_environment(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the gateway alone, which lets requests finish first
        )
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        async with asyncio.timeout(START_S):
            _, ready = await _read_answer(reader)
        why = "" if ready.status == 200 else str(json.loads(ready.body)["refused"])
    except TimeoutError:
        why = f"it was not ready after {START_S:.0f} s"
    except (asyncio.IncompleteReadError, BrokenFrame, ValueError, OSError):
        why = "it ended before it was ready"
    except asyncio.CancelledError:
        await _end(process, writer)
        raise
    if why:
        await _end(process, writer)
        raise ModelError(f"the scoring process could not start: {why}")
    return ScorerProcess(process, reader, writer)


def scorer_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a scorer sees of the environment: no secrets, and one thread for each numeric library."""
    kept = {
        name: value
        for name, value in environ.items()
        if name.startswith(_FOR_MODELS) or not name.startswith(_KEPT_BACK)
    }
    return {
        **kept,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


async def _end(process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, Answer]:
    length = frame_length(await reader.readexactly(LENGTH.size))
    return unpack_answer(await reader.readexactly(length))


def _give_up(future: "asyncio.Future[Any]", timeout_s: float) -> None:
    if not future.done():
        future.set_exception(ScorerGone(f"no answer within {timeout_s:g} s"))
