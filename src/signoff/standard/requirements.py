"""What runs of a use case must carry: baseline, model type, profile and the team's own, joined."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from signoff.standard import defaults
from signoff.standard.metrics import METRICS
from signoff.standard.model import Kind, Requirement
from signoff.standard.schema import RequirementSection, RequireSection, StandardDocument, UseCaseSection
from signoff.standard.shape import Faults, did_you_mean
from signoff.standard.strict_yaml import Path

_OF_A_MODEL = ("signature", "input_example")
_HOW = {
    "param": 'mlflow.log_param("{name}", …)',
    "metric": 'mlflow.log_metric("{name}", …)',
    "tag": 'mlflow.set_tag("{name}", "…")',
    "artifact": 'signoff.log_evidence("{name}", …)',
    "model": 'mlflow.sklearn.log_model(model, name="model", {name}=…)',
    "dataset": 'signoff.log_dataset(data, name="…", context="{name}")',
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the team's file asks for in one place, with the path of that place."""

    require: RequireSection | None
    path: Path


def resolve_requirements(
    document: StandardDocument, use_case: UseCaseSection, path: Path, faults: Faults, *, file: str
) -> tuple[Requirement, ...]:
    """All requirements of a use case; where two ask for the same thing, the later and closer one decides.

    Args:
        document: the whole standard.
        use_case: its section.
        path: path of that section.
        faults: takes the faults found.
        file: name of the standard's file, for origins.
    """
    found: dict[str, Requirement] = {}
    for requirement in _shipped(document, use_case):
        found[requirement.code] = requirement
    for requirement in _of_the_use_case(use_case, path, faults, file=file):
        found[requirement.code] = requirement
    own_type = document.model_types.get(use_case.type)
    for asked in (
        Asked(require=document.require, path=("require",)),
        Asked(
            require=None if own_type is None else own_type.require,
            path=("model_types", use_case.type, "require"),
        ),
        Asked(require=use_case.require, path=(*path, "require")),
    ):
        for kind, section, where in _sections(asked):
            requirement = _own(kind, section, found, origin=f"{file}:{faults.line(where)}")
            _check_name(requirement, where, faults)
            found[requirement.code] = requirement
    if document.evidence == "warn":
        return tuple(replace(requirement, severity="warn") for requirement in found.values())
    return tuple(found.values())


def _shipped(document: StandardDocument, use_case: UseCaseSection) -> Iterator[Requirement]:
    own_type = document.model_types.get(use_case.type)
    shipped_type = use_case.type if own_type is None else own_type.like
    sources: Iterable[tuple[str, tuple[defaults.ShippedRequirement, ...]]] = (
        ("baseline", defaults.baseline()),
        (f"type {shipped_type}", defaults.model_type(shipped_type).requires),
    )
    for origin, requirements in sources:
        for requirement in requirements:
            if requirement.counts_in(document.profile):
                yield requirement.resolved(origin)


def _of_the_use_case(
    use_case: UseCaseSection, path: Path, faults: Faults, *, file: str
) -> Iterator[Requirement]:
    """The primary metric, and the window's dates where runs train on one."""
    metric = METRICS[use_case.primary.metric]
    yield Requirement(
        kind="metric",
        name=metric.name,
        accepts=metric.logged_as,
        why="The primary metric, as the author measured it, lets runs be compared before the gate measures again.",
        how=f'mlflow.log_metric("{metric.name}", …)',
        by="you",
        severity="block",
        origin=f"{file}:{faults.line((*path, 'primary', 'metric'))}",
    )
    if use_case.window:
        origin = f"{file}:{faults.line((*path, 'window'))}"
        for requirement in defaults.window():
            yield requirement.resolved(origin)


def _sections(asked: Asked) -> Iterator[tuple[Kind, RequirementSection, Path]]:
    if asked.require is None:
        return
    for kind, key, sections in asked.require.by_kind():
        for at, section in enumerate(sections):
            yield kind, section, (*asked.path, key, at)


def _own(
    kind: Kind, section: RequirementSection, known: dict[str, Requirement], *, origin: str
) -> Requirement:
    """The team's requirement; what it does not say about a known one stays as it was."""
    before = known.get(f"{kind}:{section.name}")
    if before is not None:
        return replace(
            before,
            accepts=tuple(dict.fromkeys((*before.accepts, *section.accepts))),
            why=section.why or before.why,
            how=section.how or before.how,
            severity=section.severity,
            origin=origin,
        )
    return Requirement(
        kind=kind,
        name=section.name,
        accepts=defaults.accepted_names(kind, section.name, section.accepts),
        why=section.why or "The team's standard asks for it.",
        how=section.how or _HOW[kind].format(name=section.name),
        by="you",
        severity=section.severity,
        origin=origin,
    )


def _check_name(requirement: Requirement, path: Path, faults: Faults) -> None:
    if requirement.kind == "model" and requirement.name not in _OF_A_MODEL:
        message = f"a model has no property `{requirement.name}` that could be required"
        faults.add(path, message, did_you_mean(requirement.name, _OF_A_MODEL))
