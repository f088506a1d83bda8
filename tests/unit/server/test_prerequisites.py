"""What keeps a server from starting, decided without MLflow."""

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from signoff.apps.server.prefork import kept_secret, prepare
from signoff.apps.server.prerequisites import (
    is_loopback,
    minor_version,
    require,
    require_artifacts,
    require_only_uvicorn,
)
from signoff.apps.server.settings import Settings, worker_settings
from signoff.apps.server.start import Wanted, plan
from signoff.errors import EvidenceError, SignoffError, UsageError

DATABASE = "sqlite:///m.db"


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.0.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.7", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_only_loopback_is_this_machine_alone(host: str, alone: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is alone


@pytest.mark.parametrize(
    "given",
    [
        {"gunicorn_opts": ""},
        {"waitress_opts": "--threads=4"},
        {"registry_store_uri": "sqlite:///r.db", "backend_store_uri": DATABASE},
        {"artifacts_only": True},
        {"enable_workspaces": True},
    ],
    ids=str,
)
def test_what_the_guard_cannot_stand_in_front_of_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        require_only_uvicorn(given)


def wanted_in(folder: Path) -> Wanted:
    return Wanted(
        standard=folder / "signoff.yaml",
        database=f"sqlite:///{folder}/mlflow.db",
        artifacts="mlartifacts",
        serve_artifacts=True,
        bucket_write_protected=False,
        key=None,
        auth="none",
        host="127.0.0.1",
        port=5000,
        workers=1,
        static_prefix=None,
        mlflow_options=(),
    )


@pytest.mark.parametrize(
    ("value", "starts"),
    [
        ("true", False),
        ("1", False),
        ("True", False),
        ("yes", False),
        ("false", True),
        ("0", True),
        ("", True),
    ],
)
def test_workspaces_are_refused_in_the_environment_too(tmp_path: Path, value: str, *, starts: bool) -> None:
    with pytest.raises(SignoffError) as direct:
        plan(wanted_in(tmp_path), {"MLFLOW_ENABLE_WORKSPACES": value})
    assert ("MLFLOW_ENABLE_WORKSPACES" not in str(direct.value)) == starts  # without it: there is no standard


@pytest.mark.parametrize(
    ("options", "environ", "why"),
    [
        (("--enable-workspaces",), {}, "a model's name is not unique"),
        (("--registry-store-uri=sqlite:///r.db",), {}, "a registry in a database of its own"),
        (("--gunicorn-opts", "-w 4"), {}, "the guard needs uvicorn"),
        (("--default-artifact-root", "s3://b"), {}, "clients would write artifacts past the guard"),
        (("--workers=3",), {}, "does not go behind"),
        ((), {"MLFLOW_SERVE_ARTIFACTS": "false"}, "clients would write artifacts past the guard"),
    ],
)
def test_what_is_refused_behind_two_dashes_is_told_why(
    tmp_path: Path, options: tuple[str, ...], environ: dict[str, str], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        plan(replace(wanted_in(tmp_path), mlflow_options=options), environ)


def test_an_address_whose_driver_is_missing_is_told_before_mlflow_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    address = "postgresql+psycopg://db.invalid/mlflow"
    settings = Settings(standard=tmp_path / "signoff.yaml", key=None, auth="none", database=address)
    with pytest.raises(UsageError, match="psycopg is not installed") as told:
        require(settings, host="127.0.0.1")
    assert "postgresql+psycopg2://" in str(told.value.hint)


def test_mlflows_own_command_refuses_workspaces_in_the_environment() -> None:
    with pytest.raises(UsageError, match="MLFLOW_ENABLE_WORKSPACES=true"):
        prepare({}, {"MLFLOW_ENABLE_WORKSPACES": "true"})


def test_mlflows_defaults_are_not_refused() -> None:
    defaults = {
        "gunicorn_opts": None,
        "waitress_opts": None,
        "artifacts_only": False,
        "serve_artifacts": True,
    }
    require_only_uvicorn({**defaults, "registry_store_uri": None, "backend_store_uri": None})
    require_only_uvicorn({"registry_store_uri": DATABASE, "backend_store_uri": DATABASE})
    require_artifacts(defaults, write_protected=False)
    require_artifacts({"default_artifact_root": "mlflow-artifacts:/"}, write_protected=False)


@pytest.mark.parametrize(
    "given",
    [{"serve_artifacts": False}, {"default_artifact_root": "s3://b"}, {"default_artifact_root": "./mlruns"}],
)
def test_storage_that_clients_write_needs_somebody_who_vouches(given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="past the guard"):
        require_artifacts(given, write_protected=False)
    require_artifacts(given, write_protected=True)


def test_a_worker_that_nobody_prepared_refuses_and_one_of_gunicorn_too() -> None:
    prepared = {"_SIGNOFF_SERVER": "note", "SIGNOFF_STANDARD": "/s.yaml", "SIGNOFF_AUTH_APP": "none"}
    prepared |= {"_MLFLOW_SERVER_FILE_STORE": DATABASE, "_MLFLOW_STATIC_PREFIX": "/team/"}
    with pytest.raises(UsageError, match="started by a command"):
        worker_settings({name: value for name, value in prepared.items() if name != "_SIGNOFF_SERVER"})
    with pytest.raises(UsageError, match="uvicorn"):
        worker_settings({**prepared, "_MLFLOW_SGI_NAME": "gunicorn"})
    assert worker_settings({**prepared, "_MLFLOW_SGI_NAME": "uvicorn"}) == Settings(
        standard=Path("/s.yaml"), key=None, auth="none", database=DATABASE, static_prefix="/team"
    )


def test_the_servers_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = kept_secret(path)
    assert len(made) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept_secret(path) == made
    path.chmod(0o640)
    with pytest.raises(EvidenceError, match="open to others"):
        kept_secret(path)
    path.chmod(0o600)
    os.truncate(path, 0)
    with pytest.raises(EvidenceError, match="damaged"):
        kept_secret(path)
    with pytest.raises(EvidenceError, match="cannot be kept"):
        kept_secret(tmp_path / "no" / "folder")


def test_a_minor_version_is_two_numbers() -> None:
    assert [minor_version(text) for text in ("3.17.2", "3.18.0rc1", "4.0")] == ["3.17", "3.18", "4.0"]
