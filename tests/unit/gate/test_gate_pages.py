"""Decisions as pages, as stored statements, and in order."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from gate_cases import digest, gate_context

from signoff.errors import EvidenceError, UsageError
from signoff.gate.model import CheckResult, GateDecision
from signoff.gate.parse import decision_from_json
from signoff.gate.rank import rank
from signoff.gate.render import render_markdown, render_text
from signoff.record.digest import Json, canonical_json

FAILED = CheckResult(
    id="margin:roc_auc",
    title="margin(roc_auc)",
    status="fail",
    severity="block",
    message="0.8200 vs 0.8000: gain 0.0200 [0.0141, 0.0259] at 95 %; wanted ≥ 0.0500",
    candidate=0.82,
    baseline=0.8,
    difference=0.02,
    lower=0.0141,
    upper=0.0259,
    wanted=0.05,
    rows=4000,
    method="DeLong, paired t",
)
FACT = CheckResult(
    id="reproducible:commit",
    title="reproducible(commit)",
    status="pass",
    severity="block",
    message="commit 4f1c2a9b7d3e, clean",
)
DECISION = GateDecision(
    context=gate_context(look=2),
    data=digest("table"),
    rows=4000,
    case="against-baseline",
    verdict="fail",
    checks=(FAILED, FACT),
    alpha=0.025,
    error_note="Look 2 of 2 at this table.",
)


def passed(run: str, value: float | None, name: str = "margin:roc_auc") -> GateDecision:
    result = replace(FAILED, id=name, status="pass", candidate=value)
    return replace(DECISION, context=gate_context(look=2, run=run), verdict="pass", checks=(result, FACT))


def test_the_terminal_shows_the_verdict_first_and_one_line_per_check() -> None:
    lines = render_text(DECISION).splitlines()
    assert lines[0] == "FAIL  gate churn, compared with the released version"
    assert (
        "FAIL  margin(roc_auc)        0.8200 vs 0.8000: gain 0.0200 [0.0141, 0.0259] at 95 %; wanted ≥ 0.0500"
        in lines
    )
    assert "PASS  reproducible(commit)   commit 4f1c2a9b7d3e, clean" in lines
    assert f"sha256:{digest('table').short}…" in lines[3]
    assert "standard 4" in lines[4]
    assert lines[-1] == "Look 2 of 2 at this table."


def test_colour_is_only_added_when_asked_for() -> None:
    assert "\x1b" not in render_text(DECISION)
    assert render_text(DECISION, color=True).startswith("\x1b[31mFAIL\x1b[0m  gate churn")


def test_a_check_that_does_not_block_never_shows_as_one_that_does() -> None:
    for name, word in (("slice:a=b:recall", "WARN"), ("measured:recall", "NOTE")):
        lenient = replace(FAILED, id=name, title="lenient", status="inconclusive", severity="warn")
        page = render_text(replace(DECISION, checks=(lenient,)))
        assert f"{word}  lenient" in page


def test_values_from_data_can_neither_steer_a_terminal_nor_break_a_table() -> None:
    hostile = replace(FAILED, title="slice(a=\x1b[2J|x, recall)", message="<b> | [x](javascript:1)\n# title")
    decision = replace(DECISION, checks=(hostile,))
    assert "\x1b" not in render_text(decision)
    row = next(line for line in render_markdown(decision).splitlines() if "recall" in line)
    assert "&lt;b> \\| [x]\\(javascript:1)�# title" in row


def test_markdown_tells_the_same_as_the_terminal() -> None:
    page = render_markdown(DECISION)
    assert page.startswith("# Gate FAIL: churn\n")
    for result in DECISION.checks:
        assert result.title in page
        assert result.message in page
    assert DECISION.error_note in page


def test_a_stored_decision_is_read_back_whole() -> None:
    for decision in (DECISION, replace(DECISION, context=gate_context(baseline=None), case="first-release")):
        stored = json.loads(canonical_json(decision.to_json()))
        assert decision_from_json(stored) == decision


Tree = dict[str, Json]


def _check(document: Tree) -> Tree:
    return cast("list[Tree]", document["checks"])[0]


BREAK: dict[str, Callable[[Tree], object]] = {
    "missing fields: verdict": lambda d: d.pop("verdict"),
    "missing fields: extra": lambda d: d.update(extra=1),
    "'great' is none of pass, fail, inconclusive": lambda d: d.update(verdict="great"),
    "at least one check": lambda d: d.update(checks=[]),
    "missing fields: title": lambda d: _check(d).pop("title"),
    "decision.look: a whole number from 1": lambda d: d.update(look=0),
    "decision.look: a finite number": lambda d: d.update(look=True),
    r"checks\[0\].lower: a finite number": lambda d: _check(d).update(lower="0.1"),
    r"checks\[0\].rows: a whole number": lambda d: _check(d).update(rows=1.5),
    "is no error rate": lambda d: d.update(alpha=0.7),
    "not of the form sha256": lambda d: d.update(rules="md5:1"),
    "candidate: an object is expected": lambda d: d.update(candidate="m-1"),
    "decision.use_case: text": lambda d: d.update(use_case=None),
}


@pytest.mark.parametrize("message", BREAK)
def test_a_malformed_decision_is_refused_with_its_place(message: str) -> None:
    document = json.loads(canonical_json(DECISION.to_json()))
    BREAK[message](document)
    with pytest.raises(EvidenceError) as error:
        decision_from_json(document)
    assert re.search(message, str(error.value))


def test_what_passed_ranks_first_and_each_verdict_best_first_and_ties_by_run() -> None:
    failed = [replace(passed(run, value), verdict="fail") for run, value in (("f", 0.90), ("e", 0.95))]
    undecided = replace(passed("g", 0.99), verdict="inconclusive")
    decisions = [
        *failed,
        undecided,
        passed("c", 0.80),
        passed("b", 0.82),
        passed("a", 0.80),
        passed("d", None),
    ]
    for order in (decisions, decisions[::-1]):
        ranked = [d.context.candidate.run_id for d in rank(order, "roc_auc")]
        assert ranked == ["b", "a", "c", "d", "g", "e", "f"]


def test_a_loss_ranks_the_other_way_and_first_releases_rank_too() -> None:
    decisions = [passed("a", 0.4, "measured:log_loss"), passed("b", 0.3, "measured:log_loss")]
    assert [d.context.candidate.run_id for d in rank(decisions, "log_loss")] == ["b", "a"]


def test_decisions_on_different_tables_have_no_order() -> None:
    with pytest.raises(UsageError, match="different tables"):
        rank([passed("a", 0.8), replace(passed("b", 0.8), data=digest("other"))], "roc_auc")
    with pytest.raises(UsageError, match="no metric"):
        rank([], "auc")
