"""An AI application as one model: MLflow's loader module for bundles.

`files` writes a bundle, `model` opens one and answers; the two indexes, the embedder, the sentence picker and the
client of a generator have a file each. The format itself is in `signoff.record.bundle`.
"""

from pathlib import Path
from typing import Any


def _load_pyfunc(path: str) -> Any:
    """Open the bundle in this folder; MLflow calls this for a model that names this loader module."""
    from signoff.adapters.bundle.model import BundleModel

    return BundleModel(Path(path))
