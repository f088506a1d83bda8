"""`signoff propose`: register a run that conforms and passed its gate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from signoff.apps.verbs.authors import authors_of
from signoff.apps.verbs.components import components_of
from signoff.apps.verbs.freezing import Freeze, freezing
from signoff.apps.verbs.gate import baseline_environment, data_digest
from signoff.apps.verbs.recording import (
    allowed_entry,
    history_of,
    mirror_status,
    record_refusal,
    signed,
    write,
)
from signoff.apps.workspace import Actor, Workspace, now, private_copy, require_key, run_model
from signoff.conformance.decide import check_run
from signoff.errors import ConflictError, StoreError, UsageError
from signoff.record.digest import Digest
from signoff.record.run import LoggedModelRecord
from signoff.release.history import History
from signoff.release.model import Reason, ReleaseDecision, Signed
from signoff.release.proposal import Judged, decide_proposal, needed_notes, proposal_statement
from signoff.release.waivers import waivers_for
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposed:
    """What came of a proposal.

    Attributes:
        decision: the answer.
        version: the registered version; None when refused.
        registered_model: its model.
        statement: id of the proposal; None when refused.
        first: the environment in which the version is approved first.
    """

    decision: ReleaseDecision
    version: int | None
    registered_model: str
    statement: Digest | None
    first: str


def first_approved(rules: UseCaseRules) -> str:
    """The first environment on the path that asks for approvals; the last when none does."""
    asking = [e.name for e in rules.environments.values() if e.approvals]
    return asking[0] if asking else list(rules.environments)[-1]


def propose(
    workspace: Workspace,
    run_id: str,
    *,
    actor: Actor,
    notes: Mapping[str, str],
    version: int | None = None,
    named: frozenset[str] = frozenset(),
) -> Proposed:
    """Propose a run as a candidate; on a guarded database the run is frozen before it is read.

    Args:
        workspace: the team's workspace.
        run_id: the run.
        actor: who proposes; with a key.
        notes: context by field name, such as business_context and notes.
        version: the version that was registered for this; None: register it, or find it.
        named: further authors whom the proposer knows of, as from a repository that is not at hand here.

    Raises:
        UsageError: a field the standard does not ask for, or no key.
        SignoffError: it could not be decided.
    """
    require_key(actor)
    with freezing(workspace, run_id, proposer=actor.name) as freeze:
        return _proposed(
            workspace, run_id, actor=actor, notes=notes, version=version, named=named, freeze=freeze
        )


def _proposed(
    workspace: Workspace,
    run_id: str,
    *,
    actor: Actor,
    notes: Mapping[str, str],
    version: int | None,
    named: frozenset[str],
    freeze: Freeze,
) -> Proposed:
    run = workspace.reader().run(run_id)
    rules = workspace.use_case_of_run(run)
    _refuse_unknown_notes(rules, notes)
    model = run_model(run)
    with private_copy(workspace, model.uri) as folder:
        digest, components = folder.digest, components_of(folder)
    history = history_of(workspace, rules.name)
    authors = authors_of(workspace, run) | {actor.name} | named
    waivers = waivers_for(
        history,
        model=digest,
        rules=rules.digest,
        people=workspace.people(),
        authors=authors,
        today=now()[:10],
    )
    judged = newest_judgement(history, digest, run_id)
    released = history.release(baseline_environment(rules))
    decision = decide_proposal(
        rules,
        run_id=run_id,
        proposer=actor.name,
        people=workspace.people(),
        findings=check_run(rules, run),
        judged=judged,
        data=_data(workspace, rules),
        baseline=None if released is None else released.model,
        waivers=waivers,
        notes=notes,
    )
    outcome = Proposed(
        decision=decision,
        version=None,
        registered_model=rules.registered_model,
        statement=None,
        first=first_approved(rules),
    )
    if not decision.allowed or judged is None:
        record_refusal(workspace, decision, actor=actor, use_case=rules.name)
        return outcome
    if version is None:
        version = workspace.store().register(
            rules.registered_model,
            run_id=run_id,
            source=f"models:/{model.model_id}" if model.model_id else model.uri,
            model_id=model.model_id,
            description=notes.get("business_context", ""),
        )
    elif replaced := _other_version(workspace, rules, run_id, model, version):
        decision = replace(decision, reasons=replaced)
        record_refusal(workspace, decision, actor=actor, use_case=rules.name, version=version)
        return replace(outcome, decision=decision)
    if earlier := _same_proposal(history, version, digest, judged.signed.id, notes):
        return replace(outcome, version=version, statement=earlier.id)
    at = now()
    statement = proposal_statement(
        rules,
        version=version,
        run_id=run_id,
        model=digest,
        components=components,
        decision=judged.signed.id,
        proposer=actor.name,
        authors=sorted(authors),
        notes=notes,
        waivers=waivers,
        at=at,
    )
    ref = f"{rules.registered_model}/{version}"
    entry = allowed_entry(
        action="propose",
        actor=actor,
        use_case=rules.name,
        subject=ref,
        statement=statement.id,
        at=at,
        detail={"run_id": run_id},
    )
    envelope = signed(statement, actor)
    frozen = freeze.entry(run, proposal=entry, actor=actor)
    try:
        with freeze.transaction() as writer:
            write(writer, envelope, entry, version=ref, run_id=run_id)
            if frozen is not None:
                writer.append(frozen)
    except ConflictError:
        raise
    except StoreError as error:
        # MLflow gives the number, so the version comes first; without a proposal nothing can be done with it.
        raise StoreError(
            f"{ref} is registered, but its proposal could not be recorded: {error.what}",
            where=error.where,
            hint="run the same command again to complete it; until then the version cannot be approved",
        ) from error
    mirror_status(workspace, rules.registered_model, version, "proposed")
    return replace(outcome, version=version, statement=statement.id)


def _data(workspace: Workspace, rules: UseCaseRules) -> Digest | None:
    """Digest of the evaluation table now; None on a server that has no such table: who proposes has compared it."""
    if workspace.on_server and not workspace.path(rules.gate.recipe.data).exists():
        return None
    return data_digest(workspace, rules)


def _other_version(
    workspace: Workspace, rules: UseCaseRules, run_id: str, model: LoggedModelRecord, version: int
) -> tuple[Reason, ...]:
    """Why a version is not this run's model; empty when it is."""
    ref = f"{rules.registered_model}/{version}"
    record = workspace.reader().version(rules.registered_model, version)
    if record is None:
        return (Reason(code="version-replaced", message=f"the registry has no {ref}"),)
    same = record.model_id == model.model_id if model.model_id else record.uri == model.uri
    if record.run_id == run_id and same:
        return ()
    message = f"{ref} comes from run {record.run_id}, or from another model of it; proposed is run {run_id}"
    return (Reason(code="version-replaced", message=message, fix=f"signoff propose {run_id}"),)


def newest_judgement(history: History, model: Digest, run_id: str) -> Judged | None:
    """The newest gate decision on these model files, preferring one made for this run."""
    found = history.gate_decisions(model=model)
    own = [pair for pair in found if pair[0].text("run_id") == run_id]
    chosen = own or list(found)
    return Judged(signed=chosen[-1][0], decision=chosen[-1][1]) if chosen else None


def _refuse_unknown_notes(rules: UseCaseRules, notes: Mapping[str, str]) -> None:
    unknown = sorted(set(notes) - set(needed_notes(rules)) - {"notes", "business_context"})
    if unknown:
        raise UsageError(
            f"the standard knows no context field {unknown[0]!r}",
            hint=f"it asks for: {', '.join(needed_notes(rules)) or 'none'}",
        )


def _same_proposal(
    history: History, version: int, model: Digest, decision: Digest, notes: Mapping[str, str]
) -> Signed | None:
    earlier = history.proposal(version)
    if (
        earlier is not None
        and earlier.statement.subject("model") == model
        and earlier.statement.subject("decision") == decision
        and earlier.statement.predicate.get("context") == dict(notes)
    ):
        return earlier
    return None
