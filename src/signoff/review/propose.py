"""The gaps that the standard can answer, as a patch to it; nothing is applied."""

import difflib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePath

from signoff.errors import StandardError
from signoff.review.checklist import counted, some
from signoff.review.logged import habits, other_names
from signoff.review.report_gate import MANY, decisions
from signoff.review.report_signs import named_again
from signoff.review.survey import Survey, UseCaseSurvey
from signoff.standard.edit import AddRequirement, NotEditable, add_requirement
from signoff.standard.load import load_standard
from signoff.text import printable

NOTHING = "# Nothing to propose: no gap that the standard could answer.\n"


def propose(survey: Survey, text: str) -> str:
    """A unified diff of the standard with its reasons above it; `git apply` and `patch -p1` take it.

    Args:
        survey: what was looked up.
        text: the standard's file.

    Returns:
        The patch; lines of comment alone when there is nothing to propose or nothing that can be patched.
    """
    name = PurePath(survey.standard.path).name
    patched, reasons, remarks = text, list[str](), list[str]()
    for change in changes(survey):
        said = f"{change.use_case}: {change.kind} {change.name}: {change.reason}"
        try:
            candidate = add_requirement(patched, change)
            load_standard(candidate, name)
        except (NotEditable, StandardError) as error:
            remarks.append(f"{said} (write it by hand: {str(error).splitlines()[0]})")
            continue
        patched = candidate
        reasons.append(said)
    remarks += _remarks(survey)
    if not reasons and not remarks:
        return NOTHING
    head = [f"Proposed changes to {name}, from the review of {survey.since} to {survey.today}."]
    if reasons:
        head += [
            f"Apply after discussion, in the folder of {name}: git apply FILE, or patch -p1 < FILE",
            *(f"+ {one}" for one in reasons),
        ]
    else:
        head.append("No change that can be written as a patch.")
    head += [f"Remark, not in the patch: {remark}" for remark in remarks]
    return "".join(f"# {printable(line)}\n" for line in head) + unified(text, patched, name)


def only_comments(patch: str) -> bool:
    """Whether there is nothing in it to apply; git takes such a file for a damaged one."""
    return all(line.startswith("#") for line in patch.splitlines())


def changes(survey: Survey) -> tuple[AddRequirement, ...]:
    """What the standard could ask for or recognise, one change per gap."""
    return tuple(change for use_case in survey.use_cases for change in _of_a_use_case(survey, use_case))


def _of_a_use_case(survey: Survey, use_case: UseCaseSurvey) -> Iterator[AddRequirement]:
    rejections = survey.recent(use_case.history.of("rejection"))
    for name, given in named_again(rejections).items():
        known = any(
            fnmatchcase(name, pattern)
            for required in use_case.rules.requirements
            for pattern in required.accepts
        )
        if not known:
            yield AddRequirement(
                use_case=use_case.name,
                kind="artifact",
                name=name,
                accepts=(),
                severity="block",
                reason=f"asked for in {counted(len(given), 'rejection')} since {survey.since}",
            )
    for other in other_names(survey, use_case):
        yield AddRequirement(
            use_case=use_case.name,
            kind=other.requirement.kind,
            name=other.requirement.name,
            accepts=(other.name,),
            severity=other.requirement.severity,
            reason=f"{other.runs:,} of {counted(other.lacking, 'run')} without it log {other.name}",
        )
    for habit in habits(use_case):
        if habit.kind == "metric":
            yield AddRequirement(
                use_case=use_case.name,
                kind="metric",
                name=habit.name,
                accepts=(),
                severity="warn",
                reason=f"{habit.runs:,} of {counted(habit.of, 'run')} log it, and nobody asks for it",
            )


def _remarks(survey: Survey) -> Iterator[str]:
    """What a person has to decide: bounds that never refused anything."""
    for use_case in survey.use_cases:
        found, _ = decisions(survey, use_case)
        if len(found) < MANY:
            continue
        passed: dict[str, list[bool]] = {}
        for _, decision in found:
            for check in decision.checks:
                if check.id.startswith("threshold:"):
                    passed.setdefault(check.id, []).append(check.status == "pass")
        idle = [code for code, results in passed.items() if len(results) >= MANY and all(results)]
        if idle:
            yield (
                f"{use_case.name}: {some(idle)} never refused anything in {counted(len(found), 'decision')}; "
                "tighten or remove"
            )


def unified(old: str, new: str, name: str) -> str:
    """A unified diff with the prefixes that git writes; "" when nothing differs."""
    found = difflib.unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found
    )


def _lines(text: str) -> list[str]:
    """The lines with their ends; only a line feed ends one, as for git."""
    lines = text.split("\n")
    return [*(f"{line}\n" for line in lines[:-1]), *filter(None, lines[-1:])]
