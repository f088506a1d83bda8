"""Signoff's API beside MLflow's: the ledger to read, and submissions to write it.

Every route is reached after the login. Answers are JSON; what went wrong is said in MLflow's form, ``error_code`` and
``message``. A decision is never an error of the server's: 403 refused, 409 somebody was quicker, 400 makes no sense,
422 could not be decided.
"""

import base64
import gzip
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signoff.adapters.ledger_http import STANDARD_HEADER
from signoff.addresses import masked
from signoff.apps.server.submissions import accept, parse_submission
from signoff.apps.workspace import Workspace
from signoff.errors import ConflictError, EvidenceError, RefusedError, SignoffError, UsageError
from signoff.evidence.audit import StoredLedger
from signoff.evidence.log_entry import read_entry
from signoff.evidence.statement import KINDS, StatementKind
from signoff.record.digest import Digest, Json
from signoff.release.approval import head_json
from signoff.release.guard.model import Asker
from signoff.standard.guard import GuardRules

_MOST_BYTES = 4 << 20
"""Of a submission: an envelope has 2 MiB of text at most, an entry a quarter."""
_PACKED_FROM = 1024
_log = logging.getLogger(__name__)

Answering = Callable[[Request], Awaitable[Response]]


class Office(Protocol):
    """What the API needs of the server's guard."""

    def workspace(self) -> Workspace:
        """The standard in force, over the server's own database."""

    def asker(self) -> Asker | None:
        """Who asks here."""

    def rules(self) -> GuardRules:
        """The guard's rules in force."""

    def problems(self) -> tuple[str, ...]:
        """What an operator must look at."""


class _BadRequestError(Exception):
    """A request that is not read any further.

    Attributes:
        status: HTTP status.
        message: what is wrong.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def routes(office: Office) -> list[Route]:
    """The API's routes, without the prefix below which they are mounted."""
    gets: Mapping[str, Callable[[Office, Request], Response]] = {
        "/whoami": _whoami,
        "/head": _head,
        "/stored": _stored,
        "/statements": _statements,
        "/statements/{id}": _statement,
        "/entries": _entries,
        "/standard": _standard,
        "/problems": _problems,
    }
    return [
        *(Route(path, _reading(office, answer), methods=["GET"]) for path, answer in gets.items()),
        Route("/submissions", _submitting(office), methods=["POST"]),
    ]


def _reading(office: Office, answer: Callable[[Office, Request], Response]) -> Answering:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answered, office, lambda: answer(office, request))

    return endpoint


def _submitting(office: Office) -> Answering:
    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request)
        except _BadRequestError as error:
            return _error(error.status, "INVALID_PARAMETER_VALUE", error.message)
        return await run_in_threadpool(_answered, office, lambda: _submit(office, body))

    return endpoint


async def _body(request: Request) -> bytes:
    """The body of a request, read no further than is allowed.

    Raises:
        _BadRequestError: it is no JSON by its content type, or too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _BadRequestError(415, "a submission is sent as application/json")
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > _MOST_BYTES:
            raise _BadRequestError(413, f"a submission has {_MOST_BYTES} bytes at most")
    return bytes(received)


def _answered(office: Office, answer: Callable[[], Response]) -> Response:
    """The answer, or what went wrong as one; with the standard that the server decides by."""
    try:
        response = answer()
    except RefusedError as error:
        response = _error(403, "PERMISSION_DENIED", error.what)
    except ConflictError as error:
        response = _error(409, "RESOURCE_CONFLICT", error.what)
    except _BadRequestError as error:
        response = _error(error.status, "INVALID_PARAMETER_VALUE", error.message)
    except (UsageError, EvidenceError) as error:
        response = _error(400, "INVALID_PARAMETER_VALUE", masked(str(error), os.environ))
    except SignoffError as error:
        response = _error(422, "UNDECIDED", f"the server could not decide: {masked(str(error), os.environ)}")
    except Exception:  # noqa: BLE001 - 5xx would have clients try again, and lose the text
        _log.exception("a request to Signoff's API was not expected")
        response = _error(422, "UNDECIDED", "the server could not decide; its log says why")
    try:
        response.headers[STANDARD_HEADER] = str(office.workspace().standard.digest)
    except SignoffError:
        _log.warning("the standard in force cannot be read")
    return response


def _error(status: int, code: str, message: str) -> Response:
    return _json({"error_code": code, "message": message}, status=status)


def _json(value: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(value, ensure_ascii=False).encode()
    given = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(body, status_code=status, media_type="application/json", headers=given)


def _packed(value: Json, request: Request, *, headers: Mapping[str, str]) -> Response:
    body = json.dumps(value, ensure_ascii=False).encode()
    given = {"Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff", **headers}
    accepted = {
        part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")
    }
    if "gzip" in accepted and len(body) >= _PACKED_FROM:
        body, given = gzip.compress(body, compresslevel=5), {**given, "Content-Encoding": "gzip"}
    return Response(body, media_type="application/json", headers=given)


def _submit(office: Office, body: bytes) -> Response:
    asker = office.asker()
    if asker is None:
        return _error(401, "UNAUTHENTICATED", "log in to use this")
    workspace = office.workspace()
    accept(workspace, parse_submission(body), asker=asker)
    head = workspace.ledger().head()
    return _json(head_json(head))


def _whoami(office: Office, _request: Request) -> Response:
    asker = office.asker()
    if asker is None:
        return _error(401, "UNAUTHENTICATED", "log in to use this")
    people = office.workspace().people()
    roles = () if asker.person is None else people.roles_of(asker.person)
    may = sorted({transition for role in roles for transition in people.roles.get(role, ())})
    return _json(
        {
            "login": asker.login,
            "person": asker.person,
            "single_user": asker.single_user,
            "roles": list(roles),
            "may": list(may),
        }
    )


def _head(office: Office, _request: Request) -> Response:
    head = office.workspace().ledger().head()
    return _json(head_json(head))


def _stored(office: Office, request: Request) -> Response:
    start = _whole(request, "from", 0)
    stored = office.workspace().ledger(create=True).stored()
    tag = f'"{stored.head.size}-{stored.head.root.hex[:32]}-{start}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return _packed(_page(stored, start), request, headers=headers)


def _page(stored: StoredLedger, start: int) -> Json:
    """The log from an entry on, with the statements that its entries name; from the first on with all there are."""
    rows = stored.rows[start:]
    named: set[str | None] = set()
    for row in rows if start else ():
        try:
            named.add(read_entry(row.entry).statement)
        except EvidenceError:
            continue  # whoever reads it will see that for themselves
    return {
        "from": start,
        "head": head_json(stored.head),
        "frontier": _base64(stored.frontier),
        "rows": [
            {
                "index": row.index,
                "entry": _base64(row.entry),
                "leaf": _base64(row.leaf),
                "use_case": row.use_case,
            }
            for row in rows
        ],
        "statements": [
            {"id": row.id, "envelope": row.envelope, "use_case": row.use_case}
            for row in stored.statements
            if not start or row.id in named
        ],
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _statement(office: Office, request: Request) -> Response:
    found = office.workspace().ledger().get(Digest.parse(request.path_params["id"]))
    if found is None:
        return _error(404, "RESOURCE_DOES_NOT_EXIST", "there is no such statement")
    return _json({"id": str(found.id), "envelope": found.to_json()})


def _statements(office: Office, request: Request) -> Response:
    query = _query(request, "use_case", "kind", "version", "run_id")
    kind = query.get("kind")
    if kind is not None and kind not in KINDS:
        raise _BadRequestError(400, f"there is no kind {kind!r}")
    known: StatementKind | None = next((one for one in KINDS if one == kind), None)
    found = (
        office.workspace()
        .ledger()
        .find(
            use_case=_needed(query, "use_case"),
            kind=known,
            version=query.get("version"),
            run_id=query.get("run_id"),
        )
    )
    return _json({"statements": [envelope.to_json() for envelope in found]})


def _entries(office: Office, request: Request) -> Response:
    query = _query(request, "use_case", "last")
    last = _whole(request, "last", 0) if "last" in query else None
    if last == 0:
        raise _BadRequestError(400, "last is 1 or more")
    found = office.workspace().ledger().entries(use_case=query.get("use_case"), last=last)
    return _json({"entries": [{"index": one.index, "entry": one.entry.to_json()} for one in found]})


def _standard(office: Office, _request: Request) -> Response:
    workspace = office.workspace()
    standard, roster = workspace.standard, workspace.people().roster
    return _json(
        {
            "digest": str(standard.digest),
            "version": standard.version,
            "profile": standard.profile,
            "roster": str(roster.digest),
            "guard": office.rules().to_json(),
        }
    )


def _problems(office: Office, _request: Request) -> Response:
    return _json({"problems": list(office.problems())})


def _query(request: Request, *known: str) -> dict[str, str]:
    """The options of a request: each once, and no others.

    Raises:
        _BadRequestError: another one, or one twice.
    """
    given: list[tuple[str, Any]] = list(request.query_params.multi_items())
    query = {name: str(value) for name, value in given}
    other = sorted(set(query) - set(known))
    if other or len(query) != len(given):
        raise _BadRequestError(400, f"unknown or repeated option {', '.join(other) or 'in the query'}")
    return query


def _needed(query: Mapping[str, str], name: str) -> str:
    if name not in query:
        raise _BadRequestError(400, f"{name} is missing")
    return query[name]


def _whole(request: Request, name: str, otherwise: int) -> int:
    text = _query(request, "from", "last", "use_case").get(name)
    if text is None:
        return otherwise
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise _BadRequestError(400, f"{name} is a whole number")
    return int(text)
