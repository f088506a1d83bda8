"""The audit log and its audit as text or JSON."""

from collections.abc import Sequence

from signoff.evidence.audit import AuditReport
from signoff.evidence.ledger import LoggedEntry
from signoff.record.digest import Json


def entries_text(entries: Sequence[LoggedEntry]) -> str:
    """One line for each entry, then its reasons, indented."""
    if not entries:
        return "the audit log is empty"
    return "\n".join(line for logged in entries for line in _entry_lines(logged))


def entries_json(entries: Sequence[LoggedEntry]) -> Json:
    """The entries with their indexes."""
    return [{"index": logged.index, "entry": logged.entry.to_json()} for logged in entries]


def audit_text(report: AuditReport) -> str:
    """What was checked, what was found, and how far people's signatures reach."""
    lines = [
        f"{report.head.size} entries, root {report.head.root}",
        f"{report.statements} statements",
        _reach(report),
        *(
            f"  {finding.problem.upper():<10} {_place(finding.index)}{finding.message}"
            for finding in (*report.findings, *report.ignored)
        ),
        "the log is as it was written"
        if report.ok
        else f"the log was changed: {len(report.findings)} finding{'s' if len(report.findings) != 1 else ''}",
    ]
    return "\n".join(lines)


def _entry_lines(logged: LoggedEntry) -> list[str]:
    entry = logged.entry
    statement = f"  {entry.statement.removeprefix('sha256:')[:12]}" if entry.statement else ""
    first = (
        f"{logged.index:>6}  {entry.at}  {entry.outcome:<7}  {entry.action:<9}  "
        f"{entry.subject}  {entry.actor}{statement}"
    )
    return [_printable(first), *(f"        - {_printable(reason)}" for reason in entry.reasons)]


def _reach(report: AuditReport) -> str:
    if not report.signed_heads:
        return "no signed statement names a head of this log: its owner could rewrite it unseen"
    count = len(report.signed_heads)
    return (
        f"held against {count} signed head{'s' if count != 1 else ''}, the latest over the first "
        f"{report.signed_size} entries; the {max(report.head.size - report.signed_size, 0)} after it "
        "rest on the database's owner"
    )


def _place(index: int | None) -> str:
    return "" if index is None else f"entry {index}: "


def _printable(text: str) -> str:
    """Without control characters: a log line must not be able to repaint the terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
