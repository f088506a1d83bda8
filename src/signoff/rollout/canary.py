"""May a canary go on? Decided after every request, at an error rate that holds however often one looks.

Two e-processes (Ville 1939; Robbins 1970; Howard et al. 2021), each a mean of likelihood ratios over 12 rates:

- against the budget: the canary's requests under a failure rate p1 > p0, against p0 = the rate that the standard
  allows. Every p1 is above p0, so a canary that fails less often than allowed can only lose evidence.
- against stable: of the failures alone, whose they are. When both versions fail equally often, a failure is the
  canary's with the probability of its share of the requests; when the canary fails r times as often, with
  r * share / (r * share + 1 - share). Conditioning on the failures leaves their common cause out.

Under its hypothesis each has mean 1 at every moment, so that the chance that it ever reaches c is at most 1 / c
(Ville's inequality). The standard's alpha is split between the two: a canary is aborted from 2 / alpha.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from signoff.rollout.model import Counts, StepCounts, StepDecision, StepVerdict
from signoff.standard.deployment import CanaryRules

RATES = 12
LEAST_RATIO = 1.3
MOST_BUDGET_RATIO, MOST_BUDGET_RATE = 200.0, 0.97
MOST_STABLE_RATIO = 100.0
_TESTS = 2
_LARGEST_LOG = 690.0
"""An e-value beyond e**690 is told as that: it must fit a float."""


def decide_step(rules: CanaryRules, steps: Sequence[StepCounts]) -> StepDecision:
    """Decide what follows for a canary.

    An aborted canary stays aborted: the caller does not ask again.

    Args:
        rules: steps, error rate, alpha and deadline of the standard.
        steps: what was seen in each step so far; the last one is running.

    Raises:
        ValueError: there are no steps, or more than the rules have.
    """
    if not 0 < len(steps) <= len(rules.steps):
        raise ValueError(f"{len(steps)} steps were counted, the plan has {len(rules.steps)}")
    at = len(steps) - 1
    against_budget = _exp(_log_against_budget(rules.error_rate, _total([step.canary for step in steps])))
    against_stable = _exp(_log_against_stable(steps))
    threshold = abort_from(rules)
    verdict: StepVerdict
    if max(against_budget, against_stable) >= threshold:
        verdict = "abort"
    elif steps[at].canary.requests < rules.steps[at].requests:
        verdict = "hold"
    else:
        verdict = "complete" if len(steps) == len(rules.steps) else "advance"
    return StepDecision(
        step=at,
        verdict=verdict,
        message=_message(rules, steps, verdict, against_budget, against_stable),
        against_budget=against_budget,
        against_stable=against_stable,
    )


def abort_from(rules: CanaryRules) -> float:
    """The e-value from which either test aborts: each may spend half of alpha."""
    return _TESTS / rules.alpha


def _total(counts: Sequence[Counts]) -> Counts:
    return Counts(requests=sum(c.requests for c in counts), errors=sum(c.errors for c in counts))


def _log_against_budget(allowed: float, seen: Counts) -> float:
    """Log of the mean over rates p1 of (p1 / p0)**errors * ((1 - p1) / (1 - p0))**others."""
    highest = min(MOST_BUDGET_RATE, MOST_BUDGET_RATIO * allowed)
    others = seen.requests - seen.errors
    return _log_mean(
        [
            seen.errors * math.log(rate / allowed) + others * (math.log1p(-rate) - math.log1p(-allowed))
            for rate in _spaced(LEAST_RATIO * allowed, highest)
        ]
    )


def _log_against_stable(steps: Sequence[StepCounts]) -> float:
    """Log of the mean over rate ratios r of the product over steps.

    A canary's failure counts r / (r q + 1 - q), one of stable's 1 / (r q + 1 - q). Both fall as q grows, so the
    larger of the planned and the observed share never makes too much of a failure.
    """
    logs: list[float] = []
    for ratio in _spaced(LEAST_RATIO, MOST_STABLE_RATIO):
        log = 0.0
        for step in steps:
            share = max(step.weight, _share(step))
            failures = step.canary.errors + step.stable.errors
            log += step.canary.errors * math.log(ratio) - failures * math.log1p((ratio - 1.0) * share)
        logs.append(log)
    return _log_mean(logs)


def _share(step: StepCounts) -> float:
    requests = step.canary.requests + step.stable.requests
    return step.canary.requests / requests if requests else 0.0


@lru_cache(maxsize=32)
def _spaced(low: float, high: float) -> tuple[float, ...]:
    """So many values from low to high, equally spaced in their logarithms."""
    stride = math.log(high / low) / (RATES - 1)
    return tuple(low * math.exp(stride * at) for at in range(RATES))


def _log_mean(logs: Sequence[float]) -> float:
    largest = max(logs)
    return largest + math.log(sum(math.exp(log - largest) for log in logs) / len(logs))


def _exp(log: float) -> float:
    return math.exp(min(log, _LARGEST_LOG))


def _message(
    rules: CanaryRules,
    steps: Sequence[StepCounts],
    verdict: StepVerdict,
    against_budget: float,
    against_stable: float,
) -> str:
    running, wanted = steps[-1], rules.steps[len(steps) - 1].requests
    canary, stable = _total([s.canary for s in steps]), _total([s.stable for s in steps])
    seen = f"{running.canary.requests} of {wanted} requests"
    late = running.seconds >= rules.deadline_s
    head = {
        "abort": "aborted",
        "advance": f"step {len(steps)} of {len(rules.steps)} done: {seen} at weight {running.weight:g}",
        "complete": f"last step done: {seen} at weight {running.weight:g}",
        "hold": f"held: {seen} after {running.seconds:.0f} s" if late else f"waiting: {seen}",
    }[verdict]
    return (
        f"{head}; canary failed {canary.errors} of {canary.requests}{_rate(canary)}, allowed"
        f" {rules.error_rate:.4g}; stable {stable.errors} of {stable.requests}{_rate(stable)};"
        f" e-values {against_budget:.3g} and {against_stable:.3g}, abort from {abort_from(rules):.3g}"
    )


def _rate(counts: Counts) -> str:
    return f" ({counts.errors / counts.requests:.4g})" if counts.errors else ""
