"""The changes of a flush to their rules, and the rules' answers to one ruling."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from signoff.evidence.log_entry import GUARDED
from signoff.record.digest import Json
from signoff.release.guard import aliases, deletion, experiments, freeze, registration, tags
from signoff.release.guard.flush import Caution, Deed, Flush, Said
from signoff.release.guard.model import Asker, Change, Objection, Override, Record, Ruling, governed_entry
from signoff.release.guard.ports import GuardFacts
from signoff.standard.guard import GUARD_RULES, GuardRule

_JUDGES: Mapping[GuardRule, Callable[[Flush, Asker, GuardFacts], Iterator[Said]]] = {
    "experiment": experiments.judge,
    "artifact-location": experiments.judge_location,
    "registration": registration.judge,
    "alias": aliases.judge,
    "freeze": freeze.judge,
    "finished-run": freeze.judge_finished,
    "deletion": deletion.judge,
    "reserved-tag": tags.judge,
}


def decide(changes: tuple[Change, ...], *, asker: Asker, facts: GuardFacts) -> Ruling:
    """May these changes be written?

    Each rule that is not off is asked. An objection of an enforced rule refuses the whole flush, unless a
    break-glass lifts the rule for its use case; then, as where the rule only warns, the change happens and the
    log says what was said against it. Nobody is above the rules: who asks counts only in release decisions.

    Args:
        changes: rows that one flush or bulk statement would write, in any order.
        asker: who asks.
        facts: what is known about what they concern.
    """
    active = [rule for rule in GUARD_RULES if facts.rules.level(rule) != "off"]
    if not active:
        return Ruling()
    flush = Flush.of(changes)
    refused: list[Objection] = []
    warned: list[Objection] = []
    ready: list[Record] = []
    entries = _Entries(asker=asker, at=facts.today)
    for rule in active:
        for said in _JUDGES[rule](flush, asker, facts):
            match said:
                case Objection():
                    lifted = _override(said, facts)
                    if facts.rules.level(rule) == "enforce" and lifted is None:
                        refused.append(said)
                    else:
                        warned.append(said)
                        entries.object(said, mode="warn" if lifted is None else "override", override=lifted)
                case Caution():
                    warned.append(said.objection)
                    entries.object(said.objection, mode=said.mode, override=None)
                case Deed():
                    entries.add(said)
                case Record():
                    ready.append(said)
    if refused:
        return Ruling(refused=_once(refused))
    return Ruling(warned=_once(warned), records=(*ready, *entries.records()))


def _override(objection: Objection, facts: GuardFacts) -> Override | None:
    """The break-glass that lifts the rule for the objection's use case, the longest if several; None for none."""
    if facts.rules.level(objection.rule) != "enforce" or not objection.use_case:
        return None
    found = [
        override
        for override in facts.overrides(objection.use_case)
        if (override.rule, override.use_case) == (objection.rule, objection.use_case)
    ]
    return max(found, key=lambda override: (override.until, override.statement), default=None)


def _once(objections: list[Objection]) -> tuple[Objection, ...]:
    """Each subject's reason once, though two rules may have it."""
    return tuple({(said.subject, said.reason): said for said in reversed(objections)}.values())[::-1]


@dataclass(kw_only=True, slots=True)
class _Entry:
    """What becomes one entry of the log."""

    operations: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    detail: dict[str, Json] = field(default_factory=dict)
    statement: str | None = None


@dataclass(kw_only=True, slots=True)
class _Entries:
    """Entries of one flush: one for each rule, use case and subject."""

    asker: Asker
    at: str
    found: dict[tuple[GuardRule, str, str], _Entry] = field(default_factory=dict)

    def add(self, deed: Deed) -> None:
        """Log what is done."""
        entry = self._entry(deed.rule, deed.use_case, deed.subject)
        if deed.operation not in entry.operations:
            entry.operations.append(deed.operation)
        entry.detail.update(deed.detail)

    def object(self, objection: Objection, *, mode: str, override: Override | None) -> None:
        """Log what was said against something that is done all the same."""
        entry = self._entry(objection.rule, objection.use_case, objection.subject)
        lead = {"warn": "would be refused", "override": "refused but for a break-glass"}.get(mode, mode)
        reason = f"{lead}: ({objection.reason.code}) {objection.reason.message}"
        if reason not in entry.reasons:
            entry.reasons.append(reason)
        entry.detail["mode"] = mode
        if override is not None:
            entry.statement = override.statement
            entry.detail["override"] = {
                "by": override.by,
                "reason": override.reason,
                "until": override.until,
                "statement": override.statement,
            }

    def records(self) -> tuple[Record, ...]:
        """One record for each entry."""
        return tuple(
            Record(
                entry=governed_entry(
                    at=self.at,
                    asker=self.asker,
                    action=f"{GUARDED}{rule}",
                    use_case=use_case,
                    subject=subject,
                    reasons=tuple(entry.reasons),
                    detail={**entry.detail, "rule": rule, "operation": ", ".join(entry.operations)},
                    statement=entry.statement,
                )
            )
            for (rule, use_case, subject), entry in sorted(self.found.items())
        )

    def _entry(self, rule: GuardRule, use_case: str, subject: str) -> _Entry:
        return self.found.setdefault((rule, use_case, subject), _Entry())
