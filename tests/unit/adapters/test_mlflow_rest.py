import base64
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from signoff.adapters.mlflow_rest import RestReader
from signoff.errors import StoreError


@dataclass
class Site:
    """A web server that gives one answer to everything and remembers what it was asked."""

    address: str
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer.asked.append((self.path, self.headers["Authorization"]))
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answer = Site(address=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


HTML = b"<!doctype html><title>Log in</title>"


@pytest.mark.parametrize(
    ("status", "body", "message", "hint"),
    [
        (401, b"", "wants valid credentials", "MLFLOW_TRACKING_USERNAME"),
        (403, b"Permission denied", "does not allow", "permission"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}', "not yours", "permission"),
        (404, HTML, "no MLflow API here", "path prefix"),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "bad name"}', "bad name", ""),
        (
            500,
            b'{"error_code": "INTERNAL_ERROR", "message": "pg://u:hunter2@h"}',
            "INTERNAL_ERROR",
            "server's log",
        ),
        (502, HTML, "HTTP 502", "server's log"),
        (200, HTML, "an HTML page instead of JSON", "login page"),
        (200, b"", "something else instead of JSON", "login page"),
        (200, b"[]", "not one that MLflow gives", "3.16"),
        (200, b'{"run": {}}', "not one that MLflow gives", "3.16"),
        (200, b'{"detail": "hello"}', "not one that MLflow gives", "3.16"),
    ],
)
def test_each_failure_says_what_it_is(site: Site, status: int, body: bytes, message: str, hint: str) -> None:
    site.status, site.body = status, body
    with pytest.raises(StoreError, match=message) as caught:
        RestReader(site.address).run("1")
    assert caught.value.where == site.address
    assert hint in (caught.value.hint or "")
    assert "hunter2" not in str(caught.value)


def test_what_does_not_exist_is_none_or_an_unknown_run(site: Site) -> None:
    site.status, site.body = 404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}'
    reader = RestReader(site.address)
    assert reader.version("churn", 1) is None
    assert reader.versions("churn") == ()
    assert reader.alias("churn", "prod") is None
    with pytest.raises(StoreError, match="no active run 'f00'"):
        reader.run("f00")


def test_a_redirect_is_not_followed(site: Site) -> None:
    site.status, site.headers = 302, {"Location": f"{site.address}/login?state=secret"}
    with pytest.raises(StoreError, match=r"redirects to http://127\.0\.0\.1,") as caught:
        RestReader(site.address, token="hunter2").run("1")  # noqa: S106 - a word to look for
    assert len(site.asked) == 1
    assert "secret" not in str(caught.value)


def test_a_closed_port_and_a_silent_server_are_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StoreError, match="timed out"):
            RestReader(address, timeout=0.1).experiments()
    with pytest.raises(StoreError, match="refused"):
        RestReader(address).experiments()


def test_a_cut_answer_is_unreachable(site: Site) -> None:
    site.headers = {"Content-Length": "1000"}
    with pytest.raises(StoreError, match="cannot be reached"):
        RestReader(site.address).experiments()


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("secret", "given", "expected"),
    [
        ("", {}, None),
        ("", {"username": "ana", "password": "pw:ü"}, _basic("ana:pw:ü")),
        ("", {"token": "t0k"}, "Bearer t0k"),
        ("", {"username": "ana", "password": "pw", "token": "t0k"}, _basic("ana:pw")),
        ("", {"username": "ana", "token": "t0k"}, "Bearer t0k"),
        ("bo:p%40w@", {}, _basic("bo:p@w")),
        ("bo:pw@", {"username": "ana", "password": "pw"}, _basic("ana:pw")),
    ],
)
def test_credentials(site: Site, secret: str, given: dict[str, str], expected: str | None) -> None:
    reader = RestReader(site.address.replace("://", f"://{secret}") + "/", **given)  # type: ignore[arg-type]
    assert reader.experiments() == ()
    assert site.asked == [("/api/2.0/mlflow/experiments/search", expected)]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mlflow",
        "ftp://host",
        "http://",
        "http:///x",
        "http://h:x/",
        "http://ana:hunter2/x@host",
        "http://h/a@b",
    ],
)
def test_an_address_that_is_unclear_is_refused(uri: str) -> None:
    with pytest.raises(StoreError, match="no http") as caught:
        RestReader(uri)
    assert "hunter2" not in str(caught.value)


def test_a_path_prefix_of_the_server_is_kept(site: Site) -> None:
    site.body = json.dumps({"registered_model": {"aliases": [{"alias": "prod", "version": "3"}]}}).encode()
    assert RestReader(f"{site.address}/mlflow/").alias("churn", "prod") == 3
    assert site.asked[0][0] == "/mlflow/api/2.0/mlflow/registered-models/get?name=churn"


def test_a_server_that_repeats_its_page_token_is_not_asked_for_ever(site: Site) -> None:
    site.body = json.dumps(
        {"experiments": [{"experiment_id": "1", "name": "churn"}], "next_page_token": "again"}
    ).encode()
    assert RestReader(site.address).runs(("other",)) == ()
    assert len(site.asked) == 2
