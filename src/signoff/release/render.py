"""Release decisions as text for people and JSON for programs."""

from signoff.record.digest import Json
from signoff.release.model import ReleaseDecision
from signoff.release.text import printable

_DONE = {
    "propose": "PROPOSED",
    "note": "NOTED",
    "approve": "APPROVED",
    "reject": "REJECTED",
    "waive": "WAIVED",
    "promote": "PROMOTED",
    "rollback": "ROLLED BACK",
    "override": "BREAK-GLASS",
}


def render_text(decision: ReleaseDecision, *, planned: bool = False) -> str:
    """One headline, then a line per reason with its fix, then the remarks.

    Args:
        decision: what was decided.
        planned: whether this is a dry run: nothing was or will be done.
    """
    if not decision.allowed:
        count = len(decision.reasons)
        headline = f"REFUSED  {decision.transition} {decision.subject}: {count} thing{'s' if count > 1 else ''} missing"
    elif planned:
        headline = f"ALLOWED  {decision.transition} {decision.subject} (dry run: nothing was changed)"
    else:
        headline = f"{_DONE[decision.transition]}  {decision.subject}"
    lines = [printable(headline)]
    for reason in decision.reasons:
        lines.append(printable(f"  {reason.code}: {reason.message}"))
        if reason.fix:
            lines.append(printable(f"      do: {reason.fix}"))
    lines += [printable(f"  note: {remark}") for remark in decision.remarks]
    return "\n".join(lines)


def to_json(decision: ReleaseDecision) -> Json:
    """All fields."""
    return {
        "transition": decision.transition,
        "subject": decision.subject,
        "allowed": decision.allowed,
        "reasons": [reason.to_json() for reason in decision.reasons],
        "remarks": list(decision.remarks),
    }
