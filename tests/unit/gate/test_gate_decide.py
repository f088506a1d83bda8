"""The gate refuses what it must, and passes the good twin of each."""

from dataclasses import replace

import numpy as np
import pytest
from gate_cases import (
    at_least,
    at_most,
    binormal,
    check,
    digest,
    gate_context,
    gate_rules,
    gate_table,
    judged,
    margin,
    noisy,
    scored,
    valued,
)

from signoff.errors import DataError, UsageError
from signoff.gate.arrays import FloatArray
from signoff.gate.model import CheckResult, Predictions
from signoff.gate.question import holm, level, number
from signoff.gate.verdict import contradictions, verdict_of
from signoff.standard.model import Severity, ThresholdRule

RANDOM = np.random.default_rng(20261123)
TRUTH, SCORE = binormal(RANDOM, 4000)
GOOD = noisy(RANDOM, SCORE, 0.3)
TWIN = noisy(RANDOM, SCORE, 0.3)
WORSE = noisy(RANDOM, SCORE, 1.5)
BAND = np.where(RANDOM.random(4000) < 0.3, "top 20 %", "rest")
NO_WORSE = gate_rules(margin("roc_auc", "no_worse_than", 0.02))


def fact(status: str = "pass") -> CheckResult:
    return CheckResult(
        id="reproducible:commit",
        title="reproducible(commit)",
        status="pass" if status == "pass" else "fail",
        severity="block",
        message="",
    )


def harmed(decision: FloatArray, share: float) -> FloatArray:
    """The decisions with this share of the flagged top customers not flagged any more."""
    flagged = np.flatnonzero((BAND == "top 20 %") & (decision == 1.0) & (TRUTH == 1.0))
    changed = decision.copy()
    changed[flagged[: int(share * flagged.size)]] = 0.0
    return changed


class TestComparisons:
    def test_an_equal_model_is_no_worse(self) -> None:
        decision = judged(NO_WORSE, gate_table(TRUTH), scored(GOOD), scored(TWIN), facts=(fact(),))
        assert decision.verdict == "pass"
        assert check(decision, "margin:roc_auc").method == "DeLong, paired t"
        assert contradictions(decision) == ()

    def test_a_loss_of_twice_the_margin_fails(self) -> None:
        decision = judged(NO_WORSE, gate_table(TRUTH), scored(WORSE), scored(TWIN))
        assert decision.verdict == "fail"
        assert check(decision, "margin:roc_auc").upper < -0.02  # type: ignore[operator]

    def test_too_small_a_table_is_inconclusive_and_says_how_many_rows_are_missing(self) -> None:
        some = slice(0, 120)
        decision = judged(NO_WORSE, gate_table(TRUTH[some]), scored(GOOD[some]), scored(TWIN[some]))
        assert decision.verdict == "inconclusive"
        assert "more rows if the models are equal" in check(decision, "margin:roc_auc").message

    @pytest.mark.parametrize(("candidate", "verdict"), [(GOOD, "pass"), (TWIN * 0.999, "fail")])
    def test_a_demanded_gain_must_be_there(self, candidate: FloatArray, verdict: str) -> None:
        rules = gate_rules(margin("roc_auc", "better_by", 0.03))
        baseline = WORSE if verdict == "pass" else TWIN
        assert judged(rules, gate_table(TRUTH), scored(candidate), scored(baseline)).verdict == verdict

    def test_a_constant_score_fails(self) -> None:
        constant = scored(np.full_like(TRUTH, 0.5))
        assert judged(NO_WORSE, gate_table(TRUTH), constant, scored(TWIN)).verdict == "fail"

    def test_positives_first_does_not_help_a_model_of_few_distinct_scores(self) -> None:
        first = np.argsort(-TRUTH, kind="stable")
        coarse = np.round(WORSE, 1)[first]
        decision = judged(NO_WORSE, gate_table(TRUTH[first]), scored(coarse), scored(TWIN[first]))
        assert decision.verdict == "fail"

    def test_a_harmed_slice_fails_though_the_whole_passes(self) -> None:
        rules = gate_rules(
            margin("roc_auc", "no_worse_than", 0.02), margin("recall", "no_worse_than", 0.05, by="band")
        )
        answers = scored(GOOD)
        assert answers.decision is not None
        for share, verdict in ((0.0, "pass"), (0.3, "fail")):
            candidate = Predictions(score=GOOD, decision=harmed(answers.decision, share))
            decision = judged(rules, gate_table(TRUTH, band=BAND), candidate, answers)
            assert decision.verdict == verdict
            assert check(decision, "margin:roc_auc").status == "pass"
            assert check(decision, "slice:band=rest:recall").status == "pass"
            assert check(decision, "slice:band=top 20 %:recall").status == verdict

    @pytest.mark.parametrize(("inconclusive", "verdict"), [("block", "inconclusive"), ("warn", "pass")])
    def test_a_critical_slice_of_eight_positives_is_inconclusive(
        self, inconclusive: Severity, verdict: str
    ) -> None:
        small = np.where(np.cumsum(TRUTH) <= 8, "new", "old")
        rule = margin(
            "recall", "no_worse_than", 0.05, by="customers", only=("new",), inconclusive=inconclusive
        )
        rules = gate_rules(margin("roc_auc", "no_worse_than", 0.02), rule)
        decision = judged(rules, gate_table(TRUTH, customers=small), scored(GOOD), scored(TWIN))
        assert decision.verdict == verdict
        result = check(decision, "slice:customers=new:recall")
        assert (result.status, result.severity, result.rows) == ("inconclusive", inconclusive, 8)
        assert "more positive rows" in result.message
        assert len(decision.checks) == 2

    def test_a_slice_of_one_class_or_no_rows_is_inconclusive(self) -> None:
        column = np.where(TRUTH == 1.0, "gone", "here")
        rule = margin("roc_auc", "no_worse_than", 0.02, by="state", only=("gone", "nowhere"))
        rules = gate_rules(margin("roc_auc", "no_worse_than", 0.02), rule)
        decision = judged(rules, gate_table(TRUTH, state=column), scored(GOOD), scored(TWIN))
        assert decision.verdict == "inconclusive"
        assert "only one class" in check(decision, "slice:state=gone:roc_auc").message
        assert check(decision, "slice:state=gone:roc_auc").candidate is None
        assert "no row has state = nowhere" in check(decision, "slice:state=nowhere:roc_auc").message

    def test_regression_is_judged_on_its_losses(self) -> None:
        truth = RANDOM.normal(size=1000)
        baseline = truth + RANDOM.normal(size=1000)
        rules = gate_rules(margin("rmse", "no_worse_than", 0.05), thresholds=(at_most("mae", 1.0),))
        for factor, verdict in ((0.9, "pass"), (1.5, "fail")):
            candidate = valued(truth + factor * (baseline - truth))
            decision = judged(rules, gate_table(truth), candidate, valued(baseline), kind="regression")
            assert decision.verdict == verdict

    def test_customers_with_many_rows_each_count_once(self) -> None:
        customers = np.repeat(np.arange(40), 100)
        shared = np.where(np.arange(40) % 2 == 0, 0.9, 1.1)[customers]
        truth = np.zeros(4000)
        baseline = 1.0 + 0.01 * RANDOM.normal(size=4000)
        rules = gate_rules(margin("mae", "no_worse_than", 0.02))
        for clusters, verdict in ((None, "pass"), (customers, "inconclusive")):
            table = gate_table(truth, clusters=clusters)
            assert (
                judged(rules, table, valued(shared), valued(baseline), kind="regression").verdict == verdict
            )
        note = check(judged(rules, table, valued(shared), valued(baseline), kind="regression"), "margin:mae")
        assert "40 clusters, the largest has 2 % of the rows" in note.message

    def test_customers_with_one_row_each_are_independent_rows(self) -> None:
        rules = gate_rules(margin("recall", "no_worse_than", 0.05))
        table = gate_table(TRUTH, clusters=np.arange(4000))
        result = judged(rules, table, scored(GOOD), scored(TWIN)).checks[0]
        assert result.method == "Tango score, paired"
        rules = gate_rules(margin("roc_auc", "no_worse_than", 0.05))
        assert judged(rules, table, scored(GOOD), scored(TWIN)).checks[0].method == "DeLong, paired t"


class TestSameModel:
    SAME = gate_context(baseline="candidate")

    @pytest.mark.parametrize("bound", [0.0, 0.02])
    @pytest.mark.parametrize("metric", ["roc_auc", "recall", "log_loss"])
    def test_it_is_no_worse_than_itself_but_never_better(self, metric: str, bound: float) -> None:
        table, answers = gate_table(TRUTH), scored(GOOD)
        rules = gate_rules(margin(metric, "no_worse_than", bound))
        assert judged(rules, table, answers, answers, context=self.SAME).verdict == "pass"
        rules = gate_rules(margin(metric, "better_by", bound))
        assert judged(rules, table, answers, answers, context=self.SAME).verdict != "pass"

    def test_it_must_answer_alike(self) -> None:
        with pytest.raises(DataError, match="answered the same rows differently"):
            judged(NO_WORSE, gate_table(TRUTH), scored(GOOD), scored(TWIN), context=self.SAME)

    def test_equal_answers_of_another_model_pass_on_enough_rows_only(self) -> None:
        for rows, verdict in ((4000, "pass"), (100, "inconclusive")):
            part = slice(0, rows)
            decision = judged(NO_WORSE, gate_table(TRUTH[part]), scored(GOOD[part]), scored(GOOD[part]))
            assert decision.verdict == verdict


class TestThresholds:
    @pytest.mark.parametrize(
        ("rule", "status"),
        [
            (at_least("roc_auc", 0.70), "pass"),
            (at_least("roc_auc", 0.95), "fail"),
            (at_least("precision", 0.60), "pass"),
            (at_least("recall", 0.99), "fail"),
            (at_most("log_loss", 0.70), "pass"),
            (at_most("brier", 0.01), "fail"),
            (at_least("f1", 0.60), "pass"),
            (at_least("average_precision", 0.60), "pass"),
            (at_most("accuracy", 0.50), "fail"),
        ],
    )
    def test_the_limit_decides(self, rule: ThresholdRule, status: str) -> None:
        rules = replace(NO_WORSE, thresholds=(rule,))
        decision = judged(rules, gate_table(TRUTH), scored(GOOD), scored(TWIN))
        assert decision.checks[1].status == status
        assert contradictions(decision) == ()

    def test_a_point_estimate_above_the_bound_is_not_enough(self) -> None:
        answers = scored(GOOD)
        assert answers.decision is not None
        precision = float(TRUTH[answers.decision == 1.0].mean())
        rules = replace(NO_WORSE, thresholds=(at_least("precision", precision - 0.001),))
        result = check(judged(rules, gate_table(TRUTH), answers, scored(TWIN)), "threshold:precision")
        assert (result.status, result.severity) == ("inconclusive", "block")

    def test_a_model_that_flags_nothing_has_no_precision(self) -> None:
        nobody = Predictions(score=GOOD, decision=np.zeros_like(GOOD))
        rules = replace(NO_WORSE, thresholds=(at_least("precision", 0.5),))
        result = check(judged(rules, gate_table(TRUTH), nobody, scored(TWIN)), "threshold:precision")
        assert (result.status, result.candidate) == ("inconclusive", None)

    @pytest.mark.parametrize(
        ("metric", "requests", "factor", "status"),
        [
            ("latency_p95_ms", 58, 1.0, "inconclusive"),
            ("latency_p95_ms", 59, 1.0, "pass"),
            ("latency_p99_ms", 298, 1.0, "inconclusive"),
            ("latency_p99_ms", 299, 1.0, "pass"),
            ("latency_p99_ms", 299, 2.0, "fail"),
            ("latency_p95_ms", 0, 1.0, "inconclusive"),
        ],
    )
    def test_latency_needs_enough_requests(
        self, metric: str, requests: int, factor: float, status: str
    ) -> None:
        times = factor * (30.0 + 10.0 * RANDOM.random(requests))
        rules = replace(NO_WORSE, thresholds=(at_most(metric, 50.0),))
        decision = judged(rules, gate_table(TRUTH), scored(GOOD, latency_ms=times), scored(TWIN))
        assert check(decision, f"threshold:{metric}").status == status

    def test_two_bounds_on_one_metric_keep_ids_of_their_own(self) -> None:
        rules = replace(NO_WORSE, thresholds=(at_least("recall", 0.1), at_most("recall", 0.99)))
        decision = judged(rules, gate_table(TRUTH), scored(GOOD), scored(TWIN))
        assert [c.id for c in decision.checks[1:]] == ["threshold:recall", "threshold:recall#2"]
        assert decision.verdict == "pass"


class TestFirstRelease:
    RULES = gate_rules(
        margin("roc_auc", "no_worse_than", 0.02), margin("recall", "no_worse_than", 0.05, by="band")
    )

    def test_it_is_a_case_of_its_own_in_which_comparisons_claim_nothing(self) -> None:
        rules = replace(self.RULES, thresholds=(at_least("precision", 0.6),))
        decision = judged(rules, gate_table(TRUTH, band=BAND), scored(GOOD), None)
        assert (decision.case, decision.verdict) == ("first-release", "pass")
        assert decision.checks[0].id == "first-release"
        listed = [c for c in decision.checks if c.id.startswith("measured:")]
        assert [c.id for c in listed] == [
            "measured:roc_auc",
            "measured:band=rest:recall",
            "measured:band=top 20 %:recall",
        ]
        assert {(c.status, c.severity) for c in listed} == {("inconclusive", "warn")}
        assert [c.id for c in decision.checks if c.id.startswith("first-release:")] == [
            "first-release:chance"
        ]
        assert contradictions(decision) == ()

    @pytest.mark.parametrize(
        ("metric", "threshold"),
        [
            ("roc_auc", at_least("recall", 0.5)),
            ("recall", at_least("recall", 0.5)),
            ("f1", at_least("f1", 0.2)),
            ("log_loss", at_most("brier", 0.3)),
            ("accuracy", at_least("accuracy", 0.4)),
        ],
    )
    def test_a_threshold_that_a_constant_answer_meets_does_not_stand_in_for_chance(
        self, metric: str, threshold: ThresholdRule
    ) -> None:
        rules = gate_rules(margin(metric, "no_worse_than", 0.02), thresholds=(threshold,))
        constant = scored(
            np.full(TRUTH.size, 0.6 if threshold.metric in {"recall", "f1"} else float(TRUTH.mean()))
        )
        decision = judged(rules, gate_table(TRUTH), constant, None)
        assert check(decision, f"threshold:{threshold.metric}").status == "pass"
        assert decision.verdict != "pass"

    def test_a_threshold_still_decides(self) -> None:
        rules = replace(self.RULES, thresholds=(at_least("precision", 0.99),))
        assert judged(rules, gate_table(TRUTH, band=BAND), scored(GOOD), None).verdict == "fail"

    @pytest.mark.parametrize(
        ("metric", "name"),
        [
            ("roc_auc", "first-release:chance"),
            ("recall", "first-release:chance"),
            ("log_loss", "first-release:constant"),
            ("accuracy", "first-release:constant"),
        ],
    )
    def test_without_a_threshold_it_must_beat_knowing_nothing(self, metric: str, name: str) -> None:
        rules = gate_rules(margin(metric, "no_worse_than", 0.02), thresholds=(at_most("latency_p95_ms", 99),))
        quick = np.full(100, 1.0)
        luck = np.random.default_rng(1).random(4000)
        for score, verdict in ((GOOD, "pass"), (luck, "not pass")):
            decision = judged(rules, gate_table(TRUTH), scored(score, latency_ms=quick), None)
            assert (check(decision, name).status == "pass") == (verdict == "pass")
            assert (decision.verdict == "pass") == (verdict == "pass")

    @pytest.mark.parametrize("metric", ["mae", "rmse"])
    def test_a_regression_must_beat_a_constant(self, metric: str) -> None:
        truth = RANDOM.normal(size=500)
        rules = gate_rules(margin(metric, "no_worse_than", 0.02))
        for spread, verdict in ((0.5, "pass"), (3.0, "fail")):
            value = valued(truth + spread * RANDOM.normal(size=500))
            assert judged(rules, gate_table(truth), value, None, kind="regression").verdict == verdict


class TestBudget:
    def test_alpha_is_shared_by_all_looks(self) -> None:
        rules = replace(NO_WORSE, looks=10)
        decision = judged(rules, gate_table(TRUTH), scored(GOOD), scored(TWIN), context=gate_context(look=10))
        assert (decision.alpha, decision.verdict) == (0.005, "pass")
        assert "at 99 %" in check(decision, "margin:roc_auc").message
        assert decision.error_note.startswith("Look 10 of 10 at this table")

    def test_a_used_up_table_decides_nothing(self) -> None:
        rules = replace(NO_WORSE, looks=10)
        decision = judged(
            rules,
            gate_table(TRUTH),
            scored(GOOD),
            scored(TWIN),
            context=gate_context(look=11),
            facts=(fact(),),
        )
        assert decision.verdict == "inconclusive"
        assert "new window" in check(decision, "budget:looks").message
        assert not any(c.id.startswith("margin:") for c in decision.checks)

    def test_an_appended_table_judged_again_is_held_to_less(self) -> None:
        once = judged(NO_WORSE, gate_table(TRUTH), scored(GOOD), scored(TWIN))
        twice = judged(
            replace(NO_WORSE, looks=2),
            gate_table(TRUTH),
            scored(GOOD),
            scored(TWIN),
            context=gate_context(look=2),
        )
        assert check(twice, "margin:roc_auc").lower < check(once, "margin:roc_auc").lower  # type: ignore[operator]


class TestBadInput:
    @pytest.mark.parametrize(
        ("truth", "candidate", "message"),
        [
            (TRUTH, GOOD[:-1], r"candidate gave scores of shape \(3999,\) for 4000 rows"),
            (
                TRUTH,
                np.where(np.arange(4000) == 5, np.nan, GOOD),
                "scores of the candidate: 1 of 4000 .* row 5",
            ),
            (TRUTH, np.where(np.arange(4000) == 5, np.inf, GOOD), "NaN or infinite"),
            (np.where(np.arange(4000) == 3, np.nan, TRUTH), GOOD, "1 of 4000 labels are missing"),
            (TRUTH + 1.0, GOOD, "labels must be 0 or 1; found 2"),
            (np.ones(4000), GOOD, "all 4000 labels are 1"),
            (np.array([]), np.array([]), "no rows"),
        ],
    )
    def test_unusable_data_is_refused_before_anything_is_measured(
        self, truth: FloatArray, candidate: FloatArray, message: str
    ) -> None:
        answers = Predictions(score=candidate, decision=None)
        with pytest.raises(DataError, match=message) as error:
            judged(NO_WORSE, gate_table(truth), answers, Predictions(score=GOOD, decision=None))
        assert error.value.where
        assert error.value.hint

    def test_a_decision_is_a_class(self) -> None:
        with pytest.raises(DataError, match="decisions of the baseline must be 0 or 1"):
            judged(NO_WORSE, gate_table(TRUTH), scored(GOOD), Predictions(score=TWIN, decision=TWIN))

    def test_a_metric_needs_its_answers(self) -> None:
        silent = Predictions(score=None, decision=(GOOD > 0.5).astype(np.float64))
        with pytest.raises(DataError, match="the candidate gives no scores, which roc_auc needs"):
            judged(NO_WORSE, gate_table(TRUTH), silent, scored(TWIN))

    def test_a_slice_column_must_be_there(self) -> None:
        rules = gate_rules(NO_WORSE.primary, margin("recall", "no_worse_than", 0.05, by="band"))
        with pytest.raises(DataError, match="no slice column 'band'"):
            judged(rules, gate_table(TRUTH, region=BAND), scored(GOOD), scored(TWIN))

    @pytest.mark.parametrize("metric", ["rmse", "average_precision", "acuracy"])
    def test_a_metric_must_fit_the_model_and_the_use(self, metric: str) -> None:
        rules = gate_rules(margin(metric, "no_worse_than", 0.02))
        with pytest.raises(UsageError, match=f"cannot compare '{metric}'"):
            judged(rules, gate_table(TRUTH), scored(GOOD), scored(TWIN))

    def test_a_baseline_must_be_named_and_answer(self) -> None:
        with pytest.raises(UsageError, match="baseline needs both"):
            judged(NO_WORSE, gate_table(TRUTH), scored(GOOD), None, context=gate_context())

    @pytest.mark.parametrize("change", [{"alpha": 0.0}, {"alpha": 0.5}, {"looks": 0}])
    def test_an_error_rate_must_be_one(self, change: dict[str, float]) -> None:
        with pytest.raises(UsageError, match="is no error rate"):
            judged(replace(NO_WORSE, **change), gate_table(TRUTH), scored(GOOD), scored(TWIN))  # type: ignore[arg-type]


class TestVerdict:
    MEASURED = CheckResult(
        id="margin:x", title="x", status="pass", severity="block", message="", candidate=0.8
    )

    @pytest.mark.parametrize(
        ("checks", "verdict"),
        [
            ((), "inconclusive"),
            ((fact(),), "inconclusive"),
            ((replace(MEASURED, severity="warn"),), "inconclusive"),
            ((MEASURED,), "pass"),
            ((MEASURED, fact("fail")), "fail"),
            ((MEASURED, replace(MEASURED, status="inconclusive")), "inconclusive"),
            ((MEASURED, replace(MEASURED, status="inconclusive", severity="warn")), "pass"),
            ((fact("fail"), replace(MEASURED, status="inconclusive")), "fail"),
        ],
    )
    def test_a_gate_that_measured_nothing_never_passes(
        self, checks: tuple[CheckResult, ...], verdict: str
    ) -> None:
        assert verdict_of(checks) == verdict

    def test_a_forged_decision_contradicts_itself(self) -> None:
        good = judged(NO_WORSE, gate_table(TRUTH), scored(GOOD), scored(TWIN))
        bad = judged(NO_WORSE, gate_table(TRUTH), scored(WORSE), scored(TWIN))
        forged = {
            "its checks amount to fail": replace(bad, verdict="pass"),
            "limits say otherwise": replace(
                bad, verdict="pass", checks=(replace(bad.checks[0], status="pass"),)
            ),
            "does not fit its baseline": replace(good, case="first-release"),
            "two checks are called margin:roc_auc": replace(good, checks=good.checks * 2),
        }
        assert contradictions(good) == ()
        assert contradictions(bad) == ()
        for reason, decision in forged.items():
            assert any(reason in found for found in contradictions(decision)), reason


def test_holm_rejects_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.02, 0.5], 0.05) == (True, False, False, False)
    assert holm([0.01, 0.04, 0.012, 0.001], 0.05) == (True, True, True, True)
    assert holm([], 0.05) == ()


def test_one_bad_slice_of_many_is_not_called_a_fail_by_luck() -> None:
    """100 slices, each exactly at the margin: FAIL looks for the worst of them, so Holm must hold it back."""
    random, blocked, alone, repetitions = np.random.default_rng(13), 0, 0, 20
    cells = np.repeat(np.arange(100), 60).astype(str)
    truth = np.ones(6000)
    truth[::60] = 0.0
    rules = gate_rules(
        margin("brier", "no_worse_than", 0.5), margin("recall", "no_worse_than", 0.1, by="cell")
    )
    for _ in range(repetitions):
        candidate, baseline = (
            Predictions(score=np.full(6000, 0.5), decision=(random.random(6000) < rate).astype(np.float64))
            for rate in (0.7, 0.8)
        )
        decision = judged(rules, gate_table(truth, cell=cells), candidate, baseline)
        alone += sum("not after Holm" in c.message for c in decision.checks)
        blocked += decision.verdict == "fail"
    assert alone > 2 * repetitions
    assert blocked <= 5


@pytest.mark.parametrize(
    ("value", "shown"), [(0.82, "0.8200"), (0.0, "0.0000"), (0.00012346, "0.0001235"), (12345.6, "1.235e+04")]
)
def test_numbers_keep_their_meaning(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("alpha", "shown"), [(0.05, "90 %"), (0.025, "95 %"), (0.005, "99 %"), (0.05 / 3, "96.666 %")]
)
def test_the_level_is_that_of_both_limits_together(alpha: float, shown: str) -> None:
    assert level(alpha) == shown


def test_a_decision_depends_on_nothing_but_its_input() -> None:
    table = gate_table(TRUTH, band=BAND)
    rules = gate_rules(NO_WORSE.primary, margin("f1", "no_worse_than", 0.05, by="band"))
    first, second = (judged(rules, table, scored(GOOD), scored(TWIN)).to_json() for _ in range(2))
    assert first == second
    assert first["data"] == {"digest": str(digest("table")), "rows": 4000}
