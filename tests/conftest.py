"""Fixtures of all tiers, each from the module that is about its subject."""

pytest_plugins = ["conformance_fixtures", "example_fixtures", "postgres_fixtures", "team_fixtures"]
