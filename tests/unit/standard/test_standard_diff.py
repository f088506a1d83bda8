"""Single changes of a standard and the words for them."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_standards import load

from signoff.record.digest import Digest
from signoff.standard.diff import StandardDiff, diff_standards
from signoff.standard.diff_render import diff_markdown, diff_text
from signoff.standard.diff_words import field_changes
from signoff.standard.metrics import METRICS
from signoff.standard.model import (
    ApprovalRule,
    EnvironmentRules,
    GateRules,
    MarginRule,
    Requirement,
    Standard,
    ThresholdRule,
    UseCaseRules,
)

Part = Mapping[str, object]
RECALL = {"by": "band", "metric": "recall", "no_worse_than": 0.05}
BRIER = {"by": "band", "metric": "brier", "better_by": 0.01}
AT_LEAST = {"metric": "precision", "at_least": 0.5}
AT_MOST = {"metric": "latency_p95_ms", "at_most": 50}


def said(old: Standard, new: Standard) -> list[str]:
    """Every change as one line."""
    diff = diff_standards(old, new)
    changes = [*diff.general, *(change for use_case in diff.use_cases for change in use_case.changes)]
    return [f"{change.effect}: {change.words}" for change in changes]


def margin(**values: object) -> Part:
    return {"primary": {"metric": "roc_auc", **values}}


def requiring(**section: object) -> Part:
    return {"require": {"params": [{"name": "seed_of_split", **section}]}}


OF_A_USE_CASE: list[tuple[Part, Part, list[str]]] = [
    # margins
    (
        margin(no_worse_than=0.01),
        margin(no_worse_than=0.02),
        ["looser: primary: roc_auc no worse than 0.02 instead of roc_auc no worse than 0.01"],
    ),
    (
        margin(no_worse_than=0.02),
        margin(no_worse_than=0.01),
        ["tighter: primary: roc_auc no worse than 0.01 instead of roc_auc no worse than 0.02"],
    ),
    (
        margin(better_by=0.01),
        margin(better_by=0.02),
        ["tighter: primary: roc_auc better by 0.02 instead of roc_auc better by 0.01"],
    ),
    (
        margin(no_worse_than=0.01),
        margin(better_by=0.0),
        ["tighter: primary: roc_auc better by 0 instead of roc_auc no worse than 0.01"],
    ),
    (
        margin(better_by=0.0),
        margin(no_worse_than=0.01),
        ["looser: primary: roc_auc no worse than 0.01 instead of roc_auc better by 0"],
    ),
    # slices
    ({}, {"slices": [RECALL]}, ["tighter: new, recall per band: recall no worse than 0.05"]),
    ({"slices": [RECALL]}, {}, ["looser: gone, recall per band: recall no worse than 0.05"]),
    (
        {"slices": [RECALL]},
        {"slices": [RECALL | {"no_worse_than": 0.1}]},
        ["looser: recall per band: recall no worse than 0.1 instead of recall no worse than 0.05"],
    ),
    (
        {"slices": [RECALL]},
        {"slices": [RECALL | {"inconclusive": "warn"}]},
        ["looser: recall per band: an undecided slice only warns; before, it blocked"],
    ),
    (
        {"slices": [RECALL]},
        {"slices": [RECALL | {"only": ["top"]}]},
        ["looser: recall per band: only top instead of all values"],
    ),
    (
        {"slices": [RECALL | {"only": ["top"]}]},
        {"slices": [RECALL | {"only": ["top", "rest"]}]},
        ["tighter: recall per band: only top, rest instead of top"],
    ),
    (
        {"slices": [RECALL | {"only": ["top"]}]},
        {"slices": [RECALL | {"only": ["rest"]}]},
        ["changed: recall per band: only rest instead of top"],
    ),
    (
        {"slices": [RECALL, BRIER]},
        {"slices": [BRIER, RECALL]},
        [
            "changed: order of slices: brier per band, recall per band instead of recall per band, brier per band"
        ],
    ),
    # thresholds
    ({}, {"thresholds": [AT_LEAST]}, ["tighter: new: precision at least 0.5"]),
    ({"thresholds": [AT_LEAST]}, {}, ["looser: gone: precision at least 0.5"]),
    (
        {"thresholds": [AT_LEAST]},
        {"thresholds": [AT_LEAST | {"at_least": 0.4}]},
        ["looser: precision at least 0.4 instead of precision at least 0.5"],
    ),
    (
        {"thresholds": [AT_MOST]},
        {"thresholds": [AT_MOST | {"at_most": 40}]},
        ["tighter: latency_p95_ms at most 40 instead of latency_p95_ms at most 50"],
    ),
    # how the gate decides
    ({}, {"gate": {"alpha": 0.1}}, ["looser: error rate 0.1 per table instead of 0.05"]),
    (
        {},
        {"gate": {"looks": 5}},
        [
            "changed: 5 candidates per table instead of 10; each is held to an error of 0.01 instead of 0.005",
        ],
    ),
    ({}, {"gate": {"documented_data": False}}, ["looser: not any more: training data must be documented"]),
    ({"gate": {"reproducible": False}}, {}, ["tighter: runs must be reproducible now"]),
    (
        {},
        {"gate": {"pickle": "allowed"}},
        ["looser: pickle formats are allowed; before, they were refused"],
    ),
    (
        {},
        {"evaluate": {"data": "eval/month.parquet", "label": "churned"}},
        ["changed: evaluation data: eval/month.parquet instead of eval/week.parquet"],
    ),
    (
        {"evaluate": {"data": "eval/week.parquet", "label": "churned", "positive": 1}},
        {"evaluate": {"data": "eval/week.parquet", "label": "churned", "positive": True}},
        ["changed: positive label: true instead of 1"],
    ),
    # requirements
    ({}, requiring(), ["tighter: param:seed_of_split is required now (signoff.yaml:"]),
    (
        {},
        requiring(severity="warn"),
        ["tighter: param:seed_of_split is asked for now, and only warns (signoff.yaml:"],
    ),
    (requiring(), {}, ["looser: param:seed_of_split is not required any more (was signoff.yaml:"]),
    (
        requiring(severity="warn"),
        requiring(),
        ["tighter: the absence of param:seed_of_split blocks now; before, it warned"],
    ),
    (
        requiring(),
        requiring(severity="warn"),
        ["looser: the absence of param:seed_of_split only warns now; before, it blocked"],
    ),
    (requiring(), requiring(accepts=["split"]), ["looser: param:seed_of_split may also be called split"]),
    (
        requiring(accepts=["split"]),
        requiring(),
        ["tighter: param:seed_of_split may not be called split any more"],
    ),
    (requiring(), requiring(why="Splits differ."), ["changed: the explanation of param:seed_of_split"]),
    # proposal and use case
    ({}, {"notes": ["audience"]}, ["tighter: a proposal must fill audience"]),
    ({"notes": ["audience"]}, {}, ["looser: a proposal need not fill audience any more"]),
    ({}, {"owner": "eva@shop.example"}, ["changed: owner eva@shop.example instead of ana@shop.example"]),
    ({}, {"run_name": "churn-.*"}, ["tighter: run names must match churn-.*; before, any name would do"]),
    ({}, {"registered_model": "leavers"}, ["changed: registered model leavers instead of churn"]),
    (
        {},
        {"experiment": ["churn", "churn/weekly"]},
        ["changed: experiment churn/weekly belongs to it now"],
    ),
    (
        {"experiment": ["churn", "churn/weekly"]},
        {"experiment": ["churn/weekly", "churn"]},
        ["changed: order of experiments: churn/weekly, churn instead of churn, churn/weekly"],
    ),
    (
        {},
        {"batch": {"output": "out"}},
        ["changed: (given per run) to out instead of no batch"],
    ),
    # environments
    (
        {},
        {"environments": {"prod": {"approvals": {"reviewer": 2}}}},
        ["tighter: prod needs 2 x reviewer instead of 1"],
    ),
    (
        {"environments": {"prod": {"approvals": {"reviewer": 2}}}},
        {"environments": {"prod": {"approvals": {"reviewer": 1, "platform-owner": 1}}}},
        [
            "looser: prod needs 1 x reviewer instead of 2",
            "tighter: prod needs 1 x platform-owner instead of 0",
        ],
    ),
    (
        {"environments": {"prod": {"approvals": {"reviewer": 1, "platform-owner": 1}}}},
        {"environments": {"prod": {"approvals": {"platform-owner": 1, "reviewer": 1}}}},
        [
            "changed: order of approvals for prod: platform-owner, reviewer instead of reviewer, platform-owner"
        ],
    ),
    (
        {},
        {"environments": {"prod": {"self_approval": "recorded"}}},
        ["looser: an author's own approval counts for prod, and is shown"],
    ),
    (
        {},
        {"environments": {"prod": {"checklist": ["read it"]}}},
        ["tighter: an approver for prod must tick: read it"],
    ),
    (
        {"environments": {"prod": {"rollback_plan": True}}},
        {},
        ["looser: prod needs no rollback plan any more"],
    ),
    (
        {},
        {"environments": {"prod": {"after": "test"}}},
        ["tighter: a version must have been released in test before prod"],
    ),
    (
        {"environments": {"prod": {"after": "test"}}},
        {"environments": {"prod": {"after": "dev"}}},
        ["looser: a version must have been released in dev before prod, instead of test"],
    ),
    (
        {"environments": {"prod": {"after": "test"}, "staging": {"after": "test"}}},
        {"environments": {"prod": {"after": "staging"}, "staging": {"after": "test"}}},
        ["tighter: a version must have been released in staging before prod, instead of test"],
    ),
    (
        {"environments": {"prod": {"after": "test"}}},
        {"environments": {"prod": {"after": "staging"}, "staging": {}}},
        [
            "changed: environment staging is new: alias @staging; no approval",
            "changed: a version must have been released in staging before prod, instead of test",
        ],
    ),
    ({}, {"environments": {"prod": {"alias": "live"}}}, ["changed: prod is alias @live instead of @prod"]),
    (
        {},
        {"environments": {"staging": {}}},
        ["changed: environment staging is new: alias @staging; no approval"],
    ),
]


@pytest.mark.parametrize(("old", "new", "words"), OF_A_USE_CASE, ids=lambda value: str(value)[:60])
def test_a_change_of_a_use_case_in_words(old: Part, new: Part, words: list[str]) -> None:
    found = said(load(**old), load(**new))
    assert len(found) == len(words), found
    for line, wanted in zip(found, words, strict=True):
        assert line.startswith(wanted)
        assert line == wanted or wanted.endswith("signoff.yaml:")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({}, {"version": "2"}, ["changed: version 2 instead of 1"]),
        ({}, {"capture": "minimal"}, ["changed: runs capture: minimal instead of full"]),
        ({}, {"roster": "people.yaml"}, ["changed: people are looked up in people.yaml instead of "]),
        (
            {},
            {"roles": {"owner": {"may": ["promote", "note"]}}},
            ["looser: role owner is new and may note, promote"],
        ),
        ({"roles": {"scribe": {"may": ["note"]}}}, {}, ["changed: role scribe is gone; it could note"]),
        (
            {},
            {"roles": {"author": {"may": ["approve", "propose"]}}},
            ["looser: author may now approve", "changed: author may no longer note"],
        ),
    ],
)
def test_a_change_for_all_use_cases_in_words(old: Part, new: Part, words: list[str]) -> None:
    found = said(load(old), load(new))
    assert len(found) == len(words), found
    assert all(line.startswith(wanted) for line, wanted in zip(found, words, strict=True))


def test_a_changed_password_is_told_without_the_password() -> None:
    old, new = (load({"store": f"postgresql+psycopg2://u:{p}@db/mlflow"}) for p in ("hunter2", "hunter3"))
    (line,) = said(old, new)
    assert "user, password or options" in line
    assert "hunter" not in line


def test_profile_mid_asks_for_more_than_small() -> None:
    diff = diff_standards(load({"profile": "small"}), load({"profile": "mid"}))
    (churn,) = diff.touched
    assert {change.where for change in churn.changes} >= {"requirements", "proposal", "approvals"}
    assert not [change for change in churn.changes if change.effect == "looser"]


def test_which_digests_change() -> None:
    plain = load()
    (rules,) = diff_standards(plain, load(notes=["audience"])).use_cases
    assert (rules.rules_changed, rules.environments) == (True, ("dev", "test", "prod"))
    (approvals,) = diff_standards(plain, load(environments={"prod": {"checklist": ["x"]}})).use_cases
    assert (approvals.rules_changed, approvals.environments) == (False, ("prod",))
    (owner,) = diff_standards(plain, load(owner="eva@shop.example")).use_cases
    assert (owner.state, owner.rules_changed, owner.environments) == ("changed", False, ())


def test_another_path_to_production_is_told() -> None:
    rules = load().use_cases["churn"]
    turned = replace(rules, environments=dict(reversed(list(rules.environments.items()))))
    assert said(standard_of(rules), standard_of(turned)) == [
        "changed: order of the path to production: prod, test, dev instead of dev, test, prod"
    ]


def test_a_use_case_that_comes_or_goes() -> None:
    churn = load()
    both = replace(
        churn, use_cases={**churn.use_cases, "winback": replace(churn.use_cases["churn"], name="winback")}
    )
    came, went = diff_standards(churn, both), diff_standards(both, churn)
    assert [(u.use_case, u.state) for u in came.touched] == [("winback", "added")]
    assert [(u.use_case, u.state) for u in went.touched] == [("winback", "removed")]
    assert "use case winback: new\n" in diff_text(came, {})
    assert "## winback (gone)" in diff_markdown(went, {})


# laws

BASE = load()

MARGINS = st.builds(
    MarginRule,
    metric=st.sampled_from([name for name, metric in METRICS.items() if metric.paired]),
    mode=st.sampled_from(["better_by", "no_worse_than"]),
    margin=st.sampled_from([0.0, 0.01, 0.05]),
)
SLICES = st.lists(
    st.builds(
        replace,
        MARGINS,
        by=st.sampled_from(["band", "country"]),
        only=st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
        inconclusive=st.sampled_from(["block", "warn"]),
    ),
    max_size=3,
    unique_by=lambda rule: (rule.by, rule.metric),
).map(tuple)
THRESHOLDS = st.lists(
    st.builds(
        ThresholdRule,
        metric=st.sampled_from(["precision", "recall"]),
        at_least=st.sampled_from([0.4, 0.5]),
        at_most=st.none(),
    )
    | st.just(ThresholdRule(metric="latency_p95_ms", at_least=None, at_most=50.0)),
    max_size=3,
    unique_by=lambda rule: rule.metric,
).map(tuple)
REQUIREMENTS = st.lists(
    st.builds(
        Requirement,
        kind=st.sampled_from(["param", "tag"]),
        name=st.sampled_from(["a", "b"]),
        accepts=st.lists(st.sampled_from(["x", "y", "z"]), unique=True).map(tuple),
        why=st.sampled_from(["because", "else"]),
        how=st.just("log it"),
        by=st.just("you"),
        severity=st.sampled_from(["block", "warn"]),
        origin=st.sampled_from(["signoff.yaml:7", "profile mid"]),
    ),
    max_size=3,
    unique_by=lambda requirement: requirement.code,
).map(tuple)
TEXTS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(tuple)


@st.composite
def use_cases(draw: st.DrawFn) -> UseCaseRules:
    base = BASE.use_cases["churn"]
    gate: GateRules = replace(
        base.gate,
        recipe=replace(
            base.gate.recipe,
            positive=draw(st.sampled_from([None, True, 1, "1", 0, False])),
            cluster=draw(st.sampled_from([None, "household"])),
        ),
        primary=draw(MARGINS),
        slices=draw(SLICES),
        thresholds=draw(THRESHOLDS),
        looks=draw(st.integers(1, 3)),
        alpha=draw(st.sampled_from([0.05, 0.1])),
        pickle=draw(st.sampled_from(["refused", "allowed"])),
    )
    prod: EnvironmentRules = replace(
        base.environments["prod"],
        approvals=draw(
            st.lists(
                st.builds(ApprovalRule, role=st.sampled_from(["r", "s"]), count=st.integers(1, 2)),
                unique_by=lambda rule: rule.role,
            ).map(tuple)
        ),
        checklist=draw(TEXTS),
        after=draw(st.sampled_from([None, "test", "dev"])),
        self_approval=draw(st.sampled_from(["refused", "recorded"])),
    )
    return replace(
        base,
        run_name=draw(st.sampled_from([None, "a.*", "b.*"])),
        experiments=draw(TEXTS),
        requirements=draw(REQUIREMENTS),
        gate=gate,
        notes=draw(TEXTS),
        environments={**base.environments, "prod": prod},
    )


def standard_of(rules: UseCaseRules) -> Standard:
    return replace(BASE, use_cases={"churn": rules})


def is_empty(diff: StandardDiff) -> bool:
    return diff.empty and "no difference" in diff_text(diff, {})


@settings(deadline=None)
@given(use_cases())
def test_a_standard_does_not_differ_from_itself(rules: UseCaseRules) -> None:
    assert is_empty(diff_standards(standard_of(rules), standard_of(rules)))


@settings(deadline=None)
@given(use_cases(), use_cases())
def test_every_change_of_a_digest_is_told(old: UseCaseRules, new: UseCaseRules) -> None:
    (diff,) = diff_standards(standard_of(old), standard_of(new)).use_cases
    assert diff.rules_changed == (old.digest != new.digest)
    if diff.rules_changed or diff.environments:
        assert diff.changes
    if not diff.rules_changed:
        told = {change.where for change in diff.changes}
        assert told <= {"approvals", "environments", "requirements", "batch"}


@settings(deadline=None)
@given(use_cases(), use_cases())
def test_what_is_looser_one_way_is_tighter_the_other_way(old: UseCaseRules, new: UseCaseRules) -> None:
    there = diff_standards(standard_of(old), standard_of(new)).use_cases[0].changes
    back = diff_standards(standard_of(new), standard_of(old)).use_cases[0].changes
    mirrored = {"looser": "tighter", "tighter": "looser", "changed": "changed"}
    assert sorted((c.where, c.effect) for c in there) == sorted((c.where, mirrored[c.effect]) for c in back)


def test_a_field_without_words_of_its_own_is_told_with_both_values() -> None:
    (change,) = field_changes(
        "gate", {"steps": [1], "known": 1}, {"steps": [1, 2], "known": 2}, said=frozenset({"known"})
    )
    assert change.words == "steps: [1, 2] instead of [1]"


# pages


def test_comments_and_layout_are_told_apart_from_no_difference() -> None:
    one = load()
    two = replace(one, digest=Digest.of(b"with a comment"))
    assert "no difference; 1 use case without a change\n" in diff_text(diff_standards(one, one), {})
    assert "no rule differs, only comments or layout" in diff_text(diff_standards(one, two), {})


def test_the_pages_say_effect_place_digest_and_what_is_touched() -> None:
    diff = diff_standards(load(), load(notes=["audience"]))
    touched = {"churn": ("one *candidate* is void",)}
    text, markdown = diff_text(diff, touched), diff_markdown(diff, touched)
    assert "  tighter: proposal: a proposal must fill audience\n" in text
    assert "rules: the digest changes, sha256:" in text
    assert "churn: one *candidate* is void\n" in text
    assert "0 looser, 1 tighter, 0 otherwise changed; 0 use cases without a change\n" in text
    assert "- **tighter**: proposal: a proposal must fill audience\n" in markdown
    assert "- churn: one \\*candidate\\* is void\n" in markdown


def test_a_name_in_a_standard_cannot_forge_a_line() -> None:
    rules = replace(load().use_cases["churn"], run_name="x\n\x1b[31mall is well | `y`")
    diff = diff_standards(load(), standard_of(rules))
    text, markdown = diff_text(diff, {}), diff_markdown(diff, {})
    assert "\x1b" not in text + markdown
    assert not [line for line in text.splitlines() if line.startswith(("\x1b", "all is well"))]
    assert "\\| \\`y\\`" in markdown
