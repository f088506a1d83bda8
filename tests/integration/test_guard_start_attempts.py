"""A server whose guard somebody took away does not start, and one beside the guarded one changes nothing."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
from guard_server import Guarded, free_address, prepare, running
from store_snapshot import difference

SECONDS = 60
"""A server that starts would run on; one that refuses ends in a few seconds, more on a busy machine."""
_AFTER = """
        import importlib.util, sys
        class After:
            def find_spec(self, name, path=None, target=None):
                if name != "{module}":
                    return None
                sys.meta_path.remove(self)
                spec = importlib.util.find_spec(name)
                load = spec.loader.exec_module
                def then(module):
                    load(module)
                    exec({then!r})
                spec.loader.exec_module = then
                return spec
        sys.meta_path.insert(0, After())
"""
BROKEN: Mapping[str, str] = {
    "the store plugin cannot be loaded": """
        import sys
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == "signoff.adapters.mlflow_hooks.store_plugin":
                    raise ImportError("broken on purpose")
        sys.meta_path.insert(0, Broken())
    """,
    "the hooks cannot be loaded": """
        import sys
        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == "signoff.adapters.mlflow_hooks.listeners":
                    raise ImportError("broken on purpose")
        sys.meta_path.insert(0, Broken())
    """,
    "the hooks listen to nothing": """
        import sqlalchemy.event as event
        from sqlalchemy.orm import Session
        listen = event.listen
        def deaf(target, name, fn, *args, **kwargs):
            if not fn.__module__.startswith("signoff."):
                listen(target, name, fn, *args, **kwargs)
        event.listen = deaf
        listens_for = event.listens_for
        def deaf_for(target, name, *args, **kwargs):
            def keep(fn):
                return fn if fn.__module__.startswith("signoff.") else listens_for(target, name, *args, **kwargs)(fn)
            return keep
        event.listens_for = deaf_for
    """,
    "MLflow has a table that nobody knows": _AFTER.format(
        module="mlflow.store.model_registry.dbmodels.models",
        then="import sqlalchemy as sa; sa.Table('novelties', module.Base.metadata, sa.Column('id', sa.Integer))",
    ),
    "MLflow has a route that nobody knows": _AFTER.format(
        module="mlflow.server.auth",
        then="module.app.add_url_rule('/api/2.0/mlflow/aliases/force', 'force', lambda: '', methods=['POST'])",
    ),
}
"""What a file that Python reads at its start does to the server's processes."""


def started(folder: Path, first: Path, *, workers: int) -> "subprocess.CompletedProcess[str]":
    """What became of a new place's server, whose processes read a folder's modules before all others."""
    place = prepare(folder / "place", f"sqlite:///{folder / 'mlflow.db'}", kind="guarded")
    return subprocess.run(
        place.command("--workers", str(workers)),
        cwd=place.folder,
        env={**place.environment(), "PYTHONPATH": str(first)},
        text=True,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def beside(guarded: Guarded, folder: Path) -> Guarded:
    """Another server on the same database, at an address of its own and with the same logins."""
    home = folder / "server"
    home.mkdir()
    (home / "auth.ini").write_text((guarded.folder / "auth.ini").read_text())
    return replace(guarded, address=free_address(), folder=home)


@pytest.mark.parametrize("fault", list(BROKEN))
def test_a_server_without_its_guard_does_not_start(tmp_path: Path, fault: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(dedent(BROKEN[fault]))
    done = started(tmp_path, tmp_path / "broken", workers=2)
    assert done.returncode == 2, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("error: ") == 1, done.stdout + done.stderr


def test_another_package_in_the_store_plugins_place_is_noticed(tmp_path: Path) -> None:
    other = tmp_path / "other" / "zz_other-1.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: zz-other\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text(
        "[mlflow.tracking_store]\nsqlite = zz_other:store\n[mlflow.model_registry_store]\nsqlite = zz_other:registry\n"
    )
    (tmp_path / "other" / "zz_other.py").write_text(
        dedent("""
            def store(store_uri, artifact_uri=None):
                from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
                return SqlAlchemyStore(store_uri, artifact_uri)
            def registry(store_uri):
                from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
                return SqlAlchemyStore(store_uri)
        """)
    )
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(
        f"import sys; sys.path.append({str(tmp_path / 'other')!r})"  # the last package found has the name
    )
    done = started(tmp_path, tmp_path / "first", workers=1)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "another package with store entry points" in done.stderr


def test_a_bare_server_on_the_guarded_database_changes_nothing(guarded: Guarded, tmp_path: Path) -> None:
    bare = replace(beside(guarded, tmp_path), kind="bare")
    before = guarded.store.snapshot()
    with running(bare):
        get = bare.address.ask("admin", "GET", "/api/2.0/mlflow/registered-models/get?name=tumours")
        assert get.status == 200
        for path, body in (
            ("registered-models/alias", {"name": "tumours", "alias": "prod", "version": "2"}),
            ("runs/log-metric", {"run_id": "{released}", "key": "x", "value": 1, "timestamp": 1}),
            ("runs/log-parameter", {"run_id": "{running}", "key": "x", "value": "1"}),
            ("experiments/create", {"name": "fresh"}),
        ):
            filled = {key: str(value).format(**guarded.names) for key, value in body.items()}
            reply = bare.address.ask("admin", "POST", f"/api/2.0/mlflow/{path}", filled)
            assert reply.status == 403, reply.text
            assert "signoff refused" in reply.text
    assert difference(before, guarded.store.snapshot(), ours=True) == []


def test_what_lies_below_a_static_prefix_is_guarded_with_and_without_it(
    guarded: Guarded, tmp_path: Path
) -> None:
    second = beside(guarded, tmp_path)
    before = guarded.store.snapshot()
    files = f"/api/2.0/mlflow-artifacts/artifacts/{guarded.names['tumours']}/models/{guarded.names['released_model']}"
    alias = "/api/2.0/mlflow/registered-models/alias"
    with running(second, options=("--static-prefix", "/ml")):
        for prefix in ("", "/ml", "//ml", "/ml/", "/%6dl"):
            for path, method, body in (
                (f"{prefix}{files}/artifacts/model.skops", "PUT", b"other bytes"),
                (f"{prefix}{files}", "DELETE", None),
                (f"{prefix}{alias}", "POST", {"name": "tumours", "alias": "prod", "version": "2"}),
                (f"{prefix}/api/2.0/signoff/submissions", "POST", {}),
            ):
                reply = second.address.ask("admin", method, path, body)
                assert reply.status in (400, 403, 404, 405), f"{method} {path}: {reply.status} {reply.text}"
        whole = second.address.ask("admin", "PUT", f"{files}/artifacts/model.skops", b"other bytes")
        assert whole.status == 403, whole.text
    assert difference(before, guarded.store.snapshot()) == []
