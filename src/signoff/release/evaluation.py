"""Was what is released, or is to be released, evaluated lately enough?"""

from signoff.record.days import day_number
from signoff.release.history import History
from signoff.release.model import Reason, Release, Signed
from signoff.standard.model import EnvironmentRules


def evaluated_at(history: History, release: Release) -> str:
    """ISO time of the newest gate decision on a release's files; of the release where the ledger has none."""
    judged = [
        signed.text("at")
        for signed in history.of("gate-decision")
        if signed.statement.subject("model") == release.model
    ]
    return max(judged, default=release.statement.text("at"))


def days_between(at: str, today: str) -> int:
    """Whole days from an ISO time to an ISO date, both UTC; very many where the time is none."""
    return day_number(today) - day_number(at)


def stale_refusals(
    environment: EnvironmentRules, decision: Signed | None, *, ref: str, run_id: str, today: str
) -> list[Reason]:
    """Refuses a gate decision that is older than the environment's releases may become.

    Args:
        environment: the environment's rules now.
        decision: the gate decision that the proposal rests on; None when there is none, which is told elsewhere.
        ref: the version, such as ``churn/3``.
        run_id: its run.
        today: ISO date, UTC.
    """
    allowed = environment.reevaluate_days
    if decision is None or allowed is None:
        return []
    at = decision.text("at")
    age = days_between(at, today)
    if age <= allowed:
        return []
    return [
        Reason(
            code="evaluation-stale",
            message=f"the gate judged {ref} on {at[:10] or 'no stated day'}, {age} days ago; {environment.name}"
            f" takes evaluations of at most {allowed} days",
            fix=f"signoff gate {run_id}, then propose and approve it again",
        )
    ]


def due(
    environment: EnvironmentRules, history: History, release: Release, *, ref: str, today: str
) -> str | None:
    """That a release should have been evaluated again by now; None while it need not.

    Args:
        environment: where it is released.
        history: the use case's statements.
        release: what is released there.
        ref: the version, such as ``churn/3``.
        today: ISO date, UTC.
    """
    allowed = environment.reevaluate_days
    if allowed is None:
        return None
    age = days_between(evaluated_at(history, release), today)
    if age <= allowed:
        return None
    return (
        f"{ref} in {environment.name} waits for its re-evaluation: last evaluated {age} days ago, every {allowed}"
        f" days is asked (signoff gate {release.statement.text('run_id')})"
    )
