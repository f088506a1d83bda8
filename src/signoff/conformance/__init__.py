"""Conformance: what a run or experiment lacks against the standard."""
