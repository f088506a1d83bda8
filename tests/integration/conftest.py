"""What every integration test starts from."""

import pytest


@pytest.fixture(autouse=True)
def _no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow exports the address that a test sets, and the next test's workspace would follow it."""
    for name in ("MLFLOW_TRACKING_URI", "SIGNOFF_KEY"):
        monkeypatch.delenv(name, raising=False)
