"""In question 5: what stands in production unverified, and which rules of the guard were lifted in the period."""

from collections.abc import Iterator

from signoff.release.inherited import inherited
from signoff.release.override import break_glasses
from signoff.review.checklist import Item, counted
from signoff.review.survey import Survey, UseCaseSurvey


def unverified(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    """Inherited releases of a use case, and its break-glasses."""
    for name in use_case.rules.environments:
        taken = inherited(use_case.history, name, survey.people)
        if taken is not None:
            yield Item(
                code="trace:inherited",
                use_case=use_case.name,
                answer="attention",
                sentence=f"In {name}: {taken.words()}.",
                evidence=(str(taken.statement.id),),
                advice="Gate, propose and release a version; until then predict and serve refuse this one.",
            )
    glasses = [
        glass for glass in break_glasses(use_case.history, survey.people) if glass.end[:10] >= survey.since
    ]
    if glasses:
        yield Item(
            code="trace:break-glass",
            use_case=use_case.name,
            answer="attention",
            sentence=f"Rules of the guard were lifted by {counted(len(glasses), 'break-glass', 'break-glasses')}.",
            facts=tuple(glass.words(use_case.rules.registered_model) for glass in glasses),
            evidence=tuple(glass.override.statement for glass in glasses),
            advice="Read what changed under each: signoff admin audit --use-case " + use_case.name,
        )
