"""The model: which weeks it may learn from, how it is fitted, and how its threshold is chosen.

Nothing here knows MLflow. The time line of a retraining on Monday *today*, in weeks before it:

    76 … 24  snapshots to fit on: up to one year, because churn follows the seasons
    16       the validation week: its labels were known on the evaluation week's Monday; thresholds come from it
     8       the evaluation week: the last one whose labels are known today; only the gate looks at it

A label takes eight weeks to become known, so eight weeks separate each stage from the next: no label of one
stage can reach into the next. What was validated is what is released: nothing is fitted again afterwards.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from features import FEATURE_SETS, HORIZON_WEEKS, TOP
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from sklearn.model_selection import FixedThresholdClassifier, GroupKFold, cross_val_score

FIT_WEEKS = 52
FOLDS = 3
PLAIN_THRESHOLD = 0.5
RESERVE = 0.05  # the loss of recall that signoff.yaml tolerates per value band
HYPER_PARAMETERS = {"max_iter": 80, "learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 100}
TRUSTED_TYPES = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]

Frame: TypeAlias = pd.DataFrame
Scores: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeLine:
    """The weeks of a retraining.

    Attributes:
        today: the Monday of the retraining.
    """

    today: pd.Timestamp

    @property
    def evaluation(self) -> pd.Timestamp:
        """The last week whose labels are known today."""
        return self.today - pd.Timedelta(weeks=HORIZON_WEEKS)

    @property
    def validation(self) -> pd.Timestamp:
        """The last week whose labels were known when the evaluation week began."""
        return self.evaluation - pd.Timedelta(weeks=HORIZON_WEEKS)

    @property
    def fit_last(self) -> pd.Timestamp:
        """The last week whose labels were known when the validation week began."""
        return self.validation - pd.Timedelta(weeks=HORIZON_WEEKS)

    @property
    def fit_first(self) -> pd.Timestamp:
        """The first of the snapshots to fit on, if there are as many."""
        return self.fit_last - pd.Timedelta(weeks=FIT_WEEKS - 1)

    def fit_rows(self, table: Frame) -> Frame:
        """The snapshots to fit on."""
        return table[(table["week"] >= self.fit_first) & (table["week"] <= self.fit_last)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """A decision threshold and why it is what it is.

    Attributes:
        value: scores from here on count as churn.
        rationale: Markdown, for the approver.
    """

    value: float
    rationale: str


def fit(rows: Frame, feature_set: str, seed: int) -> HistGradientBoostingClassifier:
    """Fit the churn scores on these rows.

    Args:
        rows: of the feature table, with labels.
        feature_set: a key of ``FEATURE_SETS``.
        seed: of the estimator.
    """
    estimator = _estimator(seed)
    estimator.fit(rows[FEATURE_SETS[feature_set]], rows["churned"].astype("int64"))
    return estimator


def decide_at(
    estimator: HistGradientBoostingClassifier, threshold: float, rows: Frame
) -> FixedThresholdClassifier:
    """Join the fitted scores and the threshold into one model, so that its bytes decide.

    Args:
        estimator: from `fit`; it is not fitted again.
        threshold: in (0, 1).
        rows: those the estimator was fitted on; their labels and column names are checked again.
    """
    model = FixedThresholdClassifier(
        FrozenEstimator(estimator), threshold=threshold, response_method="predict_proba", pos_label=1
    )
    return model.fit(rows[list(estimator.feature_names_in_)], rows["churned"].astype("int64"))


def scores(model: object, rows: Frame) -> Scores:
    """Probability of churn per row, from the columns that the model was fitted on; shape (rows,)."""
    return np.asarray(model.predict_proba(rows[list(model.feature_names_in_)])[:, 1], dtype="float64")  # type: ignore[attr-defined]


def recall(rows: Frame, flagged: NDArray[np.bool_], band: str | None = None) -> float:
    """Share of the churned customers that were flagged.

    Args:
        rows: with ``churned`` and ``value_band``.
        flagged: shape (rows,).
        band: only customers of this value band; None for all.
    """
    return float(flagged[_churned(rows, band)].mean())


def last_week_threshold(validation: Frame, candidate: Scores, production: NDArray[np.bool_]) -> float:
    """The threshold rule, stated before the evaluation week is looked at.

    The largest threshold, at most 0.5, at which the candidate finds in the validation week at least the share
    of churned top-20 % customers that the production model finds, plus ``RESERVE``. Without the reserve a
    candidate that is truly as good would often be undecided: the gate must exclude a loss of 0.05, and the
    noise of about 150 customers is as large as that.

    Args:
        validation: rows of the validation week.
        candidate: the candidate's scores on them.
        production: which of them the production model flags.

    Returns:
        The threshold, rounded down to four digits.
    """
    wanted = min(1.0, recall(validation, production, TOP) + RESERVE)
    found = np.sort(candidate[_churned(validation, TOP)])
    needed = int(np.ceil(wanted * found.size - 1e-9))
    return min(PLAIN_THRESHOLD, float(np.floor(found[found.size - needed] * 1e4) / 1e4))


def metrics(rows: Frame, candidate: Scores, threshold: float) -> dict[str, float]:
    """Metrics on labelled rows: overall, and recall per value band."""
    flagged, churned = candidate >= threshold, rows["churned"].to_numpy()
    measured = {
        "roc_auc": float(roc_auc_score(churned, candidate)),
        "precision": float(precision_score(churned, flagged)),
        "recall": float(recall_score(churned, flagged)),
        "brier": float(np.mean((candidate - churned) ** 2)),
        "flagged_share": float(flagged.mean()),
    }
    return measured | {"recall_top_20": recall(rows, flagged, TOP)}


def cross_validation(rows: Frame, feature_set: str, seed: int) -> tuple[float, float]:
    """Mean and standard deviation of AUC over folds that keep all weeks of a customer together."""
    found = cross_val_score(
        _estimator(seed),
        rows[FEATURE_SETS[feature_set]],
        rows["churned"].astype("int64"),
        groups=rows["customer"],
        cv=GroupKFold(FOLDS),
        scoring="roc_auc",
    )
    return float(found.mean()), float(found.std(ddof=1))


def _estimator(seed: int) -> HistGradientBoostingClassifier:
    # Early stopping would hold out random rows, among them other weeks of the same customers.
    return HistGradientBoostingClassifier(**HYPER_PARAMETERS, early_stopping=False, random_state=seed)


def _churned(rows: Frame, band: str | None) -> NDArray[np.bool_]:
    counted = rows["churned"] == 1
    if band is not None:
        counted &= rows["value_band"] == band
    return counted.to_numpy(dtype=np.bool_)
