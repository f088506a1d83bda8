"""`signoff diff`: in what two runs or versions differ. Reads by SQL or REST and never imports MLflow."""

import json

import click

from signoff.apps.cli.options import format_option, standard_option


@click.command()
@click.argument("a", metavar="RUN|USE_CASE/VERSION|USE_CASE@ENV")
@click.argument("b", metavar="RUN|USE_CASE/VERSION|USE_CASE@ENV")
@format_option("text", "markdown", "json")
@standard_option()
def diff(*, a: str, b: str, form: str, standard: str | None) -> None:
    """Compare two runs or versions: parameters, metrics, data, code, environment, model, components, gate.

    Only differences are listed, with a count of what is equal. Gate decisions are compared when both were
    made on the same evaluation table. Exit code 0 whether or not they differ; 2: they could not be compared.
    """
    from signoff.apps.verbs.diff import diff as compare
    from signoff.apps.workspace import open_workspace
    from signoff.review.diff_render import diff_markdown, diff_text

    difference = compare(open_workspace(standard), a, b)
    if form == "json":
        click.echo(json.dumps(difference.to_json(), indent=2, ensure_ascii=False))
        return
    click.echo((diff_markdown if form == "markdown" else diff_text)(difference), nl=False)
