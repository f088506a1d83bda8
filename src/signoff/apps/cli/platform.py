"""The platform owner's verbs: promote, rollback and predict."""

import json
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

if TYPE_CHECKING:
    from signoff.apps.verbs.alias import Moved
    from signoff.apps.verbs.canary import CanaryChange


@click.command()
@click.argument("version", metavar="USE_CASE/VERSION")
@env_option()
@click.option("--dry-run", is_flag=True, help="Show what would happen, or all that is missing.")
@click.option("--canary", is_flag=True, help="Try it by the standard's steps beside what is released.")
@key_option()
@format_option("text", "json")
@standard_option()
def promote(
    *,
    version: str,
    environment: str,
    dry_run: bool,
    canary: bool,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Release a version into an environment: the alias moves when the release decision allows it."""
    from signoff.apps.verbs.reference import version_reference
    from signoff.apps.verbs.release import promote as promote_version
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    if canary:
        from signoff.apps.verbs.canary import start_canary

        change = start_canary(
            workspace,
            version_reference(version),
            environment=environment,
            actor=actor_of(workspace, key),
            dry_run=dry_run,
        )
        show_decision(change.decision, form, planned=dry_run, extra=_steps(change))
        return
    moved = promote_version(
        workspace,
        version_reference(version),
        environment=environment,
        actor=actor_of(workspace, key),
        dry_run=dry_run,
    )
    show_decision(moved.decision, form, planned=dry_run, extra=_moved(moved, planned=dry_run))


@click.command()
@click.argument("use_case", metavar="USE_CASE")
@env_option()
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@key_option()
@format_option("text", "json")
@standard_option()
def rollback(
    *, use_case: str, environment: str, reason: str, key: str | None, form: str, standard: str | None
) -> None:
    """Return to the last good release; it needs that release's statement and whole files, and nothing else.

    While a canary runs it ends the canary, and the release stays; the next rollback returns from the release.
    """
    from signoff.apps.verbs.canary import stop_canary
    from signoff.apps.verbs.rollback import rollback as roll_back
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    stopped = stop_canary(workspace, use_case, environment=environment, actor=actor, reason=reason)
    if stopped is not None:
        show_decision(stopped.decision, form, extra=_statement_line(stopped))
        return
    moved = roll_back(workspace, use_case, environment=environment, actor=actor, reason=reason)
    show_decision(moved.decision, form, extra=_moved(moved, planned=False))


def _steps(change: "CanaryChange") -> str:
    if change.plan is None:
        return ""
    steps = ", ".join(f"{step.weight:g} of the traffic for {step.requests:,}" for step in change.plan.steps)
    told = f"  steps    {steps} requests; aborted when it fails more often than {change.plan.error_rate:g} or stable"
    return f"{told}\n{_statement_line(change)}"


def _statement_line(change: "CanaryChange") -> str:
    statement = "" if change.statement is None else f"; statement {change.statement.short}"
    return f"  no alias moved{statement}"


def _moved(moved: "Moved", *, planned: bool) -> str:
    if moved.already:
        return f"  version {moved.after} was released already; nothing had to change"
    before = "nothing" if moved.before is None else f"version {moved.before}"
    verb = "would move" if planned else "moved"
    plan = "".join(f"  {line}\n" for line in moved.plan)
    statement = "" if moved.statement is None else f"; statement {moved.statement.short}"
    return f"{plan}  alias @{moved.alias} {verb} from {before} to version {moved.after}{statement}"


@click.command()
@click.argument("use_case", metavar="USE_CASE")
@env_option()
@click.option("--input", "input_path", metavar="TABLE", help="The table to score; by default the standard's.")
@click.option("--output", metavar="TABLE", help="The Delta table to write; by default the standard's.")
@key_option()
@format_option("text", "json")
@standard_option()
def predict(
    *,
    use_case: str,
    environment: str,
    input_path: str | None,
    output: str | None,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Verify the released version, score the input table with it, and write a Delta table that says so."""
    from signoff.apps.scoring.batch import predict as predict_batch
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    done = predict_batch(
        workspace,
        use_case,
        environment=environment,
        input_path=input_path,
        output=output,
        actor=actor_of(workspace, key),
    )
    if form == "json":
        click.echo(
            json.dumps(
                {
                    "reasons": [reason.to_json() for reason in done.reasons],
                    "rows": done.rows,
                    "model_version": done.version,
                    "output": None if done.output is None else str(done.output.path),
                    "output_version": None if done.output is None else done.output.version,
                },
                indent=2,
            )
        )
    elif done.output is None:
        click.echo(f"REFUSED  predict {use_case}@{environment}: nothing was scored")
        for reason in done.reasons:
            click.echo(f"  {reason.code}: {reason.message}")
            if reason.fix:
                click.echo(f"      do: {reason.fix}")
    else:
        click.echo(
            f"PREDICTED  {done.rows:,} rows with version {done.version}"
            f" -> {done.output.path} (table version {done.output.version})"
        )
    if done.output is None:
        raise SystemExit(1)
