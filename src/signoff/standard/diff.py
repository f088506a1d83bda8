"""What changed between two versions of a standard, in a reviewer's words.

Each change says whether it asks for less (looser), for more (tighter), or neither. Whatever the words do not
cover is compared field by field, so that no change of a digest goes unsaid.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from signoff.addresses import shown
from signoff.record.code import CommitRecord
from signoff.record.digest import Digest, Json
from signoff.standard.diff_deployment import (
    SAID_OF_AN_ENVIRONMENT,
    deployment_changes,
    environment_deployment_changes,
)
from signoff.standard.diff_gate import gate_changes
from signoff.standard.diff_words import (
    Change,
    changed,
    field_changes,
    list_changes,
    looser,
    order_changed,
    tighter,
)
from signoff.standard.guard_words import guard_changes
from signoff.standard.model import (
    EnvironmentRules,
    Requirement,
    Standard,
    Transition,
    UseCaseRules,
)
from signoff.standard.render import environment_phrases

State = Literal["added", "removed", "changed", "equal"]
_Item = TypeVar("_Item")

_OPENING: frozenset[Transition] = frozenset(
    {"propose", "approve", "waive", "promote", "rollback", "override"}
)
"""Transitions that bring a model closer to production; to note and to reject do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UseCaseDiff:
    """What changed for one use case.

    Attributes:
        use_case: its name.
        state: ``equal`` when nothing did.
        changes: one per thing that changed.
        old_rules: digest of the rules that judged a candidate before; None when it is new.
        new_rules: the same now; None when it is gone.
        environments: those of which the digest that approvals name changed, in the order of the path.
    """

    use_case: str
    state: State
    changes: tuple[Change, ...]
    old_rules: Digest | None
    new_rules: Digest | None
    environments: tuple[str, ...]

    @property
    def rules_changed(self) -> bool:
        """Whether gate decisions made under the old rules are void."""
        return self.old_rules != self.new_rules

    def to_json(self) -> Json:
        """All fields."""
        return {
            "use_case": self.use_case,
            "state": self.state,
            "changes": [change.to_json() for change in self.changes],
            "old_rules": None if self.old_rules is None else str(self.old_rules),
            "new_rules": None if self.new_rules is None else str(self.new_rules),
            "rules_changed": self.rules_changed,
            "environments": list(self.environments),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class StandardDiff:
    """What changed between two versions of a standard.

    Attributes:
        old: name of the older one, such as ``HEAD:signoff.yaml``.
        new: name of the newer one.
        old_digest: of the older file's bytes.
        new_digest: of the newer file's bytes.
        general: what changed for all use cases: version, profile, roles, places.
        use_cases: every use case of either, in the order of the newer file, those that are gone last.
    """

    old: str
    new: str
    old_digest: Digest
    new_digest: Digest
    general: tuple[Change, ...]
    use_cases: tuple[UseCaseDiff, ...]

    @property
    def touched(self) -> tuple[UseCaseDiff, ...]:
        """The use cases that differ."""
        return tuple(use_case for use_case in self.use_cases if use_case.state != "equal")

    @property
    def empty(self) -> bool:
        """Whether nothing differs but, perhaps, comments and layout."""
        return not self.general and not self.touched

    def only(self, use_case: str) -> "StandardDiff":
        """The same for one use case, with what concerns all of them."""
        return replace(self, use_cases=tuple(u for u in self.use_cases if u.use_case == use_case))

    def to_json(self) -> Json:
        """All fields."""
        return {
            "old": {"name": self.old, "digest": str(self.old_digest)},
            "new": {"name": self.new, "digest": str(self.new_digest)},
            "general": [change.to_json() for change in self.general],
            "use_cases": [use_case.to_json() for use_case in self.use_cases],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A commit that changed the standard.

    Attributes:
        commit: who, when and why.
        diff: what it changed; None when one side cannot be read as a standard, or is not there.
        note: why there is no diff; "" when there is one.
    """

    commit: CommitRecord
    diff: StandardDiff | None
    note: str

    def to_json(self) -> Json:
        """All fields."""
        commit = self.commit
        return {
            "commit": commit.commit,
            "author": commit.author,
            "email": commit.email,
            "at": commit.at,
            "subject": commit.subject,
            "diff": None if self.diff is None else self.diff.to_json(),
            "note": self.note,
        }


def diff_standards(old: Standard, new: Standard) -> StandardDiff:
    """Compare two versions of a standard."""
    gone = [name for name in old.use_cases if name not in new.use_cases]
    return StandardDiff(
        old=old.path,
        new=new.path,
        old_digest=old.digest,
        new_digest=new.digest,
        general=tuple(_general(old, new)),
        use_cases=tuple(
            _use_case_diff(name, old.use_cases.get(name), new.use_cases.get(name))
            for name in (*new.use_cases, *gone)
        ),
    )


def _general(old: Standard, new: Standard) -> Iterator[Change]:
    if old.version != new.version:
        yield changed("standard", f"version {new.version} instead of {old.version}")
    if old.profile != new.profile:
        yield changed(
            "standard",
            f"profile {new.profile} instead of {old.profile}; what it brings is listed per use case",
        )
    for name, before, after in (("store", old.store, new.store), ("ledger", old.ledger, new.ledger)):
        if before != after:
            yield changed("standard", _address_words(name, before, after))
    if old.roster != new.roster:
        yield changed("standard", f"people are looked up in {new.roster} instead of {old.roster}")
    if old.capture != new.capture:
        yield changed("standard", f"runs capture: {new.capture} instead of {old.capture}")
    yield from _role_changes(old.roles, new.roles)
    yield from guard_changes(old.guard, new.guard)


def _address_words(name: str, old: str | None, new: str | None) -> str:
    before = "the default" if old is None else shown(old)
    after = "the default" if new is None else shown(new)
    if before == after:
        return f"{name}: user, password or options of {after} changed"
    return f"{name}: {after} instead of {before}"


def _role_changes(
    old: Mapping[str, frozenset[Transition]], new: Mapping[str, frozenset[Transition]]
) -> Iterator[Change]:
    nothing: frozenset[Transition] = frozenset()
    for role in dict.fromkeys((*new, *old)):
        before, after = old.get(role, nothing), new.get(role, nothing)
        if role not in old:
            effect = looser if after & _OPENING else changed
            yield effect("roles", f"role {role} is new and may {_names(after) or 'do nothing'}")
        elif role not in new:
            effect = tighter if before & _OPENING else changed
            yield effect("roles", f"role {role} is gone; it could {_names(before) or 'do nothing'}")
        else:
            if gained := after - before:
                effect = looser if gained & _OPENING else changed
                yield effect("roles", f"{role} may now {_names(gained)}")
            if lost := before - after:
                effect = tighter if lost & _OPENING else changed
                yield effect("roles", f"{role} may no longer {_names(lost)}")


def _names(names: frozenset[Transition]) -> str:
    return ", ".join(sorted(names))


def _use_case_diff(name: str, old: UseCaseRules | None, new: UseCaseRules | None) -> UseCaseDiff:
    changes: tuple[Change, ...] = ()
    state: State = "equal"
    if old is None:
        state = "added"
    elif new is None:
        state = "removed"
    else:
        changes = tuple(_use_case_changes(old, new))
        state = "changed" if changes else "equal"
    return UseCaseDiff(
        use_case=name,
        state=state,
        changes=changes,
        old_rules=None if old is None else old.digest,
        new_rules=None if new is None else new.digest,
        environments=_changed_environments(old, new),
    )


def _changed_environments(old: UseCaseRules | None, new: UseCaseRules | None) -> tuple[str, ...]:
    before = {} if old is None else {name: old.environment_digest(name) for name in old.environments}
    after = {} if new is None else {name: new.environment_digest(name) for name in new.environments}
    return tuple(name for name in dict.fromkeys((*after, *before)) if before.get(name) != after.get(name))


def _use_case_changes(old: UseCaseRules, new: UseCaseRules) -> Iterator[Change]:
    if old.owner != new.owner:
        yield changed("use case", f"owner {new.owner} instead of {old.owner}")
    if old.model_type != new.model_type:
        yield changed("use case", f"model type {new.model_type} instead of {old.model_type}")
    if old.registered_model != new.registered_model:
        yield changed(
            "use case", f"registered model {new.registered_model} instead of {old.registered_model}"
        )
    yield from list_changes(
        "use case",
        old.experiments,
        new.experiments,
        added=lambda name: changed("use case", f"experiment {name} belongs to it now"),
        removed=lambda name: changed("use case", f"experiment {name} does not belong to it any more"),
        order="experiments",
    )
    yield from _run_name_change(old.run_name, new.run_name)
    yield from _requirement_changes(old.requirements, new.requirements)
    yield from gate_changes(old.gate, new.gate)
    yield from list_changes(
        "proposal",
        old.notes,
        new.notes,
        added=lambda name: tighter("proposal", f"a proposal must fill {name}"),
        removed=lambda name: looser("proposal", f"a proposal need not fill {name} any more"),
        order="fields of a proposal",
    )
    yield from _environments_changes(old.environments, new.environments)
    yield from deployment_changes(old, new)
    yield from field_changes("use case", old.to_json(), new.to_json(), said=_SAID_OF_A_USE_CASE)


_SAID_OF_A_USE_CASE = frozenset(
    {
        "use_case",
        "model_type",
        "experiments",
        "registered_model",
        "run_name",
        "requirements",
        "gate",
        "notes",
    }
)


def _run_name_change(old: str | None, new: str | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None:
        yield tighter("use case", f"run names must match {new}; before, any name would do")
    elif new is None:
        yield looser("use case", f"any run name will do; before, it had to match {old}")
    else:
        yield changed("use case", f"run names must match {new} instead of {old}")


def _requirement_changes(before: Sequence[Requirement], after: Sequence[Requirement]) -> Iterator[Change]:
    old, new = _by(before, lambda r: r.code), _by(after, lambda r: r.code)
    for code, requirement in new.items():
        if code not in old:
            words = (
                "is required now" if requirement.severity == "block" else "is asked for now, and only warns"
            )
            yield tighter("requirements", f"{code} {words} ({requirement.origin})")
        else:
            yield from _one_requirement(old[code], requirement)
    for code, requirement in old.items():
        if code not in new:
            yield looser("requirements", f"{code} is not required any more (was {requirement.origin})")


def _one_requirement(old: Requirement, new: Requirement) -> Iterator[Change]:
    code = new.code
    if old.severity != new.severity:
        effect = tighter if new.severity == "block" else looser
        word = (
            "blocks now; before, it warned"
            if new.severity == "block"
            else "only warns now; before, it blocked"
        )
        yield effect("requirements", f"the absence of {code} {word}")
    yield from list_changes(
        "requirements",
        old.accepts,
        new.accepts,
        added=lambda name: looser("requirements", f"{code} may also be called {name}"),
        removed=lambda name: tighter("requirements", f"{code} may not be called {name} any more"),
        order=f"names of {code}",
    )
    if (old.why, old.how, old.by) != (new.why, new.how, new.by):
        yield changed("requirements", f"the explanation of {code}")
    yield from field_changes(
        "requirements", old.to_json(), new.to_json(), said=frozenset({"kind", "name", "accepts", "severity"})
    )


def _environments_changes(
    old: Mapping[str, EnvironmentRules], new: Mapping[str, EnvironmentRules]
) -> Iterator[Change]:
    for name, rules in new.items():
        if name not in old:
            yield changed(
                "environments", f"environment {name} is new: {'; '.join(environment_phrases(rules))}"
            )
        else:
            yield from _environment_changes(old[name], rules)
            if old[name].after != rules.after:
                yield _after_change(name, old, new)
    for name, rules in old.items():
        if name not in new:
            yield changed(
                "environments", f"environment {name} is gone; it had {'; '.join(environment_phrases(rules))}"
            )
    both_old = [name for name in old if name in new]
    both_new = [name for name in new if name in old]
    if both_old != both_new:
        yield order_changed("environments", "the path to production", list(old), list(new))


def _environment_changes(old: EnvironmentRules, new: EnvironmentRules) -> Iterator[Change]:
    name = new.name
    if old.alias != new.alias:
        yield changed("environments", f"{name} is alias @{new.alias} instead of @{old.alias}")
    yield from _approval_changes(old, new)
    if old.self_approval != new.self_approval:
        if new.self_approval == "recorded":
            yield looser("approvals", f"an author's own approval counts for {name}, and is shown")
        else:
            yield tighter("approvals", f"an author's own approval does not count for {name} any more")
    yield from list_changes(
        "approvals",
        old.checklist,
        new.checklist,
        added=lambda item: tighter("approvals", f"an approver for {name} must tick: {item}"),
        removed=lambda item: looser("approvals", f"an approver for {name} need not tick any more: {item}"),
        order=f"checklist for {name}",
    )
    if old.rollback_plan != new.rollback_plan:
        if new.rollback_plan:
            yield tighter("environments", f"{name} needs a rollback plan")
        else:
            yield looser("environments", f"{name} needs no rollback plan any more")
    yield from environment_deployment_changes(old, new)
    yield from field_changes(
        f"environment {name}", old.to_json(), new.to_json(), said=_SAID_OF_AN_ENVIRONMENT
    )


_SAID_OF_AN_ENVIRONMENT = SAID_OF_AN_ENVIRONMENT | {
    "name",
    "alias",
    "approvals",
    "self_approval",
    "after",
    "checklist",
    "rollback_plan",
}


def _approval_changes(old: EnvironmentRules, new: EnvironmentRules) -> Iterator[Change]:
    before = {rule.role: rule.count for rule in old.approvals}
    after = {rule.role: rule.count for rule in new.approvals}
    for role in dict.fromkeys((*after, *before)):
        was, now = before.get(role, 0), after.get(role, 0)
        if was != now:
            effect = tighter if now > was else looser
            yield effect("approvals", f"{new.name} needs {now} x {role} instead of {was}")
    if before == after and list(before) != list(after):
        yield order_changed("approvals", f"approvals for {new.name}", list(before), list(after))


def _after_change(
    name: str, old: Mapping[str, EnvironmentRules], new: Mapping[str, EnvironmentRules]
) -> Change:
    before, after = old[name].after, new[name].after
    if before is None:
        return tighter("environments", f"a version must have been released in {after} before {name}")
    if after is None:
        return looser(
            "environments", f"a version need not have been released in {before} before {name} any more"
        )
    more, less = before in _passed(name, new), after in _passed(name, old)
    if more == less:  # neither path tells: where they stand does
        more, less = _comes_earlier(before, after, old, new), _comes_earlier(after, before, old, new)
    effect = tighter if more else looser if less else changed
    return effect(
        "environments", f"a version must have been released in {after} before {name}, instead of {before}"
    )


def _passed(name: str, environments: Mapping[str, EnvironmentRules]) -> list[str]:
    """The environments that a version must have been released in before this one."""
    found: list[str] = []
    at = environments[name].after
    while at is not None and at not in found:
        found.append(at)
        at = environments[at].after if at in environments else None
    return found


def _comes_earlier(one: str, other: str, *paths: Iterable[str]) -> bool:
    """Whether both stand on every path, and one ahead of the other."""
    orders = [list(path) for path in paths]
    return all(one in order and other in order[order.index(one) :] for order in orders)


def _by(items: Sequence[_Item], key: Callable[[_Item], str]) -> dict[str, _Item]:
    return {key(item): item for item in items}
