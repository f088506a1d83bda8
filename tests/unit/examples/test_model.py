from types import ModuleType

import numpy as np
import pandas as pd
import pytest

TODAY = pd.Timestamp("2011-12-05")
HORIZON = pd.Timedelta(weeks=8)


def test_each_stage_begins_when_the_labels_of_the_one_before_are_known(churn_model: ModuleType) -> None:
    line = churn_model.TimeLine(today=TODAY)
    assert line.fit_last + HORIZON <= line.validation
    assert line.validation + HORIZON <= line.evaluation
    assert line.evaluation + HORIZON <= line.today


def test_fit_rows_hold_a_year_that_ends_before_the_validation_week(churn_model: ModuleType) -> None:
    table = pd.DataFrame({"week": pd.date_range("2010-06-07", "2011-12-05", freq="W-MON")})
    found = churn_model.TimeLine(today=TODAY).fit_rows(table)["week"]
    assert (found.size, found.max()) == (52, pd.Timestamp("2011-06-20"))


def validation(top_churned: int) -> pd.DataFrame:
    """So many churned customers of the top band, then one who stayed and one churned of the rest."""
    return pd.DataFrame(
        {
            "churned": [1.0] * top_churned + [0.0, 1.0],
            "value_band": ["top 20 %"] * (top_churned + 1) + ["rest"],
        }
    )


@pytest.mark.parametrize(
    ("production_finds", "expected"),
    [
        (0, 0.5),  # 5 % of 20 need one; the best score is above one half already
        (9, 0.37),  # 45 % + 5 % of 20 need the ten best: 0.91, 0.85, … 0.37
        (20, 0.001),  # never more than all of them, whose lowest score is 0.001
    ],
)
def test_the_threshold_finds_what_production_finds_and_the_reserve(
    churn_model: ModuleType, production_finds: int, expected: float
) -> None:
    scores = np.append(np.maximum(0.91 - 0.06 * np.arange(20), 0.001), [0.99, 0.98])
    flagged = np.append(np.arange(20) < production_finds, [True, True])
    threshold = churn_model.last_week_threshold(validation(20), scores, flagged)
    assert threshold == pytest.approx(expected)


def test_the_chosen_threshold_itself_finds_them(churn_model: ModuleType) -> None:
    random = np.random.default_rng(3)
    rows, scores = validation(150), random.uniform(0.05, 0.6, 152)
    production = random.uniform(size=152) < 0.7
    threshold = churn_model.last_week_threshold(rows, scores, production)
    top = "top 20 %"
    assert (
        churn_model.recall(rows, scores >= threshold, top) >= churn_model.recall(rows, production, top) + 0.05
    )
    assert churn_model.recall(rows, scores >= threshold + 0.01, top) < 1.0


@pytest.fixture(scope="module")
def rows(scripts: dict[str, ModuleType]) -> pd.DataFrame:
    random = np.random.default_rng(5)
    columns = scripts["features"].FEATURE_SETS["rich"]
    frame = pd.DataFrame(random.normal(size=(600, len(columns))), columns=columns)
    noise = random.normal(size=600)
    return frame.assign(
        churned=(frame["recency_days"] + noise > 0).astype(float),
        value_band=np.where(frame["spend"] > 0.8, "top 20 %", "rest"),
        customer=np.arange(600) // 3,
    )


def test_the_model_decides_at_its_own_threshold(churn_model: ModuleType, rows: pd.DataFrame) -> None:
    decided = churn_model.decide_at(churn_model.fit(rows, "recency-frequency", 7), 0.3, rows)
    probability = churn_model.scores(decided, rows)
    flagged = decided.predict(rows[["recency_days", "purchase_days"]]) == 1
    assert (flagged == (probability >= 0.3)).all()
    assert 0.0 < probability.min() < 0.3 < probability.max()


def test_the_files_hold_scores_and_threshold_and_need_no_other_trust(
    churn_model: ModuleType, rows: pd.DataFrame
) -> None:
    import skops.io

    decided = churn_model.decide_at(churn_model.fit(rows, "rich", 7), 0.3, rows)
    packed = skops.io.dumps(decided)
    assert skops.io.get_untrusted_types(data=packed) == churn_model.TRUSTED_TYPES
    loaded = skops.io.loads(packed, trusted=churn_model.TRUSTED_TYPES)
    assert loaded.threshold == 0.3
    np.testing.assert_array_equal(churn_model.scores(loaded, rows), churn_model.scores(decided, rows))


def test_metrics_count_recall_on_the_top_band_alone(churn_model: ModuleType) -> None:
    rows = pd.DataFrame(
        {"churned": [1, 1, 1, 0, 0], "value_band": ["top 20 %", "top 20 %", "rest", "rest", "rest"]}
    )
    found = churn_model.metrics(rows, np.array([0.9, 0.2, 0.8, 0.7, 0.1]), 0.5)
    assert found["recall_top_20"] == 0.5
    assert found["recall"] == found["precision"] == pytest.approx(2 / 3)
    assert found["flagged_share"] == 0.6


def test_folds_keep_the_weeks_of_a_customer_together(churn_model: ModuleType, rows: pd.DataFrame) -> None:
    # The label is the customer's own: only a model that has seen the customer could know it.
    random = np.random.default_rng(9)
    own = random.integers(0, 2, 200)
    leaky = rows.assign(
        churned=own[rows["customer"]].astype(float), spend=random.normal(size=200)[rows["customer"]]
    )
    mean, spread = churn_model.cross_validation(leaky, "rich", 7)
    assert abs(mean - 0.5) < 0.15
    assert spread > 0
