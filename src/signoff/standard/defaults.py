"""What ships with Signoff: the baseline, the model types and the profiles, as data in the package.

The files are TOML because they are read at every start: the standard library reads all of them in about 2 ms.
"""

import pkgutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, TypeVar

from signoff.errors import StandardError
from signoff.record.digest import Json
from signoff.standard.metrics import Task
from signoff.standard.model import TRANSITIONS, Kind, Requirement, Severity
from signoff.standard.names import PROFILES
from signoff.standard.schema_deployment import EnvironmentSection
from signoff.standard.schema_guard import GuardSection
from signoff.standard.shape import About, Faults, Section, SectionReader, about
from signoff.standard.strict_yaml import YamlDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class ShippedRequirement(Section):
    """One requirement of a data file."""

    kind: Kind = field(metadata=about(About("What it is.", noun="kind")))
    name: str = field(metadata=about(About("Canonical name.")))
    by: Literal["auto", "eval", "you"] = field(metadata=about(About("Who provides it.", noun="source")))
    why: str = field(metadata=about(About("One sentence for the person who must add it.")))
    how: str = field(metadata=about(About("The line of Python that would add it.")))
    accepts: tuple[str, ...] = field(default=(), metadata=about(About("Further names that satisfy it.")))
    since: str = field(
        default="small",
        metadata=about(About("The profile from which it counts.", noun="profile", choices=PROFILES)),
    )
    severity: Severity = field(default="block", metadata=about(About("Blocks or warns.", noun="severity")))

    def counts_in(self, profile: str) -> bool:
        """Whether a standard of this profile asks for it."""
        return PROFILES.index(profile) >= PROFILES.index(self.since)

    def resolved(self, origin: str) -> Requirement:
        """As a requirement; one that counts only from a larger profile names that as its origin."""
        return Requirement(
            kind=self.kind,
            name=self.name,
            accepts=accepted_names(self.kind, self.name, self.accepts),
            why=self.why,
            how=self.how,
            by=self.by,
            severity=self.severity,
            origin=origin if self.since == "small" else f"profile {self.since}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementFile(Section):
    """A data file of requirements."""

    requires: tuple[ShippedRequirement, ...] = field(metadata=about(About("The requirements.")))


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelType(Section):
    """A data file of a model type."""

    task: Task = field(metadata=about(About("What its models answer.", noun="task")))
    requires: tuple[ShippedRequirement, ...] = field(metadata=about(About("The requirements.")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile(Section):
    """A profile."""

    description: str = field(metadata=about(About("Who it is for.")))
    notes: tuple[str, ...] = field(metadata=about(About("Fields that a proposal fills.")))
    roles: Mapping[str, tuple[str, ...]] = field(
        metadata=about(About("Transitions per role.", noun="transition", choices=TRANSITIONS))
    )
    environments: Mapping[str, EnvironmentSection] = field(metadata=about(About("In the order of the path.")))
    guard: GuardSection = field(metadata=about(About("Levels of the guard's rules.")))
    self_approval_allowed: bool = field(
        default=False, metadata=about(About("Whether self_approval may be set to recorded."))
    )
    free_environments_allowed: bool = field(
        default=False, metadata=about(About("Whether environments beside dev may do without an approval."))
    )
    undocumented_allowed: bool = field(
        default=False,
        metadata=about(About("Whether gate.reproducible and gate.documented_data may be set to false.")),
    )


@cache
def profile(name: str) -> Profile:
    """A shipped profile: small, mid or enterprise."""
    return _read(Profile, f"data/profiles/{name}.toml")


@cache
def baseline() -> tuple[ShippedRequirement, ...]:
    """What every run must carry."""
    return _read(RequirementFile, "data/baseline.toml").requires


@cache
def window() -> tuple[ShippedRequirement, ...]:
    """What runs that train on a window of time must carry in addition."""
    return _read(RequirementFile, "data/window.toml").requires


@cache
def model_type(name: str) -> ModelType:
    """A shipped model type: how it is scored, and what its runs must carry in addition."""
    return _read(ModelType, f"data/types/{name}.toml")


def accepted_names(kind: Kind, name: str, further: tuple[str, ...]) -> tuple[str, ...]:
    """All name patterns that satisfy a requirement, the canonical one first.

    An artifact named without ending or folder is looked for where `signoff.log_evidence` puts it, and
    elsewhere with any ending.
    """
    places: tuple[str, ...] = ()
    if kind == "artifact" and "/" not in name and "." not in name:
        places = (f"evidence/{name}.*", f"{name}.*", f"*/{name}.*")
    return tuple(dict.fromkeys((name, *places, *further)))


_S = TypeVar("_S", bound=Section)


def _read(kind: type[_S], resource: str) -> _S:
    data = pkgutil.get_data("signoff.standard", resource)
    if data is None:
        raise FileNotFoundError(resource)
    values: Json = tomllib.loads(data.decode("utf-8"))
    faults = Faults(YamlDocument(value=values, lines={}))
    section = SectionReader(faults).section(kind, values, ())
    if section is None or faults.listed():
        raise StandardError(f"signoff/standard/{resource}", faults.listed())
    return section
