"""What runs log beyond the standard, and under which other names: the ground for changing it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from fnmatch import fnmatchcase

from signoff.record.run import RunRecord
from signoff.review.report_requirements import lacking
from signoff.review.survey import Survey, UseCaseSurvey
from signoff.standard.model import Kind, Requirement

EVERYBODY = 0.95
"""From this share of the finished runs on, everybody logs it."""
ENOUGH = 5
"""With fewer finished runs nothing is said of a habit."""
ALIKE = 0.75
"""Names whose letters agree to this share are taken for spellings of one another."""
_FOREIGN = ("mlflow.", "signoff.", "system/", "databricks.")
"""What such names begin with is written by programs."""
_LOGGED: tuple[Kind, ...] = ("param", "metric", "tag")


@dataclass(frozen=True, kw_only=True, slots=True)
class Habit:
    """Something that nearly every run of a use case carries although nobody asks for it.

    Attributes:
        use_case: the use case.
        kind: what it is.
        name: its name.
        runs: how many finished runs carry it.
        of: of how many.
    """

    use_case: str
    kind: Kind
    name: str
    runs: int
    of: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherName:
    """A name that most runs use for something that the standard requires under another one.

    Attributes:
        use_case: the use case.
        requirement: what is required.
        name: what the runs call it.
        runs: how many of the runs that lack it use this name.
        lacking: how many runs lack it.
    """

    use_case: str
    requirement: Requirement
    name: str
    runs: int
    lacking: int


def habits(use_case: UseCaseSurvey) -> tuple[Habit, ...]:
    """What at least 95 % of at least five finished runs log and no requirement names."""
    finished = [run for run in use_case.runs if run.status == "FINISHED"]
    if len(finished) < ENOUGH:
        return ()
    found = []
    for kind in _LOGGED:
        counts = Counter(name for run in finished for name in logged_names(run, kind))
        found += [
            Habit(use_case=use_case.name, kind=kind, name=name, runs=count, of=len(finished))
            for name, count in sorted(counts.items())
            if count >= EVERYBODY * len(finished) and not is_asked(use_case.rules.requirements, kind, name)
        ]
    return tuple(found)


def other_names(survey: Survey, use_case: UseCaseSurvey) -> tuple[OtherName, ...]:
    """Per requirement that many runs lack, the similar name that most of them use instead."""
    missing = lacking(use_case, survey.with_files)
    found = []
    for requirement in use_case.rules.requirements:
        _, absent = missing[requirement.code]
        if requirement.kind not in _LOGGED or len(absent) < ENOUGH:
            continue
        counts: dict[str, int] = defaultdict(int)
        for run in absent:
            for name in logged_names(run, requirement.kind):
                counts[name] += 1
        alike = [
            (count, name)
            for name, count in counts.items()
            if 2 * count > len(absent)
            and _alike(name, requirement.name)
            and not is_asked(use_case.rules.requirements, requirement.kind, name)
        ]
        if alike:
            count, name = max(alike)
            found.append(
                OtherName(
                    use_case=use_case.name,
                    requirement=requirement,
                    name=name,
                    runs=count,
                    lacking=len(absent),
                )
            )
    return tuple(found)


def logged_names(run: RunRecord, kind: Kind) -> Iterator[str]:
    """Names of that kind that people gave and that hold something.

    A name with characters of a pattern is left out: recognised, it would stand for others too.
    """
    values: Mapping[str, object] = {"param": run.params, "metric": run.metrics, "tag": run.tags}.get(kind, {})
    for name, value in values.items():
        if value != "" and not name.startswith(_FOREIGN) and not set("*?[]") & set(name):
            yield name


def is_asked(requirements: Iterable[Requirement], kind: Kind, name: str) -> bool:
    """Whether a requirement names it already."""
    return any(
        requirement.kind == kind and any(fnmatchcase(name, pattern) for pattern in requirement.accepts)
        for requirement in requirements
    )


def _alike(a: str, b: str) -> bool:
    one, other = _letters(a), _letters(b)
    if not one or not other:
        return False
    return one == other or SequenceMatcher(a=one, b=other, autojunk=False).ratio() >= ALIKE


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
