"""What a client asks the server to change, what is known about it, and the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry
from signoff.record.digest import Json
from signoff.release.model import Reason
from signoff.standard.guard import GuardRule

Operation = Literal["insert", "update", "delete"]
NOT_ENDED = frozenset({"RUNNING", "SCHEDULED"})
"""Statuses of a run that goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One row that a transaction would write.

    Attributes:
        table: MLflow's name of it, such as ``registered_model_aliases``.
        operation: what would happen to the row.
        key: the row's primary key, column to text.
        before: values before; of an update the changed columns, of a delete every loaded column; empty for an insert.
        after: values after; of an update the changed columns, of an insert every column that is set.

    Numbers are written as text, so that a version is "3" in every MLflow version; NULL is None.
    """

    table: str
    operation: Operation
    key: Mapping[str, str]
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]

    def value(self, column: str) -> str | None:
        """The column's value after the change, or before it where the change leaves or removes it."""
        for values in (self.after, self.key, self.before):
            if column in values:
                return values[column]
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """Who asks: the name under which the server authenticated the request.

    Attributes:
        login: that name.
        person: e-mail of the person on the roster whom it means; None when it means nobody there.
        single_user: the server has no login; whoever reaches it is the one user.
    """

    login: str
    person: str | None
    single_user: bool = False

    @property
    def name(self) -> str:
        """How statements and the log call them: the e-mail of the roster, else ``login:<name>``."""
        return self.person or f"login:{self.login}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Objection:
    """Something that a rule has against a change.

    Attributes:
        rule: which rule.
        use_case: the use case concerned; "" for none.
        subject: what it is about: ``run 3f…``, ``churn/3``, ``churn@prod``, ``experiment ana-tests``.
        reason: why, and how to mend it.
    """

    rule: GuardRule
    use_case: str
    subject: str
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is written to the ledger together with the change.

    Attributes:
        entry: for the audit log.
        envelope: a statement that the entry brings; None for none.
        version: index of the statement, such as ``churn/3``; None for none.
        run_id: index of the statement; None for none.
        size: size of the log when it was decided: when the use case has a newer entry at the commit, the
            transaction is refused as a conflict. None when nothing depends on it.
    """

    entry: Entry
    envelope: Envelope | None = None
    version: str | None = None
    run_id: str | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """The answer to the changes of one flush.

    Attributes:
        refused: objections of rules that are enforced; any refuses the whole transaction.
        warned: objections of rules that only warn; the change happens.
        records: what the transaction writes to the ledger beside the change; empty for plain logging.
    """

    refused: tuple[Objection, ...] = ()
    warned: tuple[Objection, ...] = ()
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """A run as the guard needs it.

    Attributes:
        run_id: its id.
        experiment: name of its experiment.
        status: RUNNING, FINISHED, …
        frozen_by: the version whose proposal froze it, such as ``churn/3``; "" when it is not frozen.
        released_as: versions of it that were ever released, such as ``churn/3``.
    """

    run_id: str
    experiment: str
    status: str
    frozen_by: str = ""
    released_as: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFacts:
    """A version as the guard needs it.

    Attributes:
        name: registered model.
        number: its version.
        run_id: its run; None for none.
        proposed: whether a signed proposal of it is in the ledger.
        released_in: environments in which it was ever released.
    """

    name: str
    number: int
    run_id: str | None
    proposed: bool
    released_in: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasAnswer:
    """What the release decision says to an alias of an environment.

    Attributes:
        reasons: everything that stands in the way; empty when it may move.
        records: what to write when it does.
    """

    reasons: tuple[Reason, ...]
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """A break-glass that is in force now.

    Attributes:
        rule: the rule that it lifts.
        use_case: for which use case.
        by: e-mail of who signed it.
        reason: why.
        until: ISO 8601 UTC.
        statement: id of the statement, as text.
    """

    rule: GuardRule
    use_case: str
    by: str
    reason: str
    until: str
    statement: str


def governed_entry(
    *,
    at: str,
    asker: Asker,
    action: str,
    use_case: str,
    subject: str,
    outcome: Literal["allowed", "refused"] = "allowed",
    reasons: tuple[str, ...] = (),
    detail: Mapping[str, Json] | None = None,
    statement: str | None = None,
) -> Entry:
    """The log's entry of a governed change that a client asked for; the login stands in its detail."""
    return Entry(
        at=at,
        actor=asker.name,
        action=action,
        outcome=outcome,
        use_case=use_case,
        subject=subject,
        statement=statement,
        reasons=reasons,
        detail={"login": asker.login, **(detail or {})},
    )
