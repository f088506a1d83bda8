import json

import pytest

from signoff.record.from_mlflow import bare_model, dataset_record, model_id_of, named_by, older_models

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("source", "where", "version"),
    [
        ('{"uri": "/data/week.parquet"}', "/data/week.parquet", None),
        ('{"url": "https://shop.example/week.csv"}', "https://shop.example/week.csv", None),
        ('{"path": "eval/week", "delta_table_version": 0}', "eval/week", "0"),
        (
            '{"delta_table_name": "main.shop.week", "path": null, "delta_table_version": 7}',
            "main.shop.week",
            "7",
        ),
        ('{"table_name": "week"}', "week", None),
        ('{"tags": {"mlflow.source.name": "train.py"}}', "", None),
        ("not json", "", None),
        ("[1]", "", None),
    ],
)
def test_a_source_names_its_path_address_or_table(source: str, where: str, version: str | None) -> None:
    record = dataset_record(
        name="week", digest="4ae0", source_type="any", source=source, profile=None, tags={}
    )
    assert (record.source, record.version) == (where, version)


def test_the_full_digest_and_version_in_tags_win() -> None:
    tags = {
        "mlflow.data.context": "training",
        "signoff.dataset.sha256": DIGEST,
        "signoff.dataset.version": "12",
    }
    record = dataset_record(
        name="week",
        digest="4ae0",
        source_type="delta_table",
        source='{"path": "week", "delta_table_version": 7}',
        profile='{"num_rows": 5942}',
        tags=tags,
    )
    assert (record.digest, record.version, record.context, record.rows) == (DIGEST, "12", "training", 5942)


@pytest.mark.parametrize("profile", [None, "", "[]", "{}", '{"num_rows": "many"}', '{"num_rows": true}', "{"])
def test_a_profile_without_a_count_gives_no_rows(profile: str | None) -> None:
    record = dataset_record(name="", digest="", source_type="", source="", profile=profile, tags={})
    assert record.rows is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("models:/m-7b575f4da7b045219130e05b7e5db66c", "m-7b575f4da7b045219130e05b7e5db66c"),
        ("models:/churn/2", None),
        ("models:/churn@prod", None),
        ("mlflow-artifacts:/1/run/artifacts/model", None),
        ("/models:/m-1", None),
        ("", None),
    ],
)
def test_only_a_logged_models_address_names_a_model_id(source: str, expected: str | None) -> None:
    assert model_id_of(source) == expected


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("churn", ("churn",), True),
        ("churn", ("churn/*",), False),
        ("churn/linear", ("churn/*",), True),
        ("churn/linear/weekly", ("churn/*",), True),
        ("churn-old", ("churn/*", "churn"), False),
        ("churn/linear", ("churn",), False),
        ("anything", (), False),
    ],
)
def test_experiment_patterns(name: str, patterns: tuple[str, ...], *, expected: bool) -> None:
    assert named_by(name, patterns) is expected


def test_models_of_older_clients_stand_once_each_in_the_order_of_logging() -> None:
    history = json.dumps(
        [
            {"artifact_path": "second", "model_uuid": "1"},
            {"artifact_path": "first", "model_uuid": "2"},
            {"artifact_path": "second", "model_uuid": "3"},
            {"artifact_path": "new", "model_id": "m-1"},
            {"flavors": {}},
        ]
    )
    logged = [bare_model(model_id="m-1", name="new", uri="mlflow-artifacts:/1/models/m-1/artifacts")]
    found = older_models({"mlflow.log-model.history": history}, "s3://bucket/1/run/artifacts/", logged)
    assert [(model.name, model.uri, model.model_id) for model in found] == [
        ("second", "s3://bucket/1/run/artifacts/second", None),
        ("first", "s3://bucket/1/run/artifacts/first", None),
    ]


@pytest.mark.parametrize("history", ["", "{", "{}", '"x"', "[1]", "5"])
def test_a_malformed_history_names_no_model(history: str) -> None:
    assert older_models({"mlflow.log-model.history": history}, "/run", ()) == ()
