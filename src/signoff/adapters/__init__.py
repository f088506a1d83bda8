"""Adapters: the only place for MLflow, SQL, Delta, files and keys. They do not know each other."""
