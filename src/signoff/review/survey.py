"""Everything that was looked up for one review."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signoff.conformance.decide import check_run
from signoff.evidence.ledger import Entry
from signoff.record.days import day_number
from signoff.record.experiment import ExperimentRecord
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import RunRecord
from signoff.release.history import History
from signoff.release.model import Signed
from signoff.release.people import People
from signoff.review.model import Trace
from signoff.standard.model import Standard, UseCaseRules

DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Production:
    """What is released in the last environment of a use case.

    Attributes:
        environment: its name.
        trace: from the release back to all it rests on, bytes hashed; None when nothing is released or when it
            could not be made.
        failed: why it could not be made; "" otherwise.
    """

    environment: str
    trace: Trace | None
    failed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class UseCaseSurvey:
    """One use case.

    Attributes:
        rules: its rules.
        runs: its runs of the period, newest first.
        findings: per finished run of these the codes of what it lacks.
        versions: its registered versions, highest number first.
        pointed: per environment the version that its alias points at where its releases stand, on a server of
            its own too; None for none, a sentence for why that is not known.
        live_runs: ids of the runs that versions came from and that are still in the store.
        history: all its statements.
        production: its production model.
        predictions: ISO times of the batch outputs that the audit log tells of, oldest first.
        inference_log: whether the folder of the inference log holds a table.
        watch_log: what the audit log says of its monitors' measurements and of what was done for firings, oldest
            first.
    """

    rules: UseCaseRules
    runs: tuple[RunRecord, ...]
    findings: Mapping[str, frozenset[str]]
    versions: tuple[ModelVersionRecord, ...]
    pointed: Mapping[str, int | str | None]
    live_runs: frozenset[str]
    history: History
    production: Production
    predictions: tuple[str, ...] = ()
    inference_log: bool = False
    watch_log: tuple[Entry, ...] = ()

    @property
    def name(self) -> str:
        """The use case."""
        return self.rules.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """The whole store.

    Attributes:
        standard: the team's standard.
        people: the roster and roles.
        store: the store's address without secrets.
        since: first day of the period, ISO.
        today: the last one.
        runs: all active runs of the period, newest first, those outside every boundary included.
        with_files: ids of the runs whose artifacts and models were looked at.
        experiments: all active experiments.
        models: registered models with their number of versions.
        use_cases: in the standard's order.
    """

    standard: Standard
    people: People
    store: str
    since: str
    today: str
    runs: tuple[RunRecord, ...]
    with_files: frozenset[str]
    experiments: tuple[ExperimentRecord, ...]
    models: Mapping[str, int]
    use_cases: tuple[UseCaseSurvey, ...]

    def recent(self, signed: tuple[Signed, ...]) -> tuple[Signed, ...]:
        """The statements that were made in the period."""
        return tuple(one for one in signed if one.text("at")[:10] >= self.since)

    def age(self, at: str) -> int:
        """Days from an ISO time until today."""
        return day_number(self.today) - day_number(at)

    def age_of_ms(self, at: int) -> int:
        """Days from a time in milliseconds since 1970 until today."""
        return day_number(self.today) - at // DAY_MS


def findings_of(rules: UseCaseRules, runs: Iterable[RunRecord]) -> Mapping[str, frozenset[str]]:
    """Per finished run the codes of what it lacks."""
    of_a_model = frozenset(required.code for required in rules.requirements if required.kind == "model")
    return {
        run.run_id: frozenset(finding.code for finding in check_run(rules, run))
        # a run without a model lacks a model's properties too, which `check` says in one finding
        | (frozenset() if run.models else of_a_model)
        for run in runs
        if run.status == "FINISHED"
    }
