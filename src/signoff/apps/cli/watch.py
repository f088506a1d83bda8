"""`signoff watch`: once, or again and again."""

import json
import os
import time
from typing import TYPE_CHECKING

import click

from signoff.apps.cli.options import actor_of, env_option, format_option, key_option, standard_option
from signoff.text import printable

if TYPE_CHECKING:
    from signoff.apps.verbs.watch import Round


@click.command()
@click.argument("use_case", metavar="[USE_CASE]", required=False)
@env_option()
@click.option(
    "--once", is_flag=True, help="Look once: exit code 0 all in bounds, 1 something is not, 2 undecided."
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait between two looks.",
)
@key_option()
@format_option("text", "json")
@standard_option()
def watch(
    *,
    use_case: str | None,
    environment: str,
    once: bool,
    every: int,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Measure the monitors of what is released, and do what follows when one leaves its bounds.

    Without USE_CASE all use cases that have monitors are watched. A rollback needs the key of a person or
    service that may roll back; without it the firing is recorded and says who must act.
    """
    if once:
        code = _look(use_case, environment, key, form, standard)
        if code:
            raise SystemExit(code)
        return
    while True:
        try:
            _look(use_case, environment, key, form, standard)
        except Exception as error:  # noqa: BLE001 - a store that is down today is up again tomorrow
            click.echo(f"could not look, trying again in {every} s: {_shown(error)}", err=True)
        time.sleep(every)


def _look(use_case: str | None, environment: str, key: str | None, form: str, standard: str | None) -> int:
    """One round for each use case; the worst exit code, undecided before out of bounds."""
    from signoff.apps.verbs.watch import watch_once, watched_use_cases
    from signoff.apps.workspace import open_workspace
    from signoff.errors import SignoffError

    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    chosen, without = watched_use_cases(workspace, use_case, environment=environment)
    for name in without:
        click.echo(f"{name} has no environment {environment} and is left out", err=True)
    rounds, failed = [], False
    for rules in chosen:
        try:
            rounds.append(watch_once(workspace, rules, environment=environment, actor=actor))
        except SignoffError as error:
            if len(chosen) == 1:
                raise
            failed = True  # the others are watched all the same
            click.echo(f"could not look at {rules.name}: {_shown(error)}", err=True)
    if form == "json":
        click.echo(json.dumps([found.to_json() for found in rounds], indent=2, ensure_ascii=False))
    else:
        for found in rounds:
            click.echo(_text(found))
    return max((*(found.exit_code for found in rounds), 2 if failed else 0))


def _text(found: "Round") -> str:
    """A round as a person reads it."""
    if found.version is None:
        return f"{found.use_case}@{found.environment}: nothing is released, so nothing is watched"
    lines = [f"{found.use_case}@{found.environment}, version {found.version}"]
    words = {"in bounds": "OK", "out of bounds": "OUT", "undecided": "?"}
    for watched in found.watched:
        lines.append(
            f"  {words[watched.found.standing]:<4} {watched.monitor}: {printable(watched.found.message)}"
        )
        if watched.found.standing == "out of bounds":
            lines += [f"         {printable(line)}" for line in watched.found.detail[:5]]
        if watched.fired is not None:
            lines.append(f"       FIRED {watched.fired.then}, statement {watched.fired.id.short}")
        if watched.remark:
            lines.append(f"       not fired again: {printable(watched.remark)}")
    for acted in found.acted:
        told = f"{acted.firing.then} for {acted.firing.monitor}: {acted.progress}: {acted.message}"
        lines.append(f"  {'ACTED' if acted.progress == 'done' else 'ACT  '} {printable(told)}")
    lines += [
        f"  WAITS {firing.then} since {firing.signed.text('at')} ({firing.monitor}), statement {firing.id.short}"
        for firing in found.waiting
    ]
    return "\n".join(lines)


def _shown(error: Exception) -> str:
    from signoff.addresses import masked
    from signoff.errors import SignoffError

    told = str(error) if isinstance(error, SignoffError) else f"{type(error).__name__}: {error}"
    return masked(" ".join(printable(line) for line in told.splitlines()), os.environ)
