"""The author's verbs: gate and propose."""

import json
from typing import TYPE_CHECKING

import click

from signoff.apps.cli.options import actor_of, format_option, key_option, show_decision, standard_option

if TYPE_CHECKING:
    from signoff.apps.verbs.gate import Gated
    from signoff.apps.workspace import Workspace


@click.command()
@click.argument("target", metavar="RUN|USE_CASE")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="With a use case: how many of its newest runs.",
)
@key_option()
@format_option("text", "markdown", "json")
@standard_option()
def gate(*, target: str, last: int, key: str | None, form: str, standard: str | None) -> None:
    """Score a run and the production model on the same evaluation rows, and decide.

    With a use case, its newest conforming runs are judged and ranked by the primary metric. Each different
    candidate is one look at the evaluation table: no more are judged than it has looks left. Exit code 0:
    pass; 1: fail or inconclusive; 2: could not decide.
    """
    from signoff.apps.verbs.gate import gate_run
    from signoff.apps.verbs.gate_use_case import candidates, gate_use_case
    from signoff.apps.verbs.reference import RunReference, parse_reference
    from signoff.apps.workspace import open_workspace
    from signoff.gate.render import render_markdown, render_text

    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    ranked_by = ""
    if isinstance(parse_reference(target), RunReference):
        gated: tuple[Gated, ...] = (gate_run(workspace, target, actor=actor),)
    else:
        found = candidates(workspace, _use_case(workspace, target), last=last)
        for remark in found.remarks:
            click.echo(f"note: {remark}", err=True)
        ranked_by = found.rules.gate.primary.metric
        gated = gate_use_case(workspace, found, actor=actor)
    if form == "json":
        rows = [{"statement": str(g.statement), **g.decision.to_json()} for g in gated]
        click.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2, ensure_ascii=False))
    else:
        render = render_markdown if form == "markdown" else render_text
        click.echo("\n\n".join(render(g.decision).rstrip() for g in gated))
        for remark in dict.fromkeys(remark for g in gated for remark in g.remarks):
            click.echo(f"note: {remark}")
        if len(gated) > 1:
            click.echo(_ranking(gated, ranked_by))
    if gated[0].decision.verdict != "pass":
        raise SystemExit(1)


def _use_case(workspace: "Workspace", target: str) -> str:
    from signoff.errors import UsageError

    try:
        return workspace.use_case(target).name
    except UsageError as error:
        raise UsageError(
            f"{error.what}, and that is no run id either",
            where=error.where,
            hint=f"{error.hint}; a run id has 32 hex digits, as MLflow shows it",
        ) from error


def _ranking(gated: "tuple[Gated, ...]", metric: str) -> str:
    lines = ["", f"what passed, then inconclusive, then failed; each best first by {metric}:"]
    for place, one in enumerate(gated, start=1):
        lines.append(f"  {place}. {one.decision.verdict.upper():<12} {one.run.run_id}  {one.run.run_name}")
    best = gated[0]
    if best.decision.verdict == "pass":
        lines.append(f"next: signoff propose {best.run.run_id}")
    return "\n".join(lines)


@click.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--context",
    "context",
    multiple=True,
    metavar="FIELD=TEXT",
    help="Context the standard asks for, such as business_context=…; may be repeated.",
)
@click.option("--notes", metavar="TEXT", help="Notes for the reviewers.")
@key_option()
@format_option("text", "json")
@standard_option()
def propose(
    *,
    run: str,
    context: tuple[str, ...],
    notes: str | None,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Register a run as a candidate: it must conform and have passed its gate, or carry a waiver."""
    from signoff.apps.verbs.propose import propose as propose_run
    from signoff.apps.verbs.reference import run_reference
    from signoff.apps.workspace import open_workspace

    fields = dict(_field(text) for text in context)
    if notes is not None:
        fields["notes"] = notes
    workspace = open_workspace(standard)
    proposed = propose_run(workspace, run_reference(run), actor=actor_of(workspace, key), notes=fields)
    ref = f"{proposed.registered_model}/{proposed.version}"
    show_decision(
        proposed.decision,
        form,
        extra=f"  registered as {ref}\n  next: signoff approve {ref} --env {proposed.first}",
    )


def _field(text: str) -> tuple[str, str]:
    from signoff.errors import UsageError

    name, separator, value = text.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise UsageError(f"{text!r} is not FIELD=TEXT", hint='--context business_context="why this model"')
    return name.strip(), value.strip()
