"""A real endpoint that follows the ledger: canary, rollback, faults."""

import json
import sqlite3
import time
from pathlib import Path
from shutil import rmtree

import pytest
from endpoint import callers, done, kill, serving, serving_team
from team import Team, alias, copy_team, edit_standard, logged, refused, signoff

CANARY = ("promote", "tumours/2", "--canary")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return serving_team(tmp_path_factory.mktemp("serving") / "repo")


@pytest.fixture
def team(made_once: Team, tmp_path: Path) -> Team:
    return copy_team(made_once, tmp_path / "team")


def rollouts(team: Team) -> list[tuple[str, int]]:
    """(verdict, step) of every rollout statement, in the order of the log."""
    entries = json.loads(signoff(team, "admin", "audit", "--format", "json").out)
    return [
        (row["entry"]["subject"].rsplit(": ", 1)[-1], row["entry"]["detail"].get("step", -1))
        for row in entries
        if row["entry"]["action"] == "rollout"
    ]


def test_a_good_canary_passes_its_steps_once_is_promoted_and_rolled_back_and_no_request_fails(
    team: Team,
) -> None:
    with serving(team) as endpoint, callers(endpoint) as asking:
        done(signoff(team, *CANARY, key="cleo"))
        refused(signoff(team, "promote", "tumours/2", "--format", "json", key="cleo"), "canary-incomplete")
        assert alias(team) == 1
        health = endpoint.until(lambda h: h["canary"] and h["canary"]["complete"], "the end of the canary")
        assert (health["version"], health["canary"]["version"], health["canary"]["step"]) == (1, 2, 2)
        done(signoff(team, "promote", "tumours/2", key="cleo"))
        endpoint.until(lambda h: h["version"] == 2 and h["canary"] is None, "version 2")
        assert endpoint.ask().version == 2
        assert endpoint.health()["previous"] == {"version": 1, "loaded": True}
        done(signoff(team, "rollback", "tumours", "--reason", "drill", key="cleo"))
        endpoint.until(lambda h: h["version"] == 1, "version 1")
        flipped = time.monotonic()
        time.sleep(0.5)
    assert asking.failed() == []
    assert {(seen.version, seen.route) for seen in asking.seen} >= {
        (1, "stable"),
        (2, "canary"),
        (2, "stable"),
    }
    under_way = 3  # one of each caller may end on the version where it began
    assert sum(seen.version == 2 for seen in asking.seen if seen.at > flipped) <= under_way
    assert rollouts(team) == [("advance", 0), ("complete", 1)]
    assert alias(team) == 1


def test_a_restarted_server_resumes_at_the_recorded_step(team: Team) -> None:
    done(signoff(team, *CANARY, key="cleo"))
    with serving(team) as endpoint:
        endpoint.until(lambda h: h["canary"] and h["canary"]["loaded"], "the canary")
        while endpoint.health()["canary"]["step"] == 1:
            endpoint.ask()
        kill(endpoint.process.pid)
    with serving(team) as endpoint:
        health = endpoint.until(lambda h: h["canary"] and h["canary"]["loaded"], "the canary")
        assert (health["canary"]["step"], health["canary"]["counts"]["canary"]["requests"]) == (2, 0)
    assert rollouts(team) == [("advance", 0)]


def test_a_canary_whose_process_is_killed_under_load_is_aborted_and_no_caller_sees_it(team: Team) -> None:
    with serving(team) as endpoint, callers(endpoint) as asking:
        before = endpoint.scorers()
        done(signoff(team, *CANARY, key="cleo"))
        endpoint.until(lambda h: h["canary"] and h["canary"]["loaded"], "the canary")
        for process in set(endpoint.scorers()) - set(before):
            kill(process)
        endpoint.until(lambda h: h["canary"] is None, "the abort")
        endpoint.until(lambda _: "abort" in [verdict for verdict, _ in rollouts(team)], "its statement")
        time.sleep(0.5)
    assert asking.failed() == []
    assert rollouts(team)[-1][0] == "abort"
    assert alias(team) == 1


def test_an_abort_that_cannot_be_written_down_holds_is_told_once_and_written_when_the_ledger_is_back(
    team: Team,
) -> None:
    store, away = team.folder / "mlflow.db", team.folder / "away.db"
    told = "canary 2: its abort is decided but not written down yet"
    with serving(team) as endpoint, callers(endpoint) as asking:
        done(signoff(team, *CANARY, key="cleo"))
        endpoint.until(lambda h: h["canary"] and h["canary"]["loaded"], "the canary")
        store.rename(away)
        kill(endpoint.scorers()[-1])
        health = endpoint.until(lambda h: any(told in problem for problem in h["problems"]), "the finding")
        assert (health["version"], health["canary"]) == (1, None)
        away.rename(store)
        endpoint.until(lambda h: not h["problems"], "the return")
    assert asking.failed() == []
    assert sum(told in line for line in endpoint.output) == 1
    assert rollouts(team)[-1][0] == "abort"


def test_a_rollback_while_a_canary_runs_ends_the_canary_alone(team: Team) -> None:
    done(signoff(team, *CANARY, key="cleo"))
    with serving(team) as endpoint:
        endpoint.until(lambda h: h["canary"] and h["canary"]["loaded"], "the canary")
        stopped = signoff(team, "rollback", "tumours", "--reason", "odd answers", key="cleo")
        done(stopped)
        assert "the canary of tumours/2 in prod; the release stays" in stopped.out
        health = endpoint.until(lambda h: h["canary"] is None, "the end of the canary")
        assert health["version"] == 1
    assert rollouts(team) == []
    assert logged(team)[-1] == ("rollback", "allowed")


def test_while_the_database_is_gone_the_last_good_version_answers(team: Team) -> None:
    store, away = team.folder / "mlflow.db", team.folder / "away.db"
    with serving(team) as endpoint, callers(endpoint) as asking:
        store.rename(away)
        health = endpoint.until(lambda h: not h["ledger"]["reachable"], "the loss")
        assert (health["version"], len(health["problems"])) == (1, 1)
        assert endpoint.ask().status == 200
        away.rename(store)
        endpoint.until(lambda h: h["ledger"]["reachable"] and not h["problems"], "the return")
        done(signoff(team, *CANARY, key="cleo"))
        endpoint.until(lambda h: h["canary"] and h["canary"]["loaded"], "the canary")
    assert asking.failed() == []


def test_an_alias_that_was_moved_by_hand_changes_nothing_and_is_told(team: Team) -> None:
    with serving(team) as endpoint:
        with sqlite3.connect(team.folder / "mlflow.db") as store:
            store.execute("UPDATE registered_model_aliases SET version = 2 WHERE alias = 'prod'")
        store.close()
        health = endpoint.until(lambda h: h["problems"], "the finding")
        assert "alias-moved" in health["problems"][0]
        assert endpoint.ask().version == 1


@pytest.mark.parametrize("signer", [None, "ana"])
def test_a_canary_statement_that_no_promoter_signed_is_never_served(team: Team, signer: str | None) -> None:
    from dataclasses import replace

    from signoff.adapters.key_files import load_key
    from signoff.apps.verbs.recording import signed
    from signoff.apps.workspace import Actor, open_workspace
    from signoff.evidence.ledger import Entry

    with serving(team) as endpoint:
        workspace = open_workspace(str(team.folder / "signoff.yaml"))
        ledger = workspace.ledger()
        release = ledger.find(use_case="tumours", kind="release")[0].statement
        plan = workspace.use_case("tumours").serving
        assert plan is not None
        assert plan.canary is not None
        forged = replace(
            release,
            kind="canary",
            predicate={**release.predicate, "plan": plan.canary.to_json(), "version": 2},
        )
        key = None if signer is None else load_key(Path(team.key(signer)), None)
        envelope = signed(forged, Actor(name="somebody", key=key))
        entry = Entry(
            at="2026-01-01T00:00:00Z",
            actor="somebody",
            action="canary",
            outcome="allowed",
            use_case="tumours",
            subject="forged",
            statement=str(envelope.id),
            reasons=(),
            detail={},
        )
        with ledger.transaction() as writer:
            writer.put(envelope, use_case="tumours", version="tumours/2", run_id=None)
            size = writer.append(entry) + 1
        time.sleep(1.0)
        health = endpoint.health()
        assert (health["version"], health["canary"], health["problems"]) == (1, None, [])
        assert ledger.head().size == size


def test_a_server_without_a_key_serves_no_canary_and_says_why(team: Team) -> None:
    done(signoff(team, *CANARY, key="cleo"))
    with serving(team, key=None) as endpoint:
        health = endpoint.health()
        assert (health["version"], health["canary"]) == (1, None)
        assert "start it with --key" in health["problems"][0]


def test_a_server_whose_key_may_not_promote_serves_no_canary_and_says_why(team: Team) -> None:
    done(signoff(team, *CANARY, key="cleo"))
    with serving(team, key="ana") as endpoint:
        health = endpoint.health()
        assert (health["version"], health["canary"]) == (1, None)
        assert "ana@lab.example may not promote" in health["problems"][0]


@pytest.mark.parametrize("copy_is_gone", [False, True])
def test_a_rollback_to_a_version_whose_process_died_drops_no_request(
    team: Team, *, copy_is_gone: bool
) -> None:
    text = (team.folder / "signoff.yaml").read_text()
    start = text.index("      canary:")
    edit_standard(team, text[start : text.index("    batch:")], "")
    done(signoff(team, "approve", "tumours/2", key="ben"))
    done(signoff(team, "promote", "tumours/2", key="cleo"))
    with serving(team) as endpoint:
        endpoint.until(lambda h: h["previous"] == {"version": 1, "loaded": True}, "version 1")
        dead = endpoint.scorers()[-1]
        if copy_is_gone:
            words = Path(f"/proc/{dead}/cmdline").read_text().split("\0")
            rmtree(words[words.index("--folder") + 1])
        kill(dead)
        health = endpoint.until(lambda h: not h["previous"]["loaded"], "the end of the process")
        assert "version 1: the scoring process ended" in health["problems"][0]
        with callers(endpoint) as asking:
            done(signoff(team, "rollback", "tumours", "--reason", "drill", key="cleo"))
            endpoint.until(lambda h: h["version"] == 1 and not h["problems"], "version 1")
            assert endpoint.ask().version == 1
        assert asking.failed() == []
        endpoint.until(
            lambda _: any("version 1: its scoring process ended" in x for x in endpoint.output), "word"
        )


def test_a_stable_version_whose_copy_and_process_are_gone_is_verified_anew_and_comes_back(team: Team) -> None:
    with serving(team) as endpoint:
        (process,) = endpoint.scorers()
        words = Path(f"/proc/{process}/cmdline").read_text().split("\0")
        rmtree(words[words.index("--folder") + 1])
        kill(process)
        endpoint.until(lambda h: h["problems"], "the finding")
        endpoint.until(lambda h: not h["problems"], "its return")
        assert endpoint.ask().status == 200


def test_a_copy_that_cannot_be_made_anew_is_told_and_tried_again(team: Team) -> None:
    store, away = team.folder / "mlflow.db", team.folder / "away.db"
    with serving(team) as endpoint:
        (process,) = endpoint.scorers()
        words = Path(f"/proc/{process}/cmdline").read_text().split("\0")
        rmtree(words[words.index("--folder") + 1])
        store.rename(away)
        kill(process)
        told = "could not be started again"
        endpoint.until(lambda h: any(told in problem for problem in h["problems"]), "the finding")
        assert endpoint.ask().status == 503
        away.rename(store)
        endpoint.until(lambda h: not h["problems"], "its return")
        assert endpoint.ask().status == 200
    assert sum(told in line for line in endpoint.output) >= 1


def test_a_canary_needs_what_a_release_needs_and_something_to_fall_back_to(team: Team) -> None:
    asked = ("--format", "json")
    refused(signoff(team, "promote", "tumours/1", "--canary", *asked, key="cleo"), "canary-stable")
    refused(signoff(team, *CANARY, *asked, key="ben"), "role")
    done(signoff(team, *CANARY, "--dry-run", key="cleo"))
    done(signoff(team, *CANARY, key="cleo"))
    refused(signoff(team, *CANARY, *asked, key="cleo"), "canary-running")
    refused(signoff(team, "rollback", "tumours", *asked, key="cleo"), "reason")
    assert alias(team) == 1


def test_a_load_test_measures_the_proposed_bytes_and_is_recorded(team: Team) -> None:
    from signoff.apps.workspace import open_workspace

    kept = signoff(team, "admin", "bench", "tumours/2", key="cleo")
    done(kept)
    assert kept.out.startswith("PASS  load test of tumours/2")
    assert logged(team)[-1] == ("bench", "allowed")
    edit_standard(team, "latency_p95_ms: 5000", "latency_p95_ms: 0.001")
    missed = signoff(team, "admin", "bench", "tumours", "--format", "json", key="cleo")
    assert missed.code == 1
    found = json.loads(missed.out)
    assert (found["version"], found["passed"]) == ("tumours/1", False)
    assert "FAIL  latency p95" in found["messages"][1]
    with serving(team) as endpoint:
        url = f"http://127.0.0.1:{endpoint.port}"
        other = signoff(team, "admin", "bench", "tumours/2", "--url", url)
        there = signoff(team, "admin", "bench", "tumours/1", "--url", url, key="cleo")
    assert other.code == 2
    assert "the endpoint answered with other bytes than tumours/2 has" in other.err
    assert f"of 127.0.0.1:{endpoint.port}: a promotion asks for one without --url" in there.out
    ledger = open_workspace(str(team.folder / "signoff.yaml")).ledger()
    said = [found.statement.predicate for found in ledger.find(use_case="tumours", kind="load-test")]
    assert [(one["url"], one["host"]) for one in said] == [
        (False, ""),
        (False, ""),
        (True, f"127.0.0.1:{endpoint.port}"),
    ]
