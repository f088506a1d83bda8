"""What people send past the program to a guarded server, each with the answer that it must get."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from guard_server import Guarded, Reply, logged_in
from team import Team, signoff

from signoff.adapters.key_files import load_key
from signoff.adapters.ledger_sql import SqlLedger
from signoff.evidence.dsse import Envelope, sign_statement
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import entry_bytes
from signoff.evidence.merkle import Frontier
from signoff.evidence.statement import Statement, StatementKind, Subject
from signoff.record.digest import Digest, Json

SUBMISSIONS = "/api/2.0/signoff/submissions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A team behind its server.

    Attributes:
        guarded: the server.
        runs: three runs that passed their gate: tumours/1 is released, tumours/2 proposed, the third is neither.
    """

    guarded: Guarded
    runs: tuple[str, str, str]

    @property
    def team(self) -> Team:
        return self.guarded.team

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(self.guarded.store.database)

    def run(self, person: str, *arguments: str) -> Any:
        """Run a verb that signs nothing, with a person's login."""
        with logged_in(person):
            return signoff(self.team, *arguments)

    def post(self, who: str | None, body: object, **headers: str) -> Reply:
        return self.guarded.address.ask(who, "POST", SUBMISSIONS, body, headers=headers)

    def alias(self) -> str:
        found = self.guarded.address.call("ana", "registered-models/get?name=tumours", method="GET")
        aliases = {a["alias"]: str(a["version"]) for a in found["registered_model"]["aliases"]}
        return aliases["prod"]


def now(**ago: int) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def statement(kind: StatementKind, model: Digest, **said: Json) -> Statement:
    return Statement(
        kind=kind,
        subjects=(Subject(name="model", digest=model),),
        predicate={"use_case": "tumours", "at": now(), **said},
    )


def model_of(place: Place, version: int) -> Digest:
    found = [e.statement for e in place.ledger.find(use_case="tumours", kind="proposal")]
    digest = next(s.subject("model") for s in found if s.predicate["version"] == version)
    assert digest is not None
    return digest


def signed(place: Place, said: Statement, *people: str) -> Envelope:
    return sign_statement(said, *(load_key(Path(place.team.key(person))) for person in people))


def entry_for(envelope: Envelope, action: str, actor: str, **fields: Any) -> Entry:
    found = Entry(
        at=now(),
        actor=f"{actor}@lab.example",
        action=action,
        outcome="allowed",
        use_case="tumours",
        subject="tumours/1",
        statement=str(envelope.id),
        reasons=(),
        detail={"signed_with": envelope.signatures[0].keyid} if envelope.signatures else {},
    )
    return replace(found, **fields)


def body(envelope: Envelope | None, entry: Entry, **fields: Any) -> dict[str, Any]:
    return {
        "statements": [] if envelope is None else [envelope.to_json()],
        "entries": [entry_bytes(entry).decode()],
        "size": None,
        "alias": None,
        **fields,
    }


def remark(place: Place, text: str = "Seen.", author: str = "ana", **said: Json) -> Statement:
    told: dict[str, Json] = {"version": 1, "author": f"{author}@lab.example", "text": text, **said}
    return statement("note", model_of(place, 1), **told)


def noted(
    place: Place, signer: str, actor: str, *, author: str = "ana", text: str = "Seen.", **said: Json
) -> dict[str, Any]:
    envelope = signed(place, remark(place, text, author, **said), signer)
    return body(envelope, entry_for(envelope, "note", actor))


def release_without_approvals(place: Place) -> dict[str, Any]:
    head = place.ledger.head()
    said = statement(
        "release",
        model_of(place, 2),
        environment="prod",
        alias="prod",
        registered_model="tumours",
        version=2,
        run_id=place.runs[1],
        number=99,
        previous=None,
        required=[],
        approved=[],
        self_approved=[],
        waived={},
        actor="cleo@lab.example",
        log={"size": head.size, "root": str(head.root)},
    )
    envelope = signed(place, said, "cleo")
    alias = {"name": "tumours", "alias": "prod", "version": 2}
    return body(envelope, entry_for(envelope, "promote", "cleo"), size=head.size, alias=alias)


def lone(place: Place, **fields: Any) -> dict[str, Any]:
    """An entry that says that a prediction was made."""
    return body(
        None,
        replace(
            entry_for(signed(place, remark(place)), "predict", "ana"),
            **{"statement": None, "detail": {}, **fields},
        ),
    )


def root_without_last(place: Place) -> str:
    """What the log's root was before its last entry."""
    leaves = [row.leaf for row in place.ledger.stored().rows[:-1]]
    return f"sha256:{Frontier.of(leaves).root().hex()}"


def some_statement(place: Place) -> str:
    return place.ledger.stored().statements[0].id


def nested(found: dict[str, Any]) -> dict[str, Any]:
    """The submission with an entry that only the depth of its detail is wrong with."""
    deep = '"detail":{"d":' + "[" * 985 + "]" * 985 + "}"
    return {**found, "entries": [found["entries"][0].replace('"detail":{}', deep)]}


def nested_statement(place: Place) -> dict[str, Any]:
    """A load test of Ana's, signed, that only its depth is wrong with."""
    said = statement("load-test", model_of(place, 1), version=1, deep=0)
    payload = said.payload().replace(b'"deep":0', b'"deep":' + b"[" * 900 + b"]" * 900)
    bare = Envelope(payload=payload)
    envelope = bare.with_signature(load_key(Path(place.team.key("ana"))).sign(bare.signed_bytes))
    return body(envelope, entry_for(envelope, "bench", "ana", at=str(said.predicate["at"])))


def with_alias(found: dict[str, Any], version: int = 2) -> dict[str, Any]:
    return {**found, "alias": {"name": "tumours", "alias": "prod", "version": version}}


def changed_entry(found: dict[str, Any], **fields: Json) -> dict[str, Any]:
    return {**found, "entries": [json.dumps(json.loads(found["entries"][0]) | fields)]}


def canonical(found: dict[str, Any], **fields: Json) -> dict[str, Any]:
    document = json.loads(found["entries"][0]) | fields
    entry = Entry(**{**document, "reasons": tuple(document["reasons"])})
    return {**found, "entries": [entry_bytes(entry).decode()]}


Attack = tuple[str | None, Callable[[Place], object], int, str]
"""Who sends, what, and the status and text of the answer."""
ATTACKS: dict[str, Attack] = {
    "somebody else's signature": ("ana", lambda p: noted(p, "ben", "ana"), 403, "signature-other"),
    "an entry with another actor": (
        "ana",
        lambda p: noted(p, "ben", "ben", author="ben"),
        403,
        "entry-actor",
    ),
    "two signatures": (
        "ana",
        lambda p: body(e := signed(p, remark(p), "ana", "ben"), entry_for(e, "note", "ana")),
        403,
        "signature-other",
    ),
    "no signature": (
        "ana",
        lambda p: body(e := signed(p, remark(p)), entry_for(e, "note", "ana")),
        403,
        "signature-other",
    ),
    "the end of a canary that nobody signed": (
        "ana",
        lambda p: body(
            e := signed(p, statement("rollout", model_of(p, 1), version=1, verdict="abort")),
            entry_for(e, "rollout", "ana"),
        ),
        403,
        "signature-other",
    ),
    "the server's own key": ("ana", lambda p: noted(p, "server", "ana"), 403, "signature-other"),
    "nobody on the roster": ("mia", lambda p: noted(p, "ana", "ana"), 403, "entry-actor"),
    "a stranger's measurement": (
        "mia",
        lambda p: lone(p, action="measure", actor="unverified:mia"),
        403,
        "not-on-roster",
    ),
    "a key that is not the entry's": (
        "ana",
        lambda p: canonical(noted(p, "ana", "ana"), detail={"signed_with": "SHA256:other"}),
        403,
        "entry-other",
    ),
    "another statement in the entry": (
        "ana",
        lambda p: canonical(noted(p, "ana", "ana"), statement=str(Digest.of(b"other"))),
        403,
        "entry-other",
    ),
    "another use case in the entry": (
        "ana",
        lambda p: canonical(noted(p, "ana", "ana"), use_case="cells"),
        403,
        "entry-other",
    ),
    "another action": (
        "ana",
        lambda p: canonical(noted(p, "ana", "ana"), action="promote"),
        403,
        "entry-other",
    ),
    "other bytes than the version has": (
        "ana",
        lambda p: body(
            e := signed(
                p, replace(remark(p), subjects=(Subject(name="model", digest=Digest.of(b"x")),)), "ana"
            ),
            entry_for(e, "note", "ana"),
        ),
        403,
        "statement-other",
    ),
    "a field that the verb does not write": (
        "ana",
        lambda p: noted(p, "ana", "ana", on_behalf_of="cleo@lab.example"),
        403,
        "",
    ),
    "a role that may not": (
        "ana",
        lambda p: body(
            e := signed(
                p,
                statement(
                    "rejection",
                    model_of(p, 1),
                    environment="prod",
                    version=1,
                    reviewer="ana@lab.example",
                    code="other",
                    comment="",
                ),
                "ana",
            ),
            entry_for(e, "reject", "ana"),
        ),
        403,
        "(role)",
    ),
    "a release without approvals": ("cleo", release_without_approvals, 403, "approval-missing"),
    "a release without its alias": (
        "cleo",
        lambda p: {**release_without_approvals(p), "alias": None},
        400,
        "moves alias @prod of tumours to version 2",
    ),
    "a release with another alias": (
        "cleo",
        lambda p: with_alias(release_without_approvals(p), version=1),
        400,
        "moves alias @prod of tumours to version 2",
    ),
    "an alias without a statement": (
        "cleo",
        lambda p: with_alias(lone(p, actor="cleo@lab.example")),
        403,
        "entry-other",
    ),
    "an alias with a note": ("ana", lambda p: with_alias(noted(p, "ana", "ana")), 403, "entry-other"),
    "an allowed promotion without a statement": (
        "ana",
        lambda p: lone(p, action="promote"),
        403,
        "entry-other",
    ),
    "the server's own kind of entry": ("ana", lambda p: lone(p, action="freeze"), 403, "entry-other"),
    "a statement that is not there": (
        "ana",
        lambda p: lone(p, statement=str(Digest.of(b"gone"))),
        403,
        "entry-other",
    ),
    "a key without a statement": (
        "ana",
        lambda p: lone(p, detail={"signed_with": "SHA256:x"}),
        403,
        "entry-other",
    ),
    "a head that the log never had": (
        "ana",
        lambda p: noted(p, "ana", "ana", log={"size": 1, "root": str(Digest.of(b"other"))}),
        400,
        "never had",
    ),
    "a head of less than nothing, with a load test": (
        "ana",
        lambda p: body(
            e := signed(
                p,
                statement(
                    "load-test",
                    model_of(p, 1),
                    version=1,
                    log={"size": -1, "root": root_without_last(p)},
                ),
                "ana",
            ),
            entry_for(e, "bench", "ana", at=str(e.statement.predicate["at"])),
        ),
        400,
        "no head of a log",
    ),
    "an entry that is nested deeply": ("ana", lambda p: nested(lone(p)), 400, "nested deeper than 20 levels"),
    "a statement that is nested deeply": (
        "ana",
        nested_statement,
        400,
        "nested deeper than 20 levels",
    ),
    "a body that is nested deeply": ("ana", lambda _: b"[" * 100_000, 400, "nested deeper than 20 levels"),
    "half a character": (
        "ana",
        lambda p: json.dumps({**lone(p), "entries": ["\ud800"]}).encode(),
        400,
        "as text",
    ),
    "a prediction of somebody who is not on the roster": (
        "mia",
        lambda p: lone(p, actor="unverified:cleo@lab.example"),
        403,
        "not-on-roster",
    ),
    "a refusal of somebody who is not on the roster": (
        "mia",
        lambda p: lone(p, actor="unverified:mia", action="promote", outcome="refused"),
        403,
        "not-on-roster",
    ),
    "a refusal that names a statement": (
        "ana",
        lambda p: lone(p, action="gate", outcome="refused", statement=some_statement(p)),
        403,
        "entry-other",
    ),
    "a head that is none": (
        "ana",
        lambda p: noted(p, "ana", "ana", log="all of it"),
        400,
        "no head of a log",
    ),
    "a look around that nobody took": (
        "ana",
        lambda p: lone(p, use_case="", action="reconcile", outcome="allowed"),
        400,
        "no use case",
    ),
    "a use case that is not there": ("ana", lambda p: lone(p, use_case="other"), 400, "no use case"),
    "a time to come": ("ana", lambda p: lone(p, at=now(hours=-1)), 400, "clock"),
    "a time long gone": ("ana", lambda p: noted(p, "ana", "ana", at=now(hours=1)), 400, "clock"),
    "a size that the log does not have": ("ana", lambda p: {**lone(p), "size": 1}, 409, "another decision"),
    "an entry that is not canonical": (
        "ana",
        lambda p: changed_entry(noted(p, "ana", "ana"), subject="tumours/1"),
        400,
        "canonical",
    ),
    "an unknown field": ("ana", lambda p: {**lone(p), "force": True}, 400, "exactly the fields"),
    "no entry": ("ana", lambda p: {**lone(p), "entries": []}, 400, "one entry"),
    "two entries": ("ana", lambda p: {**lone(p), "entries": lone(p)["entries"] * 2}, 400, "one entry"),
    "no object": ("ana", lambda _: ["release"], 400, "exactly the fields"),
    "no JSON": ("ana", lambda _: b"{", 400, "not JSON"),
    "five MiB": ("ana", lambda _: b" " * (5 << 20), 413, "bytes at most"),
    "nobody": (None, lone, 401, ""),
}
