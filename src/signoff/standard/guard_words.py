"""The guard's rules in words: as they are, and what changed."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from signoff.standard.diff_words import Change, changed, looser, tighter
from signoff.standard.guard import GUARD_RULES, LEVELS, QUIET, GuardRule, GuardRules, Level

LEVEL_WORDS: Mapping[Level, str] = {"enforce": "refuses", "warn": "only warns", "off": "is off"}
"""What a rule of each level does."""
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


def with_level(rules: GuardRules, rule: GuardRule, level: Level) -> str:
    """The standard's section ``guard`` by which one rule has another level and all else stays as it is."""
    levels = {each: level if each == rule else rules.level(each) for each in GUARD_RULES}
    common = Counter(levels.values()).most_common(1)[0][0]
    named = {each.replace("-", "_"): now for each, now in levels.items() if now != common or each in QUIET}
    said: dict[str, str] = {"all": common, **named}
    if rules.from_running != "quarantine":
        said["from_running"] = rules.from_running
    if rules.link:
        said["link"] = json.dumps(rules.link)  # a JSON text is one of YAML too
    return f"guard: {{{', '.join(f'{key}: {value}' for key, value in said.items())}}}"


def guard_changes(old: GuardRules, new: GuardRules) -> Iterator[Change]:
    """What the guard does differently."""
    for rule in GUARD_RULES:
        before, after = old.level(rule), new.level(rule)
        if before != after:
            effect = tighter if LEVELS.index(after) < LEVELS.index(before) else looser
            yield effect("guard", f"rule {rule} {LEVEL_WORDS[after]}; before, it {_past(before)}")
    if old.from_running != new.from_running:
        effect = tighter if new.from_running == "refuse" else looser
        yield effect("guard", _FROM_RUNNING[new.from_running])
    if old.link != new.link:
        yield changed(
            "guard", f"refusals link to {new.link or 'the server'} instead of {old.link or 'the server'}"
        )


def _past(level: str) -> str:
    return {"enforce": "refused", "warn": "only warned", "off": "was off"}[level]
