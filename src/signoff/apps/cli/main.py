"""The ``signoff`` command: each verb is imported when it is called, so that help and status stay quick."""

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence

import click

from signoff.addresses import masked
from signoff.errors import RefusedError, SignoffError

TRACEBACK_VARIABLE = "SIGNOFF_TRACEBACK"

COMMANDS = {
    "init": ("signoff.apps.cli.init:init", "Write a standard, a roster and a schema to start from."),
    "check": ("signoff.apps.cli.check:check", "Audit runs and experiments against the standard."),
    "gate": ("signoff.apps.cli.author:gate", "Judge a run against production, or rank a use case's runs."),
    "propose": ("signoff.apps.cli.author:propose", "Register a run that conforms and passed its gate."),
    "note": ("signoff.apps.cli.reviewer:note", "Sign a remark on a version."),
    "approve": ("signoff.apps.cli.reviewer:approve", "Sign an approval of a version, or a waiver for a run."),
    "reject": ("signoff.apps.cli.reviewer:reject", "Sign a rejection of a version, with a reason code."),
    "diff": ("signoff.apps.cli.diff:diff", "Compare two runs or versions."),
    "promote": ("signoff.apps.cli.platform:promote", "Release a version into an environment."),
    "rollback": ("signoff.apps.cli.platform:rollback", "Return to the last good release."),
    "predict": ("signoff.apps.cli.platform:predict", "Score a table with the released version."),
    "watch": ("signoff.apps.cli.watch:watch", "Measure what is released, and do what follows."),
    "serve": ("signoff.apps.cli.serve:serve", "Answer requests with the released version."),
    "status": ("signoff.apps.cli.status:status", "What is released where, and what waits for whom."),
    "lineage": ("signoff.apps.cli.lineage:lineage", "Trace a release or output back to all it rests on."),
    "review": (
        "signoff.apps.cli.review:review",
        "Answer the periodic review's checklist for the whole store.",
    ),
    "standard": ("signoff.apps.cli.standard:standard", "Check, show and compare the standard."),
    "admin": (
        "signoff.apps.cli.admin:admin",
        "Run the guarded server; look after audit log, tables and keys.",
    ),
}
"""Verb → where it is, and its line in the help: the help must not import the verb."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help, and imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs in the order of the path."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the verb."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(module), name)
        assert isinstance(found, click.Command)  # noqa: S101 - the table above is ours
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The verbs with one line each, without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="signoff")
def signoff() -> None:
    """Signoff makes MLflow safe to release from.

    A standard says what every run must show; a gate judges candidates with evidence; people sign; releases
    are bound to bytes. Exit codes: 0 yes, 1 refused, 2 could not decide.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; whatever stops it before it decided ends with exit code 2, never with Python's 1.

    A server that decides again may refuse what was allowed here: that is a refusal, exit code 1.
    """
    try:
        status = signoff.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except RefusedError as error:
        click.echo(f"refused: {masked(str(error), os.environ)}", err=True)
        sys.exit(1)
    except SignoffError as error:
        click.echo(f"error: {masked(str(error), os.environ)}", err=True)
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - Python would end with 1, which means refused, and print anything
        click.echo(masked(_unexpected(error, os.environ), os.environ), err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


def _unexpected(error: Exception, environ: Mapping[str, str]) -> str:
    if environ.get(TRACEBACK_VARIABLE):
        return "".join(traceback.format_exception(error))
    return (
        f"error: Signoff did not expect this: {type(error).__name__}: {error}\n"
        f"  hint: set {TRACEBACK_VARIABLE}=1 and run it again to see where it comes from, and report it"
    )
