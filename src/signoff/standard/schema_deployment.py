"""The sections of a standard about deployment: environments, batch, real time, monitors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from signoff.standard.deployment import Action, MonitorKind
from signoff.standard.metrics import METRICS
from signoff.standard.names import ALIAS, NAME
from signoff.standard.shape import About, Section, about


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentSection(Section):
    """What a release into an environment needs; each key given replaces the profile's value."""

    alias: str | None = field(
        default=None,
        metadata=about(
            About(
                "Registry alias that says what is released there. Default: the environment's name.",
                noun="alias",
                form=ALIAS,
            )
        ),
    )
    approvals: Mapping[str, int] | None = field(
        default=None,
        metadata=about(
            About(
                "How many different people of which role must approve, such as {reviewer: 1}.",
                at_least=1,
                key_choices=("reviewer", "platform-owner"),
            )
        ),
    )
    self_approval: Literal["refused", "recorded"] | None = field(
        default=None,
        metadata=about(
            About(
                "Whether an author's own approval counts: refused, or recorded and shown everywhere "
                "(profile small only).",
                noun="setting",
            )
        ),
    )
    after: str | None = field(
        default=None,
        metadata=about(
            About(
                "Environment in which the same version must have been released before.",
                noun="environment",
                suggestions=("dev", "test"),
            )
        ),
    )
    checklist: tuple[str, ...] | None = field(
        default=None, metadata=about(About("Items that an approver must tick; part of the signed approval."))
    )
    rollback_plan: bool | None = field(
        default=None, metadata=about(About("Whether a proposal must name a rollback plan."))
    )
    server: str | None = field(
        default=None,
        metadata=about(
            About("MLflow tracking URI of an environment with a server of its own. Default: the store above.")
        ),
    )
    direct: Literal["refused", "allowed"] | None = field(
        default=None,
        metadata=about(
            About(
                "Whether a version may come here from another server without an environment before it. "
                "Default refused.",
                noun="setting",
            )
        ),
    )
    monitoring: bool | None = field(
        default=None,
        metadata=about(About("Whether at least one monitor must watch what is released here.")),
    )
    load_test: bool | None = field(
        default=None,
        metadata=about(
            About("Whether an endpoint must have been measured at its stated load, by `signoff admin bench`.")
        ),
    )
    reevaluate_days: int | None = field(
        default=None,
        metadata=about(
            About("After so many days a release is due for re-evaluation. Default: never.", at_least=1)
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSection(Section):
    """A batch deployment."""

    output: str = field(
        metadata=about(About("Delta table that predictions go to, relative to the standard's folder."))
    )
    input: str | None = field(
        default=None,
        metadata=about(
            About(
                "Table to score: Parquet, CSV or Delta, relative to the standard's folder. Default: given per run."
            )
        ),
    )
    keys: tuple[str, ...] = field(
        default=(), metadata=about(About("Columns copied from the input to the output."))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryStepSection(Section):
    """One step of a canary."""

    weight: float = field(
        metadata=about(About("Share of the requests that the canary answers.", above=0.0, at_most=1.0))
    )
    requests: int = field(
        metadata=about(About("How many requests it must have answered before the next step.", at_least=1))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CanarySection(Section):
    """How a new version takes over an endpoint."""

    steps: tuple[CanaryStepSection, ...] = field(
        metadata=about(About("The steps in order, with rising weights.", filled=True))
    )
    error_rate: float = field(
        default=0.01,
        metadata=about(
            About(
                "Share of requests that may fail before the canary is aborted. Default 0.01.",
                above=0.0,
                at_most=0.5,
            )
        ),
    )
    alpha: float = field(
        default=0.05,
        metadata=about(
            About(
                "Chance of aborting a good canary, over all its requests together. Default 0.05.",
                above=0.0,
                at_most=0.5,
            )
        ),
    )
    deadline_s: int = field(
        default=3600,
        metadata=about(
            About(
                "Seconds after which a step without its requests is reported as held. Default 3600.",
                at_least=1,
            )
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSection(Section):
    """The load that an endpoint must bear."""

    connections: int = field(
        metadata=about(
            About("Callers at the same time, each waiting for its answer.", at_least=1, at_most=1000)
        )
    )
    seconds: int = field(
        default=20, metadata=about(About("How long it is kept up. Default 20.", at_least=1, at_most=3600))
    )
    latency_p95_ms: float | None = field(
        default=None, metadata=about(About("Bound on the 95th percentile of the answers' times.", above=0.0))
    )
    requests_per_s: float | None = field(
        default=None, metadata=about(About("Answers per second that must be reached.", above=0.0))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingSection(Section):
    """A real-time deployment."""

    timeout_ms: int = field(
        default=1000,
        metadata=about(
            About(
                "A request that takes longer is answered by stable, and counts against the canary. Default 1000.",
                at_least=1,
            )
        ),
    )
    fallback: Literal["stable", "none"] = field(
        default="stable",
        metadata=about(
            About("Who answers when the canary fails: stable, or none. Default stable.", noun="setting")
        ),
    )
    canary: CanarySection | None = field(
        default=None, metadata=about(About("How a new version takes over. Default: at once."))
    )
    load: LoadSection | None = field(
        default=None, metadata=about(About("The load that the endpoint must bear."))
    )
    log: str | None = field(
        default=None,
        metadata=about(
            About(
                "Delta table of requests and answers, relative to the standard's folder. Default: none is kept."
            )
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitorSection(Section):
    """One thing that is watched in production, and what follows when it leaves its bounds."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ("at_most", "at_least")

    kind: MonitorKind = field(
        metadata=about(
            About(
                "What is measured: drift of columns against the data of the approval (PSI); data-quality (share "
                "of values that are missing or do not fit the signature); performance on late labels; latency (p95 "
                "in milliseconds) or errors (share of requests) of the inference log; schedule (days since the "
                "last evaluation).",
                noun="kind of monitor",
            )
        )
    )
    then: Action = field(
        metadata=about(About("What follows: rollback, retrain, re-evaluate or review.", noun="action"))
    )
    table: str | None = field(
        default=None,
        metadata=about(
            About(
                "What is watched, relative to the standard's folder. Default: the inference log, or the batch input."
            )
        ),
    )
    labels: str | None = field(
        default=None,
        metadata=about(
            About("Table with labels that came in late, joined by `row_key`. Default: the table has them.")
        ),
    )
    columns: tuple[str, ...] = field(
        default=(), metadata=about(About("Columns watched. Default: the model's inputs."))
    )
    metric: str | None = field(
        default=None,
        metadata=about(About("What a performance monitor measures.", noun="metric", choices=tuple(METRICS))),
    )
    at_most: float | None = field(default=None, metadata=about(About("Largest value that is in bounds.")))
    at_least: float | None = field(default=None, metadata=about(About("Smallest value that is in bounds.")))
    rows: int = field(
        default=100, metadata=about(About("With fewer rows nothing is decided. Default 100.", at_least=1))
    )
    by: str | None = field(
        default=None,
        metadata=about(
            About("Column with a row's day or batch, whose ordinary variation drift is held against.")
        ),
    )


MONITORS = About("What is watched in production, by name.", keys=NAME)
"""Of a use case's ``monitors``: a mapping from names to `MonitorSection`."""
