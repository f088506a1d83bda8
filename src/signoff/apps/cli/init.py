"""``signoff init``: the files that a team starts with."""

from collections.abc import Mapping
from pathlib import Path

import click

from signoff.apps.locate import FILE_NAME
from signoff.standard.names import ROSTER_FILE

_IGNORED = (
    *("mlflow.db", "mlflow.db-*", "ledger.db", "ledger.db-*", "mlruns/", "mlartifacts/"),
    *("basic_auth.db", ".signoff-server-secret", "keys/"),
)
"""What a local MLflow, its guarded server, or `signoff admin keys new keys/…` writes beside the code."""


@click.command("init", short_help="Write a commented standard to start from.")
@click.option(
    "--profile",
    type=click.Choice(["small", "mid", "enterprise"]),
    default="small",
    show_default=True,
    help="How much governance to start from.",
)
@click.option(
    "--type",
    "model_type",
    metavar="TYPE",
    default="classification",
    show_default=True,
    help="Model type: classification, regression, forecasting, ranking, text-classification or llm-app.",
)
@click.option("--use-case", metavar="NAME", help="The business use case, such as churn.")
@click.option("--from-store", metavar="URI", help="Suggest use cases from a store that is there already.")
@click.option(
    "--alias", metavar="ALIAS=prod", help="With --from-store: the alias that stands for production there."
)
@click.option(
    "--key",
    metavar="FILE",
    help="With --from-store: your private key; production's versions are taken over as inherited.",
)
@click.option("--owner", metavar="EMAIL", help="Who answers for it; by default git's user.email.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=".", metavar="DIR", help="Where to write."
)
def init(
    *,
    profile: str,
    model_type: str,
    use_case: str | None,
    from_store: str | None,
    alias: str | None,
    key: str | None,
    owner: str | None,
    folder: Path,
) -> None:
    """Write signoff.yaml, a roster, the schema for your editor, and lines for .gitignore.

    Nothing that exists is overwritten: then nothing is written at all, and the exit code is 2.
    """
    from signoff.errors import UsageError
    from signoff.standard.scaffold import scaffold

    if (use_case is None) == (from_store is None):
        raise UsageError("say --use-case NAME, or --from-store URI")
    person = owner or _person(folder)
    if from_store is not None:
        from signoff.apps.cli.init_store import init_from_store

        init_from_store(
            from_store,
            profile=profile,
            model_type=model_type,
            owner=person,
            folder=folder,
            alias=alias,
            key=key,
        )
        return
    if alias is not None or key is not None:
        raise UsageError("--alias and --key go with --from-store")
    write_start(folder, scaffold(profile, model_type, use_case or "", person), person)
    click.echo(f"""
next:
  edit {folder / FILE_NAME}: where evaluation data lies, the label, the margin
  signoff standard check
  signoff standard show --resolved
  edit {folder / ROSTER_FILE}: people, roles and keys
  train, then: signoff check {use_case}""")


def write_start(folder: Path, text: str, person: str, *, key: str = "") -> None:
    """Write the standard, a roster and the schema, all or none, and tell each file.

    Args:
        folder: where.
        text: the standard.
        person: who stands on the roster.
        key: line of their public key; "" for none.

    Raises:
        UsageError: one of the files exists, or cannot be written.
        StandardError: the standard has faults.
    """
    from signoff.standard.json_schema import json_schema
    from signoff.standard.load import load_standard
    from signoff.standard.scaffold import SCHEMA_FILE, scaffold_roster

    load_standard(text, FILE_NAME)
    files = {
        folder / FILE_NAME: text,
        folder / ROSTER_FILE: scaffold_roster(person, key),
        folder / SCHEMA_FILE: json_schema(),
    }
    ignore_file = folder / ".gitignore"
    extended = extended_ignore(ignore_file)
    write_new(files)
    written = [*files]
    if extended is not None:
        replace_text(ignore_file, extended)
        written.append(ignore_file)
    for path in written:
        click.echo(f"wrote {path}")


def write_new(files: Mapping[Path, str]) -> None:
    """Write files that do not exist yet: all of them or none.

    Raises:
        UsageError: one of them exists, or cannot be written; then none is left behind.
    """
    from signoff.errors import UsageError

    for path in files:
        if path.exists() or path.is_symlink():
            raise UsageError(
                "already exists; nothing was written", where=str(path), hint="edit it, or use --dir"
            )
    made: list[Path] = []
    try:
        for path, text in files.items():
            made.extend(_make_folders(path.parent))
            with path.open("x", encoding="utf-8", newline="\n") as file:
                made.append(path)
                file.write(text)
    except OSError as error:
        for path in reversed(made):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
        message = f"cannot be written: {error.strerror}; nothing was left behind"
        raise UsageError(message, where=str(error.filename)) from error


def extended_ignore(path: Path) -> str | None:
    """The .gitignore's text with what a local MLflow writes; None when it already says so.

    Raises:
        UsageError: it cannot be read.
    """
    from signoff.errors import UsageError

    try:
        before = path.read_bytes().decode("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}; nothing was written", where=str(path)) from error
    known = {line.strip().strip("/") for line in before.splitlines()}
    missing = [line for line in _IGNORED if line.strip("/") not in known]
    if not missing:
        return None
    gap = "" if not before or before.endswith("\n") else "\n"
    return before + gap + "\n".join(missing) + "\n"


def replace_text(path: Path, text: str) -> None:
    """Write the file whole or leave it as it is.

    Raises:
        UsageError: it cannot be written.
    """
    from signoff.errors import UsageError

    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8", newline="")
        new.replace(path)
    except OSError as error:
        hint = f"add these lines to it: {' '.join(_IGNORED)}"
        raise UsageError(f"cannot be extended: {error.strerror}", where=str(path), hint=hint) from error


def _make_folders(folder: Path) -> list[Path]:
    """Make the folder and those above it; the ones that were missing, outermost first."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _person(folder: Path) -> str:
    """Who gives the command, as git knows them, else the system."""
    import getpass

    from signoff.adapters.git import find_repository, read_email
    from signoff.errors import UsageError

    if address := read_email(find_repository(folder.absolute())):
        return address
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise UsageError("nobody knows who you are here", hint="name the owner: --owner EMAIL") from error
