"""`signoff status`: one screen for all use cases. Reads by SQL or REST and never imports MLflow."""

import json
from typing import TYPE_CHECKING

import click

from signoff.apps.cli.options import format_option, standard_option

if TYPE_CHECKING:
    from signoff.apps.workspace import Workspace
    from signoff.release.history import History
    from signoff.standard.model import EnvironmentRules, UseCaseRules


@click.command()
@click.argument("use_case", metavar="[USE_CASE]", required=False)
@format_option("text", "json")
@standard_option()
def status(*, use_case: str | None, form: str, standard: str | None) -> None:
    """Show what is released where, since when and by whom, and what waits for whom.

    Model files are not hashed here; `signoff lineage` and every use of a model do that.
    """
    from signoff.apps.verbs.recording import histories_of
    from signoff.apps.workspace import now, open_workspace
    from signoff.release.overview import overview, render_text

    workspace = open_workspace(standard)
    people = workspace.people()
    chosen = [workspace.use_case(use_case)] if use_case else list(workspace.standard.use_cases.values())
    histories = histories_of(workspace, [rules.name for rules in chosen])
    rows = tuple(
        overview(
            rules,
            history=histories[rules.name],
            aliases={
                name: _pointed(workspace, rules.registered_model, environment)
                for name, environment in rules.environments.items()
            },
            people=people,
            today=now()[:10],
            health=_health(workspace, rules, histories[rules.name]),
        )
        for rules in chosen
    )
    if form == "json":
        click.echo(json.dumps([row.to_json() for row in rows], indent=2, ensure_ascii=False))
        return
    known = workspace.standard
    click.echo(
        render_text(
            rows,
            store=f"store {workspace.shown_uri}",
            standard=f"standard {known.path}, version {known.version}, profile {known.profile}",
        ),
        nl=False,
    )


def _pointed(workspace: "Workspace", model: str, environment: "EnvironmentRules") -> int | str | None:
    """The version that an environment's alias points at; why it is not known when its own server is away."""
    from signoff.errors import StoreError

    try:
        return workspace.reader_of(environment).alias(model, environment.alias)
    except StoreError as error:
        if environment.server is None:
            raise
        return f"alias @{environment.alias} was not looked at: {error.what}"


def _trial(workspace: "Workspace", history: "History", environment: str) -> tuple[str, ...]:
    """How a canary stands or ended there; nothing where its statements cannot be read, which its use tells."""
    if not history.of("canary"):
        return ()
    from signoff.errors import EvidenceError
    from signoff.release.canary import trial_words
    from signoff.rollout.recorded import decide_recorded

    try:
        told = trial_words(history, environment, people=workspace.people(), decide_again=decide_recorded)
    except EvidenceError as error:
        told = f"canary: {error.what}"
    return (told,) if told else ()


def _health(workspace: "Workspace", rules: "UseCaseRules", history: "History") -> dict[str, tuple[str, ...]]:
    """Per environment its canary, what the monitors found last, which firings wait; nothing of a broken release."""
    from signoff.errors import EvidenceError
    from signoff.rollout.triggers import firings, health

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
