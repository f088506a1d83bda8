"""The changes of one flush, and what a rule says to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from signoff.record.digest import Json
from signoff.record.from_mlflow import IS_PROMPT_TAG
from signoff.release.guard.model import Asker, Change, Objection, Operation, Record, VersionFacts
from signoff.release.guard.ports import GuardFacts
from signoff.release.model import Reason
from signoff.standard.guard import GuardRule
from signoff.standard.model import Standard, UseCaseRules

DELETED_STAGE = "Deleted_Internal"
"""Stage by which MLflow marks a deleted version; the row stays, its source and run are blanked."""
SHOWN = 20
"""How many ids an entry or a message names before it only counts the rest."""
_FEW = 5
"""How many names a message gives."""
_LONGEST = 1_000
"""Characters of a value that an entry keeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caution:
    """An objection that refuses nothing, whatever its rule's level.

    Attributes:
        objection: what is said.
        mode: how the entry calls it, such as ``quarantine``.
    """

    objection: Objection
    mode: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """Something governed that happens unless a rule refuses it; the log names it.

    Attributes:
        rule: the rule that governs it.
        use_case: the use case concerned; "" for none.
        operation: what is done, such as ``delete version``.
        subject: to what, such as ``churn/3``.
        detail: further facts for the entry.
    """

    rule: GuardRule
    use_case: str
    operation: str
    subject: str
    detail: Mapping[str, Json]


Said = Objection | Caution | Deed | Record
"""What a rule says: an objection, one that only warns, a deed for the log, or a record that is ready."""


@dataclass(frozen=True)
class Flush:
    """Changes in an order of their own, so that a decision does not depend on the session's.

    Rows that go or are renamed together with the row they hang on are MLflow's own doing: rules judge the latter.
    """

    changes: tuple[Change, ...]

    @classmethod
    def of(cls, changes: Sequence[Change]) -> "Flush":
        """The flush of these changes."""
        return cls(tuple(sorted(changes, key=_place)))

    def rows(self, *tables: str, operation: Operation | None = None) -> tuple[Change, ...]:
        """The changes of these tables, table by table: all of them, or those of one operation."""
        return tuple(
            change
            for table in tables
            for change in self._by_table.get(table, ())
            if operation in (None, change.operation)
        )

    @cached_property
    def _by_table(self) -> Mapping[str, Sequence[Change]]:
        found: dict[str, list[Change]] = {}
        for change in self.changes:
            found.setdefault(change.table, []).append(change)
        return found

    @cached_property
    def models_created(self) -> frozenset[str]:
        """Names of registered models that are new."""
        return frozenset(map(model_name, self.rows("registered_models", operation="insert")))

    @cached_property
    def prompts_created(self) -> frozenset[str]:
        """Those of them that are made as prompts."""
        return self.models_created & frozenset(
            model_name(tag)
            for tag in self.rows("registered_model_tags", operation="insert")
            if tag.value("key") == IS_PROMPT_TAG
        )

    @cached_property
    def models_deleted(self) -> frozenset[str]:
        """Names of registered models that go."""
        return frozenset(map(model_name, self.rows("registered_models", operation="delete")))

    @cached_property
    def models_renamed(self) -> Mapping[str, str]:
        """New names of registered models by their old ones."""
        return {
            model_name(change): str(change.after["name"])
            for change in self.rows("registered_models", operation="update")
            if "name" in change.after
        }

    @cached_property
    def versions_created(self) -> frozenset[tuple[str, int | None]]:
        """Names and numbers of versions that are new."""
        return frozenset(
            (model_name(change), version_number(change))
            for change in self.rows("model_versions", operation="insert")
        )

    @cached_property
    def versions_deleted(self) -> frozenset[tuple[str, int | None]]:
        """Names and numbers of versions that go."""
        return frozenset(
            (model_name(change), version_number(change))
            for change in self.rows("model_versions")
            if deletes_version(change)
        )

    @cached_property
    def experiments_deleted(self) -> frozenset[str]:
        """Ids of experiments that go, to the bin or for good."""
        return frozenset(experiment_id(change) for change in self.rows("experiments") if goes(change))

    @cached_property
    def experiments_removed(self) -> frozenset[str]:
        """Ids of experiments whose rows go."""
        return frozenset(map(experiment_id, self.rows("experiments", operation="delete")))

    @cached_property
    def runs_removed(self) -> frozenset[str]:
        """Ids of runs whose rows go."""
        return frozenset(map(run_id_of, self.rows("runs", operation="delete")))

    def goes_with_model(self, change: Change) -> bool:
        """Whether a row hangs on a registered model that goes or is renamed in the same flush."""
        name = model_name(change)
        if name in self.models_deleted:
            return change.operation == "delete"
        return change.operation == "update" and change.after.get("name") == self.models_renamed.get(name, "")

    def goes_with_version(self, change: Change) -> bool:
        """Whether a row goes because its version does."""
        return change.operation == "delete" and (
            self.goes_with_model(change)
            or (model_name(change), version_number(change)) in self.versions_deleted
        )


def model_name(change: Change) -> str:
    """The registered model's name, as it was before the change; "" when the row does not say."""
    return change.before.get("name") or change.value("name") or ""


def version_number(change: Change) -> int | None:
    """The version's number after the change; None when the row does not say."""
    text = change.value("version")
    return int(text) if text is not None and text.isdecimal() else None


def experiment_id(change: Change) -> str:
    """The experiment's id; "" for one that has none yet."""
    return change.value("experiment_id") or ""


def run_id_of(change: Change) -> str:
    """The run's id, of a row that has it under this name; "" when the row does not say."""
    return change.value("run_uuid") or ""


def goes(change: Change) -> bool:
    """Whether an experiment, run or logged model goes, to the bin or for good."""
    return change.operation == "delete" or change.after.get("lifecycle_stage") == "deleted"


def returns(change: Change) -> bool:
    """Whether an experiment or run comes back from the bin."""
    return change.operation == "update" and change.after.get("lifecycle_stage") == "active"


def deletes_version(change: Change) -> bool:
    """Whether a change of ``model_versions`` takes the version away: MLflow blanks the row and keeps it."""
    return change.operation == "delete" or change.after.get("current_stage") == DELETED_STAGE


def rules_of_model(standard: Standard, name: str) -> UseCaseRules | None:
    """The use case that a registered model belongs to; None for none."""
    return next((rules for rules in standard.use_cases.values() if rules.registered_model == name), None)


def use_case_name(standard: Standard, name: str) -> str:
    """The name of a registered model's use case; "" for none."""
    rules = rules_of_model(standard, name)
    return "" if rules is None else rules.name


def is_prompt(flush: Flush, facts: GuardFacts, name: str) -> bool:
    """Whether a registered model is a prompt. A use case's never is: anybody can set the tag."""
    if rules_of_model(facts.standard, name) is not None:
        return False
    return name in flush.prompts_created or facts.is_prompt(name)


def version_called(facts: GuardFacts, label: str) -> VersionFacts | None:
    """The version of a label such as ``churn/3``, whose first part is a use case or a registered model."""
    name, _, number = label.rpartition("/")
    rules = facts.standard.use_cases.get(name)
    if not number.isdecimal():
        return None
    return facts.version(name if rules is None else rules.registered_model, int(number))


def use_case_of_label(standard: Standard, label: str) -> str:
    """The use case of a label such as ``churn/3``; "" for none."""
    name = label.rpartition("/")[0]
    return name if name in standard.use_cases else use_case_name(standard, name)


def unknown_model(facts: GuardFacts, name: str) -> Reason:
    """The reason that a registered model belongs to no use case."""
    return Reason(
        code="model-unknown",
        message=f"{name} is the registered model of no use case",
        fix=f"add one under use_cases in {facts.standard.path} with `registered_model: {name}`, "
        f"or use one of: {', '.join(rules.registered_model for rules in facts.standard.use_cases.values())}",
    )


def kept(values: Mapping[str, str | None]) -> dict[str, Json]:
    """A row's values for an entry, long ones cut."""
    return {name: value if value is None else value[:_LONGEST] for name, value in sorted(values.items())}


def first_few(names: Sequence[str]) -> str:
    """The first names, for a message; further ones are hinted at."""
    return f"{', '.join(names[:_FEW])}{', …' if len(names) > _FEW else ''}"


def some(ids: Sequence[str]) -> dict[str, Json]:
    """The first ids and how many there are, for an entry."""
    return {"count": len(ids), "first": list(ids[:SHOWN])}


def owner_detail(asker: Asker) -> dict[str, Json]:
    """Who answers for something new: whom the server authenticated, never what a client says."""
    return {"owner": asker.name}


def _place(change: Change) -> tuple[object, ...]:
    return (
        change.table,
        change.operation,
        sorted(change.key.items()),
        *(
            sorted((name, value or "", value is None) for name, value in values.items())
            for values in (change.before, change.after)
        ),
    )
