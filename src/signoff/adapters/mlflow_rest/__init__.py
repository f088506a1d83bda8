"""MLflow's store, read through its server's REST API."""

from signoff.adapters.mlflow_rest.reader import RestReader

__all__ = ["RestReader"]
