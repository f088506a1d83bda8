"""A use case's history as the audit log tells it.

Which statements there are, and in which order, is read from the log's entries: what an index in the database
says of them, or leaves out, changes nothing. A statement that the log names must be there, with the signature
that the log names.
"""

from signoff.errors import EvidenceError
from signoff.evidence.audit import StoredLedger, audit_ledger
from signoff.evidence.dsse import Envelope
from signoff.evidence.log_entry import read_entry
from signoff.evidence.roster import Roster
from signoff.evidence.verify import signature_fault
from signoff.record.digest import Digest
from signoff.release.history import History, read_history

_HINT = "signoff admin audit --verify"


def logged_history(use_case: str, stored: StoredLedger, roster: Roster) -> History:
    """The statements about a use case, in the order in which the log first names them.

    One that is nested too deeply to be read says nothing; the audit names it.

    Raises:
        EvidenceError: the log names a statement that is missing, changed, about something else, or without
            the signature that it was written with.
    """
    kept = {row.id: row.envelope for row in stored.statements}
    envelopes: dict[str, Envelope] = {}
    for row in stored.rows:
        entry = read_entry(row.entry)
        if entry.use_case != use_case or entry.statement is None:
            continue
        text = kept.get(entry.statement)
        if text is None:
            raise EvidenceError(
                f"entry {row.index} of the audit log names statement {_short(entry.statement)},"
                " which is no longer in the ledger",
                hint=_HINT,
            )
        envelope = Envelope.from_json(text)
        if str(envelope.id) != entry.statement:
            raise EvidenceError(f"statement {_short(entry.statement)} was changed", hint=_HINT)
        if envelope.is_deep:
            continue
        envelopes.setdefault(entry.statement, envelope)
        fault = signature_fault(entry, envelope, roster)
        if fault is not None:
            raise EvidenceError(f"statement {_short(entry.statement)}: {fault}", hint=_HINT)
    return read_history(use_case, envelopes.values(), roster)


def refuse_changed_log(stored: StoredLedger, roster: Roster) -> None:
    """Hold the whole log against itself and against the heads that people signed.

    Raises:
        EvidenceError: it is not as it was written.
    """
    findings = audit_ledger(stored, roster).findings
    if findings:
        raise EvidenceError(f"the audit log was changed: {findings[0].message}", hint=_HINT)


def _short(statement: str) -> str:
    return Digest.parse(statement).short
