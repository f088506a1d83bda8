"""What the gate measures on: the evaluation table as the task reads it, and both models' answers to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from signoff.apps.workspace import Workspace
from signoff.errors import DataError, ModelError
from signoff.gate.arrays import FloatArray
from signoff.gate.labels import (
    KnownLabels,
    Label,
    LabelMap,
    answers_indexes,
    class_codes,
    joined_classes,
    label_map_paths,
    parse_label_map,
    stable_labels,
)
from signoff.gate.model import CheckResult, EvaluationTable, Predictions
from signoff.standard.metrics import METRICS
from signoff.standard.model import GateRules, UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.model_folder import ModelFolder, OpenModel
    from signoff.adapters.tables import Table

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A model that is judged.

    Attributes:
        model: a private copy of its files, whose digest was compared where one was promised.
        run_id: the run that logged it; None when its record names none.
    """

    model: "ModelFolder"
    run_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What the decision is made from.

    Attributes:
        table: the rows.
        candidate: its answers, timed where a threshold asks for it.
        baseline: the production model's; None for a first release.
        checks: what was seen while asking, such as whether the labels are stable.
    """

    table: EvaluationTable
    candidate: Predictions
    baseline: Predictions | None
    checks: tuple[CheckResult, ...] = ()


def evaluate(
    workspace: Workspace, rules: UseCaseRules, table: "Table", *, candidate: Judged, baseline: Judged | None
) -> Evaluation:
    """Read the table as the task asks, and ask both models.

    Raises:
        DataError: the table does not fit the task or a model.
        ModelError: a model cannot be loaded or asked.
        StoreError: a label map cannot be fetched.
    """
    match rules.gate.task:
        case "classification":
            return _of_two_classes(workspace, rules, table, candidate, baseline)
        case "multiclass":
            return _of_many_classes(workspace, rules, table, candidate, baseline)
        case "ranking":
            return _of_lists(rules.gate, table, candidate, baseline)
        case "assistant":
            return _of_questions(rules.gate, table, candidate, baseline)
        case _:
            return _of_numbers(rules.gate, table, candidate, baseline)


def _of_two_classes(
    workspace: Workspace, rules: UseCaseRules, table: "Table", candidate: Judged, baseline: Judged | None
) -> Evaluation:
    from signoff.adapters.scoring import classify
    from signoff.adapters.tables import evaluation_table, label_pair

    gate = rules.gate
    evaluation = evaluation_table(table, gate.recipe, slices=gate.slices, task=gate.task)
    labels = label_pair(table, gate.recipe)

    def answer(model: "OpenModel", frame: Any) -> Predictions:
        return classify(model, frame, recipe=gate.recipe, labels=labels)

    asked = _ask(candidate, table, gate, answer, timed=True)
    released = None if baseline is None else _ask(baseline, table, gate, answer)
    return Evaluation(
        table=evaluation,
        candidate=replace(asked.answer, latency_ms=asked.latency_ms),
        baseline=None if released is None else released.answer,
        checks=_label_checks(workspace, rules, labels, (candidate, asked), (baseline, released)),
    )


def _of_many_classes(
    workspace: Workspace, rules: UseCaseRules, table: "Table", candidate: Judged, baseline: Judged | None
) -> Evaluation:
    """The classes are those of the table and of both models; a class's place among them is its code."""
    from signoff.adapters.scoring import classify_many
    from signoff.adapters.tables import class_labels, evaluation_table

    gate = rules.gate
    evaluation = evaluation_table(table, gate.recipe, slices=gate.slices, task=gate.task)
    seen = class_labels(table, gate.recipe)

    def answer(model: "OpenModel", frame: Any) -> tuple[Label, ...]:
        return classify_many(model, frame, recipe=gate.recipe, seen=seen)

    asked = _ask(candidate, table, gate, answer, timed=True)
    released = None if baseline is None else _ask(baseline, table, gate, answer)
    both = [one for one in (asked, released) if one is not None]
    classes = joined_classes(seen, *(one.classes for one in both), *(one.answer for one in both))
    return Evaluation(
        table=replace(evaluation, classes=tuple(map(str, classes))),
        candidate=Predictions(
            score=None, decision=class_codes(asked.answer, classes), latency_ms=asked.latency_ms
        ),
        baseline=None
        if released is None
        else Predictions(score=None, decision=class_codes(released.answer, classes)),
        checks=_label_checks(workspace, rules, seen, (candidate, asked), (baseline, released)),
    )


def _of_lists(gate: GateRules, table: "Table", candidate: Judged, baseline: Judged | None) -> Evaluation:
    from signoff.adapters.scoring import score_rows
    from signoff.adapters.tables import ranking_table

    evaluation, lists = ranking_table(table, gate.recipe, slices=gate.slices)

    def answer(model: "OpenModel", frame: Any) -> FloatArray:
        return score_rows(model, frame, recipe=gate.recipe)

    asked = _ask(candidate, table, gate, answer, timed=True)
    return Evaluation(
        table=evaluation,
        candidate=replace(lists.judged(asked.answer), latency_ms=asked.latency_ms),
        baseline=None if baseline is None else lists.judged(_ask(baseline, table, gate, answer).answer),
    )


def _of_questions(gate: GateRules, table: "Table", candidate: Judged, baseline: Judged | None) -> Evaluation:
    """Requests that are timed embed their question each; others take it from the cache where it is there."""
    from signoff.adapters.assistant_answers import QUERY, measured_answers
    from signoff.adapters.model_folder import open_model
    from signoff.adapters.tables import evaluation_table
    from signoff.apps.embeddings import embeddings_cache
    from signoff.apps.verbs.components import components_of

    evaluation = evaluation_table(table, gate.recipe, slices=gate.slices, task=gate.task)

    def answers(judged: Judged, *, timed: bool) -> Predictions:
        model = open_model(judged.model, pickle=gate.pickle).loaded
        components = components_of(judged.model)
        if components and not timed and QUERY in table.frame.columns:
            queries = table.frame[QUERY].tolist()
            model.embed_ahead(queries, embedder=components["embedder"], cache=embeddings_cache())
        return measured_answers(model, table.frame, recipe=gate.recipe, timed=timed)

    timed = any(METRICS[rule.metric].kind == "latency" for rule in gate.thresholds)
    return Evaluation(
        table=evaluation,
        candidate=answers(candidate, timed=timed),
        baseline=None if baseline is None else answers(baseline, timed=False),
    )


def _of_numbers(gate: GateRules, table: "Table", candidate: Judged, baseline: Judged | None) -> Evaluation:
    from signoff.adapters.scoring import regress
    from signoff.adapters.tables import evaluation_table

    evaluation = evaluation_table(table, gate.recipe, slices=gate.slices, task=gate.task)

    def answer(model: "OpenModel", frame: Any) -> Predictions:
        return regress(model, frame, recipe=gate.recipe)

    asked = _ask(candidate, table, gate, answer, timed=True)
    return Evaluation(
        table=evaluation,
        candidate=replace(asked.answer, latency_ms=asked.latency_ms),
        baseline=None if baseline is None else _ask(baseline, table, gate, answer).answer,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked(Generic[_Answer]):
    """A model's answer.

    Attributes:
        answer: for all rows.
        classes: those that the model knows, in the order of its answers; None when it does not say.
        latency_ms: of single-row answers; None when no threshold asks for it.
    """

    answer: _Answer
    classes: tuple[Label, ...] | None
    latency_ms: FloatArray | None


def _ask(
    judged: Judged,
    table: "Table",
    gate: GateRules,
    answer: "Callable[[OpenModel, Any], _Answer]",
    *,
    timed: bool = False,
) -> _Asked[_Answer]:
    from signoff.adapters.model_folder import open_model
    from signoff.adapters.scoring import measure_latency, model_input
    from signoff.release.schema import schema_gaps

    model = judged.model
    if gate.recipe.label in model.inputs.names:
        raise ModelError(
            f"the model asks for the label {gate.recipe.label!r} as an input",
            where=str(model.mlmodel.get("model_id") or "model"),
            hint="train on features only; the signature names the columns that the model is given",
        )
    gaps = schema_gaps(model.inputs, table.schema)
    if gaps:
        raise DataError(
            f"the evaluation table does not fit the model: {'; '.join(gaps)}", where=str(table.path)
        )
    opened = open_model(model, pickle=gate.pickle)
    frame = model_input(table.frame, model.inputs)
    latency = timed and any(METRICS[rule.metric].kind == "latency" for rule in gate.thresholds)
    return _Asked(
        answer=answer(opened, frame),
        classes=opened.classes,
        latency_ms=measure_latency(lambda rows: answer(opened, rows), frame) if latency else None,
    )


def _label_checks(
    workspace: Workspace,
    rules: UseCaseRules,
    seen: Sequence[Label],
    candidate: tuple[Judged, _Asked[Any]],
    production: tuple[Judged | None, _Asked[Any] | None],
) -> tuple[CheckResult, ...]:
    if rules.gate.labels != "stable":
        return ()
    (judged, asked), (other, released) = candidate, production
    known = None
    if other is not None and released is not None:
        # The maps of two models say something beyond their classes only when these are indexes.
        maps = _label_maps(workspace, rules, other.run_id) if answers_indexes(released.classes) else ()
        known = KnownLabels(model=released.classes, maps=maps)
    mine = KnownLabels(model=asked.classes, maps=_label_maps(workspace, rules, judged.run_id))
    return (stable_labels(candidate=mine, production=known, seen=seen),)


def _label_maps(workspace: Workspace, rules: UseCaseRules, run_id: str | None) -> tuple[LabelMap, ...]:
    if run_id is None:
        return ()
    reader = workspace.reader()
    paths = label_map_paths(reader.run(run_id).artifacts, rules.requirements)
    contents = ((path, reader.artifact(run_id, path)) for path in paths)
    return tuple(parse_label_map(content, path) for path, content in contents if content is not None)
