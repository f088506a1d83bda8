"""`signoff.log_dataset`: which data a run used, named by its bytes."""

import csv
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from signoff.apps.client.run import store_errors, target_run
from signoff.errors import DataError, UsageError
from signoff.record.dataset import DatasetRecord
from signoff.record.digest import Digest
from signoff.record.from_mlflow import CONTEXT_TAG, DIGEST_TAG, VERSION_TAG, dataset_record

if TYPE_CHECKING:
    import pandas as pd

    Data: TypeAlias = str | os.PathLike[str] | pd.DataFrame

TARGET_TAG = "signoff.dataset.target"
"""Input tag that names the label column."""
_SHORT = 32
"""Hex digits of the digest that fit MLflow's own column, which holds 36 characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What the data itself says: digest, number of rows, and where it is when that is known."""

    digest: Digest
    rows: int
    path: Path | None = None
    delta_version: int | None = None


def log_dataset(
    data: "Data",
    *,
    name: str,
    source: str | None = None,
    context: str = "training",
    version: str | int | None = None,
    target: str | None = None,
    run_id: str | None = None,
) -> DatasetRecord:
    """Log data as an input of the run, with the SHA-256 of its bytes.

    A file is digested as it lies there and a Delta table by its active files, exactly as the gate does it, so
    that the same data has the same digest everywhere. A DataFrame is digested by its column names, types and
    values, in order; no file has that digest.

    Args:
        data: path of a Parquet or CSV file or of a Delta table, or a pandas DataFrame.
        name: what to call it, such as ``churn_training``.
        source: where it came from: a path, URI or table name. A path is its own source by default.
        context: what it was used for: training, evaluation, …
        version: version of the table or feature set; that of a Delta table is found out.
        target: name of the label column.
        run_id: the run to log to; the active run by default.

    Returns:
        What was logged.

    Raises:
        UsageError: there is no run, no source, or the run already logged this data for another use.
        DataError: the data cannot be read.
        StoreError: MLflow could not be reached, or refused.
    """
    run = target_run(run_id, call="signoff.log_dataset")
    facts = _facts_of_path(data) if isinstance(data, str | os.PathLike) else _facts_of_frame(data)
    if source is None and facts.path is None:
        raise UsageError(
            f"data set {name!r} has no source, and a DataFrame does not know its own",
            hint='name where it came from: log_dataset(frame, name=…, source="warehouse.customers")',
        )
    if facts.delta_version is not None and version is not None and str(version) != str(facts.delta_version):
        raise DataError(
            f"version {version} was named, but the table is at version {facts.delta_version}",
            where=str(facts.path),
            hint="log the DataFrame that was read at that version instead of the path",
        )
    kind, origin = _source(facts, source)
    tags = {CONTEXT_TAG: context, DIGEST_TAG: str(facts.digest)}
    if (known := facts.delta_version if version is None else version) is not None:
        tags[VERSION_TAG] = str(known)
    if target is not None:
        tags[TARGET_TAG] = target
    profile = json.dumps({"num_rows": facts.rows})
    _write(run, name=name, digest=facts.digest, kind=kind, origin=origin, profile=profile, tags=tags)
    return dataset_record(
        name=name,
        digest=facts.digest.hex[:_SHORT],
        source_type=kind,
        source=origin,
        profile=profile,
        tags=tags,
    )


def frame_digest(frame: "pd.DataFrame") -> Digest:
    """Digest of a DataFrame: of its Arrow stream without metadata, after its column names and types.

    Raises:
        DataError: a column holds values of mixed or unknown types.
    """
    import pandas as pd
    import pyarrow as pa

    try:
        table = pa.Table.from_pandas(frame, preserve_index=not isinstance(frame.index, pd.RangeIndex))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"this DataFrame has no canonical bytes: {error}",
            hint="give each column one type, or write it to a Parquet file and log the path",
        ) from error
    table = table.replace_schema_metadata(None).combine_chunks()
    sink = _HashSink()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Digest(sink.hash.hexdigest())


class _HashSink:
    """A file that only hashes what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _facts_of_frame(data: "pd.DataFrame") -> _Facts:
    import pandas as pd

    if not isinstance(data, pd.DataFrame):
        raise UsageError(
            f"log_dataset takes a path or a pandas DataFrame, not {type(data).__name__}",
            hint="write the data to a Parquet file or Delta table and log its path",
        )
    return _Facts(digest=frame_digest(data), rows=len(data))


def _facts_of_path(data: "str | os.PathLike[str]") -> _Facts:
    text = os.fspath(data)
    if "://" in text:
        raise UsageError(
            f"{text} is not on this machine, so its bytes cannot be digested",
            hint="log the DataFrame that was read from it, with source= naming this address",
        )
    path = Path(text)
    if path.is_dir():
        from signoff.adapters.tables import read_table

        table = read_table(path)
        return _Facts(digest=table.digest, rows=len(table.frame), path=path, delta_version=table.version)
    try:
        with path.open("rb") as file:
            digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        return _Facts(digest=digest, rows=_rows(path), path=path)
    except FileNotFoundError as error:
        raise DataError("the file is not there", where=text) from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the file cannot be read: {error}", where=text) from error


def _rows(path: Path) -> int:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return max(0, sum(1 for row in csv.reader(file) if row) - 1)
    raise DataError("only .parquet and .csv files and Delta tables are read", where=str(path))


def _source(facts: _Facts, source: str | None) -> tuple[str, str]:
    """MLflow's source type and the JSON that goes with it."""
    where = str(facts.path) if source is None else source
    if facts.delta_version is not None:
        return "delta_table", json.dumps({"path": where, "delta_table_version": facts.delta_version})
    scheme = where.partition("://")[0] if "://" in where else "local"
    if scheme in {"http", "https"}:
        return "http", json.dumps({"url": where})
    return scheme, json.dumps({"uri": where})


def _write(
    run: str, *, name: str, digest: Digest, kind: str, origin: str, profile: str, tags: dict[str, str]
) -> None:
    import mlflow
    from mlflow.entities import Dataset, DatasetInput, InputTag

    short = digest.hex[:_SHORT]
    client = mlflow.MlflowClient()
    with store_errors(run):
        logged = _context_in_run(client, run, name=name, short=short)
        if logged == tags[CONTEXT_TAG]:
            return
        if logged is not None:
            # MLflow would drop the second use of one name and digest without a word.
            raise UsageError(
                f"run {run} already logged data set {name!r} with these bytes for {logged or 'no context'}",
                hint=f"give it another name for {tags[CONTEXT_TAG]}",
            )
        dataset = Dataset(name=name, digest=short, source_type=kind, source=origin, profile=profile)
        inputs = [DatasetInput(dataset, [InputTag(key, value) for key, value in tags.items()])]
        client.log_inputs(run_id=run, datasets=inputs)


def _context_in_run(client: Any, run: str, *, name: str, short: str) -> str | None:
    """The context under which the run has this data set; None when it has not."""
    for logged in client.get_run(run).inputs.dataset_inputs:
        if (logged.dataset.name, logged.dataset.digest) == (name, short):
            return next((str(tag.value) for tag in logged.tags if tag.key == CONTEXT_TAG), "")
    return None
