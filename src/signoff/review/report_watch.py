"""Question 7: is production watched, evaluated again in time, and is every trial brought to an end?"""

from collections.abc import Iterator, Mapping

from signoff.errors import EvidenceError
from signoff.release.canary import Canary, canary_of
from signoff.release.evaluation import evaluated_at
from signoff.release.model import Release, Signed
from signoff.review.checklist import Answer, Item, Section, counted
from signoff.review.survey import Survey, UseCaseSurvey
from signoff.rollout.recorded import decide_recorded
from signoff.rollout.triggers import MEASURED, Firing, left_by_rollback, placed_by, waiting_for
from signoff.standard.deployment import MonitorRules
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
    found = {e.name: _released(use_case, e) for e in environments}
    released = {name: release for name, release in found.items() if release is not None}
    demanded = any(e.monitoring for e in environments if e.name in released)
    if not use_case.rules.monitors or (demanded and not use_case.rules.watched):
        return _unwatched(use_case, list(released), demanded=demanded)
    firings = use_case.history.of("trigger")
    waiting = tuple(
        firing
        for name, release in released.items()
        for firing in waiting_for(
            use_case.history, name, people=survey.people, release=release, entries=use_case.watch_log
        )
        if left_by_rollback(firing, use_case.history) is None
    )
    unmeasured = _unmeasured(use_case, released)
    recent = survey.recent(firings)
    answer: Answer = "good"
    if not released:
        answer = "nothing to judge"
    elif waiting:
        answer = "problem"
    elif unmeasured:
        answer = "attention"
    return Item(
        code="watch:monitors",
        use_case=use_case.name,
        answer=answer,
        sentence=_sentence(survey, use_case, recent, waiting, unmeasured if released else ()),
        facts=tuple(_last_firing(monitor, firings) for monitor in use_case.rules.monitors),
        evidence=tuple(
            dict.fromkeys((*(str(firing.id) for firing in waiting), *(str(firing.id) for firing in recent)))
        ),
        advice=f"signoff status {use_case.name}, then do what waits; a review ends with signoff note."
        if waiting
        else f"signoff watch {use_case.name} --once, and let a scheduler call it."
        if unmeasured and released
        else "",
    )


def _unwatched(use_case: UseCaseSurvey, released: list[str], *, demanded: bool) -> Item:
    answer: Answer = "problem" if demanded else "attention" if released else "nothing to judge"
    what = "Only a schedule is bound" if use_case.rules.monitors else "No monitor is bound"
    said = (
        f"released in {', '.join(released)}, and nothing measures it" if released else "nothing is released"
    )
    return Item(
        code="watch:monitors",
        use_case=use_case.name,
        answer=answer,
        sentence=f"{what}; {said}.",
        advice="Add one under `monitors` in the standard: what is watched, its bound, and what follows."
        if released
        else "",
    )


def _unmeasured(use_case: UseCaseSurvey, released: Mapping[str, Release]) -> tuple[str, ...]:
    """The monitors that never measured what is released now."""
    placed = {str(placed_by(release).id) for release in released.values()}
    measured = {
        entry.detail.get("monitor")
        for entry in use_case.watch_log
        if entry.action == MEASURED and entry.statement in placed
    }
    return tuple(monitor.name for monitor in use_case.rules.monitors if monitor.name not in measured)


def _sentence(
    survey: Survey,
    use_case: UseCaseSurvey,
    recent: tuple[Signed, ...],
    waiting: tuple[Firing, ...],
    unmeasured: tuple[str, ...],
) -> str:
    parts = [
        f"{counted(len(use_case.rules.monitors), 'monitor')} bound",
        f"{counted(len(recent), 'firing')} since {survey.since}",
    ]
    if waiting:
        told = ", ".join(
            f"{firing.then} of {firing.monitor} since {firing.signed.text('at')}" for firing in waiting
        )
        parts.append(f"{counted(len(waiting), 'firing')} not followed up: {told}")
    if unmeasured:
        parts.append(f"what is released now was never measured by {', '.join(unmeasured)}")
    return f"{'; '.join(parts)}."


def _last_firing(monitor: MonitorRules, firings: tuple[Signed, ...]) -> str:
    own = [firing for firing in firings if firing.text("monitor") == monitor.name]
    told = f"last fired {own[-1].text('at')}: {own[-1].text('message')}" if own else "never fired"
    return f"{monitor.name} ({monitor.kind}, then {monitor.then}): {told}"


def _due(survey: Survey, use_case: UseCaseSurvey, environment: EnvironmentRules) -> Iterator[Item]:
    release = _released(use_case, environment)
    if release is None or environment.reevaluate_days is None:
        return
    last = evaluated_at(use_case.history, release)
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
        canary = canary_of(
            use_case.history, environment.name, people=survey.people, decide_again=decide_recorded
        )
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
