"""`signoff review`: read the whole store once, and trace what is released. Writes nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from signoff.apps.verbs.gate import baseline_environment
from signoff.apps.verbs.lineage import lineage
from signoff.apps.verbs.recording import histories_of
from signoff.apps.workspace import Reader, Workspace
from signoff.conformance.boundary import use_case_of
from signoff.errors import SignoffError, StoreError, UsageError
from signoff.evidence.ledger import Entry
from signoff.record.run import BareRun, RunRecord
from signoff.release.history import History
from signoff.review.survey import Production, Survey, UseCaseSurvey, findings_of
from signoff.rollout.triggers import ACTED, MEASURED
from signoff.standard.model import UseCaseRules

QUARTER_DAYS = 92
"""The period without `--since`."""
REMOTE_RUNS = 200
"""Runs per use case whose files are looked at when each file costs a request."""


def survey(workspace: Workspace, *, since: str | None) -> Survey:
    """Look up everything that a review asks for.

    Args:
        workspace: the team's workspace.
        since: first day of the period, ISO; None for a quarter before today.

    Raises:
        UsageError: the day is none, or lies in the future.
        StoreError: store or ledger cannot be read.
        EvidenceError: the audit log names statements that are missing or changed.
    """
    today = datetime.now(UTC).date()
    first = _day(since, today)
    reader = workspace.reader()
    names = list(workspace.standard.use_cases)
    histories = histories_of(workspace, names)
    started = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp() * 1000)
    runs, with_files = _runs(workspace, reader, reader.bare_runs(since=started))
    by_use_case: dict[str | None, list[RunRecord]] = defaultdict(list)
    for run in runs:
        by_use_case[use_case_of(workspace.standard, run.experiment)].append(run)
    predictions, watch_log = _logged(workspace)
    return Survey(
        standard=workspace.standard,
        people=workspace.people(),
        store=workspace.shown_uri,
        since=first.isoformat(),
        today=today.isoformat(),
        runs=tuple(runs),
        with_files=with_files,
        experiments=reader.experiments(),
        models={name: len(reader.versions(name)) for name in reader.registered_models()},
        use_cases=tuple(
            _use_case(
                workspace,
                reader,
                rules,
                runs=by_use_case[name],
                history=histories[name],
                predictions=predictions.get(name, ()),
                watch_log=watch_log.get(name, ()),
            )
            for name, rules in workspace.standard.use_cases.items()
        ),
    )


def _day(since: str | None, today: date) -> date:
    if since is None:
        return today - timedelta(days=QUARTER_DAYS)
    try:
        first = date.fromisoformat(since)
    except ValueError as error:
        raise UsageError(f"{since!r} is no day", hint="write it as 2026-09-01") from error
    if first > today:
        raise UsageError(f"{since} lies in the future", hint=f"today is {today.isoformat()} (UTC)")
    return first


def _runs(
    workspace: Workspace, reader: Reader, bare_runs: Sequence[BareRun]
) -> tuple[list[RunRecord], frozenset[str]]:
    """The runs, newest first, and the ids of those whose files were looked at.

    Runs outside every use case are counted only, so nobody looks at their files.
    """
    looked: dict[str, int] = defaultdict(int)
    found, with_files = [], set()
    for bare in bare_runs:
        name = use_case_of(workspace.standard, bare.run.experiment)
        if name is None or not (reader.has_local_files(bare) or looked[name] < REMOTE_RUNS):
            found.append(bare.run)
            continue
        looked[name] += 1
        found.append(reader.with_files(bare))
        with_files.add(bare.run.run_id)
    return found, frozenset(with_files)


def _logged(workspace: Workspace) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[Entry, ...]]]:
    """What the audit log says per use case, oldest first: the times of batch outputs, and the monitors' entries."""
    outputs: dict[str, list[str]] = defaultdict(list)
    watched: dict[str, list[Entry]] = defaultdict(list)
    for entry in (logged.entry for logged in workspace.ledger().entries()):
        if entry.action == "predict" and entry.outcome == "allowed":
            outputs[entry.use_case].append(entry.at)
        elif entry.action in (MEASURED, ACTED):
            watched[entry.use_case].append(entry)
    return (
        {name: tuple(times) for name, times in outputs.items()},
        {name: tuple(entries) for name, entries in watched.items()},
    )


def _use_case(
    workspace: Workspace,
    reader: Reader,
    rules: UseCaseRules,
    *,
    runs: Sequence[RunRecord],
    history: History,
    predictions: tuple[str, ...],
    watch_log: tuple[Entry, ...],
) -> UseCaseSurvey:
    versions = reader.versions(rules.registered_model)
    log = None if rules.serving is None else rules.serving.log
    return UseCaseSurvey(
        rules=rules,
        runs=tuple(runs),
        findings=findings_of(rules, runs),
        versions=versions,
        pointed={name: _pointed(workspace, rules, name) for name in rules.environments},
        live_runs=reader.active_runs({version.run_id for version in versions if version.run_id}),
        history=history,
        production=_production(workspace, rules, history),
        predictions=predictions,
        watch_log=watch_log,
        inference_log=log is not None and (workspace.path(log) / "_delta_log").is_dir(),
    )


def _pointed(workspace: Workspace, rules: UseCaseRules, name: str) -> int | str | None:
    """The version that an environment's alias points at; why it is not known when its own server is away."""
    environment = rules.environments[name]
    try:
        return workspace.reader_of(environment).alias(rules.registered_model, environment.alias)
    except StoreError as error:
        if environment.server is None:
            raise
        return error.what


def _production(workspace: Workspace, rules: UseCaseRules, history: History) -> Production:
    """The trace of what is released in production; what cannot be traced is an answer of the review."""
    environment = baseline_environment(rules)
    if not history.moves(environment) and _pointed(workspace, rules, environment) is None:
        return Production(environment=environment, trace=None)
    try:
        found = lineage(workspace, f"{rules.name}@{environment}", table_version=None)
    except SignoffError as error:
        return Production(environment=environment, trace=None, failed=error.what)
    return Production(environment=environment, trace=found)
