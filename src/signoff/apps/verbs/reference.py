"""How commands name things: ``3f2a…`` a run, ``churn/3`` a version, ``churn@prod`` an environment."""

import re
from dataclasses import dataclass

from signoff.errors import UsageError

_RUN = re.compile(r"[0-9a-f]{32}\Z")
_VERSION = re.compile(r"(?:models:/)?(?P<name>[^/@]+)/(?P<version>[1-9][0-9]{0,8})\Z")
_ENVIRONMENT = re.compile(r"(?:models:/)?(?P<name>[^/@]+)@(?P<environment>[^/@]+)\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReference:
    """A run by its id."""

    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionReference:
    """A registered version; name is a use case or registered model."""

    name: str
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentReference:
    """What is released in an environment; name is a use case or registered model."""

    name: str
    environment: str


Reference = RunReference | VersionReference | EnvironmentReference


def parse_reference(text: str) -> Reference | None:
    """What the text names; None for anything else, such as a use case or a path."""
    if _RUN.match(text):
        return RunReference(run_id=text)
    if found := _VERSION.match(text):
        return VersionReference(name=found["name"], version=int(found["version"]))
    if found := _ENVIRONMENT.match(text):
        return EnvironmentReference(name=found["name"], environment=found["environment"])
    return None


def run_reference(text: str) -> str:
    """The run id.

    Raises:
        UsageError: the text names no run.
    """
    found = parse_reference(text)
    if isinstance(found, RunReference):
        return found.run_id
    raise UsageError(f"{text!r} is not a run id", hint="a run id has 32 hex digits, as MLflow shows it")


def version_reference(text: str) -> VersionReference:
    """The version.

    Raises:
        UsageError: the text names no version.
    """
    found = parse_reference(text)
    if isinstance(found, VersionReference):
        return found
    raise UsageError(f"{text!r} is not a version", hint="write it as USE_CASE/VERSION, such as churn/3")
