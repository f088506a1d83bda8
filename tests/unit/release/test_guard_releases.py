"""What the guard says to versions, aliases, stages and names of registered models."""

from dataclasses import replace

import pytest
from guard_facts import (
    ANA,
    CLEO,
    FROZEN,
    MISSING,
    OLD,
    RUN,
    RUNNING,
    Facts,
    at,
    deleted,
    inserted,
    updated,
    with_run,
)

from signoff.release.guard.decide import decide
from signoff.release.guard.model import Change, Ruling
from signoff.standard.guard import GuardRules

SHOP = Facts()
HOME = f"mlflow-artifacts:/1/{RUN}/artifacts"
"""Where the run's artifacts lie."""


def codes(*changes: Change, facts: Facts = SHOP) -> set[tuple[str, str]]:
    """(rule, code) of everything that refuses."""
    return {(said.rule, said.reason.code) for said in ruling(*changes, facts=facts).refused}


def ruling(*changes: Change, facts: Facts = SHOP) -> Ruling:
    return decide(changes, asker=ANA, facts=facts)


def alias(name: str, text: str, version: str) -> Change:
    return inserted("registered_model_aliases", name=name, alias=text, version=version)


def version(name: str, run_id: str | None, source: str, **more: str) -> Change:
    return inserted("model_versions", name=name, version="8", run_id=run_id, source=source, **more)


def stage(number: str, now: str) -> Change:
    return updated(
        "model_versions",
        {"name": "churn", "version": number},
        {"current_stage": "None"},
        {"current_stage": now},
    )


def renamed(old: str, new: str) -> Change:
    return updated("registered_models", {"name": old}, {"name": old}, {"name": new})


# --- aliases


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (alias("churn", "prod", "7"), "approval-missing"),
        (alias("churn", "prod", "6"), "approval-missing"),
        (alias("churn", "champion", "6"), "not-proposed"),
        (alias("churn", "champion", "99"), "not-proposed"),
        (alias("churn", "Prod", "5"), "alias-lookalike"),
        (alias("churn", "ｐｒｏｄ", "5"), "alias-lookalike"),  # noqa: RUF001 - full width
        (alias("churn", "prоd", "5"), "alias-lookalike"),  # noqa: RUF001 - Cyrillic
        (alias("legacy", "prod", "1"), "model-unknown"),
        (alias("greeting", "prod", "1"), "prompt-environment"),
        (alias("churn", "prod", "seven"), "alias-unreadable"),
        (deleted("registered_model_aliases", name="churn", alias="prod", version="3"), "alias-released"),
        (
            updated(
                "registered_model_aliases", {"name": "churn", "alias": "a"}, {"alias": "a"}, {"alias": "prod"}
            ),
            "alias-unreadable",
        ),
    ],
)
def test_an_alias_that_the_release_decision_does_not_allow_is_refused(change: Change, code: str) -> None:
    assert codes(change) == {("alias", code)}


@pytest.mark.parametrize(
    "change",
    [
        alias("churn", "champion", "5"),
        alias("churn", "champion", "3"),
        alias("greeting", "draft", "1"),
        deleted("registered_model_aliases", name="churn", alias="shadow", version="5"),
        deleted("registered_model_aliases", name="churn", alias="test", version="3"),
        deleted("registered_model_aliases", name="legacy", alias="prod", version="1"),
    ],
)
def test_other_aliases_move_and_are_written_down(change: Change) -> None:
    answer = ruling(change)
    assert not answer.refused
    assert not answer.warned
    (record,) = answer.records
    assert record.entry.action == "guard:alias"
    assert record.entry.subject == f"{change.value('name')}@{change.value('alias')}"
    assert record.entry.detail["login"] == "ana"


def test_an_allowed_release_is_written_down_by_the_decision_itself() -> None:
    (record,) = decide((alias("churn", "dev", "5"),), asker=CLEO, facts=SHOP).records
    assert record.envelope is not None
    assert (record.entry.action, record.entry.actor) == ("promote", "cleo@shop.example")


@pytest.mark.parametrize("after", [{"version": "3"}, {}])
def test_pointing_an_alias_where_it_points_is_decided_too(after: dict[str, str]) -> None:
    again = updated("registered_model_aliases", {"name": "churn", "alias": "prod"}, dict(after), after)
    assert not ruling(again).refused
    assert ruling(again).records
    assert codes(again, facts=replace(SHOP, allowed=frozenset())) == {("alias", "approval-missing")}


def test_a_prompt_tag_does_not_turn_a_use_cases_model_into_a_prompt() -> None:
    disguised = replace(SHOP, prompts=frozenset({"churn"}))
    assert codes(alias("churn", "champion", "6"), facts=disguised) == {("alias", "not-proposed")}
    assert codes(version("churn", None, "dummy-source"), facts=disguised) == {("registration", "run-missing")}


# --- stages


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (stage("5", "Production"), "stage-not-released"),
        (stage("3", "Staging"), "stage-not-released"),
        (stage("3", "Archived"), "stage-released"),
        (stage("3", "None"), "stage-released"),
    ],
)
def test_a_stage_makes_no_release_and_takes_none_back(change: Change, code: str) -> None:
    assert codes(change) == {("alias", code)}


def test_a_stage_follows_a_release() -> None:
    assert not ruling(stage("3", "Production")).refused
    assert not ruling(stage("6", "Archived"), stage("3", "Production")).refused


def test_a_stage_without_an_environment_says_which_aliases_there_are() -> None:
    rules = SHOP.standard.use_cases["churn"]
    only_prod = replace(rules, environments={"prod": rules.environments["prod"]})
    facts = replace(SHOP, standard=replace(SHOP.standard, use_cases={"churn": only_prod}))
    (said,) = ruling(stage("5", "Staging"), facts=facts).refused
    assert said.reason.code == "stage-unknown"
    assert "@prod" in said.reason.fix


# --- registered models and their names


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            (
                inserted("registered_models", name="churn"),
                inserted("registered_model_tags", name="churn", key="mlflow.prompt.is_prompt", value="true"),
            ),
            {("registration", "name-taken")},
        ),
        ((renamed("legacy", "fraud"),), {("registration", "rename-into")}),
        ((renamed("greeting", "fraud"),), {("registration", "rename-into")}),
        ((renamed("legacy", "scratch"),), {("registration", "model-unknown")}),
        ((renamed("churn", "churn2"),), {("registration", "model-unknown"), ("alias", "model-bound")}),
        ((renamed("answer", "answer2"),), {("alias", "model-bound")}),
    ],
)
def test_a_registered_model_belongs_to_a_use_case_and_keeps_its_name(
    changes: tuple[Change, ...], wanted: set[tuple[str, str]]
) -> None:
    assert codes(*changes) == wanted


def test_a_released_name_stays_though_the_alias_rule_is_off() -> None:
    facts = replace(SHOP, rules=at("off", deletion="enforce"))
    assert codes(renamed("churn", "churn2"), facts=facts) == {("deletion", "model-bound")}


@pytest.mark.parametrize(
    "changes",
    [
        (inserted("registered_models", name="fraud"),),
        (
            inserted("registered_models", name="welcome"),
            inserted("registered_model_tags", name="welcome", key="mlflow.prompt.is_prompt", value="true"),
        ),
        (renamed("greeting", "greeting2"),),
        (inserted("model_versions", name="greeting", version="2", run_id=None, source="dummy-source"),),
    ],
)
def test_models_of_use_cases_and_prompts_are_free_and_written_down(changes: tuple[Change, ...]) -> None:
    answer = ruling(*changes)
    assert not answer.refused
    assert len(answer.records) == 1


def test_rows_that_follow_a_new_name_are_not_judged_by_themselves() -> None:
    facts = replace(SHOP, known={}, pointed={})
    followers = (
        updated(
            "model_versions", {"name": "greeting", "version": "1"}, {"name": "greeting"}, {"name": "hello"}
        ),
        updated(
            "registered_model_aliases",
            {"name": "greeting", "alias": "d"},
            {"name": "greeting"},
            {"name": "hello"},
        ),
    )
    assert not codes(renamed("greeting", "hello"), *followers, facts=facts)
    assert codes(*followers, facts=facts) == {
        ("registration", "version-fixed"),
        ("alias", "alias-unreadable"),
    }


# --- versions


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (version("churn", None, "s3://bucket/model"), {"run-missing"}),
        (version("churn", "f" * 32, "models:/m-run"), {"run-unknown"}),
        (version("fraud", RUN, "models:/m-run"), {"run-elsewhere", "not-proposed"}),
        (version("legacy", RUN, "models:/m-run"), {"model-unknown"}),
        (version("greeting", RUN, "models:/m-run"), {"prompt-source"}),
        (version("greeting", None, "s3://bucket/model"), {"prompt-source"}),
        (version("churn", RUN, "models:/m-old"), {"source-elsewhere"}),
        (version("churn", RUN, "models:/churn/3"), {"source-elsewhere"}),
        (version("churn", RUN, "models:/churn@prod"), {"source-elsewhere"}),
        (version("churn", RUN, "s3://bucket/model"), {"source-elsewhere"}),
        (version("churn", RUN, ""), {"source-elsewhere"}),
        (version("churn", RUN, f"mlflow-artifacts:/1/{OLD}/artifacts/model"), {"source-elsewhere"}),
        (
            version("churn", RUN, f"mlflow-artifacts:/1/{RUN}/artifacts/../../{OLD}/artifacts"),
            {"source-elsewhere"},
        ),
        (version("churn", RUN, f"mlflow-artifacts:/1/{RUN}/artifacts/%2e%2e/{OLD}"), {"source-elsewhere"}),
        (version("churn", RUN, f"mlflow-artifacts:/1/{RUN}/artifacts-other/model"), {"source-elsewhere"}),
        (version("churn", RUN, "mlflow-artifacts:/1/models/m-old/artifacts"), {"source-elsewhere"}),
        (version("churn", RUNNING, "models:/m-old"), {"source-elsewhere"}),
        (version("churn", RUN, f"{HOME}/signoff/evil"), {"source-elsewhere"}),
        (version("churn", RUN, HOME), {"source-elsewhere"}),
        (version("churn", RUNNING, f"mlflow-artifacts:/1/{RUNNING}/artifacts/signoff"), {"source-elsewhere"}),
        (version("churn", RUN, "mlflow-artifacts:/1/models/m-run/artifacts/part"), {"source-elsewhere"}),
        (version("churn", RUN, "mlflow-artifacts:/1/models/m-run"), {"source-elsewhere"}),
        (version("churn", RUN, "models:/churn/6"), {"source-elsewhere"}),
        (version("churn", RUN, "models:/churn/6", storage_location=f"{HOME}/signoff"), {"source-elsewhere"}),
    ],
)
def test_a_version_is_its_runs_own_and_of_its_use_case(change: Change, wanted: set[str]) -> None:
    assert codes(change) == {("registration", code) for code in wanted}


@pytest.mark.parametrize(
    ("source", "location"),
    [
        ("models:/m-run", ""),
        ("models:/churn/6", f"{HOME}/model"),
        ("models:/churn/6", "mlflow-artifacts:/1/models/m-run/artifacts"),
        (f"{HOME}/model", ""),
        (f"{HOME}/model/", ""),
        ("mlflow-artifacts:/1/models/m-run/artifacts", ""),
    ],
)
def test_every_spelling_of_a_runs_own_model_is_known(source: str, location: str) -> None:
    answer = ruling(version("churn", RUN, source, current_stage="None", storage_location=location))
    assert not answer.refused
    (record,) = answer.records
    assert record.entry.detail["owner"] == "ana@shop.example"
    assert record.entry.detail["run_id"] == RUN


def test_a_version_that_lacks_something_is_told_what_and_how_to_propose_it() -> None:
    lacking = replace(SHOP, lacking={RUN: (MISSING,)})
    reasons = [said.reason for said in ruling(version("churn", RUN, "models:/m-run"), facts=lacking).refused]
    assert [reason.code for reason in reasons] == ["approval-missing", "not-proposed"]
    assert reasons[-1].fix == f"signoff propose {RUN}"


def test_a_training_that_registers_while_it_runs_goes_on_and_its_version_is_quarantined() -> None:
    lacking = replace(SHOP, lacking={RUNNING: (MISSING,)})
    answer = ruling(version("churn", RUNNING, "models:/m-running"), facts=lacking)
    assert not answer.refused
    assert [said.reason.code for said in answer.warned] == ["quarantined"]
    (record,) = answer.records
    assert record.entry.detail["mode"] == "quarantine"
    assert codes(alias("churn", "champion", "8"), facts=lacking) == {("alias", "not-proposed")}


def test_a_training_that_registers_under_a_name_of_no_use_case_goes_on_too() -> None:
    made = ruling(inserted("registered_models", name="scratch"))
    assert not made.refused
    assert [said.reason.code for said in made.warned] == ["model-unknown"]
    assert [record.entry.detail["mode"] for record in made.records] == ["quarantine"]
    answer = ruling(version("scratch", RUNNING, "models:/m-running"))
    assert not answer.refused
    assert [said.reason.code for said in answer.warned] == ["quarantined", "model-unknown"]
    (record,) = answer.records
    assert (record.entry.detail["mode"], record.entry.detail["run_id"]) == ("quarantine", RUNNING)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (version("scratch", RUN, "models:/m-run"), ("registration", "model-unknown")),
        (version("scratch", None, "s3://bucket/model"), ("registration", "model-unknown")),
        (version("scratch", RUNNING, "models:/m-old"), ("registration", "source-elsewhere")),
        (alias("scratch", "best", "8"), ("alias", "model-unknown")),
        (alias("scratch", "prod", "8"), ("alias", "model-unknown")),
    ],
)
def test_nothing_else_is_open_to_a_name_of_no_use_case(change: Change, wanted: tuple[str, str]) -> None:
    assert codes(change) == {wanted}


STRICT = replace(SHOP, rules=GuardRules(levels={}, from_running="refuse"))


@pytest.mark.parametrize(
    "change",
    [inserted("registered_models", name="scratch"), version("scratch", RUNNING, "models:/m-running")],
)
def test_a_team_that_refuses_running_runs_refuses_names_of_no_use_case(change: Change) -> None:
    assert codes(change, facts=STRICT) == {("registration", "model-unknown")}


def test_a_team_may_refuse_versions_from_running_runs() -> None:
    answer = ruling(version("churn", RUNNING, "models:/m-running"), facts=STRICT)
    assert [said.reason.code for said in answer.refused] == ["run-running"]


def test_quarantine_asks_for_the_runs_experiment_only_at_the_proposal() -> None:
    elsewhere = with_run(SHOP, RUNNING, experiment="sandbox")
    assert not ruling(version("churn", RUNNING, "models:/m-running"), facts=elsewhere).refused


@pytest.mark.parametrize("column", ["source", "storage_location", "run_id", "version", "name"])
def test_what_a_version_is_never_changes(column: str) -> None:
    change = updated("model_versions", {"name": "churn", "version": "6"}, {column: "a"}, {column: "b"})
    assert codes(change) == {("registration", "version-fixed")}


def test_a_description_is_free_and_writes_nothing_down() -> None:
    change = updated(
        "model_versions",
        {"name": "churn", "version": "3"},
        {"description": None},
        {"description": "the best"},
    )
    assert ruling(change) == Ruling()


def test_a_frozen_run_may_be_registered_again() -> None:
    assert not ruling(version("churn", FROZEN, "models:/m-frozen")).refused
