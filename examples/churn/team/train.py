"""Train the churn model of one Monday: one MLflow run.

    python train.py --week 2011-12-05 --features rich --threshold last-week

Which weeks it may learn from, and how thresholds are chosen, is in ``model.py``. Every metric that is logged
here comes from the validation week; the evaluation week is left to ``signoff gate``.
"""

import argparse
import logging
import sys
import warnings
from importlib.metadata import version
from typing import TypeAlias

import mlflow
import numpy as np
import pandas as pd
from features import FEATURE_SETS, TABLE_VERSION, TOP, feature_table
from mlflow.exceptions import MlflowException
from model import (
    HYPER_PARAMETERS,
    PLAIN_THRESHOLD,
    RESERVE,
    TRUSTED_TYPES,
    Scores,
    Threshold,
    TimeLine,
    cross_validation,
    decide_at,
    fit,
    last_week_threshold,
    metrics,
    recall,
    scores,
)
from numpy.typing import NDArray
from prepare import LINES, fail, monday
from sklearn.model_selection import FixedThresholdClassifier

import signoff
from signoff.errors import SignoffError

RELEASED = "churn@prod"
SEED = 7
SAMPLES = 10
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")

Frame: TypeAlias = pd.DataFrame
Bools: TypeAlias = NDArray[np.bool_]


def main() -> int:
    """Train, log the run and print its id; 2 when there is nothing to train on or to compare with."""
    parser = argparse.ArgumentParser(description="Train the churn model of one Monday.")
    parser.add_argument("--week", required=True, type=monday, help="the Monday, such as 2011-12-05")
    parser.add_argument("--features", choices=list(FEATURE_SETS), default="rich")
    parser.add_argument(
        "--threshold",
        default=str(PLAIN_THRESHOLD),
        help="a number; last-week: by the rule in model.py; released: that of the model in production",
    )
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    # Classes are whole numbers and never missing, whatever MLflow suspects.
    warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer column")
    if not LINES.is_file():
        return fail(f"{LINES} is missing: the invoice lines belong there")
    try:
        return train(TimeLine(today=given.week), given.features, given.threshold, given.seed)
    except ValueError as error:
        return fail(str(error))
    except MlflowException as error:
        return fail(f"MLflow: {error}")


def train(line: TimeLine, feature_set: str, asked: str, seed: int) -> int:
    """Fit, choose the threshold, validate, and log all of it as one run.

    Raises:
        ValueError: the weeks hold too little data, or ``asked`` is no threshold.
    """
    table = feature_table(LINES)
    fitted_on = line.fit_rows(table)
    validation = table[table["week"] == line.validation]
    if fitted_on.empty or validation.empty or validation["churned"].isna().any():
        raise ValueError(f"the transactions hold too few labelled weeks before {line.today:%Y-%m-%d}")

    estimator = fit(fitted_on, feature_set, seed)
    candidate = scores(estimator, validation)
    threshold = choose(asked, validation, candidate)
    model = decide_at(estimator, threshold.value, fitted_on)
    auc_mean, auc_spread = cross_validation(fitted_on, feature_set, seed)

    mlflow.set_experiment("churn")
    with mlflow.start_run(run_name=f"churn-{line.today:%Y-%m-%d}-{feature_set}-{asked}") as run:
        mlflow.log_params(
            {
                "model_type": "HistGradientBoostingClassifier",
                "feature_set": feature_set,
                "feature_table_version": TABLE_VERSION,
                "window_start": f"{fitted_on['week'].min():%Y-%m-%d}",
                "window_end": f"{fitted_on['week'].max():%Y-%m-%d}",
                "validation_week": f"{line.validation:%Y-%m-%d}",
                "seed": seed,
                "threshold": threshold.value,
                **HYPER_PARAMETERS,
            }
        )
        mlflow.log_metrics(metrics(validation, candidate, threshold.value))
        mlflow.log_metrics({"cv_roc_auc_mean": auc_mean, "cv_roc_auc_std": auc_spread})
        signoff.log_dataset(
            fitted_on,
            name="customer-weeks",
            source=str(LINES),
            context="training",
            version=TABLE_VERSION,
            target="churned",
        )
        log_evidence(validation, candidate, threshold)
        example = validation[FEATURE_SETS[feature_set]].head(5)
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=mlflow.models.infer_signature(example, model.predict(example)),
            input_example=example,
            serialization_format="skops",
            skops_trusted_types=TRUSTED_TYPES,
            pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
        )
    print(f"threshold {threshold.value:.4f}, validation week {line.validation:%Y-%m-%d}:", end=" ")
    print(
        ", ".join(
            f"{name} {value:.3f}" for name, value in metrics(validation, candidate, threshold.value).items()
        )
    )
    print(f"run {run.info.run_id}")
    return 0


def choose(asked: str, validation: Frame, candidate: Scores) -> Threshold:
    """The threshold that the command line asks for.

    Args:
        asked: a number, ``last-week`` or ``released``.
        validation: rows of the validation week.
        candidate: the candidate's scores on them.

    Raises:
        ValueError: it is neither, or not strictly between 0 and 1.
    """
    if asked not in {"last-week", "released"}:
        value = float(asked)
        if not 0 < value < 1:
            raise ValueError(f"a threshold lies between 0 and 1: {asked}")
        return Threshold(
            value=value, rationale=f"Fixed at {value}: the plain choice, not tuned on any week.\n"
        )
    released = load_released()
    if asked == "released":
        value = float(released.threshold)
        return Threshold(
            value=value,
            rationale=f"Kept at {value}, that of the model in production: a weekly retraining changes no policy.\n",
        )
    production = scores(released, validation) >= released.threshold
    value = last_week_threshold(validation, candidate, production)
    return Threshold(value=value, rationale=rationale(validation, candidate, production, value))


def load_released() -> FixedThresholdClassifier:
    """The model in production, verified before it was loaded.

    Raises:
        ValueError: there is none that may be used.
    """
    try:
        return signoff.load_model(RELEASED).model
    except SignoffError as error:
        raise ValueError(f"no model is in production to compare with: {error}") from error


def rationale(validation: Frame, candidate: Scores, production: Bools, value: float) -> str:
    """Why the threshold of the validation week is what it is: the rule, its numbers and its cost."""
    churned = int(((validation["churned"] == 1) & (validation["value_band"] == TOP)).sum())
    plain, chosen = metrics(validation, candidate, PLAIN_THRESHOLD), metrics(validation, candidate, value)
    kept = recall(validation, production, TOP)
    return f"""Threshold {value}, from the week of {validation["week"].iloc[0]:%Y-%m-%d}, the last labelled week before the evaluation week.

Rule, stated beforehand: the largest threshold, at most {PLAIN_THRESHOLD}, that finds at least the share of churned
top-20 % customers that the production model finds, plus a reserve of {RESERVE}.

| {churned} churned customers of the top 20 % | recall there | recall | precision | flagged |
|---|---|---|---|---|
| production model | {kept:.3f} | {recall(validation, production):.3f} | {validation["churned"][production].mean():.3f} | {production.mean():.3f} |
| this model at {PLAIN_THRESHOLD} | {plain["recall_top_20"]:.3f} | {plain["recall"]:.3f} | {plain["precision"]:.3f} | {plain["flagged_share"]:.3f} |
| this model at {value} | {chosen["recall_top_20"]:.3f} | {chosen["recall"]:.3f} | {chosen["precision"]:.3f} | {chosen["flagged_share"]:.3f} |
"""


def log_evidence(validation: Frame, candidate: Scores, threshold: Threshold) -> None:
    """Log what an approver looks at: the rationale, the confusion matrix, and samples of both errors."""
    rows = validation.assign(score=candidate, flagged=candidate >= threshold.value)
    churned = rows["churned"] == 1
    counts = rows.groupby(["value_band", "churned", "flagged"]).size().rename("customers").reset_index()
    wrong_alarm = rows[~churned & rows["flagged"]].sort_values("score", ascending=False)
    missed = rows[churned & ~rows["flagged"]].sort_values("spend", ascending=False)
    signoff.log_evidence("threshold_rationale", threshold.rationale)
    signoff.log_evidence("confusion_matrix", counts)
    signoff.log_evidence("false_positives", wrong_alarm.head(SAMPLES))
    signoff.log_evidence("false_negatives", missed.head(SAMPLES))


if __name__ == "__main__":
    sys.exit(main())
