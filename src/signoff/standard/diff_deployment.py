"""What changed in how a use case is deployed and watched."""

from collections.abc import Iterator, Mapping

from signoff.addresses import shown
from signoff.record.digest import Json
from signoff.standard.deployment import CanaryRules, LoadRules, MonitorRules, ServingRules
from signoff.standard.deployment_words import (
    batch_words,
    canary_words,
    load_words,
    monitor_words,
    serving_words,
)
from signoff.standard.diff_words import Change, changed, field_changes, looser, order_changed, tighter
from signoff.standard.model import EnvironmentRules, UseCaseRules

_SAID_OF_SERVING = frozenset({"timeout_ms", "fallback", "canary", "load"})


def deployment_changes(old: UseCaseRules, new: UseCaseRules) -> Iterator[Change]:
    """What changed in batch, serving, monitors and the command that retrains."""
    if old.batch != new.batch:
        before = "no batch" if old.batch is None else batch_words(old.batch)
        yield changed(
            "batch", f"{'no batch' if new.batch is None else batch_words(new.batch)} instead of {before}"
        )
    yield from _serving_changes(old.serving, new.serving)
    yield from _monitor_changes(old.monitors, new.monitors)
    if old.retrain != new.retrain:
        yield changed(
            "monitors", f"retrained by {new.retrain or 'nothing'} instead of {old.retrain or 'nothing'}"
        )


def _serving_changes(old: ServingRules | None, new: ServingRules | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        yield changed("serving", f"new: {serving_words(new)}" if new is not None else "no endpoint any more")
        return
    if old.timeout_ms != new.timeout_ms:
        effect = looser if new.timeout_ms > old.timeout_ms else tighter
        yield effect("serving", f"time-out {new.timeout_ms} ms instead of {old.timeout_ms} ms")
    if old.fallback != new.fallback:
        effect = tighter if new.fallback == "stable" else looser
        yield effect("serving", f"fallback {new.fallback} instead of {old.fallback}")
    yield from _canary_changes(old.canary, new.canary)
    yield from _load_changes(old.load, new.load)
    if old.log != new.log:
        effect = looser if new.log is None else changed
        yield effect("serving", f"log {new.log or 'not kept'} instead of {old.log or 'not kept'}")
    yield from field_changes("serving", old.to_json(), new.to_json(), said=_SAID_OF_SERVING)


def _canary_changes(old: CanaryRules | None, new: CanaryRules | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        yield (
            tighter("serving", f"new: {canary_words(new)}")
            if new is not None
            else looser("serving", "a new version takes over at once, without a canary")
        )
        return
    yield changed("serving", f"{canary_words(new)} instead of {canary_words(old)}")
    if old.deadline_s != new.deadline_s:
        yield changed(
            "serving", f"a step is reported as held after {new.deadline_s} s instead of {old.deadline_s} s"
        )


def _load_changes(old: LoadRules | None, new: LoadRules | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        yield (
            tighter("serving", f"new: {load_words(new)}")
            if new is not None
            else looser("serving", "no load is stated any more")
        )
        return
    yield changed("serving", f"{load_words(new)} instead of {load_words(old)}")


def _monitor_changes(old: tuple[MonitorRules, ...], new: tuple[MonitorRules, ...]) -> Iterator[Change]:
    before, after = {m.name: m for m in old}, {m.name: m for m in new}
    for name, monitor in after.items():
        if name not in before:
            yield tighter("monitors", f"new, {name}: {monitor_words(monitor)}")
        elif monitor != before[name]:
            yield changed(
                "monitors", f"{name}: {monitor_words(monitor)} instead of {monitor_words(before[name])}"
            )
    for name, monitor in before.items():
        if name not in after:
            yield looser("monitors", f"gone, {name}: {monitor_words(monitor)}")
    if set(before) == set(after) and list(before) != list(after):
        yield order_changed("monitors", "monitors", list(before), list(after))


SAID_OF_AN_ENVIRONMENT = frozenset({"direct", "monitoring", "load_test", "reevaluate_days"})
"""Keys of an environment that `environment_deployment_changes` puts into words."""


def environment_deployment_changes(old: EnvironmentRules, new: EnvironmentRules) -> Iterator[Change]:
    """What changed in where an environment is and what a release there must be watched with."""
    name = new.name
    if old.server != new.server:
        before, after = (shown(uri) if uri else "the standard's store" for uri in (old.server, new.server))
        yield changed("environments", f"{name} is on {after} instead of {before}")
    if old.direct != new.direct:
        effect = looser if new.direct == "allowed" else tighter
        yield effect("environments", f"straight from another server into {name} is {new.direct}")
    for key, words in (("monitoring", "a monitor"), ("load_test", "a load test")):
        was, now = _flag(old.to_json(), key), _flag(new.to_json(), key)
        if now and not was:
            yield tighter("environments", f"{name} needs {words}")
        elif was and not now:
            yield looser("environments", f"{name} needs {words} no more")
    if old.reevaluate_days != new.reevaluate_days:
        was_days, now_days = old.reevaluate_days, new.reevaluate_days
        effect = looser if now_days is None or (was_days is not None and now_days > was_days) else tighter
        yield effect(
            "environments", f"{name} is re-evaluated {_every(now_days)} instead of {_every(was_days)}"
        )


def _flag(rules: Mapping[str, Json], key: str) -> bool:
    return rules[key] is True


def _every(days: int | None) -> str:
    return "never" if days is None else f"every {days} days"
