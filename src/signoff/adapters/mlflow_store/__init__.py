"""MLflow's own client: versions, aliases and tags are written, artifacts written and fetched through it.

MLflow is imported when the first call needs it, never before.
"""

from signoff.adapters.mlflow_store.joined import Commit
from signoff.adapters.mlflow_store.store import MlflowStore

__all__ = ["Commit", "MlflowStore"]
