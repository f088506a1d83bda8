"""How values that MLflow stores as text become records; the same for its database and its REST API."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from signoff.record.dataset import DatasetRecord
from signoff.record.digest import Json
from signoff.record.run import LoggedModelRecord

USER_TAG = "mlflow.user"
IS_PROMPT_TAG = "mlflow.prompt.is_prompt"
PROMPT_TAG = "mlflow.prompt.text"
"""Tag of a version in the model registry that holds a prompt's text; MLflow keeps prompts there."""
CONTEXT_TAG = "mlflow.data.context"
DIGEST_TAG = "signoff.dataset.sha256"
"""Input tag with a data set's full digest: MLflow's own digest column holds 36 characters."""
VERSION_TAG = "signoff.dataset.version"
"""Input tag with a data set's table or feature-set version."""
HISTORY_TAG = "mlflow.log-model.history"
"""Run tag in which MLflow clients before 3.0 list the models they logged as run artifacts."""

_MODEL_URI = re.compile(r"models:/+([^/@]+)\Z")
_SOURCE_KEYS = ("delta_table_name", "table_name", "uri", "url", "path")


def dataset_record(
    *,
    name: str,
    digest: str,
    source_type: str,
    source: str,
    profile: str | None,
    tags: Mapping[str, str],
) -> DatasetRecord:
    """A logged input.

    Args:
        name: its name.
        digest: MLflow's short digest.
        source_type: MLflow's source type.
        source: MLflow's JSON text that says where the data came from.
        profile: MLflow's JSON text with row counts; None without one.
        tags: the input's tags.
    """
    origin = _object(source)
    return DatasetRecord(
        name=name,
        digest=tags.get(DIGEST_TAG) or digest,
        source=next((str(origin[key]) for key in _SOURCE_KEYS if origin.get(key)), ""),
        source_type=source_type,
        context=tags.get(CONTEXT_TAG, ""),
        rows=_count(_object(profile).get("num_rows")),
        version=tags.get(VERSION_TAG) or _text(origin.get("delta_table_version")),
    )


def in_order(datasets: Sequence[DatasetRecord]) -> tuple[DatasetRecord, ...]:
    """The data sets by context, name and digest: MLflow keeps no order of its own."""
    return tuple(sorted(datasets, key=lambda d: (d.context, d.name, d.digest)))


def older_models(
    tags: Mapping[str, str], artifact_uri: str, logged: Sequence[LoggedModelRecord]
) -> tuple[LoggedModelRecord, ...]:
    """Models that a client before MLflow 3 logged as artifacts of the run, in the order of logging.

    Args:
        tags: the run's tags.
        artifact_uri: root of the run's artifacts.
        logged: the run's models of MLflow 3, which some clients list in the tag too.
    """
    try:
        history: Json = json.loads(tags.get(HISTORY_TAG, "[]"))
    except (ValueError, RecursionError):
        return ()
    if isinstance(history, str) or not isinstance(history, Sequence):
        return ()
    known = {model.model_id for model in logged}
    paths = dict.fromkeys(
        str(entry["artifact_path"]).strip("/")
        for entry in history
        if isinstance(entry, Mapping)
        and entry.get("artifact_path")
        and entry.get("model_id") not in known
        and entry.get("model_uuid") not in known
    )
    return tuple(
        bare_model(model_id=None, name=path, uri=f"{artifact_uri.rstrip('/')}/{path}") for path in paths
    )


def bare_model(*, model_id: str | None, name: str, uri: str) -> LoggedModelRecord:
    """A logged model of which the MLmodel file has not been read yet."""
    return LoggedModelRecord(
        model_id=model_id, name=name, uri=uri, flavors=(), inputs=None, has_input_example=False
    )


def with_model_file(model: LoggedModelRecord, data: bytes | None) -> LoggedModelRecord:
    """The model with what its MLmodel file says; None for the bytes when the file is missing."""
    # YAML is slow to import, and most commands read no model file.
    from signoff.record.mlmodel import read_mlmodel  # noqa: PLC0415

    file = read_mlmodel(data)
    return replace(model, flavors=file.flavors, inputs=file.inputs, has_input_example=file.has_input_example)


def model_id_of(source: str) -> str | None:
    """The logged model's id in a version's source ``models:/m-…``; None for any other source."""
    match = _MODEL_URI.match(source)
    return match[1] if match else None


def named_by(experiment: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names the experiment: exactly, or with ``/*`` everything below a prefix."""
    return any(
        experiment.startswith(pattern[:-1]) if pattern.endswith("/*") else experiment == pattern
        for pattern in patterns
    )


def _object(text: str | None) -> Mapping[str, Json]:
    """A JSON object; empty when the text holds anything else."""
    try:
        value: Json = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Json) -> str | None:
    return None if value is None else str(value)
