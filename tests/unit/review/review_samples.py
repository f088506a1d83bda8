"""A store as a review finds it: runs that a small standard asks a few things of, and a desk of statements."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from release_changes import digest
from release_samples import BEN, PEOPLE, STANDARD, Desk, Key

from signoff.evidence.ledger import Entry
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Json
from signoff.record.experiment import ExperimentRecord
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import LoggedModelRecord, RunRecord
from signoff.release.history import History
from signoff.review.checklist import Item, Section
from signoff.review.model import Trace
from signoff.review.survey import Production, Survey, UseCaseSurvey, findings_of
from signoff.standard.load import load_standard
from signoff.standard.model import Standard, UseCaseRules

FILE = "signoff.yaml"
TEXT = (
    STANDARD
    + """\
    run_name: week-.*
    require:
      params: [feature_window]
      artifacts: [calibration]
"""
)
LOADED = load_standard(TEXT, FILE)
RULES = LOADED.use_cases["churn"]
ASKED = replace(RULES, requirements=tuple(r for r in RULES.requirements if r.origin.startswith(FILE)))
"""The rules with the team's own requirements alone: roc_auc, feature_window, calibration."""
TODAY = "2026-11-23"
SINCE = "2026-09-01"
DAY = 86_400_000
TODAY_MS = 20_780 * DAY  # 2026-11-23


def run(number: int = 1, **changed: object) -> RunRecord:
    """A run that conforms to `ASKED`, with some fields changed."""
    model = LoggedModelRecord(
        model_id=f"m-{number}",
        name="model",
        uri="",
        flavors=("sklearn",),
        inputs=None,
        has_input_example=True,
    )
    record = RunRecord(
        run_id=f"{number:032x}",
        run_name=f"week-{number}",
        experiment_id="1",
        experiment="churn",
        status="FINISHED",
        user="ana",
        started_at=TODAY_MS,
        ended_at=TODAY_MS + 1,
        params={"feature_window": "30"},
        metrics={"roc_auc": 0.8},
        tags={"signoff.git.dirty": "false"},
        artifacts=("evidence/calibration.json",),
        datasets=(),
        models=(model,),
    )
    return replace(record, **changed)  # type: ignore[arg-type]  # fields by name, as replace takes them


def version(number: int = 1, *, days: int = 0, **changed: object) -> ModelVersionRecord:
    """A registered version of so many days ago."""
    record = ModelVersionRecord(
        name="churn",
        version=number,
        run_id=f"run of model {number}",
        model_id=None,
        uri="",
        aliases=(),
        created_at=TODAY_MS - days * DAY,
    )
    return replace(record, **changed)  # type: ignore[arg-type]


def use_case(
    *,
    rules: UseCaseRules = ASKED,
    runs: Iterable[RunRecord] = (),
    versions: Iterable[ModelVersionRecord] = (),
    history: History | None = None,
    trace: Trace | None = None,
    failed: str = "",
    live: frozenset[str] | None = None,
    predictions: tuple[str, ...] = (),
    pointed: Mapping[str, int | str | None] | None = None,
    inference_log: bool = False,
    watch_log: tuple[Entry, ...] = (),
) -> UseCaseSurvey:
    kept, registered = tuple(runs), tuple(versions)
    aliases = {alias: v.version for v in registered for alias in v.aliases}
    return UseCaseSurvey(
        rules=rules,
        runs=kept,
        findings=findings_of(rules, kept),
        versions=registered,
        pointed={name: aliases.get(e.alias) for name, e in rules.environments.items()}
        if pointed is None
        else pointed,
        live_runs=frozenset(v.run_id for v in registered if v.run_id) if live is None else live,
        history=history or History(statements=()),
        production=Production(environment="prod", trace=trace, failed=failed),
        predictions=predictions,
        inference_log=inference_log,
        watch_log=watch_log,
    )


def survey(
    one: UseCaseSurvey | None = None,
    *,
    standard: Standard = LOADED,
    outside: Iterable[RunRecord] = (),
    experiments: Iterable[str] = ("churn",),
    models: Mapping[str, int] | None = None,
    with_files: frozenset[str] | None = None,
) -> Survey:
    chosen = one or use_case()
    runs = (*chosen.runs, *outside)
    return Survey(
        standard=standard,
        people=PEOPLE,
        store="sqlite:///mlflow.db",
        since=SINCE,
        today=TODAY,
        runs=runs,
        with_files=frozenset(r.run_id for r in chosen.runs) if with_files is None else with_files,
        experiments=tuple(
            ExperimentRecord(experiment_id=str(n), name=name, runs=1, users=("ana",))
            for n, name in enumerate(experiments)
        ),
        models={"churn": 1} if models is None else models,
        use_cases=(chosen,),
    )


def say(
    desk: Desk,
    kind: Literal["rejection", "waiver", "trigger", "canary", "load-test"],
    *keys: Key,
    at: str = "",
    **fields: Json,
) -> None:
    """Lay down a statement of that kind about model 1."""
    statement = Statement(
        kind=kind,
        subjects=(Subject(name="model", digest=digest("model 1")),),
        predicate={"use_case": "churn", "at": at or desk.at, **fields},
    )
    desk.say(kind, statement, *(keys or (BEN,)))


def reject(desk: Desk, comment: str, code: str = "missing-artifact", at: str = "", version: int = 1) -> None:
    """A signed rejection."""
    say(desk, "rejection", at=at, code=code, comment=comment, version=version, environment="prod")


def item(section: Section, code: str) -> Item:
    """The one item with that code."""
    found = [one for one in section.items if one.code == code]
    assert len(found) == 1, [one.code for one in section.items]
    return found[0]


def answer(section: Section, code: str) -> str:
    """Its answer; "" when there is no such item."""
    return next((one.answer for one in section.items if one.code == code), "")
