"""Batch programs that score with a released version."""
