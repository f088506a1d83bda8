"""A team at each station of the path, built once per module and copied for each test."""

from pathlib import Path

import pytest
from team import (
    CONTEXT,
    ROBOT,
    Team,
    copy_team,
    edit_standard,
    git,
    make_team,
    release_next,
    signoff,
)


@pytest.fixture(autouse=True)
def _no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow exports the address and experiment that a test sets, and the next test's programs would follow them."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID", "SIGNOFF_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Two runs, logged and committed; nothing judged yet."""
    return make_team(tmp_path_factory.mktemp("made") / "repo")


@pytest.fixture(scope="module")
def proposed_once(made: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """The good run has passed its gate and is proposed as tumours/1."""
    team = copy_team(made, tmp_path_factory.mktemp("proposed") / "team")
    assert signoff(team, "gate", team.good).code == 0
    assert signoff(team, "propose", team.good, *CONTEXT, key="ana").code == 0
    return team


@pytest.fixture(scope="module")
def released_once(proposed_once: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """tumours/1 is approved and released in prod."""
    team = copy_team(proposed_once, tmp_path_factory.mktemp("released") / "team")
    assert signoff(team, "approve", "tumours/1", key="ben").code == 0
    assert signoff(team, "promote", "tumours/1", key="cleo").code == 0
    return team


@pytest.fixture
def fresh(made: Team, tmp_path: Path) -> Team:
    return copy_team(made, tmp_path / "team")


@pytest.fixture
def proposed(proposed_once: Team, tmp_path: Path) -> Team:
    return copy_team(proposed_once, tmp_path / "team")


@pytest.fixture
def approved(proposed: Team) -> Team:
    assert signoff(proposed, "approve", "tumours/1", key="ben").code == 0
    return proposed


@pytest.fixture
def released(released_once: Team, tmp_path: Path) -> Team:
    return copy_team(released_once, tmp_path / "team")


@pytest.fixture(scope="module")
def twice_once(released_once: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """tumours/2 is released after tumours/1, and a service is on the roster that may roll back."""
    from signoff.adapters.key_files import generate_key

    team = copy_team(released_once, tmp_path_factory.mktemp("twice") / "team")
    key = generate_key(Path(team.key(ROBOT)), comment="the watching service")
    roster = team.folder / "signoff.roster.yaml"
    roster.write_text(
        f"{roster.read_text()}  {ROBOT}@lab.example:\n    name: Watching service\n"
        f'    roles: [watcher]\n    keys: ["{key.public_line}"]\n'
    )
    edit_standard(team, "use_cases:", "roles: {watcher: {may: [rollback]}}\nuse_cases:")
    git(team.folder, "commit", "-qam", "A service that watches")
    release_next(team, 2)
    return team


@pytest.fixture
def twice(twice_once: Team, tmp_path: Path) -> Team:
    return copy_team(twice_once, tmp_path / "team")
