"""Files are read for a decision while nothing is locked, and not at all where they could not help."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from guarded_team import ANA, CLEO, MIA, guarded, make_server, refusal, scope_of, set_alias
from team import Team, alias, edit_standard, inside, log_run, logged, registry, signoff

from signoff.apps.server import button
from signoff.apps.server.actor import asking

READERS = ("model_digest", "version_subject", "data_digest")
"""What `button` reads files with."""


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the readers that were called; each writes to the team's database first, which no lock may prevent."""
    called: list[str] = []

    def watched(name: str, reader: Callable[..., Any]) -> Callable[..., Any]:
        def look(workspace: Any, *arguments: Any, **named: Any) -> Any:
            path = Path(workspace.ledger_uri.removeprefix("sqlite:///"))
            with closing(sqlite3.connect(path, timeout=0)) as other, other:
                other.execute("UPDATE signoff_head SET size = size")
            called.append(name)
            return reader(workspace, *arguments, **named)

        return look

    for name in READERS:
        monkeypatch.setattr(button, name, watched(name, getattr(button, name)))
    return called


def register(team: Team, run: str, login: str = ANA) -> None:
    """Register the run's model as a plain client does."""
    client = registry(team)
    (model,) = (o.model_id for o in client.get_run(run).outputs.model_outputs)
    with asking(scope_of(login)):
        client.create_model_version("tumours", f"models:/{model}", run_id=run, model_id=model)


def test_a_model_is_hashed_while_everybody_may_write(fresh: Team, read: list[str]) -> None:
    edit_standard(fresh, "use_cases:", "guard: {registration: enforce}\nuse_cases:")
    assert signoff(fresh, "gate", fresh.good).code == 0
    with guarded(make_server(fresh)):
        with asking(scope_of(ANA)):
            registry(fresh).create_registered_model("tumours")
        read.clear()
        register(fresh, fresh.good)
    assert sorted(read) == ["data_digest", "model_digest"]


def test_what_was_never_judged_is_not_hashed(fresh: Team, read: list[str]) -> None:
    from mlflow.exceptions import MlflowException

    edit_standard(fresh, "use_cases:", "guard: {registration: enforce}\nuse_cases:")
    assert signoff(fresh, "gate", fresh.good).code == 0
    with inside(fresh.folder):
        other = log_run("good")
    with guarded(make_server(fresh)):
        with asking(scope_of(ANA)):
            registry(fresh).create_registered_model("tumours")
        with pytest.raises(MlflowException, match="gate-missing"):
            register(fresh, other, MIA)
    assert read == []


def test_a_release_is_read_while_everybody_may_write(approved: Team, read: list[str]) -> None:
    with guarded(make_server(approved)):
        set_alias(approved, CLEO, 1)
    assert alias(approved) == 1
    assert read == ["version_subject"]
    assert ("promote", "allowed") in logged(approved)


def test_a_release_whose_files_changed_is_refused(approved: Team, read: list[str]) -> None:
    (file,) = {
        path
        for path in approved.folder.glob("**/models/*/artifacts/model.skops")
        if path.parent.parent.name in _models(approved)
    }
    file.write_bytes(file.read_bytes() + b"x")
    with guarded(make_server(approved)):
        refusal(approved, CLEO, 1, "model-bytes-changed")
    assert read == ["version_subject"]


def _models(team: Team) -> set[str]:
    return {o.model_id for o in registry(team).get_run(team.good).outputs.model_outputs}


def test_a_folder_of_the_run_that_is_no_model_is_not_registered(fresh: Team) -> None:
    from mlflow.exceptions import MlflowException

    edit_standard(fresh, "use_cases:", "guard: {registration: enforce}\nuse_cases:")
    assert signoff(fresh, "gate", fresh.good).code == 0
    client = registry(fresh)
    home = client.get_run(fresh.good).info.artifact_uri
    with guarded(make_server(fresh)), asking(scope_of(ANA)):
        client.create_registered_model("tumours")
        for folder in ("evidence", "model", "signoff/gate"):
            with pytest.raises(MlflowException, match="source-elsewhere"):
                client.create_model_version("tumours", f"{home}/{folder}", run_id=fresh.good)


def test_the_calls_are_mlflow_s_own_again_where_no_guard_is(approved: Team) -> None:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    before = SqlAlchemyStore.create_model_version
    with guarded(make_server(approved)):
        assert SqlAlchemyStore.create_model_version is not before
    assert SqlAlchemyStore.create_model_version is before
