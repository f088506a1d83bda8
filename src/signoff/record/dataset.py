"""A data set that a run used."""

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
