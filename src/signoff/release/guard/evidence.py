"""What a frozen run shows, as one digest per part.

A run is frozen when it is proposed or taken over. The audit log's entry ``freeze`` keeps these digests in its detail,
under ``evidence``; the tripwire computes them again and names the part that is another one now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from signoff.evidence.ledger import Entry
from signoff.record.capture import is_read
from signoff.record.digest import Digest, Json
from signoff.record.run import RunRecord
from signoff.release.model import Reason

Part = Literal["params", "metrics", "metric history", "datasets", "models", "artifacts", "tags"]
PARTS: tuple[Part, ...] = get_args(Part)
FREEZE_ACTION = "freeze"
"""Action of the entry that freezing a run brings on a guarded server; its subject is the version."""
EVIDENCE_DETAIL = "evidence"
"""Field of that entry's detail with what `evidence_digests` gives."""
FROZEN_MARK = "signoff:frozen"
"""What stands in `runs.entry_point_name` of a frozen run."""
OPEN_FOLDER = "signoff/"
"""Artifacts below it stay open: Signoff writes its reports there after the proposal too."""
OPEN_TAGS = frozenset({"mlflow.note.content", "mlflow.runColor", "mlflow.runName"})
"""MLflow's own tags that only describe a run, and stay open; tags of other programs do too."""
OPEN_COLUMNS = frozenset({"name"})
"""Columns of `runs` that only describe it: MLflow keeps a run's name twice, here and in a tag.

A proposed run may be renamed. A released one keeps its name, as a matter of the rule `deletion`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricPoint:
    """One value of a metric's history.

    Attributes:
        name: the metric.
        value: its value; it may be NaN.
        step: its step.
        at: milliseconds since 1970, UTC.
    """

    name: str
    value: float
    step: int
    at: int


def evidence_digests(
    run: RunRecord,
    *,
    points: Iterable[MetricPoint] | None = None,
    artifacts: Mapping[str, Digest] | None = None,
) -> dict[str, str]:
    """Digests of a run's evidence, by part, as text.

    Descriptive tags and the run's name and description stay open and are left out; of its tags, those are in that
    conformance reads.

    Args:
        run: the run as the store tells it.
        points: the whole history of its metrics; None leaves the part out.
        artifacts: path and digest of its artifact files; None leaves the part out.
    """
    datasets: Json = sorted(
        [d.context, d.name, d.digest, d.source, d.source_type, "" if d.rows is None else str(d.rows)]
        for d in run.datasets
    )
    models: Json = sorted([model.model_id or "", model.name] for model in run.models)
    found: dict[Part, Json] = {
        "params": dict(run.params),
        "metrics": {name: _number(value) for name, value in run.metrics.items()},
        "datasets": datasets,
        "models": models,
        "tags": {name: value for name, value in run.tags.items() if is_read(name)},
    }
    if points is not None:
        found["metric history"] = sorted([p.name, p.step, p.at, _number(p.value)] for p in points)
    if artifacts is not None:
        found["artifacts"] = {
            path: str(digest) for path, digest in artifacts.items() if not path.startswith(OPEN_FOLDER)
        }
    return {part: str(Digest.of_json(found[part])) for part in PARTS if part in found}


def _number(value: float) -> str:
    return repr(float(value))  # NaN has no JSON


def changed_parts(frozen: Mapping[str, Json], now: Mapping[str, str]) -> tuple[str, ...]:
    """The parts of which both sides have a digest, and not the same."""
    return tuple(part for part in PARTS if part in frozen and part in now and frozen[part] != now[part])


def first_freeze(entries: Iterable[Entry], ref: str, *, run_id: str | None = None) -> Entry | None:
    """The first entry that froze a version's run: a later one could have been added with other digests.

    Args:
        entries: of the use case, in order.
        ref: the version, such as ``churn/3``.
        run_id: its run: MLflow gives the number of a deleted version again; None for whichever came first.
    """
    return next(
        (
            entry
            for entry in entries
            if entry.action == FREEZE_ACTION
            and entry.outcome == "allowed"
            and entry.subject == ref
            and run_id in (None, entry.detail.get("run_id"))
        ),
        None,
    )


def evidence_reasons(ref: str, changed: Iterable[str]) -> tuple[Reason, ...]:
    """Why a version is neither approved nor released whose frozen run shows something else now; empty when it may.

    Args:
        ref: the version.
        changed: as `changed_parts` gives it.
    """
    told = ", ".join(changed)
    if not told:
        return ()
    return (
        Reason(
            code="evidence-changed",
            message=f"what its run shows is not what was frozen when {ref} was proposed: {told}",
            fix="find out who changed it (signoff admin reconcile); put it back, or propose a new run",
        ),
    )


def unseen_parts(frozen: Mapping[str, Json], now: Mapping[str, str]) -> tuple[str, ...]:
    """The parts that were frozen and cannot be compared, because nobody can read them from here."""
    return tuple(part for part in PARTS if part in frozen and part not in now)
