"""Experiment boundaries: which use case an experiment belongs to, and which experiments belong nowhere."""

import re
from collections.abc import Sequence

from signoff.conformance.model import Finding
from signoff.record.experiment import ExperimentRecord
from signoff.record.from_mlflow import named_by
from signoff.standard.model import Standard

_DATE = re.compile(
    r"(?<!\d)(19|20)\d\d([-_.]?(0[1-9]|1[0-2])([-_.]?(0[1-9]|[12]\d|3[01]))?)?(?!\d)"
    r"|(?<![a-z])(week|wk|kw|cycle|retrain|retraining|run)[-_ ]?\d+(?!\d)",
    re.IGNORECASE,
)
_NOTEBOOK = re.compile(r"\.ipynb\b|\bnotebooks?\b|\buntitled", re.IGNORECASE)
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+|^/?Users/", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_NOBODY = frozenset({"admin", "databricks", "jovyan", "mlflow", "root", "runner", "ubuntu", "unknown"})


UNKNOWN = "experiment:unknown"
"""Code of the finding on an experiment that belongs to no use case."""


def use_case_of(standard: Standard, experiment: str) -> str | None:
    """The use case whose boundary holds the experiment; None for none, or for more than one."""
    found = [name for name, rules in standard.use_cases.items() if named_by(experiment, rules.experiments)]
    return found[0] if len(found) == 1 else None


def check_experiments(standard: Standard, experiments: tuple[ExperimentRecord, ...]) -> tuple[Finding, ...]:
    """Findings on the experiments of a store; those that hold no run, and so no work, are left alone.

    A name that the standard spells out is the team's own choice and is not judged.
    """
    findings: list[Finding] = []
    for experiment in experiments:
        if experiment.runs == 0:
            continue
        if any(experiment.name in rules.experiments for rules in standard.use_cases.values()):
            continue
        if use_case_of(standard, experiment.name) is None:
            findings.append(_unknown(standard, experiment))
        findings.extend(check_name(standard, experiment.name, experiment.users))
    return tuple(sorted(findings, key=lambda finding: finding.severity != "block"))


def _unknown(standard: Standard, experiment: ExperimentRecord) -> Finding:
    runs = "1 run" if experiment.runs == 1 else f"{experiment.runs} runs"
    first = next(iter(standard.use_cases.values()), None)
    name = "…" if first is None or not first.experiments else first.experiments[0].removesuffix("/*")
    return Finding(
        code=UNKNOWN,
        subject=f"experiment {experiment.name}",
        message=f"belongs to no use case, so its {runs} cannot be proposed; log to a use case's experiment, "
        "or add this one to the standard",
        asked_by=f"{standard.path}: use_cases.*.experiments",
        fix=f'mlflow.set_experiment("{name}")',
        fixable=False,
        severity="block",
    )


def check_name(standard: Standard, experiment: str, users: Sequence[str]) -> list[Finding]:
    """Findings on an experiment's name alone: after a person, a notebook or a date.

    Args:
        standard: where such names are forbidden, for the findings.
        experiment: the name.
        users: names and addresses of people that it may not be named after.
    """
    faults: list[tuple[str, str]] = []
    if (person := _person(experiment, users)) is not None:
        faults.append(
            ("experiment:person", f"is named after a person ({person}); people leave, use cases stay")
        )
    if _NOTEBOOK.search(experiment):
        faults.append(
            ("experiment:notebook", "is named after a notebook; a notebook is an entry point of runs")
        )
    if (date := _DATE.search(experiment)) is not None:
        faults.append(
            (
                "experiment:dated",
                f"is named after a date or cycle ({date[0]}); each retraining is a run, not an experiment",
            )
        )
    return [
        Finding(
            code=code,
            subject=f"experiment {experiment}",
            message=message,
            asked_by=f"{standard.path}: experiments are per use case, family or stream",
            fix="",
            fixable=False,
            severity="warn",
        )
        for code, message in faults
    ]


def _person(experiment: str, users: Sequence[str]) -> str | None:
    """The person that the name names: an address, or all words of a user's name in a row."""
    if (address := _ADDRESS.search(experiment)) is not None:
        return address[0]
    words = _WORD.findall(experiment.casefold())
    for user in users:
        name = _WORD.findall(user.partition("@")[0].casefold())
        if not name or (len(name) == 1 and (len(name[0]) < 3 or name[0] in _NOBODY)):
            continue
        if any(words[i : i + len(name)] == name for i in range(len(words) - len(name) + 1)):
            return user
    return None
