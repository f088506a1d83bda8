"""Inherited releases: what production aliases pointed at before Signoff was there, taken over as it was.

An inherited release counts as what is released in an environment until the first release there. It was never judged,
proposed or approved: it is shown as unverified everywhere, and nothing loads it through Signoff.

It counts when

(1) it is signed by a person who may promote; of several such statements of an environment the oldest counts;
(2) no release or rollback there is older: it can only be the first move of an environment;
(3) it names a version;
(4) nothing was released there since; or the newest statement there is a rollback, signed by a person who may roll
    back, that returned to it by restoring the alias.
"""

from dataclasses import dataclass, replace

from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest
from signoff.record.model_version import ModelVersionRecord
from signoff.release.approval import head_json
from signoff.release.history import INHERITED_SUBJECT, History, highest_number
from signoff.release.model import Reason, Release, ReleaseDecision, Signed
from signoff.release.people import People, rollback_refusals
from signoff.standard.model import EnvironmentRules, UseCaseRules

UNVERIFIED = "inherited, unverified"
"""How every page calls it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inherited:
    """What was taken over in an environment.

    Attributes:
        statement: the signed statement.
        version: the version that the alias pointed at.
        run_id: its run; "" when it was registered from files.
        model: digest of its files on that day; None when nobody could read them.
        rollback: the rollback that returned to it; None when nothing was released since.
    """

    statement: Signed
    version: int
    run_id: str
    model: Digest | None
    rollback: Signed | None

    def words(self) -> str:
        """One line for people."""
        by = ", ".join(self.statement.signers)
        return f"{UNVERIFIED}: version {self.version} was taken over as it was on {self.statement.text('at')} by {by}"


def inherited(history: History, environment: str, people: People) -> Inherited | None:
    """What stands in an environment as inherited; None when something was released, or nothing taken over."""
    taken = taken_over(history, environment, people)
    if taken is None:
        return None
    moves = history.moves(environment)
    if not moves:
        return taken
    top = moves[-1]  # (4)
    back = top.statement.kind == "rollback" and top.statement.subject(INHERITED_SUBJECT) == taken.statement.id
    if not back or not any(people.may(signer, "rollback") for signer in top.signers):
        return None
    return replace(taken, rollback=top)


def taken_over(history: History, environment: str, people: People) -> Inherited | None:
    """The inherited statement of an environment, whether or not something was released since."""
    signed = next(
        (
            s
            for s in history.of("inherited")
            if s.text("environment") == environment
            and any(people.may(signer, "promote") for signer in s.signers)  # (1)
        ),
        None,
    )
    moves = history.moves(environment)
    if signed is None or (moves and moves[0].order < signed.order):  # (2)
        return None
    version = signed.number("version")
    if version is None:  # (3)
        return None
    return Inherited(
        statement=signed,
        version=version,
        run_id=signed.text("run_id"),
        model=signed.statement.subject("model"),
        rollback=None,
    )


def standing_version(history: History, environment: str, people: People) -> int | None:
    """The version that signed statements say stands in an environment, released or inherited; None for none.

    Raises:
        EvidenceError: the statement on top is unsigned or malformed.
    """
    release = history.release(environment)
    if release is not None:
        return release.version
    found = inherited(history, environment, people)
    return None if found is None else found.version


def unverified_reason(taken: Inherited, rules: UseCaseRules, environment: EnvironmentRules) -> Reason:
    """Why what was inherited is not used through Signoff."""
    name = rules.registered_model
    return Reason(
        code="inherited-unverified",
        message=f"{name}/{taken.version} stands in {environment.name} as inherited: it was there before Signoff, and nobody"
        " judged or approved it; MLflow's own clients still reach it by its alias",
        fix=f"log it again, or gate and propose its run, then: signoff promote {name}/VERSION --env {environment.name}",
    )


def next_number(history: History, environment: str, previous: Release | None) -> int:
    """The number of the next release or rollback of an environment: higher than any before."""
    moves = history.moves(environment)
    return 1 + max(len(moves), highest_number(moves), 0 if previous is None else previous.number)


def decide_inherit(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    actor: str,
    history: History,
    people: People,
    pointed: int | None,
    record: ModelVersionRecord | None,
) -> ReleaseDecision:
    """Decide on taking over what an environment's alias points at.

    Args:
        rules: the use case's rules.
        environment: the environment.
        actor: e-mail of the person whose key signs.
        history: the use case's statements.
        people: the roster and roles.
        pointed: the version that the alias points at; None for none.
        record: the registry's record of it; None when there is none.
    """
    name = environment.name
    reasons = list(people.refusals(actor, "promote"))
    if history.moves(name):
        message = f"something was released in {name} already; only the first move there can be inherited"
        reasons.append(Reason(code="inherited-late", message=message, fix=f"signoff status {rules.name}"))
    elif taken_over(history, name, people) is not None:
        message = f"what stood in {name} was taken over already"
        reasons.append(Reason(code="inherited-already", message=message, fix=f"signoff status {rules.name}"))
    if pointed is None or record is None:
        message = f"alias @{environment.alias} of {rules.registered_model} points at nothing: there is nothing to take over"
        reasons.append(
            Reason(
                code="inherited-nothing",
                message=message,
                fix=f"name the alias that stands for {name} in the standard: environments: {{{name}: {{alias: …}}}}",
            )
        )
    return ReleaseDecision(
        transition="promote",
        subject=f"{rules.registered_model}@{environment.alias} as inherited in {name}",
        reasons=tuple(reasons),
        remarks=(
            f"{UNVERIFIED}: it was not judged, proposed or approved; predict and serve refuse it until a release",
        ),
    )


def inherited_statement(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    record: ModelVersionRecord,
    model: Digest | None,
    actor: str,
    log: LogHead,
    at: str,
) -> Statement:
    """The statement of a promoter who takes over what an alias points at.

    Args:
        rules: the use case's rules.
        environment: the environment.
        record: the version that its alias points at.
        model: digest of its files now; None when they cannot be read.
        actor: e-mail of the person whose key signs.
        log: the audit log's head as they saw it.
        at: ISO time, UTC.
    """
    files = () if model is None else (Subject(name="model", digest=model),)
    return Statement(
        kind="inherited",
        subjects=(*files, Subject(name="rules", digest=rules.environment_digest(environment.name))),
        predicate={
            "use_case": rules.name,
            "environment": environment.name,
            "alias": environment.alias,
            "registered_model": rules.registered_model,
            "version": record.version,
            "run_id": record.run_id or "",
            "unverified": True,
            "actor": actor,
            "log": head_json(log),
            "at": at,
        },
    )


def decide_return(
    environment: str, *, use_case: str, actor: str, taken: Inherited, reason: str, people: People
) -> ReleaseDecision:
    """Decide on a rollback to what was inherited, where no earlier release is left: it restores the alias alone."""
    return ReleaseDecision(
        transition="rollback",
        subject=f"{use_case}@{environment}",
        reasons=tuple(rollback_refusals(people, actor, reason)),
        remarks=(
            f"only the alias was restored: version {taken.version} is {UNVERIFIED}; predict and serve refuse it",
        ),
    )


def return_statement(
    environment: str,
    *,
    use_case: str,
    current: Release,
    taken: Inherited,
    number: int,
    actor: str,
    reason: str,
    log: LogHead,
    at: str,
) -> Statement:
    """The rollback that revokes the release it leaves and puts the inherited version's alias back."""
    files = () if taken.model is None else (Subject(name="model", digest=taken.model),)
    return Statement(
        kind="rollback",
        subjects=(
            *files,
            Subject(name=INHERITED_SUBJECT, digest=taken.statement.id),
            Subject(name="revoked-release", digest=current.statement.id),
        ),
        predicate={
            "use_case": use_case,
            "environment": environment,
            "from_version": current.version,
            "to_version": taken.version,
            "unverified": True,
            "number": number,
            "actor": actor,
            "reason": reason,
            "log": head_json(log),
            "at": at,
        },
    )
