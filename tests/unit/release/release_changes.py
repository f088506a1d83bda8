"""How a statement is told otherwise."""

from collections.abc import Callable
from dataclasses import replace

from signoff.evidence.statement import Statement, Subject, parse_statement
from signoff.record.digest import Digest, Json

Change = Callable[[Statement], Statement]


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def renaming(statement: Statement, renamed: dict[str, str]) -> Statement:
    payload = statement.payload().decode()
    for old, new in renamed.items():
        payload = payload.replace(old, new)
    return parse_statement(payload.encode())


def saying(**fields: Json) -> Change:
    """The statement with other fields in its predicate."""
    return lambda statement: replace(statement, predicate={**statement.predicate, **fields})


def lacking(field_name: str) -> Change:
    return lambda statement: replace(
        statement, predicate={k: v for k, v in statement.predicate.items() if k != field_name}
    )


def about(subject: str, other: str | Digest | None) -> Change:
    """The statement about another thing; None takes the subject away."""
    value = digest(other) if isinstance(other, str) else other

    def change(statement: Statement) -> Statement:
        kept = tuple(s for s in statement.subjects if s.name != subject)
        added = () if value is None else (Subject(name=subject, digest=value),)
        return replace(statement, subjects=(*added, *kept))

    return change


def deciding(**changes: Json) -> Change:
    """The gate-decision statement with other fields in the decision."""

    def change(statement: Statement) -> Statement:
        decision = statement.predicate["decision"]
        assert isinstance(decision, dict)
        return replace(statement, predicate={**statement.predicate, "decision": {**decision, **changes}})

    return change
