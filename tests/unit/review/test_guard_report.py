"""What the guard's rules had to say in a period: how often, whom, what, and what turning one on would refuse."""

from dataclasses import replace
from typing import Literal

from hypothesis import given
from hypothesis.strategies import fixed_dictionaries, sampled_from

from signoff.evidence.ledger import Entry
from signoff.record.digest import Json
from signoff.review.guard_report import guard_report, guard_report_text
from signoff.standard.guard import GUARD_RULES, LEVELS, GuardRule, GuardRules, Level
from signoff.standard.load import load_standard
from signoff.standard.scaffold import scaffold

RULES = GuardRules(levels={"alias": "enforce", "reserved-tag": "warn", "freeze": "off"})

PLAIN = scaffold("mid", "classification", "churn", "ana@shop.example")


def entry(
    action: str, *, day: int = 20, outcome: str = "refused", actor: str = "ana@shop.example", **detail: Json
) -> Entry:
    return Entry(
        at=f"2026-11-{day:02}T10:00:00Z",
        actor=actor,
        action=action,
        outcome=outcome,  # type: ignore[arg-type]  # one of the three
        use_case="churn",
        subject="churn@prod",
        statement=None,
        reasons=("(approval-missing) one is missing",),
        detail=detail,
    )


ENTRIES = (
    entry("guard:alias", day=14, rule="alias", mode="enforce"),
    entry("guard:alias", day=15, rule="alias", mode="enforce", login="ana"),
    entry("guard:alias", day=20, rule="alias", mode="enforce", actor="login:mia", login="mia"),
    entry("guard:reserved-tag", day=21, outcome="allowed", rule="reserved-tag", mode="warn"),
    entry("guard:alias", day=21, outcome="allowed"),
    entry("guard:freeze", day=21, outcome="allowed", rule="freeze", mode="override"),
    entry("promote", day=21),
)


def test_entries_of_the_period_are_counted_per_rule() -> None:
    report = guard_report(ENTRIES, rules=RULES, since="2026-11-15", until="2026-11-22")
    rows = {row.rule: row for row in report.rules}
    alias, tag = rows["alias"], rows["reserved-tag"]
    assert (alias.refused, alias.warned, alias.first, alias.last) == (
        2,
        0,
        "2026-11-15T10:00:00Z",
        "2026-11-20T10:00:00Z",
    )
    assert alias.people == (("ana@shop.example (login ana)", 1), ("login:mia", 1))
    assert alias.subjects == (("churn@prod", 2),)
    assert (tag.refused, tag.warned, tag.level) == (0, 1, "warn")
    assert (rows["freeze"].refused, rows["freeze"].lifted) == (0, 1)
    assert all(
        not row.refused + row.warned for name, row in rows.items() if name not in ("alias", "reserved-tag")
    )


def test_an_entry_that_stands_for_many_counts_as_many() -> None:
    told = (*ENTRIES, entry("guard:alias", day=21, rule="alias", mode="enforce", login="ana", count=40))
    report = guard_report(told, rules=RULES, since="2026-11-15", until="2026-11-22")
    alias = next(row for row in report.rules if row.rule == "alias")
    assert (alias.refused, alias.subjects) == (42, (("churn@prod", 42),))
    assert alias.people == (("ana@shop.example (login ana)", 41), ("login:mia", 1))
    assert alias.reasons == (("(approval-missing) one is missing", 42),)


def test_the_page_says_what_turning_a_rule_on_would_have_refused() -> None:
    report = guard_report(
        ENTRIES, rules=RULES, since="2026-11-15", until="2026-11-22", lifted=("churn: rule freeze\nlifted",)
    )
    text = guard_report_text(report)
    assert "alias (refuses now): 2 refused, 0 warned" in text
    assert (
        "turned on, it would have refused 1 change of 1 person; in the standard:\n    guard: {all: " in text
    )
    assert "BREAK-GLASS churn: rule freeze\N{REPLACEMENT CHARACTER}lifted" in text
    assert "freeze (is off now): 0 refused, 0 warned, 1 let pass under break-glass" in text
    assert "nothing to say: experiment, " in text


@given(
    levels=fixed_dictionaries({rule: sampled_from(LEVELS) for rule in GUARD_RULES}),
    running=sampled_from(["quarantine", "refuse"]),
    link=sampled_from(["", "https://wiki.shop.example/releases"]),
)
def test_the_section_that_turns_a_rule_on_is_valid_and_changes_nothing_else(
    levels: dict[GuardRule, Level], running: Literal["quarantine", "refuse"], link: str
) -> None:
    rules = GuardRules(levels=levels, from_running=running, link=link)
    for row in guard_report((), rules=rules, since="2026-11-15", until="2026-11-22").rules:
        if levels[row.rule] == "enforce":
            assert row.turn_on == ""
            continue
        read = load_standard(f"{row.turn_on}\n{PLAIN}", "signoff.yaml").guard
        assert read.to_json() == replace(rules, levels={**levels, row.rule: "enforce"}).to_json()


def test_a_quiet_week_says_so() -> None:
    text = guard_report_text(guard_report((), rules=RULES, since="2026-11-15", until="2026-11-22"))
    assert text.splitlines()[-1].startswith("nothing to say: ")
