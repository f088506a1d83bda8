"""The figures behind the churn example, for every week that the data allow.

    python benchmarks/churn_story.py

For each evaluation week: the production model is the recency-frequency model trained the week before, decided at
0.5. Three candidates are held against it, as the example's standard asks: the same model retrained; the rich model
at 0.5; the rich model with the threshold of the last labelled week. Then the rich model's own weekly retraining.
Prints two tables and ends with one line of JSON.

Verdicts are the gate's own, under the example's ``signoff.yaml``. The intervals of the gain in AUC are computed
here, after DeLong, DeLong and Clarke-Pearson (Biometrics 1988, 44:837), without the gate's code.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "churn"
sys.path[:0] = [str(EXAMPLE.parents[1]), str(EXAMPLE / "team")]

import features  # noqa: E402 - the example is no package: its folders are put on the path above
import model  # noqa: E402

from examples.churn import retail  # noqa: E402
from signoff.gate.decide import decide  # noqa: E402
from signoff.gate.model import EvaluationTable, GateContext, GateDecision, ModelRef, Predictions, Verdict  # noqa: E402
from signoff.record.digest import Digest  # noqa: E402
from signoff.standard.load import load_standard  # noqa: E402

STANDARD = load_standard((EXAMPLE / "team" / "signoff.yaml").read_text("utf-8"), "signoff.yaml")

FIRST_FIT_WEEKS = 26  # evaluation starts once there are half a year of snapshots to fit on
SEED = 7
LAST = 12

Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """One model's answers on the customers of a week.

    Attributes:
        score: probability of churn, shape (rows,).
        flagged: what the model decides, shape (rows,).
    """

    score: Floats
    flagged: Bools

    @property
    def predictions(self) -> Predictions:
        """As the gate takes them."""
        return Predictions(score=self.score, decision=self.flagged.astype("float64"))

    @property
    def digest(self) -> Digest:
        """Stands in for that of the model's files."""
        return Digest.of(self.score.tobytes() + self.flagged.tobytes())


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A candidate against the production model on one week.

    Attributes:
        auc: gain in AUC.
        auc_low: lower end of its two-sided 95 % interval.
        auc_high: upper end.
        top: gain in recall on the top 20 %.
        rest: gain in recall on the rest.
        precision: gain in precision.
        verdict: of the gate, under the example's standard.
    """

    auc: float
    auc_low: float
    auc_high: float
    top: float
    rest: float
    precision: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Week:
    """All figures of one evaluation week."""

    week: str
    customers: int
    churned_top: int
    base_rate: float
    fit_weeks: int
    auc_plain: float
    auc_rich: float
    recall_plain: float
    recall_rich: float
    top_plain: float
    top_rich: float
    threshold: float
    retrained: Comparison
    rich: Comparison
    successor: Comparison
    rich_retrained: Comparison


class Story:
    """The models of every week, each fitted once."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.score = lru_cache(maxsize=None)(self._score)
        self.estimator = lru_cache(maxsize=None)(self._estimator)

    def rows(self, week: pd.Timestamp) -> pd.DataFrame:
        """The customers of one week."""
        return self.table[self.table["week"] == week]

    def answers(
        self, feature_set: str, today: pd.Timestamp, week: pd.Timestamp, threshold: float = 0.5
    ) -> Answers:
        """What the model trained on Monday ``today`` says about the customers of ``week``."""
        score = self.score(feature_set, today, week)
        return Answers(score=score, flagged=score >= threshold)

    def threshold(self, today: pd.Timestamp) -> float:
        """The successor's, from the validation week, against the model released the week before."""
        line = model.TimeLine(today=today)
        before = self.answers("recency-frequency", today - pd.Timedelta(weeks=1), line.validation)
        candidate = self.score("rich", today, line.validation)
        return model.last_week_threshold(self.rows(line.validation), candidate, before.flagged)

    def measure(self, today: pd.Timestamp) -> Week:
        """All figures of the evaluation week of Monday ``today``."""
        line, before = model.TimeLine(today=today), today - pd.Timedelta(weeks=1)
        week, rows = line.evaluation, self.rows(line.evaluation)
        production = self.answers("recency-frequency", before, week)
        rich = self.answers("rich", today, week)
        threshold, kept = self.threshold(today), self.threshold(before)
        top = rows["value_band"] == features.TOP
        return Week(
            week=f"{week:%Y-%m-%d}",
            customers=len(rows),
            churned_top=int((top & (rows["churned"] == 1)).sum()),
            base_rate=float(rows["churned"].mean()),
            fit_weeks=int(line.fit_rows(self.table)["week"].nunique()),
            auc_plain=delong(rows, production.score, production.score)[0],
            auc_rich=delong(rows, rich.score, rich.score)[0],
            recall_plain=model.recall(rows, production.flagged),
            recall_rich=model.recall(rows, rich.flagged),
            top_plain=model.recall(rows, production.flagged, features.TOP),
            top_rich=model.recall(rows, rich.flagged, features.TOP),
            threshold=threshold,
            retrained=compare(rows, self.answers("recency-frequency", today, week), production),
            rich=compare(rows, rich, production),
            successor=compare(rows, self.answers("rich", today, week, threshold), production),
            rich_retrained=compare(
                rows, self.answers("rich", today, week, kept), self.answers("rich", before, week, kept)
            ),
        )

    def _estimator(self, feature_set: str, today: pd.Timestamp) -> object:
        return model.fit(model.TimeLine(today=today).fit_rows(self.table), feature_set, SEED)

    def _score(self, feature_set: str, today: pd.Timestamp, week: pd.Timestamp) -> Floats:
        return model.scores(self.estimator(feature_set, today), self.rows(week))


def compare(rows: pd.DataFrame, candidate: Answers, production: Answers) -> Comparison:
    """Hold a candidate against production by the example's standard."""
    _, gain, se = delong(rows, candidate.score, production.score)
    reach = float(norm.ppf(0.975)) * se
    churned = rows["churned"].to_numpy()
    top, rest = (
        model.recall(rows, candidate.flagged, band) - model.recall(rows, production.flagged, band)
        for band in (features.TOP, features.REST)
    )
    return Comparison(
        auc=gain,
        auc_low=gain - reach,
        auc_high=gain + reach,
        top=top,
        rest=rest,
        precision=float(churned[candidate.flagged].mean() - churned[production.flagged].mean()),
        verdict=judge(rows, candidate, production).verdict,
    )


def judge(rows: pd.DataFrame, candidate: Answers, production: Answers) -> GateDecision:
    """The gate's decision, as the first look at the week's table."""
    rules = STANDARD.use_cases["churn"]
    table = EvaluationTable(
        digest=Digest.of_json(str(rows["week"].iloc[0])),
        truth=rows["churned"].to_numpy(dtype="float64"),
        slices={"value_band": rows["value_band"].to_numpy(dtype=np.str_)},
        clusters=None,
    )
    context = GateContext(
        use_case=rules.name,
        candidate=ModelRef(digest=candidate.digest, name="candidate", run_id=None),
        baseline=ModelRef(digest=production.digest, name="production", run_id=None),
        rules=rules.digest,
        standard_version=STANDARD.version,
        standard=STANDARD.digest,
        look=1,
    )
    return decide(
        rules=rules.gate,
        model_kind="classification",
        table=table,
        candidate=candidate.predictions,
        baseline=production.predictions,
        context=context,
        facts=(),
    )


def delong(rows: pd.DataFrame, candidate: Floats, production: Floats) -> tuple[float, float, float]:
    """AUC of the candidate, its gain over production, and the standard error of the gain."""
    positive = rows["churned"].to_numpy() == 1
    mine, theirs = placements(positive, candidate), placements(positive, production)
    per_positive, per_negative = mine[0] - theirs[0], mine[1] - theirs[1]
    variance = per_positive.var(ddof=1) / per_positive.size + per_negative.var(ddof=1) / per_negative.size
    return float(mine[0].mean()), float(per_positive.mean()), float(variance**0.5)


def placements(positive: Bools, score: Floats) -> tuple[Floats, Floats]:
    """Per positive the share of negatives below it, per negative the share of positives above it."""
    among_all = rankdata(score)
    own_positive, own_negative = rankdata(score[positive]), rankdata(score[~positive])
    below = (among_all[positive] - own_positive) / own_negative.size
    return below, 1.0 - (among_all[~positive] - own_negative) / own_positive.size


def mondays(table: pd.DataFrame) -> Sequence[pd.Timestamp]:
    """Mondays of retraining: from half a year of snapshots before the week ahead to the last known label."""
    labelled = table.loc[table["churned"].notna(), "week"]
    horizon = pd.Timedelta(weeks=features.HORIZON_WEEKS)
    first = labelled.min() + pd.Timedelta(weeks=FIRST_FIT_WEEKS) + 3 * horizon
    return list(pd.date_range(first, labelled.max() + horizon, freq="W-MON"))


def summary(weeks: Sequence[Week]) -> dict[str, object]:
    """Counts over these weeks."""

    def count(holds: Callable[[Week], bool]) -> int:
        return sum(map(holds, weeks))

    return {
        "weeks": len(weeks),
        "first": weeks[0].week,
        "last": weeks[-1].week,
        "base_rate": [round(f(w.base_rate for w in weeks), 3) for f in (min, max)],
        "rich_auc_interval_above_0": count(lambda w: w.rich.auc_low > 0),
        "rich_top_recall_falls_by_0.14": count(lambda w: w.rich.top <= -0.14),
        "rich_at_0.5": verdicts(w.rich for w in weeks),
        "successor": verdicts(w.successor for w in weeks),
        "successor_top_gain_mean": round(float(np.mean([w.successor.top for w in weeks])), 3),
        "successor_precision_gain_mean": round(float(np.mean([w.successor.precision for w in weeks])), 3),
        "plain_retrained": verdicts(w.retrained for w in weeks),
        "rich_retrained": verdicts(w.rich_retrained for w in weeks),
        "plain_retrained_auc_abs_median": round(float(np.median([abs(w.retrained.auc) for w in weeks])), 4),
        "rich_retrained_auc_abs_median": round(
            float(np.median([abs(w.rich_retrained.auc) for w in weeks])), 4
        ),
        "demo_story_holds": count(lambda w: (w.rich.verdict, w.successor.verdict) == ("fail", "pass")),
    }


def verdicts(found: Iterable[Comparison]) -> dict[str, int]:
    """How often each verdict was given."""
    given = Counter(comparison.verdict for comparison in found)
    return {verdict: given[verdict] for verdict in ("pass", "inconclusive", "fail")}


def show(weeks: Sequence[Week]) -> None:
    """Print the two tables."""
    print("Rich features against recency-frequency, both decided at 0.5")
    print(
        "week        rate  AUC rf rich  gain [95 %]              recall rf rich  on top 20 % rf rich   n    verdict"
    )
    for w in weeks:
        print(
            f"{w.week}  {w.base_rate:.2f}   {w.auc_plain:.3f} {w.auc_rich:.3f}"
            f"  {w.rich.auc:+.4f} [{w.rich.auc_low:+.4f}, {w.rich.auc_high:+.4f}]"
            f"     {w.recall_plain:.2f} {w.recall_rich:.2f}"
            f"          {w.top_plain:.2f} {w.top_rich:.2f} {w.rich.top:+.2f}  {w.churned_top}  {w.rich.verdict}"
        )
    print(
        "\nThe successor (threshold of the last labelled week) against recency-frequency; weekly retrainings"
    )
    print("week        threshold  top 20 %   rest  precision  verdict         rf retrained: AUC  top  verdict"
          "        rich retrained: AUC  top  verdict")  # fmt: skip
    for w in weeks:
        s, r, q = w.successor, w.retrained, w.rich_retrained
        print(
            f"{w.week}     {w.threshold:.4f}    {s.top:+.3f}  {s.rest:+.3f}    {s.precision:+.3f}   {s.verdict:<14}"
            f"{r.auc:+.4f} {r.top:+.3f}  {r.verdict:<14}  {q.auc:+.4f} {q.top:+.3f}  {q.verdict}"
        )


def main() -> int:
    """Print the tables and the summary; 2 without data."""
    try:
        lines = retail.transactions()
    except (retail.WheelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    story = Story(features.feature_table(lines))
    weeks = [story.measure(today) for today in mondays(story.table)[1:]]
    show(weeks)
    print()
    print(json.dumps({"all": summary(weeks), f"last_{LAST}": summary(weeks[-LAST:])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
