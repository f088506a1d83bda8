"""`signoff lineage`: from a release or an output table back to all it rests on."""

import json

import click

from signoff.apps.cli.options import format_option, standard_option


@click.command()
@click.argument("target", metavar="USE_CASE@ENV|USE_CASE/VERSION|TABLE")
@click.option(
    "--table-version",
    type=click.IntRange(min=0),
    metavar="N",
    help="Version of an output table; by default the newest.",
)
@format_option("text", "markdown", "json")
@standard_option()
def lineage(*, target: str, table_version: int | None, form: str, standard: str | None) -> None:
    """Trace back to version, files, approvals, gate decision, data, run, commit and environment.

    Each link is marked: verified against bytes or signatures just now, recorded, unknown, or broken.
    Exit code 1 when a link is broken.
    """
    from signoff.apps.verbs.lineage import lineage as trace_back
    from signoff.apps.workspace import open_workspace
    from signoff.review import render

    trace = trace_back(open_workspace(standard), target, table_version=table_version)
    if form == "json":
        click.echo(json.dumps(trace.to_json(), indent=2, ensure_ascii=False))
    else:
        shown = render.render_markdown(trace) if form == "markdown" else render.render_text(trace)
        click.echo(shown, nl=False)
    if trace.broken:
        raise SystemExit(1)
