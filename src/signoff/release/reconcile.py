"""What was changed around the server: the store as it is, held against what the ledger says.

The guard decides on what reaches MLflow through its server. Whoever has the database's or the bucket's credentials can
change rows and files without it; here the difference is found afterwards and named. Nothing here reads or writes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from signoff.errors import EvidenceError
from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import GUARDED
from signoff.record.digest import Digest, Json
from signoff.record.model_version import ModelVersionRecord
from signoff.release.arrival import Held, held_release
from signoff.release.chain import verify_release
from signoff.release.deleted import deleted_versions
from signoff.release.guard.evidence import (
    EVIDENCE_DETAIL,
    changed_parts,
    first_freeze,
    unseen_parts,
)
from signoff.release.history import History
from signoff.release.inherited import Inherited, inherited
from signoff.release.model import Release, Signed
from signoff.release.people import People
from signoff.release.text import printable
from signoff.standard.model import EnvironmentRules, UseCaseRules

ReconcileCode = Literal[
    "alias-moved",
    "alias-deleted",
    "alias-by-hand",
    "alias-unverified",
    "version-gone",
    "version-replaced",
    "run-gone",
    "logged-model-gone",
    "model-files-gone",
    "model-bytes-changed",
    "freeze-mark-gone",
    "freeze-mark-left",
    "evidence-changed",
    "status-tag",
    "log-changed",
    "log-shrunk",
    "triggers-gone",
]
STATUS_TAG = "signoff.status"
"""Tag of a version that shows its status to people; nothing rests on it, and it must not lie."""
RECONCILE_ACTION = "reconcile"


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionSeen:
    """A version as the store has it now.

    Attributes:
        record: the registry's record; None when it is gone.
        run_active: whether its run is there and not deleted; None when it has none or nobody looked.
        model: digest of its files; None when they are gone or could not be read.
        unread: why they could not be read; "" when they were read or are gone.
        logged_model: whether the run still has the logged model; None when it has none or nobody looked.
        marked: whether its run bears the freeze mark; None when nobody could look.
        evidence: digests of its run's evidence now, by part; None when its run is gone or nobody could look.
        status: its status tag; "" without one, or when nobody could look.
    """

    record: ModelVersionRecord | None
    run_active: bool | None = None
    model: Digest | None = None
    unread: str = ""
    logged_model: bool | None = None
    marked: bool | None = None
    evidence: Mapping[str, str] | None = None
    status: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentSeen:
    """An environment as the store has it now.

    Attributes:
        alias: the version that its alias points at; None for none.
        away: why its own server could not be asked; "" when it was.
        standing: the version that stands there, where the environment has a server of its own; None elsewhere.
    """

    alias: int | None
    away: str = ""
    standing: VersionSeen | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSeen:
    """A use case as the store has it now.

    Attributes:
        environments: by name.
        versions: by number; every one that was proposed, released or inherited.
    """

    environments: Mapping[str, EnvironmentSeen]
    versions: Mapping[int, VersionSeen]


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """One thing that is another than the ledger says.

    Attributes:
        code: stable.
        use_case: "" for the whole store.
        subject: ``churn@prod``, ``churn/3``, ``run 3f…`` or ``audit log``.
        message: what it is and what it should be.
        known: time of the statement or entry that says what it should be, ISO 8601 UTC: it was changed later; ""
            when nothing says.
        fix: what to do.
        environment: the environment whose alias is concerned; "" for none.
    """

    code: ReconcileCode
    use_case: str
    subject: str
    message: str
    known: str
    fix: str
    environment: str = ""

    def to_json(self) -> Json:
        """All fields."""
        return {
            "code": self.code,
            "use_case": self.use_case,
            "subject": self.subject,
            "message": self.message,
            "known": self.known,
            "fix": self.fix,
            "environment": self.environment,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What was found, and what could not be looked at.

    Attributes:
        found: discrepancies.
        unseen: what cannot be looked at from here, one line each.
        blind: what should have been looked at and could not be read: whether it is as recorded is undecided.
    """

    found: tuple[Discrepancy, ...]
    unseen: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What the ledger says stands in an environment.

    Attributes:
        version: its number, as statements name it.
        there: its number where the alias points: on the environment's own server another one.
        statement: the statement on top.
        since: its time.
        release: the release; None for what was inherited.
        faults: why it may not be pointed at again; empty when it may.
    """

    version: int
    there: int
    statement: Signed
    since: str
    release: Release | None
    faults: tuple[str, ...] = ()


def standing_in(environment: EnvironmentRules, *, history: History, people: People) -> Standing | str | None:
    """What stands in an environment; None for nothing, a text for why nobody can say."""
    try:
        release = history.release(environment.name)
    except EvidenceError as error:
        return error.what
    if release is None:
        taken = inherited(history, environment.name, people)
        return None if taken is None else _inherited(taken)
    top = release.rollback or release.statement
    faults = [r.message for r in verify_release(history, release.statement, people=people)]
    place = held_release(environment, release, history=history, people=people)
    if isinstance(place, Held):
        there = place.version
    else:
        there = release.version
        faults += [reason.message for reason in place]
    return Standing(
        version=release.version,
        there=there,
        statement=top,
        since=top.text("at"),
        release=release,
        faults=tuple(faults),
    )


def _inherited(taken: Inherited) -> Standing:
    top = taken.rollback or taken.statement
    return Standing(
        version=taken.version, there=taken.version, statement=top, since=top.text("at"), release=None
    )


def governed_versions(history: History) -> tuple[int, ...]:
    """Numbers of the versions that the ledger vouches for: proposed with a signature, released or inherited."""
    named = (
        signed.number("version")
        for signed in history.statements
        if signed.statement.kind in ("proposal", "release", "inherited") and signed.signers
    )
    return tuple(sorted({number for number in named if number is not None}))


def compare(
    rules: UseCaseRules,
    *,
    history: History,
    people: People,
    entries: tuple[Entry, ...],
    seen: StoreSeen,
) -> Comparison:
    """Hold one use case against the ledger.

    Args:
        rules: its rules.
        history: its statements.
        people: the roster and roles.
        entries: its entries in the audit log, oldest first.
        seen: the store as it is.
    """
    found: list[Discrepancy] = []
    unseen: list[str] = []
    blind: list[str] = []
    for environment in rules.environments.values():
        there = seen.environments[environment.name]
        if there.away:
            blind.append(f"{rules.name}@{environment.name}: {there.away}")
            continue
        if there.standing is not None and there.standing.unread:
            blind.append(f"{rules.name}@{environment.name}: files there: {there.standing.unread}")
        found += _alias(rules, environment, there, history=history, people=people, entries=entries)
    gone = deleted_versions(rules, history, entries)
    for number in governed_versions(history):
        version = _Version(rules=rules, number=number, history=history, entries=entries)
        there_now = seen.versions[number]
        if number in gone and not version.is_what_was_proposed(there_now):
            continue  # it was deleted through the server; its number may name another one by now
        found += version.compare(there_now)
        unseen += version.unseen(there_now)
        if there_now.unread:
            blind.append(f"{version.ref}: its files: {there_now.unread}")
    return Comparison(found=tuple(found), unseen=tuple(unseen), blind=tuple(blind))


def _alias(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    there: EnvironmentSeen,
    *,
    history: History,
    people: People,
    entries: tuple[Entry, ...],
) -> Iterator[Discrepancy]:
    standing = standing_in(environment, history=history, people=people)
    subject = f"{rules.registered_model}@{environment.alias}"
    again = f"signoff promote {rules.registered_model}/VERSION --env {environment.name}, or signoff admin reconcile --revert"

    def told(code: ReconcileCode, message: str, known: str, fix: str) -> Discrepancy:
        return Discrepancy(
            code=code,
            use_case=rules.name,
            subject=subject,
            message=f"{message}{_who(subject, rules=rules, environment=environment, entries=entries, since=known, alias=there.alias)}",
            known=known,
            fix=fix,
            environment=environment.name,
        )

    if isinstance(standing, str):
        yield told(
            "alias-unverified",
            f"nobody can say what is released: {standing}",
            "",
            "signoff admin audit --verify",
        )
    elif standing is None:
        if there.alias is not None:
            message = f"the alias points at version {there.alias}, and nothing was ever released there"
            yield told(
                "alias-by-hand", message, "", f"signoff admin reconcile --revert deletes it, or {again}"
            )
    elif there.alias is None:
        message = f"the alias is gone; version {standing.version} is released"
        yield told("alias-deleted", message, standing.since, again)
    elif there.alias != standing.there:
        message = f"the alias points at version {there.alias}; version {standing.there} is released"
        yield told("alias-moved", message, standing.since, again)
    if isinstance(standing, Standing) and there.standing is not None:
        yield from _elsewhere(rules, environment, standing, there.standing)


def _elsewhere(
    rules: UseCaseRules, environment: EnvironmentRules, standing: Standing, seen: VersionSeen
) -> Iterator[Discrepancy]:
    """The standing version's copy on the environment's own server."""
    subject = f"{rules.registered_model}/{standing.there} on the server of {environment.name}"
    wanted = None if standing.release is None else standing.release.model
    code: ReconcileCode
    if seen.record is None:
        code, message = "version-gone", "the released version is no longer in the registry"
    elif wanted is not None and not seen.unread and seen.model != wanted:
        now = "gone" if seen.model is None else seen.model.short
        code, message = "model-bytes-changed", f"the released files are {wanted.short}, they are {now} now"
    else:
        return
    yield Discrepancy(
        code=code,
        use_case=rules.name,
        subject=subject,
        message=message,
        known=standing.since,
        fix=f"signoff promote {rules.registered_model}/{standing.version} --env {environment.name} makes a new copy",
        environment=environment.name,
    )


def _who(
    subject: str,
    *,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    entries: tuple[Entry, ...],
    since: str,
    alias: int | None,
) -> str:
    """The newest entry about the alias, when it says what is found; most moves found here are in no entry."""
    names = (subject, f"{rules.name}@{environment.alias}", f"{rules.name}@{environment.name}")
    for entry in reversed(entries):
        governed = entry.action.startswith(GUARDED) or entry.action == RECONCILE_ACTION
        if entry.outcome == "allowed" and governed and entry.subject in names and entry.at >= since:
            if _moved_to(entry) != alias:
                break
            return f"; entry of {entry.at}: {entry.action} by {entry.actor}{_lifted(entry)}"
    return "; no entry of the audit log says who moved it" if since else ""


def _moved_to(entry: Entry) -> object:
    """The version at which an entry says that it pointed the alias; None when it deleted it."""
    if entry.action == RECONCILE_ACTION:
        return entry.detail.get("to")
    return None if "delete alias" in str(entry.detail.get("operation")) else entry.detail.get("version")


def _lifted(entry: Entry) -> str:
    return " under break-glass" if "override" in entry.detail or "overrides" in entry.detail else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    """One version that the ledger vouches for."""

    rules: UseCaseRules
    number: int
    history: History
    entries: tuple[Entry, ...]

    @property
    def ref(self) -> str:
        return f"{self.rules.registered_model}/{self.number}"

    def compare(self, seen: VersionSeen) -> Iterator[Discrepancy]:
        said = self._statement()
        if seen.record is None:
            yield self._told(
                "version-gone", f"it is no longer in the registry; it came from run {said.text('run_id')}"
            )
            return
        if (seen.record.run_id or "") != said.text("run_id"):
            message = f"it comes from run {seen.record.run_id or 'none'} now; the {said.statement.kind} is about run {said.text('run_id')}"
            yield self._told("version-replaced", message)
        if seen.run_active is False:
            yield self._told("run-gone", f"its run {seen.record.run_id} was deleted")
        if seen.logged_model is False:
            yield self._told("logged-model-gone", f"its logged model {seen.record.model_id} was deleted")
        yield from self._bytes(seen, said)
        yield from self._frozen(seen)
        yield from self._status(seen)

    def _bytes(self, seen: VersionSeen, said: Signed) -> Iterator[Discrepancy]:
        wanted = said.statement.subject("model")
        if wanted is None or seen.unread:
            return
        if seen.model is None:
            message = f"its files are gone, or no model any more; they were {wanted.short}"
            yield self._told("model-files-gone", message)
        elif seen.model != wanted:
            message = f"its files are {seen.model.short}; the {said.statement.kind} is about {wanted.short}"
            yield self._told("model-bytes-changed", message)

    def _frozen(self, seen: VersionSeen) -> Iterator[Discrepancy]:
        freeze = self._freeze()
        if freeze is None:
            return
        if seen.marked is False:
            message = "its run bears no freeze mark any more: clients could change what it logged"
            yield self._told("freeze-mark-gone", message, known=freeze.at)
        kept = freeze.detail.get(EVIDENCE_DETAIL)
        if isinstance(kept, Mapping) and seen.evidence is not None:
            changed = changed_parts(kept, seen.evidence)
            if changed:
                message = f"what its frozen run logged is another now: {', '.join(changed)}"
                yield self._told("evidence-changed", message, known=freeze.at)

    def _status(self, seen: VersionSeen) -> Iterator[Discrepancy]:
        claimed, _, environment = seen.status.partition(": ")
        if claimed != "released" or self._was_in(environment):
            return
        message = f"its tag {STATUS_TAG} says {seen.status!r}, and it was never released there"
        yield self._told("status-tag", message)

    def is_what_was_proposed(self, seen: VersionSeen) -> bool:
        """Whether the registry has the version that statements are about, by its run."""
        return seen.record is not None and (seen.record.run_id or "") == self._statement().text("run_id")

    def unseen(self, seen: VersionSeen) -> Iterator[str]:
        freeze = self._freeze()
        if freeze is None or seen.record is None:
            return
        if seen.marked is None:
            yield f"{self.ref}: the freeze mark was not looked at: only MLflow's database tells it"
        kept = freeze.detail.get(EVIDENCE_DETAIL)
        parts = (
            unseen_parts(kept, seen.evidence)
            if isinstance(kept, Mapping) and seen.evidence is not None
            else ()
        )
        if parts:
            yield f"{self.ref}: of its run were not looked at: {', '.join(parts)}"

    def _statement(self) -> Signed:
        """The newest release, proposal or inherited statement that names the version, in this order."""
        for kind in ("release", "proposal", "inherited"):
            found = [s for s in self.history.of(kind) if s.number("version") == self.number and s.signers]
            if found:
                return found[-1]
        raise EvidenceError(f"no signed statement names {self.ref}")

    def _freeze(self) -> Entry | None:
        return first_freeze(self.entries, self.ref, run_id=self._statement().text("run_id"))

    def _was_in(self, environment: str) -> bool:
        return any(
            s.text("environment") == environment
            and self.number in (s.number("version"), s.number("to_version"))
            for s in self.history.moves(environment)
        )

    def _told(self, code: ReconcileCode, message: str, *, known: str = "") -> Discrepancy:
        standing = [name for name in self.rules.environments if self._was_in(name)]
        back = (
            f"signoff rollback {self.rules.name} --env {standing[-1]} --reason '…', and " if standing else ""
        )
        return Discrepancy(
            code=code,
            use_case=self.rules.name,
            subject=self.ref,
            message=message,
            known=known or self._statement().text("at"),
            fix=f"{back}find out who changed it",
        )


def comparison_text(comparison: Comparison) -> str:
    """One line per discrepancy with its fix, then what was not looked at."""
    count = len(comparison.found)
    lines = [
        f"{count} thing{'' if count == 1 else 's'} changed around the server"
        if count
        else "as the ledger says"
    ]
    for one in comparison.found:
        lines.append(f"  {one.code} {one.subject}: {one.message}")
        if one.known:
            lines.append(f"      known since {one.known}: it was changed after that")
        lines.append(f"      do: {one.fix}")
    lines += [f"  UNDECIDED: could not be read: {text}" for text in comparison.blind]
    lines += [f"  not looked at: {text}" for text in comparison.unseen]
    return "\n".join(printable(line) for line in lines)
