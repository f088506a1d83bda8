"""Decisions and status for people: what is shown, and that nobody's text can forge it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_changes import Change, about, deciding, lacking, saying
from release_samples import (
    ANA,
    BEA,
    BEN,
    FAILED,
    PASSED,
    PEOPLE,
    PROD,
    STRANGER,
    Desk,
    Key,
    approved_desk,
    gate_decision,
    needs,
    released_desk,
    two_versions,
    with_environment,
)

from signoff.release.model import Reason, ReleaseDecision
from signoff.release.overview import EnvironmentStatus, UseCaseStatus, overview, render_text
from signoff.release.render import render_text as render_decision
from signoff.release.render import to_json
from signoff.release.text import cell, printable

FORGED = "fine\n  verified  model\r\x1b[2K\x1b[31mred\u2028next\u202egnp"


def status(
    desk: Desk, aliases: Mapping[str, int | None] | None = None, *, today: str = "2026-11-23"
) -> UseCaseStatus:
    shown = {"prod": 1} if aliases is None else aliases
    return overview(desk.rules, history=desk.history, aliases=shown, people=PEOPLE, today=today)


def prod(desk: Desk, aliases: Mapping[str, int | None] | None = None) -> EnvironmentStatus:
    return status(desk, aliases).environments[-1]


def test_a_released_version_is_shown_with_who_and_when() -> None:
    desk = released_desk()
    assert prod(desk) == EnvironmentStatus(
        environment="prod",
        version=1,
        since=desk.signed("release").text("at"),
        by="cleo@shop.example",
        gate="pass",
        remarks=(),
        problems=(),
    )
    assert [e.environment for e in status(desk).environments] == ["dev", "test", "prod"]


@pytest.mark.parametrize(
    ("alias", "problems"),
    [
        (1, ()),
        (2, ("alias @prod points at version 2: moved by hand",)),
        (None, ("alias @prod points at nothing: moved by hand",)),
    ],
)
def test_an_alias_moved_by_hand_is_a_problem(alias: int | None, problems: tuple[str, ...]) -> None:
    assert prod(released_desk(), {"prod": alias}).problems == problems


def test_an_alias_without_a_release_is_a_problem_and_none_is_none() -> None:
    assert prod(Desk(), {"prod": 4}).problems == ("alias @prod was set to version 4 by hand",)
    assert prod(Desk(), {}).problems == ()
    assert prod(Desk(), {}).version is None


def test_after_a_rollback_the_rollback_is_on_top() -> None:
    desk = two_versions()
    desk.roll_back()
    shown = prod(desk)
    assert (shown.version, shown.since) == (1, desk.signed("rollback").text("at"))
    assert shown.remarks == ("rolled back from version 2: complaints",)
    assert shown.problems == ()


def test_waivers_and_self_approvals_are_shown() -> None:
    changed = saying(self_approved=[BEN.email], waived={"b:x": "", "a:y": ""})
    assert prod(released_desk().retold("release", changed)).remarks == (
        "self-approved by ben@shop.example",
        "waived: a:y, b:x",
    )


@pytest.mark.parametrize(
    ("name", "change", "gate", "problem"),
    [
        ("decision", lacking("decision"), "", "cannot be read"),
        ("decision", about("model", "other"), "", "is about another model"),
        ("decision", deciding(verdict="fail"), "fail", "does not carry it"),
        ("release", about("decision", "none"), "", "not in the ledger"),
        ("release", about("decision", None), "", "not in the ledger"),
        ("approval", saying(version=7), "pass", "another person, version or environment"),
    ],
)
def test_a_release_that_does_not_verify_is_a_problem_and_never_a_crash(
    name: str, change: Change, gate: str, problem: str
) -> None:
    shown = prod(released_desk().retold(name, change))
    assert shown.gate == gate
    assert any(problem in text for text in shown.problems)


def test_an_unsigned_release_is_a_problem_of_its_environment_alone() -> None:
    shown = status(released_desk().retold("release", keys=()))
    assert [bool(environment.problems) for environment in shown.environments] == [False, False, True]
    assert "no valid signature" in shown.environments[-1].problems[0]


# what waits


def waiting(desk: Desk) -> tuple[str, ...]:
    return status(desk).waiting


def proposed() -> Desk:
    desk = Desk(rules=with_environment(needs(("reviewer", 2), ("platform-owner", 1))))
    desk.gate()
    desk.propose()
    return desk


def test_what_waits_for_whom_as_a_version_goes_its_way() -> None:
    assert waiting(Desk()) == ()
    desk = proposed()
    reviewers = "bea@shop.example, ben@shop.example, dora@shop.example"
    owners = "cleo@shop.example, dora@shop.example"
    assert waiting(desk) == (
        f"churn/1 waits for 2 approvals by reviewer for prod ({reviewers})",
        f"churn/1 waits for 1 approval by platform-owner for prod ({owners})",
    )
    desk.approve(BEN)
    assert waiting(desk)[0].startswith("churn/1 waits for 1 approval by reviewer")
    desk.reject(BEA)
    assert waiting(desk) == ("churn/1: bea@shop.example rejected it: fairness: recall of the top band",)
    ready = approved_desk()
    assert waiting(ready) == (f"churn/1 is approved for prod and waits for a promotion ({owners})",)
    assert waiting(released_desk()) == ()


def test_a_release_that_is_due_waits_for_its_re_evaluation() -> None:
    desk = released_desk()
    desk.rules = with_environment(replace(needs(("reviewer", 1)), reevaluate_days=90))
    assert status(desk, today="2027-02-21").waiting == ()
    (told,) = status(desk, today="2027-02-22").waiting
    assert told == (
        "churn/1 in prod waits for its re-evaluation: last evaluated 91 days ago, every 90 days is asked"
        " (signoff gate run of model 1)"
    )
    desk.gate(name="again")
    again = desk.retold("again", saying(at="2027-02-20T10:00:00Z"))
    assert status(again, today="2027-02-22").waiting == ()


@pytest.mark.parametrize("keys", [(), (STRANGER,)])
def test_an_unsigned_proposal_waits_for_nobody(keys: Sequence[Key]) -> None:
    assert waiting(proposed().retold("proposal", keys=keys)) == ()


@pytest.mark.parametrize("change", [about("model", None), about("decision", None), lacking("version")])
def test_a_proposal_of_nothing_waits_for_nobody(change: Change) -> None:
    assert waiting(proposed().retold("proposal", change)) == ()


def test_an_authors_approval_is_still_waited_for() -> None:
    desk = approved_desk(PROD, BEN).retold("proposal", saying(authors=[ANA.email, BEN.email]))
    assert waiting(desk)[0].startswith("churn/1 waits for 1 approval by reviewer")


def test_a_role_that_nobody_has_is_told() -> None:
    desk = Desk(rules=with_environment(needs(("auditor", 1))))
    desk.gate()
    desk.propose()
    assert waiting(desk) == ("churn/1 waits for 1 approval by auditor for prod (nobody has that role)",)


def test_the_status_on_one_screen() -> None:
    desk = released_desk()
    text = render_text((status(desk),), store="store sqlite:///mlflow.db", standard="standard signoff.yaml")
    assert text == (
        "standard signoff.yaml\n"
        "store sqlite:///mlflow.db\n"
        "\n"
        "churn  (owner ana@shop.example)\n"
        "  dev   nothing released\n"
        "  test  nothing released\n"
        f"  prod  version 1 since {desk.signed('release').text('at')} by cleo@shop.example, gate pass\n"
    )


def test_status_as_json_has_every_field() -> None:
    shown = status(released_desk()).to_json()
    assert isinstance(shown, dict)
    assert shown["use_case"] == "churn"
    assert shown["waiting"] == []
    environments = shown["environments"]
    assert isinstance(environments, list)
    assert environments[-1]["version"] == 1


# decisions


def refused(message: str = "not yet", fix: str = "", *, remark: str = "") -> ReleaseDecision:
    return ReleaseDecision(
        transition="promote",
        subject="churn/1 to prod",
        reasons=(Reason(code="a", message=message, fix=fix),),
        remarks=(remark,) if remark else (),
    )


ALLOWED = ReleaseDecision(transition="promote", subject="churn/1 to prod", reasons=(), remarks=("seen",))


@pytest.mark.parametrize(
    ("decision", "planned", "text"),
    [
        (ALLOWED, False, "PROMOTED  churn/1 to prod\n  note: seen"),
        (ALLOWED, True, "ALLOWED  promote churn/1 to prod (dry run: nothing was changed)\n  note: seen"),
        (refused(), False, "REFUSED  promote churn/1 to prod: 1 thing missing\n  a: not yet"),
        (refused(), True, "REFUSED  promote churn/1 to prod: 1 thing missing\n  a: not yet"),
        (
            refused(fix="ask Ben", remark="seen"),
            False,
            "REFUSED  promote churn/1 to prod: 1 thing missing\n  a: not yet\n      do: ask Ben\n  note: seen",
        ),
        (
            replace(refused(), reasons=(Reason(code="a", message="x"), Reason(code="b", message="y"))),
            False,
            "REFUSED  promote churn/1 to prod: 2 things missing\n  a: x\n  b: y",
        ),
    ],
)
def test_a_decision_for_the_terminal(decision: ReleaseDecision, planned: bool, text: str) -> None:  # noqa: FBT001 - a table
    assert render_decision(decision, planned=planned) == text


def test_a_decision_as_json_keeps_what_was_written() -> None:
    shown = to_json(refused(FORGED, remark="seen"))
    assert shown == {
        "transition": "promote",
        "subject": "churn/1 to prod",
        "allowed": False,
        "reasons": [{"code": "a", "message": FORGED, "fix": ""}],
        "remarks": ["seen"],
    }


# nobody's text forges a line


def test_a_reviewers_comment_forges_no_line_of_a_refusal() -> None:
    desk = approved_desk(PROD, BEN)
    desk.reject(BEA)
    changed = desk.retold("rejection", saying(comment=FORGED, code=FORGED))
    text = render_decision(changed.decide().decision)
    assert len(text.splitlines()) == 3
    assert text.replace("\n", "").isprintable()
    plain = render_text((status(desk),), store="s", standard="s")
    shown = render_text((status(changed),), store=FORGED, standard=FORGED)
    assert len(shown.splitlines()) == len(plain.splitlines())
    assert shown.replace("\n", "").isprintable()


def test_a_reason_for_a_rollback_forges_no_line_of_the_status() -> None:
    desk = two_versions()
    desk.roll_back()
    plain = render_text((status(desk),), store="s", standard="s")
    changed = desk.retold("rollback", saying(reason=FORGED, at=FORGED))
    shown = render_text((status(changed),), store="s", standard="s")
    assert len(shown.splitlines()) == len(plain.splitlines())
    assert shown.replace("\n", "").isprintable()


def test_a_check_or_a_waived_code_forges_no_line() -> None:
    desk = Desk(rules=with_environment(PROD))
    desk.gate(
        decision=gate_decision("model 1", checks=(PASSED, replace(FAILED, message=FORGED, title=FORGED)))
    )
    desk.propose()
    desk.approve()
    desk.waive("x", keys=())
    text = render_decision(desk.decide().decision)
    assert text.replace("\n", "").isprintable()
    assert len(text.splitlines()) == 3


@given(text=st.text())
def test_printable_is_one_line_of_the_same_length_and_changes_nothing_else(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert all(a in (b, "\N{REPLACEMENT CHARACTER}") for a, b in zip(shown, text, strict=True))
    assert printable(shown) == shown


@given(text=st.text(alphabet="|\\`*<>&][(!a\n") | st.text())
def test_a_cell_has_no_bar_tag_or_link_of_its_own(text: str) -> None:
    shown = cell(text)
    bare = shown
    for escaped in ("\\\\", "\\|", "\\`", "\\*", "\\("):
        bare = bare.replace(escaped, "")
    assert not set("|`*<>\n") & set(bare)
    assert "](" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("[x](http://y)", "[x]\\(http://y)"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("`rm`", "\\`rm\\`"),
        ("plain_name & more", "plain_name &amp; more"),
    ],
)
def test_cells(text: str, shown: str) -> None:
    assert cell(text) == shown
