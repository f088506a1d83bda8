"""What a run lacks against the rules of its use case."""

import math
import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache

from signoff.conformance.model import ConformanceReport, Finding
from signoff.record import capture
from signoff.record.from_mlflow import named_by
from signoff.record.run import RunRecord
from signoff.standard.model import Requirement, Severity, Standard, UseCaseRules

_SHOWN = 3
"""How many of the other accepted names a message lists."""


def report(standard: Standard, rules: UseCaseRules, runs: tuple[RunRecord, ...]) -> ConformanceReport:
    """The findings on some runs of one use case, in the order of the runs."""
    return ConformanceReport(
        use_case=rules.name,
        standard_version=standard.version,
        rules=str(rules.digest),
        runs=tuple(run.run_id for run in runs),
        findings=tuple(finding for run in runs for finding in check_run(rules, run)),
    )


def check_run(rules: UseCaseRules, run: RunRecord) -> tuple[Finding, ...]:
    """Everything that a run lacks, blocking findings first; empty when it conforms."""
    findings = [*_check_run_itself(rules, run), *_check_model_count(rules, run)]
    for requirement in rules.requirements:
        problem = _missing(requirement, run)
        if problem is not None:
            findings.append(_finding(requirement, run, problem))
    return tuple(sorted(findings, key=lambda finding: finding.severity != "block"))


def fixable(requirement: Requirement, run: RunRecord) -> bool:
    """Whether what is missing can honestly be added after the run: it must follow from what is recorded.

    Owner and use case follow from the standard. The package list can be added from an environment whose
    digest the run recorded.
    """
    if requirement.kind == "tag":
        return requirement.name in {capture.OWNER, capture.USE_CASE}
    if requirement.kind == "artifact":
        return _matches([capture.ENVIRONMENT_ARTIFACT], requirement) and bool(
            run.tags.get(capture.ENVIRONMENT_DIGEST)
        )
    return False


def _check_run_itself(rules: UseCaseRules, run: RunRecord) -> list[Finding]:
    where = f"use_cases.{rules.name}"
    findings: list[Finding] = []
    if not named_by(run.experiment, rules.experiments):
        allowed = " or ".join(rules.experiments)
        first = next((name for name in rules.experiments if not name.endswith("/*")), "…")
        findings.append(
            _own(
                run,
                code="run:experiment",
                message=f"is in experiment {run.experiment!r}; runs of {rules.name} go to {allowed}",
                asked_by=f"{where}.experiments",
                fix=f'mlflow.set_experiment("{first}")',
            )
        )
    if rules.run_name is not None and not re.fullmatch(rules.run_name, run.run_name):
        findings.append(
            _own(
                run,
                code="run:name",
                message=f"is named {run.run_name!r}, which does not match {rules.run_name}",
                asked_by=f"{where}.run_name",
                fix='mlflow.start_run(run_name="…")  # or rename it in MLflow',
                severity=_convention(rules),
            )
        )
    if run.status != "FINISHED":
        findings.append(
            _own(
                run,
                code="run:status",
                message=f"has status {run.status}; only a FINISHED run has logged everything",
                asked_by="every run",
                fix="mlflow.end_run()" if run.status == "RUNNING" else "train again",
            )
        )
    if rules.gate.reproducible and (problem := _not_clean(rules, run)) is not None:
        findings.append(
            _own(
                run,
                code="run:dirty",
                message=problem,
                asked_by=f"{where}.gate.reproducible",
                fix="git commit, then train again",
                severity=_convention(rules),
            )
        )
    return findings


def _not_clean(rules: UseCaseRules, run: RunRecord) -> str | None:
    match run.tags.get(capture.GIT_DIRTY):
        case "false":
            return None
        case "true":
            return "was trained from files that differ from its commit, so nobody can train it again"
        case _ if any(r.kind == "tag" and r.name == capture.GIT_DIRTY for r in rules.requirements):
            return None  # the missing tag has its own finding
        case _:
            return "does not say whether its files equal its commit: train inside a git working tree"


def _convention(rules: UseCaseRules) -> Severity:
    """How much names and clean trees weigh: they only warn while every requirement only warns."""
    asked = rules.requirements
    return "warn" if asked and all(requirement.severity == "warn" for requirement in asked) else "block"


def _check_model_count(rules: UseCaseRules, run: RunRecord) -> list[Finding]:
    """A candidate is one model: with none or several, nobody knows which bytes are meant."""
    asked = [requirement for requirement in rules.requirements if requirement.kind == "model"]
    if not asked or len(run.models) == 1:
        return []
    severity: Severity = "block" if any(r.severity == "block" for r in asked) else "warn"
    if not run.models:
        message = "logs no model"
    else:
        names = ", ".join(model.name for model in run.models)
        message = f"logs {len(run.models)} models ({names}); a candidate is exactly one: use a run for each"
    return [
        Finding(
            code="model:count",
            subject=_subject(run),
            message=message,
            asked_by=asked[0].origin,
            fix="" if run.models else asked[0].how,
            fixable=False,
            severity=severity,
        )
    ]


def _missing(requirement: Requirement, run: RunRecord) -> str | None:
    """What is wrong, in words that follow "the run"; None when the requirement is met."""
    match requirement.kind:
        case "param":
            return _missing_param(requirement, run)
        case "metric":
            return _missing_metric(requirement, run)
        case "tag":
            return _missing_tag(requirement, run)
        case "artifact":
            found = any(_matches([path], requirement) for path in run.artifacts)
            return None if found else f"has no artifact {requirement.name}"
        case "model":
            return _missing_of_model(requirement, run)
        case "dataset":
            return _missing_dataset(requirement, run)


def _missing_param(requirement: Requirement, run: RunRecord) -> str | None:
    values = [value for name, value in run.params.items() if _matches([name], requirement)]
    if any(value.strip() for value in values):
        return None
    return (
        f"logs an empty parameter {requirement.name}" if values else f"has no parameter {_names(requirement)}"
    )


def _missing_metric(requirement: Requirement, run: RunRecord) -> str | None:
    found = {name: value for name, value in run.metrics.items() if _matches([name], requirement)}
    if any(math.isfinite(value) for value in found.values()):
        return None
    for name, value in found.items():
        return f"logs metric {name} as {value}, which measures nothing"
    return f"has no metric {_names(requirement)}"


def _missing_tag(requirement: Requirement, run: RunRecord) -> str | None:
    if any(capture.fact(run, name) for name in requirement.accepts):
        return None
    if any(value and _matches([name], requirement) for name, value in run.tags.items()):
        return None
    return f"has no tag {_names(requirement)}"


def _missing_of_model(requirement: Requirement, run: RunRecord) -> str | None:
    lacking = [
        model.name
        for model in run.models
        if (requirement.name == "signature" and model.inputs is None)
        or (requirement.name == "input_example" and not model.has_input_example)
    ]
    if not lacking:
        return None  # a run without a model has its own finding
    thing = "signature" if requirement.name == "signature" else "input example"
    return f"logs model {', '.join(lacking)} without {thing}"


def _missing_dataset(requirement: Requirement, run: RunRecord) -> str | None:
    found = [dataset for dataset in run.datasets if _matches([dataset.context], requirement)]
    if any(dataset.digest and dataset.source for dataset in found):
        return None
    if found:
        thing = "digest" if not found[0].digest else "source"
        return f"logs data set {found[0].name} ({requirement.name}) without {thing}"
    return f"logs no data set with context {_names(requirement)}"


def _matches(names: Iterable[str], requirement: Requirement) -> bool:
    accepted = _accepted(requirement.accepts)
    return any(accepted(name) for name in names)


@lru_cache(maxsize=1024)
def _accepted(patterns: tuple[str, ...]) -> Callable[[str], re.Match[str] | None]:
    """All patterns in one: an audit of a whole store asks millions of times."""
    return re.compile("|".join(map(translate, patterns))).match


def _names(requirement: Requirement) -> str:
    others = [name for name in requirement.accepts if requirement.name not in name]
    if not others:
        return requirement.name
    more = ", …" if len(others) > _SHOWN else ""
    return f"{requirement.name} (or {', '.join(others[:_SHOWN])}{more})"


def _finding(requirement: Requirement, run: RunRecord, problem: str) -> Finding:
    return Finding(
        code=requirement.code,
        subject=_subject(run),
        message=f"{problem}. {requirement.why}" if requirement.why else problem,
        asked_by=requirement.origin,
        fix=requirement.how,
        fixable=fixable(requirement, run),
        severity=requirement.severity,
    )


def _own(
    run: RunRecord, *, code: str, message: str, asked_by: str, fix: str, severity: Severity = "block"
) -> Finding:
    return Finding(
        code=code,
        subject=_subject(run),
        message=message,
        asked_by=asked_by,
        fix=fix,
        fixable=False,
        severity=severity,
    )


def _subject(run: RunRecord) -> str:
    return f"run {run.run_id}"
