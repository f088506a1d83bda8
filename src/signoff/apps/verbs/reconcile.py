"""`signoff admin reconcile`: find what was changed around the server, and put aliases right by policy.

Everything is read by SQL or REST. Model files in local folders are hashed where they are; of others a private copy.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import urlparse

from signoff.adapters.mlflow_sql.guarded import GuardedReader
from signoff.adapters.model_folder import local_model
from signoff.apps.verbs.alias import joined, move
from signoff.apps.verbs.evidence import database_of, run_evidence
from signoff.apps.verbs.freezing import guarded_ledger, thaw
from signoff.apps.workspace import Actor, Workspace, now, private_copy, require_key
from signoff.conformance.boundary import use_case_of
from signoff.errors import EvidenceError, ModelError, SignoffError, StoreError
from signoff.evidence.audit import StoredLedger, audit_ledger
from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.log_entry import read_entry
from signoff.evidence.merkle import Frontier, leaf_hash
from signoff.record.digest import Digest, Json
from signoff.record.model_version import ModelVersionRecord
from signoff.release.guard.evidence import FROZEN_MARK
from signoff.release.guard.stated import left_frozen
from signoff.release.history import History
from signoff.release.logged import logged_history
from signoff.release.model import Reason
from signoff.release.reconcile import (
    RECONCILE_ACTION,
    STATUS_TAG,
    Comparison,
    Discrepancy,
    EnvironmentSeen,
    Standing,
    StoreSeen,
    VersionSeen,
    compare,
    governed_versions,
    standing_in,
)
from signoff.release.repair import Policy, Repair, repairs
from signoff.standard.model import EnvironmentRules, UseCaseRules

TRIGGERS_ACTION = "triggers"
"""Action of the entries that tell which database triggers were installed or removed."""
_MOST_REASONS = 50
_RUN = "run "
_UNLOOKED = "frozen runs that nothing was signed for were not looked for: only MLflow's database tells them"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repaired:
    """What was done about one environment's alias, or one run's freeze.

    Attributes:
        done: one line on what happened.
        failed: whether nothing could be done.
    """

    done: str
    failed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """One look.

    Attributes:
        at: when, ISO 8601 UTC.
        comparison: what was found in all use cases and in the log.
        refused: why the policy was not carried out; empty when it was, or when it was only to report.
        repaired: what was done.
        head: the log's head at the end, for the next look.
    """

    at: str
    comparison: Comparison
    refused: tuple[Reason, ...]
    repaired: tuple[Repaired, ...]
    head: LogHead


_Look: TypeAlias = tuple[UseCaseRules, History, StoreSeen, Comparison]


def reconcile(
    workspace: Workspace, *, policy: Policy, actor: Actor, before: LogHead | None = None
) -> Reconciled:
    """Look once at everything that the ledger vouches for, and carry out a policy.

    Args:
        workspace: the team's workspace.
        policy: only report; delete wrong aliases; or point them back at what is released.
        actor: who looks; to change anything with the key of somebody who may promote or roll back.
        before: the log's head at an earlier look of this process; None for the first.

    Raises:
        StoreError: the store or the ledger cannot be read.
        UsageError: a policy that changes something, and no key.
    """
    refused = () if policy == "report" else _refusals(workspace, actor)
    database = database_of(workspace)
    frozen = None if database is None or guarded_ledger(workspace) is None else database.frozen()
    stored = workspace.ledger().stored()  # after the marks: a proposal that was written in between is in it
    entries = tuple(_readable(stored))
    log = (*_log(workspace, stored), *_shrunk(stored, before))
    looks: list[_Look] = []
    blind: list[str] = []
    for rules in workspace.standard.use_cases.values():
        own = tuple(entry for entry in entries if entry.use_case == rules.name)
        try:
            history = logged_history(rules.name, stored, workspace.people().roster)
        except EvidenceError as error:
            blind.append(f"{rules.name}: {error.what}")
            continue
        seen = _seen(workspace, rules, history, database)
        found = compare(rules, history=history, people=workspace.people(), entries=own, seen=seen)
        looks.append((rules, history, seen, found))
    left, unlooked = _left_frozen(workspace, frozen, stored)
    comparison = Comparison(
        found=(*log, *left, *_triggers(entries, database), *(d for *_, found in looks for d in found.found)),
        unseen=(*dict.fromkeys(text for *_, found in looks for text in found.unseen), *unlooked),
        blind=(*blind, *(text for *_, found in looks for text in found.blind)),
    )
    comparison = _recorded(workspace, comparison, entries, actor=actor)
    if log and policy != "report":
        message = "the audit log is not as it was written: what it says of aliases is not followed"
        refused = (*refused, Reason(code="log-changed", message=message, fix="signoff admin audit --verify"))
    done = () if refused else _carried_out(workspace, looks, policy=policy, actor=actor)
    if policy == "revert" and not refused:
        done = (*done, *(_thawed(workspace, one, actor=actor) for one in left))
    return Reconciled(
        at=now(), comparison=comparison, refused=refused, repaired=done, head=workspace.ledger().head()
    )


def _refusals(workspace: Workspace, actor: Actor) -> tuple[Reason, ...]:
    """Putting an alias right takes a person who may promote or roll back."""
    require_key(actor)
    promote, back = (workspace.people().refusals(actor.name, what) for what in ("promote", "rollback"))
    return promote if promote and back else ()


def _readable(stored: StoredLedger) -> Iterator[Entry]:
    """The log's entries; those that cannot be read are for the audit to tell."""
    for row in stored.rows:
        with suppress(EvidenceError):
            yield read_entry(row.entry)


def _log(workspace: Workspace, stored: StoredLedger) -> tuple[Discrepancy, ...]:
    """The audit log against itself and against the heads that people signed."""
    return tuple(
        Discrepancy(
            code="log-changed",
            use_case="",
            subject="audit log" if finding.index is None else f"audit log entry {finding.index}",
            message=finding.message,
            known="",
            fix="signoff admin audit --verify, then restore the database",
        )
        for finding in audit_ledger(stored, workspace.people().roster).findings
    )


def _shrunk(stored: StoredLedger, before: LogHead | None) -> tuple[Discrepancy, ...]:
    """The log against what an earlier look of this process saw."""
    if before is None:
        return ()
    tree = Frontier.of(leaf_hash(row.entry) for row in stored.rows[: before.size])
    if tree.size == before.size and tree.root().hex() == before.root.hex:
        return ()
    message = f"it had {before.size} entries with root {before.root.short}; of these {tree.size} are there, or others"
    return (
        Discrepancy(
            code="log-shrunk",
            use_case="",
            subject="audit log",
            message=message,
            known="",
            fix="restore the database; nothing that was decided since can be trusted",
        ),
    )


def _left_frozen(
    workspace: Workspace, frozen: Mapping[str, str] | None, stored: StoredLedger
) -> tuple[tuple[Discrepancy, ...], tuple[str, ...]]:
    """Runs that are frozen though no statement is about them; and what could not be looked at."""
    if frozen is None:
        return (), (_UNLOOKED,) if workspace.decides_elsewhere else ()
    try:
        left = left_frozen(frozen, stored)
    except EvidenceError as error:
        return (), (f"frozen runs that nothing was signed for: {error.what}",)
    told = (
        Discrepancy(
            code="freeze-mark-left",
            use_case=use_case_of(workspace.standard, frozen[run_id]) or "",
            subject=f"{_RUN}{run_id}",
            message="it is frozen, and no statement is about it: a proposal was cut short, or is being decided now",
            known="",
            fix="propose it again; or signoff admin reconcile --revert opens it",
        )
        for run_id in left
    )
    return tuple(told), ()


def _thawed(workspace: Workspace, left: Discrepancy, *, actor: Actor) -> Repaired:
    """Open a run that nothing was signed for; a proposal that is still being decided must then be made again."""
    ledger, run_id = guarded_ledger(workspace), left.subject.removeprefix(_RUN)
    if ledger is None:
        raise StoreError("the database is no longer guarded", where=workspace.shown_uri)
    entry = Entry(
        at=now(),
        actor=actor.name,
        action=RECONCILE_ACTION,
        outcome="allowed",
        use_case=left.use_case,
        subject=left.subject,
        statement=None,
        reasons=(f"{left.code}: {left.message}",),
        detail={"policy": "revert", "run_id": run_id},
    )
    try:
        done = thaw(workspace, ledger, run_id, entry=entry)
    except SignoffError as error:
        return Repaired(done=f"{left.subject} could not be opened: {error.what}", failed=True)
    words = {
        "thawed": "is open again",
        "open": "was open already",
        "kept": "stays frozen: it was proposed meanwhile",
    }
    return Repaired(done=f"{left.subject} {words[done]}", failed=False)


def _triggers(entries: tuple[Entry, ...], database: GuardedReader | None) -> tuple[Discrepancy, ...]:
    told = [entry for entry in entries if entry.action == TRIGGERS_ACTION and entry.outcome == "allowed"]
    if not told or told[-1].subject != "install" or database is None:
        return ()
    names = told[-1].detail.get("names")
    wanted = [name for name in names if isinstance(name, str)] if isinstance(names, list | tuple) else []
    gone = sorted(set(wanted) - set(database.triggers()))
    if not gone:
        return ()
    return (
        Discrepancy(
            code="triggers-gone",
            use_case="",
            subject="database triggers",
            message=f"{len(gone)} of {len(wanted)} are gone or disabled: {', '.join(gone)}",
            known=told[-1].at,
            fix="signoff admin triggers --install; an upgrade of MLflow's schema may remove them",
        ),
    )


def _seen(
    workspace: Workspace, rules: UseCaseRules, history: History, database: GuardedReader | None
) -> StoreSeen:
    """The store as it is now, for one use case."""
    reader, numbers = workspace.reader(), governed_versions(history)
    records = {number: reader.version(rules.registered_model, number) for number in numbers}
    run_ids = {record.run_id for record in records.values() if record is not None and record.run_id}
    active = reader.active_runs(run_ids)
    marks = {} if database is None else database.marks(run_ids)
    tags = {} if database is None else database.version_tags(rules.registered_model, STATUS_TAG)
    return StoreSeen(
        environments={
            name: _environment(workspace, rules, environment, history)
            for name, environment in rules.environments.items()
        },
        versions={
            number: _version(
                workspace,
                record,
                active=active,
                marks=None if database is None else marks,
                database=database,
                status=tags.get(number, ""),
            )
            for number, record in records.items()
        },
    )


def _version(
    workspace: Workspace,
    record: ModelVersionRecord | None,
    *,
    active: frozenset[str],
    marks: Mapping[str, str] | None,
    database: GuardedReader | None,
    status: str,
) -> VersionSeen:
    if record is None:
        return VersionSeen(record=None)
    model, unread = _model(workspace, record.uri, None)
    seen = VersionSeen(record=record, model=model, unread=unread, status=status)
    if record.run_id is None:
        return seen
    if record.run_id not in active:
        return replace(seen, run_active=False)
    marked = None if marks is None else marks.get(record.run_id, "") == FROZEN_MARK
    seen = replace(seen, run_active=True, marked=marked)
    try:
        run = workspace.reader().run(record.run_id)
    except StoreError as error:  # its rows are there, so its artifacts are out of reach
        return replace(seen, unread=seen.unread or error.what)
    logged = None if record.model_id is None else any(m.model_id == record.model_id for m in run.models)
    return replace(seen, logged_model=logged, evidence=run_evidence(workspace, run, database=database))


def _model(workspace: Workspace, uri: str, environment: EnvironmentRules | None) -> tuple[Digest | None, str]:
    """Digest of a model's files, None when they are gone or no model; and why they could not be read."""
    try:
        if urlparse(uri).scheme in ("", "file"):
            found = local_model(uri)
            return (None if found is None else found.digest), ""
        with private_copy(workspace, uri, environment) as folder:
            return folder.digest, ""
    except ModelError:
        return None, ""
    except StoreError as error:
        return None, error.what


def _environment(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, history: History
) -> EnvironmentSeen:
    try:
        reader = workspace.reader_of(environment)
        alias = reader.alias(rules.registered_model, environment.alias)
        if environment.server is None:
            return EnvironmentSeen(alias=alias)
        standing = standing_in(environment, history=history, people=workspace.people())
        if not isinstance(standing, Standing):
            return EnvironmentSeen(alias=alias)
        record = reader.version(rules.registered_model, standing.there)
    except StoreError as error:
        if environment.server is None:
            raise
        return EnvironmentSeen(alias=None, away=error.what)
    model, unread = (None, "") if record is None else _model(workspace, record.uri, environment)
    return EnvironmentSeen(alias=alias, standing=VersionSeen(record=record, model=model, unread=unread))


def _recorded(
    workspace: Workspace, comparison: Comparison, entries: tuple[Entry, ...], *, actor: Actor
) -> Comparison:
    """Remember what was found, once: the same findings bring no second entry."""
    if not comparison.found:
        return comparison
    shown: list[Json] = [d.to_json() for d in comparison.found]
    digest = str(Digest.of_json(shown))
    last = [e for e in entries if e.action == RECONCILE_ACTION and e.outcome == "refused"]
    if last and last[-1].detail.get("found") == digest:
        return comparison
    told = [f"{d.code} {d.subject}: {d.message}" for d in comparison.found]
    entry = Entry(
        at=now(),
        actor=actor.name,
        action=RECONCILE_ACTION,
        outcome="refused",
        use_case="",
        subject="changes around the server",
        statement=None,
        reasons=tuple(told[:_MOST_REASONS]),
        detail={"found": digest, "count": len(told)},
    )
    try:
        with workspace.ledger().transaction() as writer:
            writer.append(entry)
    except SignoffError as error:
        return replace(comparison, unseen=(*comparison.unseen, f"this was not recorded: {error.what}"))
    return comparison


def _carried_out(
    workspace: Workspace, looks: list[_Look], *, policy: Policy, actor: Actor
) -> tuple[Repaired, ...]:
    done: list[Repaired] = []
    for rules, history, seen, comparison in looks:
        planned = repairs(
            rules, comparison, history=history, people=workspace.people(), seen=seen, policy=policy
        )
        for repair in planned:
            alias = seen.environments[repair.environment.name].alias
            done.append(_repaired(workspace, rules, repair, alias=alias, policy=policy, actor=actor))
    return tuple(done)


def _repaired(
    workspace: Workspace,
    rules: UseCaseRules,
    repair: Repair,
    *,
    alias: int | None,
    policy: Policy,
    actor: Actor,
) -> Repaired:
    name = f"{rules.registered_model}@{repair.environment.alias}"
    if repair.left:
        return Repaired(done=f"{name} was left: {repair.left}", failed=True)
    entry = Entry(
        at=now(),
        actor=actor.name,
        action=RECONCILE_ACTION,
        outcome="allowed",
        use_case=rules.name,
        subject=name,
        statement=None if repair.standing is None else str(repair.standing.statement.id),
        reasons=(repair.because,),
        detail={"policy": policy, "from": alias, "to": repair.there, "environment": repair.environment.name},
    )
    try:
        if repair.there is None:
            _delete(workspace, rules, repair.environment, entry)
        else:
            _point(workspace, rules, repair, entry)
    except SignoffError as error:
        return Repaired(done=f"{name} could not be changed: {error.what}", failed=True)
    at = "deleted" if repair.there is None else f"points at version {repair.there} again"
    return Repaired(done=f"{name} {at} (it pointed at {alias or 'nothing'})", failed=False)


def _point(workspace: Workspace, rules: UseCaseRules, repair: Repair, entry: Entry) -> None:
    _refuse_from_afar(workspace, repair.environment)
    standing = repair.standing
    kept = None if standing is None else workspace.ledger().get(standing.statement.id)
    if standing is None or kept is None or repair.there is None:
        raise StoreError("the statement of the release is no longer in the ledger")
    move(
        workspace,
        rules,
        repair.environment,
        version=standing.version,
        there=repair.there,
        run_id=standing.statement.text("run_id") or None,
        envelope=kept,
        entry=entry,
        expected=workspace.ledger().head().size,
    )


def _refuse_from_afar(workspace: Workspace, environment: EnvironmentRules) -> None:
    if workspace.decides_elsewhere and environment.server is None:
        raise StoreError(
            "behind a guarded server aliases are put right with its database's address only",
            where=workspace.shown_uri,
            hint="run it where the standard or MLFLOW_TRACKING_URI names the database; or promote the release again",
        )


def _delete(workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, entry: Entry) -> None:
    """Delete an environment's alias and record it, in one transaction where both lie in one database."""
    from signoff.adapters.ledger_sql import SqlLedger

    ledger, store = workspace.ledger(), workspace.store_of(environment)
    _refuse_from_afar(workspace, environment)
    if isinstance(ledger, SqlLedger) and joined(workspace, environment):

        def join(connection: Any) -> None:
            ledger.writer_on(connection).append(entry)

        store.delete_alias(rules.registered_model, environment.alias, commit=join)
        return
    with ledger.transaction() as writer:
        writer.append(entry)
    store.delete_alias(rules.registered_model, environment.alias, commit=None)
