"""`signoff admin server`: MLflow's server, guarded."""

import os
from pathlib import Path

import click

from signoff.apps.cli.options import standard_option


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on; another than this machine's own needs a login.",
)
@click.option(
    "--port",
    default=5000,
    show_default=True,
    metavar="NUMBER",
    type=click.IntRange(1, 65535),
    help="TCP port.",
)
@click.option(
    "--workers",
    default=4,
    show_default=True,
    metavar="NUMBER",
    type=click.IntRange(1),
    help="Processes that answer requests.",
)
@click.option(
    "--backend-store-uri",
    envvar="MLFLOW_BACKEND_STORE_URI",
    metavar="URI",
    help="MLflow's database, SQLite or PostgreSQL; by default the standard's store.",
)
@click.option(
    "--artifacts-destination",
    envvar="MLFLOW_ARTIFACTS_DESTINATION",
    metavar="URI",
    help="Folder or bucket for artifacts, which go through the server; by default mlartifacts beside the standard.",
)
@click.option(
    "--auth",
    envvar="SIGNOFF_AUTH_APP",
    default="none",
    show_default=True,
    metavar="NAME",
    help="The login: basic-auth is MLflow's own; none is for one person on loopback; or another mlflow.app plugin.",
)
@click.option(
    "--key",
    metavar="FILE",
    help="The server's own OpenSSH Ed25519 key, for releases over MLflow's API; the roster vouches for it.",
)
@click.option("--static-prefix", envvar="MLFLOW_STATIC_PREFIX", metavar="PATH", help="As of mlflow server.")
@click.option(
    "--no-serve-artifacts",
    is_flag=True,
    help="Clients write artifacts themselves: refused without --bucket-write-protected.",
)
@click.option(
    "--bucket-write-protected",
    is_flag=True,
    help="Clients have no right to write where artifacts are kept; you vouch for that.",
)
@standard_option()
@click.argument("mlflow_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- MLFLOW OPTIONS]")
def server(
    *,
    host: str,
    port: int,
    workers: int,
    backend_store_uri: str | None,
    artifacts_destination: str | None,
    auth: str,
    key: str | None,
    static_prefix: str | None,
    no_serve_artifacts: bool,
    bucket_write_protected: bool,
    standard: str | None,
    mlflow_options: tuple[str, ...],
) -> None:
    """Check everything, and run MLflow's server so that it enforces the standard on every client.

    Options of `mlflow server` can follow after `--`. Ends with exit code 2 and one error when anything is missing.
    """
    from signoff.apps.server.start import Wanted, become, plan
    from signoff.apps.standard_file import find_standard, read_standard
    from signoff.apps.workspace import absolute_uri

    path = find_standard(standard).absolute()
    store = read_standard(path).store or "sqlite:///mlflow.db"
    wanted = Wanted(
        host=host,
        port=port,
        workers=workers,
        database=absolute_uri(backend_store_uri, Path.cwd())
        if backend_store_uri
        else absolute_uri(store, path.parent),
        artifacts=_place(artifacts_destination, path.parent),
        auth=auth,
        key=Path(key).expanduser().absolute() if key else None,
        standard=path,
        static_prefix=static_prefix,
        serve_artifacts=not no_serve_artifacts,
        bucket_write_protected=bucket_write_protected,
        mlflow_options=mlflow_options,
    )
    become(plan(wanted, os.environ))


def _place(artifacts: str | None, folder: Path) -> str:
    """The URI as given; a path made absolute, since the server works in the standard's folder."""
    if artifacts is None:
        return str(folder / "mlartifacts")
    return (
        artifacts if "://" in artifacts or artifacts.startswith("file:") else str(Path(artifacts).absolute())
    )
