"""Adding a requirement to a standard's text: it loads, it asks, and nothing else has changed."""

import difflib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signoff.standard.edit import AddRequirement, NotEditable, add_requirement
from signoff.standard.load import load_standard

HEAD = """\
# ours
signoff: 1
profile: small
use_cases:
  churn:  # the shop
    owner: ana@shop.example
    type: classification
    evaluate: {data: eval/week.parquet, label: churned}
    primary: {metric: roc_auc, no_worse_than: 0.01}
"""
CHANGE = AddRequirement(
    use_case="churn", kind="metric", name="lift", accepts=(), severity="block", reason="everybody logs it"
)
FORMS = {
    "nothing required": HEAD,
    "no line end": HEAD.rstrip("\n"),
    "windows": HEAD.replace("\n", "\r\n"),
    "another kind": HEAD + "    require:\n      params: [seed]  # why\n\n# the end\n",
    "a list of lines": HEAD + "    require:\n      metrics:\n        - gain  # why\n        # more to come\n",
    "indented like its key": HEAD + "    require:\n      metrics:\n      - gain\n    window: true\n",
    "a list in brackets": HEAD + "    require:\n      metrics: [gain, 'ks' ]  # why\n    window: true\n",
    "brackets over lines": HEAD + "    require:\n      metrics: [\n        gain,\n        ks,\n      ]\n",
    "all in brackets": HEAD + "    require: {params: [seed], metrics: [{name: gain, why: money}]}\n",
    "brackets without the kind": HEAD + "    require: {params: [seed]}\n",
    "an empty list": HEAD + "    require:\n      metrics: []\n",
    "a long text last": HEAD
    + "    require:\n      metrics:\n        - name: gain\n          why: |\n            money\n\n",
    "another use case after it": HEAD
    + "\n\n  # the second\n  tickets:\n    owner: ben@shop.example\n    type: regression\n"
    "    evaluate: {data: a.csv, label: b}\n    primary: {metric: rmse, no_worse_than: 0.1}\n",
}


def codes(text: str) -> set[str]:
    return {r.code for r in load_standard(text, "signoff.yaml").use_cases["churn"].requirements}


@pytest.mark.parametrize("form", FORMS)
def test_the_requirement_is_asked_and_no_line_of_the_file_is_lost(form: str) -> None:
    before = FORMS[form]
    after = add_requirement(before, CHANGE)
    assert codes(after) - codes(before) == {"metric:lift"}
    assert codes(before) <= codes(after)
    lost = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("- ")]
    assert len(lost) <= 1  # a list in brackets grows in its own line
    assert [line for line in before.splitlines() if "#" in line and "[" not in line] == [
        line for line in after.splitlines() if "#" in line and "[" not in line and "everybody" not in line
    ]


def test_a_new_block_carries_its_reason() -> None:
    added = add_requirement(HEAD, CHANGE).removeprefix(HEAD)
    assert added == ("    require:\n      metrics:\n        # everybody logs it\n        - lift\n")


def test_further_names_and_a_mild_severity_are_written_out() -> None:
    change = AddRequirement(
        use_case="churn", kind="param", name="seed", accepts=("rng", "it's"), severity="warn", reason="x"
    )
    after = load_standard(add_requirement(HEAD, change), "signoff.yaml").use_cases["churn"]
    (found,) = (r for r in after.requirements if r.code == "param:seed")
    assert {"rng", "it's"} <= set(found.accepts)
    assert found.severity == "warn"


@given(st.text(min_size=1, max_size=40))
@example(" ")
def test_any_name_stays_a_name(name: str) -> None:
    change = AddRequirement(
        use_case="churn", kind="metric", name="lift", accepts=(name,), severity="block", reason=name
    )
    try:
        after = add_requirement(HEAD, change)
    except NotEditable:
        assert not name.isprintable() or not name.strip()
        return
    rules = load_standard(after, "signoff.yaml").use_cases["churn"]
    (found,) = (r for r in rules.requirements if r.code == "metric:lift")
    assert name in found.accepts


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "    require:\n",
        HEAD + "    require:\n      metrics: [gain # why\n      ]\n",
        "use_cases: [",
    ],
)
def test_a_form_that_cannot_be_added_to_is_left_alone(text: str) -> None:
    with pytest.raises(NotEditable):
        add_requirement(text, CHANGE)
