# ruff: noqa: S608 - a trigger's text takes no parameters; what is put into it is our own or checked
"""Database triggers that refuse, row by row, what no program of the guard would write.

They stand below the guard: they stop whoever reaches the tables with the database's address and means no harm, such as
a job, a script or `mlflow gc`. They stop nobody who may drop a trigger; that is what the tripwire is for.

On both databases: what a frozen run logged, its mark and its deletion; the identity of proposed, released and
inherited versions; entries and statements of the ledger. On PostgreSQL also aliases of the standard's environments:
at the end of a transaction that moved one, the same transaction must have written an entry of the audit log. SQLite
has no such trigger at the end of a transaction, and a flag in a table could be set by anybody.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from signoff.adapters.ledger_sql.address import parse_address
from signoff.adapters.ledger_sql.connection import Session, write_session
from signoff.errors import StoreError
from signoff.record.capture import READ, READ_PREFIXES
from signoff.release.guard.evidence import FROZEN_MARK

Event = Literal["INSERT", "UPDATE", "DELETE"]
_PREFIX = "signoff_"
_ALIAS_FUNCTION = "signoff_alias_check"
_EMPTY_FUNCTION = "signoff_no_truncate"
_NAME = re.compile(r"[A-Za-z0-9_.\- /:]{1,200}\Z")
"""Names of models and aliases that may stand in a trigger's text."""
_RECENT = 64
"""So many of the newest entries are asked whether they belong to a transaction."""

_FROZEN = "EXISTS (SELECT 1 FROM runs r WHERE r.entry_point_name = '" + FROZEN_MARK + "' AND {0})"
_VOUCHED = (
    "EXISTS (SELECT 1 FROM signoff_statement s WHERE s.kind IN ('proposal', 'release', 'inherited')"
    " AND s.version = OLD.name || '/' || CAST(OLD.version AS TEXT))"
)

_READ_TAGS = " OR ".join(
    (
        f"ROW.key IN ({', '.join(repr(tag) for tag in READ)})",
        *(f"substr(ROW.key, 1, {len(prefix)}) = '{prefix}'" for prefix in READ_PREFIXES),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    """One trigger for each event.

    Attributes:
        name: of the trigger, without prefix and event.
        table: MLflow's or the ledger's.
        events: what it looks at.
        when: condition in which ``ROW`` stands for the row: the old one of a delete, the new one of an insert,
            either of an update.
        message: why it is refused.
    """

    name: str
    table: str
    events: tuple[Event, ...]
    when: str
    message: str


_ALL: tuple[Event, ...] = ("INSERT", "UPDATE", "DELETE")
_LOGGED = "this run is frozen: a version made from it was proposed"
_RULES = (
    *(
        _Rule(
            name=table,
            table=table,
            events=_ALL,
            when=_FROZEN.format("r.run_uuid = ROW.run_uuid"),
            message=_LOGGED,
        )
        for table in ("metrics", "latest_metrics", "params")
    ),
    _Rule(
        name="tags",
        table="tags",
        events=_ALL,
        when=f"({_READ_TAGS}) AND " + _FROZEN.format("r.run_uuid = ROW.run_uuid"),
        message="this run is frozen, and what was captured of it is part of that",
    ),
    _Rule(
        name="inputs",
        table="inputs",
        events=_ALL,
        when="ROW.destination_type = 'RUN' AND "
        + _FROZEN.format("r.run_uuid = ROW.destination_id")
        + " OR ROW.source_type = 'RUN_OUTPUT' AND "
        + _FROZEN.format("r.run_uuid = ROW.source_id"),
        message=_LOGGED,
    ),
    _Rule(
        name="datasets",
        table="datasets",
        events=("UPDATE", "DELETE"),
        when="EXISTS (SELECT 1 FROM inputs i JOIN runs r ON r.run_uuid = i.destination_id"
        " WHERE i.source_type = 'DATASET' AND i.source_id = ROW.dataset_uuid"
        f" AND i.destination_type = 'RUN' AND r.entry_point_name = '{FROZEN_MARK}')",
        message="a frozen run was trained on this data set",
    ),
    _Rule(
        name="logged_model_params",
        table="logged_model_params",
        events=_ALL,
        when="EXISTS (SELECT 1 FROM logged_models m JOIN runs r ON r.run_uuid = m.source_run_id"
        f" WHERE m.model_id = ROW.model_id AND r.entry_point_name = '{FROZEN_MARK}')",
        message=_LOGGED,
    ),
    _Rule(
        name="logged_model_metrics",
        table="logged_model_metrics",
        events=_ALL,
        when=_FROZEN.format("r.run_uuid = ROW.run_id"),
        message=_LOGGED,
    ),
    _Rule(
        name="logged_models_gone",
        table="logged_models",
        events=("DELETE",),
        when=_FROZEN.format("r.run_uuid = ROW.source_run_id"),
        message="this model is of a frozen run",
    ),
    _Rule(
        name="logged_models_changed",
        table="logged_models",
        events=("UPDATE",),
        when=_FROZEN.format("r.run_uuid = OLD.source_run_id")
        + " AND (NEW.artifact_location <> OLD.artifact_location OR NEW.lifecycle_stage <> OLD.lifecycle_stage"
        " OR NEW.source_run_id IS NULL OR NEW.source_run_id <> OLD.source_run_id OR NEW.name <> OLD.name)",
        message="this model is of a frozen run",
    ),
    _Rule(
        name="runs_gone",
        table="runs",
        events=("DELETE",),
        when=f"ROW.entry_point_name = '{FROZEN_MARK}'",
        message="this run is frozen: a version made from it was proposed",
    ),
    _Rule(
        name="runs_changed",
        table="runs",
        events=("UPDATE",),
        when=f"OLD.entry_point_name = '{FROZEN_MARK}' AND (COALESCE(NEW.entry_point_name, '') <>"
        f" '{FROZEN_MARK}' AND EXISTS (SELECT 1 FROM signoff_statement s WHERE s.run_id = OLD.run_uuid"
        " AND s.kind IN ('proposal', 'inherited'))"
        " OR NEW.lifecycle_stage <> OLD.lifecycle_stage OR NEW.artifact_uri <> OLD.artifact_uri"
        " OR NEW.experiment_id <> OLD.experiment_id OR NEW.run_uuid <> OLD.run_uuid)",
        message="this run is frozen: it is not deleted, moved or unmarked",
    ),
    _Rule(
        name="versions_gone",
        table="model_versions",
        events=("DELETE",),
        when=_VOUCHED,
        message="statements in the ledger are about this version",
    ),
    _Rule(
        name="versions_changed",
        table="model_versions",
        events=("UPDATE",),
        when=_VOUCHED + " AND (NEW.name <> OLD.name OR NEW.version <> OLD.version"
        " OR COALESCE(NEW.run_id, '') <> COALESCE(OLD.run_id, '')"
        " OR COALESCE(NEW.source, '') <> COALESCE(OLD.source, '')"
        " OR COALESCE(NEW.storage_location, '') <> COALESCE(OLD.storage_location, '')"
        " OR NEW.current_stage = 'Deleted_Internal')",
        message="statements in the ledger are about this version",
    ),
    _Rule(
        name="log_kept",
        table="signoff_log",
        events=("UPDATE", "DELETE"),
        when="1 = 1",
        message="entries of the audit log are neither changed nor removed",
    ),
    _Rule(
        name="statements_kept",
        table="signoff_statement",
        events=("DELETE",),
        when="1 = 1",
        message="statements are not removed",
    ),
    _Rule(
        name="statements_same",
        table="signoff_statement",
        events=("UPDATE",),
        when="NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.use_case <> OLD.use_case"
        " OR OLD.run_id IS NOT NULL AND COALESCE(NEW.run_id, '') <> OLD.run_id"
        " OR OLD.version IS NOT NULL AND COALESCE(NEW.version, '') <> OLD.version",
        message="a statement stays what it is",
    ),
    _Rule(
        name="head_kept",
        table="signoff_head",
        events=("DELETE",),
        when="1 = 1",
        message="the head of the audit log stays",
    ),
    _Rule(
        name="head_grows",
        table="signoff_head",
        events=("UPDATE",),
        when="NEW.size < OLD.size",
        message="the audit log does not shrink",
    ),
)


def install_triggers(uri: str, aliases: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Make the triggers anew in the database that holds both MLflow's tables and the ledger's.

    Args:
        uri: its address.
        aliases: (registered model, alias) of the standard's environments; used on PostgreSQL.

    Returns:
        Names of the triggers.

    Raises:
        StoreError: the database refuses, such as to somebody who does not own the tables; then nothing changed.
    """
    with write_session(parse_address(uri)) as session:
        _remove(session)
        made = [*_install(session)]
        if session.dialect == "postgresql":
            made += _install_on_postgres(session, aliases)
        return tuple(sorted(made))


def remove_triggers(uri: str) -> tuple[str, ...]:
    """Take all of them away.

    Returns:
        Names of the triggers that were there.

    Raises:
        StoreError: the database refuses; then nothing changed.
    """
    with write_session(parse_address(uri)) as session:
        return _remove(session)


def _remove(session: Session) -> tuple[str, ...]:
    if session.dialect == "sqlite":
        rows = session.rows(
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, 8) = 'signoff_'"
        )
        for name, _ in rows:
            session.rows(f'DROP TRIGGER "{name}"')
    else:
        rows = session.rows(
            "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal AND substr(t.tgname, 1, 8) = 'signoff_'"
        )
        for name, table in rows:
            session.rows(f'DROP TRIGGER "{name}" ON "{table}"')
        for function in (*dict.fromkeys(str(name) for name, _ in rows), _ALIAS_FUNCTION, _EMPTY_FUNCTION):
            session.rows(f'DROP FUNCTION IF EXISTS "{function}"()')
    return tuple(sorted({str(name) for name, _ in rows}))


def _install(session: Session) -> Iterator[str]:
    for rule in _RULES:
        for event in rule.events:
            name = f"{_PREFIX}{rule.name}_{event.lower()}"
            when = _when(rule, event)
            if session.dialect == "sqlite":
                session.rows(
                    f'CREATE TRIGGER "{name}" BEFORE {event} ON {rule.table} FOR EACH ROW WHEN {when}'
                    f" BEGIN SELECT RAISE(ABORT, 'signoff: {rule.message}'); END"
                )
            else:
                _row_trigger(session, name, rule, event, when)
            yield name


def _when(rule: _Rule, event: Event) -> str:
    """The condition of one event; an update is looked at on both sides, so that no row is moved in or out."""
    before, after = (re.sub(r"\bROW\.", f"{row}.", rule.when) for row in ("OLD", "NEW"))
    if event == "UPDATE" and before != after:
        return f"({before}) OR ({after})"
    return after if event == "INSERT" else before


def _row_trigger(session: Session, name: str, rule: _Rule, event: Event, when: str) -> None:
    """PostgreSQL takes no query in a trigger's WHEN: a function of the trigger's own asks it."""
    session.rows(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF {when} THEN RAISE EXCEPTION USING MESSAGE = 'signoff: {rule.message}',"
        " ERRCODE = 'integrity_constraint_violation'; END IF;"
        f" RETURN {'OLD' if event == 'DELETE' else 'NEW'}; END $$"
    )
    session.rows(
        f"CREATE TRIGGER {name} BEFORE {event} ON {rule.table} FOR EACH ROW EXECUTE FUNCTION {name}()"
    )


def _install_on_postgres(session: Session, aliases: Iterable[tuple[str, str]]) -> Iterator[str]:
    pairs = [(_text(name), _text(alias)) for name, alias in aliases]
    touched = " OR ".join(
        f"{row}.name = {name} AND {row}.alias = {alias}" for name, alias in pairs for row in ("o", "n")
    )
    session.rows(
        f"CREATE FUNCTION {_ALIAS_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$"
        " DECLARE o registered_model_aliases; n registered_model_aliases; BEGIN"
        " IF TG_OP <> 'INSERT' THEN o := OLD; END IF; IF TG_OP <> 'DELETE' THEN n := NEW; END IF;"
        f" IF ({touched or 'false'}) AND NOT EXISTS (SELECT 1 FROM signoff_log WHERE"
        f" idx >= (SELECT size FROM signoff_head WHERE id = 1) - {_RECENT}"
        " AND xmin = pg_current_xact_id()::xid)"
        " THEN RAISE EXCEPTION USING MESSAGE = 'signoff: an alias of an environment moves only with an entry of"
        " the audit log', ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NULL; END $$"
    )
    yield f"{_PREFIX}alias_logged"
    session.rows(
        f"CREATE CONSTRAINT TRIGGER {_PREFIX}alias_logged AFTER INSERT OR UPDATE OR DELETE ON"
        f" registered_model_aliases DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {_ALIAS_FUNCTION}()"
    )
    session.rows(
        f"CREATE FUNCTION {_EMPTY_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION USING MESSAGE = 'signoff: this table is not emptied',"
        " ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in dict.fromkeys((*(rule.table for rule in _RULES), "registered_model_aliases")):
        name = f"{_PREFIX}{table.removeprefix(_PREFIX)}_truncate"
        session.rows(
            f"CREATE TRIGGER {name} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {_EMPTY_FUNCTION}()"
        )
        yield name


def _text(name: str) -> str:
    if not _NAME.match(name):
        raise StoreError(
            f"{name!r} cannot stand in a trigger", hint="name models and aliases in plain letters"
        )
    return f"'{name}'"
