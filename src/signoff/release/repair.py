"""What a policy does about environments whose aliases are not what the ledger says."""

from dataclasses import dataclass, replace
from typing import Literal

from signoff.release.history import History
from signoff.release.people import People
from signoff.release.reconcile import Comparison, Standing, StoreSeen, standing_in
from signoff.standard.model import EnvironmentRules, UseCaseRules

Policy = Literal["report", "quarantine", "revert"]
_TAINTED = frozenset(
    {"version-gone", "version-replaced", "run-gone", "model-files-gone", "model-bytes-changed"}
)
"""Found on what stands in an environment, they forbid to point an alias at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """What a policy does to one environment's alias.

    Attributes:
        environment: the environment.
        there: the version to point at, by its number where the alias is; None: the alias is deleted.
        standing: what stands there by the ledger; None for nothing.
        because: what was found, one line.
        left: why nothing can be done; "" when something is.
    """

    environment: EnvironmentRules
    there: int | None
    standing: Standing | None
    because: str
    left: str = ""


def repairs(
    rules: UseCaseRules,
    comparison: Comparison,
    *,
    history: History,
    people: People,
    seen: StoreSeen,
    policy: Policy,
) -> tuple[Repair, ...]:
    """What the policy does about the environments' aliases; files, rows and runs are nobody's to mend here."""
    planned = (
        _repair(rules, environment, comparison, history=history, people=people, seen=seen, policy=policy)
        for environment in rules.environments.values()
        if policy != "report" and not seen.environments[environment.name].away
    )
    return tuple(repair for repair in planned if repair is not None)


def _repair(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    comparison: Comparison,
    *,
    history: History,
    people: People,
    seen: StoreSeen,
    policy: Policy,
) -> Repair | None:
    found = standing_in(environment, history=history, people=people)
    standing = found if isinstance(found, Standing) else None
    alias = seen.environments[environment.name].alias
    ref = "" if standing is None else f"{rules.registered_model}/{standing.version}"
    moved = [d for d in comparison.found if d.environment == environment.name and d.code.startswith("alias-")]
    tainted = [
        d
        for d in comparison.found
        if d.code in _TAINTED and (d.subject == ref or d.environment == environment.name)
    ]
    because = "; ".join(f"{d.code}: {d.message}" for d in (*moved, *tainted))
    if not because:
        return None
    repair = Repair(environment=environment, there=None, standing=standing, because=because)
    if policy == "quarantine":
        return None if alias is None else repair
    if standing is None:
        return None if alias is None or not moved or isinstance(found, str) else repair
    wrong = (*standing.faults, *(d.message for d in tainted))
    if wrong:
        return replace(repair, left=f"{ref} cannot stand there as it is: {'; '.join(wrong)}")
    if unread := _unread(environment, standing, seen):
        left = f"nobody knows whether {ref} is still what was released: its files could not be read: {unread}"
        return replace(repair, left=left)
    return replace(repair, there=standing.there)


def _unread(environment: EnvironmentRules, standing: Standing, seen: StoreSeen) -> str:
    """Why the files of what stands there could not be compared; "" when they were, or no statement says what they are."""
    said = standing.statement if standing.release is None else standing.release.statement
    if said.statement.subject("model") is None:
        return ""
    there = seen.environments[environment.name].standing
    if there is None:
        there = seen.versions.get(standing.version)
    return "nobody looked" if there is None else there.unread
