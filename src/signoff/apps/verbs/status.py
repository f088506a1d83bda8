"""What is released where and what waits for whom, gathered for the terminal and the server's page."""

from collections.abc import Iterable

from signoff.apps.verbs.recording import histories_of
from signoff.apps.workspace import Workspace, now
from signoff.errors import EvidenceError, StoreError
from signoff.release.canary import trial_words
from signoff.release.deleted import deleted_versions
from signoff.release.history import History
from signoff.release.overview import UseCaseStatus, overview
from signoff.rollout.recorded import decide_recorded
from signoff.rollout.triggers import firings, health
from signoff.standard.model import EnvironmentRules, UseCaseRules


def statuses(workspace: Workspace, chosen: Iterable[UseCaseRules]) -> tuple[UseCaseStatus, ...]:
    """The status of each use case, from one reading of the ledger.

    Raises:
        SignoffError: ledger, roster or the standard's store cannot be read.
    """
    rows = tuple(chosen)
    histories = histories_of(workspace, [rules.name for rules in rows])
    return tuple(
        overview(
            rules,
            history=histories[rules.name],
            aliases={
                name: _pointed(workspace, rules.registered_model, environment)
                for name, environment in rules.environments.items()
            },
            people=workspace.people(),
            today=now(),
            health=_health(workspace, rules, histories[rules.name]),
            deleted=_deleted(workspace, rules, histories[rules.name]),
        )
        for rules in rows
    )


def _pointed(workspace: Workspace, model: str, environment: EnvironmentRules) -> int | str | None:
    """The version that an environment's alias points at; why it is not known when its own server is away."""
    try:
        return workspace.reader_of(environment).alias(model, environment.alias)
    except StoreError as error:
        if environment.server is None:
            raise
        return f"alias @{environment.alias} was not looked at: {error.what}"


def _deleted(workspace: Workspace, rules: UseCaseRules, history: History) -> frozenset[int]:
    if not history.of("proposal"):
        return frozenset()
    entries = (row.entry for row in workspace.ledger().entries(use_case=rules.name))
    return deleted_versions(rules, history, entries)


def _trial(workspace: Workspace, history: History, environment: str) -> tuple[str, ...]:
    """How a canary stands or ended there; nothing where its statements cannot be read, which its use tells."""
    if not history.of("canary"):
        return ()
    try:
        told = trial_words(history, environment, people=workspace.people(), decide_again=decide_recorded)
    except EvidenceError as error:
        told = f"canary: {error.what}"
    return (told,) if told else ()


def _health(workspace: Workspace, rules: UseCaseRules, history: History) -> dict[str, tuple[str, ...]]:
    """Per environment its canary, what the monitors found last, which firings wait; nothing of a broken release."""
    found: dict[str, tuple[str, ...]] = {}
    entries = None
    for name in rules.environments:
        try:
            release = history.release(name)
        except EvidenceError:
            continue  # the overview tells what is wrong with it
        if trial := _trial(workspace, history, name):
            found[name] = trial
        watched = [row for row in rules.monitors if name == list(rules.environments)[-1]]
        people = workspace.people()
        if release is None or not (watched or firings(history, name, people=people)):
            continue
        if entries is None:
            entries = [row.entry for row in workspace.ledger().entries(use_case=rules.name)]
        told = health(watched, name, history=history, people=people, release=release, entries=entries)
        found[name] = (*found.get(name, ()), *told)
    return found
