from types import ModuleType

import numpy as np
import pandas as pd
import pytest

MONDAY = pd.Timestamp("2011-06-06")
DAY = pd.Timedelta(days=1)


def lines(*rows: tuple[int, pd.Timestamp, int, float]) -> pd.DataFrame:
    """Invoice lines from (customer, day, quantity, price), reaching far enough for the label."""
    frame = pd.DataFrame(
        [*rows, (99, MONDAY + 60 * DAY, 1, 1.0)], columns=["customer", "time", "quantity", "price"]
    )
    return frame.assign(country="United Kingdom")


def snapshot(churn_features: ModuleType, *rows: tuple[int, pd.Timestamp, int, float]) -> pd.DataFrame:
    found: pd.DataFrame = churn_features.snapshot(churn_features.customer_days(lines(*rows)), MONDAY)
    return found.set_index("customer")


def test_features_come_from_the_weeks_before_the_monday(churn_features: ModuleType) -> None:
    found = snapshot(
        churn_features,
        (1, MONDAY - 70 * DAY, 2, 10.0),
        (1, MONDAY - 70 * DAY, 1, 5.0),
        (1, MONDAY - 10 * DAY, 1, 15.0),
        (1, MONDAY - 9 * DAY, -1, 4.0),
    )
    row = found.loc[1]
    expected = {
        "recency_days": 10,
        "purchase_days": 2,
        "recent_purchase_days": 1,
        "spend": 40,
        "recent_spend": 15,
        "spend_per_day": 20,
        "lines_per_day": 1.5,
        "span_days": 60,
        "gap_days": 60,
        "overdue": 10 / 60,
        "returned_share": 0.1,
        "abroad": 0,
    }
    assert row[list(expected)].astype(float).to_dict() == pytest.approx(expected)


def test_nothing_after_the_monday_changes_a_feature(churn_features: ModuleType) -> None:
    known = [(1, MONDAY - 10 * DAY, 1, 15.0), (2, MONDAY - 3 * DAY, 2, 1.0)]
    later = [(1, MONDAY, 9, 9.0), (2, MONDAY + DAY, -2, 1.0), (3, MONDAY, 1, 1.0)]
    columns = [*churn_features.FEATURE_SETS["rich"], "value_band"]
    pd.testing.assert_frame_equal(
        snapshot(churn_features, *known)[columns], snapshot(churn_features, *known, *later)[columns]
    )


@pytest.mark.parametrize(
    ("next_purchase", "churned"),
    [(-1, 1.0), (0, 0.0), (55, 0.0), (56, 1.0)],
    ids=["before the window", "on the Monday", "last day of the window", "day after the window"],
)
def test_churned_means_no_purchase_in_eight_weeks(
    churn_features: ModuleType, next_purchase: int, churned: float
) -> None:
    found = snapshot(
        churn_features, (1, MONDAY - 10 * DAY, 1, 5.0), (1, MONDAY + next_purchase * DAY, 1, 5.0)
    )
    assert found.loc[1, "churned"] == churned


def test_a_return_is_no_purchase(churn_features: ModuleType) -> None:
    found = snapshot(
        churn_features, (1, MONDAY - 10 * DAY, 1, 5.0), (1, MONDAY + DAY, -1, 5.0), (2, MONDAY - DAY, -1, 5.0)
    )
    assert found.loc[1, "churned"] == 1.0
    assert list(found.index) == [1]


@pytest.mark.parametrize(("reach", "known"), [(54, False), (55, True)])
def test_the_label_is_unknown_until_the_eight_weeks_are_over(
    churn_features: ModuleType,
    reach: int,
    known: bool,  # noqa: FBT001
) -> None:
    rows = lines((1, MONDAY - 10 * DAY, 1, 5.0)).replace({MONDAY + 60 * DAY: MONDAY + reach * DAY})
    found = churn_features.snapshot(churn_features.customer_days(rows), MONDAY)
    assert found["churned"].notna().all() == known


def test_the_top_band_is_the_fifth_that_spent_the_most(churn_features: ModuleType) -> None:
    spend = pd.Series([5.0, 50.0, 7.0, 50.0, 6.0, 1.0, 2.0, 3.0, 4.0, 8.0])
    band = churn_features.value_band(spend)
    assert list(np.flatnonzero(band == churn_features.TOP)) == [1, 3]
    assert set(band) == {churn_features.TOP, churn_features.REST}


def test_snapshots_begin_with_a_full_history(churn_features: ModuleType) -> None:
    days = pd.DataFrame({"day": [pd.Timestamp("2009-12-01"), pd.Timestamp("2010-06-20")]})
    assert churn_features.mondays(days) == [pd.Timestamp("2010-06-07"), pd.Timestamp("2010-06-14")]
