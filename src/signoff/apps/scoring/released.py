"""The released model of an environment: verified link by link before a byte of it is loaded.

(1) The ledger says what is released.
(2) The release statement is good: signatures, decision, proposal, approvals (`release.chain`).
(3) The registry's alias points at that version; moved by hand, it is refused. Where the environment has a
    server of its own, this is that server's registry, and a signed arrival says which version it is there.
(4) The registry's version comes from the run that was released, or from that run's copy.
(5) The files, copied to a private folder, have the digest that was released. Of a bundle, the component that
    changed is named; and MLflow's prompt registry, where it has the prompt, shows the text that was released.

Only then may a caller load the private copy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signoff.apps.verbs.components import components_of, prompt_of
from signoff.apps.verbs.recording import history_of
from signoff.apps.workspace import Workspace, private_copy
from signoff.errors import EvidenceError, ModelError
from signoff.record.model_version import ModelVersionRecord
from signoff.release.arrival import Held, held_release
from signoff.release.chain import verify_release
from signoff.release.components import changed_reasons, components_named, prompt_reason
from signoff.release.history import History
from signoff.release.inherited import inherited, unverified_reason
from signoff.release.model import Reason, Release, Signed
from signoff.standard.model import EnvironmentRules, UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """A verified release with its files.

    Attributes:
        release: what the ledger says.
        record: the registry's record.
        model: the private copy, its digest compared.
    """

    release: Release
    record: ModelVersionRecord
    model: "ModelFolder"


@contextmanager
def released_model(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules
) -> Iterator[Released | tuple[Reason, ...]]:
    """The verified model, or why there is none to be used.

    Raises:
        StoreError: the registry, the ledger or the files cannot be reached.
        EvidenceError: a statement is malformed.
    """
    history = history_of(workspace, rules.name, audited=True)
    found = _verified(workspace, rules, environment, history)
    if isinstance(found, tuple):
        yield found
        return
    with _files(workspace, rules, environment, found.record, found.release.statement) as folder:
        if isinstance(folder, tuple):
            yield folder
        else:
            yield Released(release=found.release, record=found.record, model=folder)


@contextmanager
def stated_model(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    history: History,
    statement: Signed,
) -> Iterator["ModelFolder | tuple[Reason, ...]"]:
    """The files of the version that a release or canary statement names, or why they cannot be used.

    Steps (2), (4) and (5): for a version on trial, and for the one that a rollback would return to.

    Raises:
        StoreError: the registry or the files cannot be reached.
        EvidenceError: a statement is malformed, or names no version.
    """
    place = held_release(environment, statement, history=history, people=workspace.people())
    record, replaced = _record(workspace, rules, environment, place)  # (4)
    reasons = (*verify_release(history, statement, people=workspace.people()), *replaced)  # (2)
    if reasons or record is None:
        yield reasons
        return
    with _files(workspace, rules, environment, record, statement) as folder:
        yield folder


@contextmanager
def _files(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    record: ModelVersionRecord,
    statement: Signed,
) -> Iterator["ModelFolder | tuple[Reason, ...]"]:
    model = statement.statement.subject("model")
    if model is None:
        raise EvidenceError(f"statement {statement.id.short} names no model")
    with private_copy(workspace, record.uri, environment) as folder:
        fix = f"signoff rollback {rules.name} --env {environment.name} --reason '…', and find out who changed"
        wrong: tuple[Reason, ...]
        if folder.digest == model:  # (5)
            wrong = _prompt_changed(workspace, environment, folder, fix=f"{fix} it")
        else:
            wrong = _changed_components(record, folder, statement, fix=f"{fix} it") or (
                Reason(
                    code="model-bytes-changed",
                    message=f"the files of {record.ref} changed since the release (released"
                    f" {model.short}, now {folder.digest.short})",
                    fix=f"{fix} them",
                ),
            )
        yield wrong or folder


def _changed_components(
    record: ModelVersionRecord, folder: "ModelFolder", statement: Signed, *, fix: str
) -> tuple[Reason, ...]:
    """Which components of a bundle changed; empty when it is none, or something else changed."""
    then = components_named(statement.statement)
    if not then:
        return ()
    try:
        now = components_of(folder)
    except ModelError:
        return ()
    return changed_reasons(record.ref, "the release", then=then, now=now, fix=fix)


def _prompt_changed(
    workspace: Workspace, environment: EnvironmentRules, folder: "ModelFolder", *, fix: str
) -> tuple[Reason, ...]:
    """The bundle's own copy is what is used; a registry that shows another text would mislead people."""
    prompt = prompt_of(folder)
    if prompt is None:
        return ()
    name, version, text = prompt
    shown = workspace.reader_of(environment).prompt(name, version)
    if shown is None:
        return ()
    reason = prompt_reason(name, version, bundle=text, registry=shown, fix=fix)
    return () if reason is None else (reason,)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    release: Release
    record: ModelVersionRecord


def _verified(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, history: History
) -> _Found | tuple[Reason, ...]:
    release = history.release(environment.name)  # (1)
    pointed = workspace.reader_of(environment).alias(rules.registered_model, environment.alias)
    if release is None:
        taken = inherited(history, environment.name, workspace.people())
        if taken is not None:
            return (unverified_reason(taken, rules, environment),)
        by_hand = (
            "" if pointed is None else f"; alias @{environment.alias} was set to version {pointed} by hand"
        )
        return (
            Reason(
                code="nothing-released",
                message=f"nothing is released in {environment.name}{by_hand}",
                fix=f"signoff promote {rules.registered_model}/VERSION --env {environment.name}",
            ),
        )
    people = workspace.people()
    reasons = list(verify_release(history, release.statement, people=people))  # (2)
    place = held_release(environment, release, history=history, people=people)
    moved = _moved(rules, environment, release=release, place=place, pointed=pointed)  # (3)
    if moved is not None:
        reasons.append(moved)
    record, replaced = _record(workspace, rules, environment, place)  # (4)
    reasons += replaced
    if reasons or record is None:
        return tuple(reasons)
    return _Found(release=release, record=record)


def alias_moved(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    history: History,
    release: Release,
) -> Reason | None:
    """Why the registry's alias points elsewhere than at what is released; None when it does not. Step (3).

    Raises:
        StoreError: the registry cannot be reached.
    """
    pointed = workspace.reader_of(environment).alias(rules.registered_model, environment.alias)
    place = held_release(environment, release, history=history, people=workspace.people())
    return _moved(rules, environment, release=release, place=place, pointed=pointed)


def _moved(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    release: Release,
    place: Held | tuple[Reason, ...],
    pointed: int | None,
) -> Reason | None:
    if isinstance(place, tuple) or pointed == place.version:
        return None
    return Reason(
        code="alias-moved",
        message=f"alias @{environment.alias} points at"
        f" {'nothing' if pointed is None else f'version {pointed}'}, but version {place.version} is"
        " released: the alias was moved by hand; promoting the released version again puts it back",
        fix=f"signoff promote {rules.registered_model}/{release.version} --env {environment.name}",
    )


def _record(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: EnvironmentRules,
    place: Held | tuple[Reason, ...],
) -> tuple[ModelVersionRecord | None, tuple[Reason, ...]]:
    """The registry's record of the version that stands there, and what is wrong with it."""
    if isinstance(place, tuple):
        return None, place
    record = workspace.reader_of(environment).version(rules.registered_model, place.version)
    if record is not None and (record.run_id or "") == place.run_id:
        return record, ()
    return record, (
        Reason(
            code="version-replaced",
            message=f"{rules.registered_model}/{place.version}"
            f"{'' if place.arrival is None else f' on the server of {environment.name}'} is"
            f" {'gone from the registry' if record is None else f'now of run {record.run_id}'},"
            f" the release is about run {place.run_id}",
            fix=f"signoff rollback {rules.name} --env {environment.name} --reason '…'",
        ),
    )
