"""Orders: nDCG, MRR, recall and precision at k, of passages for a question and of the rows of lists."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from gate_cases import at_least, at_most, check, gate_rules, gate_table, judged, margin
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import ndcg_score

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray, IntArray
from signoff.gate.lists import Lists
from signoff.gate.model import EvaluationTable, Predictions
from signoff.gate.proportions import BoundedMean
from signoff.gate.retrieval import ORDER_METRICS, list_values, question_values
from signoff.gate.verdict import contradictions
from signoff.standard.metrics import Task
from signoff.standard.model import GateRules, ThresholdRule

GRADES = arrays(np.float64, st.integers(1, 9), elements=st.sampled_from([0.0, 0.0, 1.0, 3.0]))


def of_list(grades: FloatArray, scores: FloatArray, k: int) -> dict[str, float]:
    """One list among others, whose rows stand between its own."""
    codes = np.tile([1, 0, 2], grades.size)
    all_grades = np.column_stack([grades, grades[::-1], np.ones(grades.size)]).ravel()
    all_scores = np.column_stack([scores, scores, -scores]).ravel()
    return {name: float(values[1]) for name, values in list_values(all_grades, all_scores, codes, k).items()}


def of_question(*passages: str, relevant: str, k: int = 3) -> dict[str, float]:
    return {name: round(value, 6) for name, value in question_values(passages, relevant.split(), k).items()}


class TestQuestions:
    def test_by_hand(self) -> None:
        """Found at places 2 and 3, of three relevant ones: the best order has gain at all three places."""
        found = of_question("x", "a", "b", "c", relevant="a b c")
        best = 1 + 1 / np.log2(3) + 1 / 2
        assert found == {
            "ndcg": round((1 / np.log2(3) + 1 / 2) / best, 6),
            "mrr": 0.5,
            "recall_at_k": round(2 / 3, 6),
            "precision_at_k": round(2 / 3, 6),
        }

    def test_a_passage_counts_once_and_a_repeat_takes_its_place(self) -> None:
        assert of_question("a", "a", "b", relevant="a b")["recall_at_k"] == 1.0
        assert of_question("a", "a", "b", relevant="a b", k=2)["recall_at_k"] == 0.5
        assert of_question("a", "a", "b", relevant="a b")["ndcg"] < 1.0

    def test_what_stands_behind_k_does_not_count(self) -> None:
        assert set(of_question("x", "y", "z", "a", relevant="a").values()) == {0.0}
        assert set(of_question(relevant="a").values()) == {0.0}

    def test_a_question_that_nothing_answers_says_nothing(self) -> None:
        assert all(np.isnan(value) for value in question_values(["x"], [], 3).values())


class TestLists:
    @given(grades=GRADES, seed=st.integers(0, 2**32 - 1), k=st.integers(1, 12))
    def test_ndcg_agrees_with_scikit_learn_ties_too(self, grades: FloatArray, seed: int, k: int) -> None:
        scores = np.random.default_rng(seed).integers(0, 4, grades.size).astype(np.float64)
        found = of_list(grades, scores, k)
        if not grades.any():
            assert all(np.isnan(value) for value in found.values())
        elif grades.size > 1:
            assert found["ndcg"] == pytest.approx(ndcg_score([grades], [scores], k=k), abs=1e-12)

    @given(grades=GRADES, k=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
    def test_without_ties_a_list_is_a_question(self, grades: FloatArray, k: int, seed: int) -> None:
        grades = np.minimum(grades, 1.0)
        order = np.random.default_rng(seed).permutation(grades.size)
        scores = np.empty(grades.size)
        scores[order] = -np.arange(grades.size)
        relevant = [str(row) for row in np.flatnonzero(grades)]
        found = question_values([str(row) for row in order], relevant, k)
        assert of_list(grades, scores, k) == pytest.approx(found, nan_ok=True)

    @pytest.mark.parametrize("grades", [[0, 1, 0, 2, 0], [1, 1, 0, 0, 0], [3, 0, 0, 0, 0]])
    @pytest.mark.parametrize("scores", [[1, 1, 1, 1, 1], [2, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
    def test_ties_count_as_the_average_over_all_their_orders(
        self, grades: list[int], scores: list[int]
    ) -> None:
        truth, tied = np.array(grades, dtype=np.float64), np.array(scores, dtype=np.float64)
        orders = [
            order for order in permutations(range(5)) if all(np.diff([tied[row] for row in order]) <= 0)
        ]
        whole = []
        for order in orders:
            untied = np.empty(5)
            untied[list(order)] = -np.arange(5.0)
            whole.append(of_list(truth, untied, 3))
        found = of_list(truth, tied, 3)
        for name in ORDER_METRICS:
            assert found[name] == pytest.approx(np.mean([values[name] for values in whole]))

    def test_rows_of_a_list_need_not_stand_together(self) -> None:
        codes = np.array([0, 1, 0, 1, 2])
        lists = Lists(grades=np.array([1.0, 0, 0, 2, 0]), codes=codes, k=1)
        found = lists.judged(np.array([5.0, 9, 1, 3, 1])).values
        assert found["mrr"].tolist()[:2] == [1.0, 0.0]
        assert np.isnan(found["mrr"][2])
        chance = lists.at_random().values
        assert chance["precision_at_k"].tolist()[:2] == [0.5, 0.5]
        assert chance["ndcg"].tolist()[:2] == [0.5, 0.5]


COUNT, SIZE = 120, 8
CODES: IntArray = np.repeat(np.arange(COUNT), SIZE)
TASTE = np.random.default_rng(20261123).normal(size=COUNT * SIZE)
LISTS = Lists(grades=np.clip(np.round(TASTE), 0, 3), codes=CODES, k=3)


def rules_of(
    metric: str, task: Task, *thresholds: ThresholdRule, bound: float = 0.05, slices: bool = False
) -> GateRules:
    parts = (margin(metric, "no_worse_than", 0.2, by="segment"),) if slices else ()
    return replace(
        gate_rules(margin(metric, "no_worse_than", bound), *parts, thresholds=thresholds), task=task
    )


def ranked(noise: float, seed: int = 1) -> Predictions:
    return LISTS.judged(TASTE + noise * np.random.default_rng(seed).normal(size=TASTE.size))


TABLE = EvaluationTable(
    digest=gate_table(np.zeros(COUNT)).digest,
    truth=np.zeros(COUNT),
    slices={"segment": np.where(np.arange(COUNT) < 60, "new", "old")},
    clusters=None,
    reference=LISTS.at_random(),
)


class TestRanking:
    @pytest.mark.parametrize("metric", ORDER_METRICS)
    @pytest.mark.parametrize(("noise", "verdict"), [(0.4, "pass"), (5.0, "fail")])
    def test_lists_are_compared_pair_by_pair(self, metric: str, noise: float, verdict: str) -> None:
        decision = judged(
            rules_of(metric, "ranking", bound=0.1, slices=True),
            TABLE,
            ranked(noise),
            ranked(0.4, 2),
            kind="ranking",
        )
        assert check(decision, f"margin:{metric}").status == verdict
        assert check(decision, f"slice:segment=new:{metric}").rows in range(50, 61)
        assert contradictions(decision) == ()

    def test_lists_without_a_relevant_row_are_left_out_and_counted(self) -> None:
        without = sum(not LISTS.grades[code == CODES].any() for code in range(COUNT))
        assert without > 0
        decision = judged(rules_of("ndcg", "ranking"), TABLE, ranked(0.4), ranked(0.4, 2), kind="ranking")
        found = check(decision, "margin:ndcg")
        assert found.rows == COUNT - without
        assert f"{without} lists left out, to which ndcg does not apply" in found.message

    @pytest.mark.parametrize("metric", ORDER_METRICS)
    def test_a_first_release_must_beat_a_random_order(self, metric: str) -> None:
        for answers, passes in ((ranked(0.4), True), (ranked(1e9), False), (LISTS.at_random(), False)):
            decision = judged(rules_of(metric, "ranking"), TABLE, answers, None, kind="ranking")
            found = check(decision, "first-release:chance")
            assert (found.status == "pass") == (decision.verdict == "pass") == passes
        assert found.difference == 0.0

    def test_a_threshold_on_speed_does_not_stand_in_for_chance(self) -> None:
        quick = replace(ranked(1e9), latency_ms=np.full(400, 1.0))
        rules = rules_of("ndcg", "ranking", at_most("latency_p95_ms", 50.0))
        decision = judged(rules, TABLE, quick, None, kind="ranking")
        assert check(decision, "threshold:latency_p95_ms").status == "pass"
        assert decision.verdict != "pass"


QUESTIONS = 200
UNSUPPORTED = np.arange(QUESTIONS) % 4 == 0


def assistant(quality: float, *, cost: float = 0.01) -> Predictions:
    """Answers of which this share is right; nothing is retrieved for the unsupported questions."""
    random = np.random.default_rng(round(1000 * (quality + cost)))
    right = (random.random(QUESTIONS) < quality).astype(np.float64)
    return Predictions(
        score=None,
        decision=None,
        values={
            "groundedness": np.where(UNSUPPORTED, np.nan, 0.5 + 0.5 * right),
            "ndcg": np.where(UNSUPPORTED, np.nan, right),
            "abstention": right,
            "cost_per_request": cost * (1.0 + random.random(QUESTIONS)),
        },
    )


ASKED = gate_table(np.zeros(QUESTIONS))


class TestAssistant:
    @pytest.mark.parametrize(
        ("metric", "questions", "method"),
        [
            ("groundedness", 150, "paired t"),
            ("ndcg", 150, "Tango score, paired"),
            ("abstention", 200, "Tango score, paired"),
        ],
    )
    @pytest.mark.parametrize(("quality", "verdict"), [(0.95, "pass"), (0.3, "fail")])
    def test_questions_are_compared_where_the_metric_applies(
        self, metric: str, questions: int, method: str, quality: float, verdict: str
    ) -> None:
        rules = rules_of(metric, "assistant", bound=0.1)
        decision = judged(rules, ASKED, assistant(quality), assistant(0.94), kind="assistant")
        found = check(decision, f"margin:{metric}")
        assert (found.status, found.rows, found.method) == (verdict, questions, method)
        assert ("50 questions left out" in found.message) == (questions == 150)

    @pytest.mark.parametrize(("cost", "verdict"), [(0.01, "pass"), (0.1, "fail")])
    def test_of_cost_less_is_better(self, cost: float, verdict: str) -> None:
        rules = rules_of("cost_per_request", "assistant", bound=0.005)
        decision = judged(rules, ASKED, assistant(0.9, cost=cost), assistant(0.9), kind="assistant")
        assert check(decision, "margin:cost_per_request").status == verdict

    @pytest.mark.parametrize(
        ("threshold", "verdict"),
        [
            (at_least("groundedness", 0.8), "pass"),
            (at_least("groundedness", 1.0), "fail"),
            (at_least("abstention", 0.8), "pass"),
            (at_most("cost_per_request", 1.0), "inconclusive"),
            (None, "inconclusive"),
        ],
    )
    def test_a_first_release_needs_a_bound_on_quality(
        self, threshold: ThresholdRule | None, verdict: str
    ) -> None:
        rules = rules_of("groundedness", "assistant", *(() if threshold is None else (threshold,)))
        decision = judged(rules, ASKED, assistant(0.95), None, kind="assistant")
        assert decision.verdict == verdict
        unbounded = [c for c in decision.checks if c.id == "first-release:thresholds"]
        assert bool(unbounded) == (verdict == "inconclusive")

    def test_a_metric_that_applies_nowhere_decides_nothing(self) -> None:
        silent = Predictions(score=None, decision=None, values={"ndcg": np.full(QUESTIONS, np.nan)})
        rules = rules_of("ndcg", "assistant", at_least("ndcg", 0.5))
        decision = judged(rules, ASKED, silent, None, kind="assistant")
        assert check(decision, "threshold:ndcg").status == "inconclusive"
        assert "ndcg applies to none of the questions" in check(decision, "threshold:ndcg").message

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"groundedness": np.full(QUESTIONS, 1.5)},
                "groundedness of the candidate must be between 0 and 1",
            ),
            ({"cost_per_request": np.full(QUESTIONS, -1.0)}, "must be 0 or more and finite"),
            ({"cost_per_request": np.full(QUESTIONS, np.inf)}, "must be 0 or more and finite"),
            ({"groundedness": np.zeros(3)}, "values of shape (3,) for 200"),
            ({"quality": np.zeros(QUESTIONS)}, "no metric of lists or questions"),
            ({"ndcg": np.zeros(QUESTIONS)}, "the candidate gives no groundedness"),
        ],
    )
    def test_values_out_of_reach_are_refused(self, values: dict[str, FloatArray], message: str) -> None:
        answers = Predictions(score=None, decision=None, values=values)
        with pytest.raises(DataError) as caught:
            judged(rules_of("groundedness", "assistant"), ASKED, answers, None, kind="assistant")
        assert message in caught.value.what

    def test_questions_of_one_thread_count_once(self) -> None:
        threads = np.repeat(np.arange(40), 5)
        good, better = assistant(0.7), assistant(0.71)
        table = gate_table(np.zeros(QUESTIONS), clusters=threads)
        decision = judged(
            rules_of("groundedness", "assistant", bound=0.2), table, good, better, kind="assistant"
        )
        assert check(decision, "margin:groundedness").method == "paired t, clustered"
        assert "40 clusters" in check(decision, "margin:groundedness").message


@given(
    values=arrays(np.float64, st.integers(1, 40), elements=st.floats(-1.0, 1.0)),
    alpha=st.floats(0.001, 0.2),
)
def test_a_bounded_mean_has_limits_that_agree_with_its_p_values(values: FloatArray, alpha: float) -> None:
    mean = BoundedMean(value=float(np.mean(values)), count=values.size, least=-1.0, most=1.0)
    lower, upper = mean.lower(alpha), mean.upper(alpha)
    assert -1.0 <= lower <= mean.value <= upper <= 1.0
    assert mean.p_above(lower - 1e-6) <= alpha * (1 + 1e-9)
    assert mean.p_below(upper + 1e-6) <= alpha * (1 + 1e-9)
    assert lower == -1.0 or mean.p_above(lower + 1e-6) > alpha * (1 - 1e-3)
    # Hoeffding's simpler inequality is the weaker one.
    assert mean.value - lower <= 2 * np.sqrt(np.log(1 / alpha) / (2 * values.size)) + 1e-9


def test_a_forecast_must_beat_the_naive_one_even_with_a_threshold() -> None:
    truth = np.cumsum(np.random.default_rng(3).normal(size=400))
    naive = np.roll(truth, 1)
    naive[0] = truth[0]
    rules = gate_rules(margin("mae", "no_worse_than", 0.1), thresholds=(at_most("mae", 50.0),))
    rules = replace(rules, task="regression", recipe=replace(rules.recipe, naive="yesterday"))
    table = replace(gate_table(truth), reference=Predictions(score=naive, decision=None))
    for share, verdict in ((0.5, "pass"), (1.0, "inconclusive"), (1.5, "fail")):
        forecast = Predictions(score=truth + share * (naive - truth), decision=None)
        decision = judged(rules, table, forecast, None, kind="regression")
        assert decision.verdict == verdict
        assert "the naive forecast in column yesterday" in check(decision, "first-release:naive").message
