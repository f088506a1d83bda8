import hashlib
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_standards import MINIMAL, load

from signoff.errors import StandardError
from signoff.standard.load import load_standard
from signoff.standard.model import MarginRule


def test_the_minimal_standard_loads_with_every_default() -> None:
    standard = load_standard(MINIMAL, "team/signoff.yaml")
    churn = standard.use_cases["churn"]
    assert (standard.version, standard.roster, standard.capture) == ("1", "signoff.roster.yaml", "full")
    assert (standard.store, standard.ledger, standard.path) == (None, None, "team/signoff.yaml")
    assert churn.experiments == ("churn",)
    assert churn.registered_model == "churn"
    assert churn.gate.recipe.threshold == 0.5
    assert (churn.gate.alpha, churn.gate.looks, churn.gate.pickle) == (0.05, 10, "refused")
    assert churn.gate.documented_data
    assert churn.gate.reproducible
    assert churn.gate.primary == MarginRule(metric="roc_auc", mode="no_worse_than", margin=0.01)
    assert churn.gate.slices == (
        MarginRule(metric="recall", mode="no_worse_than", margin=0.05, by="value_band"),
    )
    assert churn.batch is None


def test_the_digest_is_that_of_the_bytes() -> None:
    text = MINIMAL.replace("\n", "\r\n")
    assert load_standard(text, "f").digest.hex == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("model_type", "task", "metric", "recipe"),
    [
        ("forecasting", "regression", "mae", {"naive": "last_year"}),
        ("ranking", "ranking", "ndcg", {"group": "customer", "k": 5}),
        ("llm-app", "assistant", "groundedness", {"k": 3}),
        ("text-classification", "multiclass", "macro_f1", {}),
    ],
)
def test_every_shipped_type_is_scored_as_its_task_and_so_is_a_type_like_it(
    model_type: str, task: str, metric: str, recipe: dict[str, object]
) -> None:
    for top, name in (({}, model_type), ({"model_types": {"own": {"like": model_type}}}, "own")):
        standard = load(
            top,
            type=name,
            evaluate={"data": "d.csv", "label": "y", **recipe},
            primary={"metric": metric, "no_worse_than": 0.05},
        )
        gate = standard.use_cases["churn"].gate
        assert gate.task == task
        assert gate.labels == ("stable" if task == "multiclass" else "any")
        assert {key: getattr(gate.recipe, key) for key in recipe} == recipe


def test_everything_that_can_be_said_arrives() -> None:
    standard = load(
        {
            "version": "7",
            "store": "http://mlflow:5000",
            "ledger": "postgresql://ledger",
            "roster": "people.yaml",
            "capture": "minimal",
            "roles": {"lead": {"may": ["approve", "promote"]}},
        },
        experiment=["churn/trees", "churn/*"],
        registered_model="churn_model",
        run_name=r"w\d+",
        evaluate={
            "data": "d.csv",
            "label": "y",
            "positive": "yes",
            "row_key": "id",
            "cluster": "customer",
            "score": "p",
            "threshold": 0.4,
        },
        primary={"metric": "brier", "better_by": 0},
        slices=[
            {"by": "b", "metric": "f1", "better_by": 0.1, "only": ["x"], "inconclusive": "warn"},
        ],
        thresholds=[{"metric": "precision", "at_least": 0.7}, {"metric": "latency_p95_ms", "at_most": 50}],
        gate={
            "alpha": 0.1,
            "looks": 3,
            "documented_data": False,
            "reproducible": False,
            "pickle": "allowed",
            "labels": "stable",
        },
        notes=["segment"],
        batch={"input": "in.parquet", "output": "out", "keys": ["id"]},
    )
    rules = standard.use_cases["churn"]
    assert standard.roles["lead"] == {"approve", "promote"}
    assert standard.roles["author"] == {"propose", "note"}
    assert rules.experiments == ("churn/trees", "churn/*")
    assert rules.notes[-1] == "segment"
    assert rules.batch is not None
    assert rules.batch.keys == ("id",)
    assert rules.gate.to_json() == {
        "task": "classification",
        "recipe": {
            "data": "d.csv",
            "label": "y",
            "positive": "yes",
            "row_key": "id",
            "cluster": "customer",
            "score": "p",
            "threshold": 0.4,
            "group": None,
            "k": 10,
            "naive": None,
        },
        "primary": {
            "metric": "brier",
            "mode": "better_by",
            "margin": 0.0,
            "by": None,
            "only": [],
            "inconclusive": "block",
        },
        "slices": [
            {
                "metric": "f1",
                "mode": "better_by",
                "margin": 0.1,
                "by": "b",
                "only": ["x"],
                "inconclusive": "warn",
            }
        ],
        "thresholds": [
            {"metric": "precision", "at_least": 0.7, "at_most": None},
            {"metric": "latency_p95_ms", "at_least": None, "at_most": 50.0},
        ],
        "alpha": 0.1,
        "looks": 3,
        "documented_data": False,
        "reproducible": False,
        "pickle": "allowed",
        "labels": "stable",
    }


def test_one_experiment_needs_no_list() -> None:
    assert load(experiment="churn/trees").use_cases["churn"].experiments == ("churn/trees",)


def test_another_use_case_changes_the_files_digest_and_not_the_rules() -> None:
    more = MINIMAL + MINIMAL[MINIMAL.index("  churn:") :].replace("churn:", "upsell:")
    before, after = load_standard(MINIMAL, "f"), load_standard(more, "f")
    assert list(after.use_cases) == ["churn", "upsell"]
    assert before.digest != after.digest
    assert before.use_cases["churn"].digest == after.use_cases["churn"].digest


def test_moved_lines_and_comments_leave_the_rules_as_they_were() -> None:
    moved = load_standard("# a remark\n\n" + MINIMAL, "f").use_cases["churn"]
    assert moved.digest == load_standard(MINIMAL, "f").use_cases["churn"].digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.01", "0.02"),
        ("churned", "left"),
        ("recall", "precision"),
        ("value_band", "region"),
        ("small", "mid"),
    ],
)
def test_a_changed_rule_changes_the_digest(old: str, new: str) -> None:
    before = load_standard(MINIMAL, "f").use_cases["churn"].digest
    assert load_standard(MINIMAL.replace(old, new, 1), "f").use_cases["churn"].digest != before


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab/.*[", max_size=4)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "may", "metric"]), inner)
    ),
    max_leaves=4,
)
_PLACES = st.sampled_from(
    [
        ("signoff",), ("profile",), ("version",), ("roles",), ("roles", "lead"), ("environments", "prod"),
        ("environments", "prod", "after"), ("environments", "prod", "approvals"), ("environments", "own"),
        ("require",), ("require", "params"), ("model_types", "own"), ("evidence",), ("use_cases",),
        ("use_cases", "churn"), ("use_cases", "churn", "owner"), ("use_cases", "churn", "type"),
        ("use_cases", "churn", "experiment"), ("use_cases", "churn", "run_name"),
        ("use_cases", "churn", "evaluate", "positive"), ("use_cases", "churn", "primary"),
        ("use_cases", "churn", "primary", "no_worse_than"), ("use_cases", "churn", "slices"),
        ("use_cases", "churn", "thresholds"), ("use_cases", "churn", "gate"), ("use_cases", "churn", "notes"),
        ("use_cases", "churn", "batch"), ("unknown",),
    ]
)  # fmt: skip


@given(_PLACES, _VALUES)
def test_whatever_stands_anywhere_the_standard_loads_whole_or_not_at_all(
    place: tuple[str, ...], value: object
) -> None:
    document: dict[str, object] = {
        "signoff": 1,
        "profile": "small",
        "use_cases": {
            "churn": {
                "owner": "ana@shop.example",
                "type": "classification",
                "evaluate": {"data": "d", "label": "y"},
                "primary": {"metric": "roc_auc", "no_worse_than": 0.01},
            }
        },
    }
    inner: object = document
    for step in place[:-1]:
        assert isinstance(inner, dict)
        inner = inner.setdefault(step, {})
    assert isinstance(inner, dict)
    inner[place[-1]] = value
    text = re.sub(r"\bNaN\b", ".nan", re.sub(r"\bInfinity\b", ".inf", json.dumps(document)))
    assert _digests_or_faults(text)


def _digests_or_faults(text: str) -> set[str]:
    """Never empty: rules that can be bound to, or what is wrong."""
    try:
        standard = load_standard(text, "f")
    except StandardError as error:
        return {fault.message for fault in error.faults}
    return {
        str(rules.environment_digest(name))
        for rules in standard.use_cases.values()
        for name in rules.environments
    }


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from signoff.standard.load import load_standard\n"
        f"load_standard({MINIMAL!r}, 'f')\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "pydantic",
        "mlflow",
        "numpy",
        "pandas",
        "click",
        "rich",
        "sqlite3",
        "importlib.resources",
    }
