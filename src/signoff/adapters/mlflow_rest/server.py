"""MLflow's REST API: JSON objects, pages, files."""

from collections.abc import Iterator, Mapping

from signoff.remote import Remote, Wire

_API = "/api/2.0/mlflow"
PAGE = 1000
"""Items to ask for per page."""


class Server:
    """MLflow's API on one server.

    Args:
        remote: the server.

    Attributes:
        address: the server's, for messages.
        understood: see `Remote`.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.address = remote.address
        self.understood = remote.understood

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

    def _send(
        self, path: str, *, query: Mapping[str, str] | None = None, body: Wire | None = None
    ) -> bytes | None:
        answer = self._remote.ask(path, query=query, body=body)
        if answer.good:
            return answer.body
        if answer.status == 404 and answer.said()[0] == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise self._remote.failure(answer)

    def _json(self, body: bytes | None) -> Wire | None:
        return None if body is None else self._remote.json_of(body)


def _next(page: Wire, token: str) -> str:
    """The token of the next page; "" after the last one, also for a server that repeats itself."""
    following = str(page.get("next_page_token") or "")
    return "" if following == token else following
