"""`signoff serve`: the released version behind an endpoint."""

import os

import click

from signoff.apps.cli.options import actor_of, env_option, key_option, standard_option


@click.command()
@click.argument("use_case", metavar="USE_CASE")
@env_option()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on. Callers are not asked who they are: another than this machine's own needs a "
    "proxy that does.",
)
@click.option(
    "--port",
    default=5001,
    show_default=True,
    metavar="NUMBER",
    type=click.IntRange(0, 65535),
    help="TCP port; 0 for a free one.",
)
@click.option(
    "--version",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Serve this released version and follow nothing; by default what is released, as it changes.",
)
@key_option()
@standard_option()
def serve(
    *,
    use_case: str,
    environment: str,
    host: str,
    port: int,
    version: int | None,
    key: str | None,
    standard: str | None,
) -> None:
    """Verify the released version, and answer MLflow's scoring protocol with it until stopped."""
    import asyncio

    from signoff.apps.serving.program import Endpoint
    from signoff.apps.serving.program import serve as run
    from signoff.apps.workspace import open_workspace

    workspace = open_workspace(standard)
    rules = workspace.use_case(use_case)
    into = workspace.environment(rules, environment)
    reasons = asyncio.run(
        run(
            workspace,
            rules,
            into,
            endpoint=Endpoint(host=host, port=port, version=version, environ=os.environ),
            actor=actor_of(workspace, key),
            tell=click.echo,
        )
    )
    if reasons:
        click.echo(f"REFUSED  serve {rules.name}@{into.name}: nothing is served")
        for reason in reasons:
            click.echo(f"  {reason.code}: {reason.message}")
            if reason.fix:
                click.echo(f"      do: {reason.fix}")
        raise SystemExit(1)
