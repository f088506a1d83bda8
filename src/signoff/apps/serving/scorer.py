"""The process of one version: checks its files once more, loads them, and answers on the connection it was given.

Started by the gateway's process with ``python -m signoff.apps.serving.scorer``. It reads one connection, a socket
that it inherits, and opens none. It ends when the other side closes.
"""

import argparse
import json
import logging
import socket
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal, cast

from signoff.adapters.model_folder import ModelFolder, open_model, read_folder
from signoff.apps.serving.protocol import (
    LENGTH,
    READY_ID,
    BrokenFrame,
    frame_length,
    pack_answer,
    unpack_request,
)
from signoff.apps.serving.routes import Answer, Request
from signoff.errors import ModelError, SignoffError
from signoff.record.digest import Digest


def main() -> None:
    """Serve until the connection is closed."""
    options = _options()
    logging.disable(logging.WARNING)  # MLflow's warnings quote column names that callers sent
    warnings.simplefilter("ignore")
    with socket.socket(fileno=options.connection) as connection:
        try:
            folder = verified_folder(Path(options.folder), Digest.parse(options.digest))
            answer = _answering(folder, pickle=options.pickle)
        except SignoffError as error:
            connection.sendall(_ready(500, {"refused": str(error)}))
            sys.exit(1)
        connection.sendall(_ready(200, {}))
        with connection.makefile("rb") as frames:
            serve(frames, connection.sendall, answer)


def verified_folder(path: Path, expected: Digest) -> ModelFolder:
    """The folder, when its files still have the digest that was released.

    Raises:
        ModelError: they have another.
    """
    folder = read_folder(path)
    if folder.digest != expected:
        raise ModelError(
            f"the files have changed: released {expected.short}, now {folder.digest.short}", where=str(path)
        )
    return folder


def serve(frames: BinaryIO, send: Callable[[bytes], None], answer: Callable[[Request], Answer]) -> None:
    """Answer one request after the other, until there are no more.

    What nobody waits for any longer is not scored.
    """
    while (frame := _next(frames)) is not None:
        asked = unpack_request(frame)
        if asked.deadline < time.monotonic():
            continue
        try:
            packed = pack_answer(asked.id, answer(asked.request))
        except BrokenFrame:
            packed = pack_answer(
                asked.id, Answer(status=500, body=b"the answer is too large", content_type="text/plain")
            )
        send(packed)


def _next(frames: BinaryIO) -> bytes | None:
    prefix = frames.read(LENGTH.size)
    if len(prefix) < LENGTH.size:
        return None
    length = frame_length(prefix)
    frame = frames.read(length)
    return frame if len(frame) == length else None


def _answering(folder: ModelFolder, *, pickle: Literal["refused", "allowed"]) -> Callable[[Request], Answer]:
    from signoff.apps.serving.scoring import Scoring

    return Scoring(folder, open_model(folder, pickle=pickle)).answer


def _ready(status: int, said: dict[str, str]) -> bytes:
    body = json.dumps(said).encode()
    return pack_answer(READY_ID, Answer(status=status, body=body, content_type="application/json"))


class _Options(argparse.Namespace):
    connection: int
    folder: str
    digest: str
    pickle: Literal["refused", "allowed"]


def _options() -> _Options:
    parser = argparse.ArgumentParser(description="One version's process; started by `signoff serve`.")
    parser.add_argument("--connection", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--pickle", choices=("refused", "allowed"), required=True)
    return cast("_Options", parser.parse_args())


if __name__ == "__main__":
    main()
