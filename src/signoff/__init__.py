"""Signoff makes MLflow safe to release from."""
