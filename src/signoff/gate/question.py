"""A question that the gate asks of a measurement, and its answer with the arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from signoff.gate.estimate import Estimate, Measurement, Undecided
from signoff.gate.model import CheckResult, Verdict
from signoff.standard.model import Severity

_POWER = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Does the truth lie on the wanted side of the bound?

    Attributes:
        id: the check's id.
        title: the check's title.
        measurement: what was measured.
        bound: what the limit is held against.
        want: on which side of the bound the truth must lie.
        inclusive: whether a limit exactly at the bound passes.
        undecided: what an undecided answer does to the verdict.
        word: what a difference is called: gain or change; "" when there is no baseline.
        remark: said behind the numbers, such as that lower is better; "" for nothing.
    """

    id: str
    title: str
    measurement: Measurement
    bound: float
    want: Literal["above", "below"]
    inclusive: bool
    undecided: Severity
    word: str = ""
    remark: str = ""


def answers(questions: Sequence[Question], alpha: float) -> tuple[CheckResult, ...]:
    """Answer all questions of one decision.

    Pass: the one-sided limit at alpha lies on the wanted side (each question on its own: to be wrong about
    the whole, one must be wrong about each, Berger 1982). Fail: the truth lies on the other side, at alpha
    for all questions together (Holm 1979). Else inconclusive.
    """
    failed = holm([_p_fail(question) for question in questions], alpha)
    return tuple(
        _answer(question, alpha, fails=fails, family=len(questions))
        for question, fails in zip(questions, failed, strict=True)
    )


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Which hypotheses are rejected when the chance of any wrong rejection is at most alpha."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] >= alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return tuple(rejected)


def number(value: float) -> str:
    """A measured number for people: four decimals, or four digits where those would say little."""
    if abs(value) < 1e-12:  # what arithmetic leaves of nothing
        value = 0.0
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"


def level(alpha: float) -> str:
    """Two-sided level of an interval made of two one-sided limits at alpha: ``90 %`` for 0.05."""
    return f"{np.floor((1.0 - 2.0 * alpha) * 1e5 + 1e-6) / 1e3:g} %"


def _p_fail(question: Question) -> float:
    estimate = question.measurement.estimate
    if isinstance(estimate, Undecided):
        return 1.0
    if question.want == "above":
        return estimate.p_below(question.bound)
    return estimate.p_above(question.bound)


def _answer(question: Question, alpha: float, *, fails: bool, family: int) -> CheckResult:
    measured = question.measurement
    limits = measured.limits(alpha)
    passes = limits is not None and _passes(question, *limits)
    status: Verdict = "pass" if passes else "fail" if fails else "inconclusive"
    told = [_arithmetic(question, alpha), f"wanted {_wanted(question)}"]
    if question.remark:
        told.append(question.remark)
    if isinstance(measured.estimate, Undecided):
        told.append(f"undecided: {measured.estimate.reason}")
    elif status == "inconclusive":
        told.extend(_why_inconclusive(question, measured.estimate, alpha, family))
    if measured.note:
        told.append(measured.note)
    return CheckResult(
        id=question.id,
        title=question.title,
        status=status,
        severity=question.undecided if status == "inconclusive" else "block",
        message="; ".join(told),
        candidate=measured.candidate,
        baseline=measured.baseline,
        difference=measured.difference,
        lower=None if limits is None else limits[0],
        upper=None if limits is None else limits[1],
        wanted=question.bound,
        rows=measured.rows,
        method="" if isinstance(measured.estimate, Undecided) else measured.estimate.method,
    )


def _passes(question: Question, lower: float, upper: float) -> bool:
    if question.inclusive and question.bound in (lower, upper):
        return question.bound == (lower if question.want == "above" else upper)
    return lower > question.bound if question.want == "above" else upper < question.bound


def _arithmetic(question: Question, alpha: float) -> str:
    measured = question.measurement
    limits = measured.limits(alpha)
    interval = "" if limits is None else f" [{number(limits[0])}, {number(limits[1])}] at {level(alpha)}"
    shown = _shown(measured.candidate)
    if not question.word:
        return f"{shown}{interval}"
    difference = "" if measured.difference is None else f": {question.word} {number(measured.difference)}"
    return f"{shown} vs {_shown(measured.baseline)}{difference}{interval}"


def _shown(value: float | None) -> str:
    return "undefined" if value is None else number(value)


def _wanted(question: Question) -> str:
    sign = {"above": ">", "below": "<"}[question.want]
    if question.inclusive:
        sign = {"above": "≥", "below": "≤"}[question.want]
    return f"{sign} {number(question.bound)}"


def _why_inconclusive(question: Question, estimate: Estimate, alpha: float, family: int) -> list[str]:
    told = []
    if _p_fail(question) < alpha:
        told.append(f"beyond the bound taken alone, not after Holm's correction for {family} comparisons")
    needed = _needed(question, estimate, alpha)
    return [*told, needed] if needed else told


def _needed(question: Question, estimate: Estimate, alpha: float) -> str:
    """About how many more units a new table needs to pass with 80 % power, under named truths.

    Planned with the limits that the verdict uses; nothing is said where their method cannot tell.
    """
    truths = {"if the estimate is the truth": estimate.value}
    if question.word and question.bound < 0.0:
        truths = {"if the models are equal": 0.0, **truths}
    units, unit = question.measurement.units, question.measurement.unit
    needs, never = [], []
    for words, truth in truths.items():
        if (truth <= question.bound) if question.want == "above" else (truth >= question.bound):
            never.append(f"{words}, no number of {unit} is enough")
            continue
        growth = estimate.growth(question.bound, truth=truth, alpha=alpha, power=_POWER)
        if growth is not None and growth > 1.0:
            needs.append(f"{_about(units * (growth - 1.0))} more {unit} {words}")
    needed = f"to pass with {100 * _POWER:.0f} % power a new table needs {', '.join(needs)}" if needs else ""
    return "; ".join([*([needed] if needed else []), *never])


def _about(count: float) -> str:
    """Rounded up to two digits: it rests on an estimate."""
    magnitude = 10.0 ** max(np.floor(np.log10(count)) - 1.0, 0.0)
    return f"about {int(np.ceil(count / magnitude) * magnitude):,}"
