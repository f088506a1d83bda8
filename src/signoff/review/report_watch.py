"""Question 7: is production watched, evaluated again in time, and is every trial brought to an end?"""

from collections.abc import Iterator

from signoff.errors import EvidenceError
from signoff.release.canary import Canary, canary_of
from signoff.release.model import Release
from signoff.review.checklist import Answer, Item, Section, counted
from signoff.review.survey import Survey, UseCaseSurvey
from signoff.standard.model import EnvironmentRules

CANARY_DAYS = 7
"""A canary that runs longer was forgotten."""


def watching(survey: Survey) -> Section:
    """Per use case its monitors, per release when it was last evaluated, and canaries without end."""
    items = tuple(item for use_case in survey.use_cases for item in _of_a_use_case(survey, use_case))
    return Section(
        number=7,
        title="Watching",
        question="Is production watched, evaluated again in time, and is every canary brought to an end?",
        items=items,
    )


def _of_a_use_case(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    yield _monitors(survey, use_case)
    for environment in use_case.rules.environments.values():
        yield from _due(survey, use_case, environment)
        yield from _canary(survey, use_case, environment)


def _released(use_case: UseCaseSurvey, environment: EnvironmentRules) -> Release | None:
    """What is released there; None also where question 5 tells that this cannot be said."""
    try:
        return use_case.history.release(environment.name)
    except EvidenceError:
        return None


def _monitors(survey: Survey, use_case: UseCaseSurvey) -> Item:
    environments = list(use_case.rules.environments.values())
    released = [e.name for e in environments if _released(use_case, e) is not None]
    monitors = use_case.rules.monitors
    if not monitors:
        demanded = any(e.monitoring for e in environments if e.name in released)
        answer: Answer = "problem" if demanded else "attention" if released else "nothing to judge"
        said = (
            f"released in {', '.join(released)}, and nothing watches it"
            if released
            else "nothing is released"
        )
        return Item(
            code="watch:monitors",
            use_case=use_case.name,
            answer=answer,
            sentence=f"No monitor is bound; {said}.",
            advice="Add one under `monitors` in the standard: what is watched, its bound, and what follows."
            if released
            else "",
        )
    firings = use_case.history.of("trigger")
    facts, fired = [], 0
    for monitor in monitors:
        own = [firing for firing in firings if firing.text("monitor") == monitor.name]
        fired += len(survey.recent(tuple(own)))
        facts.append(
            f"{monitor.name} ({monitor.kind}, then {monitor.then}): "
            + (f"last fired {own[-1].text('at')}: {own[-1].text('message')}" if own else "never fired")
        )
    return Item(
        code="watch:monitors",
        use_case=use_case.name,
        answer="good" if released else "nothing to judge",
        sentence=f"{counted(len(monitors), 'monitor')} bound; {counted(fired, 'firing')} since {survey.since}.",
        facts=tuple(facts),
        evidence=tuple(str(firing.id) for firing in survey.recent(firings)),
    )


def _due(survey: Survey, use_case: UseCaseSurvey, environment: EnvironmentRules) -> Iterator[Item]:
    release = _released(use_case, environment)
    if release is None or environment.reevaluate_days is None:
        return
    judged = [
        signed.text("at")
        for signed in use_case.history.of("gate-decision")
        if signed.statement.subject("model") == release.model
    ]
    last = max((*judged, *(() if judged else (release.statement.text("at"),))))
    days, allowed = survey.age(last), environment.reevaluate_days
    ref = f"{use_case.rules.registered_model}/{release.version}"
    late = days > allowed
    yield Item(
        code=f"watch:re-evaluation:{environment.name}",
        use_case=use_case.name,
        answer="problem" if late else "good",
        sentence=f"{ref} in {environment.name} was last evaluated {counted(days, 'day')} ago; "
        f"every {allowed} days is asked, "
        + (
            f"{counted(days - allowed, 'day')} overdue."
            if late
            else f"due in {counted(allowed - days, 'day')}."
        ),
        evidence=(ref,),
        advice=f"signoff gate {release.statement.text('run_id')}" if late else "",
    )


def _canary(survey: Survey, use_case: UseCaseSurvey, environment: EnvironmentRules) -> Iterator[Item]:
    try:
        canary = canary_of(use_case.history, environment.name, people=survey.people)
    except EvidenceError as error:
        yield Item(
            code=f"watch:canary:{environment.name}",
            use_case=use_case.name,
            answer="problem",
            sentence=f"The canary in {environment.name} cannot be read: {error.what}",
            advice="signoff admin audit --verify",
        )
        return
    if canary is not None:
        yield _running(survey, use_case, environment, canary)


def _running(survey: Survey, use_case: UseCaseSurvey, environment: EnvironmentRules, canary: Canary) -> Item:
    days = survey.age(canary.statement.text("at"))
    ref = f"{use_case.rules.registered_model}/{canary.version}"
    step = (
        "passed its last step"
        if canary.complete
        else f"is in step {canary.step + 1} of {len(canary.plan.steps)}"
    )
    forgotten = days > CANARY_DAYS
    return Item(
        code=f"watch:canary:{environment.name}",
        use_case=use_case.name,
        answer="attention" if forgotten else "good",
        sentence=f"The canary {ref} in {environment.name} {step}, {counted(days, 'day')} after it began.",
        evidence=(str(canary.statement.id),),
        advice=f"signoff promote {ref} --env {environment.name}, or end it: signoff rollback {use_case.name} "
        f'--env {environment.name} --reason "…"'
        if forgotten
        else "",
    )
