"""Nobody writes into the log of a guarded server in another's name, or anything but what they signed and may say."""

import json

import pytest
from bypass_submissions import FORGED, Body, about_another_version, signed_approval
from guard_load import entries_of
from guard_server import Guarded
from guard_submissions import SUBMISSIONS
from store_snapshot import difference

READ = ("whoami", "head", "stored", "statements?use_case=tumours", "entries", "standard", "problems")
PREFIXES = ("/api/2.0/signoff", "/ajax-api/2.0/signoff")


@pytest.fixture(scope="module")
def approval(guarded: Guarded) -> Body:
    """Ben's approval of what is released already, signed and never sent."""
    return signed_approval(guarded, 1)


def statements(place: Guarded) -> list[tuple[object, ...]]:
    return place.store.rows("SELECT id, envelope FROM signoff_statement ORDER BY seq")


def allowed(place: Guarded) -> int:
    return sum(entry.outcome == "allowed" for entry in entries_of(place))


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("route", READ)
def test_nobody_reads_without_a_login(guarded: Guarded, prefix: str, route: str) -> None:
    assert guarded.address.ask(None, "GET", f"{prefix}/{route}").status == 401
    assert guarded.address.ask("ana", "GET", f"{prefix}/{route}").status == 200


@pytest.mark.parametrize("path", ["/signoff", "/signoff/", "//signoff", "/signoff/audit"])
def test_nobody_sees_the_pages_without_a_login(guarded: Guarded, path: str) -> None:
    assert guarded.address.ask(None, "GET", path).status in (401, 404)


@pytest.mark.parametrize("who", [None, "ana", "cleo", "mia", "admin"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_signed_approval_is_taken_from_its_signer_alone(
    guarded: Guarded, approval: Body, prefix: str, who: str | None
) -> None:
    before = statements(guarded), allowed(guarded)
    reply = guarded.address.ask(who, "POST", f"{prefix}/submissions", approval)
    assert reply.status == (401 if who is None else 403), reply.text
    assert (statements(guarded), allowed(guarded)) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
def test_another_sites_page_sends_nothing(guarded: Guarded, approval: Body, headers: dict[str, str]) -> None:
    before = statements(guarded), allowed(guarded)
    reply = guarded.address.ask("ben", "POST", SUBMISSIONS, json.dumps(approval).encode(), headers=headers)
    assert reply.status in (403, 415), reply.text
    assert (statements(guarded), allowed(guarded)) == before


@pytest.mark.parametrize("forgery", list(FORGED))
def test_nothing_but_what_was_signed_is_taken(guarded: Guarded, approval: Body, forgery: str) -> None:
    mlflow = guarded.store.snapshot()
    before = statements(guarded), allowed(guarded)
    reply = guarded.address.ask("ben", "POST", SUBMISSIONS, FORGED[forgery](approval))
    assert reply.status in (400, 403, 409, 422), f"{reply.status} {reply.text}"
    assert (statements(guarded), allowed(guarded)) == before
    assert difference(mlflow, guarded.store.snapshot()) == []


def test_an_approval_is_taken_once_and_the_server_says_what_it_is_about(
    guarded: Guarded, approval: Body
) -> None:
    before = len(entries_of(guarded))
    reply = guarded.address.ask("ben", "POST", SUBMISSIONS, about_another_version(approval))
    assert reply.status == 200, reply.text
    (entry,) = entries_of(guarded)[before:]
    assert (entry.actor, entry.action, entry.outcome) == ("ben@lab.example", "approve", "allowed")
    assert entry.subject == "tumours/1 for prod"
    assert "approved_by" not in entry.detail
    again = guarded.address.ask("ben", "POST", SUBMISSIONS, approval)
    assert again.status == 409, again.text
    assert allowed(guarded) == sum(e.outcome == "allowed" for e in entries_of(guarded)[:before]) + 1
