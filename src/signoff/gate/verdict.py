"""From checks to one verdict, by a rule that anyone can apply again to a stored decision."""

from collections.abc import Sequence

from signoff.gate.model import CheckResult, GateDecision, Verdict


def verdict_of(checks: Sequence[CheckResult]) -> Verdict:
    """Fail when a blocking check fails; pass when all of them pass and one measured the candidate; else inconclusive.

    A gate in which nothing blocks, or in which nothing was measured, never passes.
    """
    blocking = [check for check in checks if check.severity == "block"]
    if any(check.status == "fail" for check in blocking):
        return "fail"
    measured = any(check.status == "pass" and check.candidate is not None for check in blocking)
    if measured and all(check.status == "pass" for check in blocking):
        return "pass"
    return "inconclusive"


def contradictions(decision: GateDecision) -> tuple[str, ...]:
    """Where a stored decision disagrees with itself; empty when it is consistent."""
    found = []
    expected = verdict_of(decision.checks)
    if decision.verdict != expected:
        found.append(f"the verdict is {decision.verdict}, but its checks amount to {expected}")
    if (decision.case == "first-release") != (decision.context.baseline is None):
        found.append(f"the case is {decision.case}, which does not fit its baseline")
    names = [check.id for check in decision.checks]
    found.extend(f"two checks are called {name}" for name in sorted({n for n in names if names.count(n) > 1}))
    found.extend(
        f"{check.id} is {check.status}, but its limits say otherwise"
        for check in decision.checks
        if not _fits_limits(check)
    )
    return tuple(found)


def _fits_limits(check: CheckResult) -> bool:
    """A status needs the limit on its side of the bound; a threshold does not say which side is wanted."""
    if check.wanted is None or check.status == "inconclusive":
        return True
    if check.lower is None and check.upper is None:
        return False
    above = check.lower is not None and check.lower >= check.wanted
    below = check.upper is not None and check.upper <= check.wanted
    if check.id.startswith("threshold:"):
        return above or below
    return above if check.status == "pass" else below
