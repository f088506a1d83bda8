"""Versions that were deleted through the server: known, as long as nothing was ever released of them."""

from dataclasses import replace

import pytest
from release_samples import PEOPLE, RULES, Desk, entry_of, released_desk

from signoff.evidence.ledger import Entry
from signoff.record.model_version import ModelVersionRecord
from signoff.release.deleted import deleted_versions
from signoff.release.history import History
from signoff.release.overview import overview
from signoff.release.reconcile import EnvironmentSeen, StoreSeen, VersionSeen, compare

AGAIN = entry_of("propose", "churn/1")
DELETED = entry_of("guard:deletion", "churn/1", operation="delete version", rule="deletion")
MODEL_DELETED = entry_of("guard:deletion", "registered model churn", operation="delete registered model")
GONE = VersionSeen(record=None)


@pytest.fixture
def proposed() -> History:
    desk = Desk()
    desk.gate()
    desk.propose()
    return desk.history


def codes(history: History, version: VersionSeen, *entries: Entry) -> list[str]:
    seen = StoreSeen(
        environments={name: EnvironmentSeen(alias=None) for name in RULES.environments}, versions={1: version}
    )
    found = compare(RULES, history=history, people=PEOPLE, entries=entries, seen=seen).found
    return [one.code for one in found if one.subject == "churn/1"]


@pytest.mark.parametrize("deleted", [DELETED, MODEL_DELETED])
def test_a_deletion_through_the_server_is_no_change_around_it(proposed: History, deleted: Entry) -> None:
    assert codes(proposed, GONE) == ["version-gone"]
    assert codes(proposed, GONE, deleted) == []
    another = ModelVersionRecord(
        name="churn", version=1, run_id="another", model_id=None, uri="x", aliases=(), created_at=0
    )
    assert codes(proposed, VersionSeen(record=another), deleted) == []
    status = overview(
        RULES,
        history=proposed,
        aliases={},
        people=PEOPLE,
        today="2026-11-23",
        deleted=deleted_versions(RULES, proposed, [deleted]),
    )
    assert not any("churn/1" in text for text in status.waiting)


@pytest.mark.parametrize(
    "entries",
    [
        [DELETED, AGAIN],
        [replace(DELETED, outcome="refused")],
        [replace(DELETED, subject="churn/2")],
        [replace(MODEL_DELETED, subject="registered model fraud")],
        [replace(DELETED, detail={"operation": "delete experiment"})],
        [],
    ],
)
def test_a_version_that_was_proposed_again_or_not_deleted_is_missed(
    proposed: History, entries: list[Entry]
) -> None:
    assert deleted_versions(RULES, proposed, entries) == frozenset()


def test_a_released_version_is_missed_whatever_the_log_says() -> None:
    assert deleted_versions(RULES, released_desk().history, [DELETED, MODEL_DELETED]) == frozenset()
