"""Each refusal that makes a release trustworthy, driven through the command line on a real store."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from team import (
    CONTEXT,
    STANDARD,
    Team,
    alias,
    edit_standard,
    git,
    inside,
    log_run,
    logged,
    refused,
    registry,
    signoff,
)


def test_a_run_that_does_not_conform_is_not_registered(fresh: Team) -> None:
    with inside(fresh.folder):
        run = log_run("good", complete=False)
    assert signoff(fresh, "check", run).code == 1
    signoff(fresh, "gate", run)
    outcome = signoff(fresh, "propose", run, *CONTEXT, "--format", "json", key="ana")
    refused(outcome, "param:feature_set", "documented:features")
    assert logged(fresh)[-1] == ("propose", "refused")


def test_a_failed_gate_registers_nothing(released: Team) -> None:
    assert signoff(released, "gate", released.weak).code == 1
    outcome = signoff(released, "propose", released.weak, *CONTEXT, "--format", "json", key="ana")
    refused(outcome, "margin:roc_auc", "threshold:roc_auc")
    with sqlite3.connect(released.folder / "mlflow.db") as store:
        assert store.execute("SELECT count(*) FROM model_versions").fetchone() == (1,)
    store.close()


def test_without_a_gate_decision_nothing_is_registered(fresh: Team) -> None:
    outcome = signoff(fresh, "propose", fresh.good, *CONTEXT, "--format", "json", key="ana")
    refused(outcome, "gate-missing")


def test_a_proposal_needs_the_context_the_standard_asks_for(fresh: Team) -> None:
    signoff(fresh, "gate", fresh.good)
    outcome = signoff(fresh, "propose", fresh.good, "--format", "json", key="ana")
    assert outcome.code == 1
    assert {r["code"] for r in json.loads(outcome.out)["reasons"]} == {"note:business_context", "note:notes"}


def test_an_author_cannot_approve_their_own_version(proposed: Team) -> None:
    edit = proposed.folder / "signoff.roster.yaml"
    edit.write_text(edit.read_text().replace("roles: [author]", "roles: [author, reviewer]"))
    refused(signoff(proposed, "approve", "tumours/1", "--format", "json", key="ana"), "self-approval")
    assert signoff(proposed, "promote", "tumours/1", key="cleo").code == 1
    assert alias(proposed) is None


def test_the_committer_counts_as_an_author_even_when_another_person_proposes(fresh: Team) -> None:
    roster = fresh.folder / "signoff.roster.yaml"
    roster.write_text(
        roster.read_text()
        .replace("roles: [author]", "roles: [reviewer]")
        .replace("roles: [platform-owner]", "roles: [platform-owner, author]")
    )
    signoff(fresh, "gate", fresh.good)
    assert signoff(fresh, "propose", fresh.good, *CONTEXT, key="cleo").code == 0
    refused(signoff(fresh, "approve", "tumours/1", "--format", "json", key="ana"), "self-approval")


def test_self_approval_counts_only_where_the_standard_records_it_and_is_shown(fresh: Team) -> None:
    edit_standard(fresh, "use_cases:", "environments: {prod: {self_approval: recorded}}\nuse_cases:")
    roster = fresh.folder / "signoff.roster.yaml"
    roster.write_text(roster.read_text().replace("roles: [author]", "roles: [author, reviewer]"))
    signoff(fresh, "gate", fresh.good)
    assert signoff(fresh, "propose", fresh.good, *CONTEXT, key="ana").code == 0
    assert "self-approved" in signoff(fresh, "approve", "tumours/1", key="ana").out
    assert "self-approved" in signoff(fresh, "promote", "tumours/1", key="cleo").out
    assert "self-approved by ana@lab.example" in signoff(fresh, "status").out
    assert "self-approved by ana@lab.example" in signoff(fresh, "lineage", "tumours@prod").out


def test_rules_of_this_use_case_changed_after_the_approval_void_it(approved: Team) -> None:
    edit_standard(approved, "at_least: 0.8", "at_least: 0.7")
    outcome = signoff(approved, "promote", "tumours/1", "--format", "json", key="cleo")
    refused(outcome, "gate-rules-changed", "approval-missing")
    assert "the rules of this use case and environment changed" in outcome.out


def test_approval_rules_of_the_environment_changed_after_the_approval_void_it(approved: Team) -> None:
    edit_standard(approved, "use_cases:", "environments: {prod: {checklist: [tried it out]}}\nuse_cases:")
    refused(signoff(approved, "promote", "tumours/1", "--format", "json", key="cleo"), "approval-missing")


def test_a_change_to_another_use_case_voids_nothing(approved: Team) -> None:
    edit_standard(approved, "  cells:\n    owner: ana@lab.example", "  cells:\n    owner: ben@lab.example")
    text = (approved.folder / "signoff.yaml").read_text()
    head, _, cells = text.partition("  cells:")
    (approved.folder / "signoff.yaml").write_text(
        head + "  cells:" + cells.replace("no_worse_than: 0.02", "no_worse_than: 0.001")
    )
    assert signoff(approved, "promote", "tumours/1", key="cleo").code == 0
    assert alias(approved) == 1


def test_editing_the_standard_never_stops_what_is_released(released: Team) -> None:
    edit_standard(released, "at_least: 0.8", "at_least: 0.9999")
    assert signoff(released, "predict", "tumours").code == 0


def test_a_promotion_without_approvals_says_what_is_missing(proposed: Team) -> None:
    outcome = signoff(proposed, "promote", "tumours/1", "--format", "json", key="cleo")
    refused(outcome, "approval-missing")
    assert "ben@lab.example" in outcome.out, "it names who could approve"
    assert alias(proposed) is None


def test_a_dry_run_changes_nothing(approved: Team) -> None:
    before = logged(approved)
    outcome = signoff(approved, "promote", "tumours/1", "--dry-run", key="cleo")
    assert outcome.code == 0
    assert "would move from nothing to version 1" in outcome.out
    assert alias(approved) is None
    assert logged(approved) == before


def test_a_role_the_standard_does_not_know_is_refused(proposed: Team) -> None:
    refused(signoff(proposed, "approve", "tumours/1", "--format", "json", key="dan"), "unknown-role")


def test_a_role_that_may_not_promote_is_refused(approved: Team) -> None:
    refused(signoff(approved, "promote", "tumours/1", "--format", "json", key="ben"), "role")
    assert alias(approved) is None


def test_a_key_that_is_not_on_the_roster_is_refused(proposed: Team) -> None:
    from signoff.adapters.key_files import generate_key

    generate_key(proposed.folder.parent / "keys" / "eve", comment="eve")
    refused(signoff(proposed, "approve", "tumours/1", "--format", "json", key="eve"), "not-on-roster")


def test_a_rejection_stands_until_its_author_approves(proposed: Team) -> None:
    assert signoff(proposed, "reject", "tumours/1", "--reason", "documentation", key="cleo").code == 0
    assert signoff(proposed, "approve", "tumours/1", key="ben").code == 0
    refused(signoff(proposed, "promote", "tumours/1", "--format", "json", key="cleo"), "rejected")
    assert signoff(proposed, "approve", "tumours/1", key="cleo").code == 0
    assert signoff(proposed, "promote", "tumours/1", key="cleo").code == 0


def test_an_unknown_rejection_code_is_refused(proposed: Team) -> None:
    refused(
        signoff(proposed, "reject", "tumours/1", "--reason", "mood", "--format", "json", key="ben"),
        "reason-code",
    )


def test_an_input_table_that_lost_a_column_stops_promotion_and_scoring(approved: Team) -> None:
    import pandas as pd

    table = approved.folder / "scoring/table.parquet"
    frame = pd.read_parquet(table)
    frame.drop(columns=["mean_texture"]).to_parquet(table, index=False)
    refused(signoff(approved, "promote", "tumours/1", "--format", "json", key="cleo"), "input-schema")
    frame.to_parquet(table, index=False)
    assert signoff(approved, "promote", "tumours/1", key="cleo").code == 0
    frame.assign(mean_texture="rough").to_parquet(table, index=False)
    refused(signoff(approved, "predict", "tumours", "--format", "json"), "input-schema")


def test_a_waiver_by_somebody_else_lets_a_named_check_pass_until_its_day(fresh: Team) -> None:
    with inside(fresh.folder):
        run = log_run("good", complete=False)
    signoff(fresh, "gate", run)
    codes = ("--waive", "param:feature_set", "--waive", "documented:features")
    typo = ("--waive", "param:feature_sets", "--until", "2099-12-31", "--comment", "one feature set exists")
    outcome = signoff(fresh, "approve", run, *typo, key="cleo")
    assert outcome.code == 2
    assert "what does: param:feature_set, documented:features" in outcome.err
    late = ("--until", "2001-01-01", "--comment", "one feature set exists")
    assert signoff(fresh, "approve", run, *codes, *late, key="cleo").code == 2
    good = ("--until", "2099-12-31", "--comment", "one feature set exists")
    refused(signoff(fresh, "approve", run, *codes, *good, "--format", "json", key="ben"), "role")
    assert signoff(fresh, "approve", run, *codes, *good, key="cleo").code == 0
    outcome = signoff(fresh, "propose", run, *CONTEXT, key="ana")
    assert outcome.code == 0, outcome
    assert "waived: param:feature_set by cleo@lab.example" in outcome.out


def test_a_promotion_tries_the_first_rows_of_the_input(approved: Team) -> None:
    import pandas as pd

    table = approved.folder / "scoring/table.parquet"
    frame = pd.read_parquet(table)
    frame.loc[0, "mean_texture"] = float("nan")
    frame.to_parquet(table, index=False)
    outcome = signoff(approved, "promote", "tumours/1", "--format", "json", key="cleo")
    refused(outcome, "input-schema")
    assert "first 20 rows cannot be scored" in outcome.out


def test_an_approval_of_what_can_no_longer_be_promoted_says_so(approved: Team) -> None:
    edit_standard(approved, "at_least: 0.8", "at_least: 0.7")
    outcome = signoff(approved, "approve", "tumours/1", key="ben")
    assert outcome.code == 0
    assert "a promotion would be refused now: the rules of tumours changed" in outcome.out


def test_rollback_returns_to_the_last_good_release_and_voids_the_approvals(released: Team) -> None:
    with inside(released.folder):
        second = log_run("good")
    outcome = signoff(released, "gate", second)
    assert outcome.code == 0, outcome
    assert signoff(released, "propose", second, *CONTEXT, key="ana").code == 0
    assert signoff(released, "approve", "tumours/2", key="ben").code == 0
    assert signoff(released, "promote", "tumours/2", key="cleo").code == 0
    assert alias(released) == 2
    outcome = signoff(released, "rollback", "tumours", "--format", "json", key="cleo")
    refused(outcome, "reason")
    assert signoff(released, "rollback", "tumours", "--reason", "complaints", key="cleo").code == 0
    assert alias(released) == 1
    assert signoff(released, "predict", "tumours").code == 0
    assert "rolled back from version 2: complaints" in signoff(released, "status").out
    refused(signoff(released, "promote", "tumours/2", "--format", "json", key="cleo"), "approval-missing")
    refused(
        signoff(released, "rollback", "tumours", "--reason", "again", "--format", "json", key="cleo"),
        "no-last-good",
    )


def released_again(team: Team) -> None:
    """One more version of the good model, gated, approved and released to prod."""
    with inside(team.folder):
        run = log_run("good")
    assert signoff(team, "gate", run).code == 0
    outcome = signoff(team, "propose", run, *CONTEXT, key="ana")
    version = f"tumours/{max(int(v.version) for v in registry(team).search_model_versions())}"
    assert outcome.code == 0, outcome
    assert signoff(team, "approve", version, key="ben").code == 0
    assert signoff(team, "promote", version, key="cleo").code == 0


def files_of(team: Team, version: int) -> Path:
    source = registry(team).get_model_version("tumours", str(version)).source
    return next((team.folder / "mlruns").rglob(f"{source.removeprefix('models:/')}/artifacts"))


def exchange_files_of(team: Team, version: int) -> None:
    (file,) = files_of(team, version).rglob("*.skops")
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


ROLLBACK = ("rollback", "tumours", "--reason", "complaints", "--format", "json")


def test_a_rollback_passes_over_what_is_not_what_was_released(released: Team) -> None:
    released_again(released)
    released_again(released)
    exchange_files_of(released, 2)
    outcome = signoff(released, *ROLLBACK, key="cleo")
    assert outcome.code == 0, outcome
    (remark,) = json.loads(outcome.out)["remarks"]
    assert remark.startswith("passed over (model-bytes-changed): the files of tumours/2 changed")
    assert alias(released) == 1
    assert signoff(released, "predict", "tumours").code == 0


def test_a_rollback_to_changed_files_alone_is_refused_and_nothing_moves(released: Team) -> None:
    released_again(released)
    exchange_files_of(released, 1)
    outcome = signoff(released, *ROLLBACK, key="cleo")
    refused(outcome, "model-bytes-changed")
    assert "the files of tumours/1 changed" in outcome.out
    assert alias(released) == 2
    assert signoff(released, "predict", "tumours").code == 0
    assert logged(released)[-2:] == [("rollback", "refused"), ("predict", "allowed")]


def test_files_that_cannot_be_reached_stop_no_rollback(released: Team) -> None:
    released_again(released)
    away = files_of(released, 1)
    away.rename(away.with_name("away"))
    outcome = signoff(released, *ROLLBACK, key="cleo")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["remarks"] == [
        "the files of tumours/1 were not looked at: the model's files are not there"
    ]
    assert alias(released) == 1


def test_a_log_that_goes_on_while_files_are_hashed_stops_no_rollback(
    released: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from signoff.apps.scoring.released import stated_model as look

    released_again(released)
    hashed = list[int]()

    def while_others_work(*given: Any, **named: Any) -> Any:
        hashed.append(alias(released) or 0)
        assert signoff(released, "predict", "tumours").code == 0
        return look(*given, **named)

    monkeypatch.setattr("signoff.apps.verbs.rollback.stated_model", while_others_work)
    outcome = signoff(released, *ROLLBACK, key="cleo")
    assert outcome.code == 0, outcome
    assert (hashed, alias(released)) == ([2], 1)
    assert logged(released)[-2:] == [("predict", "allowed"), ("rollback", "allowed")]


def test_a_failed_gate_is_logged_as_refused(released: Team) -> None:
    signoff(released, "gate", released.weak)
    assert logged(released)[-1] == ("gate", "refused")


MONITOR = """\
    monitors:
      thickness: {kind: drift, table: scoring/table.parquet, at_most: 0.2, then: review}
    batch:"""


def test_with_profile_mid_the_path_leads_through_test(fresh: Team) -> None:
    edit_standard(fresh, "profile: small", "profile: mid\nevidence: warn")
    signoff(fresh, "gate", fresh.good)
    mid = ("--context", "limitations=one hospital", "--context", "rollback_plan=the last version; cleo")
    outcome = signoff(fresh, "propose", fresh.good, *CONTEXT, *mid, key="ana")
    assert outcome.code == 0, outcome
    assert "--env test" in outcome.out
    refused(
        signoff(fresh, "promote", "tumours/1", "--format", "json", key="cleo"),
        "approval-missing",
        "approval-missing",
        "environment-order",
        "monitoring-missing",
    )
    edit_standard(fresh, "    batch:", MONITOR)
    unconfirmed = signoff(fresh, "approve", "tumours/1", "--env", "prod", "--format", "json", key="ben")
    assert {r["code"] for r in json.loads(unconfirmed.out)["reasons"]} == {"checklist"}
    asked = [r["fix"].split('"')[1] for r in json.loads(unconfirmed.out)["reasons"]]
    confirmed = [part for item in asked for part in ("--confirm", item)]
    for person in ("ben", "cleo"):
        assert signoff(fresh, "approve", "tumours/1", "--env", "prod", *confirmed, key=person).code == 0
    refused(signoff(fresh, "promote", "tumours/1", "--format", "json", key="cleo"), "environment-order")
    in_test = signoff(fresh, "approve", "tumours/1", "--env", "test", *confirmed, key="ben")
    assert in_test.code == 0, in_test
    assert signoff(fresh, "promote", "tumours/1", "--env", "test", key="cleo").code == 0
    assert alias(fresh, "test") == 1
    assert signoff(fresh, "promote", "tumours/1", key="cleo").code == 0
    assert alias(fresh) == 1


def test_every_decision_is_in_the_audit_log(released: Team) -> None:
    signoff(released, "promote", "tumours/1", "--env", "test", key="ben")
    signoff(released, "predict", "tumours")
    assert logged(released) == [
        ("gate", "allowed"),
        ("propose", "allowed"),
        ("approve", "allowed"),
        ("promote", "allowed"),
        ("promote", "refused"),
        ("predict", "allowed"),
    ]


def test_a_commit_of_the_output_names_the_release(released: Team) -> None:
    signoff(released, "predict", "tumours")
    trace = signoff(released, "lineage", "predictions/tumours", "--format", "json")
    assert trace.code == 0, trace
    links = {link["kind"]: link for link in json.loads(trace.out)["links"]}
    assert {
        links[kind]["state"] for kind in ("output", "release", "version", "model", "gate", "approval")
    } == {"verified"}


@pytest.fixture(autouse=True)
def quiet_store() -> Iterator[None]:
    """Nothing of one test's store stays behind for the next."""
    yield
    import mlflow

    if mlflow.active_run() is not None:
        mlflow.end_run()


def test_a_dirty_tree_is_not_reproducible(fresh: Team) -> None:
    (fresh.folder / "train.py").write_text("print('not committed')\n")
    with inside(fresh.folder):
        run = log_run("good")
    git(fresh.folder, "add", "train.py")
    outcome = signoff(fresh, "gate", run)
    assert outcome.code == 1
    assert "FAIL  reproducible(commit)" in outcome.out


def test_the_standard_of_these_tests_is_valid() -> None:
    from signoff.standard.load import load_standard

    assert list(load_standard(STANDARD, "signoff.yaml").use_cases) == ["tumours", "cells"]


def test_a_dry_run_says_what_the_release_would_rest_on(approved: Team) -> None:
    shown = signoff(approved, "promote", "tumours/1", "--dry-run", key="cleo").out
    assert "signed   ben@lab.example (reviewer)" in shown
    assert "input    scoring/table.parquet has the 5 columns of the signature" in shown
    assert "in one transaction" in shown
