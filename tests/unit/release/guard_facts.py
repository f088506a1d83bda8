"""A team's server in memory, and the rows that MLflow writes for each request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from signoff.evidence.dsse import Envelope
from signoff.release.guard.model import (
    AliasAnswer,
    Asker,
    Change,
    Override,
    Record,
    RunFacts,
    VersionFacts,
    governed_entry,
)
from signoff.release.model import Reason
from signoff.standard.guard import GUARD_RULES, GuardRule, GuardRules, Level
from signoff.standard.load import load_standard
from signoff.standard.model import Standard

ANA = Asker(login="ana", person="ana@shop.example")
CLEO = Asker(login="cleo", person="cleo@shop.example")
NOW = "2026-11-23T07:00:00Z"

RUN = "1" * 32
FROZEN = "2" * 32
RUNNING = "3" * 32
OLD = "4" * 32
"""A run that a version was proposed and released from."""
MISSING = Reason(
    code="approval-missing",
    message="one approval by reviewer is missing",
    fix="signoff approve churn/7 --env prod",
)

STANDARD = load_standard(
    """\
signoff: 1
profile: mid
use_cases:
  churn:
    owner: ana@shop.example
    type: classification
    experiment: [churn, "churn/*"]
    evaluate: {data: eval/week.parquet, label: churned}
    primary: {metric: roc_auc, no_worse_than: 0.01}
  fraud:
    owner: cleo@shop.example
    type: classification
    evaluate: {data: eval/fraud.parquet, label: fraud}
    primary: {metric: roc_auc, no_worse_than: 0.01}
""",
    "signoff.yaml",
)


def at(level: Level, **others: Level) -> GuardRules:
    """Rules that are all at one level, but for those that are named, with ``_`` for ``-``."""
    named = {rule: others.get(rule.replace("-", "_"), level) for rule in GUARD_RULES}
    return GuardRules(levels=named)


@dataclass(kw_only=True)
class Facts:
    """`GuardFacts` in memory: churn/3 is released in prod, churn/5 proposed, churn/6 only registered."""

    rules: GuardRules = field(default_factory=lambda: at("enforce"))
    standard: Standard = STANDARD
    today: str = NOW
    users: tuple[str, ...] = ("ana", "ana@shop.example", "cleo")
    artifact_root: str = "mlflow-artifacts:/"
    runs: dict[str, RunFacts] = field(
        default_factory=lambda: {
            RUN: RunFacts(run_id=RUN, experiment="churn", status="FINISHED"),
            RUNNING: RunFacts(run_id=RUNNING, experiment="churn", status="RUNNING"),
            FROZEN: RunFacts(run_id=FROZEN, experiment="churn", status="FINISHED", frozen_by="churn/5"),
            OLD: RunFacts(
                run_id=OLD,
                experiment="churn",
                status="FINISHED",
                frozen_by="churn/3",
                released_as=("churn/3",),
            ),
        }
    )
    models: dict[str, str] = field(
        default_factory=lambda: {"m-run": RUN, "m-frozen": FROZEN, "m-running": RUNNING, "m-old": OLD}
    )
    experiments: dict[str, str] = field(
        default_factory=lambda: {"0": "Default", "1": "churn", "2": "fraud", "3": "sandbox"}
    )
    frozen: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"1": ("churn/3", "churn/5")})
    known: dict[tuple[str, int], VersionFacts] = field(
        default_factory=lambda: {
            ("churn", 3): VersionFacts(
                name="churn", number=3, run_id=OLD, proposed=True, released_in=("test", "prod")
            ),
            ("churn", 5): VersionFacts(name="churn", number=5, run_id=FROZEN, proposed=True),
            ("churn", 6): VersionFacts(name="churn", number=6, run_id=RUN, proposed=False),
            ("legacy", 1): VersionFacts(name="legacy", number=1, run_id=RUN, proposed=False),
            ("greeting", 1): VersionFacts(name="greeting", number=1, run_id=None, proposed=False),
            ("answer", 1): VersionFacts(
                name="answer", number=1, run_id=None, proposed=True, released_in=("prod",)
            ),
        }
    )
    pointed: dict[tuple[str, str], int] = field(
        default_factory=lambda: {("churn", "prod"): 3, ("churn", "shadow"): 5, ("greeting", "draft"): 1}
    )
    prompts: frozenset[str] = frozenset({"greeting", "answer"})
    current: dict[tuple[str, str], int] = field(default_factory=lambda: {("churn", "prod"): 3})
    lacking: dict[str, tuple[Reason, ...]] = field(default_factory=dict)
    """What registrations lack, by run."""
    allowed: frozenset[tuple[str, str, int]] = frozenset({("churn", "prod", 3), ("churn", "dev", 5)})
    """Aliases that the release decision lets move."""
    broken_glass: tuple[Override, ...] = ()

    def run(self, run_id: str) -> RunFacts | None:
        """See `GuardFacts`."""
        return self.runs.get(run_id)

    def artifacts(self, run_id: str) -> str | None:
        """See `GuardFacts`."""
        return f"mlflow-artifacts:/1/{run_id}/artifacts" if run_id in self.runs else None

    def run_of_model(self, model_id: str) -> RunFacts | None:
        """See `GuardFacts`."""
        return self.runs.get(self.models.get(model_id, ""))

    def experiment_name(self, experiment_id: str) -> str | None:
        """See `GuardFacts`."""
        return self.experiments.get(experiment_id)

    def frozen_in(self, experiment_id: str) -> tuple[str, ...]:
        """See `GuardFacts`."""
        return self.frozen.get(experiment_id, ())

    def version(self, name: str, number: int) -> VersionFacts | None:
        """See `GuardFacts`."""
        return self.known.get((name, number))

    def versions(self, name: str) -> tuple[VersionFacts, ...]:
        """See `GuardFacts`."""
        return tuple(version for version in self.known.values() if version.name == name)

    def alias(self, name: str, alias: str) -> int | None:
        """See `GuardFacts`."""
        return self.pointed.get((name, alias))

    def aliases(self, name: str, number: int) -> tuple[str, ...]:
        """See `GuardFacts`."""
        return tuple(alias for (model, alias), at in self.pointed.items() if (model, at) == (name, number))

    def is_prompt(self, name: str) -> bool:
        """See `GuardFacts`."""
        return name in self.prompts

    def registration(self, name: str, run_id: str, model: str) -> tuple[Reason, ...]:
        """See `GuardFacts`."""
        assert name in {rules.registered_model for rules in self.standard.use_cases.values()}
        assert self.models.get(model) == run_id or model == f"{self.artifacts(run_id)}/model"
        return self.lacking.get(run_id, ())

    def released(self, name: str, environment: str) -> int | None:
        """See `GuardFacts`."""
        return self.current.get((name, environment))

    def alias_answer(self, name: str, environment: str, number: int, asker: Asker) -> AliasAnswer:
        """See `GuardFacts`."""
        if (name, environment, number) not in self.allowed:
            return AliasAnswer(reasons=(MISSING,))
        entry = governed_entry(
            at=NOW, asker=asker, action="promote", use_case=name, subject=f"{name}/{number} to {environment}"
        )
        envelope = Envelope(payload=b"{}", signatures=())
        return AliasAnswer(
            reasons=(), records=(Record(entry=entry, envelope=envelope, version=f"{name}/{number}"),)
        )

    def overrides(self, use_case: str) -> tuple[Override, ...]:
        """See `GuardFacts`."""
        return tuple(override for override in self.broken_glass if override.use_case == use_case)


def break_glass(rule: GuardRule, use_case: str = "churn") -> Override:
    """An override that is in force."""
    return Override(
        rule=rule,
        use_case=use_case,
        by="cleo@shop.example",
        reason="the shop is down",
        until="2026-11-23T09:00:00Z",
        statement="sha256:" + "a" * 64,
    )


def with_run(facts: Facts, run_id: str, **values: str) -> Facts:
    """The same server where a run has other values."""
    status, experiment = values.get("status"), values.get("experiment")
    run = facts.runs[run_id]
    changed = replace(run, status=status or run.status, experiment=experiment or run.experiment)
    return replace(facts, runs={**facts.runs, run_id: changed})


def inserted(table: str, /, **values: str | None) -> Change:
    """A new row."""
    return Change(table=table, operation="insert", key={}, before={}, after=values)


def updated(
    table: str, key: Mapping[str, str], before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> Change:
    """A changed row."""
    return Change(table=table, operation="update", key=key, before=before, after=after)


def deleted(table: str, /, **values: str | None) -> Change:
    """A row that goes."""
    key = {name: value for name, value in values.items() if value is not None}
    return Change(table=table, operation="delete", key=key, before=values, after={})
