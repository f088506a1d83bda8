"""What a release into each environment needs: the profile's rules, the team's over them, in path order."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from signoff.standard import defaults
from signoff.standard.model import ApprovalRule, EnvironmentRules, Transition
from signoff.standard.schema_deployment import EnvironmentSection
from signoff.standard.shape import Faults, did_you_mean
from signoff.standard.strict_yaml import Path

_FIRST, _PRODUCTION = "dev", "prod"
"""Where people experiment, and where the path ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Environments as one place of the file gives them."""

    sections: Mapping[str, EnvironmentSection]
    path: Path


@dataclass(kw_only=True, slots=True)
class _Merged:
    """One environment while layers are laid over each other, and where each value was written."""

    name: str
    alias: str
    approvals: Mapping[str, int] = field(default_factory=dict)
    self_approval: Literal["refused", "recorded"] = "refused"
    after: str | None = None
    checklist: tuple[str, ...] = ()
    rollback_plan: bool = False
    server: str | None = None
    direct: Literal["refused", "allowed"] = "refused"
    monitoring: bool = False
    load_test: bool = False
    reevaluate_days: int | None = None
    written: dict[str, Path] = field(default_factory=dict)
    place: Path = ("environments",)
    shipped: frozenset[str] = frozenset()

    def lay_over(self, section: EnvironmentSection, path: Path | None) -> None:
        """Take every key that the section gives; ``path`` is where, or None for the profile's own."""
        given = [key.name for key in fields(section) if getattr(section, key.name) is not None]
        for key in given:
            setattr(self, key, getattr(section, key))
        if path is None:
            self.shipped = frozenset(given)
        else:
            self.place = path
            self.written.update({key: (*path, key) for key in given})

    def origins(self, profile: str, faults: Faults, *, file: str) -> dict[str, str]:
        """Who asks for what: the profile, or a line of the team's file."""
        asked = dict.fromkeys(sorted(self.shipped), f"profile {profile}")
        return {**asked, **{key: f"{file}:{faults.line(path)}" for key, path in self.written.items()}}

    def frozen(self, origins: Mapping[str, str]) -> EnvironmentRules:
        """As rules."""
        return EnvironmentRules(
            name=self.name,
            alias=self.alias,
            approvals=tuple(ApprovalRule(role=role, count=count) for role, count in self.approvals.items()),
            self_approval=self.self_approval,
            after=self.after,
            checklist=self.checklist,
            rollback_plan=self.rollback_plan,
            server=self.server,
            direct=self.direct,
            monitoring=self.monitoring,
            load_test=self.load_test,
            reevaluate_days=self.reevaluate_days,
            origins=origins,
        )


def resolve_environments(
    profile: str,
    layers: tuple[Layer, ...],
    roles: Mapping[str, frozenset[Transition]],
    faults: Faults,
    *,
    file: str,
) -> dict[str, EnvironmentRules]:
    """All environments by name, in the order of the path to production.

    Args:
        profile: name of the profile that the layers are laid over.
        layers: the standard's environments, then the use case's.
        roles: what each role may do.
        faults: takes the faults found.
        file: name of the standard's file, for origins.
    """
    shipped = defaults.profile(profile).environments
    merged = {name: _Merged(name=name, alias=name) for name in _names(shipped, layers)}
    for name, section in shipped.items():
        merged[name].lay_over(section, None)
    for layer in layers:
        for name, section in layer.sections.items():
            merged[name].lay_over(section, (*layer.path, name))
    for environment in merged.values():
        _check_roles(environment, roles, faults)
        _check_not_weaker(environment, profile, faults)
        _check_path(environment, merged, profile, faults)
    _check_aliases(merged, faults)
    _check_servers(merged, faults)
    _check_credentials(merged, faults)
    return {
        name: merged[name].frozen(merged[name].origins(profile, faults, file=file))
        for name in _in_path_order(merged, faults)
    }


def _names(shipped: Mapping[str, EnvironmentSection], layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Shipped environments with the team's own ahead of production."""
    own = [name for layer in layers for name in layer.sections if name not in shipped]
    ahead = [name for name in shipped if name != _PRODUCTION]
    return tuple(dict.fromkeys((*ahead, *own, _PRODUCTION)))


def _check_roles(environment: _Merged, roles: Mapping[str, frozenset[Transition]], faults: Faults) -> None:
    if faults.within(("roles",)):
        return  # what the roles are is not known yet
    path = environment.written.get("approvals")
    for role in environment.approvals:
        where = ("roles", role) if path is None else (*path, role)
        if role not in roles:
            faults.add(where, f"unknown role `{role}`", did_you_mean(role, roles))
        elif "approve" not in roles[role]:
            able = [name for name, may in roles.items() if "approve" in may]
            hint = f"roles that may: {', '.join(able)}" if able else None
            message = f"`{role}` may not approve, and environment {environment.name} asks for its approval"
            faults.add(where, message, hint)


def _check_not_weaker(environment: _Merged, profile: str, faults: Faults) -> None:
    """A profile is a promise: the team may ask for more than it, not for less."""
    rules = defaults.profile(profile)
    hint = f"profile {profile} asks for it; keep it, or choose a smaller profile"
    written = environment.written
    if environment.self_approval == "recorded" and not rules.self_approval_allowed:
        able = "with profile small only"
        faults.add(
            written["self_approval"], f"`recorded` is allowed {able}; this is {profile}", "write refused"
        )
    shipped = rules.environments.get(environment.name)
    if shipped is None or (environment.name == _FIRST and environment.after is not None):
        _check_approved(environment, profile, faults)
    if shipped is None:
        return
    _check_signed(environment, shipped, hint, faults)
    if shipped.rollback_plan and not environment.rollback_plan:
        faults.add(written["rollback_plan"], f"{environment.name} needs a rollback plan", hint)
    for key, words in (("monitoring", "a monitor"), ("load_test", "a load test")):
        if getattr(shipped, key) and not getattr(environment, key):
            faults.add(written[key], f"{environment.name} needs {words}", hint)
    if shipped.reevaluate_days is not None and (environment.reevaluate_days or 0) > shipped.reevaluate_days:
        message = f"re-evaluation every {shipped.reevaluate_days} days or sooner is needed"
        faults.add(written["reevaluate_days"], message, hint)


def _check_signed(environment: _Merged, shipped: EnvironmentSection, hint: str, faults: Faults) -> None:
    """Who approves and what they tick: each role and each item that the profile names, and what else the team likes."""
    written = environment.written
    for role, wanted in (shipped.approvals or {}).items():
        if (given := environment.approvals.get(role, 0)) < wanted:
            message = f"{given} x {role}; {environment.name} needs at least {wanted}"
            faults.add(written["approvals"], message, hint)
    for item in shipped.checklist or ():
        if item not in environment.checklist:
            message = f"an approver for {environment.name} must tick: {item}"
            faults.add(written["checklist"], message, f"{hint}; further items are free")


def _check_approved(environment: _Merged, profile: str, faults: Faults) -> None:
    """An environment of the team's own is no way around the approvals of the shipped ones."""
    if environment.approvals or defaults.profile(profile).free_environments_allowed:
        return
    where = environment.written.get("approvals", environment.place)
    message = f"nobody has to approve a release in {environment.name}"
    faults.add(where, message, f"profile {profile} asks for it; write approvals: {{reviewer: 1}}")


def _check_path(environment: _Merged, merged: Mapping[str, _Merged], profile: str, faults: Faults) -> None:
    """The team may put environments on the path, and may not lead it around one that the profile names."""
    shipped = defaults.profile(profile).environments.get(environment.name)
    if shipped is None or shipped.after is None or environment.after == shipped.after:
        return
    passed: list[str] = []
    at = environment.after
    while at is not None:
        if at not in merged or at in passed:
            return  # an unknown environment or a circle, which is a fault of its own
        passed.append(at)
        at = merged[at].after
    if shipped.after not in passed:
        start = f"let {passed[-1]} come after {shipped.after}, " if passed[-1] != _FIRST else ""
        faults.add(
            environment.written["after"],
            f"the path to {environment.name} must lead through {shipped.after}; it leads through"
            f" {', '.join(passed)}",
            f"profile {profile} asks for it; keep it, {start}or choose a smaller profile",
        )


def _check_servers(merged: Mapping[str, _Merged], faults: Faults) -> None:
    """Between servers there is a path: straight from where people experiment only when the team says so."""
    for environment in merged.values():
        if environment.server is None or environment.direct == "allowed":
            continue
        if environment.after not in (None, _FIRST):
            continue
        comes = f"straight after {_FIRST}" if environment.after == _FIRST else "after no other environment"
        faults.add(
            environment.written["server"],
            f"{environment.name} has a server of its own and comes {comes}",
            "write after: test, or direct: allowed",
        )


def credentials_prefix(environment: str) -> str:
    """How the variables begin that hold the credentials for an environment's own server: ``SIGNOFF_EU_1_``."""
    return f"SIGNOFF_{re.sub('[^A-Za-z0-9]', '_', environment).upper()}_"


def _check_credentials(merged: Mapping[str, _Merged], faults: Faults) -> None:
    """Two servers must not take their credentials from the same variables: one's token would go to the other."""
    seen: dict[str, _Merged] = {}
    for environment in merged.values():
        if environment.server is None:
            continue
        prefix = credentials_prefix(environment.name)
        other = seen.setdefault(prefix, environment)
        if other.server != environment.server:
            faults.add(
                environment.written["server"],
                f"{other.name} and {environment.name} have different servers and share the variables"
                f" {prefix}… with their credentials",
                "give one of them a name that differs in letters or digits",
            )


def _check_aliases(merged: Mapping[str, _Merged], faults: Faults) -> None:
    seen: dict[str, _Merged] = {}
    for environment in merged.values():
        other = seen.setdefault(environment.alias, environment)
        if other is environment or other.server != environment.server:
            continue
        path = environment.written.get("alias") or other.written.get("alias") or ("environments",)
        message = f"{other.name} and {environment.name} share the alias `{environment.alias}`"
        faults.add(path, message, "an alias says what is released where: give each environment its own")


def _in_path_order(merged: Mapping[str, _Merged], faults: Faults) -> Iterator[str]:
    """Every environment after the one that it names in ``after``, else in the order given."""
    waiting = dict(merged)
    for name, environment in merged.items():
        if environment.after is not None and environment.after not in merged:
            path = environment.written["after"]
            faults.add(
                path, f"unknown environment `{environment.after}`", did_you_mean(environment.after, merged)
            )
            waiting.pop(name)
    while waiting:
        ready = next((name for name, e in waiting.items() if e.after not in waiting), None)
        if ready is None:
            _note_circle(waiting, faults)
            return
        waiting.pop(ready)
        yield ready


def _note_circle(waiting: Mapping[str, _Merged], faults: Faults) -> None:
    for name, environment in waiting.items():
        if (path := environment.written.get("after")) is not None:
            message = f"{name} waits for {environment.after}, which waits for {name}: `after` makes a circle"
            faults.add(path, message, "remove one of them")
            return
