"""Who may do what, and who is whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signoff.evidence.roster import Roster
from signoff.release.model import Reason
from signoff.standard.model import ApprovalRule, Transition


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """The roster together with what the standard lets each role do."""

    roster: Roster
    roles: Mapping[str, frozenset[Transition]]

    def roles_of(self, email: str) -> tuple[str, ...]:
        """The person's roles; empty for somebody who is not on the roster."""
        person = self.roster.by_identity(email)
        return () if person is None else person.roles

    def may(self, email: str, transition: Transition) -> bool:
        """Whether one of the person's roles allows the transition."""
        return any(transition in self.roles.get(role, frozenset()) for role in self.roles_of(email))

    def refusals(self, email: str, transition: Transition) -> tuple[Reason, ...]:
        """Why this person may not make the transition; empty when they may."""
        roles = self.roles_of(email)
        if not roles:
            return (
                Reason(
                    code="not-on-roster",
                    message=f"{email} is not on the roster",
                    fix="have the owner of the roster add the person, their roles and their public key",
                ),
            )
        if self.may(email, transition):
            return ()
        unknown = [role for role in roles if role not in self.roles]
        if unknown:
            return (
                Reason(
                    code="unknown-role",
                    message=f"{email} has the role {_and(unknown)}, which the standard does not know"
                    f" (it knows {_and(sorted(self.roles))})",
                    fix="correct the role in the roster, or define it under `roles` in the standard",
                ),
            )
        able = sorted(role for role, allowed in self.roles.items() if transition in allowed)
        return (
            Reason(
                code="role",
                message=f"{email} is {_and(roles)}; to {transition} takes the role {' or '.join(able) or '(none may)'}",
                fix=f"ask somebody with that role: {_and(self.having(able)) or 'nobody on the roster has it'}",
            ),
        )

    def having(self, roles: Iterable[str]) -> tuple[str, ...]:
        """E-mails of the people with one of the roles, sorted."""
        wanted = set(roles)
        return tuple(sorted(p.email for p in self.roster.people if wanted & set(p.roles)))

    def emails(self, identities: Iterable[str]) -> frozenset[str]:
        """The people meant by git identities, OS users or e-mails; unknown identities stay as they are."""
        found = ((self.roster.by_identity(identity), identity) for identity in identities)
        return frozenset(identity if person is None else person.email for person, identity in found)


def _and(names: Iterable[str]) -> str:
    return ", ".join(names)


def rollback_refusals(people: People, actor: str, reason: str, *, what: str = "a rollback") -> list[Reason]:
    """Why somebody may not roll back: whoever may does it for a reason.

    Args:
        people: the roster and roles.
        actor: e-mail of the person whose key signs.
        reason: why, in their words.
        what: how the message calls it.
    """
    reasons = list(people.refusals(actor, "rollback"))
    if not reason.strip():
        reasons.append(Reason(code="reason", message=f"{what} needs a reason", fix='add --reason "…"'))
    return reasons


def unmet(
    required: Iterable[ApprovalRule], approvers: Mapping[str, tuple[str, ...]]
) -> tuple[ApprovalRule, ...]:
    """Which requirements stay open when each approver counts for one role only.

    Args:
        required: so many people per role.
        approvers: the roles that each approver holds.

    Returns:
        Per role the number of people still missing; empty when all are met. Found by augmenting paths
        (Kuhn 1955), so a person with two roles is placed where they are needed.
    """
    seats = [(rule.role, seat) for rule in required for seat in range(rule.count)]
    seated: dict[tuple[str, int], str] = {}

    def place(email: str, seen: set[tuple[str, int]]) -> bool:
        for seat in seats:
            if seat[0] not in approvers[email] or seat in seen:
                continue
            seen.add(seat)
            if seat not in seated or place(seated[seat], seen):
                seated[seat] = email
                return True
        return False

    for email in sorted(approvers):
        place(email, set())
    open_seats = [role for role, seat in seats if (role, seat) not in seated]
    return tuple(ApprovalRule(role=role, count=open_seats.count(role)) for role in dict.fromkeys(open_seats))
