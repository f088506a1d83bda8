"""The guard's rules in words: as they are, and what changed."""

from collections.abc import Iterator

from signoff.standard.diff_words import Change, changed, looser, tighter
from signoff.standard.guard import GUARD_RULES, LEVELS, GuardRules

_WORDS = {"enforce": "refuses", "warn": "only warns", "off": "is off"}
_FROM_RUNNING = {
    "quarantine": "a version from a run that has not ended is kept in quarantine",
    "refuse": "a version from a run that has not ended is refused",
}


def guard_rows(rules: GuardRules) -> Iterator[tuple[str, str]]:
    """(level, its rules) for each level that has some, then what becomes of versions from running runs."""
    for level in LEVELS:
        names = [rule for rule in GUARD_RULES if rules.level(rule) == level]
        if names:
            yield level, ", ".join(names)
    if rules.level("registration") != "off":
        yield "running", _FROM_RUNNING[rules.from_running]
    if rules.link:
        yield "link", rules.link


def guard_changes(old: GuardRules, new: GuardRules) -> Iterator[Change]:
    """What the guard does differently."""
    for rule in GUARD_RULES:
        before, after = old.level(rule), new.level(rule)
        if before != after:
            effect = tighter if LEVELS.index(after) < LEVELS.index(before) else looser
            yield effect("guard", f"rule {rule} {_WORDS[after]}; before, it {_past(before)}")
    if old.from_running != new.from_running:
        effect = tighter if new.from_running == "refuse" else looser
        yield effect("guard", _FROM_RUNNING[new.from_running])
    if old.link != new.link:
        yield changed(
            "guard", f"refusals link to {new.link or 'the server'} instead of {old.link or 'the server'}"
        )


def _past(level: str) -> str:
    return {"enforce": "refused", "warn": "only warned", "off": "was off"}[level]
