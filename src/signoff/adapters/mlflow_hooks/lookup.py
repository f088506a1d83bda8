"""Reads MLflow's rows in the very transaction that is being decided."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from signoff.adapters.mlflow_hooks.rows import OrmRow, text
from signoff.release.guard.evidence import FROZEN_MARK

_DELETED_VERSION = "Deleted_Internal"
_PROMPT_TAG = "mlflow.prompt.is_prompt"
_PROMPT_TEXT_TAG = "mlflow.prompt.text"


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in columns))


_RUNS = _table("runs", "run_uuid", "experiment_id", "status", "entry_point_name", "artifact_uri")
_EXPERIMENTS = _table("experiments", "experiment_id", "name")
_MODELS = _table("logged_models", "model_id", "source_run_id")
_INPUTS = _table("inputs", "input_uuid", "source_type", "source_id", "destination_type", "destination_id")
_VERSIONS = _table("model_versions", "name", "version", "run_id", "source", "current_stage")
_ALIASES = _table("registered_model_aliases", "name", "alias", "version")
_MODEL_TAGS = _table("registered_model_tags", "name", "key", "value")
_VERSION_TAGS = _table("model_version_tags", "name", "version", "key", "value")
_LOGGED_TAGS = _table("logged_model_tags", "model_id", "tag_key", "tag_value")


def _of(column: Any) -> Any:
    """The column has the value that is given under its name."""
    return column == sa.bindparam(column.name)


def _among(column: Any) -> Any:
    """The column has one of the values that are given as ids."""
    return column.in_(sa.bindparam("ids", expanding=True))


# Made once: making a query takes five times as long as running one that was made.
_LIVES = _VERSIONS.c.current_stage != _DELETED_VERSION
_RUN = sa.select(_RUNS.c.experiment_id, _RUNS.c.status, _RUNS.c.entry_point_name).where(_of(_RUNS.c.run_uuid))
_SEVERAL_RUNS = sa.select(_RUNS.c.run_uuid, _RUNS.c.entry_point_name, _RUNS.c.status).where(
    _among(_RUNS.c.run_uuid)
)
_EXPERIMENT = sa.select(_EXPERIMENTS.c.name).where(_of(_EXPERIMENTS.c.experiment_id))
_ARTIFACTS = sa.select(_RUNS.c.artifact_uri).where(_of(_RUNS.c.run_uuid))
_RUNS_OF_MODELS = sa.select(_MODELS.c.model_id, _MODELS.c.source_run_id).where(_among(_MODELS.c.model_id))
_ENDS_OF_INPUTS = sa.select(
    _INPUTS.c.source_type, _INPUTS.c.source_id, _INPUTS.c.destination_type, _INPUTS.c.destination_id
).where(_among(_INPUTS.c.input_uuid))
_LOGGED_TAG = sa.select(_LOGGED_TAGS.c.tag_value).where(
    _of(_LOGGED_TAGS.c.model_id), _of(_LOGGED_TAGS.c.tag_key)
)
_FROZEN_RUNS = (
    sa.select(_RUNS.c.run_uuid)
    .where(_of(_RUNS.c.experiment_id), _RUNS.c.entry_point_name == FROZEN_MARK)
    .order_by(_RUNS.c.run_uuid)
)
_VERSIONS_OF_RUN = (
    sa.select(_VERSIONS.c.name, _VERSIONS.c.version)
    .where(_of(_VERSIONS.c.run_id), _LIVES)
    .order_by(_VERSIONS.c.name, _VERSIONS.c.version)
)
_VERSION = sa.select(_VERSIONS.c.run_id, _VERSIONS.c.source).where(
    _of(_VERSIONS.c.name), _of(_VERSIONS.c.version), _LIVES
)
_VERSIONS_OF_MODEL = (
    sa.select(_VERSIONS.c.version).where(_of(_VERSIONS.c.name), _LIVES).order_by(_VERSIONS.c.version)
)
_ALIAS = sa.select(_ALIASES.c.version).where(_of(_ALIASES.c.name), _of(_ALIASES.c.alias))
_ALIASES_OF_VERSION = (
    sa.select(_ALIASES.c.alias)
    .where(_of(_ALIASES.c.name), _of(_ALIASES.c.version))
    .order_by(_ALIASES.c.alias)
)
_MODEL_TAG = sa.select(_MODEL_TAGS.c.value).where(_of(_MODEL_TAGS.c.name), _of(_MODEL_TAGS.c.key))
_VERSION_TAG = sa.select(_VERSION_TAGS.c.value).where(
    _of(_VERSION_TAGS.c.name), _of(_VERSION_TAGS.c.version), _of(_VERSION_TAGS.c.key)
)


class SessionLookup:
    """`StoreLookup` on an SQLAlchemy session, by plain selects on its connection.

    The session's objects are neither read nor flushed: what another transaction committed meanwhile is seen.

    Args:
        session: the session whose transaction is being decided.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._made_by: dict[str, str | None] = {}

    @property
    def connection(self) -> object:
        """See `StoreLookup`."""
        return self._session.connection().connection.driver_connection

    def _rows(self, query: sa.Select[Any], **values: object) -> Sequence[Any]:
        with self._session.no_autoflush:
            found: Sequence[Any] = self._session.connection().execute(query, values).all()
        return found

    def _one(self, query: sa.Select[Any], **values: object) -> Any:
        found = self._rows(query, **values)
        return found[0] if found else None

    def run(self, run_id: str) -> tuple[str, str, str] | None:
        """See `StoreLookup`."""
        found = self._one(_RUN, run_uuid=run_id)
        return None if found is None else (str(found[0]), found[1] or "", found[2] or "")

    def runs(self, run_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """(freeze mark, status) of runs by id, with one select; a run that is not there is left out."""
        found = self._rows(_SEVERAL_RUNS, ids=sorted(run_ids))
        return {run_id: (mark or "", status or "") for run_id, mark, status in found}

    def experiment(self, experiment_id: str) -> str | None:
        """See `StoreLookup`."""
        if not experiment_id.isdecimal():
            return None
        found = self._one(_EXPERIMENT, experiment_id=int(experiment_id))
        return None if found is None else found[0]

    def artifacts(self, run_id: str) -> str | None:
        """See `StoreLookup`."""
        found = self._one(_ARTIFACTS, run_uuid=run_id)
        return None if found is None else found[0]

    def run_of_model(self, model_id: str) -> str | None:
        """See `StoreLookup`."""
        return self.runs_of_models([model_id]).get(model_id)

    def runs_of_models(self, model_ids: Iterable[str]) -> dict[str, str]:
        """The run that logged each model, by the model's id; models without a run are left out.

        Asked once for each: no model changes its run.
        """
        wanted = sorted(model_ids)
        if new := [model_id for model_id in wanted if model_id not in self._made_by]:
            self._made_by |= dict(self._rows(_RUNS_OF_MODELS, ids=new))
        return {model_id: run_id for model_id in wanted if (run_id := self._made_by.get(model_id))}

    def runs_of_inputs(self, input_ids: Iterable[str]) -> tuple[str, ...]:
        """Runs that inputs connect."""
        found = self._rows(_ENDS_OF_INPUTS, ids=sorted(input_ids))
        return tuple(
            end
            for source_kind, source, kind, destination in found
            for end_kind, end in ((source_kind, source), (kind, destination))
            if is_run(end_kind)
        )

    def logged_model_tag(self, model_id: str, key: str) -> str | None:
        """Value of a logged model's tag."""
        found = self._one(_LOGGED_TAG, model_id=model_id, tag_key=key)
        return None if found is None else found[0]

    def frozen_runs(self, experiment_id: str) -> tuple[str, ...]:
        """See `StoreLookup`."""
        if not experiment_id.isdecimal():
            return ()
        found = self._rows(_FROZEN_RUNS, experiment_id=int(experiment_id))
        return tuple(run_id for (run_id,) in found)

    def versions_of_run(self, run_id: str) -> tuple[tuple[str, int], ...]:
        """See `StoreLookup`."""
        found = self._rows(_VERSIONS_OF_RUN, run_id=run_id)
        return tuple((name, int(number)) for name, number in found)

    def version(self, name: str, number: int) -> tuple[str | None, str] | None:
        """See `StoreLookup`."""
        found = self._one(_VERSION, name=name, version=number)
        return None if found is None else (found[0], found[1] or "")

    def versions(self, name: str) -> tuple[int, ...]:
        """See `StoreLookup`."""
        return tuple(int(number) for (number,) in self._rows(_VERSIONS_OF_MODEL, name=name))

    def alias(self, name: str, alias: str) -> int | None:
        """See `StoreLookup`."""
        found = self._one(_ALIAS, name=name, alias=alias)
        return None if found is None else int(found[0])

    def aliases(self, name: str, number: int) -> tuple[str, ...]:
        """See `StoreLookup`."""
        return tuple(alias for (alias,) in self._rows(_ALIASES_OF_VERSION, name=name, version=number))

    def is_prompt(self, name: str) -> bool:
        """See `StoreLookup`; a prompt that this very flush would make counts."""
        for obj in self._session.new:
            if getattr(obj, "__tablename__", "") == _MODEL_TAGS.name:
                row = OrmRow(obj, "insert")
                if (row.value("name"), row.value("key")) == (name, _PROMPT_TAG):
                    return (row.value("value") or "").lower() == "true"
        found = self._one(_MODEL_TAG, name=name, key=_PROMPT_TAG)
        return found is not None and (text(found[0]) or "").lower() == "true"

    def prompt_text(self, name: str, number: int) -> str | None:
        """See `StoreLookup`."""
        found = self._one(_VERSION_TAG, name=name, version=number, key=_PROMPT_TEXT_TAG)
        return None if found is None else text(found[0])


def is_run(kind: str | None) -> bool:
    """Whether one end of an edge, in MLflow's word for its kind, is a run."""
    return kind is not None and kind.upper() in ("RUN", "RUN_INPUT", "RUN_OUTPUT")
