"""Question 1: do names and boundaries hold?"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial

from signoff.conformance.boundary import check_experiments, use_case_of
from signoff.review.checklist import Item, Section, counted, some
from signoff.review.survey import Survey, UseCaseSurvey


def names(survey: Survey) -> Section:
    """Experiments, runs and registered models against the boundaries that the standard draws."""
    items = (
        _outside(survey),
        _experiment_names(survey),
        *(item for use_case in survey.use_cases for item in _run_names(use_case)),
        _models(survey),
    )
    return Section(
        number=1,
        title="Names and boundaries",
        question="Does all work lie within a use case's boundary, under names that last?",
        items=items,
    )


def _outside(survey: Survey) -> Item:
    where = {run.run_id: use_case_of(survey.standard, run.experiment) for run in survey.runs}
    outside = [run for run in survey.runs if where[run.run_id] is None]
    item = partial(Item, code="names:outside", use_case="")
    if not survey.runs:
        return item(answer="nothing to judge", sentence=f"No run was started since {survey.since}.")
    if not outside:
        return item(
            answer="good",
            sentence=f"{counted(len(survey.runs), 'run')} in the period, each within a use case.",
        )
    experiments = Counter(run.experiment for run in outside)
    return item(
        answer="problem",
        sentence=f"{len(outside):,} of {counted(len(survey.runs), 'run')} outside every use case, "
        f"in {counted(len(experiments), 'experiment')}; none of them can be proposed.",
        facts=tuple(
            f"experiment {name}: {counted(count, 'run')} by {some(_users(survey, name))}"
            for name, count in experiments.most_common()
        ),
        evidence=tuple(run.run_id for run in outside),
        advice="Log to a use case's experiment, or name the experiment in the standard "
        "(use_cases.*.experiment).",
    )


def _users(survey: Survey, experiment: str) -> list[str]:
    return sorted({run.user or "unknown" for run in survey.runs if run.experiment == experiment})


def _experiment_names(survey: Survey) -> Item:
    found = [
        finding
        for finding in check_experiments(survey.standard, survey.experiments)
        if finding.code != "experiment:unknown"
    ]
    used = [experiment for experiment in survey.experiments if experiment.runs]
    item = partial(Item, code="names:experiments", use_case="")
    if not used:
        return item(answer="nothing to judge", sentence="No experiment holds a run.")
    if not found:
        return item(
            answer="good",
            sentence=f"{counted(len(used), 'experiment')}, none named after a person, a notebook or a date.",
        )
    return item(
        answer="attention",
        sentence=f"{len({finding.subject for finding in found})} of {counted(len(used), 'experiment')} "
        "named after a person, a notebook or a date.",
        facts=tuple(f"{finding.subject} {finding.message}" for finding in found),
        evidence=tuple(dict.fromkeys(finding.subject for finding in found)),
        advice="Name experiments after a use case, a model family or a stream; a person is a tag of the run, "
        "a week is a run.",
    )


def _run_names(use_case: UseCaseSurvey) -> Iterator[Item]:
    pattern = use_case.rules.run_name
    if pattern is None:
        return
    runs = use_case.runs
    odd = [run for run in runs if not re.fullmatch(pattern, run.run_name)]
    item = partial(Item, code="names:runs", use_case=use_case.name)
    if not runs:
        yield item(answer="nothing to judge", sentence="No run in the period.")
    elif not odd:
        yield item(answer="good", sentence=f"{counted(len(runs), 'run')}, each named after {pattern}.")
    else:
        by = Counter(run.user or "unknown" for run in odd)
        yield item(
            answer="attention",
            sentence=f"{len(odd):,} of {counted(len(runs), 'run')} do not match {pattern}.",
            facts=tuple(f"{user}: {counted(count, 'run')}" for user, count in by.most_common()),
            evidence=tuple(run.run_id for run in odd),
            advice='Name runs when they start: mlflow.start_run(run_name="…").',
        )


def _models(survey: Survey) -> Item:
    known = {use_case.rules.registered_model for use_case in survey.use_cases}
    strangers = sorted(set(survey.models) - known)
    item = partial(Item, code="names:models", use_case="")
    if not survey.models:
        return item(answer="nothing to judge", sentence="The registry is empty.")
    if not strangers:
        return item(
            answer="good", sentence=f"{counted(len(survey.models), 'registered model')}, each of a use case."
        )
    return item(
        answer="problem",
        sentence=f"{len(strangers)} of {counted(len(survey.models), 'registered model')} belong to no use case: "
        "whatever is served from them was never judged.",
        facts=tuple(f"{name}: {counted(survey.models[name], 'version')}" for name in strangers),
        evidence=tuple(strangers),
        advice="Give each a use case in the standard (registered_model), or delete it from the registry.",
    )
