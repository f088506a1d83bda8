"""Row influences, DeLong's variance, the effective number of rows, clusters: against slow ways, and calibrated."""

import numpy as np
import pytest
from gate_cases import binormal, noisy, paired_rows, scored

from signoff.gate.arrays import FloatArray, IntArray
from signoff.gate.estimate import FewDifferences, Logit, StudentT, Undecided
from signoff.gate.influence import INFLUENCES, Influence
from signoff.gate.interval import interval
from signoff.gate.measure import compare, measure
from signoff.gate.metrics import POINT_METRICS
from signoff.gate.proportions import Proportion
from signoff.gate.rows import Rows


def naive_delong(truth: FloatArray, one: FloatArray, two: FloatArray) -> tuple[float, float]:
    """AUC difference and its variance from all pairs."""

    def kernel(score: FloatArray) -> FloatArray:
        positives, negatives = score[truth == 1.0][:, None], score[truth == 0.0][None, :]
        return np.asarray((positives > negatives) + 0.5 * (positives == negatives), dtype=np.float64)

    wins = kernel(one) - kernel(two)
    of_positives, of_negatives = wins.mean(axis=1), wins.mean(axis=0)
    variance = of_positives.var(ddof=1) / of_positives.size + of_negatives.var(ddof=1) / of_negatives.size
    return float(wins.mean()), float(variance)


@pytest.mark.parametrize("digits", [1, 2, 15])
def test_delong_agrees_with_all_pairs_under_ties(digits: int) -> None:
    random = np.random.default_rng(digits)
    truth, score = binormal(random, 300)
    one, two = np.round(score, digits), np.round(noisy(random, score, 0.7), digits)
    estimate = compare("roc_auc", "classification", paired_rows(truth, one, two)).estimate
    difference, variance = naive_delong(truth, one, two)
    assert isinstance(estimate, StudentT)
    assert estimate.value == pytest.approx(difference, abs=1e-15)
    assert estimate.se == pytest.approx(variance**0.5, rel=1e-12)


@pytest.mark.parametrize(
    "name", [name for name in POINT_METRICS if name not in {"rmse", "recall", "log_loss"}]
)
def test_influence_is_what_leaving_a_row_out_changes(name: str) -> None:
    random = np.random.default_rng(3)
    truth, score = binormal(random, 300)
    answers = (
        (score > 0.6).astype(np.float64) if name in {"accuracy", "precision", "f1"} else np.round(score, 2)
    )
    influence = INFLUENCES[name](truth, answers)
    assert isinstance(influence, Influence)
    values = np.array(
        [POINT_METRICS[name](np.delete(truth, i), np.delete(answers, i)) for i in range(300)],
        dtype=np.float64,
    )
    jackknife = (values.mean() - values) * 299 / 300
    assert influence.value == POINT_METRICS[name](truth, answers)
    assert np.sum(influence.parts) == pytest.approx(0.0, abs=1e-12)
    assert np.corrcoef(influence.parts, jackknife)[0, 1] > 0.999
    assert np.sum(influence.parts**2) == pytest.approx(np.sum(jackknife**2), rel=0.05)


def test_rmse_is_decided_on_squared_errors_and_reported_in_its_own_units() -> None:
    random = np.random.default_rng(4)
    truth = random.normal(size=200)
    rows = paired_rows(truth, truth + 0.9 * random.normal(size=200), truth + random.normal(size=200))
    root, square = compare("rmse", "regression", rows), compare("mse", "regression", rows)
    assert root.candidate is not None
    assert root.baseline is not None
    assert root.difference == pytest.approx(root.baseline - root.candidate)
    assert isinstance(root.estimate, StudentT)
    assert isinstance(square.estimate, StudentT)
    assert root.estimate.p_above(0.0) == pytest.approx(square.estimate.p_above(0.0))
    alone = measure("rmse", "regression", rows).limits(0.05)
    squared = measure("mse", "regression", rows).limits(0.05)
    assert alone is not None
    assert squared is not None
    assert np.square(alone) == pytest.approx(squared)


def test_losses_are_signed_so_that_more_is_better() -> None:
    random = np.random.default_rng(5)
    truth, score = binormal(random, 400)
    better, worse = score, noisy(random, score, 2.0)
    for name in ("log_loss", "brier", "roc_auc"):
        measured = compare(name, "classification", paired_rows(truth, better, worse))
        assert measured.difference is not None
        assert measured.difference > 0, name


@pytest.mark.parametrize(
    ("positives", "negatives", "reason"),
    [(19, 300, "only 19 rows of the rarer class"), (0, 300, "only one class")],
)
def test_too_few_of_one_class_leave_auc_undecided(positives: int, negatives: int, reason: str) -> None:
    truth = np.repeat([1.0, 0.0], [positives, negatives])
    random = np.random.default_rng(6)
    rows = paired_rows(truth, random.random(truth.size), random.random(truth.size))
    estimate = compare("roc_auc", "classification", rows).estimate
    assert isinstance(estimate, Undecided)
    assert reason in estimate.reason


def test_twenty_of_the_rarer_class_allow_an_interval() -> None:
    truth = np.repeat([1.0, 0.0], [20, 300])
    random = np.random.default_rng(6)
    rows = paired_rows(truth, random.random(truth.size), random.random(truth.size))
    assert isinstance(compare("roc_auc", "classification", rows).estimate, StudentT)


def test_three_misranked_rows_are_no_basis_for_a_t_interval() -> None:
    truth = np.repeat([1.0, 0.0], [200, 800])
    perfect = np.linspace(1.0, 0.0, 1000)
    spoiled = perfect.copy()
    spoiled[[3, 40, 90]] = [0.2, 0.5, 0.1]
    estimate = compare("roc_auc", "classification", paired_rows(truth, spoiled, perfect)).estimate
    assert isinstance(estimate, Undecided)
    assert "carry the difference" in estimate.reason
    alone = measure("roc_auc", "classification", paired_rows(truth, spoiled, perfect)).estimate
    assert isinstance(alone, Proportion)
    assert 0.95 < alone.lower(0.05) < alone.value


@pytest.mark.parametrize("name", ["roc_auc", "precision", "f1", "log_loss", "brier"])
def test_equal_answers_leave_the_doubt_of_the_rule_of_three(name: str) -> None:
    truth, score = binormal(np.random.default_rng(7), 500)
    estimate = compare(name, "classification", paired_rows(truth, score, score.copy())).estimate
    assert isinstance(estimate, FewDifferences)
    assert -0.1 < estimate.lower(0.05) < 0.0 < estimate.upper(0.05) < 0.1


def test_f1_of_a_nearly_perfect_model_is_bounded_by_its_few_errors() -> None:
    truth = np.tile([1.0, 0.0], 200)
    answers = truth.copy()
    answers[:2] = 1.0 - answers[:2]
    limits = measure("f1", "classification", paired_rows(truth, answers, truth)).limits(0.05)
    assert limits is not None
    assert 0.9 < limits[0] < 0.995 < limits[1] == 1.0


def test_average_precision_of_one_model_has_limits_within_0_and_1() -> None:
    truth, score = binormal(np.random.default_rng(8), 400, prevalence=0.1, separation=3.0)
    measured = measure("average_precision", "classification", paired_rows(truth, score, score))
    limits = measured.limits(0.005)
    assert isinstance(measured.estimate, Logit)
    assert limits is not None
    assert 0.0 < limits[0] < measured.estimate.value < limits[1] < 1.0


@pytest.mark.parametrize("skewed", [False, True])
def test_a_skewed_metric_has_no_more_freedom_than_half_the_rows_that_carry_it(skewed: bool) -> None:  # noqa: FBT001
    parts = np.concatenate([np.full(1000, 0.001), np.full(1000, -0.001), np.tile([1.0, -1.0], 8)])
    few = Influence(value=0.0, parts=parts, effect=1.0)
    estimate = interval(few, center=0.0, strata=None, clusters=None, skewed=skewed, fallback=None, method="t")
    assert isinstance(estimate, StudentT)
    assert estimate.df == pytest.approx(8.0 if skewed else 2015.0, rel=0.01)


def pareto_clusters(random: np.random.Generator, groups: int) -> IntArray:
    """Customers with 2 to 100 rows, about 10 on average."""
    sizes = np.minimum(2.0 * (random.pareto(1.2, size=groups) + 1.0), 100.0).astype(np.int64)
    return np.repeat(np.arange(groups), sizes)


def test_clusters_of_one_row_change_nothing() -> None:
    random = np.random.default_rng(9)
    truth, score = binormal(random, 200)
    rows = paired_rows(truth, score, noisy(random, score, 1.0))
    apart = paired_rows(truth, score, score, np.arange(200)).where(np.ones(200, dtype=np.bool_))
    assert apart.clusters is None
    parts = Influence(value=0.1, parts=random.normal(size=200) / 200, effect=1.0)
    independent, clustered = (
        interval(parts, center=0.0, strata=None, clusters=c, skewed=True, fallback=None, method="t")
        for c in (None, np.arange(200))
    )
    assert isinstance(independent, StudentT)
    assert isinstance(clustered, StudentT)
    assert (independent.se, independent.df) == pytest.approx((clustered.se, clustered.df))
    assert rows.clusters is None


@pytest.mark.parametrize("name", ["roc_auc", "recall", "brier"])
def test_fewer_than_twenty_clusters_are_undecided(name: str) -> None:
    random = np.random.default_rng(10)
    truth, score = binormal(random, 400)
    rows = paired_rows(truth, score, noisy(random, score, 1.0), np.arange(400) % 19)
    estimate = compare(name, "classification", rows).estimate
    assert estimate == Undecided(reason="only 19 clusters, at least 20 are needed")


def false_passes(*, clustered: bool, repetitions: int) -> float:
    """How often harm exactly at the margin passes when the rows of a customer share their luck."""
    random, passes, margin = np.random.default_rng(11), 0, 0.05
    for _ in range(repetitions):
        clusters = pareto_clusters(random, 50)
        shared = random.normal(size=50)[clusters]
        truth = random.normal(size=clusters.size)
        harmed = truth + np.sqrt(1.0 + margin + 0.8 * np.clip(shared, -1.2, 1.2))
        rows = Rows(
            truth=truth,
            candidate=scored(harmed),
            baseline=scored(truth + 1.0),
            clusters=clusters if clustered else None,
        )
        estimate = compare("mse", "regression", rows).estimate
        passes += not isinstance(estimate, Undecided) and estimate.p_above(-margin) < 0.05
    return passes / repetitions


def test_ignored_clusters_let_too_much_pass_and_summed_ones_do_not() -> None:
    assert false_passes(clustered=False, repetitions=300) > 0.12
    assert false_passes(clustered=True, repetitions=300) < 0.10


@pytest.mark.parametrize(("separation", "positives"), [(1.2, 30), (2.4, 100), (3.3, 100)])
def test_auc_harm_at_the_margin_passes_at_most_at_its_rate(separation: float, positives: int) -> None:
    """Also where few misranked rows carry the variance, at AUC .95 and .99; margin = the true loss."""
    random, passes, repetitions = np.random.default_rng(12), 0, 400
    truth = np.repeat([1.0, 0.0], [positives, 500])
    loss = float(_normal_auc(separation * 0.8) - _normal_auc(separation))
    for _ in range(repetitions):
        common = random.normal(size=truth.size)
        mine, theirs = (0.7 * common + 0.714 * random.normal(size=truth.size) for _ in range(2))
        rows = paired_rows(truth, mine + 0.8 * separation * truth, theirs + separation * truth)
        estimate = compare("roc_auc", "classification", rows).estimate
        passes += not isinstance(estimate, Undecided) and estimate.p_above(loss) < 0.05
    assert passes / repetitions < 0.05 + 4 * (0.05 * 0.95 / repetitions) ** 0.5


def _normal_auc(separation: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(separation / 2**0.5))
