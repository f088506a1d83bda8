"""The same requests in every other spelling that a server may understand."""

import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from bypass_attempt import GUARD, NO_SUCH, Attempt, Request
from bypass_evidence import METRIC
from bypass_release import TO_UNAPPROVED

ROUTES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "alias": ("registered-models/alias", TO_UNAPPROVED),
    "metric": ("runs/log-metric", METRIC),
    "tag": ("runs/set-tag", {"run_id": "{running}", "key": "signoff.status", "value": "x"}),
    "registration": (
        "model-versions/create",
        {"name": "tumours", "source": "runs:/{finished}/model", "run_id": "{finished}"},
    ),
    "batch": (
        "runs/log-batch",
        {"run_id": "{proposed}", "params": [{"key": "late", "value": "1"}]},
    ),
    "reopening": ("runs/update", {"run_id": "{proposed}", "status": "RUNNING"}),
    "deletion": ("runs/delete", {"run_id": "{released}"}),
}
"""Subject, route and body of what is spelled in other ways."""
REACHES = frozenset(
    {
        "page's address",
        "letter encoded",
        "first letter of the address encoded",
        "slash encoded",
        "two slashes ahead",
        "two slashes within",
        "three slashes ahead of the page's address",
        "other case of names",
        "JSON in a string",
        "query beside the body",
        "method by header",
    }
)
"""Spellings that a bare server understands."""


_MLFLOWS_OWN = {
    "GET with a body": frozenset({200}),
    "GET with a query": frozenset({200}),
    "query instead of a body": frozenset({500}),
}
"""Answers of a bare server too: it reads an alias, and trips over a batch without a body."""
BY_NAME = frozenset({"alias", "registration"})
"""Subjects whose bodies need no run_id, which MLflow wants by exactly that name."""


def spelled() -> Iterator[Attempt]:
    """Each route in each spelling."""
    for subject, (route, body) in ROUTES.items():
        for spelling, request in _spellings(route, body):
            reaches = spelling in REACHES and (spelling != "other case of names" or subject in BY_NAME)
            yield Attempt(
                name=f"{subject}, {spelling}",
                requests=(request,),
                answers=GUARD if reaches else NO_SUCH | _MLFLOWS_OWN.get(spelling, frozenset()),
                bare=reaches,
            )


def _spellings(route: str, body: Mapping[str, object]) -> Iterator[tuple[str, Request]]:
    plain, straight = dict(body), f"/api/2.0/mlflow/{route}"
    head, _, tail = route.partition("/")
    encoded = f"/api/2.0/mlflow/{head}/%{ord(tail[0]):02x}{tail[1:]}"
    paths = {
        "page's address": f"/ajax-api/2.0/mlflow/{route}",
        "version 3.0": f"/api/3.0/mlflow/{route}",
        "page's version 3.0": f"/ajax-api/3.0/mlflow/{route}",
        "letter encoded": encoded,
        "first letter of the address encoded": f"/%61pi/2.0/mlflow/{route}",
        "encoded twice": encoded.replace("%", "%25"),
        "slash encoded": f"/api/2.0/mlflow/{head}%2F{tail}",
        "trailing slash": f"{straight}/",
        "two slashes ahead": f"/{straight}",
        "two slashes within": f"/api/2.0/mlflow//{route}",
        "three slashes ahead of the page's address": f"///ajax-api/2.0/mlflow/{route}",
        "dot within": f"/api/2.0/mlflow/./{route}",
        "back and forth": f"/api/2.0/mlflow/x/../{route}",
        "capital letters": f"/API/2.0/MLFLOW/{route}",
        "semicolon": f"{straight};x=1",
        "preview address": f"/api/2.0/preview/mlflow/{route}",
    }
    for name, path in paths.items():
        yield name, Request(method="POST", path=path, body=plain)
    names = {_camel(key): value for key, value in plain.items()}
    yield "other case of names", Request(method="POST", path=straight, body=names)
    innocent = {"name": "cells", "run_id": "{running}"}
    both = {key: innocent.get(key, value) for key, value in plain.items()} | names
    yield "both cases of names", Request(method="POST", path=straight, body=both | {"Name": "tumours"})
    text = json.dumps(json.dumps(plain)).encode()
    yield "JSON in a string", Request(method="POST", path=straight, body=text)
    query = "&".join(f"{key}={quote(str(value), safe='{}')}" for key, value in plain.items())
    yield "query beside the body", Request(method="POST", path=f"{straight}?name=x&run_id=x", body=plain)
    yield "query instead of a body", Request(method="POST", path=f"{straight}?{query}")
    for method in ("GET", "PUT", "PATCH"):
        yield f"{method} with a body", Request(method=method, path=straight, body=plain)
        yield f"{method} with a query", Request(method=method, path=f"{straight}?{query}")
    for name, headers in {
        "text that is JSON": {"Content-Type": "text/plain"},
        "no content type": {"Content-Type": ""},
        "workspace named": {"X-MLFLOW-WORKSPACE": "default"},
        "other workspace named": {"X-MLFLOW-WORKSPACE": "elsewhere"},
        "method by header": {"X-HTTP-Method-Override": "DELETE"},
    }.items():
        yield name, Request(method="POST", path=straight, body=plain, headers=headers)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
