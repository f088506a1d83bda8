"""Question 3: do the promotion criteria still tell good candidates from bad ones?"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from signoff.errors import EvidenceError
from signoff.gate.model import CheckResult, GateDecision, Verdict
from signoff.release.history import decision_of
from signoff.release.model import Signed
from signoff.review.checklist import Answer, Item, Section, counted
from signoff.review.survey import Survey, UseCaseSurvey

MANY = 5
"""With fewer decisions nothing is said of a criterion."""
AGAIN = 3
"""So many waivers of one code are a habit."""
_OF_QUALITY = ("margin:", "slice:", "threshold:", "first-release:")
"""What the identifiers of checks on quality begin with; others ask for facts, and facts may always be there."""


def criteria(survey: Survey) -> Section:
    """Per gate check how it came out over the period's decisions, and what was waived."""
    items = (
        item
        for use_case in survey.use_cases
        for item in (*_checks(survey, use_case), _waivers(survey, use_case))
    )
    return Section(
        number=3,
        title="Promotion criteria",
        question="Do the gate's checks still tell candidates apart, or does each always say the same?",
        items=tuple(items),
    )


def decisions(survey: Survey, use_case: UseCaseSurvey) -> tuple[list[tuple[Signed, GateDecision]], list[str]]:
    """The period's gate decisions, oldest first, and why others cannot be read."""
    found, broken = [], []
    for signed in survey.recent(use_case.history.of("gate-decision")):
        try:
            found.append((signed, decision_of(signed)))
        except EvidenceError as error:
            broken.append(str(error))
    return found, broken


def _checks(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    found, broken = decisions(survey, use_case)
    if broken:
        yield Item(
            code="criteria:unreadable",
            use_case=use_case.name,
            answer="problem",
            sentence=f"{counted(len(broken), 'gate decision')} cannot be read.",
            facts=tuple(broken),
            advice="signoff admin audit --verify",
        )
    if not found:
        yield Item(
            code="criteria:decisions",
            use_case=use_case.name,
            answer="nothing to judge",
            sentence=f"The gate judged nothing since {survey.since}.",
        )
        return
    yield _verdicts(use_case, found)
    yield from _one_by_one(use_case, found)


def _verdicts(use_case: UseCaseSurvey, found: list[tuple[Signed, GateDecision]]) -> Item:
    verdicts = Counter(decision.verdict for _, decision in found)
    said = f"{verdicts['pass']} passed, {verdicts['fail']} failed, {verdicts['inconclusive']} inconclusive"
    answer: Answer = "good"
    advice = ""
    if len(found) < MANY:
        answer, said = "nothing to judge", f"{said}; from {MANY} decisions on the gate itself is judged"
    elif verdicts["pass"] == len(found):
        answer, said = "attention", f"{said}; nothing was refused"
        advice = "Ask whether the bounds are too loose, or whether authors try candidates out beforehand."
    elif verdicts["pass"] == 0:
        answer, said = "problem", f"{said}; nothing came through"
        advice = "Ask whether a bound is out of reach; `signoff gate` tells how many rows a decision needs."
    return Item(
        code="criteria:decisions",
        use_case=use_case.name,
        answer=answer,
        sentence=f"{counted(len(found), 'gate decision')}: {said}.",
        evidence=tuple(str(signed.id) for signed, _ in found),
        advice=advice,
    )


def _one_by_one(use_case: UseCaseSurvey, found: list[tuple[Signed, GateDecision]]) -> Iterator[Item]:
    by_check: dict[str, list[tuple[Signed, CheckResult]]] = defaultdict(list)
    for signed, decision in found:
        for check in decision.checks:
            by_check[check.id].append((signed, check))
    telling: list[str] = []
    for code, results in by_check.items():
        statuses = Counter(check.status for _, check in results)
        line = (
            f"{results[-1][1].title}: {statuses['pass']} passed, {statuses['fail']} failed, "
            f"{statuses['inconclusive']} inconclusive"
        )
        said = _always(code, statuses, len(results))
        if said is None:
            telling.append(line)
            continue
        answer, sentence, advice = said
        yield Item(
            code=f"criteria:{code}",
            use_case=use_case.name,
            answer=answer,
            sentence=f"{results[-1][1].title} {sentence} in {counted(len(results), 'decision')}.",
            facts=(line,),
            evidence=tuple(str(signed.id) for signed, _ in results),
            advice=advice,
        )
    if telling:
        yield Item(
            code="criteria:checks",
            use_case=use_case.name,
            answer="good" if len(found) >= MANY else "nothing to judge",
            sentence=f"{counted(len(telling), 'check')} to which nothing is to be said.",
            facts=tuple(telling),
        )


def _always(code: str, statuses: Counter[Verdict], count: int) -> tuple[Answer, str, str] | None:
    """What a check that always says the same should be told; None for one that tells candidates apart."""
    if count < MANY:
        return None
    if statuses["fail"] == count:
        return (
            "problem",
            "failed every time",
            "A bar that nobody clears stops work or is waived: correct the bound, or what is logged.",
        )
    if not code.startswith(_OF_QUALITY):
        return None
    if statuses["inconclusive"] == count:
        return (
            "problem",
            "was inconclusive every time",
            "The evaluation table is too small for this question: more rows, a wider margin, or drop it.",
        )
    if statuses["pass"] == count:
        return (
            "attention",
            "never refused anything",
            "Compare the bound with what candidates reach: a tighter one would guard something.",
        )
    return None


def _waivers(survey: Survey, use_case: UseCaseSurvey) -> Item:
    waivers = survey.recent(use_case.history.of("waiver"))
    codes: dict[str, list[Signed]] = defaultdict(list)
    for waiver in waivers:
        for code in waiver.texts("codes"):
            codes[code].append(waiver)
    habits = {code: given for code, given in codes.items() if len(given) >= AGAIN}
    facts = tuple(
        f"{code}: {counted(len(given), 'waiver')}; last reason: {given[-1].text('reason') or 'none'}"
        for code, given in sorted(codes.items(), key=lambda pair: -len(pair[1]))
    )
    if habits:
        return Item(
            code="criteria:waivers",
            use_case=use_case.name,
            answer="attention",
            sentence=f"{counted(len(waivers), 'waiver')} in the period; "
            + " and ".join(f"{code} was waived {len(given)} times" for code, given in habits.items())
            + ".",
            facts=facts,
            evidence=tuple(str(waiver.id) for waiver in waivers),
            advice="What is waived again and again is no rule: meet it, or change the standard.",
        )
    return Item(
        code="criteria:waivers",
        use_case=use_case.name,
        answer="good"
        if waivers or survey.recent(use_case.history.of("gate-decision"))
        else "nothing to judge",
        sentence=f"{counted(len(waivers), 'waiver')} in the period; no code {AGAIN} times or more.",
        facts=facts,
        evidence=tuple(str(waiver.id) for waiver in waivers),
    )
