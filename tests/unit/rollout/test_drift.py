"""PSI against values worked out by hand, its law without drift, and what placebos do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.gate.arrays import FloatArray, StrArray
from signoff.rollout.bins import BINS, CATEGORIES, Column, NumberBins, TextBins, bins_of
from signoff.rollout.drift import MIN_BATCHES, DriftData, assess_drift
from signoff.rollout.stability import by_chance, p_beyond, psi, used_bins


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


def test_numbers_are_binned_by_tenths_with_bins_beyond_both_ends_and_one_for_missing() -> None:
    reference = np.append(np.arange(1.0, 101.0), np.nan)
    bins = bins_of(reference)
    assert isinstance(bins, NumberBins)
    assert bins.counts(reference).tolist() == [0, *[10] * 10, 0, 1]
    assert bins.reference.tolist() == [1, 9, *[10] * 8, 9, 1, 1]
    window = np.asarray([-1e300, 1.0, 10.0, 10.5, 100.0, 1e300, np.nan])
    assert bins.counts(window).tolist() == [1, 2, 1, *[0] * 7, 1, 1, 1]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5, 7.0, -3.0, math.nan, math.inf]), min_size=1), st.floats())
def test_a_number_that_the_reference_holds_more_than_its_share_of_is_alone_in_its_bin(
    values: list[float], other: float
) -> None:
    reference = np.asarray(values)
    bins = bins_of(reference)
    for value in {v for v in values if not math.isnan(v) and v != other}:
        if values.count(value) * BINS > len(values):
            pair = bins.counts(np.asarray([value])), bins.counts(np.asarray([other]))
            assert not np.array_equal(*pair)


@pytest.mark.parametrize(
    ("reference", "window"),
    [
        pytest.param(np.full(1000, 5.0), np.full(1000, 1e9), id="constant that rises"),
        pytest.param(np.full(1000, 5.0), np.full(1000, -1e9), id="constant that falls"),
        pytest.param(np.full(1000, 5.0), np.repeat([5.0, 5.01], 500), id="constant that splits"),
        pytest.param(np.full(1000, np.nan), np.arange(1000.0), id="nothing that becomes something"),
        pytest.param(np.repeat([1.0, 0.0], [920, 80]), np.zeros(1000), id="mostly 1 that becomes 0"),
        pytest.param(
            np.repeat([1.0, 0.0], [920, 80]), np.repeat([1.0, 0.0], [300, 700]), id="mostly 1, less"
        ),
        pytest.param(np.repeat([0.0, 1.0], [920, 80]), np.ones(1000), id="mostly 0 that becomes 1"),
        pytest.param(np.repeat([0.0, 1.0], [920, 80]), np.full(1000, 0.5), id="flag that becomes a share"),
        pytest.param(
            np.append(np.full(910, 100.0), np.arange(90.0)),
            np.linspace(0.0, 50.0, 1000),
            id="cap that is gone",
        ),
        pytest.param(
            np.append(np.full(910, 0.0), np.arange(90.0)),
            np.linspace(1.0, 89.0, 1000),
            id="floor that is gone",
        ),
        pytest.param(
            np.arange(1000.0), np.append(np.arange(900.0), np.full(100, 1e6)), id="tail that runs off"
        ),
    ],
)
def test_no_column_of_numbers_is_blind(reference: FloatArray, window: FloatArray) -> None:
    def found(now: FloatArray) -> str:
        return assess_drift(data(reference, now), tolerance=0.1, rows=50, alpha=0.05).standing

    assert found(window) == "out of bounds"
    assert found(reference) == "in bounds"


def test_texts_are_binned_by_value_and_what_was_never_seen_is_counted_apart() -> None:
    bins = bins_of(np.asarray(["a"] * 5 + ["b"] * 3 + [""] * 2))
    assert isinstance(bins, TextBins)
    assert bins.counts(np.asarray(["b", "c", "d", ""])).tolist() == [0, 1, 0, 2, 1]


def texts(names: str, values: int, times: int) -> StrArray:
    return np.asarray([f"{names}{i}" for i in range(values)] * times)


def test_rare_texts_share_a_bin_with_each_other_and_not_with_new_ones() -> None:
    reference = texts("v", 1000, 3)
    bins = bins_of(reference)
    assert bins.reference[-3:].tolist() == [(1000 - CATEGORIES) * 3, 0, 0]
    replaced = assess_drift(data(reference, texts("w", 1000, 3)), tolerance=0.1, rows=50, alpha=0.05)
    assert replaced.standing == "out of bounds"
    assert replaced.value is not None
    assert replaced.value > 5.0
    same = assess_drift(data(reference, reference[::-1]), tolerance=0.1, rows=50, alpha=0.05)
    assert same.standing == "in bounds"


def test_new_texts_at_the_rate_of_texts_seen_once_are_no_drift_and_all_new_ones_are() -> None:
    rng = np.random.default_rng(9)
    reference, window = (np.char.add("v", rng.zipf(1.6, size=2000).astype(np.str_)) for _ in range(2))
    assert np.mean(~np.isin(window, reference)) > 0.05
    for now, standing in ((window, "in bounds"), (np.char.add("w", window), "out of bounds")):
        found = assess_drift(data(reference, now), tolerance=0.1, rows=50, alpha=0.05)
        assert found.standing == standing, found.message


def test_texts_that_hardly_repeat_cannot_be_compared_by_value() -> None:
    found = assess_drift(data(texts("v", 1000, 1), texts("w", 1000, 1)), tolerance=0.1, rows=50, alpha=0.05)
    assert found.standing == "undecided"
    assert "most values occur once" in found.message


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
    rng, found, expected = np.random.default_rng(1), [], []
    for _ in range(300):
        old, new = samples(rng, 1000, 500)
        bins = bins_of(old)
        now = bins.counts(new)
        found.append(psi(bins.reference, now))
        expected.append(by_chance(bins=used_bins(bins.reference, now), reference=1000, window=500))
    assert by_chance(bins=10, reference=1000, window=500) == pytest.approx(0.027)
    assert np.mean(found) == pytest.approx(float(np.mean(expected)), rel=0.08)


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
    usual, unusual = rng.normal(0.7, size=200), rng.normal(4.0, size=200)
    alone = assess_drift(data(old, usual), tolerance=0.1, rows=50, alpha=0.05)
    assert alone.standing == "out of bounds"
    for window, standing in ((usual, "in bounds"), (unusual, "out of bounds")):
        found = assess_drift(data(old, window, batches=batches), tolerance=0.1, rows=50, alpha=0.05)
        assert found.standing == standing, found.message
        assert "19 ordinary days" in found.message


LOOKS = 100


def alarms(
    *,
    count: int,
    a_day: int,
    rows: int,
    window_days: int,
    spread: float,
    tolerance: float,
    shift: float = 0.0,
) -> int:
    """Looks, of `LOOKS`, that alarm: reference and window of days whose levels move by ``spread``."""
    found = 0
    for seed in range(LOOKS):
        rng = np.random.default_rng(seed)
        before, now = np.repeat(np.arange(count), a_day), np.arange(rows) * window_days // rows
        old = rng.normal(size=before.size) + rng.normal(0.0, spread, size=count)[before]
        new = rng.normal(shift, size=rows) + rng.normal(0.0, spread, size=window_days)[now]
        given_ = data(old, new, batches=before.astype(np.str_), window_batches=now.astype(np.str_))
        assessed = assess_drift(given_, tolerance=tolerance, rows=50, alpha=0.05)
        found += assessed.standing == "out of bounds"
    return found


@pytest.mark.parametrize(
    ("a_day", "rows", "window_days", "spread"),
    [(500, 100, 1, 0.0), (40, 1000, 25, 0.0), (200, 60, 1, 0.3), (100, 500, 5, 0.3), (100, 500, 1, 0.3)],
)
def test_a_window_smaller_or_larger_than_a_day_alarms_falsely_about_as_often_as_promised(
    a_day: int, rows: int, window_days: int, spread: float
) -> None:
    situation = {"count": 12, "a_day": a_day, "rows": rows, "window_days": window_days}
    assert alarms(**situation, spread=spread, tolerance=0.0) <= 14
    assert alarms(**situation, spread=spread, tolerance=0.1) <= 7


@pytest.mark.parametrize(
    ("count", "a_day", "rows", "window_days", "spread"),
    [(12, 40, 2000, 50, 0.0), (12, 500, 500, 1, 0.0), (28, 100, 1000, 10, 0.1)],
)
def test_a_shift_by_half_a_standard_deviation_is_seen_among_days(
    count: int, a_day: int, rows: int, window_days: int, spread: float
) -> None:
    situation = {"count": count, "a_day": a_day, "rows": rows, "window_days": window_days}
    assert alarms(**situation, spread=spread, tolerance=0.1, shift=0.5) >= 75


@pytest.mark.parametrize("level", [99.0, -4.0])
def test_one_odd_day_of_the_reference_hides_no_drift(level: float) -> None:
    rng = np.random.default_rng(10)
    old, batches = days(rng, 12, spread=0.0)
    old[batches == "day 3"] = level
    for shift, standing in ((0.7, "out of bounds"), (0.0, "in bounds")):
        window = rng.normal(shift, size=1000)
        found = assess_drift(data(old, window, batches=batches), tolerance=0.3, rows=50, alpha=0.05)
        assert found.standing == standing, found.message
        assert "without the oddest, day 3" in found.message


def test_a_batch_of_one_row_hides_no_drift() -> None:
    rng = np.random.default_rng(12)
    old, batches = days(rng, 12, spread=0.0)
    batches[0] = "solo"
    found = assess_drift(data(old, old + 1.0, batches=batches), tolerance=0.1, rows=50, alpha=0.05)
    assert found.standing == "out of bounds"


def test_days_of_the_window_are_not_their_own_excuse() -> None:
    rng = np.random.default_rng(11)
    trend = rng.normal(size=1200) + np.linspace(0.0, 8.0, 1200)
    batches = np.repeat(np.arange(12), 100).astype(np.str_)
    given_ = data(rng.normal(size=1200), trend, batches=batches, placebo_of="window")
    found = assess_drift(given_, tolerance=0.1, rows=50, alpha=0.05)
    assert found.standing == "undecided"
    assert "not in the data of the approval" in found.message


def test_too_few_days_cannot_say_what_is_ordinary() -> None:
    old, batches = days(np.random.default_rng(7), MIN_BATCHES, spread=0.1)
    batches[batches == "day 0"] = ""
    found = assess_drift(data(old, old + 5.0, batches=batches), tolerance=0.1, rows=50, alpha=0.05)
    assert found.standing == "undecided"
    assert "9 different days or batches" in found.message


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
