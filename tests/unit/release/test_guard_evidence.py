"""What the guard says to runs, experiments, deletions and tags."""

from dataclasses import replace

import pytest
from guard_facts import (
    ANA,
    FROZEN,
    OLD,
    RUN,
    RUNNING,
    Facts,
    at,
    deleted,
    inserted,
    updated,
)

from signoff.release.guard.decide import decide
from signoff.release.guard.model import Change, Ruling, VersionFacts
from signoff.standard.guard import GuardRules

DAILY = GuardRules(levels={"finished-run": "off"})
SHOP = Facts(rules=DAILY)
STRICT = Facts(rules=at("off", finished_run="enforce"))


def ruling(*changes: Change, facts: Facts = SHOP) -> Ruling:
    return decide(changes, asker=ANA, facts=facts)


def codes(*changes: Change, facts: Facts = SHOP) -> set[tuple[str, str]]:
    """(rule, code) of everything that refuses."""
    return {(said.rule, said.reason.code) for said in ruling(*changes, facts=facts).refused}


def tag(run_id: str, key: str) -> Change:
    return inserted("tags", run_uuid=run_id, key=key, value="x")


def of_run(run_id: str, before: dict[str, str | None], after: dict[str, str | None]) -> Change:
    return updated("runs", {"run_uuid": run_id}, before, after)


def binned(run_id: str) -> Change:
    return of_run(run_id, {"lifecycle_stage": "active"}, {"lifecycle_stage": "deleted", "deleted_time": "1"})


def edge(source: tuple[str, str], destination: tuple[str, str]) -> Change:
    return inserted(
        "inputs",
        input_uuid="i-1",
        source_type=source[0],
        source_id=source[1],
        destination_type=destination[0],
        destination_id=destination[1],
    )


# --- frozen runs


@pytest.mark.parametrize(
    "change",
    [
        inserted("params", run_uuid=FROZEN, key="depth", value="3"),
        inserted("metrics", run_uuid=FROZEN, key="auc", value="0.99"),
        updated("latest_metrics", {"run_uuid": FROZEN, "key": "auc"}, {"value": "0.8"}, {"value": "0.99"}),
        inserted("logged_model_metrics", model_id="m-frozen", run_id=FROZEN, metric_name="auc"),
        tag(FROZEN, "mlflow.user"),
        tag(FROZEN, "mlflow.source.git.commit"),
        tag(FROZEN, "mlflow.log-model.history"),
        tag(FROZEN, "signoff.git.commit"),
        deleted("tags", run_uuid=FROZEN),
        of_run(FROZEN, {"name": "a", "status": "FINISHED"}, {"name": "b", "status": "FAILED"}),
        of_run(FROZEN, {"name": "a", "end_time": "1"}, {"name": "b", "end_time": "2"}),
        of_run(FROZEN, {"status": "FINISHED"}, {"status": "RUNNING"}),
        of_run(FROZEN, {"status": "FINISHED"}, {"status": "FAILED"}),
        of_run(FROZEN, {"end_time": "1"}, {"end_time": "2"}),
        binned(FROZEN),
        deleted("runs", run_uuid=FROZEN),
        edge(("DATASET", "d"), ("RUN", FROZEN)),
        edge(("RUN_INPUT", FROZEN), ("MODEL_INPUT", "m-run")),
        edge(("RUN_OUTPUT", FROZEN), ("MODEL_OUTPUT", "m-new")),
        inserted("logged_models", model_id="m-new", source_run_id=FROZEN),
        updated("logged_models", {"model_id": "m-frozen"}, {"status": "2"}, {"status": "3"}),
        updated(
            "logged_models",
            {"model_id": "m-frozen"},
            {"lifecycle_stage": "active"},
            {"lifecycle_stage": "deleted"},
        ),
        inserted("logged_model_params", model_id="m-frozen", param_key="depth", param_value="3"),
        inserted("logged_model_tags", model_id="m-frozen", tag_key="mlflow.user", tag_value="x"),
        deleted("logged_model_tags", model_id="m-frozen", tag_key="mlflow.modelVersions"),
        inserted(
            "entity_associations",
            source_type="run",
            source_id=FROZEN,
            destination_type="trace",
            destination_id="t",
        ),
        inserted("assessments", assessment_id="a", run_id=FROZEN),
        Change(table="inputs", operation="insert", key={"run_uuid": FROZEN}, before={}, after={}),
        Change(table="logged_model_tags", operation="insert", key={"run_uuid": FROZEN}, before={}, after={}),
    ],
)
def test_nothing_of_a_proposed_run_changes(change: Change) -> None:
    assert codes(change) == {("freeze", "run-frozen")}
    (said,) = ruling(change).refused
    assert said.use_case == "churn"
    assert "churn/5" in said.reason.message
    assert "new run" in said.reason.fix


@pytest.mark.parametrize(
    "change",
    [
        tag(FROZEN, "team"),
        tag(FROZEN, "mlflow.note.content"),
        tag(FROZEN, "mlflow.runName"),
        of_run(FROZEN, {"name": "a"}, {"name": "b"}),
        deleted("tags", run_uuid=FROZEN, key="team", value="shop"),
        inserted("logged_model_tags", model_id="m-frozen", tag_key="mlflow.modelVersions", tag_value="[]"),
        inserted("logged_model_tags", model_id="m-frozen", tag_key="team", tag_value="shop"),
        updated(
            "logged_models",
            {"model_id": "m-frozen"},
            {"last_updated_timestamp_ms": "1"},
            {"last_updated_timestamp_ms": "2"},
        ),
        inserted("logged_model_metrics", model_id="m-frozen", run_id=RUN, metric_name="auc"),
        edge(("RUN_INPUT", RUN), ("MODEL_INPUT", "m-frozen")),
        inserted("datasets", dataset_uuid="d", experiment_id="1", name="week"),
    ],
)
def test_what_only_describes_a_proposed_run_or_looks_at_it_later_stays_open(change: Change) -> None:
    assert ruling(change) == Ruling()


@pytest.mark.parametrize(
    "change",
    [
        inserted("params", run_uuid=RUN, key="depth", value="3"),
        inserted("runs", run_uuid="5" * 32, experiment_id="1", status="RUNNING"),
        tag(RUN, "mlflow.user"),
        tag(RUN, "signoff.git.commit"),
        tag(RUN, "signoff.platform.gpu"),
        of_run(RUN, {"status": "FINISHED"}, {"status": "RUNNING"}),
        of_run(RUNNING, {"status": "RUNNING"}, {"status": "FINISHED", "end_time": "2"}),
        inserted("logged_models", model_id="m-new", source_run_id=RUN),
        inserted("input_tags", input_uuid="i-9", name="signoff.dataset.sha256", value="x"),
    ],
)
def test_plain_logging_is_neither_judged_nor_written_down(change: Change) -> None:
    assert ruling(change) == Ruling()


def test_one_refusal_names_all_parts_of_a_frozen_run() -> None:
    tagged = inserted("input_tags", input_uuid="i-1", name="mlflow.data.context", value="training")
    changes = (
        edge(("DATASET", "d"), ("RUN", FROZEN)),
        tagged,
        inserted("params", run_uuid=FROZEN, key="a", value="1"),
    )
    (said,) = ruling(*changes).refused
    assert "changes: data sets, params" in said.reason.message


def test_a_mark_without_a_version_freezes_for_the_use_case_of_the_experiment() -> None:
    marked = replace(SHOP.runs[FROZEN], frozen_by="a proposal")
    (said,) = ruling(
        inserted("params", run_uuid=FROZEN, key="a"), facts=replace(SHOP, runs={FROZEN: marked})
    ).refused
    assert said.use_case == "churn"
    assert said.reason.message == "a proposal rests on it as it was judged, so nothing of it changes: params"


def test_a_frozen_run_may_still_end() -> None:
    proposed_early = replace(SHOP.runs[FROZEN], status="RUNNING")
    facts = replace(SHOP, runs={FROZEN: proposed_early})
    ends = of_run(FROZEN, {"status": "RUNNING", "end_time": None}, {"status": "FINISHED", "end_time": "2"})
    assert ruling(ends, facts=facts) == Ruling()


def test_data_sets_that_proposed_runs_rest_on_stay() -> None:
    row = updated("datasets", {"dataset_uuid": "d"}, {"digest": "a"}, {"digest": "b", "experiment_id": "1"})
    assert codes(row) == {("freeze", "dataset-frozen")}
    assert ruling(deleted("datasets", dataset_uuid="d", experiment_id="3")) == Ruling()


# --- finished runs


@pytest.mark.parametrize(
    "change",
    [
        of_run(RUN, {"status": "FINISHED"}, {"status": "RUNNING"}),
        of_run(RUN, {"status": "FINISHED"}, {"status": "SCHEDULED"}),
        inserted("params", run_uuid=RUN, key="a", value="1"),
        inserted("metrics", run_uuid=RUN, key="a", value="1"),
    ],
)
def test_a_finished_run_stays_finished_where_the_team_says_so(change: Change) -> None:
    assert codes(change, facts=STRICT) == {("finished-run", "run-finished")}


@pytest.mark.parametrize(
    "change",
    [
        of_run(RUNNING, {"status": "RUNNING"}, {"status": "FINISHED"}),
        of_run(RUN, {"name": "a"}, {"name": "b"}),
        binned(RUN),
        tag(RUN, "team"),
        inserted("params", run_uuid=RUNNING, key="a", value="1"),
    ],
)
def test_ending_naming_and_describing_runs_is_no_reopening(change: Change) -> None:
    assert ruling(change, facts=STRICT) == Ruling()


# --- deletion

GONE = {"source": "mlflow-artifacts:/1/x", "run_id": RUN, "description": "the best", "current_stage": "None"}
BLANK = {"source": "R", "run_id": "R", "description": None, "current_stage": "Deleted_Internal"}


def version_gone(name: str, number: str) -> Change:
    return updated("model_versions", {"name": name, "version": number}, GONE, BLANK)


def experiment(identifier: str, before: dict[str, str | None], after: dict[str, str | None]) -> Change:
    return updated("experiments", {"experiment_id": identifier}, before, after)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (version_gone("churn", "3"), {("deletion", "released")}),
        (version_gone("answer", "1"), {("deletion", "released")}),
        (deleted("model_versions", name="churn", version="3"), {("deletion", "released")}),
        (deleted("registered_models", name="churn"), {("deletion", "released")}),
        (deleted("registered_models", name="answer"), {("deletion", "released")}),
        (binned(OLD), {("freeze", "run-frozen"), ("deletion", "run-released")}),
        (deleted("runs", run_uuid=OLD), {("freeze", "run-frozen"), ("deletion", "run-released")}),
        (
            deleted("logged_models", model_id="m-old", experiment_id="1"),
            {("freeze", "run-frozen"), ("deletion", "model-released")},
        ),
        (
            experiment("1", {"lifecycle_stage": "active"}, {"lifecycle_stage": "deleted"}),
            {("deletion", "experiment-bound")},
        ),
        (experiment("1", {"name": "churn"}, {"name": "churn/old"}), {("deletion", "experiment-bound")}),
        (deleted("experiments", experiment_id="1", name="churn"), {("deletion", "experiment-bound")}),
    ],
)
def test_what_was_released_cannot_go(change: Change, wanted: set[tuple[str, str]]) -> None:
    assert codes(change) == wanted


def test_what_was_released_before_there_was_a_guard_stays_though_nothing_froze_it() -> None:
    inherited = replace(SHOP.runs[RUN], released_as=("churn/2",))
    facts = replace(SHOP, runs={RUN: inherited})
    assert codes(binned(RUN), facts=facts) == {("deletion", "run-released")}
    assert codes(of_run(RUN, {"name": "a"}, {"name": "b"}), facts=facts) == {("deletion", "run-released")}


def test_a_deleted_versions_blanked_row_is_kept_in_the_log() -> None:
    alias = deleted("registered_model_aliases", name="churn", alias="shadow", version="6")
    kept = deleted("registered_model_aliases", name="churn", alias="other", version="5")
    (record,) = ruling(version_gone("churn", "6"), alias).records
    detail = record.entry.detail
    row = detail["row"]
    assert isinstance(row, dict)
    assert {name: row[name] for name in GONE} == GONE
    assert detail["aliases"] == ["shadow"]
    assert len(ruling(version_gone("churn", "6"), alias, kept).records) == 2


def test_an_alias_that_goes_with_its_version_is_logged_by_its_own_rule_where_deletion_is_off() -> None:
    facts = replace(SHOP, rules=at("enforce", deletion="off"))
    alias = deleted("registered_model_aliases", name="churn", alias="shadow", version="6")
    (record,) = ruling(version_gone("churn", "6"), alias, facts=facts).records
    assert record.entry.action == "guard:alias"


def test_a_registered_model_with_a_released_alias_does_not_go_where_only_aliases_are_guarded() -> None:
    facts = replace(SHOP, rules=at("off", alias="enforce"))
    gone = deleted("registered_models", name="churn")
    alias = deleted("registered_model_aliases", name="churn", alias="prod", version="3")
    assert codes(gone, alias, facts=facts) == {("alias", "alias-released")}


def test_a_deleted_registered_model_takes_its_tags_and_versions_into_one_entry() -> None:
    facts = replace(
        SHOP, known={("legacy", 1): VersionFacts(name="legacy", number=1, run_id=RUN, proposed=False)}
    )
    changes = (
        deleted("registered_models", name="legacy"),
        deleted("model_versions", name="legacy", version="1", source="s", run_id=RUN),
        deleted("model_version_tags", name="legacy", version="1", key="signoff.status", value="x"),
        deleted("registered_model_tags", name="legacy", key="signoff.owner", value="x"),
        deleted("registered_model_aliases", name="legacy", alias="prod", version="1"),
    )
    (record,) = ruling(*changes, facts=facts).records
    assert record.entry.detail["aliases"] == ["prod"]
    assert record.entry.detail["versions"] == [
        {"name": "legacy", "run_id": RUN, "source": "s", "version": "1"}
    ]


@pytest.mark.parametrize(
    ("changes", "operation", "subject"),
    [
        ((binned(RUN),), "delete run", f"run {RUN}"),
        ((binned(RUN), binned(RUNNING)), "delete run", "2 runs"),
        (
            (of_run(RUN, {"lifecycle_stage": "deleted"}, {"lifecycle_stage": "active"}),),
            "restore run",
            f"run {RUN}",
        ),
        (
            (experiment("3", {"lifecycle_stage": "active"}, {"lifecycle_stage": "deleted"}), binned(RUN)),
            "delete experiment",
            "experiment sandbox",
        ),
        (
            (experiment("3", {"lifecycle_stage": "deleted"}, {"lifecycle_stage": "active"}),),
            "restore experiment",
            "experiment sandbox",
        ),
        (
            (
                updated(
                    "logged_models",
                    {"model_id": "m-run"},
                    {"lifecycle_stage": "active"},
                    {"lifecycle_stage": "deleted"},
                ),
            ),
            "delete logged model",
            "logged model m-run",
        ),
    ],
)
def test_deletions_that_are_allowed_are_written_down(
    changes: tuple[Change, ...], operation: str, subject: str
) -> None:
    (record,) = ruling(*changes).records
    assert (record.entry.detail["operation"], record.entry.subject) == (operation, subject)


def test_an_experiments_entry_counts_its_runs_and_names_the_first() -> None:
    runs = {f"{number:032x}": replace(SHOP.runs[RUN], run_id=f"{number:032x}") for number in range(3_000)}
    facts = replace(SHOP, runs=runs)
    gone = experiment("3", {"lifecycle_stage": "active"}, {"lifecycle_stage": "deleted"})
    (record,) = ruling(gone, *(binned(run_id) for run_id in runs), facts=facts).records
    detail = record.entry.detail["runs"]
    assert isinstance(detail, dict)
    assert detail["count"] == 3_000
    assert detail["first"] == sorted(runs)[:20]


# --- experiments


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sandbox2", {"experiment:unknown"}),
        ("ana-tests", {"experiment:unknown", "experiment:person"}),
        ("churn/ana", {"experiment:person"}),
        ("churn/Untitled.ipynb", {"experiment:notebook"}),
        ("churn/2026-11", {"experiment:dated"}),
        ("/Users/cleo@shop.example/x", {"experiment:unknown", "experiment:person"}),
    ],
)
def test_an_experiment_lies_inside_a_use_case_and_is_nobodys(name: str, wanted: set[str]) -> None:
    created = inserted("experiments", name=name, lifecycle_stage="active", artifact_location=None)
    assert codes(created) == {("experiment", code) for code in wanted}
    assert codes(experiment("3", {"name": "sandbox"}, {"name": name})) == codes(created)


@pytest.mark.parametrize("name", ["churn", "churn/forest", "fraud"])
def test_an_experiment_of_a_use_case_is_made_and_owned_by_who_asked(name: str) -> None:
    (record,) = ruling(inserted("experiments", name=name)).records
    assert record.entry.use_case == name.partition("/")[0]
    assert record.entry.detail["owner"] == "ana@shop.example"


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (inserted("experiments", name="churn/a", artifact_location="s3://bucket/x"), False),
        (inserted("experiments", name="churn/a", artifact_location="mlflow-artifacts:/1"), False),
        (inserted("experiments", name="churn/a", artifact_location=None), True),
        (experiment("7", {"artifact_location": None}, {"artifact_location": "mlflow-artifacts:/7"}), True),
        (experiment("7", {"artifact_location": None}, {"artifact_location": "mlflow-artifacts:/1"}), False),
        (experiment("7", {"artifact_location": None}, {"artifact_location": "mlflow-artifacts:/1/7"}), False),
        (
            experiment("1", {"artifact_location": "mlflow-artifacts:/1"}, {"artifact_location": "s3://b"}),
            False,
        ),
        (
            updated(
                "experiments",
                {"experiment_id": "7"},
                {"artifact_location": None},
                {"artifact_location": "mlflow-artifacts:/workspaces/shop/7", "workspace": "shop"},
            ),
            True,
        ),
    ],
)
def test_only_the_server_chooses_where_artifacts_lie(change: Change, allowed: bool) -> None:  # noqa: FBT001
    assert codes(change) == (set() if allowed else {("artifact-location", "location-chosen")})


def test_the_default_experiment_is_mlflows_own() -> None:
    assert ruling(inserted("experiments", experiment_id="0", name="Default")) == Ruling()


# --- reserved tags


@pytest.mark.parametrize(
    "change",
    [
        inserted("registered_model_tags", name="churn", key="signoff.status", value="ok"),
        updated(
            "registered_model_tags",
            {"name": "churn", "key": "signoff.status"},
            {"value": "a"},
            {"value": "b"},
        ),
        deleted("registered_model_tags", name="churn", key="signoff.status", value="ok"),
        inserted("model_version_tags", name="churn", version="6", key="signoff.status", value="proposed"),
        inserted("model_version_tags", name="churn", version="6", key="Signoff.Status", value="proposed"),
        inserted("experiment_tags", experiment_id="1", key="signoff.owner", value="eve"),
        inserted("evaluation_dataset_tags", dataset_id="d-1", key="signoff.status", value="checked"),
        inserted("trace_tags", request_id="tr-1", key="signoff.status", value="checked"),
        inserted("input_tags", input_uuid="i-1", name="signoff.status", value="checked"),
        tag(RUN, "signoff.warning"),
        tag(RUN, "signoff.frozen"),
        inserted("logged_model_tags", model_id="m-run", tag_key="signoff.approved", tag_value="x"),
        updated(
            "tags", {"run_uuid": RUN, "key": "signoff.warning"}, {"key": "signoff.warning"}, {"key": "x"}
        ),
    ],
)
def test_what_signoff_says_in_tags_nobody_else_says(change: Change) -> None:
    assert codes(change) == {("reserved-tag", "tag-reserved")}


@pytest.mark.parametrize(
    "change",
    [
        tag(RUN, "signoff.use_case"),
        inserted("logged_model_tags", model_id="m-run", tag_key="signoff.git.commit", tag_value="x"),
        inserted("evaluation_dataset_tags", dataset_id="d-1", key="signoff.git.commit", value="x"),
        inserted("registered_model_tags", name="churn", key="approved_by", value="bob"),
        inserted("model_version_tags", name="churn", version="6", key="approved_by", value="bob"),
        inserted("experiment_tags", experiment_id="1", key="mlflow.note.content", value="x"),
    ],
)
def test_other_tags_are_free_and_mean_nothing(change: Change) -> None:
    assert ruling(change) == Ruling()


def test_tags_that_no_statement_names_are_not_changed_in_bulk() -> None:
    assert codes(deleted("model_version_tags", name="churn")) == {("reserved-tag", "tag-unreadable")}


def test_a_prompts_version_keeps_its_text() -> None:
    made = inserted("model_versions", name="greeting", version="2", run_id=None, source="prompt-template")
    text = inserted(
        "model_version_tags", name="greeting", version="2", key="mlflow.prompt.text", value="hello"
    )
    again = updated(
        "model_version_tags",
        {"name": "greeting", "version": "2", "key": "mlflow.prompt.text"},
        {"value": "hello"},
        {"value": "hi"},
    )
    assert not ruling(made, text).refused
    assert codes(again) == {("reserved-tag", "prompt-tag")}
    turned = inserted(
        "model_version_tags", name="churn", version="6", key="mlflow.prompt.is_prompt", value="true"
    )
    assert codes(turned) == {("reserved-tag", "prompt-tag")}


@pytest.mark.parametrize("name", ["churn", "legacy", "greeting"])
def test_what_is_a_prompt_is_said_once(name: str) -> None:
    for change in (
        inserted("registered_model_tags", name=name, key="mlflow.prompt.is_prompt", value="true"),
        deleted("registered_model_tags", name=name, key="mlflow.prompt.is_prompt", value="true"),
    ):
        assert codes(change) == {("reserved-tag", "prompt-tag")}
