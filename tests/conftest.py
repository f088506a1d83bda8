"""Fixtures of all tiers, each from the module that is about its subject; how hard laws are tried."""

import os

from hypothesis import settings

pytest_plugins = [
    "conformance_fixtures",
    "example_fixtures",
    "guard_server",
    "hooked_store",
    "postgres_fixtures",
    "serving_fixtures",
    "store_copies",
    "team_fixtures",
]

settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("soak", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("SIGNOFF_TEST_PROFILE", "quick"))
