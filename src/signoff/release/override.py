"""Break-glass: a rule of the guard is lifted for one use case, for a time, by a named person, with a reason.

An override statement counts when

(1) it is signed by a person who may override today;
(2) it names a rule that exists, and a use case and reason;
(3) its time is well formed and no longer than `MAX_MINUTES`, whatever it says;
(4) now lies in it;
(5) no later statement ends it, signed by a person who may override.

Nothing here is removed when its time is over: status, review and lineage go on naming it.
"""

from dataclasses import dataclass

from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record.days import at_second, second_number
from signoff.release.approval import head_json
from signoff.release.chain import authors_of_proposal
from signoff.release.guard.model import Override
from signoff.release.history import History
from signoff.release.model import Reason, ReleaseDecision, Signed
from signoff.release.people import People
from signoff.standard.guard import GUARD_RULES, GuardRule
from signoff.standard.model import UseCaseRules

MAX_MINUTES = 8 * 60
"""No override lasts longer; who needs more signs again."""
REASON_CHARACTERS = 10
"""A reason shorter than this says nothing to whoever reads it next month."""
_ENDS = "override"
"""Subject of a statement that ends another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakGlass:
    """An override that counts or counted, with how long.

    Attributes:
        override: what was lifted; ``until`` as it was signed.
        at: from when, ISO 8601 UTC.
        end: when it really ended or will end.
        ended_by: who ended it before its time; "" for nobody.
        authored: versions, by number, whose signed proposals name the same person as author.
    """

    override: Override
    at: str
    end: str
    ended_by: str
    authored: tuple[int, ...]

    def covers(self, at: str) -> bool:
        """Whether it is in force at an ISO time."""
        return self.at <= at < self.end

    def words(self, name: str) -> str:
        """One line for people.

        Args:
            name: the registered model, for the versions.
        """
        refs = ", ".join(f"{name}/{version}" for version in self.authored)
        own = f", who is an author of {refs}" if refs else ""
        ended = f", ended by {self.ended_by}" if self.ended_by else ""
        said = self.override
        return f"rule {said.rule} lifted by {said.by}{own}, {self.at} to {self.end}{ended}: {said.reason}"


def decide_override(
    rules: UseCaseRules, rule: str, *, actor: str, minutes: int, reason: str, people: People
) -> ReleaseDecision:
    """Decide whether a person may lift a rule of the guard for a use case.

    Args:
        rules: the use case's rules.
        rule: name of the rule.
        actor: e-mail of the person whose key signs.
        minutes: for how long.
        reason: why.
        people: the roster and roles.
    """
    reasons = list(people.refusals(actor, "override"))
    if rule not in GUARD_RULES:
        message = f"the guard has no rule {rule!r}"
        reasons.append(Reason(code="override-rule", message=message, fix=f"one of {', '.join(GUARD_RULES)}"))
    if not 1 <= minutes <= MAX_MINUTES:
        message = f"{minutes} minutes; an override lasts 1 to {MAX_MINUTES} minutes"
        reasons.append(
            Reason(code="override-time", message=message, fix="take less, and sign again when it is over")
        )
    if len(reason.strip()) < REASON_CHARACTERS:
        message = f"a break-glass needs a reason of {REASON_CHARACTERS} characters or more"
        reasons.append(Reason(code="override-reason", message=message, fix='--reason "…"'))
    told = f"it is shown in status, review and lineage, and each entry made under it names {actor}"
    return ReleaseDecision(
        transition="override",
        subject=f"{rule} for {rules.name}",
        reasons=tuple(reasons),
        remarks=() if reasons else (told,),
    )


def override_statement(
    rules: UseCaseRules, rule: GuardRule, *, actor: str, minutes: int, reason: str, log: LogHead, at: str
) -> Statement:
    """The statement of somebody who lifts a rule.

    Raises:
        ValueError: ``at`` is no ISO time.
    """
    begin = second_number(at)
    if begin is None:
        raise ValueError(f"{at!r} is no ISO 8601 time in UTC")
    return Statement(
        kind="override",
        subjects=(Subject(name="rules", digest=rules.digest),),
        predicate={
            "use_case": rules.name,
            "rule": rule,
            "minutes": minutes,
            "reason": reason.strip(),
            "actor": actor,
            "log": head_json(log),
            "at": at,
            "until": at_second(begin + minutes * 60),
        },
    )


def decide_end(
    rules: UseCaseRules, rule: str, *, actor: str, history: History, people: People, now: str
) -> tuple[ReleaseDecision, tuple[Signed, ...]]:
    """Decide on ending what lifts a rule now; with the statements that would be ended."""
    running = {override.statement for override in overrides_in_force(history, people, now)}
    ended = tuple(s for s in history.of("override") if str(s.id) in running and s.text("rule") == rule)
    reasons = list(people.refusals(actor, "override"))
    if not ended:
        message = f"rule {rule} is not lifted for {rules.name} now"
        reasons.append(Reason(code="override-none", message=message, fix=f"signoff status {rules.name}"))
    subject = f"end of {rule} for {rules.name}"
    return ReleaseDecision(transition="override", subject=subject, reasons=tuple(reasons)), ended


def end_statement(
    rules: UseCaseRules, ended: Signed, *, actor: str, reason: str, log: LogHead, at: str
) -> Statement:
    """The statement that ends an override before its time."""
    return Statement(
        kind="override",
        subjects=(Subject(name=_ENDS, digest=ended.id),),
        predicate={
            "use_case": rules.name,
            "rule": ended.text("rule"),
            "reason": reason.strip(),
            "actor": actor,
            "log": head_json(log),
            "at": at,
        },
    )


def overrides_in_force(history: History, people: People, now: str) -> tuple[Override, ...]:
    """The overrides of a use case that lift a rule now, oldest first.

    Args:
        history: the use case's statements, signatures checked.
        people: the roster and roles.
        now: ISO 8601 UTC with seconds.
    """
    return tuple(glass.override for glass in break_glasses(history, people) if glass.covers(now))


def made_under(history: History, people: People, at: str) -> tuple[BreakGlass, ...]:
    """The overrides that were in force at a time, such as that of a release."""
    return tuple(glass for glass in break_glasses(history, people) if glass.covers(at))


def break_glasses(history: History, people: People) -> tuple[BreakGlass, ...]:
    """Every override of a use case that counts or counted, oldest first."""
    statements = history.of("override")
    ends = [s for s in statements if s.statement.subject(_ENDS) is not None and _signer(s, people)]
    found = (_glass(s, ends, history, people) for s in statements if s.statement.subject(_ENDS) is None)
    return tuple(glass for glass in found if glass is not None)


def _glass(signed: Signed, ends: list[Signed], history: History, people: People) -> BreakGlass | None:
    by = _signer(signed, people)  # (1)
    rule, reason = signed.text("rule"), signed.text("reason")
    at, until = second_number(signed.text("at")), second_number(signed.text("until"))
    if not by or rule not in GUARD_RULES or not reason:  # (2)
        return None
    if at is None or until is None or not 0 < until - at <= MAX_MINUTES * 60:  # (3)
        return None
    ending = next(
        (e for e in ends if e.statement.subject(_ENDS) == signed.id and e.order > signed.order), None
    )
    end = signed.text("until")
    if ending is not None:  # (5)
        # A statement without a sound time ends it at once: undecided means closed.
        said = ending.text("at") if second_number(ending.text("at")) is not None else signed.text("at")
        end = min(end, said)
    return BreakGlass(
        override=Override(
            rule=rule,
            use_case=signed.text("use_case"),
            by=by,
            reason=reason,
            until=end,
            statement=str(signed.id),
        ),
        at=signed.text("at"),
        end=end,
        ended_by=_signer(ending, people) if ending is not None and end != signed.text("until") else "",
        authored=_authored(history, people, by),
    )


def _signer(signed: Signed, people: People) -> str:
    """Who signed it and may override; "" for nobody."""
    return next((person for person in signed.signers if people.may(person, "override")), "")


def _authored(history: History, people: People, person: str) -> tuple[int, ...]:
    """The versions of which somebody is an author, as their signed proposals say."""
    numbers = (
        proposal.number("version")
        for proposal in history.of("proposal")
        if proposal.signers and person in people.emails(authors_of_proposal(proposal))
    )
    return tuple(sorted({number for number in numbers if number is not None}))
