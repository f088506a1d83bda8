"""`signoff lineage`: look up and hash everything behind a release or an output table."""

from collections.abc import Mapping
from pathlib import Path

from signoff.adapters.delta_output import OutputCommit, read_commit
from signoff.apps.verbs.components import components_of
from signoff.apps.verbs.gate import baseline_environment, data_digest
from signoff.apps.verbs.recording import history_of
from signoff.apps.verbs.reference import EnvironmentReference, VersionReference, parse_reference
from signoff.apps.verbs.transfer import run_facts
from signoff.apps.workspace import Reader, Workspace, private_copy
from signoff.errors import DataError, ModelError, StoreError, UsageError
from signoff.evidence.audit import audit_ledger
from signoff.record import capture
from signoff.record.digest import Digest
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import RunRecord
from signoff.release.arrival import Held, held_release
from signoff.release.history import History
from signoff.release.inherited import inherited
from signoff.release.model import Reason, Release, Signed
from signoff.review.model import Trace
from signoff.review.trace import Found, OutputFacts, trace
from signoff.standard.model import EnvironmentRules, UseCaseRules


def lineage(workspace: Workspace, target: str, *, table_version: int | None) -> Trace:
    """Trace a target back.

    Args:
        workspace: the team's workspace.
        target: ``churn@prod``, ``churn/3``, or the path of an output table.
        table_version: version of the output table; None for the newest.

    Raises:
        UsageError: the target is none of these.
        StoreError: the store or the table cannot be read.
    """
    reference = parse_reference(target)
    if isinstance(reference, EnvironmentReference):
        return _of_environment(workspace, reference, target)
    if isinstance(reference, VersionReference) and not _is_table(workspace, target):
        return _of_version(workspace, reference, target)
    return _of_output(workspace, target, table_version)


def _is_table(workspace: Workspace, target: str) -> bool:
    return (_table_path(workspace, target) / "_delta_log").is_dir()


def _table_path(workspace: Workspace, target: str) -> Path:
    here = Path(target)
    return here if here.exists() else workspace.path(target)


def _of_environment(workspace: Workspace, reference: EnvironmentReference, target: str) -> Trace:
    rules = workspace.use_case(reference.name)
    environment = workspace.environment(rules, reference.environment)
    history = history_of(workspace, rules.name)
    released = history.release(environment.name)
    pointed = workspace.reader_of(environment).alias(rules.registered_model, environment.alias)
    if released is None and pointed is None:
        raise UsageError(
            f"nothing is released in {environment.name}, so there is nothing to trace",
            hint=f"signoff status {rules.name} says what waits for whom",
        )
    return _trace(
        workspace,
        rules,
        history,
        target=target,
        environment=environment.name,
        release=None if released is None else released.statement,
        alias=(
            f"{rules.registered_model}@{environment.alias}",
            pointed,
            _number_there(workspace, environment, history, released),
        ),
        output=None,
    )


def _number_there(
    workspace: Workspace, environment: EnvironmentRules, history: History, released: Release | None
) -> int | None:
    """The number of the released version where the environment's alias points; None when nobody can say."""
    if released is None:
        taken = inherited(history, environment.name, workspace.people())
        return None if taken is None else taken.version
    place = held_release(environment, released, history=history, people=workspace.people())
    return place.version if isinstance(place, Held) else None


def _of_version(workspace: Workspace, reference: VersionReference, target: str) -> Trace:
    rules = workspace.use_case(reference.name)
    history = history_of(workspace, rules.name)
    releases = [s for s in history.of("release") if s.number("version") == reference.version]
    newest = releases[-1] if releases else None
    if newest is None and workspace.reader().version(rules.registered_model, reference.version) is None:
        raise UsageError(
            f"there is no {rules.registered_model}/{reference.version}, and none was ever released",
            where=workspace.shown_uri,
            hint=f"signoff status {rules.name} says what there is",
        )
    return _trace(
        workspace,
        rules,
        history,
        target=target,
        environment=baseline_environment(rules) if newest is None else newest.text("environment"),
        release=newest,
        alias=None,
        output=None,
    )


def _of_output(workspace: Workspace, target: str, table_version: int | None) -> Trace:
    path = _table_path(workspace, target)
    if not path.exists():
        raise UsageError(
            f"{target!r} is no release, version or table",
            hint="write churn@prod, churn/3, or the path of an output table",
        )
    commit = read_commit(path, version=table_version)
    rules = _use_case_of_output(workspace, commit)
    history = history_of(workspace, rules.name)
    said = commit.release or {}
    named = str(said.get("release", ""))
    release = next((s for s in history.of("release") if str(s.id) == named), None)
    return _trace(
        workspace,
        rules,
        history,
        target=f"{target} version {commit.version}",
        environment=str(said.get("environment", "")),
        release=release,
        alias=None,
        output=OutputFacts(
            name=f"{target} version {commit.version}",
            release=commit.release,
            data=commit.data,
            logged=_logged_data(workspace, rules, commit),
        ),
    )


def _logged_data(workspace: Workspace, rules: UseCaseRules, commit: OutputCommit) -> Digest | None:
    """The digest of the data files that the audit log has for this version of the table."""
    said = commit.release or {}
    found: Digest | None = None
    for logged in workspace.ledger().entries(use_case=rules.name):
        entry = logged.entry
        if (
            entry.action == "predict"
            and entry.outcome == "allowed"
            and entry.statement == said.get("release")
            and entry.detail.get("output") == commit.path.name
            and entry.detail.get("output_version") == commit.version
        ):
            data = entry.detail.get("output_data")
            found = Digest.parse(data) if isinstance(data, str) else None
    return found


def _use_case_of_output(workspace: Workspace, commit: OutputCommit) -> UseCaseRules:
    if commit.release is not None:
        return workspace.use_case(str(commit.release.get("use_case", "")))
    for rules in workspace.standard.use_cases.values():
        if rules.batch is not None and workspace.path(rules.batch.output).resolve() == commit.path.resolve():
            return rules
    raise UsageError(
        f"version {commit.version} of the table names no use case: Signoff did not write it",
        where=str(commit.path),
    )


def _trace(
    workspace: Workspace,
    rules: UseCaseRules,
    history: History,
    *,
    target: str,
    environment: str,
    release: Signed | None,
    alias: tuple[str, int | None, int | None] | None,
    output: OutputFacts | None,
) -> Trace:
    place = _place(workspace, rules, history, environment, release)
    at = None if place is None else rules.environments[environment]
    run_id = "" if release is None else release.text("run_id")
    reader = workspace.reader() if at is None else workspace.reader_of(at)
    version = None if release is None else release.number("version")
    if at is not None:
        version, run_id = (place.version, place.run_id) if isinstance(place, Held) else (None, "")
    record = None if version is None else reader.version(rules.registered_model, version)
    run = None if release is None else _run(reader, run_id)
    stored = workspace.ledger().stored()
    report = audit_ledger(stored, workspace.people().roster)
    model, components = _files(workspace, record, at)
    found = Found(
        target=target,
        environment=environment,
        release=release,
        alias=alias,
        output=output,
        record=record,
        model=model,
        components=components,
        run=run,
        data=_data_digest(workspace, rules),
        commit=_has_commit(workspace, run),
        environment_file=_environment_digest(reader, run),
        log=tuple(finding.message for finding in report.findings),
        log_size=report.head.size,
        place=place,
        facts=None if at is None or run is None else _facts(reader, rules, run.run_id),
    )
    return trace(found, history=history, people=workspace.people())


def _place(
    workspace: Workspace, rules: UseCaseRules, history: History, environment: str, release: Signed | None
) -> Held | tuple[Reason, ...] | None:
    """Where an environment with a server of its own has the release; None without a server of its own."""
    found = rules.environments.get(environment)
    if release is None or found is None or found.server is None:
        return None
    return held_release(found, release, history=history, people=workspace.people())


def _facts(reader: Reader, rules: UseCaseRules, run_id: str) -> Digest | None:
    try:
        return run_facts(reader, rules, run_id)
    except StoreError:
        return None


def _run(reader: Reader, run_id: str) -> RunRecord | None:
    try:
        return reader.run(run_id)
    except StoreError:
        return None


def _files(
    workspace: Workspace, record: ModelVersionRecord | None, environment: EnvironmentRules | None
) -> tuple[Digest | None, Mapping[str, Digest]]:
    """Digests of the version's files and of a bundle's components as they are now."""
    if record is None:
        return None, {}
    try:
        with private_copy(workspace, record.uri, environment) as folder:
            try:
                return folder.digest, components_of(folder)
            except ModelError:  # what the bundle was made of cannot be told from what is left of it
                return folder.digest, {}
    except (StoreError, ModelError):
        return None, {}


def _data_digest(workspace: Workspace, rules: UseCaseRules) -> Digest | None:
    try:
        return data_digest(workspace, rules)
    except DataError:
        return None


def _has_commit(workspace: Workspace, run: RunRecord | None) -> bool | None:
    from signoff.adapters.git import commit_people, find_repository

    repository = find_repository(workspace.folder)
    commit = None if run is None else capture.fact(run, capture.GIT_COMMIT)
    if repository is None or commit is None:
        return None
    return bool(commit_people(repository, commit))


def _environment_digest(reader: Reader, run: RunRecord | None) -> Digest | None:
    if run is None:
        return None
    content = reader.artifact(run.run_id, capture.ENVIRONMENT_ARTIFACT)
    return None if content is None else Digest.of(content)
