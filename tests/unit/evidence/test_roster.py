import pytest
from evidence_samples import ANA, BEN, ROSTER_TEXT, STRANGER, roster

from signoff.errors import StandardError
from signoff.evidence.roster import parse_roster, unknown_roles

KEY = ANA.public.line


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("ana@shop.example", "ana@shop.example"),
        ("ANA@Shop.Example", "ana@shop.example"),
        ("Ana Torres", "ana@shop.example"),
        (" ana torres ", "ana@shop.example"),
        ("atorres", "ana@shop.example"),
        ("Ana Torres <ana@laptop.local>", "ana@shop.example"),
        ("Ana Torres <root@container>", "ana@shop.example"),
        ("Ana Torres <ben@shop.example>", "ben@shop.example"),
        ("<ben@shop.example>", "ben@shop.example"),
        ("torres", None),
        ("", None),
        ("<>", None),
        ("ana@shop.example, ben@shop.example", None),
    ],
)
def test_a_person_is_recognised_by_each_of_their_names(text: str, email: str | None) -> None:
    person = roster().by_identity(text)
    assert (person.email if person else None) == email


def test_a_person_is_found_by_each_of_their_keys() -> None:
    people = roster()
    assert [people.by_fingerprint(key.public.fingerprint) for key in (ANA, BEN)] == list(people.people)
    assert people.by_fingerprint(STRANGER.public.fingerprint) is None
    assert [person.demo for person in people.people] == [False, True]


def test_the_digest_is_of_the_content() -> None:
    commented = "# the team\n" + ROSTER_TEXT.replace("key 1", "another comment")
    assert parse_roster(commented, "x").digest == roster().digest
    assert parse_roster(ROSTER_TEXT.replace("[author]", "[reviewer]"), "x").digest != roster().digest


def test_a_server_that_vouches_has_a_key_and_no_role() -> None:
    text = f"people:\n  a@b: {{name: Server, vouches: true, keys: ['{KEY}']}}\n"
    with_roles = text.replace("vouches: true", "vouches: true, roles: []")
    (server,) = parse_roster(text, "roster.yaml").people
    assert (server.vouches, server.roles) == (True, ())
    assert parse_roster(with_roles, "roster.yaml").digest == parse_roster(text, "roster.yaml").digest
    person = text.replace("vouches: true", "roles: [author]")
    assert (
        parse_roster(person.replace("roles", "vouches: false, roles"), "x").digest
        == parse_roster(person, "x").digest
    )


def test_roles_that_the_standard_does_not_define_are_named() -> None:
    found = unknown_roles(roster(), ["author", "reviewer"])
    assert [(person.email, role) for person, role in found] == [("ben@shop.example", "platform")]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "people is missing"),
        ("[]", 1, "people is missing"),
        ("people: {}", 1, "at least one"),
        ("people:\n  ana: {name: Ana, roles: [author]}", 2, "not an e-mail"),
        ("people:\n  a@b: 5", 2, "name and roles"),
        ("people:\n  a@b: {roles: [author]}", 2, "name is missing"),
        ("people:\n  a@b:\n    name: ' '\n    roles: [author]", 3, "name is missing or empty"),
        ("people:\n  a@b:\n    name: Ana", 2, "at least one role"),
        ("people:\n  a@b:\n    name: Ana\n    roles: []", 4, "at least one role"),
        ("people:\n  a@b:\n    name: Ana\n    roles: author", 4, "roles is a list of texts"),
        ("people:\n  a@b:\n    name: Ana\n    roles: [author]\n    demo: 1", 5, "true or false"),
        ("people:\n  a@b:\n    name: Ana\n    roles: [author]\n    key: x", 5, "unknown field 'key'"),
        (f"people:\n  a@b: {{name: Ana, vouches: 1, roles: [author], keys: ['{KEY}']}}", 2, "true or false"),
        (
            f"people:\n  a@b:\n    name: Server\n    vouches: false\n    keys: ['{KEY}']",
            2,
            "at least one role",
        ),
        ("people:\n  a@b:\n    name: Server\n    vouches: true", 4, "needs its key"),
        (
            f"people:\n  a@b:\n    name: Server\n    vouches: true\n    roles: [reviewer]\n    keys: ['{KEY}']",
            5,
            "no role of its own",
        ),
        ("people:\n  a@b: {name: Ana, roles: [author]}\nteam: x", 3, "unknown field 'team'"),
        (
            "people:\n  a@b:\n    name: Ana\n    roles: [a]\n    keys:\n      - ssh-rsa AAAA",
            6,
            "type 'ssh-rsa'",
        ),
        (
            f"people:\n  a@b:\n    name: A\n    roles: [a]\n    keys:\n      - {KEY}\n      - {KEY}",
            7,
            "twice",
        ),
    ],
)
def test_each_fault_of_a_roster_is_named_with_its_line(text: str, line: int | None, message: str) -> None:
    with pytest.raises(StandardError) as caught:
        parse_roster(text, "roster.yaml")
    assert any(message in fault.message and fault.line == line for fault in caught.value.faults), caught.value


def two_people(**second: str) -> str:
    fields = {"email": "b@b", "name": "Ben", "also": "[]", "keys": "[]"} | second
    return (
        f"people:\n  a@b: {{name: Ana, roles: [r], also: [ana], keys: ['{KEY}']}}\n"
        f"  {fields['email']}: {{name: {fields['name']}, roles: [r], also: {fields['also']}, keys: {fields['keys']}}}\n"
    )


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"keys": f"['{KEY}']"}, "is also a@b's"),
        ({"name": "ANA"}, "'ana' also means a@b"),
        ({"also": "[A@B]"}, "'a@b' also means a@b"),
        ({"email": "A@b"}, "'a@b' also means a@b"),
    ],
)
def test_two_people_share_neither_key_nor_name(second: dict[str, str], message: str) -> None:
    parse_roster(two_people(), "roster.yaml")
    with pytest.raises(StandardError) as caught:
        parse_roster(two_people(**second), "roster.yaml")
    assert [message in fault.message for fault in caught.value.faults] == [True]


def test_all_faults_are_reported_at_once() -> None:
    text = "people:\n  ana: {name: 5, roles: [], keys: [x], also: y, demo: z, phone: 1}"
    with pytest.raises(StandardError) as caught:
        parse_roster(text, "roster.yaml")
    assert len(caught.value.faults) == 7
