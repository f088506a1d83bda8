"""What the guarded server adds to a request: headers for warnings, its own paths, and nothing else."""

import asyncio
from typing import Any

import pytest

from signoff.apps.server.actor import REQUEST, Scope, asked_address, asking
from signoff.apps.server.asgi import TOLD, GuardedServer, Message, Receive, Send, warning_headers
from signoff.apps.server.login import Denied, Gate, is_cross_origin
from signoff.release.guard.model import Objection, Ruling
from signoff.release.model import Reason


def objection(subject: str) -> Objection:
    reason = Reason(code="run-frozen", message="stays\nas it was judged — for ever", fix="log to a new run")
    return Objection(rule="freeze", use_case="churn", subject=subject, reason=reason)


class Inner:
    """An application that remembers the scopes that it saw, and may have been told something."""

    def __init__(self, *told: Ruling) -> None:
        self.seen: list[Scope] = []
        self.told = told

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        if scope["type"] != "http":
            return
        if self.told:
            asked = REQUEST.get()
            assert asked is not None
            asked.setdefault(TOLD, []).extend(self.told)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})


class Teller:
    def __init__(self) -> None:
        self.written: list[Ruling] = []

    def write_told(self, told: list[Ruling]) -> None:
        assert REQUEST.get() is not None
        self.written += told


def asked(app: Any, **scope: Any) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "GET", "headers": [], **scope}, receive, send))
    return sent


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/signoff", "/signoff"),
        ("/signoff/", "/signoff/"),
        ("/api/2.0/signoff/head", "/api/2.0/signoff/head"),
        ("/team/ajax-api/2.0/signoff/head", "/ajax-api/2.0/signoff/head"),
        ("/team/signoff/rules/alias", "/signoff/rules/alias"),
        ("/signoffs", None),
        ("/api/2.0/signoff-other", None),
        ("//signoff", None),
        ("/team", None),
        ("/api/2.0/mlflow/runs/create", None),
    ],
)
def test_only_whole_segments_lead_to_our_routes_and_they_see_no_static_prefix(
    path: str, own: str | None
) -> None:
    mlflow, ours = Inner(), Inner()
    asked(GuardedServer(mlflow, ours, teller=Teller(), static_prefix="/team"), path=path)
    assert [scope["path"] for scope in ours.seen] == ([] if own is None else [own])
    assert [scope["path"] for scope in mlflow.seen] == ([path] if own is None else [])


def test_lifespan_is_mlflows_and_no_request() -> None:
    mlflow = Inner()
    app = GuardedServer(mlflow, Inner(), teller=Teller(), static_prefix="")
    asyncio.run(app({"type": "lifespan"}, _nothing, _ignored))
    assert mlflow.seen == [{"type": "lifespan"}]


def test_warnings_are_headers_and_what_was_told_is_written_after_the_answer() -> None:
    ruling = Ruling(warned=(objection("run 1"), objection("run 2")))
    teller = Teller()
    sent = asked(GuardedServer(Inner(ruling), Inner(), teller=teller, static_prefix=""), path="/x")
    assert sent[0]["headers"] == [(b"a", b"b"), *warning_headers([ruling])]
    assert [value for _, value in warning_headers([ruling])] == [
        b"freeze: run 1: stays as it was judged ? for ever",
        b"freeze: run 2: stays as it was judged ? for ever",
    ]
    assert teller.written == [ruling]
    assert REQUEST.get() is None


def test_a_log_that_cannot_be_written_takes_no_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Teller):
        def write_told(self, told: list[Ruling]) -> None:
            raise OSError(str(len(told)))

    inner = Inner(Ruling(refused=(objection("run 1"),)))
    sent = asked(GuardedServer(inner, Inner(), teller=Broken(), static_prefix=""), path="/x")
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert "could not be written" in caplog.text


@pytest.mark.parametrize(
    ("headers", "allowed", "crossed"),
    [
        ({}, (), False),
        ({"host": "ml.lab:5000", "origin": "http://ml.lab:5000"}, (), False),
        ({"host": "ml.lab", "origin": "https://ML.lab"}, (), False),
        ({"host": "ml.lab", "origin": "http://ml.lab:81"}, (), True),
        ({"host": "ml.lab", "origin": "http://evil.example"}, (), True),
        ({"host": "ml.lab", "origin": "http://ml.lab.evil.example"}, (), True),
        ({"host": "ml.lab", "origin": "null"}, (), True),
        ({"origin": "http://ml.lab"}, (), True),
        ({"host": "ml.lab", "origin": "http://ui.lab"}, ("http://ui.lab",), False),
        (
            {"host": "ml.lab", "origin": "http://ui.lab", "sec-fetch-site": "same-site"},
            ("http://ui.lab",),
            False,
        ),
        ({"host": "ml.lab", "sec-fetch-site": "cross-site"}, (), True),
        ({"host": "ml.lab", "sec-fetch-site": "same-site"}, (), True),
        ({"host": "ml.lab", "sec-fetch-site": "same-origin"}, (), False),
        ({"host": "ml.lab", "sec-fetch-site": "none"}, (), False),
    ],
)
def test_a_page_of_another_site_is_known_by_its_headers(
    headers: dict[str, str],
    allowed: tuple[str, ...],
    crossed: bool,  # noqa: FBT001
) -> None:
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert is_cross_origin(given, allowed) is crossed


def test_the_gate_names_the_login_that_was_found_and_no_other() -> None:
    class Found:
        def __init__(self, found: str | Denied) -> None:
            self.found = found

        async def authenticate(self, scope: Scope) -> str | Denied:
            return self.found if scope["path"] else Denied()

    inner = Inner()
    asked(Gate(inner, login=Found("ana")), path="/x", state={"username": "somebody else"})
    assert [scope["state"]["username"] for scope in inner.seen] == ["ana"]
    for denied in (Denied(), Denied(status=302, headers=((b"location", b"/login"),), body=b"go")):
        refused = Inner()
        assert asked(Gate(refused, login=Found(denied)), path="/x", state={})[0]["status"] == denied.status
        assert refused.seen == []


async def _nothing() -> Message:
    return {"type": "lifespan.startup"}


async def _ignored(message: Message) -> None:
    assert message


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (b"mlflow.lab.example", "https://mlflow.lab.example"),
        (b"127.0.0.1:5000", "https://127.0.0.1:5000"),
        (b"[::1]:5000", "https://[::1]:5000"),
        (b"evil.example/x", ""),
        (b"lab.example\nMore: evil", ""),
        (b"ana@evil.example", ""),
        (b"", ""),
    ],
)
def test_a_link_names_the_host_that_was_asked_and_nothing_that_is_no_host(host: bytes, address: str) -> None:
    with asking({"type": "http", "scheme": "https", "headers": [(b"host", host)]}):
        assert asked_address() == address


def test_without_a_request_a_link_is_a_path() -> None:
    assert asked_address() == ""
