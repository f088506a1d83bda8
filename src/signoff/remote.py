"""Requests to an MLflow server, and what their failures mean.

Standard library only: importing MLflow takes seconds. Redirects are not followed, so that credentials reach
no other host.
"""

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import IO, Any, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from signoff.errors import StoreError

Wire: TypeAlias = dict[str, Any]
"""A JSON object as the server sent it."""

_ERROR_BYTES = 65536
_WHAT = {401: "wants valid credentials", 403: "does not allow this", 404: "has no MLflow API here"}
_HINTS = {
    401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    403: "either it is gone (a login's answer is the same then), or ask an administrator of the server for permission",
    404: "check MLFLOW_TRACKING_URI, a path prefix of the server included",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: as sent; of a failure no more than the first 64 KiB.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def good(self) -> bool:
        """A success."""
        return 200 <= self.status < 300

    def said(self) -> tuple[str, str]:
        """A failure's error code and message in MLflow's form; empty when the body holds none."""
        try:
            answer = json.loads(self.body)
            return str(answer.get("error_code", "")), str(answer.get("message", ""))
        except (ValueError, AttributeError):
            return "", ""


class Remote:
    """One MLflow server, or what is reached under its address.

    Args:
        uri: ``http(s)://host[:port][/prefix]``; user and password in it count as given.
        username: user for basic authentication; needs a password.
        password: its password.
        token: bearer token, used when user and password are not both given.
        workspace: MLflow workspace to name in each request; None: the server's only one.
        tls: TLS settings; None: the system's.
        timeout: seconds to wait for the server at each step of a request.

    Attributes:
        address: scheme, host and path, without user, password and options.
    """

    def __init__(
        self,
        uri: str,
        *,
        username: str | None,
        password: str | None,
        token: str | None,
        workspace: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.address, secret = _split(uri)
        self._credentials = _credentials(secret, username, password, token)
        self._workspace = workspace
        self._timeout = timeout
        self._opener = build_opener(_NoRedirect, HTTPSHandler(context=tls))

    def ask(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Wire | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """The answer, whatever its status: GET without a body, POST of JSON with one.

        Args:
            path: below the address, with its first slash.
            query: options.
            body: JSON object to send.
            headers: further headers.
            limit: bytes of a good answer at most; None: no limit.
            timeout: seconds to wait at each step; None: as for every request.

        Raises:
            StoreError: the server cannot be reached, or sends more.
        """
        options = f"?{urlencode(query)}" if query else ""
        request = Request(  # noqa: S310 - _split admits http and https only
            f"{self.address}{path}{options}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        if self._credentials is not None:
            request.add_unredirected_header("Authorization", self._credentials)
        if self._workspace is not None:
            request.add_header("X-MLFLOW-WORKSPACE", self._workspace)
        try:
            with self._opener.open(request, timeout=timeout or self._timeout) as response:
                return _answer(response, self._read(response, limit))
        except HTTPError as error:
            with error:
                return _answer(error, _first_bytes(error))
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise StoreError(
                f"the server cannot be reached: {reason or type(error).__name__}",
                where=self.address,
                hint="check MLFLOW_TRACKING_URI and that the server runs",
            ) from error

    def _read(self, response: HTTPResponse, limit: int | None) -> bytes:
        if limit is None:
            return response.read()
        received = response.read(limit + 1)
        if len(received) > limit:
            raise StoreError(f"the server's answer has more than {limit} bytes", where=self.address)
        return received

    def failure(self, answer: Answer) -> StoreError:
        """What an answer that is no success means."""
        code, message = answer.said()
        if 300 <= answer.status < 400:
            target = urlsplit(answer.headers.get("location", ""))
            return StoreError(
                f"the server redirects to {target.scheme}://{target.hostname or ''}, which is not followed",
                where=self.address,
                hint="set MLFLOW_TRACKING_URI to the final address; a login page may stand before the server",
            )
        failed = answer.status >= 500
        # What a failing server says may hold its database address.
        said = f": {code}" + (f" {message[:200]}" if message and not failed else "") if code else ""
        return StoreError(
            f"the server {_WHAT.get(answer.status, 'failed' if failed else 'refused')} "
            f"(HTTP {answer.status}){said}",
            where=self.address,
            hint=_HINTS.get(answer.status, "look into the server's log" if failed else None),
        )

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turn what fails on an answer of another shape into an error that says so."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StoreError(
                f"the answer is not one that MLflow gives ({type(error).__name__}: {error})",
                where=self.address,
                hint="MLflow 3.16 to 3.18 is needed; check MLFLOW_TRACKING_URI",
            ) from error

    def json_of(self, body: bytes) -> Wire:
        """The JSON object of a good answer.

        Raises:
            StoreError: it is no JSON.
            TypeError: it is no object; for `understood`.
        """
        try:
            answer = json.loads(body)
        except ValueError as error:
            kind = "an HTML page" if body.lstrip()[:1] == b"<" else "something else"
            raise StoreError(
                f"the server answered with {kind} instead of JSON",
                where=self.address,
                hint="check MLFLOW_TRACKING_URI; a login page or proxy may stand before the server",
            ) from error
        if not isinstance(answer, dict):
            raise TypeError(f"{type(answer).__name__} instead of an object")
        return answer


class _NoRedirect(HTTPRedirectHandler):
    """Leaves a redirect to the caller: a login page is no answer, and credentials stay here."""

    def redirect_request(
        self, _req: Request, _fp: IO[bytes], _code: int, _msg: str, _headers: Any, _newurl: str
    ) -> None:
        """Follow nothing."""
        return


def _answer(response: "HTTPResponse | HTTPError", body: bytes) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=int(response.status or 0), headers=headers, body=body)


def _first_bytes(error: HTTPError) -> bytes:
    try:
        return error.read(_ERROR_BYTES)
    except (OSError, HTTPException, ValueError):
        return b""


def _split(uri: str) -> tuple[str, str]:
    """The server's address without secrets, options and trailing slash; and its ``user:password``, or "".

    Raises:
        StoreError: it is no http(s) address, or one that can be read in two ways.
    """
    scheme, separator, _ = uri.partition("://")
    try:
        parts = urlsplit(uri)
        clear = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        clear = False
    if not separator or scheme.lower() not in ("http", "https") or not clear or "@" in parts.path:
        raise StoreError(
            "this is no http(s) address of an MLflow server",
            where=f"{scheme}://…" if separator else None,
            hint="write http://host:port; in user and password write @ as %40, / as %2F, ? as %3F, # as %23",
        )
    secret, _, host = parts.netloc.rpartition("@")
    return f"{scheme.lower()}://{host}{parts.path.rstrip('/')}", secret


def _credentials(secret: str, username: str | None, password: str | None, token: str | None) -> str | None:
    """The Authorization header: user and password given, else those of the address, else the token."""
    if not (username and password):
        user, _, word = secret.partition(":")
        username, password = unquote(user), unquote(word)
    if username and password:
        return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
    return f"Bearer {token}" if token else None
