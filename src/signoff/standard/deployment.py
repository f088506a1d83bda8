"""How a use case is deployed and watched, resolved: batch, real time, monitors."""

from dataclasses import dataclass
from typing import Literal

from signoff.record.digest import Json

MonitorKind = Literal["drift", "data-quality", "performance", "latency", "errors", "schedule"]
Action = Literal["rollback", "retrain", "re-evaluate", "review"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRules:
    """A batch deployment.

    Attributes:
        input: table to score: Parquet, CSV or Delta, relative to the standard's folder; None: given per run.
        output: Delta table that predictions go to, relative to the standard's folder.
        keys: columns copied from the input to the output.
    """

    input: str | None
    output: str
    keys: tuple[str, ...]

    def to_json(self) -> Json:
        """All fields."""
        return {"input": self.input, "output": self.output, "keys": list(self.keys)}


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryStep:
    """One step of a canary.

    Attributes:
        weight: share of the requests that the canary answers; above 0, at most 1.
        requests: how many of them it must have answered before the next step.
    """

    weight: float
    requests: int

    def to_json(self) -> Json:
        """All fields."""
        return {"weight": self.weight, "requests": self.requests}


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryRules:
    """How a new version takes over an endpoint.

    Attributes:
        steps: in order, with rising weights; at least one.
        error_rate: share of requests that may fail; the canary is tested against it and against stable.
        alpha: chance of aborting a canary that is as good as it should be, over all its requests together.
        deadline_s: seconds after which a step without its requests is reported as held; it never advances.
    """

    steps: tuple[CanaryStep, ...]
    error_rate: float
    alpha: float
    deadline_s: int

    def to_json(self) -> Json:
        """All fields."""
        return {
            "steps": [step.to_json() for step in self.steps],
            "error_rate": self.error_rate,
            "alpha": self.alpha,
            "deadline_s": self.deadline_s,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadRules:
    """The load that an endpoint must bear, as `signoff admin bench` measures it.

    Attributes:
        connections: callers at the same time, each waiting for its answer.
        seconds: how long it is kept up.
        latency_p95_ms: bound on the 95th percentile of the answers' times; None for none.
        requests_per_s: answers per second that must be reached; None for none.
    """

    connections: int
    seconds: int
    latency_p95_ms: float | None
    requests_per_s: float | None

    def to_json(self) -> Json:
        """All fields."""
        return {
            "connections": self.connections,
            "seconds": self.seconds,
            "latency_p95_ms": self.latency_p95_ms,
            "requests_per_s": self.requests_per_s,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingRules:
    """A real-time deployment.

    Attributes:
        timeout_ms: a request that takes longer is answered by stable, and counts as the canary's error.
        fallback: ``stable``: an answer that the canary fails to give comes from stable; ``none``: the caller
            sees the canary's error.
        canary: how a new version takes over; None: at once.
        load: what the endpoint must bear; None where nothing is stated.
        log: folder of the inference log, a Delta table, relative to the standard's folder; None: not kept.
    """

    timeout_ms: int
    fallback: Literal["stable", "none"]
    canary: CanaryRules | None
    load: LoadRules | None
    log: str | None

    def to_json(self) -> dict[str, Json]:
        """All fields but the log's place."""
        return {
            "timeout_ms": self.timeout_ms,
            "fallback": self.fallback,
            "canary": None if self.canary is None else self.canary.to_json(),
            "load": None if self.load is None else self.load.to_json(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitorRules:
    """One thing that is watched, and what follows when it leaves its bounds.

    Attributes:
        name: unique in the use case; firings are told apart by it.
        kind: ``drift``: columns against the data of the approval; ``data-quality``: missing values, types and
            categories of columns; ``performance``: a metric on rows whose labels came in late; ``latency``
            (p95 in milliseconds) and ``errors`` (share of requests): of the inference log; ``schedule``: days
            since the release was last evaluated.
        table: what is watched, relative to the standard's folder; None: the inference log, or the batch input.
        labels: table with the labels that came in late, joined by the recipe's row key; None: ``table`` has them.
        columns: columns watched; empty: the model's inputs.
        metric: what ``performance`` measures; None for other kinds.
        at_most: largest value that is in bounds; None when ``at_least`` is given.
        at_least: smallest value that is in bounds; None when ``at_most`` is given.
        rows: with fewer rows nothing is decided.
        by: column that names a row's day or batch, whose ordinary variation drift is held against; None for none.
        then: what follows.
    """

    name: str
    kind: MonitorKind
    table: str | None
    labels: str | None
    columns: tuple[str, ...]
    metric: str | None
    at_most: float | None
    at_least: float | None
    rows: int
    by: str | None
    then: Action

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return {
            "name": self.name,
            "kind": self.kind,
            "table": self.table,
            "labels": self.labels,
            "columns": list(self.columns),
            "metric": self.metric,
            "at_most": self.at_most,
            "at_least": self.at_least,
            "rows": self.rows,
            "by": self.by,
            "then": self.then,
        }
