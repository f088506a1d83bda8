import json

import pytest
from team_standards import MINIMAL, load

from signoff.errors import UsageError
from signoff.standard.load import load_standard
from signoff.standard.render import render_resolved


def test_text_names_every_requirement_with_its_origin() -> None:
    standard = load_standard(MINIMAL, "signoff.yaml")
    text = render_resolved(standard, None, "text")
    lines = text.splitlines()
    for requirement in standard.use_cases["churn"].requirements:
        assert any(requirement.code in line and requirement.origin in line for line in lines)
    assert "per value_band: recall no worse than 0.05" in text
    assert "metric:roc_auc" in text
    assert "signoff.yaml:8" in text
    assert text.endswith("\n")


def test_json_holds_the_digests_that_decisions_name() -> None:
    standard = load_standard(MINIMAL, "signoff.yaml")
    document = json.loads(render_resolved(standard, "churn", "json"))
    assert document["digest"] == str(standard.digest)
    assert document["use_cases"]["churn"]["rules"] == str(standard.use_cases["churn"].digest)
    assert document["use_cases"]["churn"]["environments"]["prod"]["approvals"] == [
        {"role": "reviewer", "count": 1}
    ]
    assert {r["origin"] for r in document["use_cases"]["churn"]["requirements"]} == {
        "baseline",
        "type classification",
        "signoff.yaml:8",
    }


def test_markdown_tables_keep_their_columns() -> None:
    standard = load(require={"params": [{"name": "a", "why": "this | that"}]})
    rows = [r for r in render_resolved(standard, None, "markdown").splitlines() if r.startswith("| `")]
    assert len(rows) == len(standard.use_cases["churn"].requirements)
    assert {row.replace("\\|", "").count("|") for row in rows} == {7}


def test_modes_that_weaken_are_said() -> None:
    standard = load(
        {"evidence": "warn", "environments": {"prod": {"self_approval": "recorded"}}},
        slices=[{"by": "b", "metric": "f1", "no_worse_than": 0.1, "inconclusive": "warn", "only": ["x"]}],
        gate={"reproducible": False, "documented_data": False, "pickle": "allowed"},
        primary={"metric": "brier", "better_by": 0.01},
        thresholds=[{"metric": "latency_p95_ms", "at_most": 50}],
    )
    text = render_resolved(standard, "churn", "text")
    for words in (
        "(warns only)",
        "an author's own approval counts and is shown",
        "per b (x): f1 no worse than 0.1; an undecided slice only warns",
        "need not be reproducible",
        "training data may be undocumented",
        "pickle formats allowed",
        "brier (less is better) better by 0.01",
        "latency_p95_ms at most 50",
    ):
        assert words in text, words


def test_only_the_chosen_use_case_is_shown() -> None:
    more = MINIMAL + MINIMAL[MINIMAL.index("  churn:") :].replace("churn:", "upsell:")
    standard = load_standard(more, "signoff.yaml")
    assert list(json.loads(render_resolved(standard, "upsell", "json"))["use_cases"]) == ["upsell"]
    with pytest.raises(UsageError, match="did you mean `upsell`"):
        render_resolved(standard, "upsel", "text")


def test_what_only_some_tasks_have_is_said() -> None:
    ranking = load(
        type="ranking",
        evaluate={"data": "d.csv", "label": "y", "group": "customer", "k": 5},
        primary={"metric": "ndcg", "no_worse_than": 0.05},
    )
    assert "lists by customer, cut off after 5" in render_resolved(ranking, "churn", "text")
    forecast = load(
        type="forecasting",
        evaluate={"data": "d.csv", "label": "y", "naive": "last_year"},
        primary={"metric": "mae", "no_worse_than": 1},
    )
    assert "must beat the naive forecast in last_year" in render_resolved(forecast, "churn", "text")
