"""Rules `freeze` and `finished-run`: what a proposal rests on stays as it was."""

from collections.abc import Callable, Iterator, Mapping

from signoff.conformance.boundary import use_case_of
from signoff.release.guard.evidence import OPEN_COLUMNS, OPEN_TAGS
from signoff.release.guard.flush import Flush, Said, experiment_id, run_id_of, use_case_of_label
from signoff.release.guard.model import NOT_ENDED, Asker, Change, Objection, RunFacts
from signoff.release.guard.ports import GuardFacts
from signoff.release.model import Reason

Touch = tuple[str, str]
"""A run's id, and the part of the run that a row is."""
_SERVER_TAG = "mlflow.modelVersions"
"""Tag of a logged model in which the server lists its versions, in a transaction of its own."""
_BOOKKEEPING = frozenset({"last_updated_timestamp_ms"})
_ENDED = frozenset({"FINISHED", "FAILED", "KILLED"})
_FINISHED = "FINISHED"
_ITSELF = "the run itself"
_OWN_ROWS = frozenset({"params", "metrics", "latest_metrics", "tags", "runs"})
"""Tables that have the run's id among their own columns, by this name."""


def judge(flush: Flush, _asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to changes of frozen runs; their names, descriptions and descriptive tags stay open."""
    for run, parts in _touched(flush, facts):
        if run.frozen_by:
            yield Objection(
                rule="freeze",
                use_case=use_case_of_label(facts.standard, run.frozen_by)
                or use_case_of(facts.standard, run.experiment)
                or "",
                subject=f"run {run.run_id}",
                reason=Reason(
                    code="run-frozen",
                    message=f"{run.frozen_by} rests on it as it was judged, so nothing of it changes: {', '.join(parts)}",
                    fix="log to a new run and propose that one; name, description and descriptive tags of this run stay open",
                ),
            )
    for change in flush.rows("datasets"):
        if change.operation != "insert":
            yield from _dataset(change, facts)
    for change in flush.rows("artifacts"):
        if change.key.get("kind") == "upload-url":
            yield from _upload_url(change, facts)


def judge_finished(flush: Flush, _asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to runs that have finished: they neither run again nor take anything in."""
    reopened = {
        change.value("run_uuid")
        for change in flush.rows("runs")
        if change.before.get("status") == _FINISHED and change.after.get("status") in NOT_ENDED
    }
    for run, parts in _touched(flush, facts):
        logged = [part for part in parts if part != _ITSELF]
        if run.run_id not in reopened and (run.status != _FINISHED or not logged):
            continue
        what = (
            "would run again" if run.run_id in reopened else f"{', '.join(logged)} would be added or changed"
        )
        yield Objection(
            rule="finished-run",
            use_case=use_case_of(facts.standard, run.experiment) or "",
            subject=f"run {run.run_id}",
            reason=Reason(
                code="run-finished",
                message=f"it has finished, and {what}",
                fix="log what comes later to a run of its own: "
                f'mlflow.start_run(tags={{"mlflow.parentRunId": "{run.run_id}"}})',
            ),
        )


def _touched(flush: Flush, facts: GuardFacts) -> Iterator[tuple[RunFacts, list[str]]]:
    """The runs that rows are parts of, each with its parts, sorted; each run is looked up once."""
    found: dict[str, set[str]] = {}
    for change in flush.changes:
        for run_id, part in _touches(flush, change, facts):
            found.setdefault(run_id, set()).add(part)
    for run_id, parts in sorted(found.items()):
        run = facts.run(run_id)
        if run is not None:
            yield run, sorted(parts)


def _touches(flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Touch]:
    """The runs of which a row is a part, each with what part."""
    parts = _PARTS.get(change.table)
    if parts is None:
        return
    if "run_uuid" in change.key and change.table not in _OWN_ROWS:
        # The hooks say which run some rows of a table belong to, and not what is in them.
        report = change.key.get("kind") == "report"
        yield change.key["run_uuid"], "Signoff's reports" if report else change.table.replace("_", " ")
    else:
        yield from parts(flush, change, facts)


def _of_run(_flush: Flush, change: Change, _facts: GuardFacts) -> Iterator[Touch]:
    if not (change.table == "tags" and _open_tag(change, "key")):
        yield from _named(change.value("run_uuid"), change.table.removeprefix("latest_"))


def _run_itself(_flush: Flush, change: Change, _facts: GuardFacts) -> Iterator[Touch]:
    if not _leaves_what_was_judged(change):
        yield from _named(change.value("run_uuid"), _ITSELF)


def _of_model(_flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Touch]:
    table, model_id = change.table, change.value("model_id")
    if table == "logged_model_tags" and _open_tag(change, "tag_key"):
        return
    if change.operation == "update" and change.after.keys() <= _BOOKKEEPING:
        return
    run = None if model_id is None else facts.run_of_model(model_id)
    yield from _named(None if run is None else run.run_id, table.replace("_", " "))
    if table == "logged_models":
        yield from _named(change.value("source_run_id"), table.replace("_", " "))


def _measured(_flush: Flush, change: Change, _facts: GuardFacts) -> Iterator[Touch]:
    """A metric of a model belongs to the run that measured it: a later evaluation may add its own."""
    yield from _named(change.value("run_id"), change.table.replace("logged_model_", ""))


def _input(_flush: Flush, change: Change, _facts: GuardFacts) -> Iterator[Touch]:
    for end, part in (("source", "logged models"), ("destination", "data sets")):
        if (change.value(f"{end}_type") or "").startswith("RUN"):
            yield from _named(change.value(f"{end}_id"), part)


def _input_tag(flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Touch]:
    for edge in flush.rows("inputs"):
        if edge.value("input_uuid") == change.value("input_uuid"):
            yield from _input(flush, edge, facts)


def _link(_flush: Flush, change: Change, _facts: GuardFacts) -> Iterator[Touch]:
    for end in ("source", "destination"):
        if change.value(f"{end}_type") == "run":
            yield from _named(change.value(f"{end}_id"), "links")


_PARTS: Mapping[str, Callable[[Flush, Change, GuardFacts], Iterator[Touch]]] = {
    "params": _of_run,
    "metrics": _of_run,
    "latest_metrics": _of_run,
    "tags": _of_run,
    "runs": _run_itself,
    "logged_models": _of_model,
    "logged_model_params": _of_model,
    "logged_model_tags": _of_model,
    "logged_model_metrics": _measured,
    "assessments": _measured,
    "inputs": _input,
    "input_tags": _input_tag,
    "entity_associations": _link,
    "artifacts": _of_run,
}
"""Tables of which a row may be a part of a run."""


def _named(run_id: str | None, part: str) -> Iterator[Touch]:
    if run_id:
        yield run_id, part


def _open_tag(change: Change, column: str) -> bool:
    key = change.value(column) or "signoff."
    renamed = change.operation == "update" and column in change.before
    if renamed or key.casefold().startswith("signoff."):
        return False
    if column == "tag_key" and key == _SERVER_TAG:
        return change.operation != "delete"
    return key in OPEN_TAGS or not key.casefold().startswith("mlflow.")


def _leaves_what_was_judged(change: Change) -> bool:
    """Whether a row of `runs` is new, or is only described or ended by the change."""
    if change.operation != "update":
        return change.operation == "insert"
    judged = change.after.keys() - OPEN_COLUMNS
    ends = change.before.get("status") in NOT_ENDED and change.after.get("status") in _ENDED
    return not judged or (ends and judged <= {"status", "end_time"})


def _dataset(change: Change, facts: GuardFacts) -> Iterator[Said]:
    """A data set's row is shared by all runs of an experiment that logged it; MLflow never changes one."""
    frozen = facts.frozen_in(experiment_id(change))
    if not frozen:
        return
    yield Objection(
        rule="freeze",
        use_case=use_case_of_label(facts.standard, frozen[0]),
        subject=f"data set {change.value('name') or change.value('dataset_uuid')}",
        reason=Reason(
            code="dataset-frozen",
            message=f"runs of its experiment were proposed ({', '.join(frozen[:5])}) and may rest on it",
            fix="log the data set under a new name or digest in a new run",
        ),
    )


def _upload_url(change: Change, facts: GuardFacts) -> Iterator[Said]:
    """A URL that writes past the server is good until it expires, also when the run is frozen in the meantime."""
    run = facts.run(run_id_of(change))
    if run is None or run.frozen_by:
        return
    yield Objection(
        rule="freeze",
        use_case=use_case_of(facts.standard, run.experiment) or "",
        subject=f"run {run.run_id}",
        reason=Reason(
            code="upload-url",
            message="with a presigned URL its artifacts could still be changed after it is proposed",
            fix="log artifacts through the server: experiments keep them below mlflow-artifacts:/ for that",
        ),
    )
