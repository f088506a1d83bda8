"""What notebooks and services call, on a real store."""

from pathlib import Path

import pytest
from team import Team, cancer, copy_team, inside, make_team, registry, signoff

from signoff.errors import RefusedError, UsageError

CONTEXT = {"business_context": "triage", "notes": "first"}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return make_team(tmp_path_factory.mktemp("api") / "repo")


def test_the_path_in_python_ends_in_a_verified_model(team: Team) -> None:
    import signoff as package

    with inside(team.folder):
        assert package.check(team.good).verdict == "conforms"
        assert package.gate_run(team.good).verdict == "pass"
        proposed = package.propose(team.good, context=CONTEXT, key=team.key("ana"))
        assert proposed.version == 1
        with pytest.raises(RefusedError, match="nothing is released"):
            package.load_model("tumours@prod")
        signoff(team, "approve", "tumours/1", key="ben")
        signoff(team, "promote", "tumours/1", key="cleo")
        model = package.load_model("tumours@prod")
        assert model.version == 1
        rows = cancer().head(4)
        answered = model.predict(rows)
        assert list(answered.columns) == ["score", "prediction"]
        assert list(answered.index) == list(rows.index)
        assert package.lineage("tumours@prod").broken == ()


def test_a_table_scored_by_command_and_by_load_model_is_the_same(team: Team) -> None:
    import pandas as pd
    from deltalake import DeltaTable

    import signoff as package

    assert signoff(team, "predict", "tumours").code == 0
    written = DeltaTable(str(team.folder / "predictions/tumours")).to_pyarrow_table()
    with inside(team.folder):
        table = pd.read_parquet("scoring/table.parquet")
        answered = package.load_model("tumours@prod").predict(table)
    assert written.column("sample").to_pylist() == table["sample"].tolist()
    assert written.column("score").to_pylist() == answered["score"].tolist()
    assert written.column("prediction").to_pylist() == answered["prediction"].tolist()


def test_an_alias_moved_by_hand_is_refused_in_python_too(team: Team) -> None:
    import signoff as package

    client = registry(team)
    source = client.get_model_version("tumours", "1").source
    made = client.create_model_version("tumours", source=source, run_id=team.weak)
    client.set_registered_model_alias("tumours", "prod", made.version)
    with inside(team.folder), pytest.raises(RefusedError, match="moved by hand"):
        package.load_model("tumours@prod")
    client.set_registered_model_alias("tumours", "prod", "1")


@pytest.mark.parametrize("reference", ["tumours", "tumours/1", "", "models:/tumours/1"])
def test_only_a_released_model_can_be_loaded(team: Team, reference: str) -> None:
    import signoff as package

    with inside(team.folder), pytest.raises(UsageError, match="names no released model"):
        package.load_model(reference)


def test_mlflow_reading_a_model_does_not_change_its_digest(team: Team, tmp_path: Path) -> None:
    """MLflow writes a mark into the model's own folder when a registered version is loaded from local files."""
    import mlflow.sklearn

    import signoff as package

    uri = f"sqlite:///{team.folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        mlflow.sklearn.load_model("models:/tumours/1")
    finally:
        mlflow.set_registry_uri("")  # it is the whole process's
    assert list(team.folder.glob("mlruns/**/registered_model_meta"))
    with inside(team.folder):
        assert package.load_model("tumours@prod").version == 1


def test_two_teams_in_one_process_keep_to_their_own_stores(team: Team, tmp_path: Path) -> None:
    import signoff as package

    other = copy_team(team, tmp_path / "other")
    registry(other).delete_registered_model_alias("tumours", "prod")
    with inside(team.folder):
        assert package.gate_run(team.good).verdict == "pass"
        assert package.load_model("tumours@prod", standard=str(team.folder)).version == 1
        with pytest.raises(RefusedError, match="points at nothing"):
            package.load_model("tumours@prod", standard=str(other.folder))
