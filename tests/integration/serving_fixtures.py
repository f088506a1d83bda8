"""Models on disk and endpoints in front of them, for tests of serving; on the Wisconsin cancer data."""

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from team import cancer

COLUMNS = ["sample", "mean_radius", "mean_texture", "worst_area", "size"]
JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What an endpoint answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def save_model(folder: Path, *, seed: int = 0, columns: list[str] = COLUMNS) -> Path:
    """A pipeline on numbers, a whole number and a text; refuses texts that it does not know."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = cancer()
    rows = frame[frame["sample"] % 2 == seed % 2]
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="error"), ["size"]),
        (StandardScaler(), [name for name in columns if name != "size"]),
    )
    model = make_pipeline(prepare, LogisticRegression()).fit(rows[columns], rows["benign"])
    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format="skops",
        signature=infer_signature(rows[columns], model.predict(rows[columns])),
        pip_requirements=["scikit-learn", "skops"],
    )
    return folder


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models that answer differently on some rows."""
    folder = tmp_path_factory.mktemp("models")
    return save_model(folder / "one"), save_model(folder / "two", seed=1)


def rows_body(count: int = 1) -> bytes:
    """Real rows in the form that callers use most."""
    frame = cancer()[COLUMNS].head(count)
    return json.dumps({"dataframe_split": frame.to_dict(orient="split")}).encode()


def ask(
    address: str,
    body: bytes | Iterator[bytes] = b"",
    kind: str | None = JSON,
    *,
    path: str = "/invocations",
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on a connection of its own."""
    host, port = address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        given = dict(headers or {}) | ({} if kind is None else {"content-type": kind})
        connection.request(method, path, body=body, headers=given)
        answer = connection.getresponse()
        return Reply(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.getheaders()},
            body=answer.read(),
        )
    finally:
        connection.close()


@asynccontextmanager
async def served(folder: Path, version: int = 1) -> AsyncIterator[Any]:
    """A real scorer process for a model's folder."""
    from signoff.adapters.model_folder import read_folder
    from signoff.apps.serving.routes import Served
    from signoff.apps.serving.scorer_process import start_scorer
    from signoff.record.digest import Digest

    model = read_folder(folder)
    scorer = await start_scorer(folder, model.digest, pickle="refused", environ=os.environ)
    try:
        yield Served(version=version, model=model.digest, statement=Digest.of(b"%d" % version), scorer=scorer)
    finally:
        await scorer.stop()


@contextmanager
def endpoint(folder: Path) -> Iterator[str]:
    """A gateway with one version, in a thread with a loop of its own; yields its address."""
    started: list[str] = []
    ready, end = threading.Event(), threading.Event()

    async def run() -> None:
        import mlflow.version

        from signoff.apps.serving.gateway import Gateway
        from signoff.apps.serving.program import running
        from signoff.apps.serving.routes import Routes

        async with served(folder) as stable:
            routes = Routes(stable=stable, canary=None, weight=0.0, timeout_s=10, fallback="stable")
            gateway = Gateway(mlflow_version=mlflow.version.VERSION, routes=routes, max_body=100_000)
            async with running(gateway) as address:
                started.append(address)
                ready.set()
                await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        assert ready.wait(120)
        yield started[0]
    finally:
        end.set()
        thread.join(60)


@contextmanager
def mlflow_endpoint(folder: Path) -> Iterator[str]:
    """`mlflow models serve` for the same folder; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        env=os.environ | quiet | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=folder.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await(address, process)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _await(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ask(address, path="/ping", method="GET", kind=None).status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("mlflow models serve did not start")
