"""``signoff standard``: check, show and describe the team's standard."""

from typing import Literal

import click

_standard_option = click.option(
    "--standard", "explicit", metavar="FILE", help="The standard; by default the nearest signoff.yaml."
)


@click.group("standard", short_help="Check and show the team's standard.")
def standard() -> None:
    """Check and show the team's standard."""


@standard.command("check")
@_standard_option
def check(*, explicit: str | None) -> None:
    """List every fault of the standard.

    Exit code 0: it has none; 2: it has some, each printed with its path, line and a hint.
    """
    from signoff.apps.standard_file import find_standard, read_standard

    loaded = read_standard(find_standard(explicit))
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
