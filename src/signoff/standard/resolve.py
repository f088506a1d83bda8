"""A standard as it was read, to the standard that decisions use: every default filled in, every name checked."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from signoff.record.digest import Digest
from signoff.standard import defaults
from signoff.standard.checks import check_model_types, check_use_case, check_use_cases
from signoff.standard.environments import Layer, resolve_environments
from signoff.standard.metrics import Task
from signoff.standard.model import (
    EvaluationRecipe,
    GateRules,
    MarginRule,
    Standard,
    ThresholdRule,
    Transition,
    UseCaseRules,
)
from signoff.standard.requirements import resolve_requirements
from signoff.standard.resolve_deployment import resolve_batch, resolve_monitors, resolve_serving
from signoff.standard.schema import (
    EvaluateSection,
    GateSection,
    PrimarySection,
    SliceSection,
    StandardDocument,
    UseCaseSection,
)
from signoff.standard.schema_guard import resolve_guard
from signoff.standard.shape import Faults
from signoff.standard.strict_yaml import Path

_DEFAULT_THRESHOLD = 0.5
_DEFAULT_K = 10
_SEPARATORS = re.compile(r"[\\/]")


def resolve(document: StandardDocument, faults: Faults, *, text: str, file: str) -> Standard:
    """The resolved standard; not to be used when faults were noted.

    Args:
        document: the standard as it was read.
        faults: takes the faults found.
        text: the file's content.
        file: its name or path.
    """
    check_model_types(document, faults)
    check_use_cases(document, faults)
    roles = _roles(document)
    short = _SEPARATORS.split(file)[-1]
    use_cases: dict[str, UseCaseRules] = {}
    for name, section in document.use_cases.items():
        path: Path = ("use_cases", name)
        if check_use_case(document, name, section, path, faults):
            use_cases[name] = _use_case(document, name, section, roles, faults, file=short)
    return Standard(
        path=file,
        version=document.version,
        profile=document.profile,
        digest=Digest.of(text.encode("utf-8")),
        store=document.store,
        ledger=document.ledger,
        roster=document.roster,
        capture=document.capture,
        roles=roles,
        use_cases=use_cases,
        guard=resolve_guard(document.guard, defaults.profile(document.profile).guard),
    )


def _roles(document: StandardDocument) -> dict[str, frozenset[Transition]]:
    """The profile's roles; one of the same name in the file replaces them."""
    given: Mapping[str, tuple[str, ...]] = {
        **defaults.profile(document.profile).roles,
        **{name: section.may for name, section in document.roles.items()},
    }
    return {name: frozenset(cast("tuple[Transition, ...]", may)) for name, may in given.items()}


def _use_case(
    document: StandardDocument,
    name: str,
    section: UseCaseSection,
    roles: Mapping[str, frozenset[Transition]],
    faults: Faults,
    *,
    file: str,
) -> UseCaseRules:
    path: Path = ("use_cases", name)
    layers = (
        Layer(sections=document.environments, path=("environments",)),
        Layer(sections=section.environments, path=(*path, "environments")),
    )
    profile_notes = defaults.profile(document.profile).notes
    return UseCaseRules(
        name=name,
        owner=section.owner,
        model_type=section.type,
        experiments=section.experiment or (name,),
        registered_model=section.registered_model or name,
        run_name=section.run_name,
        requirements=resolve_requirements(document, section, path, faults, file=file),
        gate=_gate(section, _task(document, section)),
        notes=tuple(dict.fromkeys((*profile_notes, *section.notes))),
        environments=resolve_environments(document.profile, layers, roles, faults, file=file),
        batch=resolve_batch(section.batch),
        serving=resolve_serving(section.serving, (*path, "serving"), faults),
        monitors=resolve_monitors(section, (*path, "monitors"), faults),
        retrain=section.retrain,
    )


def _task(document: StandardDocument, section: UseCaseSection) -> Task:
    own = document.model_types.get(section.type)
    return defaults.model_type(section.type if own is None else own.like).task


def _gate(section: UseCaseSection, task: Task) -> GateRules:
    gate = section.gate or GateSection()
    return GateRules(
        task=task,
        recipe=_recipe(section.evaluate),
        primary=_margin(section.primary),
        slices=tuple(_margin(rule) for rule in section.slices),
        thresholds=tuple(
            ThresholdRule(metric=rule.metric, at_least=rule.at_least, at_most=rule.at_most)
            for rule in section.thresholds
        ),
        alpha=gate.alpha,
        looks=gate.looks,
        documented_data=gate.documented_data,
        reproducible=gate.reproducible,
        pickle=gate.pickle,
        labels=gate.labels or ("stable" if task == "multiclass" else "any"),
    )


def _recipe(section: EvaluateSection) -> EvaluationRecipe:
    return EvaluationRecipe(
        data=section.data,
        label=section.label,
        positive=section.positive,
        row_key=section.row_key,
        cluster=section.cluster,
        score=section.score,
        threshold=_DEFAULT_THRESHOLD if section.threshold is None else section.threshold,
        group=section.group,
        k=_DEFAULT_K if section.k is None else section.k,
        naive=section.naive,
    )


def _margin(section: PrimarySection | SliceSection) -> MarginRule:
    better = section.better_by is not None
    margin = section.better_by if better else section.no_worse_than
    rule = MarginRule(
        metric=section.metric,
        mode="better_by" if better else "no_worse_than",
        margin=margin if margin is not None else 0.0,
    )
    if isinstance(section, PrimarySection):
        return rule
    return replace(rule, by=section.by, only=section.only, inconclusive=section.inconclusive)
