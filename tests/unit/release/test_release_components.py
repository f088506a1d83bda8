"""A release of a bundle is good while decision, proposal and approvals name the same components."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_changes import digest
from release_samples import PEOPLE, Desk, released_desk

from signoff.evidence.statement import Subject
from signoff.record.bundle import ROLES
from signoff.record.digest import Digest, Json
from signoff.release.approval import Binding
from signoff.release.chain import verify_release
from signoff.release.components import (
    changed_reasons,
    component_changes,
    component_subjects,
    components_named,
    prompt_reason,
)

COMPONENTS = {role: digest(role) for role in ROLES}
OTHER_INDEX = {**COMPONENTS, "index": digest("another index")}
NO_INDEX = {role: found for role, found in COMPONENTS.items() if role != "index"}


def desk_of(**named: Mapping[str, Digest]) -> Desk:
    """A released desk whose statements name these components; ids that others name follow."""
    desk = released_desk()
    ids: dict[Digest, Digest] = {}
    for place, told in enumerate(desk.told):
        subjects = (
            *(replace(s, digest=ids.get(s.digest, s.digest)) for s in told.statement.subjects),
            *component_subjects(named.get(told.name, COMPONENTS)),
        )
        predicate = told.statement.predicate
        if told.name == "release":
            predicate = {**predicate, "approved": _renamed(predicate["approved"], ids)}
        statement = replace(told.statement, subjects=subjects, predicate=predicate)
        ids[told.statement.id] = statement.id
        desk.told[place] = replace(told, statement=statement)
    return desk


def _renamed(rows: Json, ids: Mapping[Digest, Digest]) -> Json:
    assert isinstance(rows, Sequence)
    found: list[Json] = []
    for row in rows:
        assert isinstance(row, Mapping)
        found.append({**row, "statement": str(ids[Digest.parse(str(row["statement"]))])})
    return found


def faults(desk: Desk) -> list[str]:
    return [reason.code for reason in verify_release(desk.history, desk.signed("release"), people=PEOPLE)]


def test_a_release_whose_statements_name_the_same_components_is_good() -> None:
    assert faults(desk_of()) == []


@pytest.mark.parametrize("other", [OTHER_INDEX, NO_INDEX, {}], ids=["another", "one less", "none"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("decision", ["component-changed"]),
        ("proposal", ["component-changed"]),
        ("approval", ["approval-binding", "approval-count"]),
    ],
)
def test_one_statement_about_another_component_is_noticed(
    name: str, expected: list[str], other: Mapping[str, Digest]
) -> None:
    found = faults(desk_of(**{name: other}))
    assert sorted(set(found)) == sorted(expected)


def test_an_approval_is_void_when_a_component_changed_and_says_which() -> None:
    signed_for = Binding(
        model=digest("m"),
        decision=digest("d"),
        rules=digest("r"),
        proposal=digest("p"),
        components=COMPONENTS,
    )
    statement = replace(desk_of().signed("approval").statement, subjects=signed_for.subjects())
    assert signed_for.broken_by(statement) == ()
    (clause,) = replace(signed_for, components=OTHER_INDEX).broken_by(statement)
    assert clause.startswith("a component changed: index (was ")
    assert len(replace(signed_for, components={}).broken_by(statement)) == len(ROLES)


@given(st.dictionaries(st.sampled_from(ROLES), st.integers(0, 3).map(lambda n: digest(str(n)))))
def test_components_are_named_and_read_back(components: dict[str, Digest]) -> None:
    statement = replace(
        released_desk().signed("release").statement,
        subjects=(Subject(name="model", digest=digest("m")), *component_subjects(components)),
    )
    assert components_named(statement) == components
    assert component_changes(components, components) == ()


def test_each_changed_component_is_a_reason_of_its_own() -> None:
    now = {**OTHER_INDEX, "prompt": digest("another prompt")}
    reasons = changed_reasons("docs/3", "the release", then=COMPONENTS, now=now, fix="find out who")
    assert [reason.code for reason in reasons] == ["component-changed"] * 2
    assert "docs/3 changed since the release: index (was" in reasons[0].message
    assert "prompt (was" in reasons[1].message


def test_a_prompt_is_compared_by_its_text() -> None:
    assert prompt_reason("answer", 3, bundle="a", registry="a", fix="") is None
    reason = prompt_reason("answer", 3, bundle="a", registry="b", fix="look")
    assert reason is not None
    assert (reason.code, reason.fix) == ("prompt-changed", "look")
