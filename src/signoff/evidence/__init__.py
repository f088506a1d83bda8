"""Evidence: decisions as signed statements, and the log that remembers them."""
