"""Copying an approved version to an environment's own server, before it is released there.

(1) The model's files are copied from the standard's store to a private folder, and the copy is hashed: it must
    be what was approved.
(2) The run's facts go into a run there: parameters, last values of metrics, tags, data sets, evidence.
(3) The files go there byte for byte, as that run's model, and a version of it is registered.
(4) All of it is read back from there: the files must have the approved digest, the facts the same digest as here.
(5) An arrival statement says so, signed by the promoter.

Then the caller releases it. Whatever stops a step, the same command run again finds the run that was begun, by
tags that name version, run and digest, and goes on with it. A copy whose version is registered is changed no
more: it is read back, and left behind when it is not what was approved.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from signoff.addresses import shown
from signoff.apps.verbs.recording import allowed_entry, signed, write
from signoff.apps.verbs.transfer_ports import CopySource, CopyTarget
from signoff.apps.workspace import Actor, Reader, Workspace, now, private_copy
from signoff.errors import StoreError, UsageError
from signoff.evidence.ledger import LogHead
from signoff.record.dataset import InputCopy
from signoff.record.digest import Digest
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import RunRecord
from signoff.release.arrival import (
    MARK,
    Held,
    arrival_statement,
    copied_artifacts,
    copied_tags,
    facts_digest,
    held,
)
from signoff.release.history import History
from signoff.release.model import Reason
from signoff.standard.model import EnvironmentRules, UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder

_STATE = f"{MARK}state"
_LEFT = "left behind"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """A version that is where it is to be released.

    Attributes:
        version: its number on the environment's server.
        head: the audit log's head now, the arrival included; the release is decided on this.
        remarks: what readers must see, such as an earlier copy that was left behind.
    """

    version: int
    head: LogHead
    remarks: tuple[str, ...] = ()


def arrive(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    record: ModelVersionRecord,
    model: Digest,
    history: History,
    head: LogHead,
    actor: Actor,
) -> Arrived | tuple[Reason, ...]:
    """Bring an approved version to where the environment's releases stand; nothing to do without another server.

    A server copies nothing itself: whoever promotes has, and signed that it arrived.

    Args:
        workspace: the team's workspace.
        rules: the use case.
        environment: the environment.
        record: the version in the standard's store.
        model: digest of the files that were approved.
        history: the use case's statements.
        head: the audit log's head when they were read.
        actor: who promotes; with a key.

    Returns:
        Where it is, or why what is there must not be released.

    Raises:
        StoreError: one of the stores or the ledger cannot be reached; the same command run again goes on.
    """
    if environment.server is None:
        return Arrived(version=record.version, head=head)
    if workspace.on_server:
        place = held(
            environment,
            history=history,
            version=record.version,
            run_id=record.run_id or "",
            model=model,
            people=workspace.people(),
        )
        return place if isinstance(place, tuple) else Arrived(version=place.version, head=head)
    address = workspace.address_of(environment)
    if address == workspace.tracking_uri:
        raise UsageError(
            f"the server of {environment.name} is the very store that versions are promoted from",
            where=shown(address),
            hint="remove `server` from the environment, or unset MLFLOW_TRACKING_URI if it names that server",
        )
    with _source(workspace, rules, record) as source:
        if source.folder.digest != model:
            return (_changed(record, model, source.folder.digest),)
        brought = _bring(workspace, rules, environment, source)
    if isinstance(brought, tuple):
        return brought
    known = held(
        environment,
        history=history,
        version=record.version,
        run_id=source.run.run_id,
        model=model,
        people=workspace.people(),
    )
    if isinstance(known, Held) and (known.version, known.run_id, known.facts) == (
        brought.version,
        brought.run_id,
        source.facts,
    ):
        return Arrived(version=brought.version, head=head, remarks=brought.remarks)
    after = _state(workspace, rules, environment, source, brought, head=head, actor=actor)
    return Arrived(version=brought.version, head=after, remarks=brought.remarks)


def copy_plan(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, record: ModelVersionRecord
) -> str:
    """What a promotion would copy to an environment's own server, as one line of a plan; that server is not asked."""
    run = workspace.reader().run(record.run_id or "")
    files = len(copied_artifacts(rules, run))
    return (
        f"copy     the model's files, {len(run.params)} params, {len(run.metrics)} metrics, {len(run.datasets)}"
        f" data sets and {files} evidence files to {shown(workspace.address_of(environment))} unless they are"
        " there, then read back and compared"
    )


def _changed(record: ModelVersionRecord, approved: Digest, now_is: Digest) -> Reason:
    return Reason(
        code="model-bytes-changed",
        message=f"the model's files changed while {record.ref} was promoted (approved {approved.short},"
        f" now {now_is.short})",
        fix="find out who changed them; then log the model again and propose the new run",
    )


# Step 1: what is copied


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """What is copied, read once.

    Attributes:
        record: the version.
        run: its run.
        folder: a private copy of its files, hashed.
        evidence: a private folder with the artifacts that go along.
        inputs: the run's inputs as they are kept.
        facts: digest of the run's facts.
    """

    record: ModelVersionRecord
    run: RunRecord
    folder: "ModelFolder"
    evidence: Path
    inputs: tuple[InputCopy, ...]
    facts: Digest


@contextmanager
def _source(workspace: Workspace, rules: UseCaseRules, record: ModelVersionRecord) -> Iterator[_Source]:
    if record.run_id is None:
        raise StoreError(
            f"{record.ref} names no run, so there are no facts to copy", where=workspace.shown_uri
        )
    reader: Reader = workspace.reader()
    origin: CopySource = workspace.store()
    run = reader.run(record.run_id)
    with private_copy(workspace, record.uri) as folder, TemporaryDirectory(prefix="signoff-") as kept:
        evidence = Path(kept)
        digests: dict[str, Digest] = {}
        for path in copied_artifacts(rules, run):
            content = _artifact(reader, run.run_id, path)
            (evidence / path).parent.mkdir(parents=True, exist_ok=True)
            (evidence / path).write_bytes(content)
            digests[path] = Digest.of(content)
        yield _Source(
            record=record,
            run=run,
            folder=folder,
            evidence=evidence,
            inputs=origin.inputs_of(run.run_id),
            facts=facts_digest(run, digests),
        )


def _artifact(reader: Reader, run_id: str, path: str) -> bytes:
    content = reader.artifact(run_id, path)
    if content is None:
        raise StoreError(f"artifact {path} of run {run_id} is gone")
    return content


# Steps 2 to 4: the copy


@dataclass(frozen=True, kw_only=True, slots=True)
class _Brought:
    """A copy that was read back and compared.

    Attributes:
        version: its number there.
        run_id: its run there.
        remarks: copies that were left behind.
    """

    version: int
    run_id: str
    remarks: tuple[str, ...]


def _bring(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, source: _Source
) -> _Brought | tuple[Reason, ...]:
    target: CopyTarget = workspace.store_of(environment)
    reader = workspace.reader_of(environment)
    marks = _marks(source)
    remarks: list[str] = []
    for run_id in target.find_runs(rules.name, marks):
        there = reader.run(run_id)
        if there.tags.get(_STATE) == _LEFT:
            continue
        version = _registered(reader, rules, run_id)
        if version is None and there.params.items() <= source.run.params.items():  # begun and interrupted
            return _finished(workspace, rules, environment, source, run_id=run_id, remarks=tuple(remarks))
        if version is None:
            target.set_tag(run_id, _STATE, _LEFT)
            remarks.append(f"run {run_id} there was left behind: somebody logged other parameters to it")
            continue
        faults = _faults(workspace, rules, environment, source, run_id=run_id, version=version)
        if not faults:
            return _Brought(version=version, run_id=run_id, remarks=tuple(remarks))
        target.set_tag(run_id, _STATE, _LEFT)
        target.tag_version(rules.registered_model, version, _STATE, _LEFT)
        remarks.append(f"an earlier copy, version {version} there, was left behind: {faults[0].message}")
    run_id = target.create_run(
        rules.name,
        name=source.run.run_name,
        started_at=source.run.started_at,
        tags={**copied_tags(source.run), **marks, _STATE: "begun"},
    )
    return _finished(workspace, rules, environment, source, run_id=run_id, remarks=tuple(remarks))


def _marks(source: _Source) -> Mapping[str, str]:
    return {
        f"{MARK}version": source.record.ref,
        f"{MARK}run": source.run.run_id,
        f"{MARK}model": str(source.folder.digest),
    }


def _registered(reader: Reader, rules: UseCaseRules, run_id: str) -> int | None:
    found = [v.version for v in reader.versions(rules.registered_model) if v.run_id == run_id]
    return min(found, default=None)


def _finished(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    source: _Source,
    *,
    run_id: str,
    remarks: tuple[str, ...],
) -> _Brought | tuple[Reason, ...]:
    """Fill the run, register its model, read all of it back."""
    target: CopyTarget = workspace.store_of(environment)
    run = source.run
    target.log_facts(  # (2)
        run_id,
        params=run.params,
        metrics=run.metrics,
        at=run.ended_at or run.started_at,
        tags=copied_tags(run),
        inputs=source.inputs,
    )
    target.log_files(run_id, source.evidence)
    target.finish_run(run_id, status=run.status, ended_at=run.ended_at)
    model_id = target.log_model_folder(run_id, source.folder.path, name=_model_name(source))  # (3)
    version = target.register(
        rules.registered_model,
        run_id=run_id,
        source=f"models:/{model_id}",
        model_id=model_id,
        description=f"{source.record.ref} of the standard's store, run {run.run_id}",
    )
    faults = _faults(workspace, rules, environment, source, run_id=run_id, version=version)  # (4)
    if faults:
        return faults
    target.set_tag(run_id, _STATE, "arrived")
    target.tag_version(rules.registered_model, version, f"{MARK}version", source.record.ref)
    return _Brought(version=version, run_id=run_id, remarks=remarks)


def _model_name(source: _Source) -> str:
    named = (m.name for m in source.run.models if m.model_id == source.record.model_id)
    return next(named, "model").rpartition("/")[2]


def _faults(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    source: _Source,
    *,
    run_id: str,
    version: int,
) -> tuple[Reason, ...]:
    """Read a copy back from its server and compare it with the source."""
    reader = workspace.reader_of(environment)
    ref = f"{rules.registered_model}/{version} on the server of {environment.name}"
    fix = "find out who or what changed it; the same command run again makes a new copy"
    there = reader.version(rules.registered_model, version)
    if there is None or there.run_id != run_id:
        message = (
            f"{ref} is {'gone' if there is None else f'of run {there.run_id}'}, it was copied to run {run_id}"
        )
        return (Reason(code="arrival-digest", message=message, fix=fix),)
    faults: list[Reason] = []
    with private_copy(workspace, there.uri, environment) as folder:
        arrived = folder.digest
    if arrived != source.folder.digest:
        message = (
            f"the files of {ref} are not the approved ones (approved {source.folder.digest.short},"
            f" arrived {arrived.short})"
        )
        faults.append(Reason(code="arrival-digest", message=message, fix=fix))
    if run_facts(reader, rules, run_id) != source.facts:
        message = (
            f"what run {run_id} on the server of {environment.name} says is not what run"
            f" {source.run.run_id} says"
        )
        faults.append(Reason(code="arrival-facts", message=message, fix=fix))
    return tuple(faults)


def run_facts(reader: Reader, rules: UseCaseRules, run_id: str) -> Digest:
    """Digest of a run's facts as they are now, evidence included; see `facts_digest`.

    Raises:
        StoreError: the run or its artifacts cannot be read.
    """
    run = reader.run(run_id)
    digests = {path: Digest.of(_artifact(reader, run_id, path)) for path in copied_artifacts(rules, run)}
    return facts_digest(run, digests)


# Step 5: the statement


def _state(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    source: _Source,
    brought: _Brought,
    *,
    head: LogHead,
    actor: Actor,
) -> LogHead:
    """Sign that it arrived; returns the log's head after it."""
    at = now()
    statement = arrival_statement(
        rules,
        environment,
        version=source.record.version,
        run_id=source.run.run_id,
        model=source.folder.digest,
        facts=source.facts,
        there=brought.version,
        run_there=brought.run_id,
        server=shown(workspace.address_of(environment)),
        actor=actor.name,
        log=head,
        at=at,
    )
    entry = allowed_entry(
        action="arrive",
        actor=actor,
        use_case=rules.name,
        subject=f"{source.record.ref} in {environment.name}",
        statement=statement.id,
        at=at,
        detail={"version": source.record.version, "target_version": brought.version},
    )
    ledger = workspace.ledger(create=True)
    with ledger.transaction() as writer:
        write(
            writer,
            signed(statement, actor),
            entry,
            version=source.record.ref,
            run_id=source.run.run_id,
            expected=head.size,
        )
    return ledger.head()
