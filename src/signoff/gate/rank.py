"""Which of several candidates is best, by verdict and by a metric named beforehand."""

from collections.abc import Sequence

from signoff.errors import UsageError
from signoff.gate.model import GateDecision, Verdict
from signoff.standard.metrics import METRICS

_VERDICTS: tuple[Verdict, ...] = ("pass", "inconclusive", "fail")


def rank(decisions: Sequence[GateDecision], metric: str) -> tuple[GateDecision, ...]:
    """Those that passed, then the inconclusive, then the failed: each best first by the candidate's overall value.

    Ties go by run id, so that the order never depends on how runs were listed. A candidate whose value is
    not known comes last. The first one's value flatters it: it was chosen for being highest.

    Args:
        decisions: on one use case.
        metric: the primary metric of its standard.

    Raises:
        UsageError: the decisions were made on different tables or under different rules, or the gate does
            not compute the metric.
    """
    if metric not in METRICS:
        raise UsageError(f"the gate has no metric {metric!r}", hint=f"it can measure: {', '.join(METRICS)}")
    if len({(d.context.use_case, d.data, d.context.rules) for d in decisions}) > 1:
        raise UsageError(
            "these decisions were made for different use cases, on different tables or under different rules",
            hint="gate all runs again on one evaluation table before ranking them",
        )
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0

    def key(decision: GateDecision) -> tuple[int, bool, float, str, str]:
        value = primary_value(decision, metric)
        model = decision.context.candidate
        place = _VERDICTS.index(decision.verdict)
        return place, value is None, sign * (value or 0.0), model.run_id or "", str(model.digest)

    return tuple(sorted(decisions, key=key))


def primary_value(decision: GateDecision, metric: str) -> float | None:
    """The candidate's overall value of the metric, as the decision's checks measured it; None when none did."""
    wanted = (f"margin:{metric}", f"measured:{metric}", f"threshold:{metric}")
    by_id = {check.id: check.candidate for check in decision.checks}
    return next((by_id[name] for name in wanted if by_id.get(name) is not None), None)
