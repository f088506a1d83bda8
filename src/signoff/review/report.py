"""The periodic review: every question of the checklist, answered from one survey."""

from signoff.review.checklist import ReviewReport
from signoff.review.report_gate import criteria
from signoff.review.report_names import names
from signoff.review.report_production import rollbacks, traces
from signoff.review.report_registry import registry
from signoff.review.report_requirements import requirements
from signoff.review.report_signs import signs
from signoff.review.report_watch import watching
from signoff.review.survey import Survey


def review(survey: Survey) -> ReviewReport:
    """Answer the checklist."""
    standard = survey.standard
    return ReviewReport(
        standard=f"{standard.path}, version {standard.version}, profile {standard.profile}",
        store=survey.store,
        since=survey.since,
        until=survey.today,
        runs=len(survey.runs),
        runs_with_files=len(survey.with_files),
        sections=(
            names(survey),
            requirements(survey),
            criteria(survey),
            registry(survey),
            traces(survey),
            rollbacks(survey),
            watching(survey),
            signs(survey),
        ),
    )
