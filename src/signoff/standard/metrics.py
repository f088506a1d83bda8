"""The metrics that the gate computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["classification", "regression", "multiclass", "ranking", "assistant"]
TASKS: tuple[Task, ...] = ("classification", "regression", "multiclass", "ranking", "assistant")
"""What models answer: one of two classes, a number, one of many classes, an order within each list of rows, or
an answer to a question with the passages that it rests on. Each shipped model type is scored as one of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A metric by name.

    Attributes:
        name: as a standard writes it.
        tasks: the tasks it measures.
        higher_is_better: its direction.
        kind: ``score``: of scores or predicted values; ``decision``: of decided classes; ``value``: the mean of
            one value per list or question; ``latency``: of the time that single-row predictions take, in
            milliseconds.
        paired: whether candidate and baseline can be compared on the same rows with an interval, so that
            margins and slices may name it; otherwise it serves absolute thresholds only.
        unit_range: whether its values lie between 0 and 1.
        logged_as: glob patterns of the names under which runs commonly log it.
    """

    name: str
    tasks: tuple[Task, ...]
    higher_is_better: bool
    kind: Literal["score", "decision", "value", "latency"]
    paired: bool
    unit_range: bool
    logged_as: tuple[str, ...]


def _classification(name: str, kind: Literal["score", "decision"], *logged_as: str) -> Metric:
    return Metric(
        name=name,
        tasks=("classification", "multiclass") if name == "accuracy" else ("classification",),
        higher_is_better=name not in {"log_loss", "brier"},
        kind=kind,
        paired=name != "average_precision",
        unit_range=name != "log_loss",
        logged_as=(name, *logged_as),
    )


def _multiclass(name: str, *logged_as: str) -> Metric:
    return Metric(
        name=name,
        tasks=("multiclass",),
        higher_is_better=True,
        kind="decision",
        paired=True,
        unit_range=True,
        logged_as=(name, *logged_as),
    )


def _value(name: str, tasks: tuple[Task, ...], *logged_as: str) -> Metric:
    cost = name == "cost_per_request"
    return Metric(
        name=name,
        tasks=tasks,
        higher_is_better=not cost,
        kind="value",
        paired=True,
        unit_range=not cost,
        logged_as=(name, *logged_as),
    )


def _regression(name: str, *logged_as: str) -> Metric:
    return Metric(
        name=name,
        tasks=("regression",),
        higher_is_better=name == "r2",
        kind="score",
        paired=name != "r2",
        unit_range=False,
        logged_as=(name, *logged_as),
    )


def _latency(name: str, *logged_as: str) -> Metric:
    return Metric(
        name=name,
        tasks=TASKS,
        higher_is_better=False,
        kind="latency",
        paired=False,
        unit_range=False,
        logged_as=(name, *logged_as),
    )


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _classification(
            "roc_auc", "score", "*roc_auc*", "auc", "auc_*", "val_auc", "valid*_auc", "test_auc", "cv_auc"
        ),
        _classification("average_precision", "score", "*average_precision*", "*pr_auc*", "*auprc*", "ap"),
        _classification("log_loss", "score", "*log_loss*", "*logloss*", "*cross_entropy*"),
        _classification("brier", "score", "*brier*"),
        _classification("accuracy", "decision", "*accuracy*", "acc", "*_acc"),
        _classification("precision", "decision", "*precision*"),
        _classification("recall", "decision", "*recall*", "*sensitivity*", "tpr"),
        _classification("f1", "decision", "f1_*", "*_f1*", "*f1_score*"),
        _regression("mae", "*mae*", "*mean_absolute_error*"),
        _regression("rmse", "*rmse*", "*root_mean_squared_error*"),
        _regression("mse", "*_mse*", "mse_*", "*mean_squared_error*"),
        _regression("r2", "*r2*", "*r2_score*"),
        _multiclass("macro_f1", "*macro_f1*", "*f1_macro*", "*macro*f1*"),
        _value("ndcg", ("ranking", "assistant"), "*ndcg*"),
        _value("mrr", ("ranking", "assistant"), "*mrr*", "*reciprocal_rank*"),
        _value("recall_at_k", ("ranking", "assistant"), "*recall*", "*hit_rate*"),
        _value("precision_at_k", ("ranking", "assistant"), "*precision*"),
        _value("groundedness", ("assistant",), "*grounded*", "*faithful*"),
        _value("answer_quality", ("assistant",), "*quality*", "*correctness*"),
        _value("abstention", ("assistant",), "*abstention*", "*abstain*"),
        _value("cost_per_request", ("assistant",), "*cost*"),
        _latency("latency_p95_ms", "*latency*p95*", "*p95*latency*"),
        _latency("latency_p99_ms", "*latency*p99*", "*p99*latency*"),
    )
}
"""By name, in reading order."""


def metrics_for(task: str, *, paired: bool) -> tuple[str, ...]:
    """Names of the metrics of a task; with ``paired`` only those that margins may name."""
    return tuple(m.name for m in METRICS.values() if task in m.tasks and (m.paired or not paired))
