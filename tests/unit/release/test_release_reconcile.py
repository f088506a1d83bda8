"""Differences between the ledger and the store, and what a policy does about an alias; as pure decisions."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from release_changes import digest
from release_samples import CLEO, PEOPLE, RULES, entry_of, released_desk

from signoff.evidence.ledger import Entry
from signoff.record.digest import Json
from signoff.record.model_version import ModelVersionRecord
from signoff.release.reconcile import (
    Comparison,
    EnvironmentSeen,
    StoreSeen,
    VersionSeen,
    compare,
    comparison_text,
    governed_versions,
)
from signoff.release.repair import Policy, repairs

HISTORY = released_desk().history
RELEASE = HISTORY.of("release")[-1]
EVIDENCE: Mapping[str, str] = {"params": "sha256:1", "artifacts": "sha256:2"}
FREEZE = replace(
    entry_of("freeze", "churn/1", run_id=RELEASE.text("run_id"), evidence=EVIDENCE), at=RELEASE.text("at")
)
RECORD = ModelVersionRecord(
    name="churn",
    version=1,
    run_id=RELEASE.text("run_id"),
    model_id="m-1",
    uri="x",
    aliases=("prod",),
    created_at=0,
)
SOUND = VersionSeen(
    record=RECORD,
    run_active=True,
    model=digest("model 1"),
    logged_model=True,
    marked=True,
    evidence=EVIDENCE,
    status="released: prod",
)


def seen(version: VersionSeen = SOUND, **aliases: int | None) -> StoreSeen:
    pointed = {"prod": 1} | aliases
    return StoreSeen(
        environments={name: EnvironmentSeen(alias=pointed.get(name)) for name in RULES.environments},
        versions={1: version},
    )


def found(store: StoreSeen, *entries: Entry) -> Comparison:
    return compare(RULES, history=HISTORY, people=PEOPLE, entries=(FREEZE, *entries), seen=store)


def test_a_store_that_is_as_the_ledger_says_has_no_difference() -> None:
    assert governed_versions(HISTORY) == (1,)
    assert found(seen()) == Comparison(found=(), unseen=(), blind=())


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        (VersionSeen(record=None), ["version-gone"]),
        (replace(SOUND, record=replace(RECORD, run_id="other")), ["version-replaced"]),
        (replace(SOUND, run_active=False), ["run-gone"]),
        (replace(SOUND, logged_model=False), ["logged-model-gone"]),
        (replace(SOUND, model=None), ["model-files-gone"]),
        (replace(SOUND, model=digest("other")), ["model-bytes-changed"]),
        (replace(SOUND, marked=False), ["freeze-mark-gone"]),
        (replace(SOUND, evidence={"params": "sha256:3"}), ["evidence-changed"]),
        (replace(SOUND, status="released: test"), ["status-tag"]),
    ],
)
def test_each_difference_of_a_version_is_named_with_when_it_was_known(
    version: VersionSeen, codes: list[str]
) -> None:
    told = found(seen(version)).found
    assert [one.code for one in told] == codes
    assert all(one.known and one.subject == "churn/1" and one.fix for one in told)


def test_what_cannot_be_looked_at_is_said_and_what_cannot_be_read_is_undecided() -> None:
    told = found(
        seen(replace(SOUND, marked=None, evidence={"params": "sha256:1"}, model=None, unread="gone away"))
    )
    assert told.found == ()
    assert [text.split(":")[0] for text in told.unseen] == ["churn/1", "churn/1"]
    assert told.blind == ("churn/1: its files: gone away",)
    assert "UNDECIDED: could not be read: churn/1" in comparison_text(told)


def test_a_later_entry_with_other_digests_does_not_hide_a_change() -> None:
    evidence: dict[str, Json] = {"params": "sha256:3", "artifacts": "sha256:2"}
    later = replace(FREEZE, detail={"evidence": evidence})
    store = seen(replace(SOUND, evidence={"params": "sha256:3", "artifacts": "sha256:2"}))
    assert [one.code for one in found(store, later).found] == ["evidence-changed"]


def test_an_alias_that_was_moved_through_the_server_names_who_moved_it() -> None:
    moved = entry_of("guard:alias", "churn@prod", actor=CLEO, operation="set alias", version=2)
    (by_somebody,) = found(seen(prod=2), moved).found
    assert "guard:alias by cleo@shop.example" in by_somebody.message
    (by_nobody,) = found(seen(prod=2)).found
    assert "no entry of the audit log says who moved it" in by_nobody.message
    for other in (
        replace(moved, detail={"operation": "set alias", "version": 3}),
        replace(moved, detail={"operation": "delete alias", "version": 2}),
        replace(moved, action="reconcile", detail={"to": 1}),
    ):
        (one,) = found(seen(prod=2), moved, other).found
        assert "no entry of the audit log says who moved it" in one.message


CHANGED = replace(SOUND, model=digest("other"))


@pytest.mark.parametrize(
    ("policy", "store", "planned"),
    [
        ("report", seen(prod=2), []),
        ("revert", seen(), []),
        ("revert", seen(prod=2), [("prod", 1, True)]),
        ("revert", seen(prod=None), [("prod", 1, True)]),
        ("revert", seen(test=1), [("test", None, True)]),
        ("revert", seen(replace(SOUND, model=None, unread="no artifacts"), prod=2), [("prod", None, False)]),
        ("revert", seen(CHANGED), [("prod", None, False)]),
        ("revert", seen(CHANGED, prod=2), [("prod", None, False)]),
        ("quarantine", seen(), []),
        ("quarantine", seen(prod=2), [("prod", None, True)]),
        ("quarantine", seen(CHANGED), [("prod", None, True)]),
        ("quarantine", seen(prod=None), []),
    ],
)
def test_a_policy_points_back_or_takes_down_and_never_at_what_changed(
    policy: Policy, store: StoreSeen, planned: list[tuple[str, int | None, bool]]
) -> None:
    done = repairs(RULES, found(store), history=HISTORY, people=PEOPLE, seen=store, policy=policy)
    assert [(one.environment.name, one.there, not one.left) for one in done] == planned
