"""The counts that a rollout statement carries: read strictly, and decided from again."""

from collections.abc import Mapping

from signoff.errors import EvidenceError
from signoff.record.digest import Json
from signoff.rollout.canary import decide_step
from signoff.rollout.model import Counts, StepCounts
from signoff.standard.deployment import CanaryRules

MOST_REQUESTS = 10**12
"""Of one version in one step: no endpoint answers so many, and larger numbers would drown every later failure."""


def recorded_steps(counts: Json, *, named: str) -> tuple[StepCounts, ...]:
    """The counts of each step, as they were recorded.

    Args:
        counts: what the statement carries.
        named: the statement, for the error.

    Raises:
        EvidenceError: they are malformed.
    """
    if not isinstance(counts, list | tuple):
        raise _malformed(named)
    return tuple(_step(row, named) for row in counts)


def decide_recorded(plan: CanaryRules, counts: Json) -> str:
    """The verdict that recorded counts lead to under a plan; "" when they cannot be read or are of another plan.

    Args:
        plan: the steps and bounds that the canary's promoter signed.
        counts: of each step so far; the last one was judged.
    """
    try:
        steps = recorded_steps(counts, named="")
    except EvidenceError:
        return ""
    planned = [step.weight for step in plan.steps[: len(steps)]]
    if not steps or [step.weight for step in steps] != planned:
        return ""
    enough = all(
        seen.canary.requests >= step.requests
        for seen, step in zip(steps[:-1], plan.steps[: len(steps) - 1], strict=True)
    )
    return decide_step(plan, steps).verdict if enough else ""


def _step(row: Json, named: str) -> StepCounts:
    if not isinstance(row, Mapping):
        raise _malformed(named)
    return StepCounts(
        weight=_number(row, "weight", named),
        canary=_counts(row.get("canary"), named),
        stable=_counts(row.get("stable"), named),
        seconds=_number(row, "seconds", named),
    )


def _counts(row: Json, named: str) -> Counts:
    if not isinstance(row, Mapping):
        raise _malformed(named)
    requests, errors = _whole(row, "requests", named), _whole(row, "errors", named)
    if errors > requests:
        raise _malformed(named)
    return Counts(requests=requests, errors=errors)


def _whole(row: Mapping[str, Json], field: str, named: str) -> int:
    value = row.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_REQUESTS:
        raise _malformed(named)
    return value


def _number(row: Mapping[str, Json], field: str, named: str) -> float:
    value = row.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MOST_REQUESTS:
        raise _malformed(named)
    return float(value)


def _malformed(named: str) -> EvidenceError:
    return EvidenceError(f"rollout statement {named} carries no counts that can be read")
