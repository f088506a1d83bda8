"""Is what a release needs around it in place: something that watches it, a load it bore, a canary it passed?"""

from signoff.errors import EvidenceError
from signoff.record.digest import Digest
from signoff.release.canary import DecideAgain, completed_rollout
from signoff.release.chain import authors_of_proposal
from signoff.release.history import History
from signoff.release.load_test import load_test_of, load_test_passed
from signoff.release.model import Reason
from signoff.release.people import People
from signoff.standard.model import EnvironmentRules, UseCaseRules


def readiness_refusals(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    ref: str,
    version: int,
    model: Digest,
    history: History,
    people: People,
    decide_again: DecideAgain | None = None,
) -> list[Reason]:
    """What stands in the way of a release besides evidence and approvals.

    Args:
        rules: the use case's rules now.
        environment: the environment's rules now.
        ref: the version, such as ``churn/3``.
        version: its number.
        model: digest of its files now.
        history: the use case's statements.
        people: the roster and roles.
        decide_again: decides from the recorded counts of a canary; without it no canary counts as complete.

    Raises:
        EvidenceError: what is released there, or its canary, cannot be read.
    """
    authors = authors_of_proposal(history.proposal(version))
    return [
        *_monitoring(rules, environment),
        *_load_test(
            rules, environment, ref=ref, model=model, history=history, people=people, authors=authors
        ),
        *_canary(
            rules,
            environment,
            ref=ref,
            version=version,
            model=model,
            history=history,
            people=people,
            decide_again=decide_again,
        ),
    ]


def _monitoring(rules: UseCaseRules, environment: EnvironmentRules) -> list[Reason]:
    if not environment.monitoring or rules.watched:
        return []
    has = "only a schedule, which measures nothing" if rules.monitors else "none"
    return [
        Reason(
            code="monitoring-missing",
            message=f"{environment.name} asks for at least one monitor that measures, and {rules.name} has {has}",
            fix="add one under `monitors` in the standard: what is watched, its bound, and what follows",
        )
    ]


def _load_test(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    ref: str,
    model: Digest,
    history: History,
    people: People,
    authors: frozenset[str],
) -> list[Reason]:
    if not environment.load_test or rules.serving is None:
        return []
    load = rules.serving.load
    if load is None:
        return [
            Reason(
                code="load-unstated",
                message=f"{environment.name} asks for a load test, and the standard states no load for"
                f" {rules.name}",
                fix="add `load: {connections: …, latency_p95_ms: …}` under `serving`",
            )
        ]
    test = load_test_of(history, model, load, people=people, authors=authors)
    if test is not None and load_test_passed(test):
        return []
    bench = f"signoff admin bench {ref} --env {environment.name}"
    if test is None:
        message = (
            f"no load test of {ref} at the load that the standard states, signed by a person who may promote and is"
            " no author"
        )
        return [Reason(code="load-test-missing", message=message, fix=f"{bench} --key KEY, without --url")]
    told = "; ".join(test.texts("messages")) or "a bound was missed"
    return [Reason(code="load-test-failed", message=f"the load test of {ref} failed: {told}", fix=bench)]


def _canary(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    ref: str,
    version: int,
    model: Digest,
    history: History,
    people: People,
    decide_again: DecideAgain | None,
) -> list[Reason]:
    plan = None if rules.serving is None else rules.serving.canary
    if plan is None or environment.name != list(rules.environments)[-1]:
        return []
    if not _has_stable(history, environment.name, model):
        return []
    name = environment.name
    done = completed_rollout(
        history, name, version=version, model=model, plan=plan, people=people, decide_again=decide_again
    )
    if done is not None:
        return []
    return [
        Reason(
            code="canary-incomplete",
            message=f"{ref} has not passed the canary that the standard asks for before it takes over in {name}",
            fix=f"signoff promote {ref} --env {name} --canary, and wait until `signoff serve` has completed it",
        )
    ]


def _has_stable(history: History, environment: str, model: Digest) -> bool:
    """Whether another model is released there; one that cannot be told apart counts as another."""
    try:
        released = history.release(environment)
    except EvidenceError:
        return True
    return released is not None and released.model != model
