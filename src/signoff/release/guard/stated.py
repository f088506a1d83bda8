"""Which runs the ledger keeps frozen: those that its proposals, releases and inherited releases are about."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from signoff.evidence.audit import StoredLedger
from signoff.evidence.dsse import Envelope
from signoff.evidence.ledger import Entry
from signoff.evidence.statement import StatementKind
from signoff.release.guard.evidence import FREEZE_ACTION
from signoff.release.history import History
from signoff.release.model import Signed
from signoff.standard.model import UseCaseRules

KEEPS_FROZEN: tuple[StatementKind, ...] = ("proposal", "release", "inherited")
"""Kinds of statements that rest on what a run logged."""
_RUN_ID = "run_id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """A version that signed statements are about, with its run.

    Attributes:
        use_case: its name.
        ref: the version, such as ``churn/3``.
        run_id: the run.
        statement: the newest of the statements.
    """

    use_case: str
    ref: str
    run_id: str
    statement: Signed


def stated_runs(rules: UseCaseRules, history: History) -> tuple[Stated, ...]:
    """The runs of a use case's versions that somebody signed for; each pair of version and run once.

    What was inherited on an environment's own server has its run there, and is left out.
    """
    found: dict[tuple[str, str], Stated] = {}
    for signed in history.statements:
        number, run_id = signed.number("version"), signed.text(_RUN_ID)
        if signed.statement.kind not in KEEPS_FROZEN or not signed.signers or number is None or not run_id:
            continue
        place = rules.environments.get(signed.text("environment"))
        if signed.statement.kind == "inherited" and place is not None and place.server is not None:
            continue
        ref = f"{rules.registered_model}/{number}"
        found[ref, run_id] = Stated(use_case=rules.name, ref=ref, run_id=run_id, statement=signed)
    return tuple(found.values())


def frozen_by_entries(entries: Iterable[Entry]) -> frozenset[tuple[str, str]]:
    """Version and run of every freeze that the log tells of."""
    return frozenset(
        (entry.subject, str(entry.detail.get(_RUN_ID)))
        for entry in entries
        if entry.action == FREEZE_ACTION and entry.outcome == "allowed"
    )


def left_frozen(marked: Mapping[str, str], stored: StoredLedger) -> tuple[str, ...]:
    """The marked runs that no statement is about, signed or not, of any use case; sorted.

    Args:
        marked: frozen runs, read before the ledger was: a proposal that was written in between is in it.
        stored: the ledger.

    Raises:
        EvidenceError: a stored statement cannot be read.
    """
    return tuple(sorted(marked.keys() - set(_named(stored)))) if marked else ()


def _named(stored: StoredLedger) -> Iterator[str]:
    for row in stored.statements:
        statement = Envelope.from_json(row.envelope).statement
        run_id = statement.predicate.get(_RUN_ID)
        if statement.kind in KEEPS_FROZEN and isinstance(run_id, str):
            yield run_id
