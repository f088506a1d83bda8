"""The standard that a command or call works with: found, read, and named in messages."""

import os
from pathlib import Path

from signoff.apps import locate
from signoff.errors import Fault, StandardError, UsageError
from signoff.standard.model import Standard

_HINT = "write one with: signoff init --profile small --type classification --use-case NAME"


def find_standard(explicit: str | None) -> Path:
    """The file: the one given, else ``SIGNOFF_STANDARD``, else the nearest ``signoff.yaml`` upward from here.

    Args:
        explicit: path of the file or of its folder, as an option gave it; None when it was not given.

    Raises:
        UsageError: there is none.
    """
    path = Path(explicit) if explicit else locate.find_standard(Path.cwd(), os.environ)
    if path is None:
        raise UsageError(f"no {locate.FILE_NAME} in {Path.cwd()} or above it", hint=_HINT)
    if path.is_dir():
        path /= locate.FILE_NAME
    if not path.is_file():
        named = "--standard" if explicit else locate.VARIABLE
        raise UsageError(f"{named} names a file that does not exist", where=str(path), hint=_HINT)
    return path


def read_standard(path: Path) -> Standard:
    """The standard in the file, named relative to the working folder in messages.

    Raises:
        StandardError: it cannot be read, is not UTF-8, or has faults.
    """
    from signoff.standard.load import load_standard

    return load_standard(read_text(path), shown(path))


def read_text(path: Path) -> str:
    """The file's text with its line ends as they are, so that it has the digest of the file's bytes.

    Raises:
        StandardError: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        fault = Fault(path="", line=None, message=f"cannot be read: {error.strerror}")
        raise StandardError(shown(path), [fault]) from error
    return decoded(data, shown(path))


def decoded(data: bytes, name: str) -> str:
    """The bytes of a file as text.

    Raises:
        StandardError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fault = Fault(path="", line=line, message="not UTF-8 text", hint="save the file as UTF-8")
        raise StandardError(name, [fault]) from error


def shown(path: Path) -> str:
    """The path relative to the working folder when it lies below it."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)
