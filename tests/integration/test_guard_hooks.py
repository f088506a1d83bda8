"""Each way in which MLflow's stores write is seen before it happens, and can be refused."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from hooked_store import ANA, NO, HookedStore
from mlflow.entities import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
)
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Engine

from signoff.release.guard.model import Change, Ruling
from signoff.standard.guard import GuardRules

Act = Callable[[HookedStore], Callable[[], object]]
"""Prepares, and returns the call that is judged."""
Seen = set[tuple[str, str]]

_TRACKING: dict[str, tuple[Act, Seen]] = {
    "create an experiment": (
        lambda s: lambda: s.tracking.create_experiment(uuid4().hex, tags=[ExperimentTag("team", "a")]),
        {("experiments", "insert"), ("experiments", "update"), ("experiment_tags", "insert")},
    ),
    "rename an experiment": (
        lambda s: _with(s.experiment(), lambda e: s.tracking.rename_experiment(e, uuid4().hex)),
        {("experiments", "update")},
    ),
    "tag an experiment": (
        lambda s: _with(s.experiment(), lambda e: s.tracking.set_experiment_tag(e, ExperimentTag("a", "b"))),
        {("experiment_tags", "insert")},
    ),
    "delete an experiment": (
        lambda s: _with(_experiment_with_run(s), s.tracking.delete_experiment),
        {("experiments", "update"), ("runs", "update")},
    ),
    "delete a run": (lambda s: _with(s.run(), s.tracking.delete_run), {("runs", "update")}),
    "restore a run": (lambda s: _with(_deleted_run(s), s.tracking.restore_run), {("runs", "update")}),
    "set a tag of ours": (
        lambda s: _with(s.run(), lambda r: s.tracking.set_tag(r, RunTag("Signoff.status", "approved"))),
        {("tags", "insert")},
    ),
    "set a tag of ours in a batch": (
        lambda s: _with(s.run(), lambda r: s.tracking.log_batch(r, [], [], [RunTag("signoff.gate", "pass")])),
        {("tags", "insert")},
    ),
    "set a tag of ours on a logged model": (
        lambda s: _with(
            s.logged_model(s.run()),
            lambda m: s.tracking.set_logged_model_tags(m, [LoggedModelTag("signoff.gate", "pass")]),
        ),
        {("logged_model_tags", "insert")},
    ),
    "delete a logged model": (
        lambda s: _with(s.logged_model(s.run()), s.tracking.delete_logged_model),
        {("logged_models", "update")},
    ),
}
_REGISTRY: dict[str, tuple[Act, Seen]] = {
    "create a model": (
        lambda s: lambda: s.registry.create_registered_model(uuid4().hex, [RegisteredModelTag("a", "b")]),
        {("registered_models", "insert"), ("registered_model_tags", "insert")},
    ),
    "describe a model": (
        lambda s: _with(s.model(), lambda m: s.registry.update_registered_model(m, "words")),
        {("registered_models", "update")},
    ),
    "tag a model": (
        lambda s: _with(
            s.model(), lambda m: s.registry.set_registered_model_tag(m, RegisteredModelTag("a", "b"))
        ),
        {("registered_model_tags", "insert")},
    ),
    "rename a model": (
        lambda s: _with(_aliased(s), lambda m: s.registry.rename_registered_model(m, uuid4().hex)),
        {("registered_models", "update")},
    ),
    "delete a model": (
        lambda s: _with(_aliased(s), s.registry.delete_registered_model),
        {
            ("registered_models", "delete"),
            ("model_versions", "delete"),
            ("registered_model_aliases", "delete"),
        },
    ),
    "register a version": (
        lambda s: _with(
            s.model(),
            lambda m: s.registry.create_model_version(m, "s3://b", tags=[ModelVersionTag("a", "b")]),
        ),
        {("model_versions", "insert"), ("model_version_tags", "insert")},
    ),
    "describe a version": (
        lambda s: _with(s.model(), lambda m: s.registry.update_model_version(m, "1", "words")),
        {("model_versions", "update")},
    ),
    "tag a version": (
        lambda s: _with(
            s.model(), lambda m: s.registry.set_model_version_tag(m, "1", ModelVersionTag("a", "b"))
        ),
        {("model_version_tags", "insert")},
    ),
    "change a version's tag": (
        lambda s: _with(
            _tagged(s), lambda m: s.registry.set_model_version_tag(m, "1", ModelVersionTag("a", "other"))
        ),
        {("model_version_tags", "update")},
    ),
    "delete a version's tag": (
        lambda s: _with(_tagged(s), lambda m: s.registry.delete_model_version_tag(m, "1", "a")),
        {("model_version_tags", "delete")},
    ),
    "move a version to a stage": (
        lambda s: _with(
            s.model(), lambda m: s.registry.transition_model_version_stage(m, "1", "Production", False)
        ),
        {("model_versions", "update")},
    ),
    "delete a version": (
        lambda s: _with(_aliased(s), lambda m: s.registry.delete_model_version(m, 1)),
        {("model_versions", "update"), ("registered_model_aliases", "delete")},
    ),
    "set an alias": (
        lambda s: _with(s.model(), lambda m: s.registry.set_registered_model_alias(m, "prod", "1")),
        {("registered_model_aliases", "insert")},
    ),
    "move an alias": (
        lambda s: _with(_aliased(s), lambda m: s.registry.set_registered_model_alias(m, "prod", "2")),
        {("registered_model_aliases", "update")},
    ),
    "delete an alias": (
        lambda s: _with(_aliased(s), lambda m: s.registry.delete_registered_model_alias(m, "prod")),
        {("registered_model_aliases", "delete")},
    ),
}
_GOVERNED = _TRACKING | _REGISTRY
_LOGGING: dict[str, Callable[[Any, str, str], object]] = {
    "a metric": lambda t, run, _: t.log_metric(run, Metric("auc", 0.8, 1, 1)),
    "a metric of a model": lambda t, run, model: t.log_metric(run, Metric("auc", 0.8, 1, 1, model_id=model)),
    "a param": lambda t, run, _: t.log_param(run, Param("depth", "3")),
    "what MLflow says in a tag": lambda t, run, _: t.set_tag(run, RunTag("mlflow.source.git.commit", "abc")),
    "metrics in a batch": lambda t, run, _: t.log_batch(run, [Metric("auc", 0.8, 1, 1)], [], []),
    "params in a batch": lambda t, run, _: t.log_batch(run, [], [Param("depth", "3")], []),
    "a data set": lambda t, run, _: t.log_inputs(run, [DatasetInput(Dataset("d", "1", "local", "s"), [])]),
    "a data set's tag": lambda t, run, _: t.log_inputs(
        run, [DatasetInput(Dataset("d", "1", "local", "s"), [InputTag("context", "train")])]
    ),
    "a model that it read": lambda t, run, model: t.log_inputs(run, models=[LoggedModelInput(model)]),
    "a model that it made": lambda t, run, model: t.log_outputs(run, [LoggedModelOutput(model, 0)]),
    "a new model": lambda t, run, _: t.create_logged_model(
        t.get_run(run).info.experiment_id, "m", run, [], [LoggedModelParameter("a", "b")], "sklearn"
    ),
    "a model's end": lambda t, _, model: t.finalize_logged_model(model, LoggedModelStatus.READY),
    "a model's params": lambda t, _, model: t.log_logged_model_params(
        model, [LoggedModelParameter("p", "1")]
    ),
    "a model's tag": lambda t, _, model: t.set_logged_model_tags(model, [LoggedModelTag("note", "x")]),
    "a trace": lambda t, run, _: t.link_traces_to_run([f"tr-{uuid4().hex}"], run),
    "its state": lambda t, run, _: t.update_run_info(run, RunStatus.RUNNING, None, None),
    "its end": lambda t, run, _: t.update_run_info(run, RunStatus.FAILED, 5, None),
    "its name": lambda t, run, _: t.update_run_info(run, None, None, "another name"),
}
_NO_CHANGE = {"its state"}


def _with(thing: str, act: Callable[[str], object]) -> Callable[[], object]:
    return lambda: act(thing)


def _experiment_with_run(hooked: HookedStore) -> str:
    experiment = hooked.experiment()
    hooked.run(experiment)
    return experiment


def _deleted_run(hooked: HookedStore) -> str:
    run_id = hooked.run()
    with hooked.unguarded():
        hooked.tracking.delete_run(run_id)
    return run_id


def _aliased(hooked: HookedStore) -> str:
    name = hooked.model()
    with hooked.unguarded():
        hooked.registry.set_registered_model_alias(name, "prod", "1")
    return name


def _tagged(hooked: HookedStore) -> str:
    name = hooked.model()
    with hooked.unguarded():
        hooked.registry.set_model_version_tag(name, "1", ModelVersionTag("a", "b"))
    return name


@pytest.mark.parametrize("what", _GOVERNED)
def test_a_governed_change_is_asked_about_and_happens_when_nothing_is_said_against_it(
    hooked: HookedStore, what: str
) -> None:
    act, seen = _GOVERNED[what]
    call = act(hooked)
    before = hooked.rows()
    call()
    assert hooked.guard.seen == seen
    assert hooked.rows() != before


@pytest.mark.parametrize("what", _GOVERNED)
def test_a_governed_change_that_is_refused_leaves_every_row_as_it_was(hooked: HookedStore, what: str) -> None:
    call = _GOVERNED[what][0](hooked)
    before = hooked.rows()
    hooked.guard.answer = Ruling(refused=(NO,))
    with pytest.raises(MlflowException) as caught:
        call()
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert caught.value.get_http_status_code() == 403
    assert "(approval-missing) one approval is missing" in caught.value.message
    assert "signoff approve churn/1" in caught.value.message
    assert hooked.guard.heard == [hooked.guard.answer]
    assert hooked.rows() == before


@pytest.mark.parametrize("what", _GOVERNED)
def test_nothing_is_written_when_nobody_is_known_to_ask(hooked: HookedStore, what: str) -> None:
    call = _GOVERNED[what][0](hooked)
    before = hooked.rows()
    hooked.guard.who = None
    with pytest.raises(MlflowException, match="nobody is logged in") as caught:
        call()
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert hooked.rows() == before
    assert hooked.guard.asked == []


@pytest.mark.parametrize("what", _LOGGING)
def test_logging_asks_nobody(hooked: HookedStore, what: str) -> None:
    run_id = hooked.run()
    model_id = hooked.logged_model(run_id)
    before = hooked.rows()
    _LOGGING[what](hooked.tracking, run_id, model_id)
    assert hooked.guard.asked == []
    assert (hooked.rows() != before) == (what not in _NO_CHANGE)


@pytest.mark.parametrize("what", [what for what in _LOGGING if what not in _NO_CHANGE])
def test_a_frozen_run_takes_nothing_in(hooked: HookedStore, what: str) -> None:
    run_id = hooked.run()
    model_id = hooked.logged_model(run_id)
    hooked.freeze(run_id)
    before = hooked.rows()
    hooked.guard.answer = Ruling(refused=(NO,))
    with pytest.raises(MlflowException) as caught:
        _LOGGING[what](hooked.tracking, run_id, model_id)
    assert caught.value.error_code == "PERMISSION_DENIED"
    after = hooked.rows()
    assert {name for name in before if before[name] != after[name]} <= {"datasets"}
    assert all(
        run_id in change.key.values() or model_id in change.key.values() for change in hooked.guard.changes
    )


@pytest.mark.parametrize("what", [what for what in _LOGGING if what not in _NO_CHANGE])
def test_a_run_that_nobody_knows_to_ask_for_takes_nothing_in(hooked: HookedStore, what: str) -> None:
    run_id = hooked.run()
    model_id = hooked.logged_model(run_id)
    before = hooked.rows()
    hooked.guard.who = None
    with pytest.raises(MlflowException, match="nobody is logged in"):
        _LOGGING[what](hooked.tracking, run_id, model_id)
    assert hooked.rows() == before


def test_people_go_on_describing_a_frozen_run(hooked: HookedStore) -> None:
    run_id = hooked.frozen_run()
    hooked.tracking.set_tag(run_id, RunTag("remark", "looks good"))
    hooked.tracking.log_batch(run_id, [], [], [RunTag("remark", "better still")])
    hooked.tracking.delete_tag(run_id, "remark")
    hooked.tracking.set_tag(run_id, RunTag("mlflow.note.content", "what it is for"))
    assert hooked.guard.asked == []


def test_of_a_frozen_run_s_new_name_the_guard_hears_the_run_s_own_row(hooked: HookedStore) -> None:
    """A proposed run may be renamed and a released one not, so it is asked; the tag beside it describes."""
    run_id = hooked.frozen_run()
    hooked.tracking.set_tag(run_id, RunTag("mlflow.runName", "another name"))
    assert [(change.table, change.after) for change in hooked.guard.changes] == [
        ("runs", {"name": "another name"})
    ]
    assert hooked.tracking.get_run(run_id).info.run_name == "another name"


def test_other_runs_of_the_experiment_are_free(hooked: HookedStore) -> None:
    run_id = hooked.frozen_run()
    other = hooked.run(hooked.tracking.get_run(run_id).info.experiment_id)
    model_id = hooked.logged_model(other)
    for log in _LOGGING.values():
        log(hooked.tracking, other, model_id)
    assert hooked.guard.asked == []


def test_a_later_run_may_measure_a_frozen_run_s_model(hooked: HookedStore) -> None:
    run_id = hooked.run()
    model_id = hooked.logged_model(run_id)
    hooked.freeze(run_id)
    hooked.tracking.log_metric(hooked.run(), Metric("auc", 0.8, 1, 1, model_id=model_id))
    assert hooked.guard.asked == []


def test_a_frozen_run_s_model_still_says_where_it_is_registered(hooked: HookedStore) -> None:
    run_id = hooked.run()
    model_id = hooked.logged_model(run_id)
    hooked.freeze(run_id)
    name = hooked.model(versions=0)
    with hooked.unguarded():
        hooked.registry.create_model_version(name, f"s3://{model_id}", run_id)
    hooked.tracking.set_model_versions_tags(name, "1", model_id)
    assert hooked.guard.asked == []

    for said in ('[{"name": "other", "version": 1}]', "[]", "nonsense"):
        hooked.guard.asked.clear()
        tag = LoggedModelTag("mlflow.modelVersions", said)
        hooked.tracking.set_logged_model_tags(model_id, [tag])
        assert {change.table for change in hooked.guard.changes} == {"logged_model_tags"}
        assert [change.key for change in hooked.guard.changes] == [{"run_uuid": run_id}]


def test_what_is_asked_of_a_frozen_run_names_table_and_run_only(hooked: HookedStore) -> None:
    run_id = hooked.frozen_run()
    hooked.tracking.log_metric(run_id, Metric("auc", 0.8, 1, 1))
    assert hooked.guard.changes == [
        Change(table=table, operation="insert", key={"run_uuid": run_id}, before={}, after={})
        for table in ("metrics", "latest_metrics")
    ]


def test_a_finished_run_is_asked_about_where_the_standard_says_so(hooked: HookedStore) -> None:
    run_id = hooked.run()
    hooked.guard.in_force = GuardRules(levels={"finished-run": "warn"})
    hooked.tracking.update_run_info(run_id, RunStatus.FINISHED, 5, None)
    assert hooked.guard.asked == []
    hooked.tracking.log_metric(run_id, Metric("auc", 0.8, 1, 1))
    hooked.tracking.update_run_info(run_id, RunStatus.RUNNING, None, None)
    assert hooked.guard.changes[-1] == Change(
        table="runs",
        operation="update",
        key={"run_uuid": run_id},
        before={"status": "FINISHED"},
        after={"status": "RUNNING"},
    )
    assert hooked.guard.seen >= {("metrics", "insert"), ("runs", "update")}


def test_versions_are_text_and_an_alias_that_stays_is_asked_about(hooked: HookedStore) -> None:
    name = _aliased(hooked)
    before = hooked.rows()
    hooked.registry.set_registered_model_alias(name, "prod", "1")
    (change,) = hooked.guard.changes
    assert (change.before, change.after, change.key["alias"]) == ({"version": "1"}, {"version": "1"}, "prod")
    assert hooked.rows() == before


def test_a_deleted_version_is_told_with_what_its_row_loses(hooked: HookedStore) -> None:
    name = hooked.model(versions=0)
    run_id = hooked.run()
    with hooked.unguarded():
        hooked.registry.create_model_version(name, "s3://b", run_id)
    hooked.registry.delete_model_version(name, "1")
    (change,) = (change for change in hooked.guard.changes if change.table == "model_versions")
    assert change.before["source"] == "s3://b"
    assert change.before["run_id"] == run_id
    assert change.after["current_stage"] == "Deleted_Internal"


def test_aliases_that_follow_a_rename_in_the_database_are_told_by_their_model(hooked: HookedStore) -> None:
    name = _aliased(hooked)
    hooked.guard.look = lambda lookup: seen.append(lookup.aliases(name, 1))
    seen: list[tuple[str, ...]] = []
    hooked.registry.rename_registered_model(name, f"{name}-new")
    (model,) = (change for change in hooked.guard.changes if change.table == "registered_models")
    assert (model.key["name"], model.before["name"], model.after["name"]) == (name, name, f"{name}-new")
    assert seen[0] == ("prod",)


def test_logging_runs_the_same_statements_with_and_without_the_hooks(hooked: HookedStore) -> None:
    def statements() -> list[str]:
        heard: list[str] = []

        def hear(_c: object, _cursor: object, statement: str, *_: object) -> None:
            heard.append(statement.partition(" ")[0])

        experiment = hooked.experiment()
        event.listen(Engine, "before_cursor_execute", hear)
        try:
            run_id = hooked.tracking.create_run(experiment, "ana", 1, [RunTag("a", "b")], "n").info.run_id
            hooked.tracking.log_metric(run_id, Metric("auc", 0.8, 1, 1))
            hooked.tracking.log_param(run_id, Param("depth", "3"))
            hooked.tracking.set_tag(run_id, RunTag("mlflow.source.name", "x"))
            hooked.tracking.log_batch(
                run_id, [Metric("f1", 0.5, 1, 1)], [Param("p", "1")], [RunTag("t", "1")]
            )
            hooked.tracking.update_run_info(run_id, RunStatus.FINISHED, 5, None)
        finally:
            event.remove(Engine, "before_cursor_execute", hear)
        return heard

    from signoff.adapters import mlflow_hooks

    with_hooks = statements()
    mlflow_hooks.uninstall()
    assert statements() == with_hooks


def test_a_new_run_says_which_login_made_it(hooked: HookedStore) -> None:
    """Whatever its client claims, where a rule that is off lets it."""
    experiment = hooked.experiment()
    for claimed in ([], [RunTag("signoff.login", "ben"), RunTag("mlflow.user", "ben")]):
        made = hooked.tracking.create_run(experiment, "ben", 1, claimed, "a run")
        tags = hooked.tracking.get_run(made.info.run_id).data.tags
        assert tags["signoff.login"] == ANA.login
    assert [change.key["key"] for change in hooked.guard.changes] == ["signoff.login"]


def test_where_registration_is_not_guarded_a_run_is_what_its_client_made_it(hooked: HookedStore) -> None:
    hooked.guard.in_force = GuardRules(levels={"registration": "off", "finished-run": "off"})
    made = hooked.tracking.create_run(hooked.experiment(), "ben", 1, [], "a run")
    assert hooked.tracking.get_run(made.info.run_id).data.tags == {"mlflow.runName": "a run"}


def test_what_our_plugins_say_of_a_run_is_asked_about_only_when_it_is_frozen(hooked: HookedStore) -> None:
    run_id = hooked.run()
    commit = RunTag("signoff.git.commit", "abc")
    hooked.tracking.set_tag(run_id, commit)
    hooked.tracking.create_run(hooked.experiment(), "ana", 1, [commit], "a run")
    assert hooked.guard.asked == []
    hooked.freeze(run_id)
    hooked.tracking.set_tag(run_id, RunTag("signoff.git.commit", "other"))
    assert hooked.guard.seen == {("tags", "update")}


def test_until_the_server_is_ready_everything_passes(hooked: HookedStore) -> None:
    hooked.guard.on = False
    hooked.guard.who = None
    hooked.registry.create_registered_model(uuid4().hex)
    assert hooked.guard.asked == []
