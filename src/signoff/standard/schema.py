"""The sections of a standard, as a team writes them.

Every field says what it means; the same sentence stands in the JSON Schema from which editors complete the
file, in messages and in the reference. What a section leaves out comes from the profile and the model type.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from signoff.standard.metrics import METRICS
from signoff.standard.model import TRANSITIONS, Kind, Severity
from signoff.standard.names import (
    EXPERIMENT,
    FIELD,
    NAME,
    OWNER,
    REGISTERED_MODEL,
    ROSTER_FILE,
    SHIPPED_TYPES,
)
from signoff.standard.schema_deployment import (
    MONITORS,
    BatchSection,
    EnvironmentSection,
    MonitorSection,
    ServingSection,
)
from signoff.standard.schema_guard import GuardSection
from signoff.standard.shape import About, Section, about

_METRIC = "Name of a metric that the gate computes"
_BETTER_BY = (
    "Margin in units of the metric: the candidate must beat the production version by at least this much."
)
_NO_WORSE_THAN = (
    "Margin in units of the metric: the candidate must lose less than this against the production version."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementSection(Section):
    """One thing that every run must carry; its name alone is enough."""

    SHORTHAND: ClassVar[str] = "name"

    name: str = field(metadata=about(About("Canonical name of what a run must carry.")))
    accepts: tuple[str, ...] = field(
        default=(), metadata=about(About("Further names that satisfy it; `*` stands for any characters."))
    )
    why: str | None = field(
        default=None, metadata=about(About("One sentence for the person who must add it."))
    )
    how: str | None = field(default=None, metadata=about(About("The line of Python that would add it.")))
    severity: Severity = field(
        default="block",
        metadata=about(About("Whether its absence blocks a proposal or only warns.", noun="severity")),
    )


def _requirements(what: str) -> Mapping[str, About]:
    return about(About(f"{what} Each is a name, or a mapping with name, accepts, why, how and severity."))


@dataclass(frozen=True, kw_only=True, slots=True)
class RequireSection(Section):
    """What runs must carry, beside what profile and model type already ask for."""

    params: tuple[RequirementSection, ...] = field(
        default=(), metadata=_requirements("Parameters that runs log.")
    )
    metrics: tuple[RequirementSection, ...] = field(
        default=(), metadata=_requirements("Metrics that runs log.")
    )
    tags: tuple[RequirementSection, ...] = field(default=(), metadata=_requirements("Tags that runs carry."))
    artifacts: tuple[RequirementSection, ...] = field(
        default=(), metadata=_requirements("Artifacts that runs log.")
    )
    model: tuple[RequirementSection, ...] = field(
        default=(), metadata=_requirements("Properties of the logged model: `signature` or `input_example`.")
    )
    datasets: tuple[RequirementSection, ...] = field(
        default=(), metadata=_requirements("Contexts of logged data sets, such as `training`.")
    )

    def by_kind(self) -> tuple[tuple[Kind, str, tuple[RequirementSection, ...]], ...]:
        """Per kind: the kind, its key here, and what is asked for."""
        return (
            ("param", "params", self.params),
            ("metric", "metrics", self.metrics),
            ("tag", "tags", self.tags),
            ("artifact", "artifacts", self.artifacts),
            ("model", "model", self.model),
            ("dataset", "datasets", self.datasets),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleSection(Section):
    """A role."""

    may: tuple[str, ...] = field(
        metadata=about(About("Transitions that the role may make.", noun="transition", choices=TRANSITIONS))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTypeSection(Section):
    """A model type of the team's own."""

    like: str = field(
        metadata=about(
            About(
                "Shipped type that it is scored like and takes its requirements from.",
                noun="model type",
                choices=SHIPPED_TYPES,
            )
        )
    )
    require: RequireSection | None = field(
        default=None, metadata=about(About("What runs of this type must carry in addition."))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateSection(Section):
    """Where evaluation data comes from."""

    data: str = field(
        metadata=about(
            About("Parquet or CSV file or Delta table to judge on, relative to the standard's folder.")
        )
    )
    label: str = field(metadata=about(About("Name of the label column.")))
    positive: bool | int | str | None = field(
        default=None,
        metadata=about(
            About("Label value that counts as positive. Default: the larger of the two values.", noun="label")
        ),
    )
    row_key: str | None = field(
        default=None, metadata=about(About("Column that identifies a row, such as a customer id."))
    )
    cluster: str | None = field(
        default=None,
        metadata=about(
            About(
                "Column of which rows with equal values are not independent, such as a customer with several rows."
            )
        ),
    )
    score: str | None = field(
        default=None,
        metadata=about(About("Column of the model's output that holds the score, when it returns a table.")),
    )
    threshold: float | None = field(
        default=None,
        metadata=about(
            About(
                "Decision threshold for models that return scores only. Default 0.5.",
                at_least=0.0,
                at_most=1.0,
            )
        ),
    )
    group: str | None = field(
        default=None,
        metadata=about(About("Column of which equal values are one list to be ranked, such as a user.")),
    )
    k: int | None = field(
        default=None,
        metadata=about(About("Length at which lists of results are cut off. Default 10.", at_least=1)),
    )
    naive: str | None = field(
        default=None,
        metadata=about(About("Column with the naive forecast that a first release must beat.")),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PrimarySection(Section):
    """The comparison with the production version that ranks candidates and guards the release."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ("better_by", "no_worse_than")

    metric: str = field(metadata=about(About(f"{_METRIC}.", noun="metric", choices=tuple(METRICS))))
    better_by: float | None = field(default=None, metadata=about(About(_BETTER_BY, at_least=0.0)))
    no_worse_than: float | None = field(default=None, metadata=about(About(_NO_WORSE_THAN, at_least=0.0)))


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceSection(Section):
    """The same comparison inside each slice of a column."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ("better_by", "no_worse_than")

    by: str = field(metadata=about(About("Column of the evaluation data whose values are the slices.")))
    metric: str = field(metadata=about(About(f"{_METRIC}.", noun="metric", choices=tuple(METRICS))))
    better_by: float | None = field(default=None, metadata=about(About(_BETTER_BY, at_least=0.0)))
    no_worse_than: float | None = field(default=None, metadata=about(About(_NO_WORSE_THAN, at_least=0.0)))
    only: tuple[str, ...] = field(
        default=(), metadata=about(About("Slice values to assess, as text. Default: all values found."))
    )
    inconclusive: Severity = field(
        default="block",
        metadata=about(
            About(
                "What a slice with too few rows to decide does to the verdict. Default block.",
                noun="severity",
            )
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdSection(Section):
    """An absolute bound on the candidate."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ("at_least", "at_most")

    metric: str = field(
        metadata=about(
            About(f"{_METRIC}; latencies are measured on single rows.", noun="metric", choices=tuple(METRICS))
        )
    )
    at_least: float | None = field(
        default=None, metadata=about(About("Smallest value that passes; for metrics where more is better."))
    )
    at_most: float | None = field(
        default=None, metadata=about(About("Largest value that passes; for metrics where less is better."))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSection(Section):
    """How the gate decides."""

    alpha: float = field(
        default=0.05,
        metadata=about(
            About(
                "One-sided error rate of all verdicts on one evaluation table together. Default 0.05.",
                above=0.0,
                at_most=0.5,
            )
        ),
    )
    looks: int = field(
        default=10,
        metadata=about(
            About(
                "How many different candidates one evaluation table may judge; each is tested at alpha / looks. "
                "Default 10.",
                at_least=1,
                at_most=10_000,
            )
        ),
    )
    documented_data: bool = field(
        default=True,
        metadata=about(About("Whether training data must be logged with source and digest. Default true.")),
    )
    reproducible: bool = field(
        default=True,
        metadata=about(
            About("Whether a clean commit, parameters and the frozen environment are needed. Default true.")
        ),
    )
    pickle: Literal["refused", "allowed"] = field(
        default="refused",
        metadata=about(
            About("Whether models in pickle formats may be loaded at all. Default refused.", noun="setting")
        ),
    )

    labels: Literal["stable", "any"] | None = field(
        default=None,
        metadata=about(
            About(
                "Whether the classes and their order must be the production model's and the logged label map's. "
                "Default stable for text-classification, else any.",
                noun="setting",
            )
        ),
    )


_ENVIRONMENTS = About(
    "What a release into each environment needs, merged over the profile's: dev, test, prod, or your own.",
    keys=NAME,
    key_choices=("dev", "test", "prod"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UseCaseSection(Section):
    """A business use case: one experiment boundary, one registered model, one set of rules."""

    owner: str = field(
        metadata=about(
            About("The person who answers for it: an e-mail address or a name.", noun="owner", form=OWNER)
        )
    )
    type: str = field(
        metadata=about(
            About(
                "Model type: a shipped one, or one of your own under model_types.",
                noun="model type",
                suggestions=SHIPPED_TYPES,
            )
        )
    )
    evaluate: EvaluateSection = field(
        metadata=about(About("The evaluation data that candidates are judged on."))
    )
    primary: PrimarySection = field(
        metadata=about(
            About("The comparison with the production version that ranks candidates and guards the release.")
        )
    )
    experiment: tuple[str, ...] = field(
        default=(),
        metadata=about(
            About(
                "MLflow experiments that belong to it: `use-case`, `use-case/family` or `use-case/stream`; new runs "
                "go to the first. Default: the use case's name.",
                noun="experiment name",
                form=EXPERIMENT,
                filled=True,
                one_or_many=True,
            )
        ),
    )
    registered_model: str | None = field(
        default=None,
        metadata=about(
            About(
                "Name in the model registry. Default: the use case's name.",
                noun="registered model",
                form=REGISTERED_MODEL,
            )
        ),
    )
    run_name: str | None = field(
        default=None,
        metadata=about(About("Regular expression that a run's whole name must match. Default: any name.")),
    )
    window: bool = field(
        default=False,
        metadata=about(
            About(
                "Whether runs train on a window of time: they then name its dates and the feature table's version."
            )
        ),
    )
    slices: tuple[SliceSection, ...] = field(
        default=(), metadata=about(About("Comparisons with the production version per slice."))
    )
    thresholds: tuple[ThresholdSection, ...] = field(
        default=(), metadata=about(About("Absolute bounds on the candidate."))
    )
    gate: GateSection | None = field(default=None, metadata=about(About("How the gate decides.")))
    notes: tuple[str, ...] = field(
        default=(),
        metadata=about(
            About(
                "Fields of context that a proposal must fill, added to the profile's.",
                noun="field name",
                form=FIELD,
            )
        ),
    )
    require: RequireSection | None = field(
        default=None, metadata=about(About("What runs of this use case must carry in addition."))
    )
    environments: Mapping[str, EnvironmentSection] = field(
        default_factory=dict, metadata=about(_ENVIRONMENTS)
    )
    batch: BatchSection | None = field(default=None, metadata=about(About("Its batch deployment.")))
    serving: ServingSection | None = field(default=None, metadata=about(About("Its real-time deployment.")))
    monitors: Mapping[str, MonitorSection] = field(default_factory=dict, metadata=about(MONITORS))
    retrain: str | None = field(
        default=None,
        metadata=about(
            About(
                "Command that trains a new candidate, run in the standard's folder when a monitor asks for it."
            )
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class StandardDocument(Section):
    """A team's standard for Signoff."""

    signoff: Literal[1] = field(metadata=about(About("Format of this file. Always 1.", noun="format")))
    profile: Literal["small", "mid", "enterprise"] = field(
        metadata=about(
            About("How much governance to start from; each profile holds the one above it.", noun="profile")
        )
    )
    use_cases: Mapping[str, UseCaseSection] = field(
        metadata=about(About("Your business use cases, by name.", keys=NAME, filled=True))
    )
    version: str = field(
        default="1",
        metadata=about(About("Your version of this standard; decisions name it. Default 1.", noun="version")),
    )
    store: str | None = field(
        default=None,
        metadata=about(
            About(
                "MLflow tracking URI; the variable MLFLOW_TRACKING_URI wins. Default: sqlite:///mlflow.db beside this file."
            )
        ),
    )
    ledger: str | None = field(
        default=None,
        metadata=about(About("Database URI of the ledger where it is not MLflow's own database.")),
    )
    roster: str = field(
        default=ROSTER_FILE,
        metadata=about(About("File that names people, roles and keys, relative to this file's folder.")),
    )
    capture: Literal["minimal", "full"] = field(
        default="full",
        metadata=about(
            About(
                "How much of the environment runs record: minimal (Python and packages) or full (also system, "
                "image, drivers, hardware). Default full.",
                noun="setting",
            )
        ),
    )
    evidence: Severity = field(
        default="block",
        metadata=about(
            About(
                "Whether missing evidence blocks, or warns only while a team starts. Default block.",
                noun="severity",
            )
        ),
    )
    roles: Mapping[str, RoleSection] = field(
        default_factory=dict,
        metadata=about(
            About(
                "Roles by name, added to the profile's or replacing them.",
                keys=NAME,
                key_choices=("author", "reviewer", "platform-owner"),
            )
        ),
    )
    environments: Mapping[str, EnvironmentSection] = field(
        default_factory=dict, metadata=about(_ENVIRONMENTS)
    )
    require: RequireSection | None = field(
        default=None, metadata=about(About("What runs of every use case must carry in addition."))
    )
    model_types: Mapping[str, ModelTypeSection] = field(
        default_factory=dict,
        metadata=about(About("Model types of your own, by name.", keys=NAME)),
    )
    guard: GuardSection | None = field(
        default=None,
        metadata=about(
            About(
                "What a guarded MLflow server enforces: a level for all rules (enforce, warn or off), or one per rule."
            )
        ),
    )
