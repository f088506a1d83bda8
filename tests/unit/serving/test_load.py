"""What callers of a load test believe of an endpoint that answers whatever it likes."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from signoff.apps.serving.load import Load, LoadSeen, host_of, measure
from signoff.errors import StoreError, UsageError

DIGEST = "sha256:" + "1" * 64


@contextmanager
def answering(status: int, body: bytes, *, named: int | None = None) -> Iterator[str]:
    """An endpoint that always answers so, and names a digest in its first answers only; yields its address."""
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536

        def do_POST(self) -> None:
            nonlocal asked
            asked += 1
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            if named is None or asked <= named:
                self.send_header("x-signoff-digest", DIGEST)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_only_an_answer_with_predictions_is_a_good_one() -> None:
    answers = {
        (200, b'{"predictions": [0]}'): True,
        (200, b"{}"): False,
        (200, b'{"predictions": []}'): False,
        (200, b"[1]"): False,
        (200, b"fine"): False,
        (200, b""): False,
        (500, b'{"predictions": [0]}'): False,
    }
    with ExitStack() as stack:
        urls = [stack.enter_context(answering(*answer)) for answer in answers]
        found = asyncio.run(measured_together(urls))
    for (answer, good), seen in zip(answers.items(), found, strict=True):
        assert (answer, bool(seen.times_ms), bool(seen.failed)) == (answer, good, not good)
        assert seen.digests == (DIGEST,)


async def measured_together(urls: list[str]) -> list[LoadSeen]:
    """Each address by a calling process of its own, all at the same time."""
    loads = [Load(url=url, connections=1, seconds=0.5, bodies=("{}",)) for url in urls]
    return await asyncio.gather(*(measure(load) for load in loads))


def test_an_answer_that_names_no_digest_is_not_passed_over() -> None:
    with answering(200, b'{"predictions": [0]}', named=1) as url:
        seen = asyncio.run(measure(Load(url=url, connections=1, seconds=0.5, bodies=("{}",))))
    assert set(seen.digests) == {"", DIGEST}


def test_where_nothing_answers_nothing_is_measured() -> None:
    with answering(200, b"") as url:
        pass
    with pytest.raises(StoreError, match="nothing answered"):
        asyncio.run(measure(Load(url=url, connections=1, seconds=0.2, bodies=("{}",))))


def test_of_an_address_host_and_port_are_told_and_no_password() -> None:
    assert host_of("http://ana:secret@127.0.0.1:5001/") == "127.0.0.1:5001"
    assert host_of("http://[::1]:5001") == "[::1]:5001"
    with pytest.raises(UsageError):
        host_of("ftp://127.0.0.1")
