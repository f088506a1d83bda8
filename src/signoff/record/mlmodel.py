"""The MLmodel file that stands beside every model MLflow logs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from signoff.record.digest import Json
from signoff.record.schema import ColumnRecord, SchemaRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """What an MLmodel file says.

    Attributes:
        flavors: flavor names, in the order of the file.
        inputs: the input schema of the signature; None without one.
        has_input_example: whether an input example was logged with the model.
    """

    flavors: tuple[str, ...]
    inputs: SchemaRecord | None
    has_input_example: bool


UNREADABLE = ModelFile(flavors=(), inputs=None, has_input_example=False)
"""What is known of a model whose MLmodel file is missing or malformed."""
_OWN = re.compile(
    rb"^(?:artifact_path|model_id|model_uuid|run_id|model_size_bytes|utc_time_created): "
    rb"(?:[A-Za-z0-9./_-]+|'[0-9:. -]+')\r?\n",
    re.MULTILINE,
)
"""Lines that differ between any two models and say nothing of what is read here."""


def read_mlmodel(data: bytes | None) -> ModelFile:
    """Read the bytes of an MLmodel file; missing or malformed bytes say nothing and raise nothing.

    Parsing takes milliseconds, and most of a store's files differ in their ids alone: each is parsed once.
    """
    return UNREADABLE if data is None else _read(_OWN.sub(b"", data))


@lru_cache(maxsize=512)
def _read(data: bytes) -> ModelFile:
    try:
        content: Json = YAML(typ="safe").load(data.decode())
    except (YAMLError, ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(content, Mapping):
        return UNREADABLE
    flavors = content.get("flavors")
    signature = content.get("signature")
    return ModelFile(
        flavors=tuple(str(name) for name in flavors) if isinstance(flavors, Mapping) else (),
        inputs=_schema(signature.get("inputs")) if isinstance(signature, Mapping) else None,
        has_input_example=bool(content.get("saved_input_example_info")),
    )


def _schema(text: Json) -> SchemaRecord | None:
    """The input schema, which a signature holds as JSON text; None when there is none or it is malformed."""
    if not isinstance(text, str):
        return None
    try:
        columns: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        return None
    found = tuple(
        ColumnRecord(
            # MLflow's own `Schema.input_names` counts unnamed columns from 0.
            name=str(column.get("name", position)),
            type=str(column.get("type", "")),
            required=_required(column),
        )
        for position, column in enumerate(columns)
        if isinstance(column, Mapping)
    )
    return SchemaRecord(columns=found) if len(found) == len(columns) else None


def _required(column: Mapping[str, Json]) -> bool:
    """Whether a row must have the column; MLflow before 2.6 wrote ``optional`` instead of ``required``."""
    if "required" in column:
        return bool(column["required"])
    return not column.get("optional", False)
