"""The section `guard`: levels of the profile, of all rules at once, and of one."""

import json

import pytest
from team_standards import faults_of, load

from signoff.standard.diff import diff_standards
from signoff.standard.guard import GUARD_RULES, GuardRule, Level
from signoff.standard.render import render_resolved

QUIET: GuardRule = "finished-run"


@pytest.mark.parametrize(
    ("profile", "warned"), [("small", {"experiment", "registration"}), ("mid", set()), ("enterprise", set())]
)
def test_profiles_guard_what_was_released_and_leave_finished_runs_alone(
    profile: str, warned: set[str]
) -> None:
    rules = load({"profile": profile, "environments": {}}).guard
    for rule in GUARD_RULES:
        wanted = "off" if rule == QUIET else "warn" if rule in warned else "enforce"
        assert rules.level(rule) == wanted, rule
    assert rules.from_running == "quarantine"


@pytest.mark.parametrize("level", ["enforce", "warn", "off"])
def test_one_word_sets_all_rules_but_the_one_that_is_asked_for_by_name(level: Level) -> None:
    rules = load({"guard": level}).guard
    assert {rules.level(rule) for rule in GUARD_RULES if rule != QUIET} == {level}
    assert rules.level(QUIET) == "off"
    assert rules == load({"guard": {"all": level}}).guard


def test_a_rule_by_its_name_wins_over_all_of_them_and_over_the_profile() -> None:
    rules = load({"guard": {"all": "warn", "freeze": "enforce", "finished_run": "warn"}}).guard
    assert (rules.level("freeze"), rules.level("finished-run"), rules.level("alias")) == (
        "enforce",
        "warn",
        "warn",
    )
    assert load({"guard": {"experiment": "enforce"}}).guard.level("registration") == "warn"


@pytest.mark.parametrize("rule", GUARD_RULES)
def test_every_rule_has_its_key(rule: GuardRule) -> None:
    rules = load({"guard": {"all": "enforce", rule.replace("-", "_"): "warn"}}).guard
    assert [name for name in GUARD_RULES if rules.level(name) == "warn"] == [rule]


@pytest.mark.parametrize(
    ("guard", "path", "hint"),
    [
        ("loud", "guard.all", "one of: enforce, warn, off"),
        ({"alias": "enforced"}, "guard.alias", "did you mean `enforce`?"),
        ({"reserved-tag": "warn"}, "guard.reserved-tag", "did you mean `reserved_tag`?"),
        ({"from_running": "keep"}, "guard.from_running", "one of: quarantine, refuse"),
        ({"link": "javascript:alert(1)"}, "guard.link", "begins with https:// or http://"),
    ],
)
def test_a_slip_in_the_section_is_named(guard: object, path: str, hint: str) -> None:
    (fault,) = faults_of({"guard": guard})
    assert fault.path == path
    assert hint in (fault.hint or "")


def test_levels_void_no_decision() -> None:
    strict, mild = load({"guard": "enforce"}), load({"guard": "off"})
    for name, rules in strict.use_cases.items():
        assert rules.digest == mild.use_cases[name].digest
        assert rules.environment_digest("prod") == mild.use_cases[name].environment_digest("prod")


def test_the_resolved_standard_shows_each_rule_under_its_level() -> None:
    standard = load(
        {"guard": {"alias": "off", "from_running": "refuse", "link": "https://wiki.shop.example/r"}}
    )
    text = render_resolved(standard, None, "text")
    for line in (
        "  enforce  artifact-location, freeze, deletion, reserved-tag",
        "  warn     experiment, registration",
        "  off      alias, finished-run",
        "  running  a version from a run that has not ended is refused",
        "  link     https://wiki.shop.example/r",
    ):
        assert line in text.splitlines()
    assert "| off | alias, finished-run |" in render_resolved(standard, None, "markdown")
    assert json.loads(render_resolved(standard, None, "json"))["guard"]["levels"]["alias"] == "off"


@pytest.mark.parametrize(
    ("old", "new", "effect", "words"),
    [
        ("enforce", "warn", "looser", "rule alias only warns; before, it refused"),
        ("warn", "off", "looser", "rule alias is off; before, it only warned"),
        ("off", "enforce", "tighter", "rule alias refuses; before, it was off"),
    ],
)
def test_a_changed_level_is_looser_or_tighter(old: str, new: str, effect: str, words: str) -> None:
    diff = diff_standards(load({"guard": {"alias": old}}), load({"guard": {"alias": new}}))
    (change,) = diff.general
    assert (change.where, change.effect, change.words) == ("guard", effect, words)
    assert not diff.touched


def test_what_else_changes_of_the_guard_is_said() -> None:
    other = {"from_running": "refuse", "link": "https://wiki.shop.example/r"}
    diff = diff_standards(load(), load({"guard": other}))
    assert [(change.effect, change.words) for change in diff.general] == [
        ("tighter", "a version from a run that has not ended is refused"),
        ("changed", "refusals link to https://wiki.shop.example/r instead of the server"),
    ]
