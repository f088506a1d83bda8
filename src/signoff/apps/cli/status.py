"""`signoff status`: one screen for all use cases. Reads by SQL or REST and never imports MLflow."""

import json

import click

from signoff.apps.cli.options import format_option, standard_option


@click.command()
@click.argument("use_case", metavar="[USE_CASE]", required=False)
@format_option("text", "json")
@standard_option()
def status(*, use_case: str | None, form: str, standard: str | None) -> None:
    """Show what is released where, since when and by whom, and what waits for whom.

    Model files are not hashed here; `signoff lineage` and every use of a model do that.
    """
    from signoff.apps.verbs.status import statuses
    from signoff.apps.workspace import open_workspace
    from signoff.release.overview import render_text

    workspace = open_workspace(standard)
    chosen = [workspace.use_case(use_case)] if use_case else list(workspace.standard.use_cases.values())
    rows = statuses(workspace, chosen)
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
