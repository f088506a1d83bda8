"""`signoff review`: the periodic review. Reads by SQL or REST and never imports MLflow."""

import json
from pathlib import Path

import click

from signoff.apps.cli.options import format_option, standard_option
from signoff.errors import UsageError
from signoff.review.checklist import ReviewReport


@click.command()
@click.option("--since", metavar="DATE", help="First day of the period; by default 92 days ago.")
@format_option("text", "markdown", "html", "json")
@click.option("--output", metavar="FILE", help="Write to a new file instead of printing.")
@click.option(
    "--propose", is_flag=True, help="Write the gaps as a patch to the standard; nothing is applied."
)
@click.option("--strict", is_flag=True, help="Exit code 1 when a problem stands.")
@standard_option()
def review(
    *, since: str | None, form: str, output: str | None, propose: bool, strict: bool, standard: str | None
) -> None:
    """Answer the periodic review's checklist for the whole store.

    Names, required evidence, promotion criteria, registry, production traced and verified, rollback, watching,
    and signs that the standard should change. Nothing is written to store or ledger. Exit code 0: the review
    was made, whatever it found.
    """
    from signoff.apps.verbs.review import survey
    from signoff.apps.workspace import open_workspace
    from signoff.review.report import review as answer

    workspace = open_workspace(standard)
    found = survey(workspace, since=since)
    report = answer(found)
    if propose:
        from signoff.apps.standard_file import read_text
        from signoff.review.propose import only_comments
        from signoff.review.propose import propose as propose_changes

        text = read_text(workspace.folder / Path(workspace.standard.path).name)
        patch = propose_changes(found, text)
        if output is not None and only_comments(patch):
            click.echo(f"{patch}# No file was written.", err=True)
        else:
            _put(patch, output)
    else:
        _put(_rendered(report, form), output)
    if strict and report.problems:
        raise SystemExit(1)


def _rendered(report: ReviewReport, form: str) -> str:
    if form == "json":
        return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
    if form == "html":
        from signoff.review.report_page import review_page

        return review_page(report)
    from signoff.review.report_render import review_markdown, review_text

    return review_markdown(report) if form == "markdown" else review_text(report)


def _put(text: str, output: str | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with Path(output).open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(
            "there is a file of that name, and it stays as it is",
            where=output,
            hint="name another one, or remove it first",
        ) from error
    except OSError as error:
        raise UsageError(f"the file cannot be written: {error.strerror}", where=output) from error
    click.echo(f"written: {output}", err=True)
