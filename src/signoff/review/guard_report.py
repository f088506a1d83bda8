"""What the guard refused or would have refused in a period, from the audit log: `signoff admin report`.

An owner who starts with rules that only warn reads here, rule by rule, what turning them on would have stopped: how
often, whom, and what.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signoff.evidence.ledger import Entry
from signoff.evidence.log_entry import COUNT, GUARDED
from signoff.record.digest import Json
from signoff.standard.guard import GUARD_RULES, GuardRule, GuardRules, Level
from signoff.standard.guard_words import LEVEL_WORDS, with_level
from signoff.text import printable

_WARN, _LIFTED = "warn", "override"
"""Modes of an entry whose change happened."""
MOST = 5
"""So many people and subjects are named on the page; JSON has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleReport:
    """What one rule had to say in the period.

    Attributes:
        rule: which rule.
        level: how it is applied today.
        refused: changes that it refused.
        warned: changes that it let pass with a warning: turning it on would have refused these.
        lifted: changes that it would have refused but for a break-glass.
        people: who asked for them, and how often; most often first.
        subjects: what it was about, and how often; most often first.
        use_cases: which use cases, and how often; "" for none.
        reasons: the reasons given, and how often.
        first: time of the first, ISO 8601 UTC; "" without one.
        last: time of the last.
        turn_on: the standard's section `guard` that enforces this rule and leaves the others; "" when it is enforced.
    """

    rule: GuardRule
    level: Level
    refused: int
    warned: int
    lifted: int
    people: tuple[tuple[str, int], ...]
    subjects: tuple[tuple[str, int], ...]
    use_cases: tuple[tuple[str, int], ...]
    reasons: tuple[tuple[str, int], ...]
    first: str
    last: str
    turn_on: str = ""

    def to_json(self) -> Json:
        """All fields; nothing is cut."""
        return {
            "rule": self.rule,
            "level": self.level,
            "refused": self.refused,
            "warned": self.warned,
            "lifted": self.lifted,
            "people": [[name, count] for name, count in self.people],
            "subjects": [[name, count] for name, count in self.subjects],
            "use_cases": [[name, count] for name, count in self.use_cases],
            "reasons": [[name, count] for name, count in self.reasons],
            "first": self.first,
            "last": self.last,
            "turn_on": self.turn_on,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardReport:
    """All rules.

    Attributes:
        since: first day of the period, ISO.
        until: its last day.
        rules: one row per rule, in the standard's order.
        lifted: break-glasses of the period, one line each.
    """

    since: str
    until: str
    rules: tuple[RuleReport, ...]
    lifted: tuple[str, ...]

    def to_json(self) -> Json:
        """All fields."""
        return {
            "since": self.since,
            "until": self.until,
            "rules": [row.to_json() for row in self.rules],
            "lifted": list(self.lifted),
        }


def guard_report(
    entries: Iterable[Entry], *, rules: GuardRules, since: str, until: str, lifted: Sequence[str] = ()
) -> GuardReport:
    """Count the guard's entries of a period, rule by rule.

    Args:
        entries: the audit log's entries, oldest first.
        rules: the rules in force today.
        since: first day, ISO.
        until: last day, ISO.
        lifted: break-glasses of the period, one line each.
    """
    found: dict[GuardRule, list[Entry]] = {rule: [] for rule in GUARD_RULES}
    for entry in entries:
        rule = _rule_of(entry)
        if rule is not None and since <= entry.at[:10] <= until:
            found[rule].append(entry)
    return GuardReport(
        since=since,
        until=until,
        rules=tuple(_of_a_rule(rule, told, rules) for rule, told in found.items()),
        lifted=tuple(lifted),
    )


def _rule_of(entry: Entry) -> GuardRule | None:
    """The rule of a warned or refused entry; None for any other, a change that was allowed among them."""
    if not entry.action.startswith(GUARDED) or not (
        entry.outcome == "refused" or entry.detail.get("mode") in (_WARN, _LIFTED)
    ):
        return None
    named = entry.detail.get("rule", entry.action.removeprefix(GUARDED))
    return next((rule for rule in GUARD_RULES if rule == named), None)


def _times(told: Iterable[Entry], mode: str) -> int:
    return sum(_count(entry) for entry in told if entry.detail.get("mode") == mode)


def _count(entry: Entry) -> int:
    """How many the entry stands for."""
    count = entry.detail.get(COUNT, 1)
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 1


def _of_a_rule(rule: GuardRule, told: Sequence[Entry], rules: GuardRules) -> RuleReport:
    level = rules.level(rule)
    warned, lifted = _times(told, _WARN), _times(told, _LIFTED)
    return RuleReport(
        rule=rule,
        level=level,
        refused=sum(_count(entry) for entry in told) - warned - lifted,
        warned=warned,
        lifted=lifted,
        people=_often((_person(entry), _count(entry)) for entry in told),
        subjects=_often((entry.subject, _count(entry)) for entry in told),
        use_cases=_often((entry.use_case, _count(entry)) for entry in told),
        reasons=_often((reason, _count(entry)) for entry in told for reason in entry.reasons),
        first=min((entry.at for entry in told), default=""),
        last=max((entry.at for entry in told), default=""),
        turn_on="" if level == "enforce" else with_level(rules, rule, "enforce"),
    )


def _person(entry: Entry) -> str:
    login = entry.detail.get("login")
    same = not isinstance(login, str) or login in (entry.actor, entry.actor.removeprefix("login:"))
    return entry.actor if same else f"{entry.actor} (login {login})"


def _often(named: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    found: Counter[str] = Counter()
    for name, count in named:
        found[name] += count
    return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def guard_report_text(report: GuardReport) -> str:
    """The report on one page."""
    lines = [f"The guard from {report.since} to {report.until}", ""]
    for row in report.rules:
        lines += _lines(row)
    lines += [f"BREAK-GLASS {text}" for text in report.lifted]
    quiet = [row.rule for row in report.rules if not row.refused + row.warned + row.lifted]
    if quiet:
        lines.append(f"nothing to say: {', '.join(quiet)}")
    return "\n".join(printable(line) for line in lines).rstrip()


def _lines(row: RuleReport) -> list[str]:
    if not row.refused + row.warned + row.lifted:
        return []
    under = f", {row.lifted} let pass under break-glass" if row.lifted else ""
    lines = [f"{row.rule} ({LEVEL_WORDS[row.level]} now): {row.refused} refused, {row.warned} warned{under}"]
    lines.append(f"  from {row.first} to {row.last}")
    lines.append(f"  whom     {_some(row.people)}")
    lines.append(f"  what     {_some(row.subjects)}")
    lines.append(f"  why      {_some(row.reasons)}")
    if row.level != "enforce" and row.warned:
        people = len(row.people)
        lines.append(
            f"  turned on, it would have refused {row.warned} change{'' if row.warned == 1 else 's'} of"
            f" {people} {'person' if people == 1 else 'people'}; in the standard:"
        )
        lines.append(f"    {row.turn_on}")
    return [*lines, ""]


def _some(names: Sequence[tuple[str, int]]) -> str:
    more = len(names) - MOST
    told = "; ".join(f"{name or '(none)'} x {count}" for name, count in names[:MOST])
    return told + (f"; and {more} more" if more > 0 else "")
