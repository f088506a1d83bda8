"""The client of a server's ledger against servers that lie, fail or are none."""

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from signoff.adapters.ledger_http import HttpLedger
from signoff.errors import ConflictError, EvidenceError, RefusedError, SignoffError, StoreError
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import entry_bytes
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest
from signoff.remote import Remote

Page = dict[str, Any]
RULES = Digest.of(b"the standard here")


def remark(text: str) -> Envelope:
    subject = Subject(name="model", digest=Digest.of(b"model"))
    said = Statement(kind="note", subjects=(subject,), predicate={"use_case": "churn", "text": text})
    return Envelope(payload=said.payload())


def entry(text: str) -> Entry:
    return Entry(
        at="2026-11-22T10:15:00Z",
        actor="ana@shop.example",
        action="note",
        outcome="allowed",
        use_case="churn",
        subject="churn/3",
        statement=str(remark(text).id),
        reasons=(),
        detail={},
    )


def page(*texts: str, start: int = 0) -> Page:
    """What a truthful server sends of a log with these remarks."""
    entries = [entry_bytes(entry(text)) for text in texts]
    frontier = Frontier.of(leaf_hash(one) for one in entries)
    rows = [
        {
            "index": index,
            "entry": b64encode(one).decode(),
            "leaf": b64encode(leaf_hash(one)).decode(),
            "use_case": "churn",
        }
        for index, one in enumerate(entries)
    ]
    kept = [
        {"id": str(remark(text).id), "envelope": remark(text).to_json(), "use_case": "churn"}
        for text in texts
    ]
    return {
        "from": start,
        "head": {"size": len(entries), "root": f"sha256:{frontier.root().hex()}"},
        "frontier": b64encode(frontier.to_bytes()).decode(),
        "rows": rows[start:],
        "statements": kept[start:],
    }


@contextmanager
def serving(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[tuple[HttpLedger, list[str]]]:
    """A server that answers each path with a status and a body; and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    remote = Remote(f"http://127.0.0.1:{server.server_port}", username=None, password=None, token=None)
    try:
        yield HttpLedger(remote, standard=RULES), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sent(found: Page) -> Callable[[str], tuple[int, bytes]]:
    return lambda _: (200, json.dumps(found).encode())


def changed_entry(found: Page) -> None:
    found["rows"][0]["entry"] = b64encode(entry_bytes(entry("other words"))).decode()


def left_out(found: Page) -> None:
    del found["rows"][1]


def other_head(found: Page) -> None:
    found["head"]["size"] = 1


def exchanged(found: Page) -> None:
    found["statements"][0]["envelope"] = remark("other words").to_json()


@pytest.mark.parametrize("lie", [changed_entry, left_out, other_head, exchanged])
def test_what_does_not_hash_to_the_head_or_its_id_is_not_believed(lie: Callable[[Page], None]) -> None:
    found = page("one", "two")
    lie(found)
    with serving(sent(found)) as (ledger, _), pytest.raises(EvidenceError):
        ledger.checked()


def test_a_truthful_server_is_read_once_and_then_from_where_it_stopped() -> None:
    pages = iter([page("one", "two"), page("one", "two", "three", start=2)])
    with serving(lambda _: (200, json.dumps(next(pages)).encode())) as (ledger, asked):
        first, second = ledger.checked(), ledger.checked()
    assert asked == ["/api/2.0/signoff/stored?from=0", "/api/2.0/signoff/stored?from=2"]
    assert (len(first.rows), len(second.rows)) == (2, 3)
    assert [row.id for row in second.statements] == [str(remark(t).id) for t in ("one", "two", "three")]


@pytest.mark.parametrize(
    "later",
    [page("another past", "two", "three", start=2), page("one", start=2) | {"rows": [], "statements": []}],
    ids=["rewritten", "cut"],
)
def test_a_log_that_does_not_continue_what_was_read_is_not_believed(later: Page) -> None:
    pages = iter([page("one", "two"), later])
    with serving(lambda _: (200, json.dumps(next(pages)).encode())) as (ledger, _):
        ledger.checked()
        with pytest.raises(EvidenceError):
            ledger.checked()


REFUSAL = {"error_code": "PERMISSION_DENIED", "message": "signoff refused approve: churn/3"}


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (403, REFUSAL, RefusedError, "signoff refused approve: churn/3"),
        (403, "Permission denied", StoreError, "does not allow this"),
        (409, {"error_code": "RESOURCE_CONFLICT", "message": "quicker"}, ConflictError, "quicker"),
        (
            400,
            {"error_code": "INVALID_PARAMETER_VALUE", "message": "no such field"},
            StoreError,
            "no such field",
        ),
        (422, {"error_code": "UNDECIDED", "message": "no table"}, StoreError, "no table"),
        (401, {"error_code": "UNAUTHENTICATED", "message": "x"}, StoreError, "wants valid credentials"),
        (404, "<html>not found</html>", StoreError, "this server has no Signoff"),
        (500, {"error_code": "INTERNAL_ERROR", "message": "postgres://me:secret@db"}, StoreError, "failed"),
        (200, "<html>log in</html>", StoreError, "an HTML page instead of JSON"),
    ],
)
def test_what_a_server_says_becomes_the_right_error(
    status: int, body: object, error: type[SignoffError], told: str
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with serving(lambda _: (status, raw)) as (ledger, _), pytest.raises(error, match=told) as raised:
        submit(ledger, "one")
    assert type(raised.value) is error
    assert "secret" not in str(raised.value)


def submit(ledger: HttpLedger, text: str, *, part: int = 1) -> None:
    """Send a remark; fail in the middle where there is no part to divide by."""
    with ledger.transaction() as writer:
        writer.put(remark(text), use_case="churn", version=None, run_id=None)
        writer.append(entry(text), expected=1 // part)


def test_a_server_that_only_says_that_it_kept_a_statement_is_found_out() -> None:
    def answer(path: str) -> tuple[int, bytes]:
        return 200, json.dumps({} if path.endswith("submissions") else page("one")).encode()

    with serving(answer) as (ledger, _), pytest.raises(StoreError, match="its log does not have it"):
        submit(ledger, "two")


def test_nothing_is_sent_when_the_block_fails() -> None:
    with serving(sent(page("one"))) as (ledger, asked), pytest.raises(ZeroDivisionError):
        submit(ledger, "one", part=0)
    assert asked == []
