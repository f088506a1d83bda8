"""The roster: who is who, in which roles, with which keys. A file in the team's repository.

people:
  ana@shop.example:
    name: Ana Torres
    roles: [author]
    keys: ["ssh-ed25519 AAAA… ana@laptop"]
    also: [ana@laptop.local, atorres]
  mlflow@shop.example:
    name: The MLflow server
    vouches: true
    keys: ["ssh-ed25519 AAAA… mlflow server"]
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from signoff.errors import EvidenceError, Fault, StandardError
from signoff.evidence.sshsig import PublicKey, parse_public_key
from signoff.record.digest import Digest, Json
from signoff.standard.strict_yaml import Path, YamlDocument, dotted, load_yaml

_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\Z")
_NAME_AND_EMAIL = re.compile(r"\s*(?P<name>[^<>]*?)\s*<(?P<email>[^<>]+)>\s*\Z")
_PERSON_FIELDS = ("name", "roles", "keys", "also", "demo", "vouches")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A person who can be an author, or sign.

    Attributes:
        email: the one name by which statements and the log call them.
        name: for people's eyes, and to recognise an author who committed under it.
        roles: as the standard names them; at least one, and none of an entry that vouches.
        keys: Ed25519 public keys; a signature by any of them is theirs.
        also: further git e-mails, operating-system user names and logins that mean this person.
        demo: made for a demonstration: no one stands behind the key.
        vouches: no person but a server, which signs on behalf of the people whom it authenticates; it has a key,
            and nothing that it signs counts as its own.
    """

    email: str
    name: str
    roles: tuple[str, ...]
    keys: tuple[PublicKey, ...]
    also: tuple[str, ...] = ()
    demo: bool = False
    vouches: bool = False

    def identities(self) -> frozenset[str]:
        """Every name of this person, in the form in which names are compared."""
        return frozenset(_comparable(text) for text in (self.email, self.name, *self.also))

    def to_json(self) -> Json:
        """All fields, vouches where it is true; keys without their comments."""
        return {
            "email": self.email,
            "name": self.name,
            "roles": list(self.roles),
            "keys": [PublicKey(raw=key.raw).line for key in self.keys],
            "also": list(self.also),
            "demo": self.demo,
            **({"vouches": True} if self.vouches else {}),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Roster:
    """The people of a team. No two share a key, an e-mail, a name or a further identity.

    Attributes:
        people: in the order of the file.
        digest: of the content; comments and layout do not change it.
    """

    people: tuple[Person, ...]
    digest: Digest

    def by_fingerprint(self, fingerprint: str) -> Person | None:
        """Whose key this is; fingerprint as ``SHA256:…``."""
        return next((p for p in self.people if any(key.fingerprint == fingerprint for key in p.keys)), None)

    def by_login(self, login: str) -> Person | None:
        """Whom a login of a server means: the e-mail, or an entry of `also`, letter by letter.

        Names are compared more kindly where somebody is named as an author: there a likeness only adds people. Here it
        would take: whoever gets an account that reads like somebody's would be that person.
        """
        return next((p for p in self.people if login == p.email or login in p.also), None)

    def by_identity(self, text: str) -> Person | None:
        """Who is meant by an e-mail, a name, a user name or ``Name <email>``; case does not matter.

        In ``Name <email>`` the e-mail decides; the name is tried when nobody has that e-mail.
        """
        match = _NAME_AND_EMAIL.match(text)
        names = (text,) if match is None else (match["email"], match["name"])
        for name in map(_comparable, names):
            for person in self.people:
                if name in person.identities():
                    return person
        return None


def parse_roster(text: str, file: str) -> Roster:
    """Read a roster.

    Args:
        text: YAML.
        file: its name, for messages.

    Raises:
        StandardError: every fault of the file, with its line.
    """
    reader = _Reader(document=load_yaml(text, file))
    people = tuple(reader.people())
    reader.check_distinct(people)
    if reader.faults:
        raise StandardError(file, sorted(reader.faults, key=lambda fault: fault.line or 0))
    return Roster(people=people, digest=Digest.of_json([person.to_json() for person in people]))


def unknown_roles(roster: Roster, roles: Iterable[str]) -> tuple[tuple[Person, str], ...]:
    """Each (person, role) of the roster whose role is not among the standard's."""
    known = frozenset(roles)
    return tuple((person, role) for person in roster.people for role in person.roles if role not in known)


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Walks the document and gathers faults; what it yields counts only when there are none."""

    document: YamlDocument
    faults: list[Fault] = field(default_factory=list)

    def people(self) -> Iterator[Person]:
        root = self.document.value
        if not isinstance(root, dict) or "people" not in root:
            hint = 'write "people:" and below it one e-mail per person'
            self._fault((), "the field people is missing", hint)
            return
        for key in root:
            if key != "people":
                self._fault((key,), f"unknown field {key!r}", "a roster has one field: people")
        people = root["people"]
        if not isinstance(people, dict) or not people:
            self._fault(("people",), "people maps e-mails to persons, at least one", None)
            return
        for email, body in people.items():
            yield self._person(email, body)

    def check_distinct(self, people: tuple[Person, ...]) -> None:
        """One key, one person; one name, one person: else an author could pass for somebody else."""
        key_owner: dict[bytes, str] = {}
        name_owner: dict[str, str] = {}
        for person in people:
            for index, key in enumerate(person.keys):
                owner = key_owner.setdefault(key.raw, person.email)
                if owner != person.email:
                    path = ("people", person.email, "keys", index)
                    self._fault(
                        path,
                        f"the key {key.fingerprint} is also {owner}'s",
                        "each person has keys of their own",
                    )
            for name in sorted(person.identities() - {""}):
                owner = name_owner.setdefault(name, person.email)
                if owner != person.email:
                    message = f"{name!r} also means {owner}"
                    self._fault(("people", person.email), message, "make names, e-mails and also distinct")

    def _person(self, email: str, body: object) -> Person:
        path: Path = ("people", email)
        if not _EMAIL.match(email):
            self._fault(path, f"{email!r} is not an e-mail address", None)
        fields: dict[str, object] = body if isinstance(body, dict) else {}
        if not isinstance(body, dict):
            self._fault(path, "a person has the fields name and roles", None)
        for key in fields:
            if key not in _PERSON_FIELDS:
                self._fault(
                    (*path, key), f"unknown field {key!r}", f"a person has {', '.join(_PERSON_FIELDS)}"
                )
        name = fields.get("name")
        if not isinstance(name, str) or not name.strip():
            self._fault((*path, "name") if "name" in fields else path, "name is missing or empty", None)
        roles = self._texts(fields, path, "roles")
        vouches = self._truth(fields, path, "vouches")
        if isinstance(body, dict) and fields.get("roles", []) == [] and not vouches:
            where = (*path, "roles") if "roles" in fields else path
            self._fault(where, "a person needs at least one role", None)
        if vouches and roles:
            hint = "roles: [], or leave it out; people whom it authenticates have the roles"
            self._fault((*path, "roles"), "a server that vouches for people has no role of its own", hint)
        if vouches and fields.get("keys", []) == []:
            self._fault((*path, "vouches"), "a server that vouches for people needs its key", None)
        demo = self._truth(fields, path, "demo")
        return Person(
            email=email,
            name=name.strip() if isinstance(name, str) else "",
            roles=roles,
            keys=tuple(self._keys(fields, path)),
            also=self._texts(fields, path, "also"),
            demo=demo,
            vouches=vouches,
        )

    def _truth(self, fields: dict[str, object], path: Path, name: str) -> bool:
        value = fields.get(name, False)
        if not isinstance(value, bool):
            self._fault((*path, name), f"{name} is true or false", None)
        return value is True

    def _keys(self, fields: dict[str, object], path: Path) -> Iterator[PublicKey]:
        seen: set[PublicKey] = set()
        for index, line in enumerate(self._texts(fields, path, "keys")):
            try:
                key = parse_public_key(line)
            except EvidenceError as error:
                self._fault((*path, "keys", index), error.what, error.hint)
                continue
            if key in seen:
                self._fault((*path, "keys", index), f"the key {key.fingerprint} stands there twice", None)
            seen.add(key)
            yield key

    def _texts(self, fields: dict[str, object], path: Path, name: str) -> tuple[str, ...]:
        value = fields.get(name, [])
        if isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value):
            return tuple(value)
        self._fault((*path, name), f"{name} is a list of texts", f"write {name}: [one, two]")
        return ()

    def _fault(self, path: Path, message: str, hint: str | None) -> None:
        line = self.document.line_of(path)
        self.faults.append(Fault(path=dotted(path), line=line, message=message, hint=hint))


def _comparable(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()
