"""``signoff standard``: check, show, describe and compare the team's standard."""

import json
from typing import Literal

import click

from signoff.apps.cli.options import format_option

_standard_option = click.option(
    "--standard", "explicit", metavar="FILE", help="The standard; by default the nearest signoff.yaml."
)


@click.group("standard", short_help="Check, show and compare the team's standard.")
def standard() -> None:
    """Check, show and compare the team's standard."""


@standard.command("check")
@_standard_option
def check(*, explicit: str | None) -> None:
    """List every fault of the standard.

    The roster is read too when it is there. Exit code 0: there is no fault; 2: there are some, each printed with its path, line and a hint.
    """
    from signoff.apps.standard_file import find_standard
    from signoff.apps.verbs.standard import check as check_standard

    loaded = check_standard(find_standard(explicit))
    count = len(loaded.use_cases)
    cases = f"{count} use case{'s' if count != 1 else ''}: {', '.join(loaded.use_cases)}"
    click.echo(f"{loaded.path}: valid; version {loaded.version}, profile {loaded.profile}, {cases}")


@standard.command("show")
@_standard_option
@click.option("--resolved", is_flag=True, help="Fill in every default, and say where each rule comes from.")
@click.option("--use-case", metavar="NAME", help="Only this use case; needs --resolved.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How to print the resolved rules.",
)
def show(
    *,
    explicit: str | None,
    resolved: bool,
    use_case: str | None,
    form: Literal["text", "json", "markdown"],
) -> None:
    """Print the standard as it is written, or resolved."""
    from signoff.apps.standard_file import find_standard, read_standard, read_text
    from signoff.errors import UsageError

    path = find_standard(explicit)
    loaded = read_standard(path)
    if resolved:
        from signoff.standard.render import render_resolved

        click.echo(render_resolved(loaded, use_case, form), nl=False)
        return
    if use_case is not None or form != "text":
        raise UsageError("--use-case and --format choose among resolved rules", hint="add --resolved")
    click.echo(read_text(path), nl=False)


@standard.command("schema")
def schema() -> None:
    """Print the JSON Schema from which editors complete and check a standard."""
    from signoff.standard.json_schema import json_schema

    click.echo(json_schema(), nl=False)


@standard.command("diff")
@click.argument("old", metavar="[OLD]", default="HEAD")
@click.argument("new", metavar="[NEW]", required=False)
@format_option("text", "markdown", "json")
@_standard_option
def diff(*, old: str, new: str | None, form: str, explicit: str | None) -> None:
    """Say what changed between two versions of the standard.

    OLD and NEW are files or git revisions such as HEAD~1. OLD is HEAD by default, NEW the file as it is now.
    Each change is looser, tighter, or neither; the last lines say which open candidates and releases it
    touches. Exit code 0 whether or not they differ; 2: they could not be compared.
    """
    from signoff.apps.standard_file import find_standard
    from signoff.apps.verbs.standard import compare
    from signoff.standard.diff_render import diff_markdown, diff_text

    found = compare(find_standard(explicit), old=old, new=new)
    if form == "json":
        touched = {name: list(said) for name, said in found.touched.items()}
        value = {"diff": found.diff.to_json(), "touched": touched, "unknown": found.unknown or None}
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        return
    page = diff_markdown if form == "markdown" else diff_text
    click.echo(page(found.diff, found.touched), nl=False)
    if found.unknown:
        click.echo(f"\nWhat it touches is not known: {found.unknown}")


@standard.command("history")
@click.option("--use-case", metavar="NAME", help="Only commits that changed something for this use case.")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many of the newest commits.",
)
@format_option("text", "markdown", "json")
@_standard_option
def history(*, use_case: str | None, last: int, form: str, explicit: str | None) -> None:
    """List the commits that changed the standard, newest first, each with what it changed.

    A commit is compared with its first parent. Authors and times are what the commits claim.
    """
    from signoff.apps.standard_file import find_standard
    from signoff.apps.verbs.standard import past
    from signoff.standard.diff_render import history_markdown, history_text

    found = past(find_standard(explicit), use_case=use_case, last=last)
    if form == "json":
        click.echo(json.dumps([step.to_json() for step in found.steps], indent=2, ensure_ascii=False))
        return
    page = history_markdown if form == "markdown" else history_text
    click.echo(page(found.steps, skipped=found.skipped), nl=False)
