"""A guard over a team's store in this process, and what people ask of it through MLflow's own client."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from team import Team, alias, registry, signoff

from signoff.adapters.key_files import generate_key, load_key
from signoff.apps.server.actor import Scope, asking
from signoff.apps.server.guard import ServerGuard

SERVER = "mlflow@lab.example"
CLEO, ANA, MIA = "cleo@lab.example", "ana@lab.example", "mia"


def make_server(
    team: Team,
    *,
    vouches: bool = True,
    key: bool = True,
    single_user: bool = False,
    database: str | None = None,
) -> ServerGuard:
    """The guard of a server on the team's store; with a key that the roster vouches for, or not."""
    path = Path(team.key("server"))
    generate_key(path, comment="the MLflow server")
    if vouches:
        roster = team.folder / "signoff.roster.yaml"
        entry = f"  {SERVER}:\n    name: MLflow server\n    vouches: true\n"
        roster.write_text(f'{roster.read_text()}{entry}    keys: ["{load_key(path).public_line}"]\n')
    return ServerGuard(
        team.folder / "signoff.yaml",
        database=database or f"sqlite:///{team.folder / 'mlflow.db'}",
        artifacts=None,
        key=load_key(path) if key else None,
        single_user=single_user,
    )


@contextmanager
def guarded(guard: ServerGuard) -> Iterator[ServerGuard]:
    from signoff.adapters.mlflow_hooks.listeners import install, uninstall

    install(guard)
    guard.arm()
    try:
        yield guard
    finally:
        uninstall()


def scope_of(login: str | None) -> Scope:
    return {"type": "http", "state": {} if login is None else {"username": login}}


def set_alias(team: Team, login: str | None, version: int, name: str = "prod") -> None:
    """What the UI's alias editor and a plain client do."""
    with asking(scope_of(login)):
        registry(team).set_registered_model_alias("tumours", name, str(version))


def refusal(team: Team, login: str | None, version: int, *codes: str, name: str = "prod") -> str:
    """The text of a refused alias, which stayed where it was."""
    from mlflow.exceptions import MlflowException

    before = alias(team, name)
    with pytest.raises(MlflowException) as error:
        set_alias(team, login, version, name)
    assert error.value.error_code == "PERMISSION_DENIED"
    text = str(error.value.message)
    for code in codes:
        assert f"({code})" in text, text
    assert alias(team, name) == before
    return text


def entries(team: Team) -> list[dict[str, object]]:
    found = json.loads(signoff(team, "admin", "audit", "--format", "json").out)
    return [row["entry"] for row in found]
