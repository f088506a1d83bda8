"""The predictions table: a Delta table whose every commit says which release wrote it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from signoff.errors import StoreError
from signoff.record.digest import Digest, FileDigest, folder_digest

COMMIT_KEY = "signoff"
"""Key of the commit metadata that holds the release's JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputCommit:
    """One version of an output table.

    Attributes:
        path: the table.
        version: its version number.
        at: commit time, milliseconds since 1970, UTC.
        release: what the commit says about the release that wrote it; None when it says nothing.
        data: digest of the data files that make up this version; None when one of them is gone.
    """

    path: Path
    version: int
    at: int
    release: Mapping[str, Any] | None
    data: Digest | None


def write_predictions(path: Path, frame: Any, *, release: Mapping[str, Any]) -> OutputCommit:
    """Replace the table's rows in one commit that carries the release.

    Args:
        path: the Delta table's folder; made when absent.
        frame: a pandas DataFrame.
        release: JSON for the commit's metadata.

    Raises:
        StoreError: the table cannot be written; the earlier version stays.
    """
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, write_deltalake
    from deltalake.exceptions import DeltaError

    if path.exists() and not path.is_dir():
        raise StoreError(
            "this is a file; predictions go to a Delta table, which is a folder",
            where=str(path),
            hint="name a folder, which is made when it is not there; the file was not touched",
        )
    if path.exists() and not DeltaTable.is_deltatable(str(path)) and any(path.iterdir()):
        raise StoreError("the folder holds other files and no Delta table", where=str(path))
    try:
        write_deltalake(
            str(path),
            pa.Table.from_pandas(frame, preserve_index=False),
            mode="overwrite",
            commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: json.dumps(release)}),
        )
    except (DeltaError, OSError, ValueError) as error:
        raise StoreError(
            f"the predictions cannot be written: {error}",
            where=str(path),
            hint="nothing was replaced; a changed schema needs a new output table",
        ) from error
    return read_commit(path, version=None)


def read_commit(path: Path, *, version: int | None) -> OutputCommit:
    """What one version of an output table says about the release that wrote it.

    Args:
        path: the Delta table's folder.
        version: None for the newest.

    Raises:
        StoreError: there is no such table or version.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if not path.is_dir() or not DeltaTable.is_deltatable(str(path)):
        raise StoreError(
            "there is no Delta table", where=str(path), hint="signoff predict USE_CASE writes one"
        )
    try:
        table = DeltaTable(str(path))
        wanted = table.version() if version is None else version
        commits = [c for c in table.history() if c.get("version") == wanted]
    except DeltaError as error:
        raise StoreError(f"the table cannot be read: {error}", where=str(path)) from error
    if not commits:
        raise StoreError(f"the table has no version {wanted}", where=str(path))
    commit = commits[0]
    text = commit.get(COMMIT_KEY)
    try:
        release = None if text is None else json.loads(text)
    except ValueError:
        release = None
    return OutputCommit(
        path=path,
        version=wanted,
        at=int(commit.get("timestamp", 0)),
        release=release if isinstance(release, dict) else None,
        data=_data_digest(path, wanted),
    )


def _data_digest(path: Path, version: int) -> Digest | None:
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        actions = pa.table(DeltaTable(str(path), version=version).get_add_actions(flatten=True))
        # Delta's log holds URIs.
        files = [_hashed(path, unquote(name)) for name in actions.column("path").to_pylist()]
    except (DeltaError, OSError):
        return None
    return folder_digest(files)


def _hashed(folder: Path, name: str) -> FileDigest:
    file = folder / name
    with file.open("rb") as content:
        digest = Digest(hashlib.file_digest(content, "sha256").hexdigest())
    return FileDigest(path=name, size=file.stat().st_size, digest=digest)
