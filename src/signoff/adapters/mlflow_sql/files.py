"""Artifacts in local folders."""

import re

from signoff.errors import StoreError


def local_path(uri: str) -> str | None:
    """The path that a plain path or ``file:`` URI names on this machine; None for a remote store."""
    if not uri.startswith("file:"):
        return None if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri) else uri
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(uri)
    return unquote(parts.path) if parts.netloc in ("", "localhost") else None


def read_file(path: str) -> bytes | None:
    """The file's bytes; None when it is missing or unreadable."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up time
            return file.read()
    except OSError:
        return None


def list_folder(folder: str) -> tuple[str, ...]:
    """All files below a folder as sorted POSIX paths relative to it; empty when there is no folder.

    Raises:
        StoreError: a folder below it cannot be listed.
    """
    import os

    def refuse(error: OSError) -> None:
        raise StoreError(f"artifacts cannot be listed: {error}", where=folder) from error

    if not folder or not os.path.isdir(folder):  # noqa: PTH112
        return ()
    return tuple(
        sorted(
            os.path.relpath(os.path.join(root, name), folder).replace(os.sep, "/")  # noqa: PTH118
            for root, _, names in os.walk(folder, onerror=refuse)
            for name in names
        )
    )
