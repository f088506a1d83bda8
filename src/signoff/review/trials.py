"""What was tried of a release before callers relied on it: canaries and load tests, as links of its trace."""

from signoff.release.history import History
from signoff.release.model import Signed
from signoff.review.model import Link

_ENDS = ("complete", "abort")


def trial_links(release: Signed, history: History) -> list[Link]:
    """How its own canary ended, what was tried beside it, and the load that its bytes bore last.

    Args:
        release: the release statement.
        history: the use case's statements.
    """
    model = release.statement.subject("model")
    tests = [test for test in history.of("load-test") if test.statement.subject("model") == model]
    return [
        *(link for rollout in history.of("rollout") for link in _canary(rollout, release, history)),
        *(_load_test(test) for test in tests[-1:]),
    ]


def _canary(rollout: Signed, release: Signed, history: History) -> list[Link]:
    named = rollout.statement.subject("canary")
    canary = None if named is None else history.by_id(named)
    if canary is None or canary.statement.kind != "canary" or rollout.text("verdict") not in _ENDS:
        return []
    if canary.text("environment") != release.text("environment"):
        return []
    own = canary.statement.subject("model") == release.statement.subject("model")
    if not own and canary.statement.subject("stable") != release.id:
        return []
    tried = "" if own else f"version {canary.number('version')} beside it: "
    return [
        Link(
            kind="canary",
            name=f"{tried}{rollout.text('verdict')}, statement {rollout.id.short}",
            state="verified" if rollout.signers else "recorded",
            detail=(f"{rollout.text('at')} by {rollout.text('actor')}", rollout.text("message")),
            why="" if rollout.signers else "nobody on the roster signed it",
        )
    ]


def _load_test(test: Signed) -> Link:
    passed = test.statement.predicate.get("passed") is True
    return Link(
        kind="load-test",
        name=f"{'passed' if passed else 'failed'}, statement {test.id.short}",
        state="verified" if test.signers else "recorded",
        detail=(f"{test.text('at')} by {test.text('actor')}", *test.texts("messages")),
        why="" if test.signers else "whoever measured gave no key",
    )
