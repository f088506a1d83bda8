"""Versions that were proposed, never released, and then deleted through the guarded server, by the audit log."""

from collections.abc import Iterable

from signoff.evidence.ledger import Entry
from signoff.release.history import History
from signoff.standard.model import UseCaseRules

DELETION_ACTION = "guard:deletion"
DELETE_VERSION = "delete version"
DELETE_MODEL = "delete registered model"
_LASTING = ("release", "rollback", "inherited", "canary")
"""Kinds of statements after which a version's deletion is nothing to pass over."""


def deleted_versions(rules: UseCaseRules, history: History, entries: Iterable[Entry]) -> frozenset[int]:
    """Numbers of the versions whose newest proposal came before their deletion, and that were never released.

    Args:
        rules: the use case's.
        history: its statements.
        entries: its entries in the audit log, oldest first.
    """
    name = rules.registered_model
    proposed = {number for number in _numbers(history, ("proposal",)) if number is not None}
    candidates = {f"{name}/{number}": number for number in proposed - _numbers(history, _LASTING)}
    gone: set[int] = set()
    for entry in entries:
        if entry.outcome != "allowed":
            continue
        if entry.action == "propose" and entry.subject in candidates:
            gone.discard(candidates[entry.subject])
        elif entry.action == DELETION_ACTION:
            operation = str(entry.detail.get("operation", ""))
            if DELETE_VERSION in operation and entry.subject in candidates:
                gone.add(candidates[entry.subject])
            elif DELETE_MODEL in operation and entry.subject == f"registered model {name}":
                gone |= set(candidates.values())
    return frozenset(gone)


def _numbers(history: History, kinds: Iterable[str]) -> set[int | None]:
    return {
        signed.number(field)
        for signed in history.statements
        if signed.statement.kind in kinds and signed.signers
        for field in ("version", "to_version")
    }
