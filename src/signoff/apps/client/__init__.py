"""Plugins that MLflow loads in training programs, and the functions authors call."""
