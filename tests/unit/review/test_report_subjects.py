"""Each question of the review: what makes its items good, and what a problem."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_changes import digest
from release_samples import (
    CLEO,
    FAILED,
    PASSED,
    Desk,
    gate_decision,
    needs,
    next_version,
    released_desk,
    two_versions,
    with_environment,
)
from review_samples import ASKED, LOADED, answer, item, reject, run, say, survey, use_case, version

from signoff.evidence.ledger import Entry
from signoff.evidence.statement import Statement, Subject
from signoff.gate.model import CheckResult
from signoff.record.days import day_number
from signoff.record.digest import Digest, Json
from signoff.record.run import RunRecord
from signoff.review.checklist import Item
from signoff.review.model import Link, LinkState, Trace
from signoff.review.report import review
from signoff.review.report_gate import criteria
from signoff.review.report_names import names
from signoff.review.report_production import rollbacks, traces
from signoff.review.report_registry import registry
from signoff.review.report_requirements import requirements
from signoff.review.report_signs import signs
from signoff.review.report_watch import watching
from signoff.standard.deployment import BatchRules, ServingRules
from signoff.standard.load import load_standard
from signoff.standard.model import UseCaseRules

# --- the report as a whole


def test_an_empty_store_gives_eight_questions_and_no_problem() -> None:
    report = review(survey(models={}, experiments=()))
    assert [section.number for section in report.sections] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {found.answer for found in report.items} == {"nothing to judge"}


@given(st.dates())
def test_days_are_counted_as_the_calendar_counts_them(day: dt.date) -> None:
    assert day_number(day.isoformat()) == (day - dt.date(1970, 1, 1)).days


# --- 1 names


def test_runs_outside_every_use_case_are_a_problem_with_their_ids() -> None:
    stray = run(9, experiment="playground", user="abe")
    found = item(names(survey(use_case(runs=[run(1)]), outside=[stray])), "names:outside")
    assert (found.answer, found.evidence) == ("problem", (stray.run_id,))
    assert found.facts == ("experiment playground: 1 run by abe",)


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("churn", "good"),
        ("ana", "attention"),
        ("Untitled notebook", "attention"),
        ("runs 2026-09", "attention"),
    ],
)
def test_experiments_are_not_named_after_people_notebooks_or_dates(experiment: str, expected: str) -> None:
    assert answer(names(survey(experiments=[experiment])), "names:experiments") == expected


def test_run_names_that_do_not_match_are_counted_by_person() -> None:
    odd = run(2, run_name="try", user="abe")
    found = item(names(survey(use_case(runs=[run(1), odd]))), "names:runs")
    assert (found.answer, found.evidence, found.facts) == ("attention", (odd.run_id,), ("abe: 1 run",))


def test_a_registered_model_of_nobody_is_a_problem() -> None:
    found = item(names(survey(models={"churn": 2, "mystery": 7})), "names:models")
    assert (found.answer, found.facts) == ("problem", ("mystery: 7 versions",))


# --- 2 required evidence


def test_a_requirement_kept_by_all_is_good_and_one_that_most_lack_is_a_problem() -> None:
    runs = [run(1), run(2, params={}, user="abe"), run(3, params={}, user="abe")]
    section = requirements(survey(use_case(runs=runs)))
    found = item(section, "evidence:param:feature_window")
    assert found.answer == "problem"
    assert "33% of the runs: 2 of 3 lack it" in found.sentence
    assert found.facts == ("abe: 2 of 2 runs without it",)
    assert item(section, "evidence:kept").sentence.startswith("2 of 3 requirements")


def test_one_slip_in_twenty_asks_for_attention() -> None:
    runs = [*(run(n) for n in range(19)), run(19, params={})]
    assert answer(requirements(survey(use_case(runs=runs))), "evidence:param:feature_window") == "attention"


def test_unfinished_runs_and_files_that_were_not_looked_at_are_not_held_against_anybody() -> None:
    runs = [run(1), run(2, status="FAILED", params={}), run(3, artifacts=())]
    looked = frozenset({run(1).run_id})
    section = requirements(survey(use_case(runs=runs), with_files=looked))
    assert [found.answer for found in section.items] == ["good"]


def test_a_run_without_a_model_lacks_its_signature_too() -> None:
    standard = load_standard(
        "signoff: 1\nprofile: small\nuse_cases:\n  churn:\n    owner: ana@shop.example\n    type: classification\n"
        "    evaluate: {data: a.csv, label: b}\n    primary: {metric: roc_auc, no_worse_than: 0.01}\n",
        "signoff.yaml",
    )
    one = use_case(rules=standard.use_cases["churn"], runs=[run(1, models=())])
    assert answer(requirements(survey(one)), "evidence:model:signature") == "problem"


# --- 3 criteria


def judged(*checks: CheckResult, times: int) -> Desk:
    desk = Desk()
    for number in range(times):
        desk.gate(f"model {number}", decision=gate_decision(f"model {number}", checks=checks))
    return desk


UNDECIDED = replace(FAILED, id="margin:roc_auc", title="margin(roc_auc)", status="inconclusive")
FACT = replace(PASSED, id="documented:data", title="documented(data)")


@pytest.mark.parametrize(
    ("checks", "times", "code", "expected"),
    [
        ((PASSED,), 4, "criteria:threshold:roc_auc", ""),
        ((PASSED,), 5, "criteria:threshold:roc_auc", "attention"),
        ((PASSED, FACT), 5, "criteria:documented:data", ""),
        ((FAILED,), 5, f"criteria:{FAILED.id}", "problem"),
        ((UNDECIDED,), 5, "criteria:margin:roc_auc", "problem"),
        ((PASSED,), 4, "criteria:decisions", "nothing to judge"),
        ((PASSED,), 5, "criteria:decisions", "attention"),
        ((FAILED,), 5, "criteria:decisions", "problem"),
    ],
)
def test_a_check_that_always_says_the_same_is_named(
    checks: Sequence[CheckResult], times: int, code: str, expected: str
) -> None:
    desk = judged(*checks, times=times)
    assert answer(criteria(survey(use_case(history=desk.history))), code) == expected


def test_checks_that_tell_candidates_apart_are_good() -> None:
    desk = judged(PASSED, times=4)
    desk.gate("bad", decision=gate_decision("bad", checks=(replace(PASSED, status="fail"),)))
    section = criteria(survey(use_case(history=desk.history)))
    assert item(section, "criteria:checks").facts == (
        "threshold(roc_auc): 4 passed, 1 failed, 0 inconclusive",
    )
    assert answer(section, "criteria:decisions") == "good"


@pytest.mark.parametrize(("times", "expected"), [(0, "nothing to judge"), (2, "good"), (3, "attention")])
def test_a_code_waived_three_times_is_a_habit(times: int, expected: str) -> None:
    desk = Desk()
    for _ in range(times):
        desk.waive("param:threshold")
    assert answer(criteria(survey(use_case(history=desk.history))), "criteria:waivers") == expected


# --- 4 registry


def test_a_version_without_proposal_is_a_problem_and_thin_context_wants_attention() -> None:
    desk = released_desk()
    thin = registry(survey(use_case(versions=[version(1)], history=desk.history)))
    assert item(thin, "registry:context").facts == (
        "churn/1: business_context says 'weekly', notes says 'newer weeks'",
    )
    bare = registry(survey(use_case(versions=[version(1), version(2)], history=desk.history)))
    assert answer(bare, "registry:context") == "problem"


@pytest.mark.parametrize(("days", "expected"), [(29, "good"), (30, "attention")])
def test_a_version_that_nobody_decides_on_is_of_low_value(days: int, expected: str) -> None:
    one = use_case(versions=[version(1, days=99), version(2, days=days)], history=released_desk().history)
    assert answer(registry(survey(one)), "registry:idle") == expected


def test_a_version_whose_run_is_gone_is_a_problem() -> None:
    one = use_case(versions=[version(1), version(2, run_id=None)], live=frozenset())
    found = item(registry(survey(one)), "registry:runs")
    assert found.facts == ("churn/1: run run of model 1 is gone", "churn/2: registered without a run")


@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        ((("prod",), ()), "problem"),
        (((), ("prod",)), "good"),
        (((), ("prod", "champion")), "problem"),
        (((), ()), "problem"),
    ],
)
def test_aliases_stand_where_a_signed_release_put_them(
    aliases: tuple[tuple[str, ...], tuple[str, ...]], expected: str
) -> None:
    versions = [version(number, aliases=given) for number, given in enumerate(aliases, start=1)]
    one = use_case(versions=versions, history=two_versions().history)
    assert answer(registry(survey(one)), "registry:aliases") == expected


def test_a_registry_that_could_not_be_looked_at_wants_attention_and_is_no_hand_set_alias() -> None:
    prod = replace(needs(("reviewer", 1)), server="http://prod.example")
    one = use_case(
        rules=with_environment(prod),
        versions=[version(1)],
        history=released_desk().history,
        pointed={"prod": "the server cannot be reached"},
    )
    section = registry(survey(one))
    assert item(section, "registry:reach").facts == ("prod: the server cannot be reached",)
    assert answer(section, "registry:aliases") == "nothing to judge"


def test_a_release_that_never_arrived_on_its_own_server_is_a_problem() -> None:
    prod = replace(needs(("reviewer", 1)), server="http://prod.example")
    one = use_case(rules=with_environment(prod), history=released_desk().history, pointed={"prod": 1})
    assert answer(registry(survey(one)), "registry:aliases") == "problem"


# --- 5 traces


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["verified", "recorded"], "good"),
        (["verified", "unknown"], "attention"),
        (["unknown", "broken"], "problem"),
    ],
)
def test_the_weakest_link_decides(states: list[LinkState], expected: str) -> None:
    links = tuple(Link(kind="run", name="a", state=state, why="because") for state in states)
    section = traces(survey(use_case(trace=Trace(target="churn@prod", links=links))))
    assert section.answer == expected


def test_what_cannot_be_traced_is_a_problem_that_says_why() -> None:
    (found,) = traces(survey(use_case(failed="the log was cut"))).items
    assert found.answer == "problem"
    assert "the log was cut" in found.sentence


# --- 6 rollbacks


def test_a_rollback_is_good_until_it_is_half_a_year_old() -> None:
    desk = two_versions()
    desk.roll_back()
    found = survey(use_case(history=desk.history))
    assert answer(rollbacks(found), "rollback:prod") == "good"
    assert answer(rollbacks(replace(found, today="2027-06-01")), "rollback:prod") == "attention"


@pytest.mark.parametrize(
    ("desk", "plan", "expected"),
    [
        (Desk(), True, ""),
        (released_desk(), True, "attention"),
        (two_versions(), False, "attention"),
        (two_versions(), True, "problem"),
    ],
)
def test_a_way_back_that_was_never_tried(desk: Desk, plan: bool, expected: str) -> None:  # noqa: FBT001
    rules = with_environment(replace(needs(("reviewer", 1)), rollback_plan=plan))
    assert answer(rollbacks(survey(use_case(rules=rules, history=desk.history))), "rollback:prod") == expected


# --- 7 watching

MONITORED = load_standard(
    """\
signoff: 1
profile: small
use_cases:
  churn:
    owner: ana@shop.example
    type: classification
    evaluate: {data: eval/week.parquet, label: churned, row_key: customer}
    primary: {metric: roc_auc, no_worse_than: 0.01}
    batch: {input: scoring/week.parquet, output: predictions/churn, keys: [customer]}
    monitors:
      columns: {kind: drift, at_most: 0.2, then: review}
""",
    "signoff.yaml",
).use_cases["churn"]


def unwatched(*, monitoring: bool) -> UseCaseRules:
    return with_environment(replace(needs(("reviewer", 1)), monitoring=monitoring))


@pytest.mark.parametrize(
    ("rules", "desk", "expected"),
    [
        (unwatched(monitoring=False), Desk(), "nothing to judge"),
        (unwatched(monitoring=False), released_desk(), "attention"),
        (unwatched(monitoring=True), released_desk(), "problem"),
        (MONITORED, Desk(), "nothing to judge"),
        (MONITORED, released_desk(), "attention"),
    ],
)
def test_what_is_released_is_watched(rules: UseCaseRules, desk: Desk, expected: str) -> None:
    assert answer(watching(survey(use_case(rules=rules, history=desk.history))), "watch:monitors") == expected


def logged(desk: Desk, action: str, *, statement: Digest, **detail: Json) -> Entry:
    return Entry(
        at=desk.at,
        actor=CLEO.email,
        action=action,
        outcome="allowed",
        use_case="churn",
        subject="churn@prod",
        statement=str(statement),
        reasons=(),
        detail=detail,
    )


def watched(desk: Desk, *entries: Entry) -> Item:
    one = use_case(rules=MONITORED, history=desk.history, watch_log=entries)
    return item(watching(survey(one)), "watch:monitors")


def test_a_monitor_that_measured_what_is_released_now_is_good() -> None:
    desk = released_desk()
    first = logged(desk, "measure", statement=desk.signed("release").id, monitor="columns")
    assert watched(desk, first).answer == "good"
    next_version(desk, 2, baseline="model 1")
    found = watched(desk, first)
    assert found.answer == "attention"
    assert "what is released now was never measured by columns" in found.sentence
    assert "signoff watch churn --once" in found.advice


def test_a_firing_that_nobody_followed_up_is_a_problem_until_somebody_did() -> None:
    desk = released_desk()
    release = desk.signed("release").id
    fired = Statement(
        kind="trigger",
        subjects=(Subject(name="model", digest=digest("model 1")), Subject(name="placed", digest=release)),
        predicate={
            "use_case": "churn",
            "environment": "prod",
            "version": 1,
            "monitor": "columns",
            "then": "review",
            "message": "spend moved",
            "at": desk.at,
        },
    )
    desk.say("trigger", fired, CLEO)
    measured = logged(desk, "measure", statement=release, monitor="columns")
    found = watched(desk, measured)
    assert found.answer == "problem"
    assert "1 firing not followed up: review of columns since " in found.sentence
    assert str(fired.id) in found.evidence
    done = logged(desk, "act", statement=fired.id, progress="done")
    assert watched(desk, measured, done).answer == "good"


def test_a_schedule_alone_is_no_monitor_where_one_is_asked_for() -> None:
    (drift,) = MONITORED.monitors
    rules = replace(unwatched(monitoring=True), monitors=(replace(drift, kind="schedule", table=None),))
    found = watching(survey(use_case(rules=rules, history=released_desk().history)))
    assert answer(found, "watch:monitors") == "problem"


def test_the_last_firing_of_a_monitor_is_told() -> None:
    desk = released_desk()
    say(desk, "trigger", monitor="columns", message="spend moved", at="2026-11-20T10:00:00Z")
    found = item(watching(survey(use_case(rules=MONITORED, history=desk.history))), "watch:monitors")
    assert found.facts == ("columns (drift, then review): last fired 2026-11-20T10:00:00Z: spend moved",)


@pytest.mark.parametrize(("today", "expected"), [("2027-02-21", "good"), ("2027-02-22", "problem")])
def test_a_release_is_evaluated_again_in_time(today: str, expected: str) -> None:
    rules = with_environment(replace(needs(("reviewer", 1)), reevaluate_days=90))
    found = replace(survey(use_case(rules=rules, history=released_desk().history)), today=today)
    assert answer(watching(found), "watch:re-evaluation:prod") == expected


PLAN: dict[str, Json] = {
    "steps": [{"weight": 0.1, "requests": 100}],
    "error_rate": 0.01,
    "alpha": 0.05,
    "deadline_s": 60,
}


@pytest.mark.parametrize(("today", "expected"), [("2026-11-30", "good"), ("2026-12-01", "attention")])
def test_a_canary_comes_to_an_end(today: str, expected: str) -> None:
    desk = released_desk()
    say(desk, "canary", CLEO, environment="prod", version=2, plan=PLAN)
    found = replace(survey(use_case(history=desk.history)), today=today)
    assert answer(watching(found), "watch:canary:prod") == expected


# --- 8 signs


def sign_codes(runs: Sequence[RunRecord] = (), desk: Desk | None = None, **changed: object) -> set[str]:
    history = None if desk is None else desk.history
    one = use_case(runs=runs, history=history, **changed)  # type: ignore[arg-type]  # passed on by name
    return {found.code for found in signs(survey(one)).items}


def test_the_same_missing_artifact_twice_is_a_sign_that_names_it() -> None:
    desk = Desk()
    reject(desk, "where is `lift_curve`?")
    assert sign_codes(desk=desk) == {"signs:none"}
    reject(desk, "again no lift_curve")
    found = item(signs(survey(use_case(history=desk.history))), "signs:rejected:missing-artifact")
    assert "asked for again: lift_curve" in found.sentence


def test_rejections_before_the_period_are_no_sign() -> None:
    desk = Desk()
    for _ in range(3):
        reject(desk, "no `lift_curve`", at="2026-08-31T23:59:59Z")
    assert sign_codes(desk=desk) == {"signs:none"}


def test_language_models_in_a_tabular_use_case_are_a_sign() -> None:
    (model,) = run().models
    language = run(2, models=(replace(model, flavors=("langchain", "python_function")),))
    assert sign_codes([run(1), language]) == {"signs:flavor:langchain"}


def test_metrics_that_nearly_every_run_logs_are_a_sign_and_programs_tags_are_not() -> None:
    runs = [run(n, metrics={"roc_auc": 0.8, "lift": 2.0}, tags={"mlflow.user": "ana"}) for n in range(5)]
    assert sign_codes(runs) == {"signs:metrics"}
    assert sign_codes(runs[:4]) == {"signs:none"}


def test_another_spelling_of_what_is_required_is_a_sign() -> None:
    runs = [run(n, params={"featureWindow": "30"}) for n in range(5)]
    assert "signs:name:param:feature_window" in sign_codes(runs)
    patterned = [run(n, params={"feature_windo*": "30"}) for n in range(5)]
    assert "signs:name:param:feature_window" not in sign_codes(patterned)
    unrelated = [run(n, params={"colour": "30"}) for n in range(5)]
    assert "signs:name:param:feature_window" not in sign_codes(unrelated)


def test_a_deployment_that_the_standard_does_not_know_is_a_sign() -> None:
    assert sign_codes([run()], predictions=("2026-11-20T10:00:00Z",)) == {"signs:deployment"}
    assert sign_codes([run()], predictions=("2026-08-20T10:00:00Z",)) == {"signs:none"}
    desk = Desk()
    say(desk, "load-test")
    assert sign_codes(desk=desk) == {"signs:deployment"}


ENDPOINT = ServingRules(timeout_ms=500, fallback="stable", canary=None, load=None, log="logs/churn")
BATCH = BatchRules(input=None, output="predictions/churn", keys=())
IN_PERIOD, BEFORE = "2026-11-20T10:00:00Z", "2026-08-20T10:00:00Z"


@pytest.mark.parametrize(
    ("predictions", "inference_log", "expected"),
    [
        ((BEFORE,), True, {"signs:deployment"}),
        ((BEFORE, IN_PERIOD), True, {"signs:none"}),
        ((IN_PERIOD,), False, {"signs:deployment"}),
        ((), True, {"signs:none"}),
    ],
)
def test_a_move_between_batch_and_real_time_is_a_sign(
    predictions: tuple[str, ...],
    inference_log: bool,  # noqa: FBT001
    expected: set[str],
) -> None:
    rules = replace(ASKED, serving=ENDPOINT, batch=BATCH)
    codes = sign_codes([run()], rules=rules, predictions=predictions, inference_log=inference_log)
    assert codes == expected


@pytest.mark.parametrize(
    ("versions", "expected"),
    [(["3.11.2", "3.11.7"], {"signs:none"}), (["3.11.2", "3.12.0"], {"signs:runtime:python"})],
)
def test_a_runtime_that_changes_is_a_sign(versions: list[str], expected: set[str]) -> None:
    runs = [run(n, tags={"signoff.python": told}) for n, told in enumerate(versions)]
    assert sign_codes(runs) == expected


def test_the_rules_of_these_tests_are_those_of_the_standard() -> None:
    assert {required.code for required in ASKED.requirements} == {
        "metric:roc_auc",
        "param:feature_window",
        "artifact:calibration",
    }
    assert LOADED.use_cases["churn"].run_name == ASKED.run_name
