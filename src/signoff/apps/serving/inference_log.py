"""The inference log: a Delta table of what was asked and answered, written beside the requests, never before them.

A scorer sends the rows that its model saw along with its answer; the gateway keeps both as bytes. A thread reads
them, and appends them to the table every few seconds. What it cannot keep it drops, and counts.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
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
        incomplete: requests that are there without some or all of their inputs, which do not fit the table.
    """

    def __init__(self, path: Path, *, tell: Callable[[str], None], flush_s: float = FLUSH_S) -> None:
        """Start the thread.

        Args:
            path: folder of the table; made with the first rows.
            tell: one line for the person at the terminal, when the table cannot be written.
            flush_s: longest time that rows wait, in seconds.
        """
        self.dropped = 0
        self.incomplete = 0
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
        """Write what is there, and end the thread; says how many requests it lacks, or lacks the inputs of."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        if self.dropped:
            self._tell(f"the inference log lacks {self.dropped:,} requests, which could not be written")
        if self.incomplete:
            self._tell(f"the inference log lacks inputs of {self.incomplete:,} requests, which do not fit it")

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._flush_s)
            self._wake.clear()
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
            self._bytes = 0
        if not batch:
            return
        left = list(batch)
        try:
            self._write(left)
            self._told = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, requests go on; it is told once
            self._keep(left, sum(map(_size, left)))
            said = f"the inference log {self._path} cannot be written: {type(error).__name__}"
            if said != self._told:
                self._tell(f"{said}: {error}")
            self._told = said

    def _write(self, left: list[Seen]) -> None:
        """Write what there is, in parts when it cannot be written as a whole; what is written leaves the list.

        Raises:
            Exception: of the table, which does not take a request without its inputs either.
        """
        size = len(left)
        while left:
            part = left[:size]
            try:
                self.incomplete += _append(self._path, part)
            except Exception:  # noqa: BLE001 - told by the caller, if a request without inputs fails too
                if size > 1:
                    size = -(-len(part) // 2)
                    continue
                _append(self._path, [_bare(part[0])])
                self.incomplete += 1
            del left[: len(part)]

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


def _bare(seen: Seen) -> Seen:
    return replace(seen, answer=replace(seen.answer, rows=b"", body=b""))


def _append(path: Path, batch: Sequence[Seen]) -> int:
    """Append requests; how many of them lack inputs that do not fit."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake
    from deltalake.exceptions import TableNotFoundError

    try:
        there = pa.schema(DeltaTable(str(path)).schema().to_arrow())
    except TableNotFoundError:
        there = pa.schema([])
    table, incomplete = log_table(batch, there=there)
    write_deltalake(str(path), table, mode="append", schema_mode="merge")
    return incomplete


def log_table(batch: Sequence[Seen], *, there: Any = None) -> tuple[Any, int]:
    """The rows of answered requests as an Arrow table: one per scored row, one for a request that failed.

    Args:
        batch: the requests.
        there: Arrow schema of the table that they are for; its types hold. None: a new one.

    Returns:
        The table, and how many requests have nulls in it for inputs that do not fit a column's type.
    """
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
    unfit: set[int] = set()
    for name, kinds in _kinds(inputs).items():
        known = -1 if there is None else there.get_field_index(name)
        target = _common(kinds) if known < 0 else there.field(known).type
        columns[name], lacking = _gathered(name, target, inputs)
        unfit |= lacking
    predictions = [
        text for seen, found in zip(batch, inputs, strict=True) for text in _predictions(seen, found)
    ]
    columns[f"{OWN_PREFIX}prediction"] = pa.array(predictions, type=pa.string())
    return pa.table(columns), len(unfit)


def _inputs(seen: Seen) -> _Inputs:
    if seen.answer.status != 200 or not seen.answer.rows:
        return _Inputs(columns=(), rows=1)
    columns = tuple(
        (name, kind, values)
        for name, kind, values in msgspec.msgpack.decode(seen.answer.rows)
        if not name.startswith(OWN_PREFIX)
    )
    return _Inputs(columns=columns, rows=len(columns[0][2]) if columns else 1)


def _kinds(inputs: Iterable[_Inputs]) -> dict[str, list[str]]:
    """The types that each column is given, in the order of the requests."""
    kinds: dict[str, list[str]] = {}
    for found in inputs:
        for name, kind, _ in found.columns:
            given = kinds.setdefault(name, [])
            if kind not in given:
                given.append(kind)
    return kinds


def _common(kinds: Sequence[str]) -> Any:
    """The type that holds the numbers of all; of other types the first."""
    if len(kinds) == 1 or not set(kinds) <= {"integer", "long", "float", "double"}:
        return _arrow(kinds[0])
    return _arrow("long" if set(kinds) == {"integer", "long"} else "double")


def _gathered(name: str, target: Any, inputs: Sequence[_Inputs]) -> tuple[Any, set[int]]:
    """One column of all requests, and the places of the requests whose values do not fit its type."""
    import pyarrow as pa

    parts: list[Any] = []
    unfit: set[int] = set()
    for place, found in enumerate(inputs):
        given = next(((kind, values) for n, kind, values in found.columns if n == name), None)
        fitted = None if given is None else _fitted(*given, target)
        if fitted is None:
            fitted = pa.nulls(found.rows, target)
            if given is not None:
                unfit.add(place)
        parts.append(fitted)
    return pa.chunked_array(parts, type=target), unfit


def _fitted(kind: str, values: list[Any], target: Any) -> Any:
    """The values in a column's type, none of them changed; None when that cannot be."""
    import pyarrow as pa

    try:
        given = pa.array(values, type=_arrow(kind), from_pandas=True)
        if given.type == target:
            return given
        if not (_number(given.type) and _number(target)):
            return None
        cast = given.cast(target)
        return cast if cast.cast(given.type).equals(given) else None
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return None


def _number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


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
