import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.rollout.canary import abort_from, decide_step
from signoff.rollout.model import Counts, StepCounts
from signoff.standard.deployment import CanaryRules, CanaryStep


def rules(*, error_rate: float = 0.01, requests: int = 100, steps: int = 2) -> CanaryRules:
    weights = [0.1, 0.5, 1.0][:steps]
    return CanaryRules(
        steps=tuple(CanaryStep(weight=weight, requests=requests) for weight in weights),
        error_rate=error_rate,
        alpha=0.05,
        deadline_s=3600,
    )


def step(
    canary: tuple[int, int], stable: tuple[int, int] = (0, 0), *, weight: float = 0.1, seconds: float = 1.0
) -> StepCounts:
    """Counts as (requests, errors)."""
    return StepCounts(
        weight=weight,
        canary=Counts(requests=canary[0], errors=canary[1]),
        stable=Counts(requests=stable[0], errors=stable[1]),
        seconds=seconds,
    )


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([step((0, 0))], "hold"),
        ([step((99, 0), (900, 0))], "hold"),
        ([step((100, 0), (900, 0))], "advance"),
        ([step((100, 3), (900, 3))], "advance"),
        ([step((100, 0), (900, 0)), step((100, 0), (100, 0), weight=0.5)], "complete"),
        ([step((20, 5), (180, 0))], "abort"),
        ([step((3, 3))], "abort"),
        ([step((100, 0), (900, 0)), step((40, 12), (40, 0), weight=0.5)], "abort"),
    ],
)
def test_a_step_advances_with_its_requests_and_aborts_on_evidence(
    steps: list[StepCounts], verdict: str
) -> None:
    assert decide_step(rules(), steps).verdict == verdict


def test_a_step_without_its_requests_says_how_long_it_was_held() -> None:
    found = decide_step(rules(requests=200), [step((12, 0), seconds=3600)])
    assert (found.verdict, found.message.split(";")[0]) == ("hold", "held: 12 of 200 requests after 3600 s")


def test_a_step_of_which_every_request_failed_aborts_even_when_it_has_all_requests() -> None:
    assert decide_step(rules(requests=5), [step((5, 5), (45, 0))]).verdict == "abort"


def test_the_same_failures_of_stable_speak_for_the_canary() -> None:
    alone = decide_step(rules(error_rate=0.5), [step((30, 12), (270, 0))])
    shared = decide_step(rules(error_rate=0.5), [step((30, 12), (270, 108))])
    assert (alone.verdict, shared.verdict) == ("abort", "hold")
    assert shared.against_stable < 1 < abort_from(rules()) <= alone.against_stable


def test_more_requests_than_planned_weigh_as_they_came() -> None:
    """Every caller asked for the canary: then all failures are its own whatever it is worth."""
    found = decide_step(rules(error_rate=0.5), [step((60, 25), (0, 0), weight=0.1)])
    assert found.against_stable == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("counts", "plan", "expected"), [([], 2, "0 steps"), ([step((1, 0))] * 3, 2, "3 steps")]
)
def test_steps_that_the_plan_does_not_have_are_refused(
    counts: list[StepCounts], plan: int, expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        decide_step(rules(steps=plan), counts)


def exact_budget(allowed: float, requests: int, errors: int) -> Fraction:
    """The mean of the likelihood ratios, one request after the other, in exact fractions."""
    low, high = 1.3 * allowed, min(0.97, 200 * allowed)
    rates = [Fraction(low * (high / low) ** (at / 11)) for at in range(12)]
    base, total = Fraction(allowed), Fraction(0)
    for rate in rates:
        product = Fraction(1)
        for at in range(requests):
            product *= rate / base if at < errors else (1 - rate) / (1 - base)
        total += product
    return total / 12


def exact_stable(steps: list[StepCounts]) -> Fraction:
    ratios = [Fraction(1.3 * (100 / 1.3) ** (at / 11)) for at in range(12)]
    total = Fraction(0)
    for ratio in ratios:
        product = Fraction(1)
        for one in steps:
            requests = one.canary.requests + one.stable.requests
            share = max(Fraction(one.weight), Fraction(one.canary.requests, requests))
            tilted = ratio * share / (ratio * share + 1 - share)
            for _ in range(one.canary.errors):
                product *= tilted / share
            for _ in range(one.stable.errors):
                product *= (1 - tilted) / (1 - share)
        total += product
    return total / 12


@pytest.mark.parametrize("allowed", [0.001, 0.01, 0.2, 0.5])
@pytest.mark.parametrize(("requests", "errors"), [(1, 0), (1, 1), (60, 3), (40, 0), (25, 25)])
def test_e_values_are_the_products_taken_request_by_request(
    allowed: float, requests: int, errors: int
) -> None:
    steps = [
        step((requests, errors), (5 * requests, errors)),
        step((requests, 0), (requests, errors), weight=0.5),
    ]
    found = decide_step(rules(error_rate=allowed), steps)
    assert found.against_budget == pytest.approx(float(exact_budget(allowed, 2 * requests, errors)), rel=1e-9)
    assert found.against_stable == pytest.approx(float(exact_stable(steps)), rel=1e-9)


def test_numbers_stay_finite_after_a_million_failures() -> None:
    found = decide_step(rules(error_rate=1e-6), [step((1_000_000, 1_000_000))])
    assert math.isfinite(found.against_budget)
    assert found.verdict == "abort"


counted = st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(counted, counted, st.floats(1e-4, 0.5))
def test_one_more_failure_of_the_canary_never_helps_it(
    canary: tuple[int, int], stable: tuple[int, int], allowed: float
) -> None:
    before = decide_step(rules(error_rate=allowed), [step(canary, stable)])
    worse = decide_step(rules(error_rate=allowed), [step((canary[0] + 1, canary[1] + 1), stable)])
    fine = decide_step(rules(error_rate=allowed), [step((canary[0] + 1, canary[1]), stable)])
    assert worse.against_budget >= before.against_budget >= fine.against_budget
    assert worse.against_stable >= fine.against_stable * (1 - 1e-9)


@given(counted, st.floats(1e-4, 0.5))
def test_one_more_failure_of_stable_never_speaks_against_the_canary(
    canary: tuple[int, int], allowed: float
) -> None:
    values = [
        decide_step(rules(error_rate=allowed), [step(canary, (500, errors))]).against_stable
        for errors in (0, 1, 50)
    ]
    assert values == sorted(values, reverse=True)


REPETITIONS, REQUESTS, EVERY = 150, 1500, 10


def abort_share(canary: float, stable: float, *, allowed: float, seed: int) -> tuple[float, list[int]]:
    """Share of simulated canaries that are aborted at some look, and after how many of its requests."""
    random = np.random.default_rng(seed)
    at: list[int] = []
    for _ in range(REPETITIONS):
        own = np.cumsum(random.random(REQUESTS) < canary)
        other = np.cumsum(random.random(9 * REQUESTS) < stable)
        for n in range(EVERY, REQUESTS + 1, EVERY):
            seen = step((n, int(own[n - 1])), (9 * n, int(other[9 * n - 1])))
            if decide_step(rules(error_rate=allowed, requests=10**6), [seen]).verdict == "abort":
                at.append(n)
                break
    return len(at) / REPETITIONS, at


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05])
def test_a_canary_that_fails_as_often_as_allowed_is_rarely_aborted_however_often_one_looks(
    rate: float,
) -> None:
    share, _ = abort_share(rate, rate, allowed=rate, seed=11)
    assert share <= 0.05


@pytest.mark.parametrize("better_by", [2, 5])
def test_a_better_canary_is_not_aborted(better_by: int) -> None:
    share, _ = abort_share(0.05 / better_by, 0.05, allowed=0.05, seed=12)
    assert share == 0.0


@pytest.mark.parametrize(("failing", "within"), [(0.2, 40), (1.0, 10)])
def test_a_failing_canary_is_found_within_tens_of_requests(failing: float, within: int) -> None:
    share, at = abort_share(failing, 0.01, allowed=0.01, seed=13)
    assert share == 1.0
    assert float(np.median(at)) <= within
