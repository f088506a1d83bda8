"""What an existing store suggests for a standard: use cases, owners, and what is logged in most runs already."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from signoff.conformance.decide import check_run
from signoff.record.experiment import ExperimentRecord
from signoff.record.from_mlflow import named_by
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import RunRecord
from signoff.review.checklist import counted
from signoff.review.logged import ENOUGH, EVERYBODY, is_asked, logged_names
from signoff.standard.model import Kind, Requirement, UseCaseRules
from signoff.standard.names import ALIAS, EXPERIMENT, NAME, REGISTERED_MODEL
from signoff.standard.scaffold import FoundUseCase
from signoff.text import printable

PRODUCTION = ("prod", "production", "champion", "live", "current")
"""Aliases that stand for production where nobody says which does; the first that a model has."""
MOST_FINDINGS = 12
"""So many kinds of findings are printed per use case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundModel:
    """A registered model as the store has it.

    Attributes:
        name: its name.
        versions: its versions, highest number first.
        runs: finished runs of the experiments that its versions come from, newest first.
        homes: per experiment how many of its versions come from there.
    """

    name: str
    versions: tuple[ModelVersionRecord, ...]
    runs: tuple[RunRecord, ...]
    homes: Mapping[str, int]

    @property
    def aliases(self) -> dict[str, int]:
        """Alias → version."""
        return {alias: version.version for version in self.versions for alias in version.aliases}


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """What the store suggests.

    Attributes:
        use_cases: the use cases.
        left_out: models and experiments that could not become one, one line each.
    """

    use_cases: tuple[FoundUseCase, ...]
    left_out: tuple[str, ...]


def suggest(
    models: Sequence[FoundModel],
    experiments: Iterable[ExperimentRecord],
    *,
    owner: str,
    production: str = "",
    asked: Sequence[Requirement] = (),
) -> Suggestion:
    """Suggest a use case per registered model.

    A use case is named like the experiment that most of the model's versions come from, because its experiments
    begin with its name.

    Args:
        models: the registered models.
        experiments: all experiments.
        owner: who answers where no run of the model names somebody with an address.
        production: the alias that stands for production everywhere; "" to recognise it.
        asked: what profile and model type require anyway.
    """
    found: dict[str, FoundUseCase] = {}
    left_out: list[str] = []
    for model in sorted(models, key=lambda one: (-len(one.versions), one.name)):
        name = _name(model)
        if name is None or not re.fullmatch(REGISTERED_MODEL.pattern, model.name):
            left_out.append(
                f"model {model.name}: neither it nor its experiment can name a use case ({NAME.words})"
            )
        elif name in found:
            left_out.append(
                f"model {model.name}: its runs are in experiment {name}, like those of {found[name].registered_model};"
                " give one of them experiments of its own"
            )
        else:
            found[name] = _use_case(name, model, owner=owner, production=production, asked=asked)
    taken = {experiment for one in found.values() for experiment in one.experiments}
    left_out += [
        f"experiment {experiment.name} ({experiment.runs} runs): no registered model comes from it"
        for experiment in experiments
        if experiment.name not in taken and experiment.runs and not _is_home(experiment.name, models)
    ]
    return Suggestion(use_cases=tuple(found.values()), left_out=tuple(left_out))


def _is_home(experiment: str, models: Iterable[FoundModel]) -> bool:
    return any(experiment in model.homes for model in models)


def _name(model: FoundModel) -> str | None:
    """The first part of its experiment's name, else its own."""
    homes = sorted(model.homes, key=lambda name: (-model.homes[name], name))
    candidates = [
        *(home.partition("/")[0] for home in homes if re.fullmatch(EXPERIMENT.pattern, home)),
        model.name,
    ]
    return next((name for name in candidates if re.fullmatch(NAME.pattern, name)), None)


def _use_case(
    name: str, model: FoundModel, *, owner: str, production: str, asked: Sequence[Requirement]
) -> FoundUseCase:
    inside = [
        h for h in model.homes if named_by(h, (name, f"{name}/*")) and re.fullmatch(EXPERIMENT.pattern, h)
    ]
    outside = sorted(set(model.homes) - set(inside))
    alias = production or next((known for known in PRODUCTION if known in model.aliases), "")
    remarks = [
        f"{counted(len(model.versions), 'version')} of {model.name}, {counted(len(model.runs), 'finished run')} looked at"
    ]
    remarks += [
        f"versions also come from experiment {other}: the standard takes {name} and {name}/… only"
        for other in outside
    ]
    if alias in model.aliases:
        remarks.append(
            f"@{alias} points at version {model.aliases[alias]}: taken over as inherited, unverified"
        )
    else:
        remarks.append("no alias stands for production yet")
    return FoundUseCase(
        name=name,
        owner=_owner(model) or owner,
        registered_model=model.name,
        experiments=tuple(sorted(inside, key=lambda home: (home != name, home))) or (name,),
        params=_habits(model.runs, "param", asked),
        metrics=_habits(model.runs, "metric", asked),
        alias=alias if alias != "prod" and re.fullmatch(ALIAS.pattern, alias or "-") else "",
        remarks=tuple(printable(remark) for remark in remarks),
    )


def _owner(model: FoundModel) -> str:
    """The address that most runs claim; a claim, for people to look at."""
    users = Counter(run.user for run in model.runs if run.user and re.fullmatch(r"[^@\s]+@[^@\s]+", run.user))
    return max(users, key=lambda user: (users[user], user), default="")


def _habits(runs: Sequence[RunRecord], kind: Kind, asked: Sequence[Requirement]) -> tuple[str, ...]:
    """Names that nearly all of at least five runs log, and that nobody requires yet."""
    if len(runs) < ENOUGH:
        return ()
    counts = Counter(name for run in runs for name in logged_names(run, kind))
    return tuple(
        sorted(
            name
            for name, count in counts.items()
            if count >= EVERYBODY * len(runs) and not is_asked(asked, kind, name)
        )
    )


def findings_text(rules: UseCaseRules, runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """What the rules would find in runs that are there already, most frequent first, one line each."""
    if not runs:
        return (f"{rules.name}: no finished run to look at",)
    counts = Counter((f.code, f.severity) for run in runs for f in check_run(rules, run))
    lines = [f"{rules.name}: {counted(len(runs), 'finished run')} looked at"]
    lines += [
        f"  {code}: {count} of {len(runs)} lack it{'' if severity == 'block' else ' (warns)'}"
        for (code, severity), count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[
            :MOST_FINDINGS
        ]
    ]
    more = len(counts) - MOST_FINDINGS
    if more > 0:
        lines.append(f"  and {more} more: signoff check {rules.name}")
    if not counts:
        lines.append("  nothing is missing")
    return tuple(printable(line) for line in lines)
