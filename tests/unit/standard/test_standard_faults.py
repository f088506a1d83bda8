"""Each row: what the team wrote, and the fault it gets: path, words of the message, words of the hint."""

import pytest
from team_standards import MINIMAL, faults_of, load

from signoff.errors import Fault, StandardError
from signoff.standard.load import load_standard

PRIMARY = {"metric": "roc_auc", "no_worse_than": 0.01}
EVALUATE = {"data": "d", "label": "y"}
SLICE = {"by": "band", "metric": "recall", "no_worse_than": 0.05}
REGRESSION = {"type": "regression", "primary": {"metric": "mae", "no_worse_than": 1}}
READ_ERRORS = "errors were read, not only counted"
RANKING = {"type": "ranking", "primary": {"metric": "ndcg", "no_worse_than": 0.01}}


@pytest.mark.parametrize(
    ("top", "path", "message", "hint"),
    [
        ({"signoff": 2}, "signoff", "`2` is not a format known here", "one of: 1"),
        ({"signoff": True}, "signoff", "`True` is not a format", "one of: 1"),
        ({"profil": "small"}, "profil", "unknown key `profil`", "did you mean `profile`?"),
        ({"profile": "smal"}, "profile", "`smal` is not a profile", "did you mean `small`?"),
        ({"profile": ...}, "", "`profile` is missing", "governance"),
        ({"use_cases": {}}, "use_cases", "the mapping is empty", None),
        ({"use_cases": {"a/b": {}}}, "use_cases.a/b", "cannot be a name", "letters"),
        ({"version": 3}, "version", "wanted text, got the number 3", 'write "3" in quotes'),
        ({"store": ""}, "store", "the text is empty", None),
        ({"roles": {"lead": {"may": ["aprove"]}}}, "roles.lead.may[0]", "unknown transition", "`approve`"),
        ({"evidence": "off"}, "evidence", "not a severity known here", "block, warn"),
        ({"environments": {"prod": {"approvals": {"reviwer": 1}}}}, "environments.prod.approvals.reviwer",
         "unknown role `reviwer`", "did you mean `reviewer`?"),
        ({"environments": {"prod": {"approvals": {"author": 1}}}}, "environments.prod.approvals.author",
         "`author` may not approve", "reviewer, platform-owner"),
        ({"environments": {"prod": {"approvals": {"reviewer": 0}}}}, "environments.prod.approvals.reviewer",
         "0 is below 1", None),
        ({"environments": {"prod": {"after": "tset"}}}, "environments.prod.after", "unknown environment", "`test`"),
        ({"environments": {"prod": {"alias": "latest"}}}, "environments.prod.alias", "cannot serve as alias",
         "taken by the registry"),
        ({"environments": {"stage": {"alias": "V12"}}}, "environments.stage.alias", "cannot serve as alias", "taken"),
        ({"environments": {"stage": {"alias": "prod"}}}, "environments.stage.alias", "share the alias `prod`", "own"),
        ({"environments": {"prod": {"approvals": {}}}}, "environments.prod.approvals",
         "0 x reviewer; prod needs at least 1", "profile small"),
        ({"require": {"params": [{"accepts": ["x"]}]}}, "require.params[0]", "`name` is missing", None),
        ({"require": {"model": ["signatur"]}}, "require.model[0]", "no property `signatur`", "`signature`"),
        ({"model_types": {"regression": {"like": "classification"}}}, "model_types.regression",
         "is a shipped type", "like: regression"),
        ({"model_types": {"uplift": {"like": "clasification"}}}, "model_types.uplift.like",
         "unknown model type", "`classification`"),
    ],
)  # fmt: skip
def test_faults_of_the_whole(top: dict[str, object], path: str, message: str, hint: str | None) -> None:
    _expect(faults_of(top), path, message, hint)


@pytest.mark.parametrize(
    ("use_case", "path", "message", "hint"),
    [
        ({"owner": " "}, "owner", "the text is empty", None),
        ({"owner": "ana@"}, "owner", "cannot serve as owner", "e-mail"),
        ({"owner": ...}, "", "`owner` is missing", "The person who answers for it"),
        ({"type": "clasification"}, "type", "unknown model type", "did you mean `classification`?"),
        ({"type": "llm-app"}, "primary.metric", "`roc_auc` does not measure llm-app", "groundedness"),
        ({**RANKING, "evaluate": EVALUATE}, "evaluate", "which rows are one list", "group: customer_id"),
        ({"evaluate": {**EVALUATE, "group": "g"}}, "evaluate.group", "classification has no `group`", "remove"),
        ({"evaluate": {**EVALUATE, "k": 5}}, "evaluate.k", "classification has no `k`", "remove"),
        ({"evaluate": {**EVALUATE, "naive": "n"}}, "evaluate.naive", "classification has no `naive`", "remove"),
        ({**RANKING, "gate": {"labels": "stable"}}, "gate.labels", "ranking has no classes", "remove"),
        ({"experiment": "other"}, "experiment[0]", "does not begin with the use case's name", "churn/family"),
        ({"experiment": ["churn", "churn"]}, "experiment", "named twice", None),
        ({"experiment": ["churn/*"]}, "experiment[0]", "is a pattern", "put churn ahead"),
        ({"experiment": "churn/a/b"}, "experiment[0]", "cannot serve as experiment name", "use-case/family"),
        ({"experiment": "churn/ana"}, "experiment[0]", "named after a person", "never per person"),
        ({"experiment": "churn/2024-03"}, "experiment[0]", "names a date or a cycle (2024-03)", "a window is a run"),
        ({"experiment": "churn/week12"}, "experiment[0]", "names a date or a cycle (week12)", "a window is a run"),
        ({"experiment": "churn/my_notebook"}, "experiment[0]", "after a notebook", "never per person, notebook"),
        ({"experiment": []}, "experiment", "the list is empty", None),
        ({"registered_model": "a/b"}, "registered_model", "cannot serve as registered model", "neither"),
        ({"run_name": "(["}, "run_name", "not a regular expression", "churn-"),
        ({"notes": ["Business context"]}, "notes[0]", "cannot serve as field name", "lower-case"),
        ({"evaluate": {**EVALUATE, "threshold": 1.5}}, "evaluate.threshold", "1.5 is above the limit of 1", None),
        ({"evaluate": {**EVALUATE, "positive": 1.5}}, "evaluate.positive", "got the number 1.5", "quotes"),
        ({"evaluate": {**EVALUATE, "positive": 2**60}}, "evaluate.positive", "is larger than", None),
        ({"evaluate": {"data": "d", "lable": "y"}}, "evaluate.lable", "unknown key", "did you mean `label`?"),
        ({"evaluate": None}, "evaluate", "wanted a mapping of keys, got nothing", "keys here: data, label"),
        ({"primary": {"metric": "roc_auc"}}, "primary", "exactly one of `better_by` or `no_worse_than`", None),
        ({"primary": {**PRIMARY, "better_by": 0.1}}, "primary", "is needed, got 2", None),
        ({"primary": {"metric": "roc_acu", "better_by": 0}}, "primary.metric", "unknown metric", "`roc_auc`"),
        ({"primary": {"metric": "mae", "better_by": 0}}, "primary.metric", "does not measure class", "roc_auc"),
        ({"primary": {"metric": "average_precision", "better_by": 0}}, "primary.metric", "thresholds only", "f1"),
        ({"primary": {"metric": "latency_p95_ms", "better_by": 0}}, "primary.metric", "thresholds only", "f1"),
        ({"primary": {"metric": "roc_auc", "better_by": -0.1}}, "primary.better_by", "-0.1 is below 0", None),
        ({"primary": {"metric": "roc_auc", "better_by": "0.1"}}, "primary.better_by", "wanted a number", "without"),
        ({"primary": {"metric": "roc_auc", "better_by": "1 %"}}, "primary.better_by", "wanted a number", "0.05 for"),
        ({"primary": {"metric": "roc_auc", "better_by": 5}}, "primary.better_by", "5 decides nothing", "0.05"),
        ({"primary": {"metric": "roc_auc", "better_by": True}}, "primary.better_by", "got true", None),
        ({"slices": [SLICE, SLICE]}, "slices[1]", "a second rule for recall by band", "stricter"),
        ({"slices": [{**SLICE, "only": [1]}]}, "slices[0].only[0]", "wanted text", 'write "1" in quotes'),
        ({"slices": SLICE}, "slices", "wanted a list, got a mapping", None),
        ({"thresholds": [{"metric": "roc_auc", "at_most": 0.9}]}, "thresholds[0].at_most", "more is better", "at_least"),
        ({"thresholds": [{"metric": "latency_p95_ms", "at_least": 9}]}, "thresholds[0].at_least", "less is", "at_most"),
        ({"thresholds": [{"metric": "recall", "at_least": 70}]}, "thresholds[0].at_least", "out of reach", "0.7"),
        ({"thresholds": [{"metric": "r2", "at_least": 0.7}]}, "thresholds[0].metric", "does not measure", "average_p"),
        ({"gate": {"alpha": 0}}, "gate.alpha", "0 is not above 0", None),
        ({"gate": {"looks": 0}}, "gate.looks", "0 is below 1", None),
        ({"gate": {"looks": 1.5}}, "gate.looks", "wanted a whole number", None),
        ({"gate": {"pickle": "alowed"}}, "gate.pickle", "not a setting known here", "`allowed`"),
        ({"window": "yes"}, "window", "wanted true or false", "write true or false"),
        ({"batch": {"input": "t", "output": "t"}}, "batch.output", "the same table", "another"),
        ({**REGRESSION, "evaluate": {**EVALUATE, "positive": 1}}, "evaluate.positive", "regression has no", "remove"),
        ({**REGRESSION, "primary": {"metric": "r2", "better_by": 0}}, "primary.metric", "thresholds only", "mae"),
    ],
)  # fmt: skip
def test_faults_of_a_use_case(use_case: dict[str, object], path: str, message: str, hint: str | None) -> None:
    _expect(faults_of(**use_case), f"use_cases.churn.{path}".rstrip("."), message, hint)


def _expect(faults: list[Fault], path: str, message: str, hint: str | None) -> None:
    at_path = [fault for fault in faults if fault.path == path]
    found = [fault for fault in at_path if message in fault.message]
    assert found, faults
    assert found[0].line is not None
    assert hint is None or hint in (found[0].hint or ""), found[0]


@pytest.mark.parametrize(
    ("profile", "layer", "key", "message"),
    [
        ("mid", {"prod": {"self_approval": "recorded"}}, "prod.self_approval", "with profile small only"),
        (
            "enterprise",
            {"dev": {"self_approval": "recorded"}},
            "dev.self_approval",
            "with profile small only",
        ),
        (
            "mid",
            {"prod": {"approvals": {"reviewer": 2}}},
            "prod.approvals",
            "0 x platform-owner; prod needs at least 1",
        ),
        (
            "enterprise",
            {"prod": {"approvals": {"reviewer": 1, "platform-owner": 2}}},
            "prod.approvals",
            "1 x reviewer; prod needs at least 2",
        ),
        ("mid", {"prod": {"rollback_plan": False}}, "prod.rollback_plan", "prod needs a rollback plan"),
        ("mid", {"prod": {"after": "dev"}}, "prod.after", "must lead through test; it leads through dev"),
        ("mid", {"prod": {"checklist": []}}, "prod.checklist", f"must tick: {READ_ERRORS}"),
        ("mid", {"prod": {"checklist": ["ok"]}}, "prod.checklist", f"must tick: {READ_ERRORS}"),
        (
            "enterprise",
            {"test": {"checklist": [READ_ERRORS]}},
            "test.checklist",
            "must tick: evaluation data",
        ),
        ("enterprise", {"test": {"approvals": {}}}, "test.approvals", "0 x reviewer; test needs at least 1"),
        ("mid", {"live": {"after": "test"}}, "live", "nobody has to approve a release in live"),
        ("mid", {"dev": {"after": "prod"}}, "dev", "nobody has to approve a release in dev"),
        ("mid", {"live": {"approvals": {}}}, "live.approvals", "nobody has to approve a release in live"),
    ],
)
def test_no_environment_asks_for_less_than_its_profile(
    profile: str, layer: dict[str, object], key: str, message: str
) -> None:
    whole = faults_of({"profile": profile, "environments": layer})
    assert {fault.path for fault in whole} == {f"environments.{key}"}
    assert any(message in fault.message for fault in whole)
    one = faults_of({"profile": profile}, environments=layer)
    assert {fault.path for fault in one} == {f"use_cases.churn.environments.{key}"}


def test_an_environment_ahead_of_production_is_no_way_around_test() -> None:
    live = {"after": "dev", "approvals": {"reviewer": 1}}
    (fault,) = faults_of({"profile": "mid", "environments": {"live": live, "prod": {"after": "live"}}})
    assert fault.path == "environments.prod.after"
    assert "must lead through test; it leads through live, dev" in fault.message


@pytest.mark.parametrize("profile", ["mid", "enterprise"])
@pytest.mark.parametrize("key", ["reproducible", "documented_data"])
def test_what_a_profile_promises_of_every_candidate_cannot_be_switched_off(profile: str, key: str) -> None:
    (fault,) = faults_of({"profile": profile}, gate={key: False})
    assert (fault.path, "a candidate needs" in fault.message) == (f"use_cases.churn.gate.{key}", True)
    assert load({"profile": profile}, gate={key: True}).profile == profile


def test_environments_that_wait_for_each_other_are_a_fault() -> None:
    faults = faults_of({"environments": {"test": {"after": "prod"}, "prod": {"after": "test"}}})
    assert ["circle" in fault.message for fault in faults] == [True]


def test_use_cases_cannot_share_a_registered_model() -> None:
    section = {
        "owner": "ben@shop.example",
        "type": "classification",
        "evaluate": EVALUATE,
        "primary": PRIMARY,
    }
    assert len(load({"use_cases": {"a": section, "b": section}}).use_cases) == 2
    faults = faults_of({"use_cases": {"a": section, "b": {**section, "registered_model": "a"}}})
    assert [fault.path for fault in faults] == ["use_cases.b.registered_model"]


def test_a_name_with_a_number_is_no_date() -> None:
    assert load(experiment="churn/b2b-90d").use_cases["churn"].experiments == ("churn/b2b-90d",)


def test_all_faults_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = (
        MINIMAL.replace("small", "smal").replace("roc_auc", "mae").replace("value_band", "''") + "extra: 1\n"
    )
    with pytest.raises(StandardError) as caught:
        load_standard(text, "signoff.yaml")
    assert [(fault.line, fault.path) for fault in caught.value.faults] == [
        (2, "profile"),
        (8, "use_cases.churn.primary.metric"),
        (10, "use_cases.churn.slices[0].by"),
        (11, "extra"),
    ]
    assert "signoff.yaml:8: use_cases.churn.primary.metric: `mae` does not measure" in str(caught.value)


def test_an_empty_file_says_how_to_begin() -> None:
    with pytest.raises(StandardError, match="signoff init"):
        load_standard("# nothing yet\n", "signoff.yaml")


def test_what_yaml_refuses_hides_no_other_fault() -> None:
    text = """\
signoff: 1
profile: smal
store: sqlite:///a.db
store: sqlite:///b.db
use_cases:
  churn:
    owner: &me ana@shop.example
    type: *me
    primary: {metric: rocauc, no_worse_than: 0.01}
"""
    with pytest.raises(StandardError) as caught:
        load_standard(text, "signoff.yaml")
    assert [(fault.line, fault.path) for fault in caught.value.faults] == [
        (2, "profile"),
        (4, "store"),
        (6, "use_cases.churn"),
        (7, "use_cases.churn.owner"),
        (8, "use_cases.churn.type"),
        (9, "use_cases.churn.primary.metric"),
    ]


@pytest.mark.parametrize(
    ("looks", "message"),
    [
        (1_000_000, "1,000,000 is above the limit of 10,000"),
        (10**30, "is larger than"),
        (0, "0 is below 1"),
    ],
)
def test_numbers_are_said_as_people_write_them(looks: int, message: str) -> None:
    _expect(faults_of(gate={"looks": looks}), "use_cases.churn.gate.looks", message, None)
