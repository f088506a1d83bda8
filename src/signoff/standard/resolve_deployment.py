"""A use case's batch, real-time and monitoring sections, checked and turned into rules."""

from signoff.standard.deployment import (
    BatchRules,
    CanaryRules,
    CanaryStep,
    LoadRules,
    MonitorRules,
    ServingRules,
)
from signoff.standard.metrics import METRICS
from signoff.standard.schema import UseCaseSection
from signoff.standard.schema_deployment import BatchSection, CanarySection, MonitorSection, ServingSection
from signoff.standard.shape import Faults
from signoff.standard.strict_yaml import Path

_FROM_THE_LOG = ("latency", "errors")
_UPPER_ONLY = ("drift", "data-quality", "latency", "errors", "schedule")


def resolve_batch(section: BatchSection | None) -> BatchRules | None:
    """The batch deployment; None without one."""
    if section is None:
        return None
    return BatchRules(input=section.input, output=section.output, keys=section.keys)


def resolve_serving(section: ServingSection | None, path: Path, faults: Faults) -> ServingRules | None:
    """The real-time deployment; None without one."""
    if section is None:
        return None
    load = section.load
    return ServingRules(
        timeout_ms=section.timeout_ms,
        fallback=section.fallback,
        canary=None if section.canary is None else _canary(section.canary, (*path, "canary"), faults),
        load=None
        if load is None
        else LoadRules(
            connections=load.connections,
            seconds=load.seconds,
            latency_p95_ms=load.latency_p95_ms,
            requests_per_s=load.requests_per_s,
        ),
        log=section.log,
    )


def _canary(section: CanarySection, path: Path, faults: Faults) -> CanaryRules:
    weights = [step.weight for step in section.steps]
    for at in range(1, len(weights)):
        if weights[at] <= weights[at - 1]:
            message = f"step {at + 1} has weight {weights[at]:g}, the one before it {weights[at - 1]:g}"
            faults.add((*path, "steps", at, "weight"), message, "let the weights rise from step to step")
    return CanaryRules(
        steps=tuple(CanaryStep(weight=step.weight, requests=step.requests) for step in section.steps),
        error_rate=section.error_rate,
        alpha=section.alpha,
        deadline_s=section.deadline_s,
    )


def resolve_monitors(section: UseCaseSection, path: Path, faults: Faults) -> tuple[MonitorRules, ...]:
    """The monitors in file order, each held against what the use case has."""
    for name, monitor in section.monitors.items():
        _check(monitor, section, (*path, name), faults)
    return tuple(
        MonitorRules(
            name=name,
            kind=monitor.kind,
            table=monitor.table,
            labels=monitor.labels,
            columns=monitor.columns,
            metric=monitor.metric,
            at_most=monitor.at_most,
            at_least=monitor.at_least,
            rows=monitor.rows,
            by=monitor.by,
            then=monitor.then,
        )
        for name, monitor in section.monitors.items()
    )


def _check(monitor: MonitorSection, section: UseCaseSection, path: Path, faults: Faults) -> None:
    log = None if section.serving is None else section.serving.log
    if monitor.kind in _FROM_THE_LOG and monitor.table is None and log is None:
        message = f"{monitor.kind} is read from the inference log, and `serving` keeps none"
        faults.add((*path, "kind"), message, "add `serving: {log: serving/log}` to the use case")
    if monitor.kind in ("drift", "data-quality", "performance") and monitor.table is None:
        batch = None if section.batch is None else section.batch.input
        if log is None and batch is None:
            message = "there is no table to watch: neither an inference log nor a batch input"
            faults.add(path, message, "name one with `table`")
    if monitor.kind in _UPPER_ONLY and monitor.at_least is not None:
        faults.add((*path, "at_least"), f"of {monitor.kind}, less is better", "bound it with at_most")
    if (monitor.kind == "performance") != (monitor.metric is not None):
        message = (
            "a performance monitor needs a `metric`"
            if monitor.metric is None
            else f"`metric` says nothing for {monitor.kind}"
        )
        faults.add(path if monitor.metric is None else (*path, "metric"), message)
    if monitor.metric is not None and monitor.kind == "performance":
        _check_bound(monitor, path, faults)
    if monitor.labels is not None and section.evaluate.row_key is None:
        message = "labels are joined by the row key, and `evaluate` names none"
        faults.add((*path, "labels"), message, "add row_key to evaluate")
    if monitor.then == "retrain" and section.retrain is None:
        message = "retraining needs a command"
        faults.add((*path, "then"), message, "add `retrain: python train.py` to the use case")


def _check_bound(monitor: MonitorSection, path: Path, faults: Faults) -> None:
    metric = METRICS[monitor.metric or ""]
    wrong = "at_most" if metric.higher_is_better else "at_least"
    if (monitor.at_most if wrong == "at_most" else monitor.at_least) is not None:
        better = "more" if metric.higher_is_better else "less"
        right = "at_least" if metric.higher_is_better else "at_most"
        faults.add((*path, wrong), f"of {metric.name}, {better} is better", f"bound it with {right}")
