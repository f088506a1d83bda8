"""What monitors look at, taken out of tables: columns as arrays, counts of unusable values, requests of an inference log."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray
from signoff.gate.model import Predictions
from signoff.record.digest import Digest
from signoff.record.schema import ColumnRecord
from signoff.rollout.bins import Column
from signoff.rollout.monitors import ColumnQuality

REQUEST, AT, VERSION, MODEL = "signoff_request", "signoff_at", "signoff_version", "signoff_digest"
STATUS, LATENCY, PREDICTION = "signoff_status", "signoff_latency_ms", "signoff_prediction"
FAILED_FROM = 500
"""HTTP status from which a request counts as failed: below it the caller sent what cannot be answered."""
_ANSWERED = 200
_FEW_CATEGORIES = 50
_REPEATED = (
    0.05  # a column with more different values than this share of its rows holds names, not categories
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogWindow:
    """A window of the inference log, of one version.

    Attributes:
        frame: its rows, a pandas DataFrame.
        requests: one row per request, the first of each.
        waiting: requests after the window that do not fill the next one yet.
    """

    frame: Any
    requests: Any
    waiting: int


def log_window(
    frame: Any, *, version: int, model: Digest, since: str, size: int, of: Literal["requests", "answers"]
) -> LogWindow | None:
    """The newest full window of so many requests, see `log_windows`; None before the first one is full."""
    found = log_windows(frame, version=version, model=model, since=since, size=size, of=of)
    return next(found, None)


def log_windows(
    frame: Any, *, version: int, model: Digest, since: str, size: int, of: Literal["requests", "answers"]
) -> Iterator[LogWindow]:
    """The full windows of so many requests that a version was given since it was released, the newest first.

    Windows follow each other without overlap, so that the same windows are found until the next one is full.

    Args:
        frame: the log, a pandas DataFrame.
        version: the released version.
        model: digest of its files.
        since: ISO 8601 time, UTC, from which on requests count.
        size: requests in a window.
        of: ``requests``: all of them, those too that no version could answer; ``answers``: those that the
            version answered with status 200, which alone have inputs and a prediction.

    Raises:
        DataError: the table is no inference log.
    """
    ordered = _own_requests(frame, version=version, model=model, since=since, of=of)
    requests = ordered.drop_duplicates(REQUEST)
    for number in range(len(requests) // size, 0, -1):
        chosen = requests.iloc[(number - 1) * size : number * size]
        yield LogWindow(
            frame=ordered[ordered[REQUEST].isin(chosen[REQUEST])],
            requests=chosen,
            waiting=len(requests) - number * size,
        )


def _own_requests(
    frame: Any, *, version: int, model: Digest, since: str, of: Literal["requests", "answers"]
) -> Any:
    """Their rows in the order in which the requests came."""
    needed = (REQUEST, AT, VERSION, MODEL, STATUS, LATENCY)
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise DataError(
            f"the table lacks {', '.join(missing)}: it is no inference log",
            hint="`signoff serve` writes one where `serving: {log: …}` says",
        )
    given = (frame[VERSION] == version) & (frame[MODEL] == str(model))
    counted = given & (frame[STATUS] == _ANSWERED) if of == "answers" else given | frame[VERSION].isna()
    own = frame[counted & (frame[AT].astype(str) >= since)]
    return own.sort_values([AT, REQUEST], kind="stable")


def failed_requests(requests: Any) -> int:
    """How many requests of a window failed."""
    return int((requests[STATUS] >= FAILED_FROM).sum())


def latencies(requests: Any) -> FloatArray:
    """Milliseconds per request."""
    return np.asarray(requests[LATENCY].dropna(), dtype=np.float64)


def column_values(frame: Any, name: str, *, numbers: bool) -> Column:
    """A column as drift compares it.

    Args:
        frame: a pandas DataFrame.
        name: the column.
        numbers: whether it holds numbers in the reference.

    Raises:
        DataError: it is not there, or holds texts where the reference holds numbers.
    """
    import pandas as pd

    if name not in frame.columns:
        raise DataError(f"column {name!r} is missing")
    values = frame[name]
    if not numbers:
        return np.asarray(values.astype("object").where(values.notna(), "").astype(str), dtype=np.str_)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise DataError(f"column {name!r} holds times, which have no drift of their own")
    try:
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name!r} holds values that are not numbers") from error
    return np.asarray(np.where(np.isinf(found), np.nan, found), dtype=np.float64)


def holds_numbers(frame: Any, name: str) -> bool:
    """Whether a column holds numbers; truth values are categories."""
    import pandas as pd

    dtype = frame[name].dtype
    return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))


def categories(frame: Any, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Per text column that holds categories, the values it has."""
    found: dict[str, frozenset[str]] = {}
    for name in names:
        if name not in frame.columns or holds_numbers(frame, name):
            continue
        values = frame[name].dropna().astype(str)
        different = frozenset(values.unique())
        if len(different) <= _FEW_CATEGORIES and len(different) <= _REPEATED * max(len(values), 1):
            found[name] = different
    return found


def column_quality(frame: Any, column: ColumnRecord, *, known: frozenset[str] | None) -> ColumnQuality:
    """Count the values of a column that cannot be used.

    Args:
        frame: a pandas DataFrame.
        column: its name, type and whether every row needs it.
        known: the categories of the approval's data; None where they are not compared.
    """
    rows = len(frame)
    if column.name not in frame.columns:
        return ColumnQuality(missing=rows if column.required else 0, unfit=0, unseen=0, rows=rows)
    values = frame[column.name]
    there = values[values.notna()]
    fits = _fits(there, column.type)
    unseen = 0 if known is None else int((~there[fits].astype(str).isin(known)).sum())
    return ColumnQuality(
        missing=int(values.isna().sum()) if column.required else 0,
        unfit=int((~fits).sum()),
        unseen=unseen,
        rows=rows,
    )


def _fits(values: Any, kind: str) -> Any:
    """Per value whether it is of one of MLflow's types; a boolean Series."""
    import pandas as pd

    tests: dict[str, Callable[[Any], bool]] = {
        "boolean": lambda value: isinstance(value, bool | np.bool_),
        "integer": _is_whole,
        "long": _is_whole,
        "float": _is_finite,
        "double": _is_finite,
        "string": lambda value: isinstance(value, str),
        "datetime": lambda value: isinstance(value, pd.Timestamp | np.datetime64),
    }
    test = tests.get(kind, lambda _: True)
    return pd.Series([test(value) for value in values], index=values.index, dtype=bool)


def _is_finite(value: Any) -> bool:
    numeric = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return numeric and bool(np.isfinite(value))


def _is_whole(value: Any) -> bool:
    return _is_finite(value) and float(value).is_integer()


def logged_answers(frame: Any, *, task: str, positive: Any) -> Predictions:
    """The answers of an inference log's rows, as far as they are classes, scores or numbers.

    Args:
        frame: rows of the log, a pandas DataFrame.
        task: classification or regression.
        positive: the positive label; for classification only.

    Raises:
        DataError: an answer is missing or of another form.
    """
    answers = [_answer(text) for text in frame[PREDICTION]]
    if task == "regression":
        return Predictions(score=_numbers(answers), decision=None)
    if all(isinstance(answer, float) for answer in answers):
        return Predictions(score=_numbers(answers), decision=None)
    return Predictions(
        score=None, decision=np.asarray([answer == positive for answer in answers], dtype=np.float64)
    )


def table_answers(frame: Any) -> Predictions:
    """The answers of an output table of batch scoring: columns ``score`` and ``prediction``, where it has them."""
    score = frame["score"] if "score" in frame.columns else None
    decision = frame["prediction"] if "prediction" in frame.columns else None
    return Predictions(
        score=None if score is None else np.asarray(score, dtype=np.float64),
        decision=None if decision is None else np.asarray(decision, dtype=np.float64),
    )


def given_classes(frame: Any, *, logged: bool) -> tuple[Any, ...]:
    """The class that was answered for each row.

    Raises:
        DataError: the answers hold none.
    """
    if logged:
        return tuple(_answer(text) for text in frame[PREDICTION])
    if "prediction" not in frame.columns:
        raise DataError("the watched table has no column 'prediction'")
    return tuple(frame["prediction"].tolist())


def with_labels(frame: Any, labels: Any, *, key: str, label: str) -> Any:
    """The rows whose label has come in, with it; labels without a row and rows without a label are left out.

    Where one table has the keys as numbers and the other as texts, 7 and "7" are the same key.

    Raises:
        DataError: a column is missing, or a key has two labels.
    """
    for what, table, names in (("watched table", frame, [key]), ("labels", labels, [key, label])):
        missing = [name for name in names if name not in table.columns]
        if missing:
            raise DataError(f"the {what} lacks the column {', '.join(missing)}")
    known = labels[[key, label]].dropna()
    own = frame.drop(columns=[label], errors="ignore")
    own = own[own[key].notna()]
    if holds_numbers(own, key) == holds_numbers(known, key):
        theirs, ours = known[key], own[key]
    else:
        theirs, ours = (values.map(_key_text).astype(object) for values in (known[key], own[key]))
    if theirs.duplicated().any():
        raise DataError(f"some {key!r} have more than one label")
    answered = ours.isin(theirs)
    found = own[answered].reset_index(drop=True)
    by_key = dict(zip(theirs, known[label], strict=True))
    return found.assign(**{label: [by_key[value] for value in ours[answered]]})


def _key_text(value: Any) -> str:
    """A key as text; whole numbers without a fraction, however their column holds them."""
    return str(int(value)) if _is_whole(value) else str(value)


def _answer(text: Any) -> Any:
    try:
        found = json.loads(text)
    except (TypeError, ValueError) as error:
        raise DataError(f"an answer in the log is not JSON: {str(text)[:40]!r}") from error
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, dict | list) or found is None:
        raise DataError(f"an answer in the log is neither a class nor a number: {str(text)[:40]!r}")
    return found


def _numbers(answers: list[Any]) -> FloatArray:
    try:
        return np.asarray(answers, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("an answer in the log is not a number") from error
