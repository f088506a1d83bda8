"""What is released where, and what waits for whom: from statements and aliases alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from signoff.errors import EvidenceError
from signoff.evidence.statement import StatementKind
from signoff.record.days import day_number
from signoff.record.digest import Json
from signoff.release.approval import Binding, count_approvals
from signoff.release.arrival import held_release
from signoff.release.chain import verify_release
from signoff.release.components import components_named
from signoff.release.evaluation import due
from signoff.release.history import History, decision_of
from signoff.release.inherited import UNVERIFIED, Inherited, inherited
from signoff.release.model import Signed
from signoff.release.override import break_glasses, made_under
from signoff.release.people import People, unmet
from signoff.release.text import printable
from signoff.standard.model import EnvironmentRules, UseCaseRules

LIFTED_DAYS = 30
"""So long after its end a break-glass is still told on every status."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentStatus:
    """One environment of one use case.

    Attributes:
        environment: its name.
        version: released version; None when nothing is.
        since: ISO time of the statement on top; "" when nothing is released.
        by: who signed it.
        gate: verdict of the release's gate decision; "" when there is none.
        remarks: self-approvals, waivers, a rollback.
        problems: what is wrong, such as an alias moved by hand; empty when healthy.
        health: what its monitors found last, and which firings wait; empty without monitors.
        inherited: whether the version was there before Signoff, and nobody verified it.
    """

    environment: str
    version: int | None
    since: str
    by: str
    gate: str
    remarks: tuple[str, ...]
    problems: tuple[str, ...]
    health: tuple[str, ...] = ()
    inherited: bool = False

    def to_json(self) -> Json:
        """All fields."""
        return {
            "environment": self.environment,
            "version": self.version,
            "since": self.since,
            "by": self.by,
            "gate": self.gate,
            "remarks": list(self.remarks),
            "problems": list(self.problems),
            "health": list(self.health),
            "inherited": self.inherited,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class UseCaseStatus:
    """One use case.

    Attributes:
        use_case: its name.
        owner: who answers for it.
        environments: in the order of the path.
        waiting: what waits for whom, one sentence each.
        lifted: rules of the guard that a break-glass lifts now, or lifted in the days before, one sentence each.
    """

    use_case: str
    owner: str
    environments: tuple[EnvironmentStatus, ...]
    waiting: tuple[str, ...]
    lifted: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """All fields."""
        return {
            "use_case": self.use_case,
            "owner": self.owner,
            "environments": [environment.to_json() for environment in self.environments],
            "waiting": list(self.waiting),
            "lifted": list(self.lifted),
        }


def overview(
    rules: UseCaseRules,
    *,
    history: History,
    aliases: Mapping[str, int | str | None],
    people: People,
    today: str,
    health: Mapping[str, tuple[str, ...]] | None = None,
    deleted: frozenset[int] = frozenset(),
) -> UseCaseStatus:
    """The status of a use case.

    Args:
        rules: its rules.
        history: its statements.
        aliases: per environment the version its alias points at, on the environment's server; a text says why
            nobody knows.
        people: the roster and roles.
        today: ISO date or time, UTC; with a time it is told which break-glass is in force.
        health: per environment what its monitors found and which firings wait; None when nobody looked.
        deleted: numbers of versions that were proposed and are deleted: they wait for nobody.
    """
    known = health or {}
    return UseCaseStatus(
        use_case=rules.name,
        owner=rules.owner,
        environments=tuple(
            replace(
                _environment(
                    environment, history=history, alias=aliases.get(environment.name), people=people
                ),
                health=known.get(environment.name, ()),
            )
            for environment in rules.environments.values()
        ),
        waiting=(*_waiting(rules, history, people, deleted), *_due(rules, history, today[:10])),
        lifted=_lifted(rules, history, people, today),
    )


def _lifted(rules: UseCaseRules, history: History, people: People, now: str) -> tuple[str, ...]:
    """A day alone is its last second, so that what was lifted on that day is told as over."""
    at = now if len(now) > len("2026-11-22") else f"{now}T23:59:59Z"
    recent = (
        glass
        for glass in break_glasses(history, people)
        if day_number(at) - day_number(glass.end) <= LIFTED_DAYS
    )
    return tuple(
        f"{'IN FORCE' if glass.covers(at) else 'over'}: {glass.words(rules.registered_model)}"
        for glass in recent
    )


def _environment(
    environment: EnvironmentRules, *, history: History, alias: int | str | None, people: People
) -> EnvironmentStatus:
    try:
        release = history.release(environment.name)
    except EvidenceError as error:
        return EnvironmentStatus(
            environment=environment.name,
            version=None,
            since="",
            by="",
            gate="",
            remarks=(),
            problems=(error.what,),
        )
    if release is None:
        taken = inherited(history, environment.name, people)
        if taken is not None:
            return _inherited(environment, taken, alias)
        by_hand = (
            (f"alias @{environment.alias} was set to version {alias} by hand",)
            if isinstance(alias, int)
            else (alias,)
            if isinstance(alias, str)
            else ()
        )
        return EnvironmentStatus(
            environment=environment.name, version=None, since="", by="", gate="", remarks=(), problems=by_hand
        )
    top = release.rollback or release.statement
    problems = [reason.message for reason in verify_release(history, release.statement, people=people)]
    place = held_release(environment, release, history=history, people=people)
    if isinstance(place, tuple):
        problems += [reason.message for reason in place]
    else:
        problems += _alias_problems(environment, alias, place.version)
    return EnvironmentStatus(
        environment=environment.name,
        version=release.version,
        since=top.text("at"),
        by=top.signed_by,
        gate=_verdict(history, release.statement),
        remarks=(
            *_remarks(release.statement, release.rollback),
            *(
                f"made under break-glass: {g.words('version')}"
                for g in made_under(history, people, top.text("at"))
            ),
        ),
        problems=tuple(problems),
    )


def _inherited(environment: EnvironmentRules, taken: Inherited, alias: int | str | None) -> EnvironmentStatus:
    top = taken.rollback or taken.statement
    back = () if taken.rollback is None else (f"rolled back to it: {taken.rollback.text('reason')}",)
    return EnvironmentStatus(
        environment=environment.name,
        version=taken.version,
        since=top.text("at"),
        by=", ".join(top.signers),
        gate="",
        remarks=(f"{UNVERIFIED}: it was there before Signoff; predict and serve refuse it", *back),
        problems=_alias_problems(environment, alias, taken.version),
        inherited=True,
    )


def _alias_problems(environment: EnvironmentRules, alias: int | str | None, wanted: int) -> tuple[str, ...]:
    """Why the alias is not known to point at the version that stands there; empty when it does."""
    if isinstance(alias, str):
        return (alias,)
    if alias == wanted:
        return ()
    pointed = "nothing" if alias is None else f"version {alias}"
    return (f"alias @{environment.alias} points at {pointed}: moved by hand",)


def _verdict(history: History, release: Signed) -> str:
    named = release.statement.subject("decision")
    found = None if named is None else history.by_id(named)
    try:
        return "" if found is None else decision_of(found).verdict
    except EvidenceError:
        return ""  # `verify_release` tells what is wrong with it


def _remarks(release: Signed, rollback: Signed | None) -> tuple[str, ...]:
    remarks = [f"self-approved by {person}" for person in release.texts("self_approved")]
    waived = release.statement.predicate.get("waived")
    if isinstance(waived, Mapping) and waived:
        remarks.append(f"waived: {', '.join(sorted(waived))}")
    if rollback is not None:
        remarks.append(
            f"rolled back from version {rollback.number('from_version')}: {rollback.text('reason')}"
        )
    return tuple(remarks)


def _waiting(
    rules: UseCaseRules, history: History, people: People, deleted: frozenset[int]
) -> tuple[str, ...]:
    target = list(rules.environments)[-1]
    proposed = (s for s in history.of("proposal") if s.signers and s.number("version") not in deleted)
    proposals = {s.number("version"): s for s in proposed}
    if not proposals:
        return ()
    version, proposal = list(proposals.items())[-1]
    if version is None or _settled(history, target, version, "release"):
        return ()
    model, decision = proposal.statement.subject("model"), proposal.statement.subject("decision")
    if model is None or decision is None:
        return ()
    environment = rules.environments[target]
    approvals = count_approvals(
        history,
        environment=environment,
        version=version,
        binding=Binding(
            model=model,
            decision=decision,
            rules=rules.environment_digest(target),
            proposal=proposal.id,
            components=components_named(proposal.statement),
        ),
        people=people,
        authors=frozenset(proposal.signers) | frozenset(proposal.texts("authors")),
    )
    ref = f"{rules.registered_model}/{version}"
    if approvals.rejections:
        return tuple(f"{ref}: {text}" for text in approvals.rejections)
    missing = unmet(environment.approvals, approvals.roles)
    if missing:
        return tuple(
            f"{ref} waits for {rule.count} approval{'s' if rule.count > 1 else ''} by {rule.role}"
            f" for {target} ({', '.join(people.having([rule.role])) or 'nobody has that role'})"
            for rule in missing
        )
    able = sorted(role for role, allowed in people.roles.items() if "promote" in allowed)
    return (f"{ref} is approved for {target} and waits for a promotion ({', '.join(people.having(able))})",)


def _due(rules: UseCaseRules, history: History, today: str) -> Iterator[str]:
    """The releases that should have been evaluated again by now; a broken one is told where it is shown."""
    for environment in rules.environments.values():
        try:
            release = history.release(environment.name)
        except EvidenceError:
            continue
        if release is None:
            continue
        ref = f"{rules.registered_model}/{release.version}"
        if (text := due(environment, history, release, ref=ref, today=today)) is not None:
            yield text


def _settled(history: History, environment: str, version: int, kind: StatementKind) -> bool:
    return any(
        s.text("environment") == environment and s.number("version") == version for s in history.of(kind)
    )


def render_text(rows: tuple[UseCaseStatus, ...], *, store: str, standard: str) -> str:
    """The status of all use cases on one screen."""
    lines = [printable(standard), printable(store), ""]
    for row in rows:
        lines.append(printable(f"{row.use_case}  (owner {row.owner})"))
        lines += [f"  BREAK-GLASS {printable(text)}" for text in row.lifted]
        width = max(len(e.environment) for e in row.environments)
        for environment in row.environments:
            lines.append(f"  {environment.environment:<{width}}  {printable(_summary(environment))}")
            lines += [f"  {'':<{width}}  note: {printable(remark)}" for remark in environment.remarks]
            lines += [f"  {'':<{width}}  PROBLEM: {printable(problem)}" for problem in environment.problems]
            lines += [f"  {'':<{width}}  health: {printable(line)}" for line in environment.health]
        lines += [f"  waiting: {printable(text)}" for text in row.waiting]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _summary(environment: EnvironmentStatus) -> str:
    if environment.version is None:
        return "nothing released"
    if environment.inherited:
        return f"version {environment.version}, {UNVERIFIED}, since {environment.since} by {environment.by}"
    return f"version {environment.version} since {environment.since} by {environment.by}, gate {environment.gate or '?'}"
