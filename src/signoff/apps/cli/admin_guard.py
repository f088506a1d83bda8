"""``signoff admin``: what the guard said, ways around it for a time, and what went around it."""

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
    from signoff.apps.verbs.reconcile import Reconciled
    from signoff.evidence.ledger import LogHead
    from signoff.release.repair import Policy


@click.command("break-glass")
@click.option("--use-case", required=True, metavar="NAME", help="The use case.")
@click.option("--rule", required=True, metavar="RULE", help="The guard's rule, such as alias or freeze.")
@click.option(
    "--minutes", type=int, default=60, show_default=True, metavar="N", help="For how long; at most 480."
)
@click.option("--reason", default="", metavar="TEXT", help="Why; everybody will read it.")
@click.option("--end", is_flag=True, help="End what lifts the rule now.")
@key_option()
@format_option("text", "json")
@standard_option()
def break_glass(
    *,
    use_case: str,
    rule: str,
    minutes: int,
    reason: str,
    end: bool,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Lift a rule of the guard for one use case, for a time.

    It takes a role that may override. Status, review, lineage and every entry made under it name it.
    """
    from signoff.apps.verbs import break_glass as verb
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    found = (
        verb.end_break_glass(workspace, use_case, rule=rule, reason=reason, actor=actor)
        if end
        else verb.break_glass(workspace, use_case, rule=rule, minutes=minutes, reason=reason, actor=actor)
    )
    told = "\n".join(f"  IN FORCE {line}" for line in found.told) or "  nothing is lifted for it now"
    show_decision(found.decision, form, extra=told)


@click.command()
@env_option()
@click.option("--use-case", required=True, metavar="NAME", help="The use case.")
@key_option()
@format_option("text", "json")
@standard_option()
def inherit(*, environment: str, use_case: str, key: str | None, form: str, standard: str | None) -> None:
    """Take over what an environment's alias points at, as an inherited release: unverified, until the next release.

    Only the first move of an environment can be inherited. No alias moves.
    """
    from signoff.apps.verbs.inherit import inherit as take_over
    from signoff.apps.workspace import open_workspace
    from signoff.text import printable

    workspace = open_workspace(standard)
    found = take_over(workspace, use_case, environment=environment, actor=actor_of(workspace, key))
    unread = f"\n  its files could not be hashed: {found.unread}" if found.unread else ""
    statement = "" if found.statement is None else f"; statement {found.statement.short}"
    if form == "json" or not found.decision.allowed:
        show_decision(found.decision, form)
        return
    click.echo(f"TAKEN OVER  {found.decision.subject}")
    for remark in found.decision.remarks:
        click.echo(f"  note: {printable(remark)}")
    click.echo(f"  version {found.version} stands in {environment}{statement}{unread}")


@click.command()
@click.option(
    "--since", type=click.IntRange(min=1), default=7, show_default=True, metavar="DAYS", help="Period."
)
@format_option("text", "json")
@standard_option()
def report(*, since: int, form: str, standard: str | None) -> None:
    """Show what each rule of the guard refused or warned of: how often, whom, what.

    For a rule that only warns: what turning it on would have refused.
    """
    from signoff.apps.verbs.guard_report import report_of
    from signoff.apps.workspace import open_workspace
    from signoff.review.guard_report import guard_report_text

    found = report_of(open_workspace(standard), days=since)
    click.echo(guard_report_text(found) if form == "text" else _json(found.to_json()))


@click.command()
@click.option("--revert", is_flag=True, help="Point aliases back at what is released.")
@click.option(
    "--quarantine", is_flag=True, help="Delete aliases that are wrong, so that nothing is loaded by them."
)
@click.option(
    "--artifacts",
    metavar="PLACE",
    help="With the database's address: the folder or bucket of the artifacts that the server proxies.",
)
@click.option("--every", type=click.FloatRange(min=1), metavar="SECONDS", help="Look again and again.")
@key_option()
@format_option("text", "json")
@standard_option()
def reconcile(
    *,
    revert: bool,
    quarantine: bool,
    artifacts: str | None,
    every: float | None,
    key: str | None,
    form: str,
    standard: str | None,
) -> None:
    """Find what was changed around the server: aliases, versions, runs, model files, the log itself.

    Exit code 1 when something was found, 2 when something could not be read. To change an alias it takes the key of
    somebody who may promote or roll back.
    """
    import os
    import time
    from dataclasses import replace

    from signoff.apps.verbs.reconcile import reconcile as look
    from signoff.apps.workspace import now, open_workspace
    from signoff.errors import StoreError, UsageError

    if revert and quarantine:
        raise UsageError("--revert and --quarantine exclude each other")
    policy: Policy = "revert" if revert else "quarantine" if quarantine else "report"
    workspace = open_workspace(standard)
    actor = actor_of(workspace, key)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    before: LogHead | None = None
    shown = ""
    while True:
        try:
            found = look(
                replace(open_workspace(standard), served=artifacts), policy=policy, actor=actor, before=before
            )
        except StoreError as error:
            if every is None:
                raise
            click.echo(f"{now()} could not look: {error}", err=True)
        else:
            text, code = _reconciled(found, form)
            if every is None or text != shown:
                click.echo(text if every is None else f"{found.at} {text}")
            if every is None:
                raise SystemExit(code)
            before, shown = found.head, text
        time.sleep(every)


def _reconciled(found: "Reconciled", form: str) -> tuple[str, int]:
    from signoff.release.reconcile import comparison_text

    comparison = found.comparison
    failed = bool(found.refused) or any(one.failed for one in found.repaired)
    code = 1 if comparison.found or failed else 2 if comparison.blind else 0
    if form == "json":
        return _json(
            {
                "found": [one.to_json() for one in comparison.found],
                "undecided": list(comparison.blind),
                "unseen": list(comparison.unseen),
                "refused": [reason.to_json() for reason in found.refused],
                "repaired": [{"done": one.done, "failed": one.failed} for one in found.repaired],
            }
        ), code
    lines = [comparison_text(comparison)]
    lines += [f"  nothing was changed: {reason.code}: {reason.message}" for reason in found.refused]
    lines += [f"  {'NOT ' if one.failed else ''}DONE: {one.done}" for one in found.repaired]
    return "\n".join(lines), code


@click.command()
@click.option("--install", is_flag=True, help="Make them, or make them anew.")
@click.option("--remove", is_flag=True, help="Take them away.")
@key_option()
@standard_option()
def triggers(*, install: bool, remove: bool, key: str | None, standard: str | None) -> None:
    """Let MLflow's database itself refuse changes of frozen runs, proposed versions and the audit log.

    On PostgreSQL also of aliases of the standard's environments, outside of a transaction that writes the audit log.
    """
    from signoff.apps.verbs.triggers import change_triggers
    from signoff.apps.workspace import open_workspace
    from signoff.errors import UsageError

    if install == remove:
        raise UsageError("say --install or --remove")
    workspace = open_workspace(standard)
    found = change_triggers(workspace, install=install, actor=actor_of(workspace, key))
    if found.reasons:
        for reason in found.reasons:
            click.echo(f"REFUSED  {reason.code}: {reason.message}\n      do: {reason.fix}")
        raise SystemExit(1)
    click.echo(
        f"{'installed' if install else 'removed'} {len(found.names)} triggers: {', '.join(found.names)}"
    )
    for line in found.notes:
        click.echo(f"  note: {line}")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
