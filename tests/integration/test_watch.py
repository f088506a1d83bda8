"""Watching what is released: every kind of monitor, every action, and what happens when it dies in between."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from team import (
    ROBOT,
    Outcome,
    Team,
    alias,
    cancer,
    edit_standard,
    inside,
    logged,
    registry,
    signoff,
)

MONITORS = {
    "inputs": "{kind: drift, table: scoring/table.parquet, at_most: 0.1, then: review}",
    "quality": "{kind: data-quality, table: scoring/table.parquet, at_most: 0.01, then: review}",
    "auc": "{kind: performance, metric: roc_auc, table: scoring/table.parquet, labels: late.parquet,"
    " at_least: 0.9, then: review}",
    "p95": "{kind: latency, at_most: 50, then: review}",
    "errors": "{kind: errors, at_most: 0.05, then: review}",
    "age": "{kind: schedule, at_most: 30, then: review}",
}
WRONG = "{kind: performance, metric: roc_auc, table: eval/table.parquet, at_least: 0.9999, then: ACTION}"


def watching(team: Team, monitors: dict[str, str], *, more: str = "") -> None:
    """Put monitors into the standard of the use case tumours."""
    lines = "".join(f"      {name}: {rules}\n" for name, rules in monitors.items())
    edit_standard(team, "    batch:", f"    monitors:\n{lines}{more}    batch:")


def watch(team: Team, *, code: int, key: str | None = None) -> dict[str, Any]:
    """One round by the command line, with the exit code that it must have."""
    outcome = signoff(team, "watch", "tumours", "--once", "--format", "json", key=key)
    assert outcome.code == code, outcome
    found: dict[str, Any] = json.loads(outcome.out)[0]
    return found


def standings(found: dict[str, Any]) -> dict[str, str]:
    return {row["monitor"]: row["standing"] for row in found["watched"]}


def fired(found: dict[str, Any]) -> list[str]:
    return [row["monitor"] for row in found["watched"] if row["fired"]]


def entries(team: Team, action: str) -> list[dict[str, Any]]:
    rows = json.loads(signoff(team, "admin", "audit", "--format", "json").out)
    return [row["entry"] for row in rows if row["entry"]["action"] == action]


def moves(team: Team) -> list[str]:
    return [action for action, outcome in logged(team) if (action, outcome) == ("rollback", "allowed")]


# --- tables


def score_only(team: Team, rows: Any) -> None:
    rows.drop(columns=["benign"]).to_parquet(team.folder / "scoring/table.parquet", index=False)


def labels_for(team: Team, rows: Any) -> None:
    rows[["sample", "benign"]].to_parquet(team.folder / "late.parquet", index=False)


@pytest.fixture
def watched(released: Team) -> Team:
    """Three monitors over tables; the data is as it was at the approval."""
    watching(released, {name: MONITORS[name] for name in ("inputs", "quality", "auc")})
    labels_for(released, cancer())
    return released


def test_nothing_fires_while_all_is_as_it_was_approved(watched: Team) -> None:
    found = watch(watched, code=0)
    assert standings(found) == dict.fromkeys(("inputs", "quality", "auc"), "in bounds")
    assert fired(found) == []


def test_other_tumours_than_those_of_the_approval_are_drift(watched: Team) -> None:
    frame = cancer()
    score_only(watched, frame[frame["size"] == "large"])
    found = watch(watched, code=1)
    assert fired(found) == ["inputs"]
    row = found["watched"][0]
    assert row["detail"][0].startswith("mean_radius: PSI")
    again = watch(watched, code=1)["watched"][0]
    assert again["remark"].startswith("it fired for this data already"), (
        "and what is out of bounds is not fine"
    )


def test_values_that_went_missing_are_bad_quality(watched: Team) -> None:
    frame = cancer()
    frame.loc[frame["sample"] % 10 == 0, "mean_texture"] = None
    score_only(watched, frame)
    found = watch(watched, code=2)
    assert "quality" in fired(found)
    assert "the model fails" in found["watched"][2]["message"], "and what cannot be scored is undecided"


def test_labels_that_came_in_late_are_joined_by_the_row_key(watched: Team) -> None:
    frame = cancer()
    wrong = frame.assign(benign=1 - frame["benign"])
    labels_for(watched, wrong[wrong["sample"] < 200])
    found = watch(watched, code=1)
    assert fired(found) == ["auc"]
    assert found["watched"][2]["rows"] == 200
    labels_for(watched, frame.head(30))
    found = watch(watched, code=2)
    assert standings(found)["auc"] == "undecided"
    assert "30 rows have a label" in found["watched"][2]["message"]


def test_without_the_approvals_data_drift_is_undecided(watched: Team) -> None:
    frame = cancer()
    frame[frame["sample"] % 3 == 0].to_parquet(watched.folder / "eval/table.parquet", index=False)
    found = watch(watched, code=2)
    assert standings(found)["inputs"] == "undecided"
    assert "not the data of the approval any more" in found["watched"][0]["message"]


def test_the_approvals_data_is_found_where_the_team_kept_it(watched: Team) -> None:
    evaluation = watched.folder / "eval/table.parquet"
    evaluation.rename(watched.folder / "eval/approved.parquet")
    cancer().to_parquet(evaluation, index=False)
    assert standings(watch(watched, code=0))["inputs"] == "in bounds"


def test_the_columns_that_the_run_calls_sensitive_are_those_watched(watched: Team) -> None:
    registry(watched).log_dict(watched.good, ["worst_area"], "evidence/drift_sensitive_features.json")
    assert "0 of 1 columns" in watch(watched, code=0)["watched"][0]["message"]


def test_a_monitor_that_fails_does_not_stop_the_others(watched: Team) -> None:
    (watched.folder / "late.parquet").unlink()
    frame = cancer()
    score_only(watched, frame[frame["size"] == "large"])
    found = watch(watched, code=2)
    assert standings(found)["auc"] == "undecided"
    assert fired(found) == ["inputs"]


def test_a_table_of_garbage_does_not_stop_the_others(watched: Team) -> None:
    (watched.folder / "late.parquet").write_bytes(b"PAR1 not really")
    assert standings(watch(watched, code=2))["inputs"] == "in bounds"


def test_an_old_evaluation_fires_once_per_period(released: Team) -> None:
    watching(released, {"age": "{kind: schedule, at_most: 0.00001, then: re-evaluate}"})
    time.sleep(2)
    found = watch(released, code=1)
    assert fired(found) == ["age"]
    assert found["acted"][0]["message"].startswith("the gate says pass")
    assert [entry["action"] for entry in entries(released, "gate")] == ["gate", "gate"]


# --- the inference log


def write_log(
    team: Team,
    *,
    requests: int,
    slow: int = 0,
    failed: int = 0,
    start: int = 0,
    lost: bool = False,
    first: int | None = None,
) -> None:
    """Append requests of the released version to the log; the first so many are slow or fail.

    A lost request fails because no version was there to answer. The samples asked about begin with ``first``, as the
    requests do when it is None.
    """
    import pyarrow as pa
    from deltalake import write_deltalake

    released = json.loads(signoff(team, "lineage", "tumours@prod", "--format", "json").out)["links"]
    digest = next(link["name"] for link in released if link["kind"] == "model").removeprefix("files ")
    asked = start if first is None else first
    names = [f"request {start + i:06d}" for i in range(requests)]
    table = pa.table(
        {
            "signoff_request": names,
            "signoff_at": [
                f"2099-01-01T00:{i // 60:02d}:{i % 60:02d}.000Z" for i in range(start, start + requests)
            ],
            "signoff_version": pa.array(
                [None if lost and i < failed else 1 for i in range(requests)], pa.int64()
            ),
            "signoff_digest": [None if lost and i < failed else digest for i in range(requests)],
            "signoff_route": ["stable"] * requests,
            "signoff_status": pa.array([500 if i < failed else 200 for i in range(requests)], pa.int64()),
            "signoff_latency_ms": [400.0 if i < slow else 5.0 for i in range(requests)],
            "signoff_prediction": ["1"] * requests,
            "sample": pa.array(range(asked, asked + requests), pa.int64()),
        }
    )
    write_deltalake(str(team.folder / "serving/log"), table, mode="append")


@pytest.fixture
def served(released: Team) -> Team:
    serving = "    serving: {log: serving/log}\n"
    watching(released, {name: MONITORS[name] for name in ("p95", "errors")}, more=serving)
    return released


@pytest.mark.parametrize(
    ("slow", "failed", "wanted"), [(0, 0, []), (20, 0, ["p95"]), (0, 20, ["errors"]), (1, 1, [])]
)
def test_slow_or_failing_requests_fire(served: Team, slow: int, failed: int, wanted: list[str]) -> None:
    write_log(served, requests=100, slow=slow, failed=failed)
    assert fired(watch(served, code=1 if wanted else 0)) == wanted


def test_requests_that_no_version_could_answer_count_as_failed(served: Team) -> None:
    write_log(served, requests=100, failed=20, lost=True)
    assert fired(watch(served, code=1)) == ["errors"]


def test_a_window_of_requests_is_judged_once_and_the_next_when_it_is_full(served: Team) -> None:
    write_log(served, requests=99, slow=99)
    assert standings(watch(served, code=2))["p95"] == "undecided"
    write_log(served, requests=1, start=99)
    assert fired(watch(served, code=1)) == ["p95"]
    assert signoff(served, "note", "tumours/1", "a slow disk", key="ben").code == 0
    write_log(served, requests=60, start=100, slow=60)
    assert fired(watch(served, code=1)) == []
    write_log(served, requests=40, start=160, slow=40)
    assert fired(watch(served, code=1)) == ["p95"]


def test_answers_of_the_log_are_measured_when_their_labels_come_in(released: Team) -> None:
    monitor = "{kind: performance, metric: accuracy, labels: late.parquet, at_least: 0.9, then: review}"
    watching(released, {"hits": monitor}, more="    serving: {log: serving/log}\n")
    write_log(released, requests=100)
    rows = cancer().head(100)
    labels_for(released, rows.assign(benign=[1] * 98 + [0] * 2))
    assert fired(watch(released, code=0)) == []
    labels_for(released, rows.assign(benign=[1] * 60 + [0] * 40))
    assert fired(watch(released, code=1)) == ["hits"]


# --- actions


def test_a_service_that_may_roll_back_does_so_once(twice: Team) -> None:
    watching(twice, {"bad": WRONG.replace("ACTION", "rollback")})
    found = watch(twice, code=1, key=ROBOT)
    assert [(row["then"], row["progress"]) for row in found["acted"]] == [("rollback", "done")]
    assert alias(twice) == 1
    again = watch(twice, code=1, key=ROBOT)
    assert "took back version 2 already" in again["watched"][0]["remark"], (
        "it does not go on to the one before"
    )
    assert (alias(twice), moves(twice)) == (1, ["rollback"])
    assert signoff(twice, "predict", "tumours").code == 0


@pytest.mark.parametrize("key", [None, "ana"])
def test_a_rollback_by_nobody_who_may_is_recorded_and_shown(twice: Team, key: str | None) -> None:
    watching(twice, {"bad": WRONG.replace("ACTION", "rollback")})
    assert watch(twice, code=1, key=key)["acted"][0]["progress"] == "not permitted"
    watch(twice, code=1, key=key)
    assert len(entries(twice, "act")) == 1, "a loop does not fill the log"
    assert alias(twice) == 2
    status = signoff(twice, "status", "tumours").out
    assert "FIRED bad: rollback" in status
    assert "cleo@lab.example" in status
    traced = json.loads(signoff(twice, "lineage", "tumours@prod", "--format", "json").out)["links"]
    link = next(link for link in traced if link["kind"] == "trigger")
    assert link["name"].startswith("bad: rollback")
    assert link["state"] == ("recorded" if key is None else "verified")

    found = watch(twice, code=1, key="cleo")
    assert (fired(found), found["acted"][-1]["progress"], alias(twice)) == (["bad"], "done", 1)


def test_a_rollback_that_a_person_made_meanwhile_is_not_made_again(twice: Team) -> None:
    watching(twice, {"bad": WRONG.replace("ACTION", "rollback")})
    dies = DIES.format(module="signoff.apps.verbs.watch", name="act_on")
    with command(twice, "watch", "tumours", "--once", before=dies, key=ROBOT) as killed:
        killed.communicate(timeout=120)
    assert signoff(twice, "rollback", "tumours", "--reason", "I saw it", key="cleo").code == 0
    assert "FIRED bad" not in signoff(twice, "status", "tumours").out
    done = watch(twice, code=1, key=ROBOT)["acted"][0]
    assert done["message"].startswith("rolled back to version 1")
    assert moves(twice) == ["rollback"]


RETRAIN = (
    "import os, pathlib; pathlib.Path('trained.txt').open('a').write(os.environ['SIGNOFF_TRIGGER'] + chr(10))"
)


def retraining(team: Team, program: str) -> None:
    (team.folder / "again.py").write_text(program)
    watching(
        team, {"bad": WRONG.replace("ACTION", "retrain")}, more=f"    retrain: {sys.executable} again.py\n"
    )


def test_the_teams_command_runs_once_and_knows_its_firing(released: Team) -> None:
    retraining(released, f"{RETRAIN}; print('KEY' , os.environ.get('SIGNOFF_KEY'))")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNOFF_KEY", released.key("cleo"))
        found = watch(released, code=1, key="cleo")
    assert fired(watch(released, code=1)) == []
    statement = found["watched"][0]["fired"]
    assert (released.folder / "trained.txt").read_text() == f"{statement}\n"
    output = next((released.folder / ".signoff/watch").glob("*.log"))
    assert output.read_text() == "KEY None\n"
    shown = [(entry["detail"]["progress"], entry["statement"]) for entry in entries(released, "act")]
    assert shown == [("started", statement), ("done", statement)]


@pytest.mark.parametrize("command", ["raise SystemExit(3)", "import nothing_like_this"])
def test_a_command_that_fails_is_recorded_and_shown(released: Team, command: str) -> None:
    retraining(released, command)
    assert watch(released, code=2)["acted"][0]["progress"] == "failed"
    assert watch(released, code=1)["acted"] == []
    status = signoff(released, "status", "tumours").out
    assert "FAILED bad: retrain" in status
    assert "exit code" in status


def test_a_run_trained_for_a_firing_carries_it(released: Team) -> None:
    from signoff.apps.client.capture import run_tags

    with inside(released.folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNOFF_TRIGGER", "sha256:" + "a" * 64)
        assert run_tags()["signoff.trigger"] == "sha256:" + "a" * 64


# --- killed in between


def command(team: Team, *arguments: str, before: str = "", key: str | None = None) -> "subprocess.Popen[str]":
    """The command line in a process of its own, after running some Python in it."""
    given = [*arguments] if key is None else [*arguments, "--key", team.key(key)]
    program = f"{before}\nfrom signoff.apps.cli.main import main\nmain({given!r})"
    kept = {n: v for n, v in os.environ.items() if n not in ("MLFLOW_TRACKING_URI", "SIGNOFF_KEY")}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        cwd=team.folder,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


DIES = "import os, signal, {module}\n{module}.{name} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("signoff.apps.verbs.watch", "act_on"),  # the firing is written, nothing was done
        ("signoff.apps.verbs.watch_act", "_record"),  # it was done, and nobody was told
    ],
)
def test_killed_around_a_rollback_it_is_made_exactly_once(twice: Team, module: str, name: str) -> None:
    watching(twice, {"bad": WRONG.replace("ACTION", "rollback")})
    with command(
        twice, "watch", "tumours", "--once", before=DIES.format(module=module, name=name), key=ROBOT
    ) as killed:
        _, errors = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, errors
    assert len(entries(twice, "trigger")) == 1
    found = watch(twice, code=1, key=ROBOT)
    assert found["acted"][0]["progress"] == "done"
    assert (alias(twice), moves(twice)) == (1, ["rollback"])
    assert entries(twice, "act")[0]["detail"]["progress"] == "done"


def test_killed_while_it_retrains_it_starts_again_and_says_so(released: Team) -> None:
    first = "import os, pathlib, signal\nif not pathlib.Path('trained.txt').exists():\n"
    retraining(
        released, f"{first}    {RETRAIN}\n    os.kill(os.getppid(), signal.SIGKILL)\nelse:\n    {RETRAIN}"
    )
    with command(released, "watch", "tumours", "--once") as killed:
        killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert watch(released, code=1)["acted"][0]["progress"] == "done"
    assert watch(released, code=1)["acted"] == []
    assert len((released.folder / "trained.txt").read_text().split()) == 2
    told = [(entry["detail"]["progress"], entry["detail"]["message"]) for entry in entries(released, "act")]
    assert [progress for progress, _ in told] == ["started", "started", "done"]
    assert told[1][1].startswith("started again")
    assert len(entries(released, "trigger")) == 1


@contextmanager
def taken_away(path: Path) -> Iterator[None]:
    """The store is down: its file cannot be read as a database."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.write_bytes(b"not a database" * 100)
    yield
    aside.replace(path)


def until(stream: Any, word: str) -> str:
    for line in stream:
        if word in line:
            return str(line)
    raise AssertionError(f"the command ended without saying {word!r}")


@pytest.mark.timeout(120)
def test_a_loop_goes_on_when_the_store_is_down_and_works_when_it_is_up_again(released: Team) -> None:
    watching(released, {"bad": WRONG.replace("ACTION", "review")})
    with taken_away(released.folder / "mlflow.db"):
        loop = command(released, "watch", "tumours", "--every", "1")
        assert "trying again" in until(loop.stderr, "could not look")
    try:
        assert "review" in until(loop.stdout, "FIRED")
        assert loop.poll() is None
    finally:
        loop.kill()
        loop.communicate()
    assert len(entries(released, "trigger")) == 1


def test_an_entry_is_written_once_per_window_not_once_per_look(watched: Team) -> None:
    for _ in range(3):
        watch(watched, code=0)
    assert len(entries(watched, "measure")) == 3
    assert "inputs: in bounds" in signoff(watched, "status", "tumours").out


def test_without_monitors_there_is_nothing_to_watch(released: Team) -> None:
    outcome = signoff(released, "watch", "--once")
    assert outcome.code == 2
    assert "no monitor is named" in outcome.err


def test_what_is_not_released_is_not_watched(fresh: Team) -> None:
    watching(fresh, {"bad": WRONG.replace("ACTION", "review")})
    outcome: Outcome = signoff(fresh, "watch", "--once")
    assert outcome.code == 0
    assert "nothing is released" in outcome.out
    with sqlite3.connect(fresh.folder / "mlflow.db") as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
    store.close()
    assert "signoff_log" not in tables, "looking writes nothing"
