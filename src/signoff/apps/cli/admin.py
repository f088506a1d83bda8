"""``signoff admin``: the guarded server, the audit log, the ledger's tables, keys, and load tests."""

import json
from pathlib import Path

import click

from signoff.apps.cli.admin_guard import break_glass, inherit, reconcile, report, triggers
from signoff.apps.cli.options import actor_of, env_option, format_option, key_option, standard_option
from signoff.apps.cli.server import server


@click.group()
def admin() -> None:
    """Run the guarded server; look after the audit log, its tables and keys; measure under load."""


for _command in (server, report, reconcile, break_glass, inherit, triggers):
    admin.add_command(_command)


@admin.command()
@click.option("--verify", is_flag=True, help="Check the whole log instead of listing it.")
@click.option("--use-case", metavar="NAME", help="List only entries of this use case.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="List only the last N entries.")
@format_option("text", "json")
@standard_option()
def audit(*, verify: bool, use_case: str | None, last: int | None, form: str, standard: str | None) -> None:
    """List the audit log, or verify that it is as it was written.

    With --verify: exit code 0 when it is, 1 when it was changed.
    """
    from signoff.apps.workspace import open_workspace
    from signoff.errors import UsageError
    from signoff.evidence import render
    from signoff.evidence.audit import audit_ledger

    workspace = open_workspace(standard)
    ledger = workspace.ledger()
    if not verify:
        entries = ledger.entries(use_case=use_case, last=last)
        _print(render.entries_text(entries) if form == "text" else render.entries_json(entries))
        return
    if use_case is not None or last is not None:
        raise UsageError("--verify checks the whole log; leave out --use-case and --last")
    report = audit_ledger(ledger.stored(), workspace.people().roster)
    _print(render.audit_text(report) if form == "text" else report.to_json())
    if not report.ok:
        raise SystemExit(1)


@admin.command()
@standard_option()
def migrate(*, standard: str | None) -> None:
    """Make the ledger's tables in its database, or bring them up to date."""
    from signoff.adapters.ledger_sql import SqlLedger
    from signoff.apps.workspace import open_workspace
    from signoff.errors import UsageError

    workspace = open_workspace(standard)
    if workspace.ledger_uri is None:
        raise UsageError("a server makes its own tables, when it starts", where=workspace.shown_uri)
    ledger = SqlLedger.create(workspace.ledger_uri, standalone=workspace.ledger_uri != workspace.tracking_uri)
    click.echo(f"{ledger.where}: the ledger's tables are up to date")


@admin.command()
@click.argument("version", metavar="USE_CASE[/VERSION]")
@env_option()
@click.option(
    "--url", metavar="URL", help="An endpoint that runs already; by default one of its own is started."
)
@key_option()
@format_option("text", "json")
@standard_option()
def bench(
    *, version: str, environment: str, url: str | None, key: str | None, form: str, standard: str | None
) -> None:
    """Measure a version behind an endpoint at the load that the standard names, and record that.

    Without VERSION what is released. Exit code 1 when a bound was missed.
    """
    from signoff.apps.verbs.load_test import load_test
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    found = load_test(workspace, version, environment=environment, url=url, actor=actor_of(workspace, key))
    if form == "json":
        _print(
            {
                "version": found.ref,
                "passed": found.passed,
                "figures": dict(found.figures),
                "messages": list(found.lines),
                "statement": str(found.statement),
            }
        )
    else:
        lines = [f"{'PASS' if found.passed else 'FAIL'}  load test of {found.ref}"]
        lines += [f"  {line}" for line in found.lines]
        lines.append(
            "  p50 {latency_p50_ms} ms, p95 {latency_p95_ms} ms, p99 {latency_p99_ms} ms with {connections}"
            " connections".format(**found.figures)
        )
        signed = "signed" if found.signed else "unsigned: a promotion asks for a signed one, with --key"
        if found.host is not None:
            signed += f"; of {found.host}: a promotion asks for one without --url"
        lines.append(f"  statement {found.statement.short}, {signed}")
        _print("\n".join(lines))
    if not found.passed:
        raise SystemExit(1)


@admin.group()
def keys() -> None:
    """Make signing keys."""


@keys.command("new")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--comment", default="", metavar="TEXT", help="Whose key it is; stands beside the public key.")
def new_key(*, path: Path, comment: str) -> None:
    """Make an Ed25519 key at PATH (mode 0600) and PATH.pub, and print the public key for the roster."""
    from signoff.adapters.key_files import generate_key

    key = generate_key(path, comment)
    click.echo(f"{path}: {key.fingerprint}")
    click.echo(key.public_line)


def _print(result: object) -> None:
    click.echo(result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False))
