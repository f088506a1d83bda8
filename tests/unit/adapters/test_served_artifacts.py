"""Inside an MLflow server the artifacts that it proxies are read where they lie."""

from pathlib import Path

import pytest

from signoff.adapters.mlflow_store import MlflowStore
from signoff.errors import StoreError


def store(folder: Path) -> MlflowStore:
    return MlflowStore(f"sqlite:///{folder / 'mlflow.db'}", served=str(folder / "artifacts"))


@pytest.mark.parametrize(
    "uri",
    [
        "mlflow-artifacts:/1/run/artifacts",
        "mlflow-artifacts://server:5000/1/run/artifacts",
        "mlflow-artifacts:/1/./run//artifacts/",
    ],
)
def test_a_proxied_address_is_read_from_the_folder_behind_it(tmp_path: Path, uri: str) -> None:
    file = tmp_path / "artifacts/1/run/artifacts/model/MLmodel"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"flavors: {}")
    assert store(tmp_path).list_files(uri) == ("model/MLmodel",)
    assert store(tmp_path).read_file(f"{uri.rstrip('/')}/model/MLmodel") == b"flavors: {}"
    store(tmp_path).download(uri, tmp_path)
    assert (tmp_path / "model/MLmodel").read_bytes() == b"flavors: {}"


@pytest.mark.parametrize("path", ["../keys", "1/../../keys", "1/%2e%2e/%2e%2e/keys", "%2e%2e/keys"])
def test_an_address_that_leaves_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/server").write_text("secret")
    with pytest.raises(StoreError, match="leaves the server's artifacts"):
        store(tmp_path).read_file(f"mlflow-artifacts:/{path}/server")
