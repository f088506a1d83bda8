"""The team's standard as training code sees it: found upward from the folder, read once, never in the way."""

import logging
import os
from pathlib import Path

from signoff.apps.locate import find_standard
from signoff.conformance.boundary import use_case_of
from signoff.standard.model import Standard, UseCaseRules

USE_CASE_VARIABLE = "SIGNOFF_USE_CASE"
_ABSENT = (0, 0)

_log = logging.getLogger("signoff")
_read: dict[str, tuple[tuple[int, int], Standard | None]] = {}
_said: set[str] = set()


def warn_once(message: str) -> None:
    """Log a warning that this process has not logged yet."""
    if message not in _said:
        _said.add(message)
        _log.warning("%s", message)


def current_standard() -> Standard | None:
    """The standard that applies here; None, after one warning, when it is broken; None when there is none."""
    try:
        path = find_standard(Path.cwd(), os.environ)
    except OSError:
        return None  # the working folder is gone
    if path is None:
        return None
    stamp = _stamp(path)
    if (known := _read.get(str(path))) is None or known[0] != stamp:
        known = (stamp, _load(path))
        _read[str(path)] = known
    return known[1]


def use_case(standard: Standard, experiment: str | None = None) -> UseCaseRules | None:
    """The use case that a run belongs to: by its experiment, by ``SIGNOFF_USE_CASE``, or the only one."""
    if experiment is not None and (name := use_case_of(standard, experiment)) is not None:
        return standard.use_cases[name]
    if named := os.environ.get(USE_CASE_VARIABLE):
        if named not in standard.use_cases:
            known = ", ".join(standard.use_cases)
            warn_once(f"{USE_CASE_VARIABLE}={named} is not a use case of {standard.path}; it has: {known}")
        return standard.use_cases.get(named)
    if len(standard.use_cases) == 1:
        return next(iter(standard.use_cases.values()))
    return None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return _ABSENT
    return found.st_mtime_ns, found.st_size


def _load(path: Path) -> Standard | None:
    try:
        from signoff.standard.load import load_standard

        return load_standard(path.read_bytes().decode(), str(path))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the standard, training goes on
        reason = str(error).partition("\n")[0] or type(error).__name__
        warn_once(f"this run does not say which standard it follows: {reason}; see `signoff standard check`")
        return None
