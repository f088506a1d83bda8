"""Many people at once on one guarded server, and what must hold of log and store whatever came of it."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bypass_attempt import Request, delete, post
from guard_server import Guarded, Reply, logged_in
from team import signoff

if TYPE_CHECKING:
    from signoff.apps.workspace import Actor, Workspace
    from signoff.evidence.ledger import Entry

MOVES = frozenset({"promote", "rollback"})
STANDS = "guard:alias"
CONFLICTS = frozenset({400, 404, 409})
"""What MLflow answers to changes that met another one: not done, and safe to ask again."""
LOST = 0
"""Stands for the status of a request of which nobody knows what came of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """One operation and its answer.

    Attributes:
        kind: promote, roll back, …
        who: login.
        status: HTTP status, or `LOST`.
        text: what the server said.
    """

    kind: str
    who: str
    status: int
    text: str


@dataclass(kw_only=True, slots=True)
class Load:
    """Clients that ask for changes until enough were asked.

    Attributes:
        place: the server; tumours/1 and tumours/2 are proposed, the first is released.
        operations: how many in all.
        clients: threads.
        seed: of what they choose.
        done: what came of each.
    """

    place: Guarded
    operations: int
    clients: int = 8
    seed: int = 0
    done: list[Done] = field(default_factory=list)
    _left: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _judge: "Reviewer | None" = None
    _threads: list[threading.Thread] = field(default_factory=list)

    def run(self) -> None:
        """Ask for everything; returns when all was answered."""
        self.start()
        self.join()

    def start(self) -> None:
        """Begin."""
        self._left = self.operations
        self._judge = Reviewer(place=self.place)
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{self.seed}/{n}"),), daemon=True)  # noqa: S311
            for n in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until everything was answered."""
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Ask for nothing more, and wait for what is under way."""
        with self._lock:
            self._left = 0
        self.join()

    def _work(self, chance: random.Random) -> None:
        kinds = list(_KINDS)
        while True:
            with self._lock:
                if self._left == 0:
                    return
                self._left -= 1
            kind = chance.choices(kinds, weights=[_KINDS[name] for name in kinds])[0]
            for done in self._one(kind, chance):
                with self._lock:
                    self.done.append(done)
                if done.status == LOST:
                    time.sleep(0.2)

    def _one(self, kind: str, chance: random.Random) -> list[Done]:
        if kind == "approve":
            assert self._judge is not None
            return [self._judge.approve(2)]
        if kind == "register and delete":
            return self._register_and_delete(chance)
        who, request = _request(kind, chance)
        return [self._asked(kind, who, request)]

    def _register_and_delete(self, chance: random.Random) -> list[Done]:
        who = chance.choice(("ana", "admin"))
        model = {"source": "models:/{running_model}", "model_id": "{running_model}"}
        body = {"name": "tumours", "run_id": "{running}", **model}
        made, reply = self._ask("register", who, post("model-versions/create", body))
        if reply is None or made.status != 200:
            return [made]
        version = reply.json["model_version"]["version"]
        request = delete("model-versions/delete", {"name": "tumours", "version": version})
        return [made, self._asked("delete", who, request)]

    def _asked(self, kind: str, who: str, request: Request) -> Done:
        return self._ask(kind, who, request)[0]

    def _ask(self, kind: str, who: str, request: Request) -> tuple[Done, Reply | None]:
        filled = request.about(self.place.names)
        try:
            reply = self.place.address.ask(who, filled.method, filled.path, filled.body)
        except (OSError, http.client.HTTPException) as error:
            return Done(kind=kind, who=who, status=LOST, text=str(error)), None
        return Done(kind=kind, who=who, status=reply.status, text=reply.text), reply


_KINDS: Mapping[str, int] = {
    "promote": 5,
    "roll back": 5,
    "point elsewhere": 2,
    "approve": 4,
    "delete alias": 1,
    "delete released": 1,
    "delete model": 1,
    "rename": 1,
    "register and delete": 2,
}
"""What clients ask for, and how often."""


def _request(kind: str, chance: random.Random) -> tuple[str, Request]:
    alias = {"name": "tumours", "alias": "prod"}
    anybody = chance.choice(("ana", "ben", "mia", "admin"))
    return {
        "promote": ("cleo", post("registered-models/alias", {**alias, "version": "2"})),
        "roll back": ("cleo", post("registered-models/alias", {**alias, "version": "1"})),
        "point elsewhere": (
            anybody,
            post("registered-models/alias", {**alias, "version": chance.choice(("1", "2", "{quarantined}"))}),
        ),
        "delete alias": (anybody, delete("registered-models/alias", dict(alias))),
        "delete released": (anybody, delete("model-versions/delete", {"name": "tumours", "version": "1"})),
        "delete model": (anybody, delete("registered-models/delete", {"name": "tumours"})),
        "rename": (anybody, post("registered-models/rename", {"name": "tumours", "new_name": "past"})),
    }[kind]


@dataclass(kw_only=True, slots=True)
class Reviewer:
    """Ben, who approves through the server from this process; one approval at a time is made ready."""

    place: Guarded
    _workspace: "Workspace | None" = None
    _actor: "Actor | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def approve(self, version: int) -> Done:
        """Approve a version for prod."""
        from signoff.apps.verbs.judge import approve
        from signoff.apps.verbs.reference import VersionReference
        from signoff.apps.workspace import open_actor, open_workspace
        from signoff.errors import SignoffError

        with self._lock, logged_in("ben"):
            try:
                workspace = open_workspace(str(self.place.team.folder / "signoff.yaml"))
                said = approve(
                    workspace,
                    VersionReference(name="tumours", version=version),
                    environment="prod",
                    actor=open_actor(workspace, self.place.team.key("ben")),
                    ticked=(),
                    comment="read",
                )
            except SignoffError as error:
                lost = "reach" in str(error) or "answer" in str(error)
                return Done(kind="approve", who="ben", status=LOST if lost else 409, text=str(error))
        return Done(kind="approve", who="ben", status=200 if said.decision.allowed else 403, text=str(said))


def entries_of(place: Guarded) -> "tuple[Entry, ...]":
    """The audit log, read from the database itself."""
    from signoff.adapters.ledger_sql import SqlLedger

    return tuple(logged.entry for logged in SqlLedger(place.store.database).entries())


def violations(place: Guarded, load: Load, before: int) -> list[str]:
    """What does not hold; empty when all does.

    Args:
        place: the server, running.
        load: what was asked.
        before: size of the log when it began.
    """
    entries = entries_of(place)
    with logged_in("cleo"):
        verified = signoff(place.team, "admin", "audit", "--verify")
    found = [] if verified.code == 0 else [f"the log does not verify: {verified}"]
    found += _not_linear(place, entries)
    found += _grants_used_twice(entries)
    found += _not_told(load.done, entries[before:])
    found += _lost_rows(place, entries)
    return found


def _not_linear(place: Guarded, entries: "Sequence[Entry]") -> list[str]:
    """Each move starts where the one before ended, and the alias stands where the last one put it."""
    found, stands = [], None
    for index, entry in enumerate(entries):
        if entry.outcome != "allowed" or entry.use_case != "tumours":
            continue
        if entry.action in MOVES:
            if entry.detail.get("from_version") != stands:
                found.append(
                    f"entry {index} moves from {entry.detail.get('from_version')}, but {stands} stood there"
                )
            stands = entry.detail["version"]
        elif entry.action == STANDS and entry.subject == "tumours@prod" and entry.detail["version"] != stands:
            found.append(f"entry {index} says that {entry.detail['version']} stands, but {stands} did")
    rows = place.store.rows(
        "SELECT version FROM registered_model_aliases WHERE name = 'tumours' AND alias = 'prod'"
    )
    if [int(row[0]) for row in rows] != [stands]:
        found.append(f"the alias points at {rows}, the log says {stands}")
    return found


def _grants_used_twice(entries: "Sequence[Entry]") -> list[str]:
    """Each promotion of a version needs an approval of it that is younger than its last rollback."""
    found, granted, stands = [], set(), None
    for index, entry in enumerate(entries):
        if entry.outcome != "allowed":
            continue
        if entry.action == "approve":
            granted.add(int(entry.subject.split()[0].rpartition("/")[2]))
        elif entry.action == "promote":
            version = entry.detail["version"]
            if version == stands:
                found.append(f"entry {index} releases {version}, which stood there already")
            if version not in granted:
                found.append(f"entry {index} releases {version} without an approval that counts")
            stands = version
        elif entry.action == "rollback":
            granted.discard(stands)
            stands = entry.detail["version"]
    return found


def _not_told(done: Sequence[Done], entries: "Sequence[Entry]") -> list[str]:
    """What was answered with yes stands in the log once, and nothing else does; of lost answers nobody knows."""
    found = []
    for name, kinds, is_it in _TOLD:
        yes = sum(one.kind in kinds and one.status == 200 for one in done)
        lost = sum(one.kind in kinds and (one.status == LOST or one.status >= 500) for one in done)
        logged = sum(entry.outcome == "allowed" and is_it(entry) for entry in entries)
        if not yes <= logged <= yes + lost:
            found.append(f"{name}: {yes} answered with yes and {lost} lost, but {logged} in the log")
    return found


def _moved(entry: "Entry") -> bool:
    return entry.action in MOVES or (entry.action == STANDS and entry.subject == "tumours@prod")


_TOLD: tuple[tuple[str, frozenset[str], "Callable[[Entry], bool]"], ...] = (
    ("aliases", frozenset({"promote", "roll back", "point elsewhere"}), _moved),
    ("approvals", frozenset({"approve"}), lambda entry: entry.action == "approve"),
    ("registrations", frozenset({"register"}), lambda entry: entry.action == "guard:registration"),
    ("deletions", frozenset({"delete"}), lambda entry: entry.action == "guard:deletion"),
)


def _lost_rows(place: Guarded, entries: "Sequence[Entry]") -> list[str]:
    """What was released is still there, and so is what it came from."""
    there: dict[int, Any] = {
        int(version): (run, stage)
        for version, run, stage in place.store.rows(
            "SELECT version, run_id, current_stage FROM model_versions WHERE name = 'tumours'"
        )
    }
    found = []
    for version, run in ((1, place.names["released"]), (2, place.names["proposed"])):
        if there.get(version) != (run, "None"):
            found.append(f"tumours/{version} is {there.get(version)}")
    living = {
        row[0] for row in place.store.rows("SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active'")
    }
    return found + [
        f"run {run} is gone"
        for run in (place.names["released"], place.names["proposed"])
        if run not in living
    ]


def counted(done: Sequence[Done]) -> str:
    """How often what was answered, for people."""
    counts = Counter((one.kind, one.status) for one in done)
    return ", ".join(f"{kind} {status or 'lost'}: {n}" for (kind, status), n in sorted(counts.items()))
