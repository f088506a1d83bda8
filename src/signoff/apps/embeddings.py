"""Where embeddings are cached on this machine."""

import os
from pathlib import Path


def embeddings_cache() -> Path:
    """``embeddings`` below ``SIGNOFF_CACHE``, or below the user's cache folder where that is not set.

    Whoever can write there can change what the next evaluation on this machine retrieves: it belongs to one user.
    """
    named = os.environ.get("SIGNOFF_CACHE")
    if named:
        return Path(named).expanduser() / "embeddings"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "signoff" / "embeddings"
