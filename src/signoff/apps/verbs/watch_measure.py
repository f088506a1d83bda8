"""What each monitor measures: tables and logs read, models loaded, and the pure core asked."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from signoff.adapters.delta_output import read_commit
from signoff.adapters.table_rows import rows_digest
from signoff.adapters.tables import Table, class_labels, evaluation_table, label_pair, read_table
from signoff.adapters.watched_tables import (
    LogWindow,
    categories,
    column_quality,
    column_values,
    failed_requests,
    given_classes,
    holds_numbers,
    latencies,
    log_windows,
    logged_answers,
    table_answers,
    with_labels,
)
from signoff.apps.scoring.released import Released, released_model
from signoff.apps.verbs.evaluation import Judged, evaluate
from signoff.apps.verbs.gate import evaluation_data
from signoff.apps.workspace import Workspace, now
from signoff.errors import DataError, EvidenceError, RefusedError, UsageError
from signoff.gate.labels import class_codes, joined_classes
from signoff.gate.measure import measure
from signoff.gate.model import EvaluationTable, Predictions
from signoff.gate.rows import checked_rows
from signoff.record.digest import Digest
from signoff.record.schema import ColumnRecord, SchemaRecord
from signoff.release.history import History, decision_of
from signoff.release.model import Reason, Release
from signoff.rollout.assessment import Assessment
from signoff.rollout.drift import DriftData, assess_drift
from signoff.rollout.monitors import (
    assess_age,
    assess_errors,
    assess_latency,
    assess_measurement,
    assess_quality,
    bound_of,
)
from signoff.rollout.triggers import placed_by
from signoff.standard.deployment import MonitorRules
from signoff.standard.model import UseCaseRules

SENSITIVE = "evidence/drift_sensitive_features"
"""Artifact in which a run names the columns whose drift would hurt it, without its suffix."""
_LOG_KINDS = ("latency", "errors")
MOST_WINDOWS = 200
"""So many windows of the inference log are judged in one look, the newest ones, when several have become full."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What a monitor found, and in which data.

    Attributes:
        found: the answer.
        window: digest of the rows that the answer is about; None when none were looked at.
        through: digest of the newest rows looked at, when that is another window of the log.
    """

    found: Assessment
    window: Digest | None
    through: Digest | None = None


@dataclass(kw_only=True, slots=True)
class Site:
    """Where a release is watched, with what was read already.

    Attributes:
        workspace: the team's workspace.
        rules: the use case's.
        environment: its name.
        history: the use case's statements.
        release: what is released.
        opened: keeps what was copied until the round is over.
        measured: per monitor the digests of the newest windows of the log that earlier looks came to.
    """

    workspace: Workspace
    rules: UseCaseRules
    environment: str
    history: History
    release: Release
    opened: ExitStack
    measured: Mapping[str, Collection[str]] = field(default_factory=dict)
    _model: Released | tuple[Reason, ...] | None = None

    @property
    def alpha(self) -> float:
        """One-sided error rate of a measurement: the gate's, of one look."""
        return self.rules.gate.alpha

    def released(self) -> Released:
        """The released model, verified and copied on the first call.

        Raises:
            RefusedError: it may not be used.
            SignoffError: it cannot be reached.
        """
        if self._model is None:
            environment = self.workspace.environment(self.rules, self.environment)
            self._model = self.opened.enter_context(released_model(self.workspace, self.rules, environment))
        if isinstance(self._model, tuple):
            raise RefusedError(
                f"the released model may not be used: {'; '.join(reason.message for reason in self._model)}",
                hint=f"signoff lineage {self.rules.name}@{self.environment}",
            )
        return self._model


def measure_monitor(site: Site, monitor: MonitorRules) -> Looked:
    """Measure what a monitor watches.

    Raises:
        SignoffError: it cannot be measured; the caller reports that and goes on with the next.
    """
    if monitor.kind == "schedule":
        return _schedule(site, monitor)
    if monitor.kind in _LOG_KINDS:
        return _of_the_log(site, monitor)
    measured = {"drift": _drift, "data-quality": _quality, "performance": _performance}[monitor.kind]
    rows = _watched_rows(site, monitor)
    return rows if isinstance(rows, Looked) else measured(site, monitor, rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """Rows to look at.

    Attributes:
        frame: a pandas DataFrame.
        path: where they come from.
        logged: whether they are rows of the inference log; those of performance have their label then.
        schema: of the table they are from.
        version: of the Delta table they are from; None for a file.
    """

    frame: Any
    path: Path
    logged: bool
    schema: SchemaRecord
    version: int | None


def _watched_rows(site: Site, monitor: MonitorRules) -> _Rows | Looked:
    """The table that a monitor names; else the newest window of the inference log, else the batch input."""
    serving, batch = site.rules.serving, site.rules.batch
    log = None if serving is None else serving.log
    if monitor.table is None and log is not None:
        table = read_table(site.workspace.path(log))
        all_rows = _rows_of(table, logged=True)
        if monitor.kind == "performance":  # the newest answers are those whose label is still to come
            all_rows = replace(all_rows, frame=_labelled(site, monitor, all_rows))
        window = next(_windows(site, monitor, all_rows.frame), None)
        if window is None:
            return Looked(found=_too_few(monitor), window=None)
        return replace(all_rows, frame=window.frame)
    named = monitor.table or (None if batch is None else batch.input)
    if named is None:
        raise UsageError(f"monitor {monitor.name} has no table to watch", hint="name one with `table`")
    return _rows_of(read_table(site.workspace.path(named)), logged=False)


def _rows_of(table: Table, *, logged: bool) -> _Rows:
    return _Rows(
        frame=table.frame, path=table.path, logged=logged, schema=table.schema, version=table.version
    )


def _windows(site: Site, monitor: MonitorRules, frame: Any) -> Iterator[LogWindow]:
    return log_windows(
        frame,
        version=site.release.version,
        model=site.release.model,
        since=placed_by(site.release).text("at"),
        size=monitor.rows,
        of="requests" if monitor.kind in _LOG_KINDS else "answers",
    )


def _too_few(monitor: MonitorRules) -> Assessment:
    what = "answers with a label" if monitor.kind == "performance" else "requests"
    return Assessment.undecided(
        f"the log holds fewer than {monitor.rows:,} {what} of the released version since it was released"
    )


def _of_the_log(site: Site, monitor: MonitorRules) -> Looked:
    serving = site.rules.serving
    named = monitor.table or (None if serving is None else serving.log)
    if named is None:
        raise UsageError(f"monitor {monitor.name} reads the inference log, and `serving` keeps none")
    looked = _unseen_windows(site, monitor, read_table(site.workspace.path(named)).frame)
    if not looked:
        return Looked(found=_too_few(monitor), window=None)
    out = [one for one in looked if one.found.standing == "out of bounds"]
    told = (out or looked)[0]
    if len(looked) > 1:
        message = (
            f"{told.found.message}; of {len(looked)} windows since the last look {len(out)} out of bounds"
        )
        told = replace(told, found=replace(told.found, message=message))
    return replace(told, through=looked[0].window)


def _unseen_windows(site: Site, monitor: MonitorRules, frame: Any) -> list[Looked]:
    """The windows that became full since the monitor last looked, or else the newest one; the newest first."""
    seen = site.measured.get(monitor.name, ())
    found: list[Looked] = []
    for window in islice(_windows(site, monitor, frame), MOST_WINDOWS):
        digest = rows_digest(window.frame)
        if found and str(digest) in seen:
            break
        found.append(Looked(found=_judged_requests(site, monitor, window.requests), window=digest))
        if str(digest) in seen:
            break
    return found


def _judged_requests(site: Site, monitor: MonitorRules, requests: Any) -> Assessment:
    if monitor.kind == "latency":
        return assess_latency(monitor, latencies(requests), alpha=site.alpha)
    return assess_errors(monitor, errors=failed_requests(requests), requests=len(requests), alpha=site.alpha)


def _schedule(site: Site, monitor: MonitorRules) -> Looked:
    """Days since the model was last judged; it fires once per period, counted from that decision."""
    judged = site.history.gate_decisions(model=site.release.model)
    if not judged:
        raise EvidenceError("there is no gate decision on the released model", hint="signoff lineage")
    newest = judged[-1][0]
    since = newest.text("at")
    days = (_time(now()) - _time(since)).total_seconds() / 86_400
    bound, _ = bound_of(monitor)
    period = int(days // bound) if bound > 0 else 0
    window = Digest.of_json({"decision": str(newest.id), "period": period})
    return Looked(found=assess_age(monitor, days=days, since=since), window=window)


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise EvidenceError(f"{text!r} is no time of the form 2026-11-22T10:15:00Z") from error


def _drift(site: Site, monitor: MonitorRules, rows: _Rows) -> Looked:
    window = rows_digest(rows.frame)
    reference = _reference(site)
    if isinstance(reference, str):
        return Looked(found=Assessment.undecided(reference, rows=len(rows.frame)), window=window)
    missing: list[str] = []
    before, now_ = {}, {}
    for name in _watched_columns(site, monitor, drift=True):
        if name not in reference.frame.columns:
            missing.append(f"{name} is not in the data of the approval")
            continue
        numbers = holds_numbers(reference.frame, name)
        try:
            then = column_values(reference.frame, name, numbers=numbers)
            now_[name] = column_values(rows.frame, name, numbers=numbers)
        except DataError as error:
            missing.append(error.what)
            continue
        before[name] = then
    batches, window_batches, placebo_of = None, None, "reference"
    if monitor.by is not None:
        source = reference.frame if monitor.by in reference.frame.columns else rows.frame
        placebo_of = "reference" if source is reference.frame else "window"
        batches = np.asarray(column_values(source, monitor.by, numbers=False), dtype=np.str_)
        if monitor.by in rows.frame.columns:
            window_batches = np.asarray(column_values(rows.frame, monitor.by, numbers=False), dtype=np.str_)
    bound, _ = bound_of(monitor)
    data = DriftData(
        reference=before,
        window=now_,
        batches=batches,
        window_batches=window_batches,
        placebo_of="reference" if placebo_of == "reference" else "window",
        missing=tuple(missing),
    )
    return Looked(
        found=assess_drift(data, tolerance=bound, rows=monitor.rows, alpha=site.alpha), window=window
    )


def _reference(site: Site) -> Table | str:
    """The evaluation data of the release's gate decision; a text when it is not there any more."""
    named = site.release.statement.statement.subject("decision")
    signed = None if named is None else site.history.by_id(named)
    if signed is None:
        return "the release's gate decision is not in the ledger"
    wanted = decision_of(signed).data
    recipe = site.rules.gate.recipe.data
    try:
        table = evaluation_data(site.workspace, site.rules)
    except DataError as error:
        return f"the data of the approval cannot be read: {error.what}"
    if table.digest != wanted:
        table = _kept(table.path, wanted) or table
    if table.digest != wanted:
        return (
            f"{recipe} is not the data of the approval any more (approved on {wanted.short}, now"
            f" {table.digest.short}): there is nothing to compare with"
        )
    return table


def _kept(path: Path, wanted: Digest) -> Table | None:
    """The data of the approval where the team kept it: a file beside the recipe's with the approved bytes."""
    if path.is_dir():
        return None
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        with other.open("rb") as file:
            found = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        if found == wanted and (table := read_table(other)).digest == wanted:
            return table
    return None


def _watched_columns(site: Site, monitor: MonitorRules, *, drift: bool = False) -> tuple[str, ...]:
    """The columns that a monitor names; else, for drift, those the run calls sensitive; else the inputs."""
    if monitor.columns:
        return monitor.columns
    if drift and (sensitive := _sensitive(site)):
        return sensitive
    return tuple(column.name for column in _inputs(site).columns)


def _sensitive(site: Site) -> tuple[str, ...]:
    run_id = site.release.statement.text("run_id")
    reader = site.workspace.reader()
    text = next(
        (
            found
            for end in (".json", ".md")
            if (found := reader.artifact(run_id, SENSITIVE + end)) is not None
        ),
        None,
    )
    if text is None:
        return ()
    try:
        named = json.loads(text)
    except ValueError:
        named = text.decode("utf-8", "replace").split()
    if isinstance(named, list) and all(isinstance(name, str) for name in named):
        return tuple(dict.fromkeys(named))
    return ()


def _inputs(site: Site) -> SchemaRecord:
    return site.released().model.inputs


def _quality(site: Site, monitor: MonitorRules, rows: _Rows) -> Looked:
    """Missing values count in columns that the signature requires or that the monitor names itself."""
    schema = {column.name: column for column in _inputs(site).columns}
    types = {column.name: column.type for column in rows.schema.columns}
    chosen = [
        ColumnRecord(
            name=name, type=schema[name].type, required=schema[name].required or bool(monitor.columns)
        )
        if name in schema
        else ColumnRecord(name=name, type=types.get(name, "string"))
        for name in _watched_columns(site, monitor)
    ]
    reference = _reference(site)
    known = {} if isinstance(reference, str) else categories(reference.frame, [c.name for c in chosen])
    found = assess_quality(
        monitor,
        {column.name: column_quality(rows.frame, column, known=known.get(column.name)) for column in chosen},
        alpha=site.alpha,
        remark="categories were not compared, as the approval's data is not there"
        if isinstance(reference, str)
        else "",
    )
    return Looked(found=found, window=rows_digest(rows.frame))


def _performance(site: Site, monitor: MonitorRules, rows: _Rows) -> Looked:
    if not rows.logged and _gives_answers(rows) and (why := _of_another_release(site, rows)):
        return Looked(found=Assessment.undecided(why, rows=len(rows.frame)), window=None)
    frame = rows.frame if rows.logged else _labelled(site, monitor, rows)
    if len(frame) < monitor.rows:
        few = f"{len(frame):,} rows have a label, at least {monitor.rows:,} are needed"
        return Looked(found=Assessment.undecided(few, rows=len(frame)), window=None)
    gate = site.rules.gate
    table = Table(path=rows.path, frame=frame, digest=rows_digest(frame), schema=rows.schema, version=None)
    truth, given = _truth_and_answers(site, table, logged=rows.logged)
    checked = checked_rows(
        kind=gate.task,
        table=truth,
        candidate=given,
        baseline=None,
        source=str(rows.path),
        label=gate.recipe.label,
    )
    metric = monitor.metric or ""
    found = assess_measurement(monitor, measure(metric, gate.task, checked), what=metric, alpha=site.alpha)
    return Looked(found=found, window=table.digest)


def _gives_answers(rows: _Rows) -> bool:
    return any(name in rows.frame.columns for name in ("score", "prediction"))


def _of_another_release(site: Site, rows: _Rows) -> str:
    """Why the answers of a table are not, or not known to be, those of the release; "" when they are.

    Every commit of `signoff predict` replaces all rows and names the release that it scored with.
    """
    here = f"version {site.release.version} is judged by its own answers only"
    commit = None if rows.version is None else read_commit(rows.path, version=rows.version)
    wrote = None if commit is None else commit.release
    if wrote is None:
        return (
            f"{rows.path.name} does not say which release answered, and {here}: write it with signoff predict"
        )
    own = {
        "use_case": site.rules.name,
        "environment": site.environment,
        "model_version": site.release.version,
        "release": str(site.release.statement.id),
    }
    if all(wrote.get(name) == value for name, value in own.items()):
        return ""
    return (
        f"{rows.path.name} was written by version {wrote.get('model_version')} as released in"
        f" {wrote.get('environment')}, and {here}: it is measured after the next signoff predict"
    )


def _labelled(site: Site, monitor: MonitorRules, rows: _Rows) -> Any:
    """The rows whose label has come in."""
    recipe = site.rules.gate.recipe
    if monitor.labels is not None:
        if recipe.row_key is None:
            raise UsageError("labels are joined by the row key, and `evaluate` names none")
        labels = read_table(site.workspace.path(monitor.labels)).frame
        return with_labels(rows.frame, labels, key=recipe.row_key, label=recipe.label)
    if recipe.label not in rows.frame.columns:
        raise DataError(
            f"the watched table has no column {recipe.label!r}",
            where=str(rows.path),
            hint="name the table with the labels: `labels: …`",
        )
    return rows.frame[rows.frame[recipe.label].notna()].reset_index(drop=True)


def _truth_and_answers(site: Site, table: Table, *, logged: bool) -> tuple[EvaluationTable, Predictions]:
    """Labels and the answers that were given; a table without answers is scored with the released model."""
    gate = site.rules.gate
    alone = replace(gate, slices=(), thresholds=(), labels="any", recipe=replace(gate.recipe, naive=None))
    given = "signoff_prediction" if logged else "prediction"
    if given not in table.frame.columns and "score" not in table.frame.columns:
        released = site.released()
        judged = Judged(model=released.model, run_id=None)
        rules = replace(site.rules, gate=alone)
        evaluation = evaluate(site.workspace, rules, table, candidate=judged, baseline=None)
        return evaluation.table, evaluation.candidate
    recipe = alone.recipe
    if recipe.cluster is None and recipe.row_key in table.frame.columns:
        recipe = replace(recipe, cluster=recipe.row_key)  # who asks twice is answered twice, for one label
    truth = evaluation_table(table, recipe, slices=(), task=gate.task)
    if gate.task in ("classification", "regression"):
        positive = label_pair(table, alone.recipe)[1] if gate.task == "classification" else None
        if logged:
            return truth, logged_answers(table.frame, task=gate.task, positive=positive)
        return truth, table_answers(table.frame)
    if gate.task == "multiclass":
        seen, answered = class_labels(table, alone.recipe), given_classes(table.frame, logged=logged)
        classes = joined_classes(seen, answered)
        return (
            replace(truth, classes=tuple(map(str, classes))),
            Predictions(score=None, decision=class_codes(answered, classes)),
        )
    raise UsageError(
        f"answers of {gate.task} models are not measured from a table of answers",
        hint="watch a table of inputs and labels: it is scored with the released model",
    )
