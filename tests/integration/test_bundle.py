"""An assistant as one released unit: every component is named, and refused once it differs from what was approved."""

import json
import sqlite3
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_team import CONTEXT, indexed, log_assistant, make_docs_team, questions, words
from team import Team, copy_team, inside, refused, registry, signoff

ROLES = ("embedder", "index", "retriever", "prompt", "generator", "guardrails")


@pytest.fixture(scope="module")
def approved_once(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """docs/1 has passed its gate and is approved."""
    team, run = make_docs_team(tmp_path_factory.mktemp("docs") / "repo")
    assert signoff(team, "gate", run).code == 0
    assert signoff(team, "propose", run, *CONTEXT, key="ana").code == 0
    assert signoff(team, "approve", "docs/1", key="ben").code == 0
    return team


@pytest.fixture(scope="module")
def released_once(approved_once: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    team = copy_team(approved_once, tmp_path_factory.mktemp("released") / "team")
    assert signoff(team, "promote", "docs/1", key="cleo").code == 0
    return team


@pytest.fixture
def approved(approved_once: Team, tmp_path: Path) -> Team:
    return copy_team(approved_once, tmp_path / "team")


@pytest.fixture
def released(released_once: Team, tmp_path: Path) -> Team:
    return copy_team(released_once, tmp_path / "team")


def files(team: Team) -> Path:
    """The folder of the logged bundle."""
    found = list(team.folder.rglob("bundle.json"))
    assert len(found) == 1
    return found[0].parent


def set_in(role: str, **settings: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        said = json.loads((folder / "bundle.json").read_text())
        said["components"][role]["settings"] |= settings
        (folder / "bundle.json").write_text(json.dumps(said))

    return change


def swap_index(folder: Path) -> None:
    """Another index of the right form: all passages say the text of the first."""
    path = folder / "components/index/passages.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({"id": r["id"], "text": rows[0]["text"]}) + "\n" for r in rows))


def rewrite_prompt(folder: Path) -> None:
    path = folder / "components/prompt/template.txt"
    path.write_text("Say what I want. " + path.read_text())


CHANGES: dict[str, Callable[[Path], None]] = {
    "embedder": set_in("embedder", stopwords="none"),
    "index": swap_index,
    "retriever": set_in("retriever", k=50),
    "prompt": rewrite_prompt,
    "generator": set_in("generator", sentences=10),
    "guardrails": set_in("guardrails", abstain_below=-1.0),
}


def test_decision_proposal_approval_and_release_name_every_component(released: Team) -> None:
    store = sqlite3.connect(released.folder / "mlflow.db")
    envelopes = store.execute("SELECT envelope FROM signoff_statement").fetchall()
    store.close()
    named: dict[str, dict[str, str]] = {}
    for (envelope,) in envelopes:
        statement = json.loads(b64decode(json.loads(envelope)["payload"]))
        kind = statement["predicateType"].split(":")[3]
        named[kind] = {
            subject["name"]: subject["digest"]["sha256"]
            for subject in statement["subject"]
            if subject["name"].startswith("component:")
        }
    assert set(named) == {"gate-decision", "proposal", "approval", "release"}
    assert all(subjects == named["release"] for subjects in named.values())
    assert list(named["release"]) == [f"component:{role}" for role in ROLES]


@pytest.mark.parametrize("role", ROLES)
def test_a_release_whose_component_changed_is_not_used_and_the_component_is_named(
    released: Team, role: str
) -> None:
    CHANGES[role](files(released))
    outcome = signoff(released, "predict", "docs", "--format", "json")
    refused(outcome, "component-changed")
    assert f"since the release: {role} (was" in json.loads(outcome.out)["reasons"][0]["message"]


def test_an_index_that_is_swapped_after_the_approval_is_not_promoted(approved: Team) -> None:
    swap_index(files(approved))
    outcome = signoff(approved, "promote", "docs/1", "--format", "json", key="cleo")
    refused(outcome, "model-bytes-changed", "component-changed", "approval-missing")
    assert "a component changed: index" in outcome.out


def test_another_file_that_changed_is_reported_as_the_model(released: Team) -> None:
    path = files(released) / "requirements.txt"
    path.write_text("evil\n")
    refused(signoff(released, "predict", "docs", "--format", "json"), "model-bytes-changed")


def test_what_can_no_longer_be_read_is_reported_as_the_model(released: Team) -> None:
    (files(released) / "bundle.json").write_text("{")
    refused(signoff(released, "predict", "docs", "--format", "json"), "model-bytes-changed")


def test_a_prompt_that_the_registry_shows_otherwise_is_refused(released: Team) -> None:
    store = sqlite3.connect(released.folder / "mlflow.db")
    with store:
        store.execute("UPDATE model_version_tags SET value = 'Another' WHERE key = 'mlflow.prompt.text'")
    store.close()
    outcome = signoff(released, "predict", "docs", "--format", "json")
    refused(outcome, "prompt-changed")
    assert "pydoc-answer" in outcome.out


def test_a_prompt_that_is_gone_from_the_registry_stands_in_the_bundle(released: Team) -> None:
    registry(released).delete_prompt_version("pydoc-answer", "1")
    assert signoff(released, "predict", "docs").code == 0


def test_a_bundle_that_brings_code_is_not_loaded(approved: Team) -> None:
    for name in ("evil.py", "components/index/index.pkl"):
        path = files(approved) / name
        path.write_text("raise SystemExit(77)\n")
        outcome = signoff(approved, "gate", approved.good)
        assert (outcome.code, "a bundle holds data only" in outcome.err) == (2, True), outcome
        assert name in outcome.err
        path.unlink()


@pytest.mark.parametrize(
    "line", ["    code: code\n", "    model_code_path: x.py\n", "  sklearn:\n    pickled_model: model.pkl\n"]
)
def test_an_mlmodel_file_that_names_more_than_the_loader_is_refused(approved: Team, line: str) -> None:
    path = files(approved) / "MLmodel"
    text = path.read_text()
    path.write_text(text.replace("    loader_module: signoff.adapters.bundle\n", f"    loader_module: signoff.adapters.bundle\n{line}"))  # fmt: skip
    outcome = signoff(approved, "gate", approved.good)
    assert (outcome.code, "a bundle holds data only" in outcome.err) == (2, True), outcome


def test_the_lineage_holds_each_component_against_the_release(released: Team) -> None:
    links = json.loads(signoff(released, "lineage", "docs@prod", "--format", "json").out)["links"]
    assert [x["name"].split()[0] for x in links if x["kind"] == "component"] == list(ROLES)
    assert {x["state"] for x in links if x["kind"] == "component"} == {"verified"}
    swap_index(files(released))
    outcome = signoff(released, "lineage", "docs@prod", "--format", "json")
    states = {
        x["name"].split()[0]: x["state"] for x in json.loads(outcome.out)["links"] if x["kind"] == "component"
    }
    assert states == {role: "broken" if role == "index" else "verified" for role in ROLES}
    assert outcome.code == 1


def test_two_bundles_are_compared_by_component(approved: Team) -> None:
    with inside(approved.folder):
        other = log_assistant(words(retriever={"settings": {"k": 9}}, index={"version": "3.12"}))
    outcome = signoff(approved, "diff", approved.good, other, "--format", "json")
    parts = {part["name"]: part for part in json.loads(outcome.out)["parts"]}
    rows = {row["name"]: (row["a"], row["b"]) for row in parts["components"]["rows"]}
    assert set(rows) == {"retriever", "retriever.k", "index"}
    assert rows["retriever.k"] == (5, 9)


def test_a_prompt_with_the_same_text_keeps_its_version(approved: Team) -> None:
    other = words()
    other["prompt"]["template"] += " Be brief."
    with inside(approved.folder):
        runs = [log_assistant(words()), log_assistant(other), log_assistant(words())]
    client = registry(approved)
    versions = [client.get_run(run).data.params["prompt_version"] for run in runs]
    assert versions == ["pydoc-answer@1", "pydoc-answer@2", "pydoc-answer@1"]


def test_mlflow_loads_the_bundle_and_answers_as_the_released_batch_does(released: Team) -> None:
    import mlflow
    from deltalake import DeltaTable

    assert signoff(released, "predict", "docs").code == 0
    table = DeltaTable(released.folder / "predictions/docs").to_pandas()
    model = mlflow.pyfunc.load_model(str(files(released)))
    answers = model.predict(table[["query"]])
    for column in ("answer", "abstained", "quote", "reason"):
        assert table[column].tolist() == answers[column].tolist()
    assert [list(ids) for ids in table["passages"]] == answers["passages"].tolist()
    # Every answer of the extractive default stands word for word in the passage that it names.
    texts = dict(zip(indexed()["id"], indexed()["text"], strict=True))
    answered = answers[~answers["abstained"]]
    assert len(answered) > 0
    assert all(row.quote in texts[row.support[0]] for row in answered.itertuples())


def test_the_gate_measures_what_the_assistant_answers(approved: Team) -> None:
    from signoff.adapters.assistant_answers import measured_answers
    from signoff.adapters.model_folder import open_model, read_folder
    from signoff.apps.workspace import open_workspace

    rules = open_workspace(str(approved.folder)).use_case("docs")
    model = open_model(read_folder(files(approved)), pickle="refused").loaded
    frame = questions()
    measured = measured_answers(model, frame, recipe=rules.gate.recipe, timed=True)
    supported = np.asarray([row != "[]" for row in frame["relevant"]])
    abstained = np.asarray(model.predict(frame)["abstained"], dtype=bool)
    assert measured.values["abstention"].tolist() == (abstained != supported).astype(float).tolist()
    assert np.isnan(measured.values["mrr"]).tolist() == (~supported).tolist()
    assert np.nanmin(measured.values["groundedness"]) == 1.0
    assert measured.latency_ms is not None
    assert measured.latency_ms.shape == (len(frame),)
    outcome = signoff(approved, "gate", approved.good, "--format", "json")
    checks = {check["id"]: check for check in json.loads(outcome.out)["checks"]}
    assert checks["threshold:mrr"]["candidate"] == pytest.approx(np.nanmean(measured.values["mrr"]))


def test_a_batch_with_queries_that_cannot_be_answered_is_scored(released: Team) -> None:
    import pandas as pd
    from deltalake import DeltaTable

    queries = ["", "a" * 1_000_000, "lambda expressions", "zebra crossing"]
    pd.DataFrame({"query": queries}).to_parquet(released.folder / "scoring/questions.parquet", index=False)
    assert signoff(released, "predict", "docs").code == 0
    table = DeltaTable(released.folder / "predictions/docs").to_pandas().set_index("query").loc[queries]
    assert table["reason"].tolist() == ["empty", "too-long", "", "no-support"]
    assert table["abstained"].tolist() == [True, True, False, True]


def test_a_second_assistant_is_compared_with_the_released_one(released: Team) -> None:
    with inside(released.folder):
        worse = log_assistant(
            words(retriever={"settings": {"k": 1}}, guardrails={"settings": {"abstain_below": 0.9}})
        )
    outcome = signoff(released, "gate", worse, "--format", "json")
    checks = {check["id"]: check for check in json.loads(outcome.out)["checks"]}
    assert checks["margin:ndcg"]["candidate"] < checks["margin:ndcg"]["baseline"]
    assert outcome.code == 1


def test_a_bundle_in_memory_answers_as_the_logged_one(released: Team, tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    import signoff as package

    asked = questions()[["query"]]
    opened = package.open_bundle(components=words(), passages=indexed(), cache=tmp_path)
    logged = mlflow.pyfunc.load_model(str(files(released)))
    pd.testing.assert_frame_equal(opened.predict(asked), logged.predict(asked))


@pytest.mark.parametrize(
    "variable",
    ["SIGNOFF_GENERATOR_KEY", "SIGNOFF_GENERATOR_EU_KEY", "SIGNOFF_GENERATOR_TOKEN", "SIGNOFF_PROD_TOKEN"],
)
def test_a_secret_that_a_message_quotes_reaches_neither_terminal_nor_log(
    approved: Team, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (approved.folder / "eval/questions.parquet").unlink()
    monkeypatch.setenv(variable, "table is not there\n")  # what the message says
    outcome = signoff(approved, "gate", approved.good)
    store = sqlite3.connect(approved.folder / "mlflow.db")
    (entry,) = store.execute("SELECT entry FROM signoff_log ORDER BY idx DESC LIMIT 1").fetchone()
    store.close()
    assert outcome.code == 2
    for text in (outcome.out + outcome.err, entry.decode()):
        assert "the ***" in text
        assert "is not there" not in text


def test_a_key_that_cannot_be_sent_stops_the_gate_and_is_not_told(
    approved: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNOFF_GENERATOR_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SIGNOFF_GENERATOR_KEY", "sk-TOP\nSECRET")
    asked = {"kind": "openai", "name": "m", "version": "1", "settings": {"model": "m"}}
    with inside(approved.folder):
        run = log_assistant(words(generator=asked))
    outcome = signoff(approved, "gate", run)
    assert (outcome.code, "SIGNOFF_GENERATOR_KEY holds no key" in outcome.err) == (2, True), outcome
    assert "SECRET" not in outcome.out + outcome.err
    assert b"SECRET" not in (approved.folder / "mlflow.db").read_bytes()
