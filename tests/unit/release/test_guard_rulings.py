"""How levels, break-glass and the log make one ruling of what the rules say; and how it reads."""

from dataclasses import replace

import pytest
from guard_facts import (
    ANA,
    FROZEN,
    MISSING,
    OLD,
    RUN,
    RUNNING,
    Facts,
    at,
    break_glass,
    deleted,
    inserted,
    updated,
)
from hypothesis import given
from hypothesis import strategies as st

from signoff.evidence.log_entry import entry_bytes
from signoff.release.guard.decide import decide
from signoff.release.guard.explain import refusal_text, warning_line
from signoff.release.guard.model import Asker, Change, Objection, Ruling
from signoff.release.model import Reason
from signoff.standard.guard import GUARD_RULES, LEVELS, GuardRules

PROD = inserted("registered_model_aliases", name="churn", alias="prod", version="6")
SANDBOX = inserted("experiments", name="sandbox2", artifact_location=None)


# --- levels


def test_a_rule_that_warns_lets_it_happen_and_writes_down_what_it_would_have_refused() -> None:
    answer = decide((PROD,), asker=ANA, facts=Facts(rules=at("warn")))
    assert not answer.refused
    assert [said.reason for said in answer.warned] == [MISSING]
    (record,) = answer.records
    assert record.entry.outcome == "allowed"
    assert record.entry.reasons == (
        "would be refused: (approval-missing) one approval by reviewer is missing",
    )
    assert record.entry.action == "guard:alias"
    assert {name: record.entry.detail[name] for name in ("mode", "rule", "login")} == {
        "mode": "warn",
        "rule": "alias",
        "login": "ana",
    }
    assert record.envelope is None


def test_one_enforced_rule_refuses_though_others_only_warn() -> None:
    rules = at("warn", artifact_location="enforce")
    chosen = inserted("experiments", name="sandbox2", artifact_location="s3://bucket")
    answer = decide((chosen,), asker=ANA, facts=Facts(rules=rules))
    assert [said.rule for said in answer.refused] == ["artifact-location"]
    assert not answer.records


def test_a_rule_that_is_off_is_not_written_down_either() -> None:
    assert decide((SANDBOX,), asker=ANA, facts=Facts(rules=at("enforce", experiment="off"))) == Ruling()


def test_a_rule_that_nobody_set_is_enforced() -> None:
    assert decide((SANDBOX,), asker=ANA, facts=Facts(rules=GuardRules(levels={}))).refused


# --- break-glass


def test_a_break_glass_lifts_its_rule_for_its_use_case_and_is_named_in_the_log() -> None:
    facts = Facts(broken_glass=(break_glass("alias"),))
    answer = decide((PROD,), asker=ANA, facts=facts)
    assert not answer.refused
    (record,) = answer.records
    assert record.entry.statement == break_glass("alias").statement
    assert record.entry.detail["mode"] == "override"
    assert record.entry.detail["override"] == {
        "by": "cleo@shop.example",
        "reason": "the shop is down",
        "until": "2026-11-23T09:00:00Z",
        "statement": break_glass("alias").statement,
    }
    assert record.entry.reasons[0].startswith("refused but for a break-glass: (approval-missing)")


@pytest.mark.parametrize("glass", [break_glass("deletion"), break_glass("alias", "fraud")])
def test_a_break_glass_lifts_nothing_else(glass: object) -> None:
    facts = Facts(broken_glass=(glass,))  # type: ignore[arg-type]
    assert decide((PROD,), asker=ANA, facts=facts).refused


def test_what_concerns_no_use_case_no_break_glass_lifts() -> None:
    facts = Facts(broken_glass=(break_glass("experiment", ""),))
    assert decide((SANDBOX,), asker=ANA, facts=facts).refused


def test_of_several_the_one_that_lasts_longest_is_named() -> None:
    longer = replace(break_glass("alias"), until="2026-11-24T09:00:00Z", statement="sha256:" + "b" * 64)
    for order in ((longer, break_glass("alias")), (break_glass("alias"), longer)):
        (record,) = decide((PROD,), asker=ANA, facts=Facts(broken_glass=order)).records
        assert record.entry.statement == longer.statement


# --- laws

CHANGES = (
    PROD,
    SANDBOX,
    inserted("registered_model_aliases", name="churn", alias="dev", version="5"),
    inserted("registered_model_aliases", name="churn", alias="champion", version="5"),
    inserted("experiments", name="churn/forest", artifact_location=None),
    inserted("model_versions", name="churn", version="8", run_id=RUN, source="models:/m-run"),
    inserted("model_versions", name="churn", version="9", run_id=RUNNING, source="models:/m-running"),
    inserted("model_version_tags", name="churn", version="8", key="signoff.status", value="ok"),
    inserted("params", run_uuid=FROZEN, key="a", value="1"),
    inserted("params", run_uuid=RUN, key="a", value="1"),
    updated("runs", {"run_uuid": OLD}, {"lifecycle_stage": "active"}, {"lifecycle_stage": "deleted"}),
    updated("runs", {"run_uuid": RUN}, {"lifecycle_stage": "active"}, {"lifecycle_stage": "deleted"}),
    updated("runs", {"run_uuid": RUN}, {"status": "FINISHED"}, {"status": "RUNNING"}),
    updated("registered_models", {"name": "churn"}, {"name": "churn"}, {"name": "churn2"}),
    updated("registered_models", {"name": "legacy"}, {"name": "legacy"}, {"name": "greeting2"}),
    deleted("registered_models", name="legacy"),
    deleted("registered_model_aliases", name="legacy", alias="prod", version="1"),
    updated(
        "model_versions",
        {"name": "churn", "version": "6"},
        {"current_stage": "None"},
        {"current_stage": "Archived"},
    ),
)
FLUSHES = st.lists(st.sampled_from(CHANGES), max_size=6, unique_by=id)
RULES = st.fixed_dictionaries({rule: st.sampled_from(LEVELS) for rule in GUARD_RULES}).map(
    lambda levels: GuardRules(levels=levels)
)


@given(changes=FLUSHES)
def test_with_all_rules_off_nothing_is_refused_said_or_written_down(changes: list[Change]) -> None:
    assert decide(tuple(changes), asker=ANA, facts=Facts(rules=at("off"))) == Ruling()


@given(changes=FLUSHES, rules=RULES)
def test_what_is_refused_brings_no_records(changes: list[Change], rules: GuardRules) -> None:
    answer = decide(tuple(changes), asker=ANA, facts=Facts(rules=rules))
    assert not (answer.refused and (answer.records or answer.warned))
    assert all(rules.level(said.rule) == "enforce" for said in answer.refused)


@given(changes=FLUSHES, rules=RULES, data=st.data())
def test_the_order_of_a_flush_does_not_matter(
    changes: list[Change], rules: GuardRules, data: st.DataObject
) -> None:
    facts = Facts(rules=rules)
    other = data.draw(st.permutations(changes))
    assert decide(tuple(changes), asker=ANA, facts=facts) == decide(tuple(other), asker=ANA, facts=facts)


@given(changes=FLUSHES, rules=RULES)
def test_a_report_only_week_shows_just_what_enforcing_would_refuse(
    changes: list[Change], rules: GuardRules
) -> None:
    mild = GuardRules(
        levels={r: "warn" if rules.level(r) == "enforce" else rules.level(r) for r in GUARD_RULES}
    )
    enforced = decide(tuple(changes), asker=ANA, facts=Facts(rules=rules)).refused
    warned = decide(tuple(changes), asker=ANA, facts=Facts(rules=mild))
    assert not warned.refused
    assert {(said.subject, said.reason) for said in enforced} <= {
        (said.subject, said.reason) for said in warned.warned
    }


@given(changes=FLUSHES, rules=RULES)
def test_refusing_once_means_refusing_whatever_comes_along(changes: list[Change], rules: GuardRules) -> None:
    facts = Facts(rules=rules)
    if decide((PROD,), asker=ANA, facts=facts).refused:
        assert decide((PROD, *changes), asker=ANA, facts=facts).refused


@given(changes=FLUSHES, rules=RULES)
def test_who_asks_changes_no_rule_but_the_release_decisions(changes: list[Change], rules: GuardRules) -> None:
    facts = Facts(rules=rules)
    admin = Asker(login="admin", person=None)
    assert (
        decide(tuple(changes), asker=admin, facts=facts).refused
        == decide(tuple(changes), asker=ANA, facts=facts).refused
    )


@given(changes=FLUSHES, rules=RULES)
def test_every_record_has_bytes_for_the_log(changes: list[Change], rules: GuardRules) -> None:
    for record in decide(tuple(changes), asker=ANA, facts=Facts(rules=rules)).records:
        assert entry_bytes(record.entry)


def test_a_row_of_long_texts_still_fits_into_an_entry() -> None:
    long = {"description": "x" * 5_000, "source": "y" * 500_000, "current_stage": "None"}
    blank = {"description": None, "source": "R", "current_stage": "Deleted_Internal"}
    gone = updated("model_versions", {"name": "churn", "version": "6"}, long, blank)
    (record,) = decide((gone,), asker=ANA, facts=Facts()).records
    assert len(entry_bytes(record.entry)) < 10_000


# --- texts


def refused(*reasons: Reason, subject: str = "churn@prod") -> Ruling:
    return Ruling(
        refused=tuple(
            Objection(rule="alias", use_case="churn", subject=subject, reason=reason) for reason in reasons
        )
    )


def test_a_refusal_reads_rule_first_then_each_reason_with_its_fix() -> None:
    unfixable = Reason(code="rejected", message="ben rejected it")
    assert refusal_text(refused(MISSING, unfixable), "https://shop.example/releases").splitlines() == [
        "signoff refused alias: churn@prod stays as it is.",
        "(approval-missing) one approval by reviewer is missing.",
        "  Fix: signoff approve churn/7 --env prod",
        "(rejected) ben rejected it.",
        "More: https://shop.example/releases",
    ]


def test_what_could_not_be_decided_is_told_without_a_rules_words() -> None:
    text = refusal_text(refused(Reason(code="undecided", message="the ledger is away")), "")
    assert text == "signoff refused alias: churn@prod; nothing was changed.\n(undecided) the ledger is away."


def test_two_subjects_have_a_heading_each() -> None:
    both = Ruling(refused=(*refused(MISSING).refused, *refused(MISSING, subject="churn@test").refused))
    assert refusal_text(both, "").count("signoff refused alias") == 2


def test_many_reasons_are_counted() -> None:
    many = [Reason(code=f"r{number}", message="no") for number in range(40)]
    text = refusal_text(refused(*many), "")
    assert text.count("(r") == 12
    assert text.endswith("and 28 more reasons.")


def test_names_that_people_chose_forge_no_line() -> None:
    forged = refused(MISSING, subject="churn\nsignoff allowed it\x1b[2J")
    assert len(refusal_text(forged, "").splitlines()) == len(refusal_text(refused(MISSING), "").splitlines())
    assert "\x1b" not in refusal_text(forged, "")


def test_a_warning_is_one_line() -> None:
    answer = decide((PROD,), asker=ANA, facts=Facts(rules=at("warn")))
    assert warning_line(answer.warned[0]) == (
        "alias: churn@prod: (approval-missing) one approval by reviewer is missing. "
        "Fix: signoff approve churn/7 --env prod"
    )
