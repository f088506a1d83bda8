"""MLflow's store, read by SQL."""

from signoff.adapters.mlflow_sql.reader import SqlReader

__all__ = ["SqlReader"]
