"""PSI against values worked out by hand, its law without drift, and what placebos do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.gate.arrays import FloatArray, StrArray
from signoff.rollout.drift import (
    MIN_BATCHES,
    Column,
    DriftData,
    NumberBins,
    TextBins,
    assess_drift,
    bins_of,
    by_chance,
    p_beyond,
    psi,
)


def data(reference: Column, window: Column, **more: object) -> DriftData:
    given_: dict[str, object] = {"batches": None, "placebo_of": "reference", **more}
    return DriftData(reference={"x": reference}, window={"x": window}, **given_)  # type: ignore[arg-type]


def test_two_bins_by_hand() -> None:
    old, new = np.asarray([60, 40]), np.asarray([48, 52])
    p, q = 48.5 / 101, 60.5 / 101
    wanted = (p - q) * math.log(p / q) + ((1 - p) - (1 - q)) * math.log((1 - p) / (1 - q))
    assert psi(old, new) == pytest.approx(wanted, rel=1e-12)
    assert wanted == pytest.approx(0.0571, abs=1e-4)


def test_an_empty_bin_stays_finite_and_one_that_both_leave_empty_does_not_count() -> None:
    assert math.isfinite(psi(np.asarray([50, 50, 0]), np.asarray([100, 0, 0])))
    assert psi(np.asarray([50, 50, 0]), np.asarray([30, 70, 0])) == psi(
        np.asarray([50, 50]), np.asarray([30, 70])
    )


def test_numbers_are_binned_by_tenths_of_the_reference_and_missing_is_a_bin() -> None:
    reference = np.append(np.arange(1.0, 101.0), np.nan)
    bins = bins_of(reference)
    assert isinstance(bins, NumberBins)
    assert bins.counts(reference).tolist() == [10] * 10 + [1]
    assert bins.counts(np.asarray([-1e300, 10.0, 10.5, 1e300, np.nan])).tolist() == [2, 1, *[0] * 7, 1, 1]


@pytest.mark.parametrize(("values", "bins"), [([0.0, 1.0], 2), ([3.0], 1), ([], 1)])
def test_few_different_numbers_have_few_bins(values: list[float], bins: int) -> None:
    reference = np.asarray(values * 50)
    assert bins_of(reference).counts(reference).size == bins + 1


def test_texts_are_binned_by_value_and_what_is_new_is_counted_apart() -> None:
    bins = bins_of(np.asarray(["a"] * 5 + ["b"] * 3 + [""] * 2))
    assert isinstance(bins, TextBins)
    assert bins.counts(np.asarray(["b", "c", "d", ""])).tolist() == [0, 1, 2, 1]


@given(st.lists(st.integers(0, 500), min_size=2, max_size=12))
def test_the_index_is_symmetric_not_negative_and_zero_for_itself(counts: list[int]) -> None:
    old = np.asarray(counts)
    new = np.random.default_rng(len(counts)).permutation(old)
    assert psi(old, old) == 0.0
    assert psi(old, new) == pytest.approx(psi(new, old))
    assert psi(old, new) >= 0.0


def samples(rng: np.random.Generator, *sizes: int, shift: float = 0.0) -> list[FloatArray]:
    reference = rng.normal(size=sizes[0])
    return [reference, rng.normal(shift, size=sizes[1])]


def test_without_drift_the_index_is_what_the_law_says() -> None:
    rng, found = np.random.default_rng(1), []
    for _ in range(300):
        old, new = samples(rng, 1000, 500)
        bins = bins_of(old)
        found.append(psi(bins.counts(old), bins.counts(new)))
    expected = by_chance(bins=10, reference=1000, window=500)
    assert expected == pytest.approx(0.027)
    assert np.mean(found) == pytest.approx(expected, rel=0.08)


def test_at_the_tolerance_a_false_alarm_is_as_rare_as_promised() -> None:
    rng, rejected = np.random.default_rng(2), 0
    old_law = np.full(10, 0.1)
    new_law = np.asarray([0.06, 0.07, 0.08, 0.1, 0.1, 0.1, 0.1, 0.11, 0.13, 0.15])
    tolerance = float(np.sum((new_law - old_law) * np.log(new_law / old_law)))
    for _ in range(2000):
        value = psi(rng.multinomial(2000, old_law), rng.multinomial(2000, new_law))
        rejected += p_beyond(value, tolerance, bins=10, reference=2000, window=2000) < 0.05
    assert 0.02 <= rejected / 2000 <= 0.07


@pytest.mark.parametrize(
    ("shift", "rows", "standing"),
    [(0.0, 2000, "in bounds"), (1.0, 2000, "out of bounds"), (0.45, 60, "undecided")],
)
def test_beyond_the_tolerance_counts_only_beyond_chance(shift: float, rows: int, standing: str) -> None:
    old, new = samples(np.random.default_rng(5), 2000, rows, shift=shift)
    assert assess_drift(data(old, new), tolerance=0.1, rows=50, alpha=0.05).standing == standing


def test_too_few_rows_decide_nothing() -> None:
    old, new = samples(np.random.default_rng(3), 2000, 49, shift=5.0)
    found = assess_drift(data(old, new), tolerance=0.1, rows=50, alpha=0.05)
    assert (found.standing, found.value) == ("undecided", None)
    assert "49 rows now and 2,000 at the approval" in found.message


def test_a_column_that_cannot_be_compared_leaves_it_undecided() -> None:
    old, new = samples(np.random.default_rng(4), 500, 500)
    found = assess_drift(
        data(old, new, missing=("column 'y' is missing",)), tolerance=0.1, rows=50, alpha=0.05
    )
    assert found.standing == "undecided"
    assert "column 'y' is missing" in found.message


def days(rng: np.random.Generator, count: int, *, spread: float) -> tuple[FloatArray, StrArray]:
    """Days whose level moves by ``spread``, 200 rows each, and each row's day."""
    levels = rng.normal(0.0, spread, size=count)
    values = np.concatenate([rng.normal(level, size=200) for level in levels])
    return values, np.repeat(np.asarray([f"day {i}" for i in range(count)]), 200)


def test_what_is_ordinary_between_days_is_no_drift_and_more_than_that_is() -> None:
    rng = np.random.default_rng(6)
    old, batches = days(rng, 20, spread=0.6)
    usual, unusual = rng.normal(0.7, size=200), rng.normal(3.0, size=200)
    alone = assess_drift(data(old, usual), tolerance=0.1, rows=50, alpha=0.05)
    assert alone.standing == "out of bounds"
    for window, standing in ((usual, "in bounds"), (unusual, "out of bounds")):
        found = assess_drift(data(old, window, batches=batches), tolerance=0.1, rows=50, alpha=0.05)
        assert found.standing == standing, found.message
        assert "largest of 20 ordinary days" in found.message


def test_too_few_days_cannot_say_what_is_ordinary() -> None:
    old, batches = days(np.random.default_rng(7), MIN_BATCHES - 1, spread=0.1)
    found = assess_drift(data(old, old + 5.0, batches=batches), tolerance=0.1, rows=50, alpha=0.05)
    assert found.standing == "undecided"


def test_over_many_columns_a_false_alarm_is_as_rare_as_over_one() -> None:
    rng, alarms = np.random.default_rng(8), 0
    for _ in range(100):
        columns = {f"c{i}": samples(rng, 1000, 200) for i in range(20)}
        many = DriftData(
            reference={name: pair[0] for name, pair in columns.items()},
            window={name: pair[1] for name, pair in columns.items()},
            batches=None,
            placebo_of="reference",
        )
        found = assess_drift(many, tolerance=0.0, rows=50, alpha=0.05)
        alarms += found.standing == "out of bounds"
    assert 0 < alarms <= 12
