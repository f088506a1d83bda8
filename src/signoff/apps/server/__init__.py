"""The MLflow server that enforces the standard: its program, its start, and its own routes."""
