"""What of the rows that would be written must be decided: governed changes, and writes to what is frozen."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from signoff.adapters.mlflow_hooks.lookup import SessionLookup, is_run
from signoff.adapters.mlflow_hooks.refusal import unforeseen
from signoff.adapters.mlflow_hooks.rows import Row, only_stamps
from signoff.adapters.mlflow_hooks.tables import RESERVED, TABLES
from signoff.release.guard.evidence import FROZEN_MARK, OPEN_TAGS
from signoff.release.guard.model import Change
from signoff.release.guard.tags import captured
from signoff.release.warrant import Warrant

Way = Literal["flush", "bulk", "cursor"]
_RUN_COLUMNS_THAT_LOG = frozenset({"status", "end_time", "start_time", "name"})
"""Asked about when the run is frozen; its name, which describes it, because a released run keeps its own."""
_SYSTEM = "mlflow."
_MODEL_VERSIONS_TAG = "mlflow.modelVersions"
_FINISHED = "FINISHED"
_ONE_BY_ONE = frozenset({"runs", "tags", "logged_model_tags"})
"""Tables of which a change says which part of a frozen run stays open."""


@dataclass(kw_only=True, slots=True)
class Sorted:
    """Rows by what has to be known before they may be written.

    Attributes:
        governed: decided whatever the run's state is.
        of_runs: by run: rows that matter when the run is frozen.
        of_models: by logged model: rows that matter when the model's run is frozen.
        of_inputs: by input: rows that matter when an end of the input is a frozen run.
        new_runs: runs that this very flush makes: nothing of them is frozen.
    """

    governed: list[Change] = field(default_factory=list)
    of_runs: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    of_models: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    of_inputs: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    new_runs: set[str] = field(default_factory=set)


def covered(row: Row, held: Iterable[Warrant]) -> bool:
    """Whether a warrant names this very change; a deletion only when the warrant says ``operation="delete"``."""
    return any(warrant.table == row.table and _agrees(row, warrant) for warrant in held)


def _agrees(row: Row, warrant: Warrant) -> bool:
    wanted = dict(warrant.values)
    operation = wanted.pop("operation", None)
    if operation != row.operation and (operation is not None or row.operation == "delete"):
        return False
    try:
        return all(row.value(column) == value for column, value in wanted.items())
    except KeyError:
        return False


def sort(rows: Iterable[Row], way: Way) -> Sorted:
    """Sort rows by their table's meaning.

    Raises:
        MlflowException: a table, or a way to write it, that is not foreseen.
    """
    found = Sorted()
    for row in rows:
        rule = TABLES.get(row.table)
        if rule is None:
            raise unforeseen(row.table, row.operation, "the table is not known")
        if row.operation not in {"flush": rule.flush, "bulk": rule.bulk, "cursor": rule.cursor}[way]:
            raise unforeseen(row.table, row.operation, f"by {way}")
        if rule.tag and _is_ours(row, rule.tag):
            found.governed.append(row.change())
        elif rule.meaning in _SORTERS:
            _SORTERS[rule.meaning](found, row)
    return found


def _is_ours(row: Row, column: str) -> bool:
    """Whether a tag is one by which Signoff speaks; what client plugins say of a run is not."""
    key = row.value(column) or ""
    return key.casefold().startswith(RESERVED) and not captured(row.table, key)


def _logging(found: Sorted, row: Row) -> None:
    run_id = row.value(TABLES[row.table].run)
    if run_id is None:
        raise unforeseen(row.table, row.operation, "it names no run")
    found.of_runs[run_id].append(row)


def _run(found: Sorted, row: Row) -> None:
    run_id = row.value("run_uuid")
    if run_id is None:
        raise unforeseen(row.table, row.operation, "it names no run")
    if row.operation == "insert":
        if row.value("entry_point_name"):
            raise unforeseen(row.table, "insert", "with the mark that only Signoff writes")
        found.new_runs.add(run_id)
    elif "entry_point_name" in row.changed:
        raise unforeseen(row.table, "update", "of the mark that only Signoff writes")
    elif row.changed <= _RUN_COLUMNS_THAT_LOG:
        found.of_runs[run_id].append(row)
    else:
        found.governed.append(row.change())


def _run_tag(found: Sorted, row: Row) -> None:
    """Tags for people, MLflow's own for their remarks too, stay open; of what MLflow and our plugins say of the run, the guard knows which do."""
    key = row.value("key") or ""
    if key not in OPEN_TAGS and key.casefold().startswith((_SYSTEM, RESERVED)):
        _logging(found, row)


def _edge(found: Sorted, row: Row) -> None:
    for end in ("source", "destination"):
        name = row.value(f"{end}_id")
        if is_run(row.value(f"{end}_type")) and name is not None:
            found.of_runs[name].append(row)


def _input_tag(found: Sorted, row: Row) -> None:
    found.of_inputs[row.value("input_uuid") or ""].append(row)


def _logged_model(found: Sorted, row: Row) -> None:
    if "lifecycle_stage" in row.changed or "source_run_id" in row.changed:
        found.governed.append(row.change())
    elif (run_id := row.value("source_run_id")) is not None:
        found.of_runs[run_id].append(row)


def _model_part(found: Sorted, row: Row) -> None:
    found.of_models[row.value("model_id") or ""].append(row)


def _governed(found: Sorted, row: Row) -> None:
    if not only_stamps(row):
        found.governed.append(row.change())


def _assessment(found: Sorted, row: Row) -> None:
    if (run_id := row.value("run_id")) is not None:
        found.of_runs[run_id].append(row)


_SORTERS = {
    "logging": _logging,
    "run": _run,
    "run-tag": _run_tag,
    "edge": _edge,
    "input-tag": _input_tag,
    "logged-model": _logged_model,
    "model-part": _model_part,
    "registry": _governed,
    "alias": _governed,
    "experiment": _governed,
    "assessment": _assessment,
}


def to_decide(rows: Sequence[Row], way: Way, *, session: Any, finished: bool) -> tuple[Change, ...]:
    """The changes that the guard must be asked about; none for plain logging.

    Args:
        rows: what would be written.
        way: how.
        session: the session that writes.
        finished: whether runs that have ended are guarded too.

    Raises:
        MlflowException: a table, or a way to write it, that is not foreseen.
    """
    found = sort(rows, way)
    lookup = SessionLookup(session)
    _owners_of_parts(found, rows, lookup)
    asked = list(found.governed)
    if run_ids := found.of_runs.keys() - found.new_runs:
        for run_id, (mark, status) in _states(run_ids, session, lookup).items():
            if mark == FROZEN_MARK or (finished and status == _FINISHED):
                asked.extend(_of_run(run_id, found.of_runs[run_id], lookup))
    return tuple(asked)


def _owners_of_parts(found: Sorted, rows: Sequence[Row], lookup: SessionLookup) -> None:
    """Give the parts of models and inputs to their runs, with one look-up each where the flush does not tell."""
    if found.of_models:
        made = {
            row.value("model_id"): row.value("source_run_id") for row in rows if row.table == "logged_models"
        }
        known = lookup.runs_of_models(found.of_models.keys() - made.keys())
        for model_id, parts in found.of_models.items():
            run_id = made.get(model_id) or known.get(model_id)
            if run_id is not None:
                found.of_runs[run_id].extend(parts)
    if found.of_inputs:
        inputs = {row.value("input_uuid") for row in rows if row.table == "inputs"}
        if unknown := found.of_inputs.keys() - inputs:
            for run_id in lookup.runs_of_inputs(unknown):
                found.of_runs[run_id].extend(part for name in unknown for part in found.of_inputs[name])


@cache
def _run_mapper() -> Any:
    from mlflow.store.tracking.dbmodels.models import SqlRun
    from sqlalchemy import inspect

    return inspect(SqlRun)


def _states(run_ids: Iterable[str], session: Any, lookup: SessionLookup) -> dict[str, tuple[str, str]]:
    """(freeze mark, status before the flush) of runs: from memory where the call loaded the run, else one select."""
    mapper = _run_mapper()
    found: dict[str, tuple[str, str]] = {}
    unknown: list[str] = []
    for run_id in run_ids:
        run = session.identity_map.get(mapper.identity_key_from_primary_key((run_id,)))
        values = {} if run is None else run.__dict__
        if "entry_point_name" in values and "status" in values:
            status = values["_sa_instance_state"].committed_state.get("status", values["status"])
            found[run_id] = (values["entry_point_name"] or "", str(status))
        else:
            unknown.append(run_id)
    return found | lookup.runs(unknown) if unknown else found


def _of_run(run_id: str, rows: Iterable[Row], lookup: SessionLookup) -> list[Change]:
    """Changes for rows of a frozen run: the run and tags one by one, values once per table."""
    asked: dict[object, Change] = {}
    for row in rows:
        is_server_tag = row.table == "logged_model_tags" and row.value("tag_key") == _MODEL_VERSIONS_TAG
        if is_server_tag and _says_where_registered(row, lookup):
            continue
        if row.table in _ONE_BY_ONE and not is_server_tag:
            asked[id(row)] = row.change()
        else:
            asked[row.table] = Change(
                table=row.table, operation=row.operation, key={"run_uuid": run_id}, before={}, after={}
            )
    return list(asked.values())


def _says_where_registered(row: Row, lookup: SessionLookup) -> bool:
    """Whether a logged model's tag says, truly, which versions were made from it.

    MLflow writes it in a transaction of its own after it made a version. Anyone may, as long as each version that
    it adds exists and was made from the model's run.
    """
    if row.operation == "delete":
        return False
    model_id = row.value("model_id") or ""
    said = _versions(row.value("tag_value"))
    before = _versions(lookup.logged_model_tag(model_id, _MODEL_VERSIONS_TAG) or "[]") or frozenset()
    if not said:
        return False
    run_id = lookup.run_of_model(model_id)
    return all((lookup.version(name, number) or (None, ""))[0] == run_id for name, number in said - before)


def _versions(value: str | None) -> frozenset[tuple[str, int]] | None:
    try:
        return frozenset((str(item["name"]), int(item["version"])) for item in json.loads(value or ""))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
