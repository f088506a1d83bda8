"""A real HTTP server on this machine that speaks as much of OpenAI's chat completions as a test needs."""

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(kw_only=True, slots=True)
class Endpoint:
    """A server that runs.

    Attributes:
        url: its address up to /v1.
        asked: the requests it got: path, headers, body.
        answer: what it answers: status, body; set it to change it.
        pause: seconds between the pieces of its answer.
    """

    url: str
    answer: tuple[int, bytes]
    pause: float = 0.0
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


def completion(text: str, tokens: int | None = None) -> tuple[int, bytes]:
    said: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    if tokens is not None:
        said["usage"] = {"total_tokens": tokens}
    return 200, json.dumps(said).encode()


@contextmanager
def endpoint(answer: tuple[int, bytes], *, pause: float = 0.0) -> Iterator[Endpoint]:
    made = Endpoint(url="", answer=answer, pause=pause)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(lambda: made))
    made.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(made: Callable[[], Endpoint]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made().asked.append((self.path, dict(self.headers), json.loads(body)))
            status, data = made().answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if 300 <= status < 400:
                self.send_header("Location", f"{made().url}/elsewhere")
            self.end_headers()
            try:
                for start in range(0, len(data), 8 if made().pause else len(data) or 1):
                    self.wfile.write(data[start : start + (8 if made().pause else len(data))])
                    self.wfile.flush()
                    time.sleep(made().pause)
            except OSError:
                return  # the client has left

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    return Handler


@contextmanager
def dripping(start: bytes, piece: bytes, *, pause: float) -> Iterator[str]:
    """The address of a server that sends the start of an answer, then the piece again and again."""
    closed = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.recv(65_536)
                self.request.sendall(start)
                while not closed.wait(pause):
                    self.request.sendall(piece)
            except OSError:
                return  # the client has left

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        closed.set()
        server.shutdown()
        thread.join()
        server.server_close()
