"""`signoff.log_evidence`: what only the author knows, as files of the run."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from signoff.adapters.environment import current_environment
from signoff.apps.client.run import store_errors, target_run
from signoff.errors import UsageError
from signoff.record import capture

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

    Content: TypeAlias = (
        str | Mapping[str, object] | Sequence[object] | pd.DataFrame | matplotlib.figure.Figure | Path
    )

_NAME = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*)*"
)
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]*\Z")
_environment_done: set[tuple[str, str]] = set()


def log_evidence(name: str, content: "Content", *, note: str | None = None, run_id: str | None = None) -> str:
    """Attach evidence to the run, and once per run the list of packages it ran with.

    Text becomes Markdown, a mapping or list JSON, a DataFrame CSV, a matplotlib figure PNG; the file at a
    ``Path`` is copied.

    Args:
        name: what it is, such as ``threshold_rationale``; ``/`` makes folders. An ending is added when the
            name has none.
        content: the evidence.
        note: a remark for the reviewer, kept beside it as ``<name>.note.md``.
        run_id: the run to log to; the active run by default.

    Returns:
        Path of the file among the run's artifacts, such as ``evidence/threshold_rationale.md``.

    Raises:
        UsageError: there is no run, the name is no file name, or the content has a kind not listed here.
        StoreError: MLflow could not be reached, or refused.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for evidence",
            hint="use letters, digits, - and _, with / between folders, such as threshold_rationale",
        )
    run = target_run(run_id, call="signoff.log_evidence")
    with tempfile.TemporaryDirectory() as folder:
        stem = Path(name).name
        file = _write(Path(folder), stem, content)
        files = [file]
        if note is not None:
            remark = Path(folder) / f"{stem.removesuffix(file.suffix)}.note.md"
            remark.write_text(_ended(note), encoding="utf-8")
            files.append(remark)
        parent = (Path(capture.EVIDENCE_FOLDER) / name).parent.as_posix()
        _log(run, files, parent)
    _attach_environment(run)
    return f"{parent}/{file.name}"


def _log(run: str, files: list[Path], folder: str) -> None:
    import mlflow

    with store_errors(run):
        for file in files:
            mlflow.MlflowClient().log_artifact(run, str(file), folder)


def _write(folder: Path, stem: str, content: object) -> Path:
    """Write the content to a file in the folder; its ending follows from the content's kind."""
    if isinstance(content, Path):
        if not content.is_file():
            raise UsageError(f"{content} is not a file")
        target = folder / _with_suffix(stem, content.suffix)
        shutil.copyfile(content, target)
    elif isinstance(content, str):
        target = folder / _with_suffix(stem, ".md")
        target.write_text(_ended(content), encoding="utf-8")
    elif _is_a(content, "pandas", "DataFrame"):
        import pandas as pd

        target = folder / _with_suffix(stem, ".csv")
        frame = pd.DataFrame(content)  # type: ignore[call-overload]
        frame.to_csv(target, index=not isinstance(frame.index, pd.RangeIndex))
    elif _is_a(content, "matplotlib.figure", "Figure"):
        target = folder / _with_suffix(stem, ".png")
        content.savefig(target, dpi=150, bbox_inches="tight")  # type: ignore[attr-defined]
    elif isinstance(content, Mapping | list | tuple):
        target = folder / _with_suffix(stem, ".json")
        target.write_text(_json(content, stem), encoding="utf-8")
    else:
        raise UsageError(
            f"evidence {stem!r} is a {type(content).__name__}",
            hint="give text, a dict or list, a DataFrame, a matplotlib figure, or the Path of a file",
        )
    return target


def _with_suffix(stem: str, suffix: str) -> str:
    """The stem with an ending; one that it has already, such as in ``notes.txt``, stays."""
    return stem if _ENDING.search(stem) else f"{stem}{suffix}"


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def _is_a(value: object, module: str, name: str) -> bool:
    """Whether a class of the value has that name, without importing the library to ask."""
    return any(
        base.__name__ == name and (base.__module__ == module or base.__module__.startswith(f"{module}."))
        for base in type(value).__mro__
    )


def _json(content: object, stem: str) -> str:
    try:
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"evidence {stem!r} cannot be written as JSON: {error}",
            hint="give numbers, text, lists and dicts; write None for a number that is missing",
        ) from error


def _plain(value: object) -> object:
    """NumPy's numbers and arrays as Python's."""
    for method in ("tolist", "item"):
        if callable(convert := getattr(value, method, None)):
            return convert()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _attach_environment(run: str) -> None:
    """Log the package list when it is the one whose digest the run recorded at its start.

    A run that was resumed elsewhere, or written from outside, keeps its gap: this process cannot say what it
    ran on.
    """
    import mlflow

    environment = current_environment(os.environ, full=False)
    key = (mlflow.get_tracking_uri(), run)
    if key in _environment_done:
        return
    client = mlflow.MlflowClient()
    with store_errors(run):
        recorded = client.get_run(run).data.tags.get(capture.ENVIRONMENT_DIGEST)
        if recorded == str(environment.digest):
            client.log_text(run, environment.packages, capture.ENVIRONMENT_ARTIFACT)
    _environment_done.add(key)
