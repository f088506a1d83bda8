"""``signoff init``: the files that a team starts with."""

from collections.abc import Mapping
from pathlib import Path

import click

_IGNORED = ("mlflow.db", "mlflow.db-*", "ledger.db", "ledger.db-*", "mlruns/", "mlartifacts/")
"""What a local MLflow writes beside the code."""


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
@click.option("--use-case", required=True, metavar="NAME", help="The business use case, such as churn.")
@click.option("--owner", metavar="EMAIL", help="Who answers for it; by default git's user.email.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=".", metavar="DIR", help="Where to write."
)
def init(*, profile: str, model_type: str, use_case: str, owner: str | None, folder: Path) -> None:
    """Write signoff.yaml, a roster, the schema for your editor, and lines for .gitignore.

    Nothing that exists is overwritten: then nothing is written at all, and the exit code is 2.
    """
    from signoff.apps.locate import FILE_NAME
    from signoff.standard.json_schema import json_schema
    from signoff.standard.load import load_standard
    from signoff.standard.names import ROSTER_FILE
    from signoff.standard.scaffold import SCHEMA_FILE, scaffold, scaffold_roster

    person = owner or _person(folder)
    text = scaffold(profile, model_type, use_case, person)
    load_standard(text, FILE_NAME)
    files = {
        folder / FILE_NAME: text,
        folder / ROSTER_FILE: scaffold_roster(person),
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
    click.echo(f"""
next:
  edit {folder / FILE_NAME}: where evaluation data lies, the label, the margin
  signoff standard check
  signoff standard show --resolved
  edit {folder / ROSTER_FILE}: people, roles and keys
  train, then: signoff check {use_case}""")


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
