"""Train a logistic regression on the weekly features: one MLflow run.

    python linear.py --week 2011-11-28

The same weeks, features and threshold rule as ``train.py``; a model whose coefficients can be read.
"""

import argparse
import logging
import sys
import warnings
from importlib.metadata import version

import mlflow
from features import FEATURE_SETS, TABLE_VERSION, feature_table
from mlflow.exceptions import MlflowException
from model import PLAIN_THRESHOLD, TimeLine, decide_at, metrics, scores
from prepare import LINES, fail, monday
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from train import PACKAGES, choose, log_evidence

import signoff

FEATURES = "rich"
PARAMETERS = {"C": 1.0, "max_iter": 500}


def main() -> int:
    """Train, log the run and print its id; 2 when there is nothing to train on."""
    parser = argparse.ArgumentParser(description="Train a logistic regression of one Monday.")
    parser.add_argument("--week", required=True, type=monday, help="the Monday, such as 2011-11-28")
    line = TimeLine(today=parser.parse_args().week)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    # Classes are whole numbers and never missing, whatever MLflow suspects.
    warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer column")
    if not LINES.is_file():
        return fail(f"{LINES} is missing: the invoice lines belong there")
    try:
        return train(line)
    except ValueError as error:
        return fail(str(error))
    except MlflowException as error:
        return fail(f"MLflow: {error}")


def train(line: TimeLine) -> int:
    """Fit, validate, and log all of it as one run.

    Raises:
        ValueError: the weeks hold too little data.
    """
    table = feature_table(LINES)
    fitted_on, validation = line.fit_rows(table), table[table["week"] == line.validation]
    if fitted_on.empty or validation.empty or validation["churned"].isna().any():
        raise ValueError(f"the transactions hold too few labelled weeks before {line.today:%Y-%m-%d}")
    columns = FEATURE_SETS[FEATURES]
    estimator = make_pipeline(StandardScaler(), LogisticRegression(**PARAMETERS))
    estimator.fit(fitted_on[columns], fitted_on["churned"].astype("int64"))
    candidate = scores(estimator, validation)
    threshold = choose(str(PLAIN_THRESHOLD), validation, candidate)
    model = decide_at(estimator, threshold.value, fitted_on)
    measured = metrics(validation, candidate, threshold.value)

    mlflow.set_experiment("churn")
    with mlflow.start_run(run_name=f"churn-{line.today:%Y-%m-%d}-linear-{PLAIN_THRESHOLD}") as run:
        mlflow.log_params(
            {
                "model_type": "LogisticRegression",
                "feature_set": FEATURES,
                "feature_table_version": TABLE_VERSION,
                "window_start": f"{fitted_on['week'].min():%Y-%m-%d}",
                "window_end": f"{fitted_on['week'].max():%Y-%m-%d}",
                "validation_week": f"{line.validation:%Y-%m-%d}",
                "seed": 0,
                "threshold": threshold.value,
                **PARAMETERS,
            }
        )
        mlflow.log_metrics(measured)
        signoff.log_dataset(
            fitted_on,
            name="customer-weeks",
            source=str(LINES),
            context="training",
            version=TABLE_VERSION,
            target="churned",
        )
        log_evidence(validation, candidate, threshold)
        example = validation[columns].head(5)
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=mlflow.models.infer_signature(example, model.predict(example)),
            input_example=example,
            serialization_format="skops",
            pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
        )
    print(", ".join(f"{name} {value:.3f}" for name, value in measured.items()))
    print(f"run {run.info.run_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
