"""A wire to a server that fails at a chosen request: before the server hears of it, after, or by other bytes."""

import http.client
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What goes wrong, once or until it is mended.

    Attributes:
        request: regular expression that finds it in ``METHOD /path``.
        when: ``before``: the request is lost; ``after``: its answer is.
        again: whether it goes wrong however often it is asked.
    """

    request: str
    when: Literal["before", "after"]
    again: bool = False


class Wire(ThreadingHTTPServer):
    """Hands requests on to a server.

    Attributes:
        requests: what was asked, as ``METHOD /path``, in order.
        authorizations: the Authorization headers that were sent.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target = urlsplit(target)
        self.requests: list[str] = []
        self.authorizations: set[str | None] = set()
        self.fault: Fault | None = None
        self.change: Callable[[str, bytes], bytes] = lambda _, body: body
        self.then: Callable[[str], None] = lambda _: None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fails(self, request: str, when: str) -> bool:
        """Whether this is a request and moment that fail."""
        fault = self.fault
        if fault is None or fault.when != when or re.search(fault.request, request) is None:
            return False
        if not fault.again:
            self.fault = None
        return True

    @property
    def broke(self) -> bool:
        """Whether the fault has happened."""
        return self.fault is None

    @contextmanager
    def losing(self, request: str) -> Iterator[None]:
        """Lose this request, however often it is asked, to the end of the block; it must be asked there."""
        self.fault, asked = Fault(request=request, when="before", again=True), len(self.requests)
        yield
        assert any(re.search(request, one) for one in self.requests[asked:]), f"nobody asked {request}"
        self.fault = None

    def mend(self) -> None:
        """Work from now on."""
        self.fault = None
        self.change = lambda _, body: body
        self.then = lambda _: None


class _Forward(BaseHTTPRequestHandler):
    server: Wire

    def _forward(self) -> None:
        request = f"{self.command} {urlsplit(self.path).path}"
        self.server.requests.append(request)
        self.server.authorizations.add(self.headers.get("Authorization"))
        body = self.server.change(request, self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if self.server.fails(request, "before"):
            self.close_connection = True
            return
        target = self.server.target
        with closing(http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)) as upstream:
            headers = {k: v for k, v in self.headers.items() if k.lower() != "content-length"}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
        self.server.then(request)
        if self.server.fails(request, "after"):
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def wired(target: str) -> Iterator[Wire]:
    """A wire to the server at the address, until the block ends."""
    with Wire(target) as wire:
        thread = Thread(target=wire.serve_forever)
        thread.start()
        try:
            yield wire
        finally:
            wire.shutdown()
            thread.join()
