"""What an endpoint should serve, read from the ledger: the released version, a canary, and where a rollback would go."""

from dataclasses import dataclass
from typing import TypeAlias

from signoff.apps.scoring.released import alias_moved
from signoff.apps.verbs.recording import history_of
from signoff.apps.workspace import Workspace
from signoff.evidence.ledger import LogHead
from signoff.record.digest import Digest
from signoff.release.canary import Canary, canary_of
from signoff.release.chain import verify_release
from signoff.release.history import History
from signoff.release.inherited import inherited, unverified_reason
from signoff.release.model import Reason, Release, Signed
from signoff.release.people import People
from signoff.release.promotion import last_good
from signoff.rollout.recorded import decide_recorded
from signoff.standard.model import EnvironmentRules, UseCaseRules

_ENTRIES_LOOKED_AT = 50

BytesKey: TypeAlias = tuple[int, Digest]
"""A version's number and the digest of its files: what its process is known by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A version with the verified statement that it may be served by.

    Attributes:
        number: in the registry.
        model: digest of its files.
        statement: the release or canary statement.
    """

    number: int
    model: Digest
    statement: Signed

    @property
    def bytes_of(self) -> BytesKey:
        """The same for a canary and for its release: what is promoted is loaded already."""
        return self.number, self.model


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What should be served; every statement in it verifies.

    Attributes:
        head: the audit log's head before the rest was read.
        history: the use case's statements.
        release: what is released.
        stable: the same as a version.
        trial: the version on trial; None without one.
        canary: the same with its plan and step; None without one.
        previous: what a rollback would return to; None when there is nothing.
        problem: why a canary that the ledger names is not served; "" without one.
    """

    head: LogHead
    history: History
    release: Release
    stable: Version
    trial: Version | None
    canary: Canary | None
    previous: Version | None
    problem: str


def read_wanted(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, *, audited: bool
) -> Wanted | tuple[Reason, ...]:
    """Read and verify what should be served; or why nothing that the ledger names now may be.

    Args:
        workspace: the team's workspace.
        rules: the use case's rules.
        environment: the environment whose release is served.
        audited: hold the whole log against the heads that people signed first, and ask the registry's alias. A
            rollback to what is loaded already waits for neither.

    Raises:
        StoreError: the ledger or the registry cannot be reached.
        EvidenceError: the audit log was changed, or a statement is malformed.
    """
    head = workspace.ledger().head()
    history = history_of(workspace, rules.name, audited=audited)
    people = workspace.people()
    release = history.release(environment.name)
    if release is None:
        taken = inherited(history, environment.name, people)
        if taken is not None:
            return (unverified_reason(taken, rules, environment),)
        return (
            Reason(
                code="nothing-released",
                message=f"nothing is released in {environment.name}",
                fix=f"signoff promote {rules.registered_model}/VERSION --env {environment.name}",
            ),
        )
    moved = alias_moved(workspace, rules, environment, history=history, release=release) if audited else None
    reasons = (*verify_release(history, release.statement, people=people), *((moved,) if moved else ()))
    if reasons:
        return reasons
    canary, problem = _canary(history, environment.name, people)
    return Wanted(
        head=head,
        history=history,
        release=release,
        stable=Version(number=release.version, model=release.model, statement=release.statement),
        trial=None
        if canary is None
        else Version(number=canary.version, model=canary.model, statement=canary.statement),
        canary=canary,
        previous=_previous(history, environment.name, release, people),
        problem=problem,
    )


def _canary(history: History, environment: str, people: People) -> tuple[Canary | None, str]:
    canary = canary_of(history, environment, people=people, decide_again=decide_recorded)
    if canary is None:
        return None, ""
    reasons = verify_release(history, canary.statement, people=people)
    if not reasons:
        return canary, ""
    told = "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)
    return None, f"canary {canary.version} is not served: {told}"


def _previous(history: History, environment: str, release: Release, people: People) -> Version | None:
    found = last_good(history, environment, release, people=people)
    if found is None or verify_release(history, found, people=people):
        return None
    number, model = found.number("version"), found.statement.subject("model")
    return None if number is None or model is None else Version(number=number, model=model, statement=found)


def rolled_back(workspace: Workspace, rules: UseCaseRules, *, since: LogHead, head: LogHead) -> bool:
    """Whether the newest entries of the log hold a rollback; quick, and only a hint.

    Raises:
        StoreError: the ledger cannot be reached.
        EvidenceError: an entry is malformed.
    """
    new = min(head.size - since.size, _ENTRIES_LOOKED_AT)
    if new <= 0:
        return False
    entries = workspace.ledger().entries(use_case=rules.name, last=new)
    return any(one.index >= since.size and one.entry.action == "rollback" for one in entries)
