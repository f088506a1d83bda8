"""Attempts on Signoff's own API with an approval that somebody signed and that never arrived."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from guard_server import Guarded, logged_in
from wire import Fault, wired

Body = dict[str, Any]


def signed_approval(place: Guarded, version: int) -> Body:
    """What Ben's command sends to approve a version for prod; the wire loses it, so it never arrives."""
    from signoff.apps.verbs.judge import approve
    from signoff.apps.verbs.reference import VersionReference
    from signoff.apps.workspace import open_actor, open_workspace
    from signoff.errors import StoreError

    caught: list[bytes] = []

    def catch(request: str, body: bytes) -> bytes:
        if request.endswith("/submissions"):
            caught.append(body)
        return body

    with wired(place.address.url) as wire, logged_in("ben"):
        wire.change = catch
        wire.fault = Fault(request="POST .*/submissions", when="before", again=True)
        os.environ["MLFLOW_TRACKING_URI"] = wire.address
        try:
            workspace = open_workspace(str(place.team.folder / "signoff.yaml"))
            approve(
                workspace,
                VersionReference(name="tumours", version=version),
                environment="prod",
                actor=open_actor(workspace, place.team.key("ben")),
                ticked=(),
                comment="read",
            )
        except StoreError:
            found: Body = json.loads(caught[0])
            return found
        finally:
            del os.environ["MLFLOW_TRACKING_URI"]
    raise AssertionError("the approval arrived")


def _entry(body: Body, **changed: object) -> Body:
    entry = json.loads(body["entries"][0]) | changed
    return body | {"entries": [json.dumps(entry, sort_keys=True, separators=(",", ":"))]}


def _envelope(body: Body, change: Callable[[dict[str, Any]], None]) -> Body:
    envelope = json.loads(body["statements"][0])
    change(envelope)
    return body | {"statements": [json.dumps(envelope)]}


def _payload(body: Body, **changed: object) -> Body:
    import base64

    def change(envelope: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(envelope["payload"]))
        statement["predicate"] |= changed
        text = json.dumps(statement, sort_keys=True, separators=(",", ":"))
        envelope["payload"] = base64.b64encode(text.encode()).decode()

    return _envelope(body, change)


def about_another_version(body: Body) -> Body:
    """The approval with an entry that says something else than what was signed."""
    detail = json.loads(body["entries"][0])["detail"] | {"approved_by": "everybody"}
    return _entry(body, subject="tumours/2 for prod", detail=detail)


FORGED: Mapping[str, Callable[[Body], Body]] = {
    "without its signature": lambda body: _envelope(body, lambda envelope: envelope.update(signatures=[])),
    "without its statement": lambda body: body | {"statements": []},
    "another person named as approver": lambda body: _payload(body, approver="cleo@lab.example"),
    "another version": lambda body: _payload(body, version=2),
    "another environment": lambda body: _payload(body, environment="test"),
    "words that were not signed": lambda body: _payload(body, comment="never read"),
    "entry by another person": lambda body: _entry(body, actor="cleo@lab.example"),
    "entry of a release": lambda body: _entry(body, action="promote"),
    "entry of another use case": lambda body: _entry(body, use_case="cells"),
    "entry of a freeze": lambda body: _entry(body, action="freeze", statement=None) | {"statements": []},
    "entry of the guard": lambda body: (
        _entry(body, action="guard:alias", statement=None) | {"statements": []}
    ),
    "entry of another day": lambda body: _entry(body, at="2026-01-01T00:00:00Z"),
    "two entries": lambda body: body | {"entries": body["entries"] * 2},
    "with an alias to move": lambda body: (
        body | {"alias": {"name": "tumours", "alias": "prod", "version": 2}}
    ),
    "with a field more": lambda body: body | {"force": True},
}
"""What the sender changes in the signed approval, by name."""
