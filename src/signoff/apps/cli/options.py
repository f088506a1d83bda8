"""Options that several verbs share, and how they show a decision."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from signoff.apps.workspace import KEY_VARIABLE, Actor, Workspace, open_actor
from signoff.release.model import ReleaseDecision
from signoff.release.render import render_text, to_json

if TYPE_CHECKING:
    from signoff.adapters.key_files import Passphrase

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def standard_option() -> Decorator:
    """``--standard``."""
    return click.option(
        "--standard", metavar="FILE", help="The standard; by default the nearest signoff.yaml upwards."
    )


def key_option() -> Decorator:
    """``--key``."""
    return click.option(
        "--key",
        metavar="FILE",
        help=f"Your OpenSSH Ed25519 private key; by default {KEY_VARIABLE}.",
    )


def env_option() -> Decorator:
    """``--env``."""
    return click.option(
        "--env", "environment", default="prod", show_default=True, metavar="NAME", help="The environment."
    )


def format_option(*forms: str) -> Decorator:
    """``--format``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help="How to print.",
    )


def actor_of(workspace: Workspace, key: str | None) -> Actor:
    """Who gives the command; asks for the passphrase of an encrypted key when there is a terminal."""
    return open_actor(workspace, key, passphrase=ask_passphrase())


def ask_passphrase() -> "Passphrase | None":
    """Asks for the passphrase of an encrypted key; None without a terminal."""
    return _ask if _has_terminal() else None


def _has_terminal() -> bool:
    """Whether a passphrase can be asked for without echo; a script's standard input is not asked."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True


def _ask(path: Path) -> str:
    answer: str = click.prompt(f"passphrase of {path}", hide_input=True, err=True)
    return answer


def show_decision(decision: ReleaseDecision, form: str, *, planned: bool = False, extra: str = "") -> None:
    """Print a decision and end the command with exit code 1 when it was refused."""
    if form == "json":
        click.echo(json.dumps(to_json(decision), indent=2, ensure_ascii=False))
    else:
        click.echo(render_text(decision, planned=planned))
        if extra and decision.allowed:
            click.echo(extra)
    if not decision.allowed:
        raise SystemExit(1)
