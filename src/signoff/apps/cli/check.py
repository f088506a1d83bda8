"""`signoff check`: do runs and experiments conform to the standard?"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import click

from signoff.apps.cli.options import format_option, standard_option
from signoff.conformance.model import Audit
from signoff.conformance.ports import RunReader, RunWriter
from signoff.standard.model import Standard

Format: TypeAlias = Literal["text", "json", "markdown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What the command shows.

    Attributes:
        audit: the findings, after any additions.
        notes: what was added to runs, or why it could not be: one line each.
    """

    audit: Audit
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing blocks, else 1."""
        return 0 if self.audit.verdict == "conforms" else 1


@click.command()
@click.argument("target", metavar="[RUN|USE_CASE]", required=False)
@click.option(
    "--fix", "with_fix", is_flag=True, help="Add to the runs what can honestly be added afterwards."
)
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many of the newest runs of each use case.",
)
@format_option("text", "markdown", "json")
@standard_option()
def check(target: str | None, with_fix: bool, last: int, form: Format, standard: str | None) -> None:  # noqa: FBT001
    """Audit one run, one use case, or (without an argument) every use case and all experiments.

    Each finding names what is missing, where the standard asks for it, and the line of code that adds it.
    Exit code 0: nothing blocks; 1: something does; 2: it could not be decided.
    """
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    checked = check_store(
        workspace.standard,
        workspace.reader(),
        workspace.store if with_fix else None,
        target=target,
        last=last,
    )
    for note in checked.notes:
        click.echo(note, err=True)
    click.echo(rendered(checked.audit, form), nl=False)
    raise SystemExit(checked.exit_code)


def check_store(
    standard: Standard,
    reader: RunReader,
    writer: Callable[[], RunWriter] | None,
    *,
    target: str | None,
    last: int,
) -> Checked:
    """Fix first where asked, then audit.

    Args:
        standard: the team's standard.
        reader: where runs are read.
        writer: opens what writes to runs; None leaves them as they are.
        target: a run id or use case; None for everything.
        last: how many of the newest runs of each use case.

    Raises:
        UsageError: the run belongs to no use case.
        StoreError: the store cannot be reached, or has no such run.
    """
    from signoff.conformance.service import audit

    notes = () if writer is None else _fix(standard, reader, writer, target=target, last=last)
    return Checked(audit=audit(standard, reader, target=target, last=last), notes=notes)


def rendered(audit: Audit, form: Format) -> str:
    """The audit in one of the three forms, ended by a newline."""
    from signoff.conformance import render

    match form:
        case "text":
            return render.text(audit)
        case "markdown":
            return render.markdown(audit)
        case "json":
            return render.json_text(audit)


def _fix(
    standard: Standard, reader: RunReader, writer: Callable[[], RunWriter], *, target: str | None, last: int
) -> tuple[str, ...]:
    from signoff.adapters.environment import current_environment
    from signoff.conformance.fix import apply_fixes
    from signoff.conformance.service import fix_plan

    environment = current_environment(os.environ, full=False)
    plan = fix_plan(standard, reader, environment, target=target, last=last)
    if plan.fixes:
        apply_fixes(plan.fixes, writer())
    added = tuple(f"added to run {fix.run_id}: {fix.what}" for fix in plan.fixes)
    return (*added, *plan.left) or ("nothing to add: no finding can be fixed afterwards",)
