"""Waivers: a named person lets one named check pass, for a reason and for a time."""

from dataclasses import dataclass

from signoff.record.digest import Digest
from signoff.release.history import History
from signoff.release.model import Signed
from signoff.release.people import People


@dataclass(frozen=True, kw_only=True, slots=True)
class Waivers:
    """The waivers that count for one model now.

    Attributes:
        by_code: the finding or check codes that are waived, with the statement that says so.
        refused: why other waivers do not count, one sentence each.
    """

    by_code: dict[str, Signed]
    refused: tuple[str, ...]

    def covers(self, code: str) -> bool:
        """Whether the code is waived."""
        return code in self.by_code


def waivers_for(
    history: History, *, model: Digest, rules: Digest, people: People, authors: frozenset[str], today: str
) -> Waivers:
    """The waivers on a model that count: same model, same rules, not expired, not by an author.

    Args:
        history: the use case's statements.
        model: digest of the model's files now.
        rules: digest of the use case's rules now.
        people: the roster and roles.
        authors: who ran, committed or proposes.
        today: ISO date, UTC.
    """
    by_code: dict[str, Signed] = {}
    refused: list[str] = []
    for waiver in history.of("waiver"):
        if waiver.statement.subject("model") != model:
            continue
        why = _refusal(waiver, rules=rules, people=people, authors=authors, today=today)
        if why is None:
            by_code.update(dict.fromkeys(waiver.texts("codes"), waiver))
        else:
            refused.append(f"the waiver {waiver.id.short} does not count: {why}")
    return Waivers(by_code=by_code, refused=tuple(refused))


def _refusal(
    waiver: Signed, *, rules: Digest, people: People, authors: frozenset[str], today: str
) -> str | None:
    able = [email for email in waiver.signers if people.may(email, "waive")]
    if not able:
        return "no valid signature of a person who may waive"
    if authors.issuperset(able):
        return f"{', '.join(able)} is an author of what is waived"
    if waiver.statement.subject("rules") != rules:
        return "the rules of this use case changed since"
    if waiver.text("until") < today:
        return f"it ended on {waiver.text('until') or 'no stated day'}"
    return None
