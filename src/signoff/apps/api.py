"""The Python API: what commands do, for notebooks, schedulers and services."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from signoff.apps.workspace import Workspace, open_actor, open_workspace
from signoff.conformance.model import Audit
from signoff.errors import RefusedError, UsageError
from signoff.gate.model import GateDecision
from signoff.record.digest import Digest
from signoff.review.model import Trace

if TYPE_CHECKING:
    from signoff.apps.verbs.propose import Proposed


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedModel:
    """A verified released model in memory.

    Attributes:
        use_case: its use case.
        environment: where it is released.
        version: its version number.
        digest: of its files, compared before they were loaded.
        model: the loaded object itself, for what only its own library can say.
    """

    use_case: str
    environment: str
    version: int
    digest: Digest
    model: Any
    _score: Any

    def predict(self, frame: Any) -> Any:
        """Score and decision per row.

        Args:
            frame: a pandas DataFrame with at least the signature's columns.

        Returns:
            A DataFrame with the frame's index and columns ``score`` and, for classification, ``prediction``.

        Raises:
            DataError: a column is missing or does not hold what the signature says.
        """
        return self._score(frame)


def check(target: str | None = None, *, last: int = 5, standard: str | None = None) -> Audit:
    """Hold runs against the standard; see ``signoff check``.

    Args:
        target: a run id or use case; None for everything.
        last: how many of the newest runs of each use case.
        standard: path of the standard; None: found upward from here.
    """
    from signoff.conformance.service import audit

    workspace = open_workspace(standard)
    return audit(workspace.standard, workspace.reader(), target=target, last=last)


def gate_run(run_id: str, *, key: str | None = None, standard: str | None = None) -> GateDecision:
    """Judge a run against production and record the decision; see ``signoff gate``.

    Args:
        run_id: the run.
        key: path of a private key to sign with; None: ``SIGNOFF_KEY``, or unsigned.
        standard: path of the standard; None: found upward from here.
    """
    from signoff.apps.verbs import gate

    workspace = open_workspace(standard)
    return gate.gate_run(workspace, run_id, actor=open_actor(workspace, key)).decision


def propose(
    run_id: str, *, context: Mapping[str, str], key: str | None = None, standard: str | None = None
) -> "Proposed":
    """Register a run as a candidate; see ``signoff propose``.

    Args:
        run_id: the run.
        context: what the standard asks for, such as business_context and notes.
        key: path of a private key; None: ``SIGNOFF_KEY``.
        standard: path of the standard; None: found upward from here.
    """
    from signoff.apps.verbs.propose import propose as propose_run

    workspace = open_workspace(standard)
    return propose_run(workspace, run_id, actor=open_actor(workspace, key), notes=context)


def lineage(target: str, *, table_version: int | None = None, standard: str | None = None) -> Trace:
    """Trace a release or output table back; see ``signoff lineage``."""
    from signoff.apps.verbs.lineage import lineage as trace_back

    return trace_back(open_workspace(standard), target, table_version=table_version)


def load_model(reference: str, *, standard: str | None = None) -> ReleasedModel:
    """Load the model that is released in an environment, verified before a byte of it is loaded.

    Args:
        reference: such as ``churn@prod``.
        standard: path of the standard; None: found upward from here.

    Raises:
        RefusedError: it may not be used, such as when the alias was moved by hand.
        UsageError: the reference names no environment of a use case.
    """
    from signoff.apps.verbs.reference import EnvironmentReference, parse_reference

    found = parse_reference(reference)
    if not isinstance(found, EnvironmentReference):
        raise UsageError(f"{reference!r} names no released model", hint="write it as USE_CASE@ENVIRONMENT")
    with _loaded(open_workspace(standard), found.name, found.environment) as model:
        return model


@contextmanager
def _loaded(workspace: Workspace, use_case: str, environment: str) -> Iterator[ReleasedModel]:
    from signoff.adapters.model_folder import open_model
    from signoff.apps.scoring.batch import answers
    from signoff.apps.scoring.released import released_model

    rules = workspace.use_case(use_case)
    into = workspace.environment(rules, environment)
    with ExitStack() as stack:
        found = stack.enter_context(released_model(workspace, rules, into))
        if isinstance(found, tuple):
            raise RefusedError(
                f"{rules.name}@{environment} may not be used: {'; '.join(r.message for r in found)}",
                hint="; ".join(dict.fromkeys(r.fix for r in found if r.fix)) or None,
            )
        opened = open_model(found.model, pickle=rules.gate.pickle)
        inputs = found.model.inputs

        def score(frame: Any) -> Any:
            return answers(opened, frame, inputs=inputs, rules=rules)

        yield ReleasedModel(
            use_case=rules.name,
            environment=environment,
            version=found.release.version,
            digest=found.release.model,
            model=opened.loaded,
            _score=score,
        )
