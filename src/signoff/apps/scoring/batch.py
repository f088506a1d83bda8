"""`signoff predict`: score a table with the released version and say so in the output's commit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signoff.adapters.delta_output import OutputCommit, write_predictions
from signoff.adapters.model_folder import open_model
from signoff.adapters.scoring import (
    Model,
    answer_table,
    classify,
    classify_many,
    model_input,
    regress,
    score_rows,
)
from signoff.adapters.tables import Table, read_table
from signoff.apps.scoring.released import Released, released_model
from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import DataError, UsageError
from signoff.evidence.ledger import Entry
from signoff.gate.model import Predictions
from signoff.record.digest import Json
from signoff.record.schema import SchemaRecord
from signoff.release.model import Reason
from signoff.release.schema import schema_gaps
from signoff.standard.deployment import BatchRules
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """What came of a batch run.

    Attributes:
        reasons: why it was refused; empty when it was not.
        output: the commit that was written; None when refused.
        version: the released version; None when refused.
        rows: rows written.
    """

    reasons: tuple[Reason, ...]
    output: OutputCommit | None
    version: int | None
    rows: int


def predict(
    workspace: Workspace,
    use_case: str,
    *,
    environment: str,
    input_path: str | None,
    output: str | None,
    actor: Actor,
) -> Predicted:
    """Score a table with the version released in an environment.

    Args:
        workspace: the team's workspace.
        use_case: its name.
        environment: where the version must be released.
        input_path: the table to score; None: the standard's.
        output: the Delta table to write; None: the standard's.
        actor: who runs it, for the log.

    Raises:
        SignoffError: the data or the store cannot be used; the output table stays as it was.
    """
    rules = workspace.use_case(use_case)
    into = workspace.environment(rules, environment)
    source, target = _paths(workspace, rules, input_path, output)
    with released_model(workspace, rules, into) as found:
        if isinstance(found, tuple):
            _record(workspace, rules, environment, actor, reasons=found)
            return Predicted(reasons=found, output=None, version=None, rows=0)
        table = read_table(source)
        gaps = _gaps(found, table, rules)
        if gaps:
            _record(workspace, rules, environment, actor, reasons=gaps)
            return Predicted(reasons=gaps, output=None, version=None, rows=0)
        frame = _score(found, table, rules)
        commit = write_predictions(target, frame, release=_release_json(rules, environment, found, table))
    _record(workspace, rules, environment, actor, written=(found, commit, len(frame)))
    return Predicted(reasons=(), output=commit, version=found.release.version, rows=len(frame))


def _paths(
    workspace: Workspace, rules: UseCaseRules, source: str | None, target: str | None
) -> tuple[Path, Path]:
    batch = rules.batch or BatchRules(input=None, output="", keys=())
    chosen_source = Path(source) if source else workspace.path(batch.input) if batch.input else None
    chosen_target = Path(target) if target else workspace.path(batch.output) if batch.output else None
    if chosen_source is None or chosen_target is None:
        raise UsageError(
            f"the standard names no {'input' if chosen_source is None else 'output'} table for {rules.name}",
            where=workspace.standard.path,
            hint="add `batch: {input: …, output: …}` to the use case, or give --input and --output",
        )
    return chosen_source, chosen_target


def _gaps(found: Released, table: Table, rules: UseCaseRules) -> tuple[Reason, ...]:
    keys = () if rules.batch is None else rules.batch.keys
    gaps = (
        *schema_gaps(found.model.inputs, table.schema),
        *(f"key column {key!r} is missing" for key in keys if key not in table.schema.names),
    )
    return tuple(
        Reason(code="input-schema", message=f"{table.path.name} does not fit the model: {gap}")
        for gap in gaps
    )


def _score(found: Released, table: Table, rules: UseCaseRules) -> Any:
    model = open_model(found.model, pickle=rules.gate.pickle)
    frame = answers(model, table.frame, inputs=found.model.inputs, rules=rules)
    keys = () if rules.batch is None else rules.batch.keys
    for place, key in enumerate(keys):
        frame.insert(place, key, table.frame[key].to_numpy())
    return frame


def answers(model: Model, frame: Any, *, inputs: SchemaRecord, rules: UseCaseRules) -> Any:
    """A model's answers as a DataFrame.

    Columns are ``score`` and ``prediction``, as far as it gives them: 1 or 0 for two classes, the class itself
    for many, only the score of a number or a row to be ranked. An assistant gives its own table.

    Args:
        model: the opened model.
        frame: a pandas DataFrame with at least the signature's columns.
        inputs: the signature's input schema.
        rules: the use case's rules.

    Raises:
        DataError: a column does not fit, or the model answers NaN or infinity.
        ModelError: the model fails.
    """
    import pandas as pd

    missing = [c.name for c in inputs.columns if c.required and c.name not in frame.columns]
    if missing:
        raise DataError(f"the rows lack the model's input columns {', '.join(missing)}")
    rows = model_input(frame, inputs)
    recipe = rules.gate.recipe
    match rules.gate.task:
        case "classification":
            return _numbers_table(classify(model, rows, recipe=recipe, labels=None), frame)
        case "multiclass":
            labels = classify_many(model, rows, recipe=recipe)
            return pd.DataFrame({"prediction": list(labels)}, index=frame.index)
        case "ranking":
            return pd.DataFrame({"score": score_rows(model, rows, recipe=recipe)}, index=frame.index)
        case "regression":
            return _numbers_table(regress(model, rows, recipe=recipe), frame)
        case "assistant":
            return answer_table(model, rows)


def _numbers_table(predictions: Predictions, frame: Any) -> Any:
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    if predictions.score is not None:
        columns["score"] = predictions.score
    if predictions.decision is not None:
        columns["prediction"] = predictions.decision.astype(np.int64)
    if not all(np.isfinite(values).all() for values in columns.values()):
        raise DataError("the model answers NaN or infinity for some rows; nothing was written")
    return pd.DataFrame(columns, index=frame.index)


def _release_json(rules: UseCaseRules, environment: str, found: Released, table: Table) -> dict[str, Json]:
    return {
        "use_case": rules.name,
        "environment": environment,
        "registered_model": rules.registered_model,
        "model_version": found.release.version,
        "model_digest": str(found.release.model),
        "run_id": found.release.statement.text("run_id"),
        "release": str(found.release.statement.id),
        "rollback": None if found.release.rollback is None else str(found.release.rollback.id),
        "input": {"path": str(table.path.name), "digest": str(table.digest), "rows": len(table.frame)},
    }


def _record(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: str,
    actor: Actor,
    *,
    reasons: tuple[Reason, ...] = (),
    written: tuple[Released, OutputCommit, int] | None = None,
) -> None:
    detail: dict[str, Json] = {}
    statement = None
    if written is not None:
        found, commit, rows = written
        statement = str(found.release.statement.id)
        detail = {
            "version": found.release.version,
            "output": commit.path.name,
            "output_version": commit.version,
            "output_data": None if commit.data is None else str(commit.data),
            "rows": rows,
        }
    entry = Entry(
        at=now(),
        actor=actor.name,
        action="predict",
        outcome="refused" if reasons else "allowed",
        use_case=rules.name,
        subject=f"{rules.name}@{environment}",
        statement=statement,
        reasons=tuple(f"{reason.code}: {reason.message}" for reason in reasons),
        detail=detail,
    )
    with workspace.ledger(create=True).transaction() as writer:
        writer.append(entry)
