"""The guard in a server: who asks, what is in force, what the ledger says, and what comes of it.

One instance in each worker. The hooks in MLflow's stores call it inside of MLflow's transactions; what is asked at
every write (`asker`, `rules`) is answered from memory.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from signoff.adapters.key_files import SigningKey, load_key
from signoff.adapters.ledger_sql import SqlLedger
from signoff.adapters.mlflow_store import MlflowStore
from signoff.apps.repeated import RepeatedRefusals
from signoff.apps.server.actor import REQUEST, asked_address
from signoff.apps.server.asgi import TOLD
from signoff.apps.server.button import Button, Memory
from signoff.apps.server.facts import Facts, undecided
from signoff.apps.server.in_force import InForce, RulesInForce
from signoff.apps.server.ledger_view import LedgerView
from signoff.apps.server.settings import PAGES_PREFIX, Settings
from signoff.apps.verbs.recording import append_refusals, mirror_status
from signoff.apps.workspace import Workspace, now
from signoff.errors import ConflictError, StoreError
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import read_entry
from signoff.release.guard.ahead import NotReadError
from signoff.release.guard.decide import decide
from signoff.release.guard.explain import warning_line
from signoff.release.guard.model import Asker, Change, Objection, Record, Ruling, governed_entry
from signoff.release.guard.ports import StoreLookup
from signoff.release.guard.registration import QUARANTINED
from signoff.release.model import Reason
from signoff.standard.guard import GUARD_RULES, GuardRule, GuardRules

if TYPE_CHECKING:
    from signoff.adapters.ledger_sql import LogGrowth
    from signoff.adapters.ledger_sql.connection import DbapiConnection

_log = logging.getLogger(__name__)
ROOT_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_ROOT"
_ASKER = "signoff.asker"
"""Key of a request's scope: who asked, when something was told; afterwards MLflow's own record of it is gone."""
_RUN = re.compile(r"run ([0-9a-f]{32})\b")
_SIGNED = "signoff.signed"
"""Key of a request's scope: entries of releases and rollbacks that its transactions were to bring."""
_LATER = "signoff.later"
"""Key of a request's scope: entries of warnings that could not be written with what they are about."""
_WARNING_TAG = "signoff.warning"
_MOST_WARNINGS = 5
"""Lines of that tag: the newest."""
_LONGEST_TAG = 4000
"""Characters; MLflow takes a few more."""
_TRIES = 5
"""How often the standard in force is named while others do so."""
_RULE_OF: dict[str, GuardRule] = {
    "registered_model_aliases": "alias",
    "model_versions": "registration",
    "registered_models": "registration",
    "experiments": "experiment",
}


def open_guard(settings: Settings) -> "ServerGuard":
    """The guard of this worker; it lets everything pass until it is armed.

    Raises:
        StandardError: standard or roster have faults.
        EvidenceError: the server's key cannot be loaded.
        StoreError: the database can hold no ledger.
    """
    return ServerGuard(
        settings.standard,
        database=settings.database,
        artifacts=settings.destination or None,
        artifact_root=os.environ.get(ROOT_VARIABLE, ""),
        key=None if settings.key is None else load_key(settings.key),
        single_user=settings.auth == "none",
        static_prefix=settings.static_prefix,
    )


class ServerGuard:
    """`Guard` of one worker.

    Args:
        standard: the standard's file.
        database: MLflow's backend store URI; runs, registry and ledger are there.
        artifacts: folder or bucket of the artifacts that the server proxies; None when it proxies none.
        artifact_root: the server's default artifact root.
        key: the server's own key; None: nothing new is released over MLflow's API.
        single_user: the server has no login.
        static_prefix: path that the server's pages lie below; "" for none.

    Raises:
        StandardError: standard or roster have faults.
        StoreError: this database can hold no ledger.
    """

    def __init__(
        self,
        standard: Path,
        *,
        database: str,
        artifacts: str | None,
        artifact_root: str = "",
        key: SigningKey | None = None,
        single_user: bool = False,
        static_prefix: str = "",
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._artifact_root = artifact_root
        self._key = key
        self._static_prefix = static_prefix
        self._ledger = SqlLedger(database)
        self._store = MlflowStore(database, served=artifacts)
        self._view = LedgerView()
        self._memory = Memory()
        self._refusals = RepeatedRefusals()
        self._armed = False
        self._has_ledger = False
        self._in_force = InForce(standard, single_user=single_user, announce=self._announce)

    def arm(self) -> None:
        """Decide from now on, and say in the log which standard is in force."""
        self._armed = True
        self._in_force.refresh()

    def watch(self) -> None:
        """Take up changes of standard and roster from now on, within a second or two; log refusals that were counted."""
        self._in_force.watch(self._write_counted)

    def refresh(self) -> None:
        """Take up changes of standard and roster now."""
        self._in_force.refresh()

    def problems(self) -> tuple[str, ...]:
        """What an operator must look at; empty when all is well."""
        return self._in_force.problems()

    def workspace(self) -> Workspace:
        """The standard in force, over this server's own database and artifacts."""
        return self._workspace(self._in_force.rules)

    def armed(self) -> bool:
        """See `Guard`."""
        return self._armed

    def asker(self) -> Asker | None:
        """See `Guard`."""
        return self._in_force.rules.askers.here()

    def rules(self) -> GuardRules:
        """See `Guard`."""
        return self._in_force.rules.standard.guard

    def link(self, rule: GuardRule) -> str:
        """See `Guard`."""
        page = f"{self._static_prefix}{PAGES_PREFIX}/rules/{rule}"
        return self.rules().link or f"{asked_address()}{page}"

    def decide(self, changes: tuple[Change, ...], *, lookup: StoreLookup) -> Ruling:
        """See `Guard`."""
        in_force = self._in_force.rules
        if all(in_force.standard.guard.level(rule) == "off" for rule in GUARD_RULES):
            return Ruling()
        asker = in_force.askers.here()
        if asker is None:
            nobody = Reason(
                code="nobody-asks", message="nobody is logged in here", fix="log in to the server"
            )
            return _refusing(changes, nobody)
        try:
            return decide(changes, asker=asker, facts=self._facts(in_force, lookup))
        except NotReadError:
            raise
        except Exception as error:  # noqa: BLE001 - MLflow would answer 500, and clients repeat that for minutes
            return _undecided(changes, undecided(error), asker=asker, rules=in_force.standard.guard)

    def told(self, ruling: Ruling) -> None:
        """See `Guard`."""
        scope = REQUEST.get()
        if scope is None:
            for objection in ruling.refused:
                _log.warning("signoff: refused outside of a request: %s", warning_line(objection))
            return
        scope.setdefault(TOLD, []).append(ruling)
        scope[_ASKER] = self.asker()

    def write_told(self, told: list[Ruling]) -> None:
        """Write a request's refusals to the audit log and its warnings to the runs concerned, after its response.

        Raises:
            SignoffError: the log cannot be written.
        """
        scope = REQUEST.get()
        asker = None if scope is None else scope.get(_ASKER)
        refused = dict.fromkeys(objection for ruling in told for objection in ruling.refused)
        entries = [_refusal(subject, asker, self._in_force.rules) for subject in _by_subject(refused)]
        append_refusals(self.workspace(), *entries, *([] if scope is None else scope.get(_LATER, [])))
        self._mark_versions([] if scope is None else scope.get(_SIGNED, []))
        warned = dict.fromkeys(objection for ruling in told for objection in ruling.warned)
        self._mark_runs(warned)
        self._mark_quarantined(objection for objection in warned if objection.reason.code == QUARANTINED)

    def write(self, records: tuple[Record, ...], *, connection: object) -> None:
        """See `Guard`. Where every rule only warns, a log that cannot be written refuses nothing either."""
        raw = cast("DbapiConnection", connection)
        rules = self.rules()
        if any(record.envelope for record in records) or any(
            rules.level(rule) == "enforce" for rule in GUARD_RULES
        ):
            self._write(records, raw)
            return
        cursor = raw.cursor()
        cursor.execute("SAVEPOINT signoff_warned")
        try:
            self._write(records, raw)
        except Exception as error:  # noqa: BLE001 - of any kind: what it is about was allowed
            cursor.execute("ROLLBACK TO SAVEPOINT signoff_warned")
            _log.warning("signoff: warnings are logged later: %s", error)
            scope = REQUEST.get()
            if scope is not None:
                scope.setdefault(_LATER, []).extend(record.entry for record in records)
                scope.setdefault(TOLD, [])
        cursor.execute("RELEASE SAVEPOINT signoff_warned")

    def _write(self, records: tuple[Record, ...], raw: "DbapiConnection") -> None:
        writer = self._ledger.writer_on(raw, known=self._has_ledger)
        self._has_ledger = True
        for use_case, size in _sizes(records).items():
            if self._ledger.decided_on(raw, use_case=use_case, since=size):
                raise ConflictError(
                    f"another decision on {use_case} was recorded while this one was made; nothing was changed",
                    hint="ask again",
                )
        for record in records:
            if record.envelope is not None:
                writer.put(
                    record.envelope,
                    use_case=record.entry.use_case,
                    version=record.version,
                    run_id=record.run_id,
                )
            writer.append(record.entry)
        signed = [record for record in records if record.envelope is not None]
        scope = REQUEST.get()
        if signed and scope is not None:
            scope.setdefault(_SIGNED, []).extend(signed)
            scope.setdefault(TOLD, [])

    def _facts(self, in_force: RulesInForce, lookup: StoreLookup) -> Facts:
        raw = cast("DbapiConnection", lookup.connection)
        grown = partial(_grown_on, self._ledger, raw)
        return Facts(
            in_force=in_force,
            lookup=lookup,
            seen=lambda use_case: self._view.read(use_case, in_force.people.roster, grown),
            button=Button(workspace=self._workspace(in_force), key=self._key, memory=self._memory),
            now=now(),
            root=self._artifact_root,
        )

    def _workspace(self, in_force: RulesInForce) -> Workspace:
        return Workspace(
            standard=in_force.standard,
            folder=self._in_force.folder,
            tracking_uri=self._database,
            ledger_uri=self._database,
            on_server=True,
            served=self._artifacts,
            refusals=self._refusals,
            _stores={"": self._store},
            _people=in_force.people,
        )

    def _write_counted(self) -> None:
        append_refusals(self.workspace())

    def _mark_runs(self, warned: dict[Objection, None]) -> None:
        """Show warnings on the runs concerned, where MLflow's own clients see them; nothing rests on these tags."""
        lines: dict[str, list[str]] = {}
        for objection in warned:
            if found := _RUN.search(f"{objection.subject} {objection.reason.message}"):
                lines.setdefault(found[1], []).append(warning_line(objection))
        for run_id, said in lines.items():
            try:
                kept = self._store.tag(run_id, _WARNING_TAG).splitlines()
                value = "\n".join([*dict.fromkeys((*kept, *said))][-_MOST_WARNINGS:])[:_LONGEST_TAG]
                self._store.set_tag(run_id, _WARNING_TAG, value)
            except StoreError as error:
                _log.warning("signoff: a warning could not be shown on run %s: %s", run_id, error.what)

    def _mark_quarantined(self, told: Iterable[Objection]) -> None:
        """Show on versions that they are in quarantine; a proposal of one replaces that."""
        for objection in told:
            name, _, number = objection.subject.rpartition("/")
            run = _RUN.search(objection.reason.message)
            if run is None or not number.isdecimal():
                continue
            try:
                kept = self.workspace().reader().version(name, int(number))
                if kept is not None and kept.run_id == run[1]:
                    mirror_status(self.workspace(), name, int(number), QUARANTINED)
            except StoreError as error:
                _log.warning("signoff: %s could not be marked: %s", objection.subject, error.what)

    def _mark_versions(self, signed: list[Record]) -> None:
        """Show on versions where they were released or taken back, once the ledger says so; for people's eyes."""
        for record in signed:
            envelope = record.envelope
            if envelope is None or self._ledger.get(envelope.id) is None:
                continue  # its transaction did not happen
            said = envelope.statement.predicate
            name, _, number = (record.version or "").rpartition("/")
            mirror_status(self.workspace(), name, int(number), f"released: {said['environment']}")
            left = said.get("from_version")
            if envelope.statement.kind == "rollback" and isinstance(left, int):
                mirror_status(self.workspace(), name, left, f"rolled back: {said['environment']}")

    def _announce(self, rules: RulesInForce) -> None:
        """Name a standard in the log when the newest entry names another one; workers and servers may do so at once."""
        if not self._armed:
            raise StoreError("the server is starting")
        standard, roster = rules.digests
        entry = Entry(
            at=now(),
            actor="server",
            action="standard",
            outcome="allowed",
            use_case="",
            subject=f"{rules.standard.path} version {rules.standard.version}",
            statement=None,
            reasons=(),
            detail={"standard": str(standard), "roster": str(roster), "version": rules.standard.version},
        )
        for _ in range(_TRIES):
            size = self._ledger.head().size
            logged = (
                e.entry.detail for e in self._ledger.entries(use_case="") if e.entry.action == "standard"
            )
            newest = list(logged)[-1:]
            if newest and all(newest[0].get(name) == entry.detail[name] for name in ("standard", "roster")):
                return
            with self._ledger.connection() as raw:
                if not self._named_since(raw, size):
                    self._ledger.writer_on(raw).append(entry)
                    return
        raise ConflictError("other servers named another standard all the while")

    def _named_since(self, connection: "DbapiConnection", size: int) -> bool:
        """Whether another worker or server named a standard beyond so many entries; the log is locked."""
        if not self._ledger.grew_on(connection, use_case="", since=size):
            return False
        rows = self._ledger.grown_on(connection, since=size).rows
        return any(read_entry(data).action == "standard" for _, data in rows)


def _grown_on(ledger: SqlLedger, connection: "DbapiConnection", since: int) -> "LogGrowth":
    return ledger.grown_on(connection, since=since)


def _refusing(changes: tuple[Change, ...], reason: Reason) -> Ruling:
    """Refuse all of it for a reason that no rule has."""
    return Ruling(refused=(_objection(changes, reason),))


def _undecided(changes: tuple[Change, ...], reason: Reason, *, asker: Asker, rules: GuardRules) -> Ruling:
    """Refuse what cannot be decided; where every rule only warns it happens, and the log says so if it can."""
    if any(rules.level(rule) == "enforce" for rule in GUARD_RULES):
        return _refusing(changes, reason)
    objection = _objection(changes, reason)
    entry = governed_entry(
        at=now(),
        asker=asker,
        action=f"guard:{objection.rule}",
        use_case="",
        subject=objection.subject,
        reasons=(f"would be refused: ({reason.code}) {reason.message}",),
        detail={"mode": "warn", "rule": objection.rule, "operation": changes[0].operation},
    )
    return Ruling(warned=(objection,), records=(Record(entry=entry),))


def _objection(changes: tuple[Change, ...], reason: Reason) -> Objection:
    tables = dict.fromkeys(change.table for change in changes)
    rule: GuardRule = next((_RULE_OF[table] for table in tables if table in _RULE_OF), "freeze")
    named = dict.fromkeys(name for change in changes if (name := _named(change)))
    subject = f"change of {', '.join(named or tables) or 'nothing'}"
    return Objection(rule=rule, use_case="", subject=subject, reason=reason)


def _named(change: Change) -> str:
    """What people call the row; "" for one that they have no name for."""
    name = change.value("name")
    if change.table == "registered_model_aliases":
        return f"{name}@{change.value('alias')}"
    if change.table == "model_versions":
        return f"{name}/{change.value('version')}"
    run_id = change.value("run_uuid")
    return "" if run_id is None else f"{change.table.replace('_', ' ')} of run {run_id}"


def _sizes(records: tuple[Record, ...]) -> dict[str, int]:
    """Per use case the size of the log that the oldest of its decisions rests on."""
    sizes: dict[str, int] = {}
    for record in records:
        if record.size is not None:
            known = sizes.get(record.entry.use_case, record.size)
            sizes[record.entry.use_case] = min(known, record.size)
    return sizes


def _by_subject(refused: dict[Objection, None]) -> Iterator[list[Objection]]:
    """What was said about one subject by one rule, together."""
    found: dict[tuple[str, str, str], list[Objection]] = {}
    for objection in refused:
        found.setdefault((objection.rule, objection.use_case, objection.subject), []).append(objection)
    yield from found.values()


def _refusal(objections: list[Objection], asker: Asker | None, rules: RulesInForce) -> Entry:
    first = objections[0]
    return governed_entry(
        at=now(),
        asker=asker or Asker(login="nobody", person=None),
        action=f"guard:{first.rule}",
        use_case=first.use_case,
        subject=first.subject,
        outcome="refused",
        reasons=tuple(f"({said.reason.code}) {said.reason.message}" for said in objections),
        detail={"rule": first.rule, "mode": "enforce", "standard": str(rules.standard.digest)},
    )
