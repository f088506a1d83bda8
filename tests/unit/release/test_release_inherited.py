"""What was inherited counts as the first move of an environment only, and until something is released there."""

import pytest
from release_samples import BEN, CLEO, PEOPLE, PROD, RULES, Desk, Key, approved_desk, released_desk

from signoff.record.digest import Digest
from signoff.record.model_version import ModelVersionRecord
from signoff.release.chain import verify_release
from signoff.release.inherited import (
    decide_inherit,
    inherited,
    inherited_statement,
    next_number,
    return_statement,
    standing_version,
    taken_over,
)

RECORD = ModelVersionRecord(
    name="churn", version=9, run_id="old", model_id=None, uri="old", aliases=("prod",), created_at=0
)


def take_over(desk: Desk, key: Key | None = CLEO, name: str = "inherited") -> None:
    statement = inherited_statement(
        RULES, PROD, record=RECORD, model=Digest.of(b"old"), actor=CLEO.email, log=desk.head, at=desk.at
    )
    desk.say(name, statement, *(() if key is None else (key,)))


def give_back(desk: Desk, key: Key = CLEO) -> None:
    current, taken = desk.history.release("prod"), taken_over(desk.history, "prod", PEOPLE)
    assert current is not None
    assert taken is not None
    statement = return_statement(
        "prod",
        use_case="churn",
        current=current,
        taken=taken,
        number=next_number(desk.history, "prod", current),
        actor=key.email,
        reason="complaints",
        log=desk.head,
        at=desk.at,
    )
    desk.say("back", statement, key)


def test_it_stands_until_the_first_release() -> None:
    desk = approved_desk()
    take_over(desk)
    found = inherited(desk.history, "prod", PEOPLE)
    assert found is not None
    assert (found.version, found.run_id, found.model) == (9, "old", Digest.of(b"old"))
    assert standing_version(desk.history, "prod", PEOPLE) == 9
    assert desk.history.release("prod") is None
    desk.release()
    assert inherited(desk.history, "prod", PEOPLE) is None
    assert standing_version(desk.history, "prod", PEOPLE) == 1


@pytest.mark.parametrize("key", [None, BEN])
def test_it_takes_the_signature_of_somebody_who_may_promote(key: Key | None) -> None:
    desk = approved_desk()
    take_over(desk, key)
    assert inherited(desk.history, "prod", PEOPLE) is None


def test_after_a_release_it_does_not_count_whatever_is_signed() -> None:
    desk = released_desk()
    take_over(desk)
    assert taken_over(desk.history, "prod", PEOPLE) is None
    assert standing_version(desk.history, "prod", PEOPLE) == 1
    refused = decide_inherit(
        RULES, PROD, actor=CLEO.email, history=desk.history, people=PEOPLE, pointed=9, record=RECORD
    )
    assert [reason.code for reason in refused.reasons] == ["inherited-late"]


def test_a_rollback_to_it_leaves_nothing_verified_and_the_next_release_has_a_higher_number() -> None:
    desk = approved_desk()
    take_over(desk)
    desk.release()
    give_back(desk)
    assert desk.history.release("prod") is None
    back = inherited(desk.history, "prod", PEOPLE)
    assert back is not None
    assert back.rollback is not None
    assert next_number(desk.history, "prod", None) == 3
    (reason,) = (r for r in verify_release(desk.history, desk.signed("release"), people=PEOPLE))
    assert reason.code == "release-revoked"


def test_a_rollback_to_it_by_somebody_who_may_not_leaves_nothing() -> None:
    desk = approved_desk()
    take_over(desk)
    desk.release()
    give_back(desk, BEN)
    assert desk.history.release("prod") is None
    assert standing_version(desk.history, "prod", PEOPLE) is None
