"""A data set that a run used."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetRecord:
    """A logged input.

    Attributes:
        name: the name it was logged under.
        digest: the digest the client logged: ``sha256:…`` of the file's bytes when `signoff.log_dataset`
            logged it, else MLflow's short hash.
        source: where it came from: a path, URI or table name; "" when unknown.
        source_type: MLflow's source type, such as local, delta_table or http.
        context: what it was used for, such as training or evaluation; "" when not said.
        rows: number of rows when known.
        version: table or feature-set version when known.
    """

    name: str
    digest: str
    source: str
    source_type: str
    context: str
    rows: int | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InputCopy:
    """A logged input as MLflow keeps it, to be logged again elsewhere.

    Attributes:
        name: its name.
        digest: MLflow's short digest.
        source_type: MLflow's source type.
        source: MLflow's JSON text that says where the data came from.
        schema: MLflow's JSON text with the columns; None without one.
        profile: MLflow's JSON text with row counts; None without one.
        tags: the input's tags, its context among them.
    """

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    tags: Mapping[str, str]
