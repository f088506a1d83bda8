"""Counts of a canary's steps over restarts, and how a load test judges."""

from dataclasses import replace

import pytest

from signoff.apps.serving.load import LoadSeen
from signoff.apps.serving.trial import Moment, begin_trial
from signoff.apps.verbs.load_test import judge
from signoff.errors import EvidenceError
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json
from signoff.release.canary import Canary
from signoff.release.model import Signed
from signoff.rollout.model import Counts, StepCounts
from signoff.rollout.recorded import recorded_steps
from signoff.standard.deployment import CanaryRules, CanaryStep, LoadRules

PLAN = CanaryRules(
    steps=(CanaryStep(weight=0.1, requests=50), CanaryStep(weight=0.5, requests=100)),
    error_rate=0.01,
    alpha=0.05,
    deadline_s=60,
)


def signed(predicate: dict[str, Json]) -> Signed:
    statement = Statement(
        kind="rollout", subjects=(Subject(name="model", digest=Digest.of(b"m")),), predicate=predicate
    )
    return Signed(order=0, id=statement.id, statement=statement, signers=("cleo",), problems=())


def canary(*, step: int = 0, complete: bool = False, last: Signed | None = None) -> Canary:
    return Canary(
        statement=signed({}),
        version=2,
        model=Digest.of(b"m"),
        plan=PLAN,
        step=step,
        complete=complete,
        last=last,
    )


def moment(canary: tuple[int, int], stable: tuple[int, int], seconds: float) -> Moment:
    return Moment(
        canary=Counts(requests=canary[0], errors=canary[1]),
        stable=Counts(requests=stable[0], errors=stable[1]),
        seconds=seconds,
    )


def row(requests: int, errors: int, weight: float = 0.1) -> StepCounts:
    return StepCounts(
        weight=weight,
        canary=Counts(requests=requests, errors=errors),
        stable=Counts(requests=9 * requests, errors=0),
        seconds=30.0,
    )


def recorded(*rows: StepCounts) -> Signed:
    return signed({"counts": [one.to_json() for one in rows]})


def test_a_step_counts_what_came_since_it_began() -> None:
    trial = begin_trial(canary(), moment((7, 1), (900, 3), 100.0))
    (running,) = trial.steps(moment((17, 2), (990, 3), 105.0))
    assert running.to_json() == {
        "weight": 0.1,
        "canary": {"requests": 10, "errors": 1},
        "stable": {"requests": 90, "errors": 0},
        "seconds": 5.0,
    }


def test_a_server_that_is_started_again_goes_on_behind_the_recorded_steps() -> None:
    trial = begin_trial(canary(step=1, last=recorded(row(50, 1))), moment((0, 0), (0, 0), 0.0))
    before, running = trial.steps(moment((3, 1), (3, 0), 2.0))
    assert before == row(50, 1)
    assert (running.weight, running.canary) == (0.5, Counts(requests=3, errors=1))


def test_a_complete_canary_is_judged_on() -> None:
    last = recorded(row(50, 0), row(100, 0, weight=0.5))
    trial = begin_trial(canary(step=1, complete=True, last=last), moment((150, 0), (600, 0), 9.0))
    good, _ = trial.decide(moment((160, 0), (610, 0), 10.0))
    bad, steps = trial.decide(moment((180, 30), (610, 0), 11.0))
    assert (good.verdict, bad.verdict) == ("complete", "abort")
    assert steps[-1].canary == Counts(requests=130, errors=30)


@pytest.mark.parametrize(
    "counts",
    [
        None,
        ["many"],
        [{**row(50, 0).to_json(), "weight": "half"}],  # type: ignore[dict-item]
        [{**row(50, 0).to_json(), "canary": None}],  # type: ignore[dict-item]
        [row(5, 9).to_json()],
    ],
)
def test_counts_that_cannot_be_read_stop_the_trial(counts: Json) -> None:
    with pytest.raises(EvidenceError, match="no counts that can be read"):
        recorded_steps(counts, named="1f0c")


def test_counts_of_other_steps_than_the_ledger_tells_stop_the_trial() -> None:
    with pytest.raises(EvidenceError, match="counts of 2 steps"):
        begin_trial(canary(step=1, last=recorded(row(1, 0), row(1, 0))), moment((0, 0), (0, 0), 0.0))


LOAD = LoadRules(connections=4, seconds=10, latency_p95_ms=20.0, requests_per_s=50.0)
SEEN = LoadSeen(times_ms=(10.0,) * 1000, failed=0, seconds=10.0, digests=())


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (SEEN, ["PASS", "PASS", "PASS"]),
        (replace(SEEN, failed=1), ["FAIL", "PASS", "PASS"]),
        (replace(SEEN, times_ms=(10.0,) * 948 + (30.0,) * 52), ["PASS", "FAIL", "PASS"]),
        (replace(SEEN, times_ms=(10.0,) * 955 + (30.0,) * 45), ["PASS", "FAIL", "PASS"]),
        (replace(SEEN, times_ms=(10.0,) * 980 + (30.0,) * 20), ["PASS", "PASS", "PASS"]),
        (replace(SEEN, times_ms=(10.0,) * 499), ["PASS", "PASS", "FAIL"]),
        (replace(SEEN, times_ms=(10.0,) * 20), ["PASS", "FAIL", "FAIL"]),
        (replace(SEEN, times_ms=()), ["FAIL", "FAIL", "FAIL"]),
    ],
    ids=["kept", "a failure", "p95", "p95 is not sure", "p95 is sure", "rate", "too few answers", "none"],
)
def test_each_bound_is_held_against_what_was_measured(seen: LoadSeen, words: list[str]) -> None:
    lines, passed = judge(LOAD, seen, alpha=0.05)
    assert [line.split()[0] for line in lines] == words
    assert passed == (set(words) == {"PASS"})
