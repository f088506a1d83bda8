"""Signoff's pages on the guarded server: what is released, what was refused lately, and what each rule is for."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from signoff.apps.verbs.status import statuses
from signoff.apps.workspace import Workspace, now
from signoff.errors import SignoffError
from signoff.evidence.ledger import Entry
from signoff.review.server_page import SHOWN, ServerView, rule_page, server_page
from signoff.standard.guard import GUARD_RULES

_log = logging.getLogger(__name__)
Opened: TypeAlias = Callable[[], Workspace]
_LOOKED_AT = 2000
"""Newest log entries in which refusals are looked for."""
_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page says the rest itself
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page_routes(opened: Opened, *, problems: Callable[[], Sequence[str]]) -> list[Route]:
    """The routes of the pages; whoever reaches them is logged in.

    Args:
        opened: the team's workspace by the standard in force.
        problems: what is wrong with the server itself.
    """

    async def overview(request: Request) -> Response:
        login = str(request.scope.get("state", {}).get("username", ""))
        try:
            return _page(
                await run_in_threadpool(lambda: server_page(_view(opened(), login, tuple(problems()))))
            )
        except SignoffError as error:
            _log.warning("signoff: the overview cannot be shown: %s", error)
            text = "This cannot be shown now; the server's log says why."  # addresses are nobody's business
            return PlainTextResponse(text, status_code=503, headers=_HEADERS)

    async def rule(request: Request) -> Response:
        named = next((rule for rule in GUARD_RULES if rule == request.path_params["rule"]), None)
        if named is None:
            return PlainTextResponse("There is no such rule.", status_code=404, headers=_HEADERS)
        return _page(await run_in_threadpool(rule_page, named, opened().standard.guard))

    async def slash(_request: Request) -> Response:
        # Links in the page are relative to a folder; this one holds below a static prefix too.
        return RedirectResponse("signoff/", status_code=307)

    return [
        Route("/signoff", slash, methods=["GET"]),
        Route("/signoff/", overview, methods=["GET"]),
        Route("/signoff/rules/{rule}", rule, methods=["GET"]),
    ]


def _page(text: str) -> HTMLResponse:
    return HTMLResponse(text, headers=_HEADERS)


def _view(workspace: Workspace, login: str, problems: tuple[str, ...]) -> ServerView:
    standard, people = workspace.standard, workspace.people()
    person = people.roster.by_login(login) if login else None
    return ServerView(
        login=login or "the one user of a server without login",
        person="" if person is None else f"{person.email} ({', '.join(person.roles)})",
        standard=f"standard version {standard.version}, profile {standard.profile}, {standard.digest.short}",
        at=now(),
        problems=problems,
        use_cases=statuses(workspace, standard.use_cases.values()),
        refusals=_refusals(workspace),
        guard=standard.guard,
    )


def _refusals(workspace: Workspace) -> tuple[Entry, ...]:
    """The newest refusals and warnings of the guard, newest first."""
    rows = [row.entry for row in workspace.ledger().entries(last=_LOOKED_AT)]
    told = [
        entry
        for entry in reversed(rows)
        if entry.action.startswith("guard:")
        and (entry.outcome == "refused" or entry.detail.get("mode") == "warn")
    ]
    return tuple(told[:SHOWN])
