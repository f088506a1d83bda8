"""A team's scripts are no package: they are imported as `python train.py` in their folder finds them."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TEAM = Path(__file__).resolve().parents[3] / "examples" / "churn" / "team"
SCRIPTS = ("features", "model")


@pytest.fixture(scope="session")
def scripts() -> Iterator[dict[str, ModuleType]]:
    before = list(sys.path)
    sys.path.insert(0, str(TEAM))
    try:
        yield {name: importlib.import_module(name) for name in SCRIPTS}
    finally:
        sys.path[:] = before
        for name in SCRIPTS:
            sys.modules.pop(name, None)


@pytest.fixture
def churn_features(scripts: dict[str, ModuleType]) -> ModuleType:
    return scripts["features"]


@pytest.fixture
def churn_model(scripts: dict[str, ModuleType]) -> ModuleType:
    return scripts["model"]
