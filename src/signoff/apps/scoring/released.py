"""The released model of an environment: verified link by link before a byte of it is loaded.

(1) The ledger says what is released.
(2) The release statement is good: signatures, decision, proposal, approvals (`release.chain`).
(3) The registry's alias points at that version; moved by hand, it is refused.
(4) The registry's version comes from the run that was released.
(5) The files, copied to a private folder, have the digest that was released.

Only then may a caller load the private copy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signoff.apps.verbs.recording import history_of
from signoff.apps.workspace import Workspace, private_copy
from signoff.record.model_version import ModelVersionRecord
from signoff.release.chain import verify_release
from signoff.release.history import History
from signoff.release.model import Reason, Release
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
    release, record = found.release, found.record
    with private_copy(workspace, record.uri) as folder:
        if folder.digest != release.model:  # (5)
            yield (
                Reason(
                    code="model-bytes-changed",
                    message=f"the files of {record.ref} changed since the release (released"
                    f" {release.model.short}, now {folder.digest.short})",
                    fix=f"signoff rollback {rules.name} --env {environment.name} --reason '…', and find out who"
                    " changed them",
                ),
            )
            return
        yield Released(release=release, record=record, model=folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    release: Release
    record: ModelVersionRecord


def _verified(
    workspace: Workspace, rules: UseCaseRules, environment: EnvironmentRules, history: History
) -> _Found | tuple[Reason, ...]:
    release = history.release(environment.name)  # (1)
    pointed = workspace.reader().alias(rules.registered_model, environment.alias)
    if release is None:
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
    reasons = list(verify_release(history, release.statement, people=workspace.people()))  # (2)
    if pointed != release.version:  # (3)
        reasons.append(
            Reason(
                code="alias-moved",
                message=f"alias @{environment.alias} points at"
                f" {'nothing' if pointed is None else f'version {pointed}'}, but version {release.version} is"
                " released: the alias was moved by hand; promoting the released version again puts it back",
                fix=f"signoff promote {rules.registered_model}/{release.version} --env {environment.name}",
            )
        )
    record = workspace.reader().version(rules.registered_model, release.version)
    run_id = release.statement.text("run_id")
    if record is None or (record.run_id or "") != run_id:  # (4)
        reasons.append(
            Reason(
                code="version-replaced",
                message=f"{rules.registered_model}/{release.version} is"
                f" {'gone from the registry' if record is None else f'now of run {record.run_id}'},"
                f" the release is about run {run_id}",
                fix=f"signoff rollback {rules.name} --env {environment.name} --reason '…'",
            )
        )
    if reasons or record is None:
        return tuple(reasons)
    return _Found(release=release, record=record)
