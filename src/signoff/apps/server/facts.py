"""What the guard's decisions ask, answered from the transaction in hand, the ledger, and the standard in force."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from signoff.apps.server.button import Button
from signoff.apps.server.in_force import RulesInForce
from signoff.apps.server.ledger_view import Seen
from signoff.errors import SignoffError
from signoff.record.bundle import prompt_digest
from signoff.release.components import components_named
from signoff.release.guard.ahead import NotReadError
from signoff.release.guard.model import AliasAnswer, Asker, Override, RunFacts, VersionFacts
from signoff.release.guard.ports import StoreLookup
from signoff.release.guard.stated import stated_runs
from signoff.release.history import History
from signoff.release.inherited import standing_version, taken_over
from signoff.release.model import Reason
from signoff.release.override import overrides_in_force
from signoff.standard.guard import GuardRules
from signoff.standard.model import Standard, UseCaseRules

_log = logging.getLogger(__name__)


def undecided(error: Exception) -> Reason:
    """What could not be decided, as a reason: an error that reached MLflow would be asked again for minutes."""
    if not isinstance(error, SignoffError):
        _log.error("signoff: undecided", exc_info=error)
        message = "it cannot be decided now: an error of the server, which its log names"
        return Reason(code="undecided", message=message, fix="ask whoever runs the server")
    _log.warning("signoff: undecided: %s", error)
    hint = error.hint or "try again; if it stays, ask whoever runs the server"
    where = "" if error.where is None else f" ({error.where})"
    return Reason(code="undecided", message=f"it cannot be decided now: {error.what}{where}", fix=hint)


@dataclass(kw_only=True, slots=True)
class Facts:
    """`GuardFacts` for the changes of one flush.

    Attributes:
        in_force: standard and roster.
        lookup: MLflow's rows in the transaction that is decided.
        seen: reads the log and a use case's history, by its name.
        button: decides on aliases and registrations.
        now: ISO 8601 UTC, to the second.
        root: the server's default artifact root.
    """

    in_force: RulesInForce
    lookup: StoreLookup
    seen: Callable[[str], Seen]
    button: Button
    now: str
    root: str
    _seen: dict[str, Seen] = field(default_factory=dict, repr=False)
    _runs: dict[str, RunFacts | None] = field(default_factory=dict, repr=False)
    _named: dict[str, frozenset[int | None]] = field(default_factory=dict, repr=False)

    @property
    def standard(self) -> Standard:
        """See `GuardFacts`."""
        return self.in_force.standard

    @property
    def rules(self) -> GuardRules:
        """See `GuardFacts`."""
        return self.in_force.standard.guard

    @property
    def today(self) -> str:
        """See `GuardFacts`."""
        return self.now

    @property
    def users(self) -> tuple[str, ...]:
        """See `GuardFacts`."""
        people = (person for person in self.in_force.people.roster.people if not person.vouches)
        return tuple(name for person in people for name in (person.email, person.name, *person.also))

    @property
    def artifact_root(self) -> str:
        """See `GuardFacts`."""
        return self.root

    def artifacts(self, run_id: str) -> str | None:
        """See `GuardFacts`."""
        return self.lookup.artifacts(run_id)

    def run(self, run_id: str) -> RunFacts | None:
        """See `GuardFacts`. A run is frozen by its mark, and by a signed proposal or inheritance in the ledger."""
        if run_id not in self._runs:
            self._runs[run_id] = self._run(run_id)
        return self._runs[run_id]

    def _run(self, run_id: str) -> RunFacts | None:
        found = self.lookup.run(run_id)
        if found is None:
            return None
        experiment_id, status, mark = found
        versions = [
            self._version(name, number, run_id)
            for name, number in self.lookup.versions_of_run(run_id)
            if self._is_named(name, number)
        ]
        frozen_by = next((f"{v.name}/{v.number}" for v in versions if v.proposed or v.released_in), "")
        return RunFacts(
            run_id=run_id,
            experiment=self.lookup.experiment(experiment_id) or "",
            status=status,
            frozen_by=frozen_by or ("a proposal" if mark else ""),
            released_as=tuple(f"{v.name}/{v.number}" for v in versions if v.released_in),
        )

    def _is_named(self, name: str, number: int) -> bool:
        """Whether a statement is about the version; of the many that training registers most have none."""
        rules = self._rules_of(name)
        if rules is None:
            return True  # a prompt is named by its text
        if name not in self._named:
            statements = self._history(rules).statements
            self._named[name] = frozenset(signed.number("version") for signed in statements)
        return number in self._named[name]

    def run_of_model(self, model_id: str) -> RunFacts | None:
        """See `GuardFacts`."""
        run_id = self.lookup.run_of_model(model_id)
        return None if run_id is None else self.run(run_id)

    def experiment_name(self, experiment_id: str) -> str | None:
        """See `GuardFacts`."""
        return self.lookup.experiment(experiment_id)

    def frozen_in(self, experiment_id: str) -> tuple[str, ...]:
        """See `GuardFacts`."""
        runs = dict.fromkeys((*self.lookup.frozen_runs(experiment_id), *self._stated_runs(experiment_id)))
        facts = (self.run(run_id) for run_id in runs)
        return tuple(dict.fromkeys(run.frozen_by for run in facts if run is not None and run.frozen_by))

    def _stated_runs(self, experiment_id: str) -> Iterator[str]:
        """Runs of the experiment that signed statements rest on."""
        for rules in self.standard.use_cases.values():
            for stated in stated_runs(rules, self._history(rules)):
                found = self.lookup.run(stated.run_id)
                if found is not None and found[0] == experiment_id:
                    yield stated.run_id

    def version(self, name: str, number: int) -> VersionFacts | None:
        """See `GuardFacts`."""
        found = self.lookup.version(name, number)
        return None if found is None else self._version(name, number, found[0])

    def _version(self, name: str, number: int, run_id: str | None) -> VersionFacts:
        rules = self._rules_of(name)
        if rules is None:
            return self._prompt(name, number, run_id)
        history = self._history(rules)
        proposal = history.proposal(number)
        return VersionFacts(
            name=name,
            number=number,
            run_id=run_id,
            # MLflow gives the number of a deleted version again: what was proposed under it is another run's.
            proposed=proposal is not None and proposal.text("run_id") == (run_id or ""),
            released_in=tuple(
                environment
                for environment in rules.environments
                if self._released(history, environment, number)
            ),
        )

    def _prompt(self, name: str, number: int, run_id: str | None) -> VersionFacts:
        """A version of no use case. A prompt's is proposed and released with the bundles that carry it."""
        text = self.lookup.prompt_text(name, number) if self.lookup.is_prompt(name) else None
        digest = None if text is None else prompt_digest(name, number, text)
        carried = [
            signed
            for rules in (self.standard.use_cases.values() if digest is not None else ())
            for kind in ("proposal", "release")
            for signed in self._history(rules).of(kind)
            if signed.signers and components_named(signed.statement).get("prompt") == digest
        ]
        return VersionFacts(
            name=name,
            number=number,
            run_id=run_id,
            proposed=bool(carried),
            released_in=tuple(
                dict.fromkeys(s.text("environment") for s in carried if s.statement.kind == "release")
            ),
        )

    def _released(self, history: History, environment: str, number: int) -> bool:
        taken = taken_over(history, environment, self.in_force.people)
        return (taken is not None and taken.version == number) or any(
            signed.signers
            and signed.text("environment") == environment
            and signed.number("version") == number
            for signed in history.of("release")
        )

    def versions(self, name: str) -> tuple[VersionFacts, ...]:
        """See `GuardFacts`."""
        found = (self.version(name, number) for number in self.lookup.versions(name))
        return tuple(version for version in found if version is not None)

    def alias(self, name: str, alias: str) -> int | None:
        """See `GuardFacts`."""
        return self.lookup.alias(name, alias)

    def aliases(self, name: str, number: int) -> tuple[str, ...]:
        """See `GuardFacts`."""
        return self.lookup.aliases(name, number)

    def is_prompt(self, name: str) -> bool:
        """See `GuardFacts`."""
        return self.lookup.is_prompt(name)

    def registration(self, name: str, run_id: str, model: str) -> tuple[Reason, ...]:
        """See `GuardFacts`."""
        rules = self._rules_of(name)
        if rules is None:
            return (Reason(code="model-unknown", message=f"{name} is the registered model of no use case"),)
        run = self.run(run_id)
        frozen = run is not None and bool(run.frozen_by)
        history = self._history(rules)
        try:
            return self.button.registration(
                rules, run_id, model, history=history, frozen=frozen, now=self.now
            )
        except NotReadError:
            raise
        except Exception as error:  # noqa: BLE001 - the rule's level decides what comes of it
            return (undecided(error),)

    def released(self, name: str, environment: str) -> int | None:
        """See `GuardFacts`."""
        rules = self._rules_of(name)
        if rules is None:
            return None
        return standing_version(self._history(rules), environment, self.in_force.people)

    def alias_answer(self, name: str, environment: str, number: int, asker: Asker) -> AliasAnswer:
        """See `GuardFacts`."""
        rules = self._rules_of(name)
        found = self.lookup.version(name, number)
        if rules is None or found is None:
            message = f"there is no {name}/{number}" if rules is not None else f"{name} is of no use case"
            return AliasAnswer(reasons=(Reason(code="version-unknown", message=message),))
        seen = self._read(rules)
        try:
            return self.button.answer(
                rules,
                rules.environments[environment],
                number,
                run_id=found[0],
                asker=asker,
                seen=seen,
                now=self.now,
            )
        except NotReadError:
            raise
        except Exception as error:  # noqa: BLE001 - the rule's level decides what comes of it
            return AliasAnswer(reasons=(undecided(error),))

    def overrides(self, use_case: str) -> tuple[Override, ...]:
        """See `GuardFacts`."""
        rules = self.standard.use_cases.get(use_case)
        return (
            () if rules is None else overrides_in_force(self._history(rules), self.in_force.people, self.now)
        )

    def _rules_of(self, name: str) -> UseCaseRules | None:
        return next((r for r in self.standard.use_cases.values() if r.registered_model == name), None)

    def _history(self, rules: UseCaseRules) -> History:
        return self._read(rules).history

    def _read(self, rules: UseCaseRules) -> Seen:
        """The use case's history, read once for this decision."""
        if rules.name not in self._seen:
            self._seen[rules.name] = self.seen(rules.name)
        return self._seen[rules.name]
