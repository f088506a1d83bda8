"""What a change of the rules does to open candidates and to what is released."""

from collections.abc import Iterator

from signoff.errors import EvidenceError
from signoff.release.chain import verify_release
from signoff.release.history import History
from signoff.release.model import Release
from signoff.release.people import People
from signoff.standard.model import UseCaseRules


def touched_by(
    history: History,
    *,
    old: UseCaseRules | None,
    new: UseCaseRules | None,
    before: People,
    after: People,
) -> tuple[str, ...]:
    """What changed rules and roles of a use case do to its candidates and releases, one sentence each.

    Args:
        history: the use case's statements.
        old: its rules before; None when it is new.
        new: its rules now; None when it is gone.
        before: the roster with the roles before.
        after: the same with the roles now.
    """
    if old is None:
        return ()
    if new is None:
        return tuple(_of_a_use_case_that_is_gone(history, old))
    return (*_void(history, old, new), *_moved(history, old, new), *_refused(history, new, before, after))


def open_candidates(history: History, rules: UseCaseRules) -> tuple[int, ...]:
    """Versions that were proposed after what is released at the end of the path, and never released there."""
    target = list(rules.environments)[-1]
    released = {s.number("version") for s in history.of("release") if s.text("environment") == target}
    proposed = {s.number("version") for s in history.of("proposal") if s.signers}
    current = _version(history, target) or 0
    return tuple(sorted(v for v in proposed if v is not None and v > current and v not in released))


def _version(history: History, environment: str) -> int | None:
    """The version released in an environment; None when there is none, or the ledger cannot say."""
    released = _release(history, environment)
    return None if released is None else released.version


def _release(history: History, environment: str) -> Release | None:
    try:
        return history.release(environment)
    except EvidenceError:
        return None  # `signoff status` and `lineage` tell what is wrong with it


def _releases(history: History, rules: UseCaseRules) -> dict[str, Release]:
    found = {name: _release(history, name) for name in rules.environments}
    return {name: release for name, release in found.items() if release is not None}


def _void(history: History, old: UseCaseRules, new: UseCaseRules) -> Iterator[str]:
    candidates = {version: history.proposal(version) for version in open_candidates(history, new)}
    names = {version: f"{new.registered_model}/{version}" for version in candidates}
    if old.digest != new.digest:
        under = {
            version: None if proposal is None else proposal.statement.subject("rules")
            for version, proposal in candidates.items()
        }
        hit = [names[version] for version, rules in under.items() if rules == old.digest]
        good = [names[version] for version, rules in under.items() if rules == new.digest]
        gone = [name for version, name in names.items() if under[version] not in (old.digest, new.digest)]
        yield (
            f"gate decisions and approvals made under the old rules are void: {_candidates(hit)}"
            f"{_stay(history, new)}"
        )
        if good:
            yield f"judged under the new rules already: {_candidates(good)}"
        if gone:
            yield f"void before this change, judged under yet other rules: {_candidates(gone)}"
        return
    changed = [
        name
        for name in new.environments
        if name in old.environments and old.environment_digest(name) != new.environment_digest(name)
    ]
    if changed:
        yield (
            f"approvals for {', '.join(changed)} given under the old rules are void, gate decisions are not:"
            f" {_candidates(list(names.values()))}{_stay(history, new)}"
        )


def _candidates(names: list[str]) -> str:
    if not names:
        return "no open candidate"
    return f"open candidate{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _stay(history: History, rules: UseCaseRules) -> str:
    return "".join(
        f"; the release {rules.registered_model}/{release.version} in {name} stays"
        for name, release in _releases(history, rules).items()
    )


def _moved(history: History, old: UseCaseRules, new: UseCaseRules) -> Iterator[str]:
    """Releases that commands would not find any more."""
    for name, release in _releases(history, old).items():
        ref = f"{old.registered_model}/{release.version}"
        if name not in new.environments:
            yield f"environment {name} is gone: no command reaches the release {ref} there"
            continue
        was = f"{old.registered_model}@{old.environments[name].alias}"
        now = f"{new.registered_model}@{new.environments[name].alias}"
        if was != now:
            yield f"commands look for {now} instead of {was}: the release {ref} is refused until that alias points at it"


def _refused(history: History, rules: UseCaseRules, before: People, after: People) -> Iterator[str]:
    """Releases that verified under the roles before, and do not under the roles now."""
    if before.roles == after.roles:
        return
    for name, release in _releases(history, rules).items():
        good = {reason.code for reason in verify_release(history, release.statement, people=before)}
        for reason in verify_release(history, release.statement, people=after):
            if reason.code not in good:
                ref = f"{rules.registered_model}/{release.version}"
                yield f"the new roles make the release {ref} in {name} unusable: {reason.message}"


def _of_a_use_case_that_is_gone(history: History, old: UseCaseRules) -> Iterator[str]:
    live = [
        f"the release {old.registered_model}/{r.version} in {n}" for n, r in _releases(history, old).items()
    ]
    names = [f"{old.registered_model}/{version}" for version in open_candidates(history, old)]
    if live or names:
        reached = ", ".join((*([_candidates(names)] if names else []), *live))
        yield f"the use case is gone: no command reaches {reached}"
