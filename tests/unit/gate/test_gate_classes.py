"""Many classes: macro-F1 with its interval, guards per label, and labels that keep their meaning."""

from dataclasses import replace

import numpy as np
import pytest
from gate_cases import check, gate_rules, gate_table, judged, margin
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from signoff.errors import DataError
from signoff.gate.arrays import FloatArray, StrArray
from signoff.gate.estimate import Estimate, Undecided
from signoff.gate.influence import macro_f1_influence
from signoff.gate.labels import (
    KnownLabels,
    LabelMap,
    class_codes,
    joined_classes,
    label_map_paths,
    parse_label_map,
    stable_labels,
)
from signoff.gate.measure import compare, measure
from signoff.gate.metrics import macro_f1
from signoff.gate.model import EvaluationTable, Predictions
from signoff.gate.rows import Rows
from signoff.gate.verdict import contradictions
from signoff.standard.model import GateRules, Requirement

RANDOM = np.random.default_rng(20261123)
CLASSES = ("billing", "delivery", "returns")
TRUTH = RANDOM.choice(3, size=900, p=[0.6, 0.3, 0.1]).astype(np.float64)


def answered(right: float, random: np.random.Generator = RANDOM, truth: FloatArray = TRUTH) -> FloatArray:
    """The class where the model is right, else any class."""
    return np.where(random.random(truth.size) < right, truth, random.integers(0, 3, truth.size)).astype(
        np.float64
    )


def decided(decision: FloatArray) -> Predictions:
    return Predictions(score=None, decision=decision)


def rows_of(truth: FloatArray, candidate: FloatArray, baseline: FloatArray | None = None) -> Rows:
    other = None if baseline is None else decided(baseline)
    return Rows(truth=truth, candidate=decided(candidate), baseline=other, clusters=None, classes=CLASSES)


def table_of(truth: FloatArray = TRUTH, topic: StrArray | None = None) -> EvaluationTable:
    table = gate_table(truth) if topic is None else gate_table(truth, topic=topic)
    return replace(table, classes=CLASSES)


def rules_of(metric: str = "macro_f1", margin_: float = 0.05) -> GateRules:
    return replace(gate_rules(margin(metric, "no_worse_than", margin_)), task="multiclass")


GOOD, TWIN, WEAK = answered(0.85), answered(0.85), answered(0.4)


class TestMacroF1:
    def test_by_hand(self) -> None:
        """Class 0: 2 hits of 3 rows and 2 flags; class 1: 1 of 2 and 2; class 2: 1 of 1 and 2."""
        truth, said = np.array([0, 0, 0, 1, 1, 2.0]), np.array([0, 0, 1, 1, 2, 2.0])
        assert macro_f1(truth, said) == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)

    @given(
        truth=arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_it_agrees_with_scikit_learn_and_its_parts_sum_to_nothing(
        self, truth: FloatArray, seed: int
    ) -> None:
        said = np.random.default_rng(seed).integers(0, 4, truth.size).astype(np.float64)
        found = macro_f1_influence(truth, said, ("a", "b", "c", "d"))
        if np.unique(truth).size < 4:
            assert isinstance(found, Undecided)
            return
        assert not isinstance(found, Undecided)
        assert found.value == macro_f1(truth, said, 4)
        assert found.value == pytest.approx(f1_score(truth, said, average="macro"), abs=1e-12)
        assert np.sum(found.parts) == pytest.approx(0.0, abs=1e-12)

    def test_parts_are_the_slope_of_the_metric_in_the_weight_of_a_row(self) -> None:
        found = macro_f1_influence(TRUTH, GOOD, CLASSES)
        assert not isinstance(found, Undecided)
        many = 1000
        for row in (0, 17, 400):
            repeated = np.append(np.tile(TRUTH, many), TRUTH[row]), np.append(np.tile(GOOD, many), GOOD[row])
            moved = macro_f1(*repeated)
            assert moved is not None
            assert (moved - found.value) * many == pytest.approx(found.parts[row], rel=0.02, abs=1e-9)

    @pytest.mark.parametrize("right", [0.5, 0.8, 0.95])
    def test_its_limits_hold_as_often_as_they_say(self, right: float) -> None:
        """Of 300 tables the upper and the lower limit at 5 % miss the truth in 15 each, give or take."""
        random = np.random.default_rng(5)
        truth = np.repeat([0.0, 1.0, 2.0], [150, 60, 25])
        estimates: list[Estimate] = []
        for _ in range(300):
            both = (answered(right, random, truth) for _ in range(2))
            estimate = compare("macro_f1", "multiclass", rows_of(truth, *both)).estimate
            assert not isinstance(estimate, Undecided)
            estimates.append(estimate)
        missed = [sum(e.lower(0.05) > 0.0 for e in estimates), sum(e.upper(0.05) < 0.0 for e in estimates)]
        assert max(missed) <= 25  # binomial(300, 0.05) exceeds it once in 150 times
        assert min(missed) > 0

    def test_fewer_than_20_rows_of_a_class_decide_nothing(self) -> None:
        truth = np.repeat([0.0, 1.0, 2.0], [200, 200, 19])
        estimate = measure("macro_f1", "multiclass", rows_of(truth, truth)).estimate
        assert estimate == Undecided(reason="only 19 rows of class returns, at least 20 are needed")

    def test_a_class_without_a_row_leaves_it_undefined(self) -> None:
        some = TRUTH < 2.0
        found = measure("macro_f1", "multiclass", rows_of(TRUTH[some], GOOD[some]))
        assert found.candidate is None
        assert found.estimate == Undecided(reason="no row is of class returns: macro_f1 is undefined")

    def test_a_model_without_an_error_is_known_within_the_rule_of_three(self) -> None:
        found = measure("macro_f1", "multiclass", rows_of(TRUTH, TRUTH))
        limits = found.limits(0.05)
        assert limits is not None
        assert (found.candidate, limits[1]) == (1.0, 1.0)
        assert 0.9 < limits[0] < 1.0


class TestDecision:
    @pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
    @pytest.mark.parametrize(("candidate", "verdict"), [(GOOD, "pass"), (WEAK, "fail")])
    def test_a_loss_fails(self, metric: str, candidate: FloatArray, verdict: str) -> None:
        decision = judged(rules_of(metric), table_of(), decided(candidate), decided(TWIN), kind="multiclass")
        assert decision.verdict == verdict
        assert contradictions(decision) == ()

    def test_accuracy_by_the_label_is_its_recall_and_finds_a_label_that_is_lost(self) -> None:
        """Nearly all rows of one label are given away, which hardly moves the whole."""
        lost = np.where((TRUTH == 2.0) & (np.arange(900) % 2 == 0), 0.0, GOOD)
        names = np.array(CLASSES)[TRUTH.astype(int)]
        rules = replace(
            rules_of("accuracy", 0.1), slices=(margin("accuracy", "no_worse_than", 0.2, by="topic"),)
        )
        decision = judged(rules, table_of(topic=names), decided(lost), decided(GOOD), kind="multiclass")
        assert check(decision, "margin:accuracy").status == "pass"
        found = check(decision, "slice:topic=returns:accuracy")
        assert found.status == "fail"
        assert found.candidate == pytest.approx(float(np.mean(lost[TRUTH == 2.0] == 2.0)))
        assert check(decision, "slice:topic=billing:accuracy").status == "pass"

    @pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
    def test_a_first_release_must_beat_the_most_frequent_class(self, metric: str) -> None:
        for candidate, passes in ((GOOD, True), (np.zeros_like(TRUTH), False)):
            decision = judged(rules_of(metric), table_of(), decided(candidate), None, kind="multiclass")
            found = check(decision, "first-release:constant")
            assert (found.status == "pass") == (decision.verdict == "pass") == passes
            assert "always answering the most frequent class" in found.message

    @pytest.mark.parametrize(
        ("truth", "decision", "message"),
        [
            (TRUTH, np.where(TRUTH == 0.0, 3.0, TRUTH), "must be codes of 3 classes; found [3.0]"),
            (TRUTH, TRUTH + 0.5, "must be codes of 3 classes; found [0.5"),
            (np.where(TRUTH == 0.0, -1.0, TRUTH), TRUTH, "labels must be codes of 3 classes; found -1"),
            (np.zeros(900), TRUTH, "with one class there is nothing to tell apart"),
        ],
    )
    def test_what_is_no_code_is_refused(self, truth: FloatArray, decision: FloatArray, message: str) -> None:
        with pytest.raises(DataError) as caught:
            judged(rules_of(), table_of(truth), decided(decision), None, kind="multiclass")
        assert message in caught.value.what


def known(*model: str | int, maps: tuple[tuple[str | int, ...], ...] | None = None) -> KnownLabels:
    found = (model,) if maps is None else maps
    return KnownLabels(
        model=model, maps=tuple(LabelMap(path="evidence/label_map.json", labels=m) for m in found)
    )


class TestStableLabels:
    @pytest.mark.parametrize(
        ("candidate", "production", "status", "message"),
        [
            (known("a", "b"), None, "pass", "2 classes in the order of evidence/label_map.json: 'a', 'b'"),
            (known("a", "b"), known("a", "b"), "pass", "in the order of production and evidence/label_map.json"),
            (known("b", "a"), known("a", "b"), "fail", "of the production model in another order: place 0 is 'b'"),
            (known("a", "b", "c"), known("a", "b"), "fail", "of the production model with 'c' beside"),
            (known("a", "b"), known("a", "b", "c"), "fail", "of the production model without 'c'"),
            (known("a", "b", maps=()), None, "fail", "logged no label map as JSON; log it: signoff.log_evidence"),
            (known("a", "b", maps=(("b", "a"),)), None, "fail", "of the label map evidence/label_map.json in another"),
            (known("a", "b", maps=(("a", "b"), ("b", "a"))), None, "fail", "in another order"),
            (known("a", "c"), None, "fail", "labels that the model does not know: 'b'"),
            (known(0, 1, maps=(("a", "b"),)), known(0, 1, maps=(("a", "b"),)), "fail", "does not know: 'a', 'b'"),
            (KnownLabels(model=None, maps=()), None, "inconclusive", "does not say which classes"),
            (known("a", "b"), KnownLabels(model=None, maps=()), "inconclusive", "the production model does not say"),
        ],
    )  # fmt: skip
    def test_names_and_order(
        self, candidate: KnownLabels, production: KnownLabels | None, status: str, message: str
    ) -> None:
        found = stable_labels(candidate=candidate, production=production, seen=("a", "b"))
        assert (found.id, found.status, found.severity) == ("stable:labels", status, "block")
        assert message in found.message

    @pytest.mark.parametrize(
        ("mine", "theirs", "status", "message"),
        [
            ((("a", "b"),), (("a", "b"),), "pass", "'a', 'b'"),
            (
                (("b", "a"),),
                (("a", "b"),),
                "fail",
                "the label map has the classes of the production model's label map",
            ),
            ((("a", "b", "c"),), (("a", "b"),), "fail", "answers with 2 indexes, the label map"),
            ((("a", "b"),), (), "inconclusive", "no label map that says what they meant"),
        ],
    )
    def test_indexes_mean_what_the_label_maps_say(
        self,
        mine: tuple[tuple[str, ...], ...],
        theirs: tuple[tuple[str, ...], ...],
        status: str,
        message: str,
    ) -> None:
        found = stable_labels(
            candidate=known(0, 1, maps=mine), production=known(0, 1, maps=theirs), seen=(0, 1)
        )
        assert found.status == status
        assert message in found.message

    def test_a_number_is_not_its_text(self) -> None:
        found = stable_labels(candidate=known(1, 2, maps=(("1", "2"),)), production=None, seen=(1, 2))
        assert found.status == "fail"

    @settings(max_examples=50)
    @given(
        labels=st.lists(
            st.one_of(st.text(max_size=9), st.integers(-9, 9), st.booleans()),
            min_size=1,
            unique_by=lambda label: (type(label), label),
        ),
        as_list=st.booleans(),
    )
    def test_a_label_map_is_read_as_it_was_written(self, labels: list[str | int], *, as_list: bool) -> None:
        import json

        written = labels if as_list else {str(place): label for place, label in enumerate(labels)}
        assert parse_label_map(json.dumps(written).encode(), "m.json").labels == tuple(labels)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b'{"0": "a", "2": "b"}', "not the indexes from 0 to 1"),
            (b'{"a": 0, "b": 1}', "not the indexes from 0 to 1"),
            (b'{"00": "a"}', "not the indexes from 0 to 0"),
            (b'{"0": "a", "0": "b"}', "a key twice"),
            (b'["a", "a"]', "names a label twice"),
            (b'["a", null]', "a label is text"),
            (b'["a", NaN]', "NaN is no JSON"),
            (b'["a", 1e999]', "a label is text"),
            (b"[]", "names no label"),
            (b'"ab"', "neither a list nor an object"),
            (b"[", "Expecting value"),
            (b"\xff", "utf-8"),
            (b"[" * 100_000, "recursion"),
            (b'["' + b"a" * 1_000_000 + b'"]', "more than any label map"),
        ],
    )
    def test_any_other_file_is_refused(self, content: bytes, problem: str) -> None:
        with pytest.raises(DataError) as caught:
            parse_label_map(content, "evidence/label_map.json")
        assert problem in caught.value.what

    def test_the_label_map_is_found_under_the_names_that_the_standard_accepts(self) -> None:
        asked = Requirement(
            kind="artifact", name="label_map", accepts=("label_map", "label_map.*", "*id2label*"),
            why="", how="", by="you", severity="block", origin="",
        )  # fmt: skip
        files = ("config/id2label.json", "evidence/notes.md", "evidence/label_map.csv")
        assert label_map_paths(files, [asked]) == ("config/id2label.json",)
        assert label_map_paths((*files, "label_map.json"), [asked]) == ("label_map.json",)
        assert label_map_paths(files[1:], [asked]) == ()


def test_codes_are_places_among_all_classes_of_table_and_models() -> None:
    classes = joined_classes(("b", "c"), ("a", "b"), None, ("c", "d"))
    assert classes == ("b", "c", "a", "d")
    assert class_codes(["c", "b", "d"], classes).tolist() == [1.0, 0.0, 3.0]
