"""Do a model's classes mean what they meant? Their names and order against production, label map and labels."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NoReturn, TypeAlias

import numpy as np

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray
from signoff.gate.model import CheckResult, Verdict
from signoff.record.digest import Json
from signoff.standard.model import Requirement

Label: TypeAlias = str | int | float | bool

LABEL_MAP = "label_map"
"""The required artifact that holds it."""
MAX_LABEL_MAP_BYTES = 1_000_000
_SHOWN = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMap:
    """A label map as a run logged it.

    Attributes:
        path: the artifact.
        labels: the label of each index, in order.
    """

    path: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownLabels:
    """What a model and its run say about its classes.

    Attributes:
        model: the classes in the order of the model's answers; None when it does not say.
        maps: the label maps that its run logged.
    """

    model: tuple[Label, ...] | None
    maps: tuple[LabelMap, ...]


def label_map_paths(artifacts: Sequence[str], requirements: Sequence[Requirement]) -> tuple[str, ...]:
    """The run's JSON artifacts that hold the label map: those of the first accepted pattern that has any."""
    asked = next((r for r in requirements if (r.kind, r.name) == ("artifact", LABEL_MAP)), None)
    patterns = (f"evidence/{LABEL_MAP}.json", *(asked.accepts if asked else (f"*{LABEL_MAP}*",)))
    for pattern in patterns:
        found = tuple(path for path in artifacts if path.endswith(".json") and fnmatchcase(path, pattern))
        if found:
            return found
    return ()


def parse_label_map(content: bytes, path: str) -> LabelMap:
    """A JSON list of labels, or a JSON object from index to label with every index from 0 on once.

    Raises:
        DataError: it is anything else.
    """
    if len(content) > MAX_LABEL_MAP_BYTES:
        raise _wrong(path, f"it has {len(content):,} bytes, more than any label map")
    try:
        value: Json = json.loads(
            content.decode("utf-8"), object_pairs_hook=_no_repeats, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise _wrong(path, str(error)) from error
    if isinstance(value, Mapping):
        places = [str(place) for place in range(len(value))]
        if set(value) != set(places):
            raise _wrong(path, f"its keys are not the indexes from 0 to {len(places) - 1}")
        value = [value[place] for place in places]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong(path, "it is neither a list nor an object")
    labels = tuple(_label(item, path) for item in value)
    if not labels:
        raise _wrong(path, "it names no label")
    if len({_key(label) for label in labels}) < len(labels):
        raise _wrong(path, "it names a label twice")
    return LabelMap(path=path, labels=labels)


def answers_indexes(model: Sequence[Label] | None) -> bool:
    """Whether a model's classes are 0, 1, 2, …, which mean nothing without a label map."""
    return model is not None and _same(model, range(len(model)))


def joined_classes(*several: Sequence[Label] | None) -> tuple[Label, ...]:
    """All classes of the evaluation table and the models; a class's place is its code."""
    return tuple(dict.fromkeys(label for classes in several for label in classes or ()))


def class_codes(labels: Sequence[Label], classes: Sequence[Label]) -> FloatArray:
    """The place of each label among the classes, shape (labels,).

    Raises:
        KeyError: one is not among them.
    """
    places = {label: float(place) for place, label in enumerate(classes)}
    return np.asarray([places[label] for label in labels], dtype=np.float64)


def stable_labels(
    *, candidate: KnownLabels, production: KnownLabels | None, seen: Sequence[Label]
) -> CheckResult:
    """Whether the candidate's classes, their order and their meaning are production's and the label map's.

    A model that answers with indexes gets its meaning from its label map alone: then the maps of candidate and
    production must be alike. Else the map must repeat the model's classes.

    Args:
        candidate: what the candidate and its run say.
        production: what the production model and its run say; None for a first release.
        seen: the labels of the evaluation table, which the candidate must know.
    """
    if candidate.model is None:
        return _check(
            "inconclusive", "the model does not say which classes it knows; log one that has classes_"
        )
    if production is not None and production.model is None:
        return _check("inconclusive", "the production model does not say which classes it knows")
    problems = [*_against_maps(candidate.model, candidate.maps), *_against_table(candidate.model, seen)]
    if production is not None and production.model is not None:
        problems += _against_production(candidate, production, production.model)
    if problems:
        return _check("fail", "; ".join(problems))
    if production is not None and not production.maps and answers_indexes(candidate.model):
        return _check(
            "inconclusive",
            "the models answer with indexes, and the production model's run has no label map that says what they meant",
        )
    others = "" if production is None else "production and "
    return _check(
        "pass",
        f"{len(candidate.model)} classes in the order of {others}{candidate.maps[0].path}: "
        f"{_listed(candidate.maps[0].labels)}",
    )


def _against_maps(model: Sequence[Label], maps: Sequence[LabelMap]) -> list[str]:
    if not maps:
        fix = 'signoff.log_evidence("label_map", model.classes_.tolist())'
        return [f"the run logged no label map as JSON; log it: {fix}"]
    if answers_indexes(model):
        return [
            f"the model answers with {len(model)} indexes, the label map {found.path} has {len(found.labels)} labels"
            for found in maps
            if len(found.labels) != len(model)
        ] + [
            _difference(found.labels, maps[0].labels, f"label map {found.path} has", maps[0].path)
            for found in maps[1:]
            if not _same(found.labels, maps[0].labels)
        ]
    return [
        _difference(model, found.labels, "the model knows", f"the label map {found.path}")
        for found in maps
        if not _same(model, found.labels)
    ]


def _against_table(model: Sequence[Label], seen: Sequence[Label]) -> list[str]:
    known = {_key(label) for label in model}
    unknown = [label for label in seen if _key(label) not in known]
    return (
        [f"the evaluation table has labels that the model does not know: {_listed(unknown)}"]
        if unknown
        else []
    )


def _against_production(
    candidate: KnownLabels, production: KnownLabels, released: Sequence[Label]
) -> list[str]:
    model = candidate.model or ()
    if not _same(model, released):
        return [_difference(model, released, "the model knows", "the production model")]
    if not candidate.maps or not production.maps or not answers_indexes(model):
        return []
    mine, theirs = candidate.maps[0], production.maps[0]
    if _same(mine.labels, theirs.labels):
        return []
    return [_difference(mine.labels, theirs.labels, "the label map has", "the production model's label map")]


def _difference(mine: Sequence[Label], theirs: Sequence[Label], who: str, whose: str) -> str:
    own, other = {_key(label): label for label in mine}, {_key(label): label for label in theirs}
    told = []
    if lost := [label for key, label in other.items() if key not in own]:
        told.append(f"without {_listed(lost)}")
    if new := [label for key, label in own.items() if key not in other]:
        told.append(f"with {_listed(new)} beside")
    if not told:
        place = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if _key(a) != _key(b))
        told.append(f"in another order: place {place} is {mine[place]!r} and not {theirs[place]!r}")
    return f"{who} the classes of {whose} {' and '.join(told)}"


def _same(mine: Sequence[Label], theirs: Sequence[Label]) -> bool:
    return [_key(label) for label in mine] == [_key(label) for label in theirs]


def _key(label: Label) -> tuple[str, Label]:
    """Labels of different types are different, though Python takes 1, 1.0 and True for the same."""
    return type(label).__name__, label


def _listed(labels: Sequence[Label]) -> str:
    more = ", …" if len(labels) > _SHOWN else ""
    return ", ".join(repr(label) for label in labels[:_SHOWN]) + more


def _check(status: Verdict, message: str) -> CheckResult:
    return CheckResult(
        id="stable:labels",
        title="stable(labels)",
        status=status,
        severity="block",
        message=message,
    )


def _label(item: Json, path: str) -> Label:
    if not isinstance(item, str | int | float | bool) or (
        isinstance(item, float) and not math.isfinite(item)
    ):
        raise _wrong(path, "a label is text, a number, true or false")
    return item


def _no_repeats(pairs: list[tuple[str, Json]]) -> Mapping[str, Json]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("it has a key twice")
    return dict(pairs)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _wrong(path: str, problem: str) -> DataError:
    return DataError(
        f"the label map cannot be read: {problem}",
        where=path,
        hint='write it as JSON: {"0": "billing", "1": "delivery"} or ["billing", "delivery"]',
    )
