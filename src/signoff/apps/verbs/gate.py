"""`signoff gate`: score candidate and baseline on the same rows and decide."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signoff.apps.verbs.components import components_of
from signoff.apps.verbs.recording import allowed_entry, history_of, signed, write
from signoff.apps.workspace import Actor, Workspace, now, private_copy, recorded_failure, run_model
from signoff.errors import EvidenceError, StoreError
from signoff.evidence.ledger import Entry
from signoff.evidence.statement import Statement, Subject
from signoff.gate.model import GateContext, GateDecision, ModelRef
from signoff.record.digest import Digest
from signoff.record.run import RunRecord
from signoff.release.chain import verify_release
from signoff.release.components import component_subjects
from signoff.release.history import History
from signoff.standard.model import UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder
    from signoff.adapters.tables import Table

REPORT_FOLDER = "signoff/gate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gated:
    """A recorded gate decision.

    Attributes:
        run: the run judged.
        decision: the verdict.
        statement: id of the gate-decision statement.
        remarks: what a reader must know beside it.
    """

    run: RunRecord
    decision: GateDecision
    statement: Digest
    remarks: tuple[str, ...]


def baseline_environment(rules: UseCaseRules) -> str:
    """The environment whose model candidates are compared with: the last on the path, usually prod."""
    return list(rules.environments)[-1]


def gate_run(workspace: Workspace, run_id: str, *, actor: Actor) -> Gated:
    """Judge one run and record the decision.

    Raises:
        SignoffError: it could not be judged; the audit log says so, and nothing else is written.
    """
    run = workspace.reader().run(run_id)
    rules = workspace.use_case_of_run(run)
    ledger = workspace.ledger(create=True)
    at = now()
    failure = Entry(
        at=at,
        actor=actor.name,
        action="gate",
        outcome="failed",
        use_case=rules.name,
        subject=f"run {run_id}",
        statement=None,
        reasons=(),
        detail={},
    )
    with recorded_failure(ledger, failure):
        history = history_of(workspace, rules.name)
        decision, subjects, remarks = _judge(workspace, rules, run, history)
        statement = _statement(rules, run, decision, subjects, at)
        envelope = signed(statement, actor)
        entry = allowed_entry(
            action="gate",
            actor=actor,
            use_case=rules.name,
            subject=f"run {run_id}",
            statement=statement.id,
            at=at,
            detail={"verdict": decision.verdict, "look": decision.context.look},
        )
        if decision.verdict != "pass":
            wrong = [c for c in decision.checks if c.severity == "block" and c.status != "pass"]
            entry = replace(entry, outcome="refused", reasons=tuple(f"{c.id}: {c.message}" for c in wrong))
        with ledger.transaction() as writer:
            write(writer, envelope, entry, version=None, run_id=run_id)
    try:
        _write_reports(workspace, run_id, statement.id, decision)
    except StoreError as error:  # the decision stands; its reports can be printed at any time
        remarks = (*remarks, f"the reports could not be written to the run's artifacts: {error.what}")
    return Gated(run=run, decision=decision, statement=statement.id, remarks=remarks)


def _judge(
    workspace: Workspace, rules: UseCaseRules, run: RunRecord, history: History
) -> tuple[GateDecision, tuple[Subject, ...], tuple[str, ...]]:
    """The decision, what it is about beside what it says (rows and components), and remarks."""
    # A server imports this module for its other functions; SciPy would be a third of its memory.
    from signoff.adapters.table_rows import refuse_copies, rows_digest
    from signoff.apps.verbs.evaluation import Judged, evaluate
    from signoff.gate.decide import decide
    from signoff.gate.facts import run_checks

    table = evaluation_data(workspace, rules)
    refuse_copies(table.frame, rules.gate.recipe, str(table.path))
    rows = rows_digest(table.frame)
    subjects = [Subject(name="evaluation-rows", digest=rows)]
    logged = run_model(run)
    with ExitStack() as stack:
        candidate = stack.enter_context(private_copy(workspace, logged.uri))
        subjects += component_subjects(components_of(candidate))
        baseline = stack.enter_context(_baseline(workspace, rules, history))
        evaluation = evaluate(
            workspace,
            rules,
            table,
            candidate=Judged(model=candidate, run_id=run.run_id),
            baseline=None if baseline is None else Judged(model=baseline[1], run_id=baseline[0].run_id),
        )
        context = GateContext(
            use_case=rules.name,
            candidate=ModelRef(
                digest=candidate.digest, name=logged.model_id or logged.name, run_id=run.run_id
            ),
            baseline=None if baseline is None else baseline[0],
            rules=rules.digest,
            standard_version=workspace.standard.version,
            standard=workspace.standard.digest,
            look=history.look(data=table.digest, rows=rows, candidate=candidate.digest, rules=rules.digest),
        )
    decision = decide(
        rules=rules.gate,
        model_kind=rules.gate.task,
        table=evaluation.table,
        candidate=evaluation.candidate,
        baseline=evaluation.baseline,
        context=context,
        facts=(*evaluation.checks, *run_checks(rules.gate, run)),
    )
    return decision, tuple(subjects), _remarks(workspace, rules, history)


def evaluation_data(workspace: Workspace, rules: UseCaseRules) -> "Table":
    """The evaluation table as the recipe finds it now."""
    from signoff.adapters.tables import read_table

    return read_table(workspace.path(rules.gate.recipe.data))


def data_digest(workspace: Workspace, rules: UseCaseRules) -> Digest:
    """Digest of the evaluation table as the recipe finds it now."""
    from signoff.adapters.tables import table_digest

    return table_digest(workspace.path(rules.gate.recipe.data))


@contextmanager
def _baseline(
    workspace: Workspace, rules: UseCaseRules, history: History
) -> Iterator[tuple[ModelRef, "ModelFolder"] | None]:
    """The released production model, its bytes compared with the release before anything is loaded."""
    released = history.release(baseline_environment(rules))
    if released is None:
        yield None
        return
    wrong = verify_release(history, released.statement, people=workspace.people())
    if wrong:
        raise EvidenceError(
            f"the release of the production model is not good: {'; '.join(r.message for r in wrong)}",
            hint=f"signoff status {rules.name}; candidates are compared with a good release only",
        )
    record = workspace.reader().version(rules.registered_model, released.version)
    if record is None:
        raise EvidenceError(
            f"the production model {rules.registered_model}/{released.version} is no longer in the registry",
            hint="restore the version, or roll back",
        )
    with private_copy(workspace, record.uri) as folder:
        if folder.digest != released.model:
            raise EvidenceError(
                f"the files of production model {record.ref} changed since its release"
                f" (released {released.model.short}, now {folder.digest.short})",
                hint=f"find out who changed them; signoff rollback {rules.name}"
                f" --env {baseline_environment(rules)} --reason '…' returns to the last good release",
            )
        yield ModelRef(digest=folder.digest, name=record.ref, run_id=record.run_id), folder


def _remarks(workspace: Workspace, rules: UseCaseRules, history: History) -> tuple[str, ...]:
    environment = baseline_environment(rules)
    if history.release(environment) is not None or rules.environments[environment].server is not None:
        return ()  # another server's alias says nothing about this store's versions
    alias = rules.environments[environment].alias
    version = workspace.reader().alias(rules.registered_model, alias)
    if version is None:
        return ()
    remark = (
        f"alias @{alias} points at version {version}, which was never released through Signoff:"
        " it does not count as a baseline"
    )
    return (remark,)


def _statement(
    rules: UseCaseRules, run: RunRecord, decision: GateDecision, about: tuple[Subject, ...], at: str
) -> Statement:
    subjects = [
        Subject(name="model", digest=decision.context.candidate.digest),
        Subject(name="evaluation-data", digest=decision.data),
        *about,
        Subject(name="rules", digest=rules.digest),
    ]
    if decision.context.baseline is not None:
        subjects.append(Subject(name="baseline", digest=decision.context.baseline.digest))
    return Statement(
        kind="gate-decision",
        subjects=tuple(subjects),
        predicate={"use_case": rules.name, "run_id": run.run_id, "at": at, "decision": decision.to_json()},
    )


def _write_reports(workspace: Workspace, run_id: str, statement: Digest, decision: GateDecision) -> None:
    from signoff.gate.render import render_markdown

    name = f"{REPORT_FOLDER}/{statement.short}"
    store = workspace.store()
    store.log_text(run_id, f"{name}.md", render_markdown(decision))
    store.log_text(run_id, f"{name}.json", json.dumps(decision.to_json(), indent=2, ensure_ascii=False))
