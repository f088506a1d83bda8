"""Train one model that routes documents: one MLflow run.

    python train.py --pipeline words

A fifth of the earlier documents, chosen by their digest, validates; every metric that is logged comes from it. The
later documents are left to ``signoff gate``.
"""

import argparse
import logging
import sys
import time
from importlib.metadata import version
from typing import TypeAlias

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from pipelines import COUNTED, PENALTY, SEED, TEXT, pipeline, preprocessing
from prepare import DOCUMENTS
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.pipeline import Pipeline

import signoff
from signoff.errors import SignoffError

FOLDS = 5  # one in so many documents validates
TIMED = 400
SAMPLES = 25
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
PROBES = (
    "my monitor flickers since i changed the video card in my pc",
    "windows says out of memory when i start the print manager",
    "how can i convert a gif to a jpeg with fewer colours",
    "the mac does not see the external scsi disk after a restart",
    "an x client cannot open the display of another host",
    "for sale one modem hardly used best offer plus shipping",
    "is the clipper chip safe when the government holds the key",
    "which resistor do i need in front of a led at twelve volts",
)
"""Short texts whose answers are logged with every model: what changed shows at a glance."""

Frame: TypeAlias = pd.DataFrame


def main() -> int:
    """Train, log the run and print its id; 2 when there is nothing to train on."""
    parser = argparse.ArgumentParser(description="Train one model that routes documents.")
    parser.add_argument("--pipeline", choices=list(COUNTED), default="words")
    parser.add_argument(
        "--label-map",
        choices=("sorted", "largest-first"),
        default="sorted",
        help="how the logged label map numbers the queues: as the model does, or the largest queue first",
    )
    given = parser.parse_args()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    if not DOCUMENTS.is_file():
        print(f"error: {DOCUMENTS} is missing: the documents belong there", file=sys.stderr)
        return 2
    try:
        return train(given.pipeline, given.label_map)
    except (MlflowException, SignoffError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def train(name: str, label_map: str) -> int:
    """Validate on a fifth, fit on all earlier documents, and log all of it as one run."""
    earlier = pd.read_parquet(DOCUMENTS)
    earlier = earlier[earlier["part"] == "train"].reset_index(drop=True)
    held_out = earlier["document"].map(lambda digest: int(digest, 16) % FOLDS == 0)
    tried = pipeline(name).fit(earlier[~held_out][[TEXT]], earlier[~held_out]["queue"])
    validation = earlier[held_out].reset_index(drop=True)
    predicted = tried.predict(validation[[TEXT]])
    model = pipeline(name).fit(earlier[[TEXT]], earlier["queue"])

    suffix = "" if label_map == "sorted" else f"-{label_map}"
    mlflow.set_experiment("tickets")
    with mlflow.start_run(run_name=f"tickets-{name}{suffix}") as run:
        log_settings(name)
        found = metrics(validation["queue"], predicted)
        found["latency_p95_ms"] = latency(model, validation)
        mlflow.log_metrics(found)
        signoff.log_dataset(
            earlier, name="documents", source=str(DOCUMENTS), context="training", version="v1", target="queue"
        )
        log_evidence(name, model, numbering(model, earlier, label_map))
        log_mistakes(validation, predicted)
        example = validation[[TEXT]].head(3)
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=mlflow.models.infer_signature(example, model.predict(example)),
            input_example=example,
            serialization_format="skops",
            pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
        )
    print(", ".join(f"{metric} {found[metric]:.3f}" for metric in ("macro_f1", "accuracy", "latency_p95_ms")))
    print(f"run {run.info.run_id}")
    return 0


def log_settings(name: str) -> None:
    """The parameters that make the model again."""
    mlflow.log_params(
        {
            "model_type": "LinearSVC",
            "feature_set": f"{name}-tfidf-v1",
            "seed": SEED,
            "C": PENALTY,
            "validation": f"one document in {FOLDS}, by digest",
            **{
                f"hp.{part}.{key}": str(value)
                for part, counted in COUNTED[name].items()
                for key, value in counted.items()
            },
        }
    )


def metrics(
    truth: "pd.Series[str]", predicted: "np.ndarray[tuple[int], np.dtype[np.str_]]"
) -> dict[str, float]:
    """Macro-F1, accuracy, and the recall of each queue."""
    queues = sorted(set(truth))
    recalls = recall_score(truth, predicted, labels=queues, average=None)
    return {
        "macro_f1": float(f1_score(truth, predicted, average="macro")),
        "accuracy": float(accuracy_score(truth, predicted)),
        **{f"recall.{queue}": float(value) for queue, value in zip(queues, recalls, strict=True)},
    }


def latency(model: Pipeline, validation: Frame) -> float:
    """95th percentile of the milliseconds that one document takes, one after the other."""
    times = []
    for row in range(min(TIMED, len(validation))):
        start = time.perf_counter()
        model.predict(validation[[TEXT]].iloc[[row]])
        times.append((time.perf_counter() - start) * 1000)
    return float(np.percentile(times, 95))


def numbering(model: Pipeline, earlier: Frame, label_map: str) -> dict[str, str]:
    """Number → queue, as whoever reads the model's numbers elsewhere is told."""
    queues = model.classes_ if label_map == "sorted" else earlier["queue"].value_counts().index
    return {str(number): queue for number, queue in enumerate(queues.tolist())}


def log_evidence(name: str, model: Pipeline, label_map: dict[str, str]) -> None:
    """What a reviewer reads beside the metrics."""
    signoff.log_evidence("preprocessing", preprocessing(name))
    signoff.log_evidence("label_map", label_map)
    answers = model.predict(pd.DataFrame({TEXT: PROBES})).tolist()
    signoff.log_evidence("probe_texts", dict(zip(PROBES, answers, strict=True)))


def log_mistakes(validation: Frame, predicted: "np.ndarray[tuple[int], np.dtype[np.str_]]") -> None:
    """The first mistakes of the validation documents, as they come: not the worst, not the best."""
    told = validation.assign(predicted=predicted)
    wrong = told[told["queue"] != told["predicted"]].head(SAMPLES)
    shown = wrong.assign(text=wrong["text"].str.slice(0, 200))
    signoff.log_evidence("misclassifications", shown[["document", "queue", "predicted", "text"]])


if __name__ == "__main__":
    sys.exit(main())
