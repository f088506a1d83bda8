"""How a use case is deployed and watched, in words."""

from collections.abc import Iterator

from signoff.standard.deployment import BatchRules, CanaryRules, LoadRules, MonitorRules, ServingRules
from signoff.standard.model import UseCaseRules


def deployment_rows(rules: UseCaseRules) -> Iterator[tuple[str, str]]:
    """Title and words of each part of the deployment that the use case has."""
    if rules.batch is not None:
        yield "batch", batch_words(rules.batch)
    if rules.serving is not None:
        yield "serving", serving_words(rules.serving)
    for monitor in rules.monitors:
        yield f"monitor {monitor.name}", monitor_words(monitor)
    if rules.retrain is not None:
        yield "retrain", rules.retrain


def batch_words(batch: BatchRules) -> str:
    """Such as ``customers.parquet to predictions, keys customer``."""
    keys = f", keys {', '.join(batch.keys)}" if batch.keys else ""
    return f"{batch.input or '(given per run)'} to {batch.output}{keys}"


def serving_words(serving: ServingRules) -> str:
    """Such as ``time-out 1000 ms, fallback stable; canary 5 % for 200, 50 % for 500 requests``."""
    parts = [f"time-out {serving.timeout_ms} ms, fallback {serving.fallback}"]
    if serving.canary is not None:
        parts.append(canary_words(serving.canary))
    if serving.load is not None:
        parts.append(load_words(serving.load))
    parts.append(f"log {serving.log}" if serving.log else "no log")
    return "; ".join(parts)


def canary_words(canary: CanaryRules) -> str:
    """Its steps and the test that aborts it."""
    steps = ", ".join(f"{100 * step.weight:g} % for {step.requests}" for step in canary.steps)
    return f"canary {steps} requests, errors at most {100 * canary.error_rate:g} % at alpha {canary.alpha:g}"


def load_words(load: LoadRules) -> str:
    """Such as ``8 connections for 20 s: p95 at most 50 ms``."""
    bounds = []
    if load.latency_p95_ms is not None:
        bounds.append(f"p95 at most {load.latency_p95_ms:g} ms")
    if load.requests_per_s is not None:
        bounds.append(f"at least {load.requests_per_s:g} requests/s")
    wanted = f": {', '.join(bounds)}" if bounds else ""
    return f"load {load.connections} connections for {load.seconds} s{wanted}"


def monitor_words(monitor: MonitorRules) -> str:
    """Such as ``drift of recency, frequency at most 0.2, then review``."""
    what = monitor.metric or monitor.kind
    of = f" of {', '.join(monitor.columns)}" if monitor.columns else ""
    bound = (
        f"at most {monitor.at_most:g}" if monitor.at_most is not None else f"at least {monitor.at_least:g}"
    )
    table = f" in {monitor.table}" if monitor.table else ""
    labels = f", labels from {monitor.labels}" if monitor.labels else ""
    by = f", against its variation by {monitor.by}" if monitor.by else ""
    return f"{what}{of}{table} {bound}{labels}{by}, from {monitor.rows} rows on; then {monitor.then}"
