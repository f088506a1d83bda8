"""What a well-formed standard can still get wrong: names, metrics, boundaries, figures without sense."""

import re
from collections.abc import Mapping

from signoff.standard import defaults
from signoff.standard.metrics import METRICS, Task, metrics_for
from signoff.standard.names import SHIPPED_TYPES
from signoff.standard.schema import (
    PrimarySection,
    SliceSection,
    StandardDocument,
    ThresholdSection,
    UseCaseSection,
)
from signoff.standard.shape import Faults, did_you_mean
from signoff.standard.strict_yaml import Path

_BOUNDARY = "never per person, notebook or retraining cycle: a window is a run"
_CYCLE = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?:[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?(?:0[1-9]|[12]\d|3[01]))?)?(?!\d)"
    r"|(?<![a-z])(?:week|wk|kw|cycle|retrain|retraining|run)[-_ ]?\d+(?!\d)",
    re.IGNORECASE,
)
_NOTEBOOK = re.compile(r"\.ipynb\b|notebook|^untitled", re.IGNORECASE)
_DECISIVE_MARGIN = 1.0
_WITH_CLASSES: tuple[Task, ...] = ("classification", "multiclass")
_RECIPE_TASKS: Mapping[str, tuple[Task, ...]] = {
    "positive": ("classification",),
    "threshold": ("classification",),
    "group": ("ranking",),
    "k": ("ranking", "assistant"),
    "naive": ("regression",),
}
"""Keys of `evaluate` that only some tasks have."""


def check_model_types(document: StandardDocument, faults: Faults) -> None:
    """The team's own types may not take a shipped name."""
    for name in document.model_types:
        if name in SHIPPED_TYPES:
            hint = f"choose another name and write like: {name}, or use `require` to ask for more"
            faults.add(("model_types", name), f"`{name}` is a shipped type", hint)


def check_use_cases(document: StandardDocument, faults: Faults) -> None:
    """Use cases may not share a registered model: nobody would know whose rules judge a version."""
    first: dict[str, str] = {}
    for name, section in document.use_cases.items():
        model = section.registered_model or name
        other = first.setdefault(model, name)
        if other != name:
            path: Path = ("use_cases", name)
            where = path if section.registered_model is None else (*path, "registered_model")
            faults.add(
                where, f"use case {other} already has the registered model `{model}`", "give each its own"
            )


def check_use_case(
    document: StandardDocument, name: str, section: UseCaseSection, path: Path, faults: Faults
) -> bool:
    """Check one use case; False when its type is unknown, so that nothing can be resolved for it."""
    _check_experiments(name, section, path, faults)
    _check_run_name(section, path, faults)
    if section.batch is not None and section.batch.input == section.batch.output:
        faults.add((*path, "batch", "output"), "input and output are the same table", "name another table")
    shipped = _shipped_type(document, section, path, faults)
    if shipped is None:
        return False
    _check_margin(section.primary, shipped, (*path, "primary"), faults)
    _check_slices(section.slices, shipped, (*path, "slices"), faults)
    _check_thresholds(section.thresholds, shipped, (*path, "thresholds"), faults)
    _check_recipe(section, shipped, path, faults)
    _check_facts(document.profile, section, path, faults)
    return True


def _check_recipe(section: UseCaseSection, shipped: str, path: Path, faults: Faults) -> None:
    """What a task has no use for would be read as if it counted."""
    task = _task(shipped)
    for key, tasks in _RECIPE_TASKS.items():
        if getattr(section.evaluate, key) is not None and task not in tasks:
            faults.add((*path, "evaluate", key), f"{shipped} has no `{key}`", "remove the line")
    if task == "ranking" and section.evaluate.group is None:
        message = "nothing says which rows are one list to be ranked"
        faults.add((*path, "evaluate"), message, "name the column, such as group: customer_id")
    if section.gate is not None and section.gate.labels == "stable" and task not in _WITH_CLASSES:
        faults.add((*path, "gate", "labels"), f"{shipped} has no classes", "remove the line")


def _check_facts(profile: str, section: UseCaseSection, path: Path, faults: Faults) -> None:
    """What a profile promises of every candidate: it can be made again, from data that is known."""
    if section.gate is None or defaults.profile(profile).undocumented_allowed:
        return
    hint = f"profile {profile} asks for it; remove the line, or choose a smaller profile"
    for key, words in (
        ("reproducible", "a clean commit, parameters and the frozen environment"),
        ("documented_data", "training data with source and digest"),
    ):
        if not getattr(section.gate, key):
            faults.add((*path, "gate", key), f"a candidate needs {words}", hint)


def _check_experiments(name: str, section: UseCaseSection, path: Path, faults: Faults) -> None:
    person = section.owner.partition("@")[0].casefold()
    names: Mapping[Path, str] = {
        (*path, "experiment", at): experiment for at, experiment in enumerate(section.experiment)
    } or {path: name}
    for where, experiment in names.items():
        use_case, _, part = experiment.partition("/")
        if use_case != name:
            hint = f"write {name}, {name}/family or {name}/stream"
            faults.add(where, f"`{experiment}` does not begin with the use case's name", hint)
        if person and person in (use_case.casefold(), part.casefold()):
            faults.add(where, f"`{experiment}` is named after a person, {section.owner}", _BOUNDARY)
        if (cycle := _CYCLE.search(experiment)) is not None:
            faults.add(where, f"`{experiment}` names a date or a cycle ({cycle[0]})", _BOUNDARY)
        if _NOTEBOOK.search(experiment):
            faults.add(where, f"`{experiment}` is named after a notebook", _BOUNDARY)
    if len(set(section.experiment)) < len(section.experiment):
        faults.add((*path, "experiment"), "an experiment is named twice")
    if section.experiment and section.experiment[0].endswith("/*"):
        message = f"new runs go to the first experiment, and `{section.experiment[0]}` is a pattern"
        faults.add((*path, "experiment", 0), message, f"put {name} ahead of it")


def _check_run_name(section: UseCaseSection, path: Path, faults: Faults) -> None:
    if section.run_name is None:
        return
    try:
        re.compile(section.run_name)
    except re.error as error:
        message = f"not a regular expression: {error}"
        faults.add((*path, "run_name"), message, "for one week of churn: churn-\\d{4}-w\\d{2}")


def _shipped_type(
    document: StandardDocument, section: UseCaseSection, path: Path, faults: Faults
) -> str | None:
    """The shipped type that scores the use case; None, after a fault, when its type is unknown."""
    if (own := document.model_types.get(section.type)) is not None:
        return own.like
    if section.type in SHIPPED_TYPES:
        return section.type
    if not faults.within(("model_types", section.type)):
        known = (*SHIPPED_TYPES, *document.model_types)
        hint = f"{did_you_mean(section.type, known)} or add it under model_types with like: classification"
        faults.add((*path, "type"), f"unknown model type `{section.type}`", hint)
    return None


def _task(shipped: str) -> Task:
    return defaults.model_type(shipped).task


def _check_margin(rule: PrimarySection | SliceSection, shipped: str, path: Path, faults: Faults) -> None:
    metric = METRICS[rule.metric]
    usable = metrics_for(_task(shipped), paired=True)
    if _task(shipped) not in metric.tasks:
        message = f"`{rule.metric}` does not measure {shipped}"
        faults.add((*path, "metric"), message, f"metrics for {shipped}: {', '.join(usable)}")
    elif not metric.paired:
        message = f"`{rule.metric}` cannot be compared row by row, so it serves thresholds only"
        faults.add((*path, "metric"), message, f"metrics for a margin: {', '.join(usable)}")
    for key, margin in (("better_by", rule.better_by), ("no_worse_than", rule.no_worse_than)):
        if margin is not None and metric.unit_range and margin >= _DECISIVE_MARGIN:
            message = f"{margin:g} decides nothing: {rule.metric} lies between 0 and 1"
            faults.add((*path, key), message, "write 0.05 for five points")


def _check_slices(rules: tuple[SliceSection, ...], shipped: str, path: Path, faults: Faults) -> None:
    seen: set[tuple[str, str]] = set()
    for at, rule in enumerate(rules):
        _check_margin(rule, shipped, (*path, at), faults)
        if (rule.by, rule.metric) in seen:
            faults.add((*path, at), f"a second rule for {rule.metric} by {rule.by}", "keep the stricter one")
        seen.add((rule.by, rule.metric))


def _check_thresholds(rules: tuple[ThresholdSection, ...], shipped: str, path: Path, faults: Faults) -> None:
    seen: set[str] = set()
    for at, rule in enumerate(rules):
        metric = METRICS[rule.metric]
        if _task(shipped) not in metric.tasks:
            usable = ", ".join(metrics_for(_task(shipped), paired=False))
            message = f"`{rule.metric}` does not measure {shipped}"
            faults.add((*path, at, "metric"), message, f"metrics for {shipped}: {usable}")
        if rule.metric in seen:
            faults.add((*path, at), f"a second bound on {rule.metric}", "keep the stricter one")
        seen.add(rule.metric)
        _check_bound(rule, (*path, at), faults)


def _check_bound(rule: ThresholdSection, path: Path, faults: Faults) -> None:
    metric = METRICS[rule.metric]
    senseless = "at_most" if metric.higher_is_better else "at_least"
    sensible = "at_least" if metric.higher_is_better else "at_most"
    for key, bound in (("at_least", rule.at_least), ("at_most", rule.at_most)):
        if bound is None:
            continue
        if key == senseless:
            better = "more" if metric.higher_is_better else "less"
            faults.add((*path, key), f"of {rule.metric}, {better} is better", f"bound it with {sensible}")
        if metric.unit_range and not 0.0 <= bound <= 1.0:
            message = f"{bound:g} is out of reach: {rule.metric} lies between 0 and 1"
            faults.add((*path, key), message, "write 0.7 for 70 %")
