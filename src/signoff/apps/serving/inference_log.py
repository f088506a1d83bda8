"""The inference log: a Delta table of what was asked and answered, written beside the requests, never before them.

A scorer sends the rows that its model saw along with its answer; the gateway keeps both as bytes. A thread reads
them, and appends them to the table every few seconds. What it cannot keep it drops, and counts.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from signoff.apps.serving.gateway import Seen

FLUSH_S: Final = 5.0
FLUSH_REQUESTS: Final = 2000
MAX_REQUESTS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""What is kept in memory while the table cannot be written."""
OWN_PREFIX: Final = "signoff_"
"""Names of the log's own columns begin so; an input column that does is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Inputs:
    """The rows of one request: (name, MLflow's type, values) per column, and how many rows."""

    columns: tuple[tuple[str, str, list[Any]], ...]
    rows: int


class InferenceLog:
    """Buffers answered requests and appends them to a Delta table from a thread of its own.

    Attributes:
        dropped: requests that could not be kept.
    """

    def __init__(self, path: Path, *, tell: Callable[[str], None], flush_s: float = FLUSH_S) -> None:
        """Start the thread.

        Args:
            path: folder of the table; made with the first rows.
            tell: one line for the person at the terminal, when the table cannot be written.
            flush_s: longest time that rows wait, in seconds.
        """
        self.dropped = 0
        self._path = path
        self._tell = tell
        self._flush_s = flush_s
        self._waiting: list[Seen] = []
        self._bytes = 0
        self._lock = threading.Lock()  # held for list operations only, never while writing
        self._wake = threading.Event()
        self._closing = False
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._thread.start()

    def add(self, seen: Seen) -> None:
        """Remember a request; returns at once and never raises."""
        size = _size(seen)
        with self._lock:
            if len(self._waiting) >= MAX_REQUESTS or self._bytes + size > MAX_BYTES:
                self.dropped += 1
                return
            self._waiting.append(seen)
            self._bytes += size
            full = len(self._waiting) >= FLUSH_REQUESTS
        if full:
            self._wake.set()

    def close(self) -> None:
        """Write what is there, and end the thread; says how many requests were dropped, if any."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        if self.dropped:
            self._tell(f"the inference log lacks {self.dropped:,} requests, which could not be written")

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._flush_s)
            self._wake.clear()
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
            size, self._bytes = self._bytes, 0
        if not batch:
            return
        try:
            _append(self._path, batch)
            self._told = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, requests go on; it is told once
            self._keep(batch, size)
            said = f"the inference log {self._path} cannot be written: {type(error).__name__}"
            if said != self._told:
                self._tell(f"{said}: {error}")
            self._told = said

    def _keep(self, batch: list[Seen], size: int) -> None:
        """Put back what could not be written, unless the endpoint ends or newer requests took the room."""
        with self._lock:
            fits = len(self._waiting) + len(batch) <= MAX_REQUESTS and self._bytes + size <= MAX_BYTES
            if self._closing or not fits:
                self.dropped += len(batch)
                return
            self._waiting = batch + self._waiting
            self._bytes += size


def _size(seen: Seen) -> int:
    return 500 + len(seen.answer.rows) + len(seen.answer.body)


def _append(path: Path, batch: Sequence[Seen]) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(path), log_table(batch), mode="append", schema_mode="merge")


def log_table(batch: Sequence[Seen]) -> Any:
    """The rows of answered requests as an Arrow table: one per scored row, one for a request that failed."""
    import pyarrow as pa

    inputs = [_inputs(seen) for seen in batch]
    counts = [found.rows for found in inputs]
    own: dict[str, tuple[Any, list[Any]]] = {
        "request": (pa.string(), [seen.id for seen in batch]),
        "at": (pa.string(), [_at(seen.at) for seen in batch]),
        "version": (pa.int64(), [None if s.served is None else s.served.version for s in batch]),
        "digest": (pa.string(), [None if s.served is None else str(s.served.model) for s in batch]),
        "route": (pa.string(), [seen.route for seen in batch]),
        "status": (pa.int64(), [seen.answer.status for seen in batch]),
        "latency_ms": (pa.float64(), [round(seen.latency_ms, 3) for seen in batch]),
    }
    columns = {
        f"{OWN_PREFIX}{name}": pa.array(_repeated(values, counts), type=kind)
        for name, (kind, values) in own.items()
    }
    for name, kind in _kinds(inputs).items():
        columns[name] = pa.array(_gathered(name, kind, inputs), type=_arrow(kind), from_pandas=True)
    predictions = [
        text for seen, found in zip(batch, inputs, strict=True) for text in _predictions(seen, found)
    ]
    columns[f"{OWN_PREFIX}prediction"] = pa.array(predictions, type=pa.string())
    return pa.table(columns)


def _inputs(seen: Seen) -> _Inputs:
    if seen.answer.status != 200 or not seen.answer.rows:
        return _Inputs(columns=(), rows=1)
    columns = tuple(
        (name, kind, values)
        for name, kind, values in msgspec.msgpack.decode(seen.answer.rows)
        if not name.startswith(OWN_PREFIX)
    )
    return _Inputs(columns=columns, rows=len(columns[0][2]) if columns else 1)


def _kinds(inputs: Iterable[_Inputs]) -> dict[str, str]:
    return {name: kind for found in inputs for name, kind, _ in found.columns}


def _gathered(name: str, kind: str, inputs: Iterable[_Inputs]) -> list[Any]:
    gathered: list[Any] = []
    for found in inputs:
        values = next((v for n, k, v in found.columns if (n, k) == (name, kind)), None)
        gathered += [None] * found.rows if values is None else values
    return gathered


def _arrow(kind: str) -> Any:
    import pyarrow as pa

    return {
        "boolean": pa.bool_(),
        "integer": pa.int32(),
        "long": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "binary": pa.binary(),
    }.get(kind, pa.string())


def _predictions(seen: Seen, found: _Inputs) -> list[str | None]:
    """Each row's answer as JSON; nulls where the answer does not fall into rows."""
    if seen.answer.status != 200:
        return [None] * found.rows
    try:
        answers = json.loads(seen.answer.body)["predictions"]
    except (ValueError, KeyError, TypeError):
        return [None] * found.rows
    if isinstance(answers, list) and len(answers) == found.rows:
        return [json.dumps(answer) for answer in answers]
    return [json.dumps(answers)] if found.rows == 1 else [None] * found.rows


def _repeated(values: Iterable[Any], counts: Iterable[int]) -> list[Any]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
