"""The reviewer's verbs: approve, reject and note."""

from typing import TYPE_CHECKING

import click

from signoff.apps.cli.options import (
    actor_of,
    env_option,
    format_option,
    key_option,
    show_decision,
    standard_option,
)
from signoff.release.model import REJECTION_CODES

if TYPE_CHECKING:
    from signoff.apps.verbs.judge import Said


@click.command()
@click.argument("target", metavar="USE_CASE/VERSION")
@env_option()
@click.option(
    "--confirm",
    multiple=True,
    metavar="ITEM",
    help="A checklist item of the environment that you have checked; may be repeated.",
)
@click.option("--comment", default="", metavar="TEXT", help="What you looked at; the reason of a waiver.")
@click.option(
    "--waive",
    multiple=True,
    metavar="CODE",
    help="With a RUN instead of a version: waive this finding or check; may be repeated.",
)
@click.option("--until", metavar="YYYY-MM-DD", help="Last day on which the waiver counts.")
@key_option()
@format_option("text", "json")
@standard_option()
def approve(
    *,
    target: str,
    environment: str,
    confirm: tuple[str, ...],
    comment: str,
    waive: tuple[str, ...],
    until: str | None,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Sign an approval of a version for an environment.

    The signature is bound to the model's files, the gate decision, the proposal, and the rules of this use
    case and environment; it is void when one of them changes. With --waive it signs a waiver for a run.
    """
    from signoff.apps.verbs import judge
    from signoff.apps.verbs.reference import run_reference, version_reference
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    if waive:
        said = judge.waive(
            workspace, run_reference(target), actor=actor, codes=waive, reason=comment, until=until or ""
        )
    else:
        said = judge.approve(
            workspace,
            version_reference(target),
            environment=environment,
            actor=actor,
            ticked=confirm,
            comment=comment,
        )
    show_decision(said.decision, form, extra=_signed(actor.name, said))


@click.command()
@click.argument("version", metavar="USE_CASE/VERSION")
@env_option()
@click.option(
    "--reason",
    "code",
    required=True,
    metavar="CODE",
    help=f"One of: {', '.join(REJECTION_CODES)}.",
)
@click.option("--comment", default="", metavar="TEXT", help="What must change.")
@key_option()
@format_option("text", "json")
@standard_option()
def reject(
    *,
    version: str,
    environment: str,
    code: str,
    comment: str,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Sign a rejection; it stands until the same person approves."""
    from signoff.apps.verbs import judge
    from signoff.apps.verbs.reference import version_reference
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    said = judge.reject(
        workspace,
        version_reference(version),
        environment=environment,
        actor=actor,
        code=code,
        comment=comment,
    )
    show_decision(said.decision, form, extra=_signed(actor.name, said))


@click.command()
@click.argument("version", metavar="USE_CASE/VERSION")
@click.argument("text")
@key_option()
@format_option("text", "json")
@standard_option()
def note(*, version: str, text: str, key: str | None, form: str, standard: str | None) -> None:
    """Sign a remark on a version; it decides nothing and is kept with it."""
    from signoff.apps.verbs import judge
    from signoff.apps.verbs.reference import version_reference
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    said = judge.note(workspace, version_reference(version), actor=actor, text=text)
    show_decision(said.decision, form, extra=_signed(actor.name, said))


def _signed(name: str, said: "Said") -> str:
    return "" if said.statement is None else f"  signed by {name}: statement {said.statement.short}"
