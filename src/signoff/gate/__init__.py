"""The gate: measurements of candidate and baseline on the same rows become checks and one verdict."""
