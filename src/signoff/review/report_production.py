"""Questions 5 and 6: can production be traced, and has going back been tried?"""

from collections.abc import Iterator

from signoff.release.model import Signed
from signoff.review.checklist import Answer, Item, Section, counted
from signoff.review.model import LinkState
from signoff.review.report_guard import unverified
from signoff.review.survey import Survey, UseCaseSurvey
from signoff.standard.model import EnvironmentRules

TESTED_DAYS = 183
"""A rollback longer ago, half a year, says little about today's."""
_STATES: tuple[LinkState, ...] = ("verified", "recorded", "unknown", "broken")


def traces(survey: Survey) -> Section:
    """Per use case the production model, traced and its bytes hashed."""
    return Section(
        number=5,
        title="Production, traced",
        question="Can each production model be traced to run, data, code and approvals, and do the bytes agree?",
        items=tuple(
            item
            for use_case in survey.use_cases
            for item in (_trace(use_case), *unverified(survey, use_case))
        ),
    )


def _trace(use_case: UseCaseSurvey) -> Item:
    production = use_case.production
    target = f"{use_case.name}@{production.environment}"
    if production.failed:
        return Item(
            code="trace:production",
            use_case=use_case.name,
            answer="problem",
            sentence=f"{target} could not be traced: {production.failed}",
            evidence=(target,),
            advice=f"signoff lineage {target}",
        )
    if production.trace is None:
        return Item(
            code="trace:production",
            use_case=use_case.name,
            answer="nothing to judge",
            sentence=f"Nothing is released in {production.environment}.",
        )
    links = production.trace.links
    counts = {state: sum(link.state == state for link in links) for state in _STATES}
    answer: Answer = "problem" if counts["broken"] else "attention" if counts["unknown"] else "good"
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return Item(
        code="trace:production",
        use_case=use_case.name,
        answer=answer,
        sentence=f"{target}, traced over {counted(len(links), 'link')}: {said}.",
        facts=tuple(
            f"{link.state}: {link.kind} {link.name}: {link.why}"
            for link in links
            if link.state in ("broken", "unknown")
        ),
        evidence=(target,),
        advice="" if answer == "good" else f"signoff lineage {target} shows every link.",
    )


def rollbacks(survey: Survey) -> Section:
    """Per use case and environment the last rollback, in earnest or as a drill."""
    items = tuple(item for use_case in survey.use_cases for item in _rollbacks(survey, use_case))
    return Section(
        number=6,
        title="Rollback, tried",
        question="When was the way back last taken, in earnest or as a drill?",
        items=items,
    )


def _rollbacks(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    never = []
    for environment in use_case.rules.environments.values():
        if any(move.statement.kind == "release" for move in use_case.history.moves(environment.name)):
            yield _rollback(survey, use_case, environment)
        else:
            never.append(environment.name)
    if never:
        yield Item(
            code="rollback:none",
            use_case=use_case.name,
            answer="nothing to judge",
            sentence=f"Nothing was ever released in {', '.join(never)}.",
        )


def _rollback(survey: Survey, use_case: UseCaseSurvey, environment: EnvironmentRules) -> Item:
    code = f"rollback:{environment.name}"
    moves = use_case.history.moves(environment.name)
    releases = [move for move in moves if move.statement.kind == "release"]
    rolled = [move for move in moves if move.statement.kind == "rollback" and move.signers]
    if rolled:
        return _tried(survey, use_case, environment, rolled)
    versions = {release.number("version") for release in releases}
    if len(versions) < 2:
        sentence = (
            f"Never tried in {environment.name}, and nothing to return to: one version was ever released."
        )
        advice = "With the second release, return to the first once and promote again."
    else:
        sentence = f"Never tried in {environment.name}, over releases of {counted(len(versions), 'version')}."
        advice = f'Rehearse it: signoff rollback {use_case.name} --env {environment.name} --reason "drill"'
    answer: Answer = "problem" if environment.rollback_plan and len(versions) > 1 else "attention"
    return Item(
        code=code,
        use_case=use_case.name,
        answer=answer,
        sentence=sentence,
        evidence=tuple(str(release.id) for release in releases),
        advice=advice,
    )


def _tried(
    survey: Survey, use_case: UseCaseSurvey, environment: EnvironmentRules, rolled: list[Signed]
) -> Item:
    last = rolled[-1]
    days = survey.age(last.text("at"))
    fresh = days <= TESTED_DAYS
    return Item(
        code=f"rollback:{environment.name}",
        use_case=use_case.name,
        answer="good" if fresh else "attention",
        sentence=f"Last taken in {environment.name} {counted(days, 'day')} ago: version "
        f"{last.number('from_version')} to {last.number('to_version')}, {last.text('reason') or 'no reason given'}.",
        facts=(f"{counted(len(rolled), 'rollback')} in all",),
        evidence=tuple(str(move.id) for move in rolled),
        advice="" if fresh else f"Rehearse it again: the last one is more than {TESTED_DAYS} days old.",
    )
