"""Question 2: is what the standard requires still logged, and by whom not?"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from signoff.record import capture
from signoff.record.run import RunRecord
from signoff.review.checklist import Answer, Item, Section, counted, some
from signoff.review.survey import Survey, UseCaseSurvey
from signoff.standard.model import Requirement

STEADY = 0.95
"""From this share of the runs on, a requirement counts as kept."""
_IN_FILES = ("artifact", "model")


def requirements(survey: Survey) -> Section:
    """Per use case, the share of its finished runs that carry each requirement."""
    items = tuple(item for use_case in survey.use_cases for item in _of_a_use_case(survey, use_case))
    return Section(
        number=2,
        title="Required evidence",
        question="Are the required parameters, metrics, tags and artifacts still logged, and by whom not?",
        items=items,
    )


def lacking(
    use_case: UseCaseSurvey, with_files: frozenset[str]
) -> dict[str, tuple[list[RunRecord], list[RunRecord]]]:
    """Per requirement's code the finished runs that could show it, and those of them that lack it.

    Args:
        use_case: the use case.
        with_files: ids of the runs of which artifacts and models were looked at; others say nothing of these.
    """
    finished = [run for run in use_case.runs if run.status == "FINISHED"]
    missing: dict[str, list[RunRecord]] = defaultdict(list)
    for run in finished:
        for code in use_case.findings[run.run_id]:
            missing[code].append(run)
    seen = [run for run in finished if run.run_id in with_files]
    found = {}
    for requirement in use_case.rules.requirements:
        asked = seen if requirement.kind in _IN_FILES else finished
        absent = missing[requirement.code]
        if requirement.kind in _IN_FILES:
            absent = [run for run in absent if run.run_id in with_files]
        found[requirement.code] = (asked, absent)
    return found


def _of_a_use_case(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    finished = sum(run.status == "FINISHED" for run in use_case.runs)
    asked = use_case.rules.requirements
    if not finished or not asked:
        yield Item(
            code="evidence:kept",
            use_case=use_case.name,
            answer="nothing to judge",
            sentence=f"No run was finished since {survey.since}." if asked else "Nothing is required.",
        )
        return
    kept = 0
    for requirement, (could, absent) in zip(
        asked, lacking(use_case, survey.with_files).values(), strict=True
    ):
        if not could:
            continue
        if absent:
            yield _missing(use_case, requirement, could, absent)
        else:
            kept += 1
    yield Item(
        code="evidence:kept",
        use_case=use_case.name,
        answer="good" if kept else "attention",
        sentence=f"{kept} of {counted(len(asked), 'requirement')} met by every run; "
        f"{counted(finished, 'finished run')} in the period.",
    )


def _missing(
    use_case: UseCaseSurvey, requirement: Requirement, could: list[RunRecord], absent: list[RunRecord]
) -> Item:
    share = 1 - len(absent) / len(could)
    answer: Answer = "attention" if share >= STEADY or requirement.severity == "warn" else "problem"
    all_by = Counter(_contributor(run) for run in could)
    missed_by = Counter(_contributor(run) for run in absent)
    return Item(
        code=f"evidence:{requirement.code}",
        use_case=use_case.name,
        answer=answer,
        sentence=f"{requirement.kind} {requirement.name} is in {share:.0%} of the runs: "
        f"{len(absent):,} of {len(could):,} lack it; asked by {requirement.origin}.",
        facts=tuple(
            f"{person}: {count:,} of {counted(all_by[person], 'run')} without it"
            for person, count in missed_by.most_common()
        ),
        evidence=tuple(run.run_id for run in absent),
        advice=f"Show {some([person for person, _ in missed_by.most_common()])} this line: {requirement.how}",
    )


def _contributor(run: RunRecord) -> str:
    return capture.fact(run, capture.CONTRIBUTOR) or run.user or "unknown"
