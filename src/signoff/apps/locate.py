"""Where the team's standard is: one rule for commands and for training code."""

from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "signoff.yaml"
VARIABLE = "SIGNOFF_STANDARD"


def find_standard(start: Path, environ: Mapping[str, str]) -> Path | None:
    """The standard that applies in a folder.

    ``SIGNOFF_STANDARD`` wins, as a file or the folder that holds it, whether or not it exists: the caller
    reports a wrong path. Otherwise the nearest ``signoff.yaml`` in the folder or above it.

    Args:
        start: the folder to start from.
        environ: environment variables.
    """
    if named := environ.get(VARIABLE):
        path = start / named
        return path / FILE_NAME if path.is_dir() else path
    for folder in (start, *start.parents):
        candidate = folder / FILE_NAME
        if candidate.is_file():
            return candidate
    return None
