"""How a worker that cannot start ends the whole server with one error, instead of being started again for ever."""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import NoReturn

import click

from signoff.addresses import masked
from signoff.apps.server.settings import PREPARED_VARIABLE

_STARTUP_FAILURE = 3
"""Exit code at which uvicorn does not start a worker again."""
_log = logging.getLogger("signoff.server")


def expect_workers(environ: MutableMapping[str, str]) -> Path:
    """Name the file in which a worker will say why it cannot start."""
    note = Path(mkdtemp(prefix="signoff-server-")) / "error"
    environ[PREPARED_VARIABLE] = str(note)
    return note


def exit_with_worker(note: Path) -> None:
    """At the end of the command: when a worker said why it cannot start, say that and end with exit code 2."""
    try:
        text = note.read_text("utf-8")
    except OSError:
        text = ""
    with suppress(OSError):
        note.unlink(missing_ok=True)
        note.parent.rmdir()
    if text:
        click.echo(f"error: {text}", err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(2)  # an exit handler cannot change the exit code otherwise


def give_up(error: Exception) -> NoReturn:
    """End this worker and the server: every worker would fail in the same way.

    Only the first of the workers says why.
    """
    text = masked(str(error) or type(error).__name__, os.environ)
    note = os.environ.get(PREPARED_VARIABLE)
    if note is None:
        _log.critical("error: %s", text)
    else:
        with suppress(OSError), open(note, "x", encoding="utf-8") as file:  # noqa: PTH123 - "x": the first one only
            file.write(text)
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and supervisor.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(supervisor.pid, signal.SIGTERM)
    os._exit(_STARTUP_FAILURE)
