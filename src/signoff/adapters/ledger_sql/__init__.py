"""The ledger in an SQL database: MLflow's own, so that a change and its log entry commit together."""

from signoff.adapters.ledger_sql.ledger import LogGrowth, SqlLedger

__all__ = ["LogGrowth", "SqlLedger"]
