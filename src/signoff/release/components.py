"""The components of a bundle as subjects: decisions, proposals, approvals and releases name each beside the model."""

from collections.abc import Mapping

from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest
from signoff.release.model import Reason

_PREFIX = "component:"


def component_subjects(components: Mapping[str, Digest]) -> tuple[Subject, ...]:
    """One subject per component; none for a model that is no bundle."""
    return tuple(Subject(name=f"{_PREFIX}{role}", digest=digest) for role, digest in components.items())


def components_named(statement: Statement) -> Mapping[str, Digest]:
    """Role → digest of the components that a statement names; empty when it is about no bundle."""
    return {
        subject.name.removeprefix(_PREFIX): subject.digest
        for subject in statement.subjects
        if subject.name.startswith(_PREFIX)
    }


def component_changes(then: Mapping[str, Digest], now: Mapping[str, Digest]) -> tuple[str, ...]:
    """One clause per component that differs, such as ``index (was 3f…, now 9a…)``."""
    return tuple(
        f"{role} (was {_short(then.get(role))}, now {_short(now.get(role))})"
        for role in dict.fromkeys((*then, *now))
        if then.get(role) != now.get(role)
    )


def changed_reasons(
    ref: str, since: str, *, then: Mapping[str, Digest], now: Mapping[str, Digest], fix: str
) -> tuple[Reason, ...]:
    """One reason per component that differs.

    Args:
        ref: the version, such as ``docs/3``.
        since: what the components were pinned by, such as ``the release``.
        then: as they were pinned.
        now: as they are.
        fix: what to do.
    """
    return tuple(
        Reason(
            code="component-changed", message=f"a component of {ref} changed since {since}: {change}", fix=fix
        )
        for change in component_changes(then, now)
    )


def prompt_reason(name: str, version: int, *, bundle: str, registry: str, fix: str) -> Reason | None:
    """A reason when MLflow's prompt registry shows people another text than the one that is used."""
    if bundle == registry:
        return None
    return Reason(
        code="prompt-changed",
        message=f"version {version} of prompt {name} in MLflow's registry is not the text that was released"
        f" (released {Digest.of(bundle.encode()).short}, registry {Digest.of(registry.encode()).short})",
        fix=fix,
    )


def _short(digest: Digest | None) -> str:
    return "nothing" if digest is None else digest.short
