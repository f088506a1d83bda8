"""One audit for three readers: terminal, Markdown and programs. Nothing is judged here."""

import json
import textwrap
from collections.abc import Sequence

from signoff.conformance.model import Audit, ConformanceReport, Finding
from signoff.record.digest import Digest, Json

WIDTH = 100
_FIX_NOTE = "`signoff check --fix` can add this"


def text(audit: Audit) -> str:
    """For a terminal: no colour, at most 100 columns, one block per run."""
    blocks: list[str] = []
    for report in audit.reports:
        blocks.append(_fit(_headline(report), indent=0))
        for run in report.runs:
            findings = _of(report, run)
            lines = [_fit(f"run {run}  {_tally(findings)}", indent=2)]
            lines.extend(_lines(finding) for finding in findings)
            blocks.append("\n".join(lines))
    by_experiment: dict[str, list[Finding]] = {}
    for finding in audit.experiments:
        by_experiment.setdefault(finding.subject, []).append(finding)
    for subject, found in by_experiment.items():
        blocks.append("\n".join([_fit(subject, indent=0), *(_lines(finding) for finding in found)]))
    blocks.append(audit.verdict)
    return "\n\n".join(blocks) + "\n"


def markdown(audit: Audit) -> str:
    """For a pull request or an artifact."""
    lines = [f"# Conformance: {audit.verdict}", ""]
    for report in audit.reports:
        lines += [f"## {_escape(_headline(report))}", ""]
        for run in report.runs:
            findings = _of(report, run)
            lines += [f"### Run `{run}`: {_tally(findings)}", "", *_bullets(findings)]
    if audit.experiments:
        lines += ["## Experiments", "", *_bullets(audit.experiments, with_subject=True)]
    return "\n".join(lines).rstrip() + "\n"


def to_json(audit: Audit) -> Json:
    """All of it as plain values."""
    return {
        "verdict": audit.verdict,
        "use_cases": [
            {
                "use_case": report.use_case,
                "verdict": report.verdict,
                "standard_version": report.standard_version,
                "rules": report.rules,
                "runs": list(report.runs),
                "findings": [_finding_json(finding) for finding in report.findings],
            }
            for report in audit.reports
        ],
        "experiments": [_finding_json(finding) for finding in audit.experiments],
    }


def json_text(audit: Audit) -> str:
    """`to_json` as indented text."""
    return json.dumps(to_json(audit), indent=2, ensure_ascii=False) + "\n"


def _headline(report: ConformanceReport) -> str:
    rules = Digest.parse(report.rules).short
    if not report.runs:
        count = "no runs yet"
    else:
        refused = {finding.subject for finding in report.findings if finding.severity == "block"}
        good = len(report.runs) - len(refused)
        plural = "run conforms" if len(report.runs) == 1 else "runs conform"
        count = f"{good} of {len(report.runs)} {plural}"
    return f"{report.use_case}: {count} (standard {report.standard_version}, rules {rules})"


def _tally(findings: Sequence[Finding]) -> str:
    blocking = sum(finding.severity == "block" for finding in findings)
    warning = len(findings) - blocking
    warnings = f"{warning} warning{'s' if warning != 1 else ''}"
    if blocking:
        counts = f"{blocking} blocking"
        return f"does not conform: {counts}, {warnings}" if warning else f"does not conform: {counts}"
    return f"conforms, with {warnings}" if warning else "conforms"


def _of(report: ConformanceReport, run: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.subject == f"run {run}"]


def _lines(finding: Finding) -> str:
    parts = [
        _fit(f"{finding.severity.upper():<5}  {finding.code}", indent=4),
        _fit(finding.message, indent=11),
        _fit(f"asked by {finding.asked_by}", indent=11),
    ]
    if finding.fix:
        first, *more = finding.fix.splitlines()
        parts.append(_fit(f"add      {first}", indent=11, hanging=9))
        parts.extend(_fit(line, indent=20) for line in more)
    if finding.fixable:
        parts.append(_fit(_FIX_NOTE, indent=11))
    return "\n".join(parts)


def _fit(line: str, *, indent: int, hanging: int = 0) -> str:
    return textwrap.fill(
        _printable(line),
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _bullets(findings: Sequence[Finding], *, with_subject: bool = False) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        subject = f"{_escape(finding.subject)}: " if with_subject else ""
        lines.append(f"- **{finding.severity}** `{finding.code}`: {subject}{_escape(finding.message)}  ")
        lines.append(f"  asked by {_escape(finding.asked_by)}")
        if finding.fix:
            lines += ["", "  ```python", *(f"  {line}" for line in finding.fix.splitlines()), "  ```", ""]
        if finding.fixable:
            lines += [f"  {_FIX_NOTE}"]
    return [*lines, ""] if lines else []


def _escape(value: str) -> str:
    """Keep names that people chose from becoming markup."""
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in ("\\", "`", "*", "_", "[", "]", "|", "#"):
        value = value.replace(mark, f"\\{mark}")
    return _printable(value)


def _printable(value: str) -> str:
    """Without line breaks and terminal control characters that a name may hold."""
    return "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in value)


def _finding_json(finding: Finding) -> Json:
    return {
        "code": finding.code,
        "subject": finding.subject,
        "message": finding.message,
        "asked_by": finding.asked_by,
        "fix": finding.fix,
        "fixable": finding.fixable,
        "severity": finding.severity,
    }
