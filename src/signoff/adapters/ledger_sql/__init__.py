"""The ledger in an SQL database: MLflow's own, so that a change and its log entry commit together."""

from signoff.adapters.ledger_sql.ledger import SqlLedger, open_ledger

__all__ = ["SqlLedger", "open_ledger"]
