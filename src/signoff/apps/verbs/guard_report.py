"""`signoff admin report`: what the guard's rules had to say, from the audit log."""

from signoff.apps.verbs.recording import histories_of
from signoff.apps.workspace import Workspace, now
from signoff.record.days import at_second, second_number
from signoff.release.override import break_glasses
from signoff.review.guard_report import GuardReport, guard_report

_DAY = 86_400


def report_of(workspace: Workspace, *, days: int) -> GuardReport:
    """The report of the last days.

    Args:
        workspace: the team's workspace.
        days: so many days back, today included.

    Raises:
        StoreError: the ledger cannot be read.
    """
    until = now()
    since = at_second((second_number(until) or 0) - (days - 1) * _DAY)[:10]
    standard = workspace.standard
    histories = histories_of(workspace, standard.use_cases)
    lifted = tuple(
        f"{rules.name}: {glass.words(rules.registered_model)}"
        for rules in standard.use_cases.values()
        for glass in break_glasses(histories[rules.name], workspace.people())
        if glass.end[:10] >= since
    )
    entries = [logged.entry for logged in workspace.ledger().entries()]
    return guard_report(entries, rules=standard.guard, since=since, until=until[:10], lifted=lifted)
