"""What the guard of an MLflow server enforces, rule by rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from signoff.record.digest import Json

GuardRule = Literal[
    "experiment",
    "artifact-location",
    "registration",
    "alias",
    "freeze",
    "finished-run",
    "deletion",
    "reserved-tag",
]
"""Names of the rules, as the standard, messages, the audit log and `signoff admin report` call them."""
GUARD_RULES: tuple[GuardRule, ...] = get_args(GuardRule)
Level = Literal["enforce", "warn", "off"]
LEVELS: tuple[Level, ...] = get_args(Level)

QUIET: frozenset[GuardRule] = frozenset({"finished-run"})
"""Rules that `all` leaves alone: they forbid what many teams do every day, so each is asked for by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardRules:
    """How each rule is applied to what clients ask of the server.

    Attributes:
        levels: a level for every name in `GUARD_RULES`.
        from_running: what becomes of a version that is registered from a run that has not ended: ``quarantine``
            keeps it, and no alias may point at it until it is proposed; ``refuse`` refuses it.
        link: address that a refusal ends in, such as the team's page on releases; "" for the server's own page on the rule.
    """

    levels: Mapping[GuardRule, Level]
    from_running: Literal["quarantine", "refuse"] = "quarantine"
    link: str = ""

    def level(self, rule: GuardRule) -> Level:
        """The level of a rule; one that is not named is enforced."""
        return self.levels.get(rule, "enforce")

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return {
            "levels": {rule: self.level(rule) for rule in GUARD_RULES},
            "from_running": self.from_running,
            "link": self.link,
        }
