"""``signoff init --from-store``: the way in for a team that has a store already."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signoff.addresses import password_of, shown
from signoff.apps.locate import FILE_NAME
from signoff.standard.names import ROSTER_FILE

if TYPE_CHECKING:
    from signoff.review.takeover import FoundModel, Suggestion
    from signoff.standard.model import Standard


def init_from_store(
    address: str,
    *,
    profile: str,
    model_type: str,
    owner: str,
    folder: Path,
    alias: str | None,
    key: str | None,
) -> None:
    """Write a standard that a store suggests, tell what it would find, and take over what is in production.

    Raises:
        UsageError: the store holds nothing to begin with, or the alias is not written as ALIAS=prod.
        SignoffError: the store cannot be read, or a file exists.
    """
    from signoff.adapters.key_files import load_key
    from signoff.apps.cli.init import write_start
    from signoff.apps.cli.options import ask_passphrase
    from signoff.apps.verbs.take_store import read_store
    from signoff.apps.workspace import absolute_uri
    from signoff.errors import UsageError
    from signoff.review.takeover import findings_text, suggest
    from signoff.standard.load import load_standard
    from signoff.standard.scaffold import scaffold, scaffold_store
    from signoff.text import printable

    address = absolute_uri(address, Path.cwd())  # the standard may lie elsewhere
    found = read_store(address)
    plain = load_standard(scaffold(profile, model_type, "any", owner), FILE_NAME).use_cases["any"]
    suggestion = suggest(
        found.models,
        found.experiments,
        owner=owner,
        production=_production(alias),
        asked=plain.requirements,
    )
    if not suggestion.use_cases:
        raise UsageError(
            "the store has no registered model that could become a use case",
            where=shown(address),
            hint="signoff init --use-case NAME starts without one",
        )
    store = "" if password_of(address) else address
    text = scaffold_store(profile, model_type, suggestion.use_cases, store=store)
    public = "" if key is None else load_key(Path(key), ask_passphrase()).public_line
    write_start(folder, text, owner, key=public)
    standard = load_standard(text, FILE_NAME)
    by_model = {model.name: model for model in found.models}
    click.echo("\nfound:")
    for line in suggestion.left_out:
        click.echo(printable(f"  left out: {line}"))
    for rules in standard.use_cases.values():
        for line in findings_text(rules, by_model[rules.registered_model].runs):
            click.echo(f"  {line}")
    click.echo("")
    _production_now(standard, suggestion, by_model, address=address, folder=folder, key=key)
    click.echo(f"""
next:
  edit {folder / FILE_NAME}: types, owners, where evaluation data lies, the label, the margin
  edit {folder / ROSTER_FILE}: people, roles and keys
  signoff standard check
  signoff check""")


def _production_now(
    standard: "Standard",
    suggestion: "Suggestion",
    models: "dict[str, FoundModel]",
    *,
    address: str,
    folder: Path,
    key: str | None,
) -> None:
    """Take over what stands for production, or say how."""
    from signoff.apps.cli.options import actor_of
    from signoff.apps.verbs.inherit import inherit
    from signoff.apps.workspace import open_workspace, scheme_of

    for found in suggestion.use_cases:
        rules = standard.use_cases[found.name]
        alias = rules.environments["prod"].alias
        version = models[rules.registered_model].aliases.get(alias)
        if version is None:
            click.echo(f"  {rules.name}: nothing stands for production")
            continue
        if key is None:
            click.echo(
                f"  {rules.name}: @{alias} points at version {version}; take it over:"
                f" signoff admin inherit --use-case {rules.name} --key KEY"
            )
            continue
        ledger = address if scheme_of(address) in ("sqlite", "postgresql") else None
        workspace = replace(open_workspace(str(folder / FILE_NAME)), tracking_uri=address, ledger_uri=ledger)
        taken = inherit(workspace, rules.name, environment="prod", actor=actor_of(workspace, key))
        told = "; ".join(reason.message for reason in taken.decision.reasons)
        click.echo(
            f"  {rules.name}: {f'not taken over: {told}' if told else f'version {version} is inherited, unverified'}"
        )


def _production(alias: str | None) -> str:
    from signoff.errors import UsageError

    if alias is None:
        return ""
    name, separator, environment = alias.partition("=")
    if not separator or not name or environment != "prod":
        raise UsageError("--alias is written as ALIAS=prod, such as --alias champion=prod")
    return name
