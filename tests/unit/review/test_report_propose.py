"""A gap becomes a patch to the standard; after it the gap is gone."""

import subprocess
from pathlib import Path

import pytest
from release_samples import PASSED, Desk, gate_decision
from review_samples import FILE, LOADED, RULES, TEXT, reject, run, survey, use_case

from signoff.review.propose import NOTHING, changes, propose
from signoff.review.survey import Survey
from signoff.standard.load import load_standard
from signoff.standard.model import UseCaseRules

METRICS = [run(n, metrics={"roc_auc": 0.8, "lift": 2.0}) for n in range(5)]
SPELLED = [run(n, params={"featureWindow": "30"}) for n in range(5)]
ASKED_AGAIN = Desk()
for comment in ("where is `lift_curve`?", "no lift_curve again"):
    reject(ASKED_AGAIN, comment)


def found(gap: str, rules: UseCaseRules = RULES) -> Survey:
    history = ASKED_AGAIN.history if gap == "asked again" else None
    runs = {"metric": METRICS, "spelling": SPELLED}.get(gap, [])
    return survey(use_case(rules=rules, runs=runs, history=history), standard=LOADED)


@pytest.mark.parametrize("program", ["git", "patch"])
@pytest.mark.parametrize("gap", ["metric", "spelling", "asked again"])
def test_the_patch_applies_and_closes_the_gap(gap: str, program: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(TEXT)
    patch = propose(found(gap), TEXT)
    command = ["git", "apply", "-"] if program == "git" else ["patch", "-p1"]
    subprocess.run(command, input=patch, text=True, check=True, cwd=tmp_path, capture_output=True)
    patched = (tmp_path / FILE).read_text()
    assert patched != TEXT
    rules = load_standard(patched, FILE).use_cases["churn"]
    assert changes(found(gap)) != ()
    assert changes(found(gap, rules)) == ()
    assert propose(found(gap, rules), patched) == NOTHING


def test_each_change_says_why_in_the_head_of_the_patch() -> None:
    patch = propose(found("metric"), TEXT)
    head = patch.partition("--- a/")[0]
    assert "# + churn: metric lift: 5 of 5 runs log it, and nobody asks for it\n" in head
    assert all(line.startswith("# ") for line in head.splitlines())


def test_without_a_gap_nothing_is_proposed() -> None:
    assert propose(survey(use_case(rules=RULES)), TEXT) == NOTHING


def test_a_bound_that_never_refused_is_a_remark_and_no_patch() -> None:
    desk = Desk()
    for number in range(5):
        desk.gate(f"model {number}", decision=gate_decision(f"model {number}", checks=(PASSED,)))
    patch = propose(survey(use_case(rules=RULES, history=desk.history)), TEXT)
    assert "threshold:roc_auc never refused anything in 5 decisions" in patch
    assert "@@" not in patch


def test_what_people_wrote_cannot_forge_a_line_of_the_patch(tmp_path: Path) -> None:
    evil = "lift\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+evil"
    runs = [run(n, metrics={"roc_auc": 0.8, evil: 2.0}) for n in range(5)]
    patch = propose(survey(use_case(rules=RULES, runs=runs)), TEXT)
    assert "\n--- a/x" not in patch
    assert "write it by hand" in patch
