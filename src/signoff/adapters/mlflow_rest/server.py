"""Requests to an MLflow server, and what their failures mean.

Standard library only: importing MLflow takes seconds. Redirects are not followed, so that credentials reach
no other host.
"""

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import IO, Any, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from signoff.errors import StoreError

Wire: TypeAlias = dict[str, Any]
"""A JSON object as the server sent it."""

_API = "/api/2.0/mlflow"
PAGE = 1000
"""Items to ask for per page."""
_WHAT = {401: "wants valid credentials", 403: "does not allow this", 404: "has no MLflow API here"}
_HINTS = {
    401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    403: "ask an administrator of the server for permission to read this",
    404: "check MLFLOW_TRACKING_URI, a path prefix of the server included",
}


class Server:
    """One MLflow server; the arguments are those of `RestReader`.

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
        workspace: str | None,
        tls: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        self.address, secret = _split(uri)
        self._credentials = _credentials(secret, username, password, token)
        self._workspace = workspace
        self._timeout = timeout
        self._opener = build_opener(_NoRedirect, HTTPSHandler(context=tls))

    def get(self, resource: str, query: Mapping[str, str] | None = None) -> Wire | None:
        """A JSON object of the API; None when MLflow says that the thing does not exist."""
        return self._json(self._send(f"{_API}/{resource}", query=query))

    def file(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """A file's bytes; None when MLflow says that there is no such file."""
        return self._send(path, query=query)

    def list(self, resource: str, key: str, query: Mapping[str, str]) -> Iterator[Wire]:
        """The items below a key of all pages that GET gives; none when the thing does not exist."""
        token = ""
        while True:
            page = self.get(resource, {**query, "page_token": token} if token else query) or {}
            yield from page.get(key, ())
            if not (token := _next(page, token)):
                return

    def search(self, resource: str, key: str, body: Wire) -> Iterator[Wire]:
        """The items below a key of all pages that POST gives."""
        token = ""
        while True:
            asked = {**body, "page_token": token} if token else body
            page = self._json(self._send(f"{_API}/{resource}", body=asked)) or {}
            yield from page.get(key, ())
            if not (token := _next(page, token)):
                return

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

    def _send(
        self, path: str, *, query: Mapping[str, str] | None = None, body: Wire | None = None
    ) -> bytes | None:
        options = f"?{urlencode(query)}" if query else ""
        request = Request(  # noqa: S310 - _split admits http and https only
            f"{self.address}{path}{options}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if self._credentials is not None:
            request.add_unredirected_header("Authorization", self._credentials)
        if self._workspace is not None:
            request.add_header("X-MLFLOW-WORKSPACE", self._workspace)
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                received: bytes = response.read()
                return received
        except HTTPError as error:
            with error:
                if (refusal := self._refusal(error)) is None:
                    return None
                raise refusal from error
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise StoreError(
                f"the server cannot be reached: {reason or type(error).__name__}",
                where=self.address,
                hint="check MLFLOW_TRACKING_URI and that the server runs",
            ) from error

    def _refusal(self, error: HTTPError) -> StoreError | None:
        """What an answer that is no success means; None: the thing asked for does not exist."""
        code, message = _reason(error)
        if error.code == 404 and code == "RESOURCE_DOES_NOT_EXIST":
            return None
        if 300 <= error.code < 400:
            target = urlsplit(error.headers.get("Location", ""))
            return StoreError(
                f"the server redirects to {target.scheme}://{target.hostname or ''}, which is not followed",
                where=self.address,
                hint="set MLFLOW_TRACKING_URI to the final address; a login page may stand before the server",
            )
        failed = error.code >= 500
        # What a failing server says may hold its database address.
        said = f": {code}" + (f" {message[:200]}" if message and not failed else "") if code else ""
        return StoreError(
            f"the server {_WHAT.get(error.code, 'failed' if failed else 'refused')} "
            f"(HTTP {error.code}){said}",
            where=self.address,
            hint=_HINTS.get(error.code, "look into the server's log" if failed else None),
        )

    def _json(self, body: bytes | None) -> Wire | None:
        if body is None:
            return None
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


def _next(page: Wire, token: str) -> str:
    """The token of the next page; "" after the last one, also for a server that repeats itself."""
    following = str(page.get("next_page_token") or "")
    return "" if following == token else following


def _reason(error: HTTPError) -> tuple[str, str]:
    """MLflow's error code and message; empty when the body holds none."""
    try:
        answer = json.loads(error.read(65536))
        return str(answer.get("error_code", "")), str(answer.get("message", ""))
    except (OSError, HTTPException, ValueError, AttributeError):
        return "", ""


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
