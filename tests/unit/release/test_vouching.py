"""A server's key signs releases and rollbacks on behalf of people: for them and for nobody else, and nothing more."""

from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from release_changes import Change, digest, saying
from release_samples import (
    ANA,
    BEN,
    CLEO,
    FAY,
    PROD,
    ROLES,
    ROSTER_TEXT,
    Desk,
    Key,
    approved_desk,
    released_desk,
    two_versions,
)

from signoff.errors import EvidenceError
from signoff.evidence.ledger import Entry
from signoff.evidence.roster import parse_roster
from signoff.evidence.verify import ON_BEHALF_OF, SIGNED_WITH, signature_fault
from signoff.record.digest import Json
from signoff.release.approval import count_approvals
from signoff.release.chain import verify_release
from signoff.release.history import History, read_history
from signoff.release.people import People
from signoff.release.waivers import waivers_for

SERVER = Key("mlflow@shop.example", Ed25519PrivateKey.from_private_bytes(bytes([41]) * 32))
OTHER = Key("staging@shop.example", Ed25519PrivateKey.from_private_bytes(bytes([42]) * 32))


def team(*, vouches: bool = True) -> People:
    """The team with two servers; the first one vouches, or is made a promoter instead."""
    said = "vouches: true" if vouches else "roles: [platform-owner]"
    servers = (
        f'  {SERVER.email}:\n    name: MLflow server\n    {said}\n    keys: ["{SERVER.public.line}"]\n'
        f'  {OTHER.email}:\n    name: Staging server\n    vouches: true\n    keys: ["{OTHER.public.line}"]\n'
    )
    return People(roster=parse_roster(ROSTER_TEXT + servers, "roster.yaml"), roles=ROLES)


def history_of(desk: Desk, people: People) -> History:
    return read_history("churn", desk.envelopes, people.roster)


def faults(desk: Desk, people: People | None = None, name: str = "release") -> list[str]:
    people = people or team()
    history = history_of(desk, people)
    place = max(n for n, told in enumerate(desk.told) if told.name == name)
    return [r.code for r in verify_release(history, history.statements[place], people=people)]


def by_server(desk: Desk, behind: Json = CLEO.email, *, name: str = "release") -> Desk:
    return desk.retold(name, saying(**{ON_BEHALF_OF: behind}), keys=(SERVER,))


def test_a_release_by_the_server_is_one_of_the_person_behind_it() -> None:
    desk, people = by_server(released_desk()), team()
    history = history_of(desk, people)
    assert faults(desk) == []
    released = history.release("prod")
    assert released is not None
    assert released.statement.signers == (CLEO.email,)
    assert released.statement.signed_by == f"{CLEO.email} (vouched by {SERVER.email})"


@pytest.mark.parametrize(
    ("behind", "codes"),
    [
        (ANA.email, ["release-signature"]),  # may not promote
        (FAY.email, ["release-signature"]),  # a role that the standard does not know
        ("zoe@shop.example", ["release-signature"]),
        ("CLEO@shop.example", ["release-signature"]),  # an address is written as the roster writes it
        (OTHER.email, ["release-signature"]),
        (SERVER.email, ["release-signature"]),
        ("", ["release-signature"]),
        (None, ["release-signature"]),
        ([CLEO.email], ["release-signature"]),
    ],
)
def test_the_person_behind_it_needs_the_right_that_they_would_need_with_a_key(
    behind: Json, codes: list[str]
) -> None:
    assert faults(by_server(released_desk(), behind)) == codes


def test_a_server_s_signature_that_names_nobody_counts_for_nobody() -> None:
    assert faults(released_desk().retold("release", keys=(SERVER,))) == ["release-signature"]


@pytest.mark.parametrize("forger", [ANA, BEN, CLEO])
def test_who_does_not_vouch_signs_for_nobody_else_and_not_for_themselves(forger: Key) -> None:
    forged = released_desk().retold("release", saying(**{ON_BEHALF_OF: CLEO.email}), keys=(forger,))
    assert faults(forged) == ["release-signature"]
    with pytest.raises(EvidenceError, match="may not sign on behalf of others"):
        history_of(forged, team()).release("prod")


def test_without_vouches_in_the_roster_the_release_is_void_whatever_role_the_entry_has() -> None:
    desk = by_server(released_desk())
    assert faults(desk, team(vouches=False)) == ["release-signature"]


def test_the_history_stays_readable_when_vouches_is_taken_away() -> None:
    envelope = by_server(released_desk()).envelopes[-1]
    entry = Entry(
        at="2026-11-23T10:00:00Z",
        actor=CLEO.email,
        action="promote",
        outcome="allowed",
        use_case="churn",
        subject="churn/1 to prod",
        statement=str(envelope.id),
        reasons=(),
        detail={SIGNED_WITH: SERVER.public.fingerprint},
    )
    for vouches in (True, False):
        assert signature_fault(entry, envelope, team(vouches=vouches).roster) is None


def test_a_rollback_by_the_server_is_one_of_the_person_behind_it() -> None:
    desk = two_versions()
    desk.roll_back()
    assert faults(by_server(desk, name="rollback")) == []
    assert faults(by_server(desk, ANA.email, name="rollback")) == ["rollback-signature"]


def approvals(desk: Desk, people: People) -> list[str]:
    found = count_approvals(
        history_of(desk, people),
        environment=PROD,
        version=1,
        binding=desk.binding(),
        people=people,
        authors=frozenset({ANA.email}),
    )
    return [*found.counting]


def proposed(desk: Desk, people: People) -> bool:
    return history_of(desk, people).proposal(1) is not None


def waived(desk: Desk, people: People) -> list[str]:
    found = waivers_for(
        history_of(desk, people),
        model=digest("model 1"),
        rules=desk.rules.digest,
        people=people,
        authors=frozenset({ANA.email}),
        today="2026-11-23",
    )
    return [*found.by_code]


def waiving_desk() -> Desk:
    desk = approved_desk()
    desk.waive("slice:value_band=top:recall")
    return desk


@pytest.mark.parametrize("change", [None, saying(**{ON_BEHALF_OF: BEN.email})])
@pytest.mark.parametrize("keys", [(SERVER,), (SERVER, OTHER)])
def test_what_somebody_judged_only_they_can_sign(change: Change | None, keys: Sequence[Key]) -> None:
    people = team()
    assert approvals(approved_desk(), people) == [BEN.email]
    assert approvals(approved_desk().retold("approval", change, keys=keys), people) == []
    assert proposed(approved_desk(), people)
    assert not proposed(approved_desk().retold("proposal", change, keys=keys), people)
    assert waived(waiving_desk(), people) == ["slice:value_band=top:recall"]
    assert waived(waiving_desk().retold("waiver", change, keys=keys), people) == []
