"""A standard with one use case, a run that conforms to it, and a store in memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from signoff.errors import StoreError
from signoff.record.dataset import DatasetRecord
from signoff.record.digest import Digest
from signoff.record.experiment import ExperimentRecord
from signoff.record.from_mlflow import named_by
from signoff.record.run import LoggedModelRecord, RunRecord
from signoff.record.schema import ColumnRecord, SchemaRecord
from signoff.standard.model import (
    EvaluationRecipe,
    GateRules,
    Kind,
    MarginRule,
    Requirement,
    Severity,
    Standard,
    UseCaseRules,
)

Ask = Callable[..., Requirement]


def _ask(
    kind: Kind, name: str, *others: str, severity: Severity = "block", how: str = "mlflow.log_…"
) -> Requirement:
    return Requirement(
        kind=kind,
        name=name,
        accepts=(name, *others),
        why="a reviewer reads it",
        how=how,
        by="you",
        severity=severity,
        origin="type classification",
    )


@pytest.fixture
def ask() -> Ask:
    return _ask


@pytest.fixture
def rules() -> UseCaseRules:
    return UseCaseRules(
        name="churn",
        owner="ana@shop.example",
        model_type="classification",
        experiments=("churn", "churn/*"),
        registered_model="churn",
        run_name=r"week-\d{4}-\d{2}-\d{2}",
        requirements=(
            _ask("param", "threshold", "decision_*"),
            _ask("metric", "roc_auc", "auc"),
            _ask("tag", "signoff.owner"),
            _ask("tag", "signoff.git.commit"),
            _ask("artifact", "evidence/threshold_rationale*"),
            _ask("artifact", "environment/requirements.txt"),
            _ask("model", "signature", how='mlflow.sklearn.log_model(model, name="model")'),
            _ask("model", "input_example"),
            _ask("dataset", "training"),
        ),
        gate=GateRules(
            task="classification",
            recipe=EvaluationRecipe(
                data="eval.parquet",
                label="churned",
                positive=None,
                row_key=None,
                cluster=None,
                score=None,
                threshold=0.5,
            ),
            primary=MarginRule(metric="roc_auc", mode="no_worse_than", margin=0.01),
            slices=(),
            thresholds=(),
            alpha=0.05,
            looks=5,
            documented_data=True,
            reproducible=True,
            pickle="refused",
        ),
        notes=(),
        environments={},
        batch=None,
    )


@pytest.fixture
def standard(rules: UseCaseRules) -> Standard:
    fraud = replace(rules, name="fraud", experiments=("fraud",), registered_model="fraud")
    return Standard(
        path="signoff.yaml",
        version="3",
        profile="small",
        digest=Digest.of(b"standard"),
        store=None,
        ledger=None,
        roster="signoff.roster.yaml",
        capture="minimal",
        roles={},
        use_cases={"churn": rules, "fraud": fraud},
    )


@pytest.fixture
def model() -> LoggedModelRecord:
    return LoggedModelRecord(
        model_id="m-1",
        name="model",
        uri="models/m-1",
        flavors=("sklearn",),
        inputs=SchemaRecord(columns=(ColumnRecord(name="recency", type="double"),)),
        has_input_example=True,
    )


@pytest.fixture
def run(model: LoggedModelRecord) -> RunRecord:
    return RunRecord(
        run_id="3f2a" + "0" * 28,
        run_name="week-2011-06-05",
        experiment_id="1",
        experiment="churn",
        status="FINISHED",
        user="ben",
        started_at=1,
        ended_at=2,
        params={"threshold": "0.5"},
        metrics={"roc_auc": 0.8},
        tags={
            "signoff.owner": "ana@shop.example",
            "signoff.git.commit": "c" * 40,
            "signoff.git.dirty": "false",
            "signoff.environment.digest": str(Digest.of(b"mlflow==3.17.2\n")),
        },
        artifacts=("environment/requirements.txt", "evidence/threshold_rationale.md"),
        datasets=(
            DatasetRecord(
                name="weeks",
                digest="sha256:1",
                source="weeks.parquet",
                source_type="local",
                context="training",
            ),
        ),
        models=(model,),
    )


@dataclass
class MemoryStore:
    """Implements `RunReader` and `RunWriter` over a list of runs, newest first."""

    held: list[RunRecord]
    known: tuple[ExperimentRecord, ...] = ()
    writes: list[tuple[str, str, str]] = field(default_factory=list)

    def run(self, run_id: str) -> RunRecord:
        for run in self.held:
            if run.run_id == run_id:
                return run
        raise StoreError(f"there is no run {run_id}")

    def runs(self, experiments: tuple[str, ...], *, last: int | None = None) -> tuple[RunRecord, ...]:
        return tuple(run for run in self.held if named_by(run.experiment, experiments))[:last]

    def experiments(self) -> tuple[ExperimentRecord, ...]:
        return self.known

    def log_text(self, run_id: str, path: str, text: str) -> None:
        run = self.run(run_id)
        self._replace(run, replace(run, artifacts=tuple(sorted((*run.artifacts, path)))))
        self.writes.append((run_id, path, text))

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        run = self.run(run_id)
        tags: Mapping[str, str] = {**run.tags, key: value}
        self._replace(run, replace(run, tags=tags))
        self.writes.append((run_id, key, value))

    def _replace(self, old: RunRecord, new: RunRecord) -> None:
        self.held[self.held.index(old)] = new


@pytest.fixture
def store(run: RunRecord) -> MemoryStore:
    return MemoryStore(held=[run])
