"""A generator behind an endpoint that speaks OpenAI's chat completions, over HTTP and nothing else."""

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from signoff.errors import ModelError
from signoff.record.bundle import OpenAISettings

_MOST_BYTES = 2_000_000
_BYTES_PER_TOKEN = 4
"""A rough count where the endpoint gives none: English text has about four bytes to a token."""


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
    """Where requests go."""

    secure: bool
    host: str
    port: int | None
    path: str


def endpoint_of(settings: OpenAISettings) -> Endpoint:
    """The endpoint that the environment names.

    Raises:
        ModelError: it names none, or what it names is no address.
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
    return Endpoint(secure=parts.scheme == "https", host=parts.hostname, port=port, path=parts.path)


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
    connection = _connection(address, settings.timeout_s)
    deadline = time.monotonic() + settings.timeout_s
    try:
        try:
            connection.connect()
        except (OSError, HTTPException) as error:
            return Generated(text=None, cost=0.0, problem=f"not reached: {type(error).__name__}")
        try:
            path = f"{address.path.rstrip('/')}/chat/completions"
            connection.request("POST", path, body=body, headers=_headers(settings))
            status, data = _read(connection, deadline)
        except (OSError, HTTPException) as error:
            # It may have been worked on, and be charged for, although no answer came.
            return Generated(text=None, cost=sent, problem=f"no answer: {type(error).__name__}")
    finally:
        connection.close()
    if status != 200:
        # Redirects included: the key and the passages go where the environment says, and nowhere else.
        return Generated(text=None, cost=sent, problem=f"HTTP status {status}")
    return _answer(data, sent, settings)


def _connection(address: Endpoint, timeout: float) -> HTTPConnection:
    kind = HTTPSConnection if address.secure else HTTPConnection
    return kind(address.host, address.port, timeout=timeout)


def _headers(settings: OpenAISettings) -> Mapping[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    key = os.environ.get(settings.key_env, "")
    return {**headers, "Authorization": f"Bearer {key}"} if key else headers


def _read(connection: HTTPConnection, deadline: float) -> tuple[int, bytes]:
    """Status and body, all of it before the deadline: a socket's own time-out starts anew with each byte."""
    _hurry(connection, deadline)
    response: HTTPResponse = connection.getresponse()
    data = bytearray()
    while chunk := response.read1(65_536):
        data += chunk
        if len(data) > _MOST_BYTES:
            raise HTTPException("too long")
        _hurry(connection, deadline)
    return response.status, bytes(data)


def _hurry(connection: HTTPConnection, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    if connection.sock is not None:
        connection.sock.settimeout(left)


def _answer(data: bytes, sent: float, settings: OpenAISettings) -> Generated:
    try:
        said = json.loads(data)
        text = said["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return Generated(text=None, cost=sent, problem="not an answer of the chat completions API")
    usage = said.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    if not isinstance(text, str) or not text.strip():
        return Generated(text=None, cost=_counted(tokens, sent, settings), problem="an empty answer")
    received = _price(math.ceil(len(text.encode(errors="replace")) / _BYTES_PER_TOKEN), settings)
    return Generated(text=text.strip(), cost=_counted(tokens, sent + received, settings))


def _counted(tokens: object, otherwise: float, settings: OpenAISettings) -> float:
    good = isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0
    return _price(tokens, settings) if good and isinstance(tokens, int) else otherwise


def _price(tokens: int, settings: OpenAISettings) -> float:
    return tokens / 1000 * settings.price_per_1000_tokens
