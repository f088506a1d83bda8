from collections.abc import Sequence

import pytest
from release_changes import digest
from release_samples import ABE, ANA, BEN, CLEO, DORA, PEOPLE, RULES, STRANGER, Desk, Key

from signoff.release.waivers import waivers_for

CODE = "param:feature_set"


def waived(desk: Desk) -> set[str]:
    return set(desk.waivers(today="2026-11-23").by_code)


def test_a_waiver_counts_for_the_codes_it_names() -> None:
    desk = Desk()
    waiver = desk.waive(CODE, "slice:top:recall")
    found = desk.waivers()
    assert {code: signed.id for code, signed in found.by_code.items()} == {
        CODE: waiver,
        "slice:top:recall": waiver,
    }
    assert found.covers(CODE)
    assert not found.covers("param:threshold")
    assert found.refused == ()


@pytest.mark.parametrize(
    ("until", "counts"),
    [("2026-11-22", False), ("2026-11-23", True), ("2026-11-24", True), ("2027-01-01", True), ("", False)],
)
def test_a_waiver_counts_to_the_end_of_its_last_day(until: str, counts: bool) -> None:  # noqa: FBT001 - a table
    desk = Desk()
    desk.waive(CODE, until=until)
    assert waived(desk) == ({CODE} if counts else set())


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ((), "no valid signature"),
        ((STRANGER,), "no valid signature"),
        ((BEN,), "no valid signature of a person who may waive"),  # a reviewer may not
        ((ABE,), "no valid signature of a person who may waive"),  # nor an author of something else
    ],
)
def test_whose_waivers_do_not_count(keys: Sequence[Key], why: str) -> None:
    desk = Desk()
    desk.waive(CODE, keys=keys)
    found = desk.waivers()
    assert found.by_code == {}
    (refused,) = found.refused
    assert why in refused


@pytest.mark.parametrize("keys", [(CLEO,), (CLEO, BEN), (BEN, CLEO, STRANGER)])
def test_an_author_cannot_waive_for_themselves_whatever_their_role_and_whoever_signs_too(
    keys: Sequence[Key],
) -> None:
    """Ben is no author and may not waive: his signature lends Cleo nothing."""
    desk = Desk()
    desk.waive(CODE, keys=keys)
    found = waivers_for(
        desk.history,
        model=digest("model 1"),
        rules=RULES.digest,
        people=PEOPLE,
        authors=frozenset({CLEO.email, ANA.email}),
        today="2026-11-23",
    )
    assert found.by_code == {}
    assert "cleo@shop.example is an author of what is waived" in found.refused[0]


def test_a_waiver_that_an_author_signed_too_counts_by_its_other_signer() -> None:
    desk = Desk()
    desk.waive(CODE, keys=(ANA, DORA))
    assert waived(desk) == {CODE}


def test_a_waiver_of_other_rules_does_not_count_and_says_so() -> None:
    desk = Desk()
    desk.waive(CODE, rules=digest("older rules"))
    assert waived(desk) == set()
    assert "rules of this use case changed" in desk.waivers().refused[0]


def test_a_waiver_on_another_model_is_no_business_of_this_one() -> None:
    desk = Desk()
    desk.waive(CODE, model="model 2")
    assert waived(desk) == set()
    assert desk.waivers().refused == ()


def test_one_waiver_that_does_not_count_takes_nothing_from_one_that_does() -> None:
    desk = Desk()
    good = desk.waive(CODE)
    desk.waive(CODE, until="2026-11-01")
    assert desk.waivers().by_code[CODE].id == good
    assert len(desk.waivers().refused) == 1
