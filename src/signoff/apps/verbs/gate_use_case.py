"""`signoff gate USE_CASE`: which of its newest runs are judged, and in what order they are shown."""

from dataclasses import dataclass

from signoff.apps.verbs.gate import Gated, baseline_environment, evaluation_data, gate_run
from signoff.apps.verbs.recording import history_of
from signoff.apps.workspace import Actor, Workspace
from signoff.conformance.boundary import use_case_of
from signoff.errors import UsageError
from signoff.gate.rank import rank
from signoff.record.run import RunRecord
from signoff.release.history import History, decision_of
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """The runs of a use case that are to be judged.

    Attributes:
        rules: of the use case.
        runs: newest first; at least one.
        remarks: which were left out and why; to be said before anything is judged.
    """

    rules: UseCaseRules
    runs: tuple[RunRecord, ...]
    remarks: tuple[str, ...]


def candidates(workspace: Workspace, use_case: str, *, last: int) -> Candidates:
    """The newest conforming runs, without the released one, as many as the looks at the table allow.

    A run that was judged on this table under these rules costs no look and is always among them.

    Raises:
        UsageError: no run is left to judge.
        DataError: the evaluation table cannot be read.
    """
    rules = workspace.use_case(use_case)
    conforming = qualifying_runs(workspace, rules, last=last)
    if not conforming:
        raise UsageError(
            f"none of the last {last} runs of {rules.name} conforms to the standard",
            hint=f"signoff check {rules.name}",
        )
    history = history_of(workspace, rules.name)
    environment = baseline_environment(rules)
    released = _released_runs(history, environment)
    remarks = [
        f"run {run.run_id} is not judged: its model is released in {environment}"
        for run in conforming
        if run.run_id in released
    ]
    others = tuple(run for run in conforming if run.run_id not in released)
    if not others:
        raise UsageError(
            f"the only conforming run of the last {last} of {rules.name} is released in {environment} already",
            hint="train a new candidate, or look further back with --last",
        )
    runs, left_out = _affordable(workspace, rules, history, others)
    if left_out:
        looks = f"{rules.gate.looks} look{'' if rules.gate.looks == 1 else 's'}"
        count = f"{left_out} older run{'' if left_out == 1 else 's'}"
        if not runs:
            raise UsageError(
                f"the {looks} at the evaluation table are used up: none of {count} is judged",
                where=rules.gate.recipe.data,
                hint="evaluate on a new window; a single run can still be asked for, and is inconclusive",
            )
        remarks.append(
            f"{count} {'is' if left_out == 1 else 'are'} not judged: the evaluation table allows {looks} in all"
        )
    return Candidates(rules=rules, runs=runs, remarks=tuple(remarks))


def gate_use_case(workspace: Workspace, found: Candidates, *, actor: Actor) -> tuple[Gated, ...]:
    """Judge each run: those that pass first, then the inconclusive, then the failed, each best first."""
    gated = {run.run_id: gate_run(workspace, run.run_id, actor=actor) for run in found.runs}
    ranked = rank([g.decision for g in gated.values()], found.rules.gate.primary.metric)
    return tuple(gated[d.context.candidate.run_id] for d in ranked if d.context.candidate.run_id is not None)


def qualifying_runs(workspace: Workspace, rules: UseCaseRules, *, last: int) -> tuple[RunRecord, ...]:
    """Those of the newest runs of a use case that conform to its standard, newest first."""
    from signoff.conformance.decide import check_run

    runs = workspace.reader().runs(rules.experiments, last=last)
    return tuple(
        run
        for run in runs
        if use_case_of(workspace.standard, run.experiment) == rules.name
        and not any(finding.severity == "block" for finding in check_run(rules, run))
    )


def _released_runs(history: History, environment: str) -> frozenset[str | None]:
    """The runs as which the released model was judged."""
    released = history.release(environment)
    if released is None:
        return frozenset()
    judged = history.gate_decisions(model=released.model)
    return frozenset(decision.context.candidate.run_id for _, decision in judged)


def _affordable(
    workspace: Workspace, rules: UseCaseRules, history: History, runs: tuple[RunRecord, ...]
) -> tuple[tuple[RunRecord, ...], int]:
    """The runs judged before and as many of the newest others as looks are left; and how many are left out."""
    from signoff.adapters.table_rows import rows_digest

    table = evaluation_data(workspace, rules)
    looked = history.looked(data=table.digest, rows=rows_digest(table.frame))
    before = {
        decision_of(signed).context.candidate.run_id
        for signed in history.of("gate-decision")
        if (signed.statement.subject("model"), rules.digest) in looked[: rules.gate.looks]
    }
    left = max(rules.gate.looks - len(looked), 0)
    fresh = [run.run_id for run in runs if run.run_id not in before]
    chosen = before.union(fresh[:left])
    return tuple(run for run in runs if run.run_id in chosen), max(len(fresh) - left, 0)
