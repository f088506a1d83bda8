"""The real-time endpoint: a gateway in front of one scoring process per version."""
