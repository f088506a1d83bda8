"""What the guard's decisions need from elsewhere, and what the hooks need from the guard."""

from typing import Protocol

from signoff.release.guard.model import (
    AliasAnswer,
    Asker,
    Change,
    Override,
    Record,
    Ruling,
    RunFacts,
    VersionFacts,
)
from signoff.release.model import Reason
from signoff.standard.guard import GuardRule, GuardRules
from signoff.standard.model import Standard


class StoreLookup(Protocol):
    """Reads MLflow's rows in the very transaction that is being decided; implemented by the hooks.

    Nothing here writes or flushes. Ids that are not there give None or nothing.
    """

    @property
    def connection(self) -> object:
        """The driver's DBAPI connection of that transaction: the ledger is read with it, and not written."""

    def run(self, run_id: str) -> tuple[str, str, str] | None:
        """(experiment id, status, freeze mark) of a run; the mark is "" when it is not frozen."""

    def experiment(self, experiment_id: str) -> str | None:
        """Name of an experiment."""

    def artifacts(self, run_id: str) -> str | None:
        """Artifact URI of a run, as MLflow keeps it."""

    def run_of_model(self, model_id: str) -> str | None:
        """The run that logged a model."""

    def frozen_runs(self, experiment_id: str) -> tuple[str, ...]:
        """Ids of the experiment's frozen runs."""

    def versions_of_run(self, run_id: str) -> tuple[tuple[str, int], ...]:
        """(registered model, version) of each version made from a run."""

    def version(self, name: str, number: int) -> tuple[str | None, str] | None:
        """(run id, source) of a version."""

    def versions(self, name: str) -> tuple[int, ...]:
        """Numbers of a registered model's versions."""

    def alias(self, name: str, alias: str) -> int | None:
        """The version that an alias points at now."""

    def aliases(self, name: str, number: int) -> tuple[str, ...]:
        """Aliases that point at a version."""

    def is_prompt(self, name: str) -> bool:
        """Whether a registered model is a prompt."""

    def prompt_text(self, name: str, number: int) -> str | None:
        """The text of a prompt's version; None when there is none."""


class GuardFacts(Protocol):
    """What the pure decisions ask; implemented by the server's program over `StoreLookup` and the ledger."""

    @property
    def standard(self) -> Standard:
        """The standard in force."""

    @property
    def rules(self) -> GuardRules:
        """Its guard's rules."""

    @property
    def today(self) -> str:
        """ISO 8601 UTC, to the second."""

    @property
    def users(self) -> tuple[str, ...]:
        """Logins and e-mails of known people, to recognise experiments that are named after one."""

    @property
    def artifact_root(self) -> str:
        """The server's default artifact root, below which MLflow places experiments that name no location."""

    def run(self, run_id: str) -> RunFacts | None:
        """A run; None when there is none."""

    def artifacts(self, run_id: str) -> str | None:
        """Artifact URI of a run, as MLflow keeps it."""

    def run_of_model(self, model_id: str) -> RunFacts | None:
        """The run that logged a model; None when none did."""

    def experiment_name(self, experiment_id: str) -> str | None:
        """Name of an experiment."""

    def frozen_in(self, experiment_id: str) -> tuple[str, ...]:
        """Versions, such as ``churn/3``, whose proposals froze runs of the experiment, or that were inherited."""

    def version(self, name: str, number: int) -> VersionFacts | None:
        """A version; None when there is none."""

    def versions(self, name: str) -> tuple[VersionFacts, ...]:
        """All versions of a registered model."""

    def alias(self, name: str, alias: str) -> int | None:
        """The version that an alias points at now."""

    def aliases(self, name: str, number: int) -> tuple[str, ...]:
        """Aliases that point at a version."""

    def is_prompt(self, name: str) -> bool:
        """Whether a registered model is a prompt."""

    def registration(self, name: str, run_id: str, model: str) -> tuple[Reason, ...]:
        """What a registration of a run's model in its use case lacks: conformance, gate or waiver, other bytes.

        Args:
            name: registered model.
            run_id: the run.
            model: the logged model's id, or where the files to be registered lie.
        """

    def released(self, name: str, environment: str) -> int | None:
        """The version that signed statements say is released (or inherited) in an environment; None for none."""

    def alias_answer(self, name: str, environment: str, number: int, asker: Asker) -> AliasAnswer:
        """May the asker point the environment's alias at this version now? The same decision as `signoff promote`.

        The version that is released already may be pointed at again. Else the server signs the release on behalf
        of the authenticated person, where the roster vouches for the server's key.
        """

    def overrides(self, use_case: str) -> tuple[Override, ...]:
        """Break-glass statements in force now for a use case."""


class Guard(Protocol):
    """Decides; called by the hooks inside MLflow's transactions. Implemented by the server's program."""

    def armed(self) -> bool:
        """False while the server starts: MLflow then makes its own first rows."""

    def asker(self) -> Asker | None:
        """Who asks in this thread or task; None when nobody is known, and then nothing may be written."""

    def rules(self) -> GuardRules:
        """The rules in force: asked at every write, so kept in memory."""

    def decide(self, changes: tuple[Change, ...], *, lookup: StoreLookup) -> Ruling:
        """The answer to the governed changes of one flush or bulk statement.

        Never raises for a decision; what cannot be decided (ledger unreachable, standard broken) is a refusal.

        Raises:
            NotReadError: inside of `signoff.release.guard.ahead.reading_ahead`, when it needs more than was read.
        """

    def link(self, rule: GuardRule) -> str:
        """Where whoever was refused by a rule reads more: the standard's address, else the server's own page."""

    def told(self, ruling: Ruling) -> None:
        """Remember refusals and warnings of this request, to write them down after its response."""

    def write(self, records: tuple[Record, ...], *, connection: object) -> None:
        """Write records in the transaction that the hooks are about to commit.

        Args:
            records: what `decide` gave; nothing is called for none.
            connection: the driver's DBAPI connection of that transaction, after its last flush.

        Raises:
            StoreError: the use case has a newer entry than what was decided on, or the ledger cannot be written:
                the transaction must be refused.
        """
