"""A registered version as a command finds it: registry record, bytes, history and authors together."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signoff.apps.verbs.authors import authors_of
from signoff.apps.verbs.components import components_of
from signoff.apps.verbs.evidence import changed_since_frozen
from signoff.apps.verbs.recording import history_of
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.workspace import Workspace, private_copy
from signoff.errors import DataError, ModelError, StoreError
from signoff.evidence.ledger import LogHead
from signoff.record.model_version import ModelVersionRecord
from signoff.record.schema import SchemaRecord
from signoff.release.history import History
from signoff.release.model import Signed
from signoff.release.promotion import Candidate
from signoff.release.schema import schema_gaps
from signoff.standard.model import UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionSubject:
    """Everything known about a version now.

    Attributes:
        rules: its use case's rules.
        record: the registry's record.
        candidate: its bytes, authors and input gaps.
        inputs: its signature's input schema.
        history: the use case's statements.
        head: the audit log's head as it was before the history was read.
        proposal: its proposal; None when it was never proposed.
    """

    rules: UseCaseRules
    record: ModelVersionRecord
    candidate: Candidate
    inputs: SchemaRecord
    history: History
    head: LogHead
    proposal: Signed | None


ROWS_TRIED = 20


def version_subject(
    workspace: Workspace, reference: VersionReference, *, tried: bool = False
) -> VersionSubject:
    """Read a version and hash its files.

    Args:
        workspace: the team's workspace.
        reference: the version.
        tried: also score the first rows of the deployment's input, where its schema fits; for this the
            history is held against the audited log, as before any use of a model. A server scores nothing.

    Raises:
        UsageError: the name is no use case.
        StoreError: the registry has no such version.
        ModelError: its files cannot be used.
    """
    rules = workspace.use_case(reference.name)
    head = workspace.log_head()
    history = history_of(workspace, rules.name, audited=tried)
    record = workspace.reader().version(rules.registered_model, reference.version)
    if record is None:
        known = ", ".join(v.ref for v in workspace.reader().versions(rules.registered_model)[:5])
        raise StoreError(
            f"the registry has no {rules.registered_model}/{reference.version}",
            where=workspace.shown_uri,
            hint=f"it has: {known or 'no version; signoff propose RUN registers one'}",
        )
    proposal = history.proposal(reference.version)
    with private_copy(workspace, record.uri) as folder:
        digest, inputs, components = folder.digest, folder.inputs, components_of(folder)
        gaps = _input_gaps(workspace, rules, inputs)
        proposed = None if proposal is None else proposal.statement.subject("model")
        if tried and not workspace.on_server and not gaps and digest == proposed:
            gaps = _tried(workspace, rules, folder)
    authors = frozenset(() if proposal is None else proposal.signers)
    changed: tuple[str, ...] = ()
    if record.run_id is not None:
        run = workspace.reader().run(record.run_id)
        authors = authors_of(workspace, run, proposal=proposal)
        changed = changed_since_frozen(workspace, rules, record, run)
    candidate = Candidate(
        version=record, model=digest, authors=authors, input_gaps=gaps, components=components, changed=changed
    )
    return VersionSubject(
        rules=rules,
        record=record,
        candidate=candidate,
        inputs=inputs,
        history=history,
        head=head,
        proposal=proposal,
    )


def _input_gaps(workspace: Workspace, rules: UseCaseRules, inputs: SchemaRecord) -> tuple[str, ...]:
    if rules.batch is None or rules.batch.input is None:
        return ()
    from signoff.adapters.tables import table_schema

    path = workspace.path(rules.batch.input)
    if workspace.on_server and not path.exists():
        return ()  # whoever promotes has compared it where it lies
    offered = table_schema(path)
    keys = [key for key in rules.batch.keys if key not in offered.names]
    missing = tuple(f"key column {key!r} is missing" for key in keys)
    return (*schema_gaps(inputs, offered), *missing)


def _tried(workspace: Workspace, rules: UseCaseRules, folder: "ModelFolder") -> tuple[str, ...]:
    """What goes wrong when the first rows of the deployment's input are scored."""
    if rules.batch is None or rules.batch.input is None:
        return ()
    from signoff.adapters.model_folder import open_model
    from signoff.adapters.tables import read_table
    from signoff.apps.scoring.batch import answers

    rows = read_table(workspace.path(rules.batch.input)).frame.head(ROWS_TRIED)
    try:
        answers(open_model(folder, pickle=rules.gate.pickle), rows, inputs=folder.inputs, rules=rules)
    except (DataError, ModelError) as error:
        return (f"its first {len(rows)} rows cannot be scored: {error.what}",)
    return ()
