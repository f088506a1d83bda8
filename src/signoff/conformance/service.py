"""Fetch, then decide: the audit behind `signoff check`."""

import re

from signoff.conformance.boundary import check_experiments, use_case_of
from signoff.conformance.decide import report
from signoff.conformance.fix import FixPlan, plan_fixes
from signoff.conformance.model import Audit
from signoff.conformance.ports import RunReader
from signoff.errors import UsageError
from signoff.record import capture
from signoff.record.environment import EnvironmentRecord
from signoff.record.run import RunRecord
from signoff.standard.model import Standard, UseCaseRules

_RUN = re.compile("[0-9a-f]{32}")


def audit(standard: Standard, reader: RunReader, *, target: str | None = None, last: int = 5) -> Audit:
    """Hold runs and experiments against the standard.

    Args:
        standard: the team's standard.
        reader: where runs are kept.
        target: a run id or the name of a use case; None: every use case, and the experiments.
        last: how many of the newest runs of a use case; at least 1.

    Raises:
        UsageError: the target is neither run nor use case, or the run belongs to no use case.
        StoreError: the store cannot be reached, or has no such run.
    """
    reports = tuple(
        report(standard, rules, runs) for rules, runs in _selected(standard, reader, target=target, last=last)
    )
    experiments = check_experiments(standard, reader.experiments()) if target is None else ()
    return Audit(reports=reports, experiments=experiments)


def fix_plan(
    standard: Standard,
    reader: RunReader,
    environment: EnvironmentRecord,
    *,
    target: str | None = None,
    last: int = 5,
) -> FixPlan:
    """What could be added to the selected runs afterwards.

    Args:
        standard: the team's standard.
        reader: where runs are kept.
        environment: the environment of this process.
        target: as in `audit`.
        last: as in `audit`.

    Raises:
        UsageError: the target is neither run nor use case, or the run belongs to no use case.
        StoreError: the store cannot be reached, or has no such run.
    """
    plans = [
        plan_fixes(rules, run, environment)
        for rules, runs in _selected(standard, reader, target=target, last=last)
        for run in runs
    ]
    return FixPlan(
        fixes=tuple(one for plan in plans for one in plan.fixes),
        left=tuple(one for plan in plans for one in plan.left),
    )


def rules_for(standard: Standard, run: RunRecord) -> UseCaseRules:
    """The rules that a run is held to: of its experiment's use case, else of the one that its tag names.

    Raises:
        UsageError: neither names a use case of the standard.
    """
    name = use_case_of(standard, run.experiment) or run.tags.get(capture.USE_CASE)
    if name is None or name not in standard.use_cases:
        known = "; ".join(
            f"{rules.name}: {', '.join(rules.experiments)}" for rules in standard.use_cases.values()
        )
        raise UsageError(
            f"run {run.run_id} is in experiment {run.experiment!r}, which belongs to no use case",
            where=standard.path,
            hint=f"log runs to an experiment of a use case ({known}), or add this experiment to the standard",
        )
    return standard.use_cases[name]


def _selected(
    standard: Standard, reader: RunReader, *, target: str | None, last: int
) -> list[tuple[UseCaseRules, tuple[RunRecord, ...]]]:
    if last < 1:
        raise UsageError(f"last is {last}; at least one run must be checked")
    if target is not None and target not in standard.use_cases:
        if not _RUN.fullmatch(target):
            raise UsageError(
                f"{target!r} is neither a run id (32 hex digits) nor a use case",
                where=standard.path,
                hint=f"use cases: {', '.join(standard.use_cases)}",
            )
        run = reader.run(target)
        return [(rules_for(standard, run), (run,))]
    names = standard.use_cases if target is None else [target]
    chosen = [standard.use_cases[name] for name in names]
    return [(rules, reader.runs(rules.experiments, last=last)) for rules in chosen]
