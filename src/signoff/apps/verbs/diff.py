"""`signoff diff`: look up two runs or versions and compare them. Reads only, and never through MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass

from signoff.adapters.git import changed_files, find_repository
from signoff.adapters.model_folder import ModelFolder, local_model
from signoff.apps.verbs.components import facts_of
from signoff.apps.verbs.recording import history_of
from signoff.apps.verbs.reference import (
    EnvironmentReference,
    RunReference,
    VersionReference,
    parse_reference,
)
from signoff.apps.workspace import Workspace
from signoff.errors import EvidenceError, ModelError, SignoffError, StoreError, UsageError
from signoff.gate.model import GateDecision
from signoff.record import capture
from signoff.record.code import FileChange
from signoff.record.digest import Json
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import LoggedModelRecord, RunRecord
from signoff.release.history import decision_of
from signoff.review.diff import Difference, Side, commits, compare
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """What a reference names: a run, or a version with the use case it belongs to."""

    label: str
    run_id: str | None
    version: ModelVersionRecord | None
    rules: UseCaseRules | None


def diff(workspace: Workspace, a: str, b: str) -> Difference:
    """Compare two runs or versions.

    Args:
        workspace: the team's workspace.
        a: a run id, ``churn/3``, or ``churn@prod``.
        b: the same.

    Raises:
        UsageError: one of them names nothing.
        StoreError: the store cannot be read, or has no such run or version.
    """
    notes: dict[str, list[str]] = {"code": [], "gate": [], "model": [], "components": []}
    left, right = (_side(workspace, _named(workspace, text), notes) for text in (a, b))
    return compare(left, right, files=_files(workspace, left, right, notes["code"]), notes=notes)


def _named(workspace: Workspace, text: str) -> _Named:
    reference = parse_reference(text)
    if isinstance(reference, RunReference):
        return _Named(label=text, run_id=reference.run_id, version=None, rules=None)
    if isinstance(reference, VersionReference):
        rules = workspace.use_case(reference.name)
        return _of_version(workspace, rules, reference.version, label=text)
    if isinstance(reference, EnvironmentReference):
        rules = workspace.use_case(reference.name)
        environment = workspace.environment(rules, reference.environment)
        released = history_of(workspace, rules.name).release(environment.name)
        if released is None:
            raise UsageError(
                f"nothing is released in {environment.name}, so there is nothing to compare",
                hint=f"signoff status {rules.name} says what waits for whom",
            )
        label = f"{text} ({rules.registered_model}/{released.version})"
        return _of_version(workspace, rules, released.version, label=label)
    raise UsageError(f"{text!r} names neither run nor version", hint="write a run id, churn/3, or churn@prod")


def _of_version(workspace: Workspace, rules: UseCaseRules, version: int, *, label: str) -> _Named:
    record = workspace.reader().version(rules.registered_model, version)
    if record is None:
        raise StoreError(
            f"the registry has no {rules.registered_model}/{version}",
            where=workspace.shown_uri,
            hint=f"signoff status {rules.name} says what there is",
        )
    return _Named(label=label, run_id=record.run_id, version=record, rules=rules)


def _side(workspace: Workspace, named: _Named, notes: dict[str, list[str]]) -> Side:
    reader = workspace.reader()
    run = None if named.run_id is None else reader.run(named.run_id)
    packages = None if run is None else reader.artifact(run.run_id, capture.ENVIRONMENT_ARTIFACT)
    model = _model(run, named.version)
    decisions = _decisions(workspace, named, run, notes["gate"])
    uri = model.uri if named.version is None and model is not None else None
    files = _local(named, named.version.uri if named.version is not None else uri, notes["model"])
    digest, said_by = None if files is None else files.digest, ""
    if digest is None and decisions:
        digest, said_by = decisions[-1].context.candidate.digest, "what the gate found"
    return Side(
        label=named.label,
        run=run,
        packages=None if packages is None else packages.decode("utf-8", errors="replace"),
        model=model,
        digest=digest,
        said_by=said_by,
        decisions=decisions,
        components=_components(named, files, notes["components"]),
    )


def _model(run: RunRecord | None, version: ModelVersionRecord | None) -> LoggedModelRecord | None:
    """The model that the version was made of, else the only one of the run."""
    models = () if run is None else run.models
    if version is not None and version.model_id is not None:
        return next((model for model in models if model.model_id == version.model_id), None)
    return models[0] if len(models) == 1 else None


def _local(named: _Named, uri: str | None, notes: list[str]) -> ModelFolder | None:
    if uri is None:
        return None
    try:
        return local_model(uri)
    except ModelError as error:
        notes.append(f"{named.label}: {error.what} ({error.where})")
        return None


def _components(named: _Named, files: ModelFolder | None, notes: list[str]) -> Mapping[str, Json]:
    try:
        return {} if files is None else facts_of(files)
    except ModelError as error:
        notes.append(f"{named.label}: {error.what} ({error.where})")
        return {}


def _decisions(
    workspace: Workspace, named: _Named, run: RunRecord | None, notes: list[str]
) -> tuple[GateDecision, ...]:
    """The gate's decisions on the run, oldest first; none, and a note, when the ledger cannot say."""
    if run is None:
        return ()
    try:
        rules = named.rules or workspace.use_case_of_run(run)
        history = history_of(workspace, rules.name)
    except SignoffError as error:  # everything else can be compared without the ledger
        notes.append(f"{named.label}: {error.what}")
        return ()
    found: list[GateDecision] = []
    for signed in history.of("gate-decision"):
        if signed.text("run_id") == run.run_id:
            try:
                found.append(decision_of(signed))
            except EvidenceError as error:
                notes.append(f"{named.label}: {error.what}")
    return tuple(found)


def _files(workspace: Workspace, a: Side, b: Side, notes: list[str]) -> tuple[FileChange, ...] | None:
    pair, repository = commits(a, b), find_repository(workspace.folder)
    if pair is None or repository is None:
        return None
    try:
        return changed_files(repository, *pair)
    except StoreError as error:
        notes.append(error.what)
        return None
