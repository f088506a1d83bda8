"""A generator behind an endpoint that speaks OpenAI's chat completions, over HTTP and nothing else."""

import json
import math
import os
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from signoff.errors import ModelError
from signoff.record.bundle import OpenAISettings

_MOST_BYTES = 2_000_000
_BYTES_PER_TOKEN = 4
"""A rough count where the endpoint gives none: English text has about four bytes to a token."""
_MOST_TOKENS = 10_000_000
"""Of one request; an endpoint that counts more than any model reads is not believed."""
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What came of a request.

    Attributes:
        text: the answer; None when the endpoint gave none.
        cost: what it costs: of the tokens that the endpoint counted, or of a rough count of what was sent.
        problem: why there is no answer; "" when there is one. It holds nothing that the endpoint said.
    """

    text: str | None
    cost: float
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where requests go.

    Attributes:
        secure: whether over TLS.
        host: name or number.
        port: None for the usual one.
        path: up to /v1.
        key: sent with each request; "" for none.
    """

    secure: bool
    host: str
    port: int | None
    path: str
    key: str = field(default="", repr=False)


def endpoint_of(settings: OpenAISettings) -> Endpoint:
    """The endpoint that the environment names.

    Raises:
        ModelError: it names none, what it names is no address, or the key cannot be sent.
    """
    named = os.environ.get(settings.base_url_env, "")
    try:
        parts = urlsplit(named)
        port = parts.port
    except ValueError as error:
        raise ModelError(f"{settings.base_url_env} holds no address", where="generator") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(
            f"{settings.base_url_env} names no endpoint",
            where="generator",
            hint=f"set it to the address up to /v1, such as {settings.base_url_env}=http://localhost:8080/v1",
        )
    return Endpoint(
        secure=parts.scheme == "https",
        host=parts.hostname,
        port=port,
        path=parts.path,
        key=_key(settings.key_env),
    )


def _key(variable: str) -> str:
    """The key without the blanks and line ends around it, as a file of secrets often has them."""
    key = os.environ.get(variable, "").strip()
    if key and not _KEY.fullmatch(key):
        raise ModelError(
            f"{variable} holds no key: it has a space, or a character that is not printable ASCII",
            where="generator",
            hint="set it to the key alone, on one line and without quotation marks",
        )
    return key


def generate(prompt: str, settings: OpenAISettings, address: Endpoint) -> Generated:
    """Ask the endpoint once.

    Args:
        prompt: the whole prompt; sent as one message of the user.
        settings: the model, its parameters and price.
        address: where to ask.

    Returns:
        The answer, or why there is none: an endpoint that is down, slow or broken is no error of the caller's.
    """
    body = json.dumps(
        {
            "model": settings.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            **({} if settings.seed is None else {"seed": settings.seed}),
        }
    ).encode()
    sent = _price(math.ceil(len(prompt.encode()) / _BYTES_PER_TOKEN), settings)
    exchange = _Exchange(address, body, settings.timeout_s)
    exchange.wait()
    if exchange.problem:
        # What was sent may have been worked on, and be charged for, although no answer came.
        return Generated(text=None, cost=sent if exchange.sent else 0.0, problem=exchange.problem)
    if exchange.status != 200:
        # Redirects included: the key and the passages go where the environment says, and nowhere else.
        return Generated(text=None, cost=sent, problem=f"HTTP status {exchange.status}")
    return _answer(exchange.data, sent, settings)


class _Exchange:
    """One request and its response, in a thread of its own, which is left when the time is over.

    A socket's own time-out starts anew with each byte, each address of a host and each step of TLS, so whoever
    sends a byte now and then would hold the caller for ever. Here the caller waits once, then cuts the line.

    Attributes:
        sent: whether the request may have gone out.
        status: of the response.
        data: its body.
        problem: why there is no response, without a word of the HTTP library's, which may quote the headers.
    """

    def __init__(self, address: Endpoint, body: bytes, timeout: float) -> None:
        self.sent = False
        self.status = 0
        self.data = b""
        self.problem = ""
        self._address = address
        self._body = body
        self._timeout = timeout
        self._lock = threading.Lock()
        self._over = False
        self._line: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="signoff-generator")

    def wait(self) -> None:
        """Ask, and come back with a response or a problem before the time is over."""
        self._thread.start()
        self._thread.join(self._timeout)
        with self._lock:
            if self._thread.is_alive() and not self._over:
                self.problem = f"no answer within {self._timeout:g} s"
            self._over = True
            self._cut()

    def _run(self) -> None:
        try:
            status, data = self._response()
            problem = ""
        except Exception as error:  # noqa: BLE001 - an endpoint may break the library in ways it does not name
            status, data = 0, b""
            problem = f"{'no answer' if self.sent else 'not reached'}: {type(error).__name__}"
        with self._lock:
            if not self._over:
                self.status, self.data, self.problem = status, data, problem
            self._over = True
            self._cut()

    def _response(self) -> tuple[int, bytes]:
        address = self._address
        kind = HTTPSConnection if address.secure else HTTPConnection
        with closing(kind(address.host, address.port, timeout=self._timeout)) as connection:
            connection.sock = self._connected(connection.port)
            with self._lock:
                self._require_time()
                self.sent = True
            path = f"{address.path.rstrip('/')}/chat/completions"
            connection.request("POST", path, body=self._body, headers=_headers(address.key))
            with closing(connection.getresponse()) as response:
                data = bytearray()
                while chunk := response.read1(65_536):
                    data += chunk
                    if len(data) > _MOST_BYTES:
                        raise HTTPException
                return response.status, bytes(data)

    def _connected(self, port: int) -> socket.socket:
        line = socket.create_connection((self._address.host, port), timeout=self._timeout)
        try:
            with self._lock:
                self._require_time()
                # A second handle of the same connection: whatever the libraries make of theirs, this one cuts it.
                self._line = line.dup()
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self._address.secure:
                return line
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            return context.wrap_socket(line, server_hostname=self._address.host)
        except BaseException:
            line.close()
            raise

    def _require_time(self) -> None:
        if self._over:
            raise TimeoutError

    def _cut(self) -> None:
        """End the connection for whoever still reads or writes; call it with the lock."""
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
            self._line.close()
            self._line = None


def _headers(key: str) -> Mapping[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return {**headers, "Authorization": f"Bearer {key}"} if key else headers


def _answer(data: bytes, sent: float, settings: OpenAISettings) -> Generated:
    try:
        said = json.loads(data)
        text = said["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return Generated(text=None, cost=sent, problem="not an answer of the chat completions API")
    usage = said.get("usage")
    counted = usage.get("total_tokens") if isinstance(usage, dict) else None
    if counted is not None and not (type(counted) is int and 0 <= counted <= _MOST_TOKENS):
        return Generated(text=None, cost=sent, problem="a count of tokens that cannot be")
    known = None if counted is None else _price(counted, settings)
    if not isinstance(text, str) or not text.strip():
        return Generated(text=None, cost=sent if known is None else known, problem="an empty answer")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Generated(
            text=None, cost=sent if known is None else known, problem="an answer that is not Unicode text"
        )
    received = _price(math.ceil(size / _BYTES_PER_TOKEN), settings)
    return Generated(text=text.strip(), cost=sent + received if known is None else known)


def _price(tokens: int, settings: OpenAISettings) -> float:
    return tokens / 1000 * settings.price_per_1000_tokens
