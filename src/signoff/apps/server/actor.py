"""Who asks: the login that the server authenticated, and the person on the roster whom it means.

The program that wraps MLflow's application sees a request before anybody is authenticated. It leaves the request's
scope in a context variable; whoever decides later, deep in a store, in the same task or a thread of it, reads from
it what MLflow's login has found by then.
"""

import getpass
import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from signoff.evidence.roster import Roster
from signoff.release.guard.model import Asker
from signoff.release.model import Reason

Scope: TypeAlias = MutableMapping[str, Any]
"""An ASGI connection scope: https://asgi.readthedocs.io/en/latest/specs/www.html"""

REQUEST: ContextVar[Scope | None] = ContextVar("signoff_request", default=None)
"""The scope of the request that is being answered."""
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?\Z|\[[0-9A-Fa-f:.]+\](:\d{1,5})?\Z")
_KEPT = 4096
"""Logins remembered, so that a stream of new ones does not fill the memory."""


@contextmanager
def asking(scope: Scope) -> Iterator[None]:
    """For the block, what is asked for belongs to the request with this scope."""
    scope.setdefault("state", {})
    held = REQUEST.set(scope)
    try:
        yield
    finally:
        REQUEST.reset(held)


def asked_address() -> str:
    """Scheme and host under which the client asked, such as ``https://mlflow.lab.example``; "" when it says none."""
    scope = REQUEST.get() or {}
    host = next((value for name, value in scope.get("headers", ()) if name == b"host"), b"")
    said = host.decode("latin-1")
    return f"{scope['scheme']}://{said}" if "scheme" in scope and _HOST.match(said) else ""


def authenticated_login() -> str | None:
    """The name under which MLflow's login let the request in; None when nobody is known.

    What a client sends beside its credentials is never asked.
    """
    return _flask_login() or _native_login()


def _flask_login() -> str | None:
    from flask import g, has_request_context

    login = g.get("mlflow_authenticated_user") if has_request_context() else None
    return login if isinstance(login, str) and login else None


def _native_login() -> str | None:
    scope = REQUEST.get()
    state = None if scope is None else scope.get("state")
    login = state.get("username") if isinstance(state, Mapping) else None
    return login if isinstance(login, str) and login else None


@dataclass(kw_only=True, slots=True)
class Askers:
    """The people behind logins, looked up once for each; belongs to one reading of the roster.

    Attributes:
        roster: to find the person.
        single_user: the server has no login; whoever reaches it is the user of its own account.
    """

    roster: Roster
    single_user: bool
    _known: dict[str, Asker] = field(default_factory=dict, repr=False)

    def here(self) -> Asker | None:
        """Who asks here; None when nobody is known, and then nothing may be written."""
        if self.single_user:
            return None if REQUEST.get() is None else self.of(_account())
        login = authenticated_login()
        return None if login is None else self.of(login)

    def of(self, login: str) -> Asker:
        """Who a login is; a server's entry of the roster is no person."""
        known = self._known.get(login)
        if known is None:
            person = self.roster.by_login(login)
            email = None if person is None or person.vouches else person.email
            known = Asker(login=login, person=email, single_user=self.single_user)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[login] = known
        return known


def off_roster(asker: Asker) -> Reason:
    """Why somebody who is logged in decides nothing: the roster does not know the login."""
    return Reason(
        code="not-on-roster",
        message=f"the login {asker.login} is nobody on the roster",
        fix="have the owner of the roster add the person, with the login under `also`",
    )


@cache
def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "nobody"
