"""`signoff admin triggers`: let the database itself refuse what no program of the guard would write."""

from dataclasses import dataclass

from signoff.adapters.ledger_sql.triggers import install_triggers, remove_triggers
from signoff.adapters.mlflow_sql.guarded import GuardedReader
from signoff.apps.verbs.reconcile import TRIGGERS_ACTION
from signoff.apps.workspace import Actor, Workspace, now, require_key
from signoff.errors import UsageError
from signoff.evidence.ledger import Entry
from signoff.release.model import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggers:
    """What came of it.

    Attributes:
        reasons: why it was refused; empty when it was done.
        names: the triggers that were made or removed.
        notes: what they do not do, one line each.
    """

    reasons: tuple[Reason, ...] = ()
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def change_triggers(workspace: Workspace, *, install: bool, actor: Actor) -> Triggers:
    """Install the triggers, or remove them; either is an entry of the audit log.

    Args:
        workspace: the team's workspace.
        install: make them; else take them away.
        actor: who asks, with the key of somebody who may override.

    Raises:
        UsageError: MLflow's tables and the ledger are not in one database whose address is known here.
        StoreError: the database refuses.
    """
    require_key(actor)
    uri = _database(workspace)
    reasons = workspace.people().refusals(actor.name, "override")
    if reasons:
        return Triggers(reasons=reasons)
    ledger = workspace.ledger(create=True)
    aliases = [
        (rules.registered_model, environment.alias)
        for rules in workspace.standard.use_cases.values()
        for environment in rules.environments.values()
        if environment.server is None
    ]
    names = install_triggers(uri, aliases) if install else remove_triggers(uri)
    entry = Entry(
        at=now(),
        actor=actor.name,
        action=TRIGGERS_ACTION,
        outcome="allowed",
        use_case="",
        subject="install" if install else "remove",
        statement=None,
        reasons=(),
        detail={"names": list(names)},
    )
    with ledger.transaction() as writer:
        writer.append(entry)
    return Triggers(names=names, notes=_notes(uri) if install else ())


def _database(workspace: Workspace) -> str:
    uri = workspace.ledger_uri
    if uri is None or not GuardedReader(uri).is_mlflow():
        raise UsageError(
            "triggers need MLflow's tables and the ledger in one database, by its own address",
            where=workspace.shown_uri,
            hint="run it where MLFLOW_TRACKING_URI or the standard's `store` names sqlite:///… or postgresql://…",
        )
    return uri


def _notes(uri: str) -> tuple[str, ...]:
    common = (
        "whoever owns the tables can drop them; `signoff admin reconcile` tells when they are gone",
        "install them again after an upgrade of MLflow's schema",
    )
    if uri.startswith("sqlite"):
        return ("aliases are not watched on SQLite: `signoff admin reconcile` does that", *common)
    return ("install them again when the standard's aliases change", *common)
