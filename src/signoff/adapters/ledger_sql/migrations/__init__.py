"""Alembic migrations of the ledger's tables; their version table is Signoff's own, beside MLflow's."""
