"""A standard after it has been read: every default filled in, every requirement with its origin.

Rules are resolved per use case: the profile's, the model type's and the team's own requirements joined.
Decisions bind to the digest of these resolved rules, so that editing another use case voids nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from signoff.record.digest import Digest, Json
from signoff.standard.deployment import BatchRules, MonitorRules, ServingRules
from signoff.standard.guard import GuardRules
from signoff.standard.metrics import Task

Transition = Literal["propose", "note", "approve", "reject", "waive", "promote", "rollback", "override"]
TRANSITIONS: tuple[Transition, ...] = (
    "propose",
    "note",
    "approve",
    "reject",
    "waive",
    "promote",
    "rollback",
    "override",
)
Kind = Literal["param", "metric", "tag", "artifact", "model", "dataset"]
Mode = Literal["better_by", "no_worse_than"]
Severity = Literal["block", "warn"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One thing that every run of a use case must carry.

    Attributes:
        kind: what it is: a param, metric, tag, artifact, a property of the model, or a data set.
        name: its canonical name, such as ``threshold``; for ``model``: ``signature`` or ``input_example``;
            for ``dataset`` the context, such as ``training``.
        accepts: glob patterns of names that satisfy it, the canonical one first.
        why: one sentence for the person who must add it.
        how: the line of Python that would add it.
        by: who provides it: captured by the plugins (auto), measured by the gate (eval), or the author (you).
        severity: whether its absence blocks or only warns.
        origin: where it is asked for: ``baseline``, ``type classification``, ``profile mid`` or
            ``signoff.yaml:12``. Not part of the rules' digest.
    """

    kind: Kind
    name: str
    accepts: tuple[str, ...]
    why: str
    how: str
    by: Literal["auto", "eval", "you"]
    severity: Severity
    origin: str

    @property
    def code(self) -> str:
        """Stable code of the finding that its absence raises, such as ``param:threshold``."""
        return f"{self.kind}:{self.name}"

    def to_json(self) -> Json:
        """What a decision depends on, without origin and prose."""
        return {
            "kind": self.kind,
            "name": self.name,
            "accepts": list(self.accepts),
            "severity": self.severity,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRecipe:
    """Where evaluation data comes from: the recipe is pinned here, its digest in the decision.

    Attributes:
        data: path of a Parquet or CSV file or a Delta table, relative to the standard's folder.
        label: name of the label column.
        positive: the label value that counts as positive for two classes; None: the larger of the two values.
        row_key: column that identifies a row, such as a customer id; None when rows have no key.
        cluster: column of which equal values are not independent (rows of one customer); None when rows are.
        score: column of a model's output table that holds the score; None: the only or conventional one.
        threshold: decision threshold for models that return scores only; models that decide use their own.
        group: column of which equal values are one list to be ranked, such as a user; None unless ranking.
        k: length at which lists of results are cut off.
        naive: column with the naive forecast that a first release must beat; None without one.
    """

    data: str
    label: str
    positive: bool | int | str | None
    row_key: str | None
    cluster: str | None
    score: str | None
    threshold: float
    group: str | None = None
    k: int = 10
    naive: str | None = None

    def to_json(self) -> Json:
        """All fields, for the rules' digest."""
        return {
            "data": self.data,
            "label": self.label,
            "positive": self.positive,
            "row_key": self.row_key,
            "cluster": self.cluster,
            "score": self.score,
            "threshold": self.threshold,
            "group": self.group,
            "k": self.k,
            "naive": self.naive,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class MarginRule:
    """A comparison with the production baseline on one metric, overall or per slice.

    Attributes:
        metric: name of a metric that the gate computes.
        mode: ``better_by``: gain at least ``margin``; ``no_worse_than``: loss less than ``margin``.
        margin: in units of the metric; 0 or more.
        by: column whose values are the slices; None for the overall comparison.
        only: the slice values that must be assessed one by one; empty: all values found.
        inconclusive: what an undecided slice does to the verdict.
    """

    metric: str
    mode: Mode
    margin: float
    by: str | None = None
    only: tuple[str, ...] = ()
    inconclusive: Severity = "block"

    def to_json(self) -> Json:
        """All fields, for the rules' digest."""
        return {
            "metric": self.metric,
            "mode": self.mode,
            "margin": self.margin,
            "by": self.by,
            "only": list(self.only),
            "inconclusive": self.inconclusive,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdRule:
    """An absolute bound on one metric of the candidate; exactly one of the bounds is set.

    ``latency_p95_ms`` and ``latency_p99_ms`` are metrics here too, measured on single rows.
    """

    metric: str
    at_least: float | None
    at_most: float | None

    def to_json(self) -> Json:
        """All fields, for the rules' digest."""
        return {"metric": self.metric, "at_least": self.at_least, "at_most": self.at_most}


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRules:
    """What a run must show to become a candidate.

    Attributes:
        task: what is predicted, and so how answers are read and measured.
        recipe: the evaluation data.
        primary: the comparison that ranks candidates and guards the release.
        slices: comparisons per slice.
        thresholds: absolute bounds.
        alpha: one-sided error rate of all verdicts on one table together, such as 0.05.
        looks: how many different candidates one evaluation table may judge; each is tested at alpha / looks.
        documented_data: whether training data must be logged with source and digest, and features described.
        reproducible: whether a clean commit, parameters and the frozen environment are required.
        pickle: whether models in pickle formats may be loaded at all.
        labels: ``stable``: the classes and their order must be the production model's and the logged label map's.
    """

    task: Task
    recipe: EvaluationRecipe
    primary: MarginRule
    slices: tuple[MarginRule, ...]
    thresholds: tuple[ThresholdRule, ...]
    alpha: float
    looks: int
    documented_data: bool
    reproducible: bool
    pickle: Literal["refused", "allowed"]
    labels: Literal["stable", "any"] = "any"

    def to_json(self) -> Json:
        """All fields, for the rules' digest."""
        return {
            "task": self.task,
            "recipe": self.recipe.to_json(),
            "primary": self.primary.to_json(),
            "slices": [rule.to_json() for rule in self.slices],
            "thresholds": [rule.to_json() for rule in self.thresholds],
            "alpha": self.alpha,
            "looks": self.looks,
            "documented_data": self.documented_data,
            "reproducible": self.reproducible,
            "pickle": self.pickle,
            "labels": self.labels,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRule:
    """So many different people in this role must approve."""

    role: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentRules:
    """What a release into one environment needs.

    Attributes:
        name: dev, test, prod or the team's own.
        alias: the registry alias that says what is released there.
        approvals: how many people of which role must sign.
        self_approval: ``refused``: an author's approval does not count; ``recorded``: it counts and is shown.
        after: the environment in which this very version must have been released before; None for none.
        checklist: items that an approver must tick; part of the signed approval.
        rollback_plan: whether the proposal must name one.
        server: MLflow tracking URI of an environment with a server of its own; None: the standard's store.
        direct: whether a version may come here from another server without the environment before it.
        monitoring: whether at least one monitor must watch what is released here.
        load_test: whether an endpoint's latency and throughput must have been measured at its stated load.
        reevaluate_days: after so many days a release is due for re-evaluation; None for never.
        origins: who asks for what, by key: ``profile mid`` or ``signoff.yaml:12``. Not part of the digest.
    """

    name: str
    alias: str
    approvals: tuple[ApprovalRule, ...]
    self_approval: Literal["refused", "recorded"]
    after: str | None
    checklist: tuple[str, ...]
    rollback_plan: bool
    server: str | None = None
    direct: Literal["refused", "allowed"] = "refused"
    monitoring: bool = False
    load_test: bool = False
    reevaluate_days: int | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """All fields but the server's address, for the rules' digest: a server may move."""
        return {
            "name": self.name,
            "alias": self.alias,
            "approvals": [{"role": rule.role, "count": rule.count} for rule in self.approvals],
            "self_approval": self.self_approval,
            "after": self.after,
            "checklist": list(self.checklist),
            "rollback_plan": self.rollback_plan,
            "direct": self.direct,
            "monitoring": self.monitoring,
            "load_test": self.load_test,
            "reevaluate_days": self.reevaluate_days,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class UseCaseRules:
    """Everything the standard says about one use case, resolved.

    Attributes:
        name: the use case.
        owner: the person who answers for it.
        model_type: classification, regression, or a type the team added.
        experiments: names of the experiments that belong to it; the first is where new runs go. A name may
            end in ``/*``.
        registered_model: name in the registry.
        run_name: regular expression that a run's whole name must match; None for any.
        requirements: what every run must carry.
        gate: what a candidate must show.
        notes: fields of context that a proposal must fill, such as business_context.
        environments: by name, in the order of the path to production.
        batch: its batch deployment; None without one.
        serving: its real-time deployment; None without one.
        monitors: what is watched in production, and what follows when it leaves its bounds.
        retrain: command that trains a new candidate, run in the standard's folder; None without one.
    """

    name: str
    owner: str
    model_type: str
    experiments: tuple[str, ...]
    registered_model: str
    run_name: str | None
    requirements: tuple[Requirement, ...]
    gate: GateRules
    notes: tuple[str, ...]
    environments: Mapping[str, EnvironmentRules]
    batch: BatchRules | None
    serving: ServingRules | None = None
    monitors: tuple[MonitorRules, ...] = ()
    retrain: str | None = None

    def to_json(self) -> Json:
        """What judges a candidate, for `digest`; environments are left to `environment_digest`."""
        return {
            "use_case": self.name,
            "model_type": self.model_type,
            "experiments": list(self.experiments),
            "registered_model": self.registered_model,
            "run_name": self.run_name,
            "requirements": [r.to_json() for r in sorted(self.requirements, key=lambda r: r.code)],
            "gate": self.gate.to_json(),
            "notes": list(self.notes),
        }

    @property
    def watched(self) -> bool:
        """Whether a monitor measures what is released; a schedule alone only counts days."""
        return any(monitor.kind != "schedule" for monitor in self.monitors)

    @property
    def digest(self) -> Digest:
        """Digest of the rules that judge a candidate: gate decisions name it."""
        return Digest.of_json(self.to_json())

    def environment_digest(self, environment: str) -> Digest:
        """Digest of these rules, the environment's and the deployment's: approvals and releases name it."""
        return Digest.of_json(
            {
                "use_case": self.to_json(),
                "environment": self.environments[environment].to_json(),
                "serving": None if self.serving is None else self.serving.to_json(),
                "monitors": [monitor.to_json() for monitor in self.monitors],
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """A team's standard.

    Attributes:
        path: the file it was read from.
        version: the team's version of it.
        profile: small, mid or enterprise.
        digest: of the file's bytes.
        store: MLflow tracking URI that it names; None: the environment or MLflow's default decides.
        ledger: database URI of the ledger where it is not MLflow's own database; None otherwise.
        roster: path of the roster file, relative to the standard's folder.
        capture: how much of the environment runs record.
        roles: which transitions each role may make.
        use_cases: by name, in file order.
        guard: what the guard of an MLflow server enforces. Not part of any rules' digest.
    """

    path: str
    version: str
    profile: str
    digest: Digest
    store: str | None
    ledger: str | None
    roster: str
    capture: Literal["minimal", "full"]
    roles: Mapping[str, frozenset[Transition]]
    use_cases: Mapping[str, UseCaseRules]
    guard: GuardRules = field(default_factory=lambda: GuardRules(levels={}))
