"""Findings."""

from dataclasses import dataclass
from typing import Literal

from signoff.standard.model import Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that a run or experiment lacks.

    Attributes:
        code: stable, such as ``param:threshold``, ``run:name`` or ``experiment:unknown``; waivers name it.
        subject: what it is about: ``run 3f2a…`` or ``experiment churn``.
        message: what is missing or wrong.
        asked_by: where it is asked for, such as ``type classification`` or ``signoff.yaml:14``.
        fix: the line of code or command that would add it; "" when there is none.
        fixable: whether ``signoff check --fix`` can add it afterwards.
        severity: whether it blocks a proposal.
    """

    code: str
    subject: str
    message: str
    asked_by: str
    fix: str
    fixable: bool
    severity: Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class ConformanceReport:
    """All findings on one use case's runs.

    Attributes:
        use_case: its name.
        standard_version: the team's version of the standard.
        rules: digest of the resolved rules, as text.
        runs: the ids of the runs audited, newest first.
        findings: in order of runs, blocking ones first.
    """

    use_case: str
    standard_version: str
    rules: str
    runs: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Literal["conforms", "does not conform"]:
        """Whether nothing blocks."""
        return "does not conform" if any(f.severity == "block" for f in self.findings) else "conforms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What one `signoff check` looked at.

    Attributes:
        reports: one per use case.
        experiments: findings on experiments: outside every boundary, or named after a person or a date.
    """

    reports: tuple[ConformanceReport, ...]
    experiments: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Literal["conforms", "does not conform"]:
        """Whether nothing blocks anywhere."""
        blocked = any(finding.severity == "block" for finding in self.experiments)
        refused = any(report.verdict == "does not conform" for report in self.reports)
        return "does not conform" if blocked or refused else "conforms"
