"""Whom a watch believes, what it never does twice, and what it does not let stop it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from team import ROBOT, Team, alias, cancer, copy_team, edit_standard, git, release_next, signoff
from test_watch import (
    RETRAIN,
    WRONG,
    command,
    entries,
    fired,
    labels_for,
    retraining,
    standings,
    watch,
    watching,
    write_log,
)

from signoff.apps.verbs.retraining import ended, lease_holder, retrain_lease, running

AUC = "{kind: performance, metric: roc_auc, table: live.parquet, at_least: BOUND, then: ACTION}"


def auc(action: str, bound: str = "0.8") -> str:
    return AUC.replace("BOUND", bound).replace("ACTION", action)


def live(team: Team, rows: pd.DataFrame) -> None:
    rows.to_parquet(team.folder / "live.parquet", index=False)


def upside_down(rows: pd.DataFrame) -> pd.DataFrame:
    """Every label is the other one: what the model gets right is wrong now."""
    return rows.assign(benign=1 - rows["benign"])


def keyless_with_other_rules(team: Team, rules: str, *, code: int = 1) -> dict[str, Any]:
    """Somebody without a key watches by a standard of their own, and puts the team's back."""
    standard = team.folder / "signoff.yaml"
    before = standard.read_text()
    edit_standard(team, auc("rollback"), rules)
    found = watch(team, code=code)
    standard.write_text(before)
    return found


@pytest.fixture
def guarded(twice: Team) -> Team:
    watching(twice, {"auc": auc("rollback")})
    live(twice, cancer())
    return twice


def test_a_firing_that_nobody_signed_rolls_nothing_back(guarded: Team) -> None:
    keyless_with_other_rules(guarded, auc("rollback", "0.99999"))
    found = watch(guarded, code=0, key=ROBOT)
    assert [acted["progress"] for acted in found["acted"]] == ["not permitted"]
    assert alias(guarded) == 2
    assert "recorded, not permitted" in signoff(guarded, "status", "tumours").out


@pytest.mark.parametrize("rules", [auc("review", "0.99999"), auc("rollback", "0.99999"), auc("rollback")])
def test_a_firing_that_nobody_signed_hides_none(guarded: Team, rules: str) -> None:
    live(guarded, upside_down(cancer()))
    keyless_with_other_rules(guarded, rules)
    found = watch(guarded, code=1, key=ROBOT)
    assert fired(found) == ["auc"]
    assert alias(guarded) == 1


def test_a_retraining_by_other_rules_than_the_standards_is_not_begun(released: Team) -> None:
    retraining(released, RETRAIN)
    standard = released.folder / "signoff.yaml"
    theirs = standard.read_text()
    with command(
        released,
        "watch",
        "tumours",
        "--once",
        before="import os, signal, signoff.apps.verbs.watch as w\n"
        "w.act_on = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)",
    ) as killed:
        killed.communicate(timeout=120)
    standard.write_text(theirs.replace("at_least: 0.9999", "at_least: 0.5"))
    assert [acted["progress"] for acted in watch(released, code=0)["acted"]] == ["not permitted"]
    assert not (released.folder / "trained.txt").exists()


def test_a_release_is_judged_by_the_answers_that_it_gave(released: Team) -> None:
    monitor = "{kind: performance, metric: roc_auc, table: predictions/tumours, labels: late.parquet,"
    watching(released, {"auc": f"{monitor} at_least: 0.8, then: rollback}}"})
    git(released.folder, "commit", "-qam", "A monitor")
    assert signoff(released, "predict", "tumours").code == 0
    release_next(released, 2)
    labels_for(released, upside_down(cancer()))
    found = watch(released, code=2, key="cleo")
    assert "was written by version 1" in found["watched"][0]["message"]
    assert alias(released) == 2
    assert signoff(released, "predict", "tumours").code == 0
    assert fired(watch(released, code=1, key="cleo")) == ["auc"]
    assert alias(released) == 1


def test_answers_of_an_unknown_writer_decide_nothing(released: Team) -> None:
    watching(released, {"auc": auc("review")})
    live(released, upside_down(cancer()).assign(score=0.5))
    assert "does not say which release" in watch(released, code=2)["watched"][0]["message"]


WAITS = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)"


def started(process: "subprocess.Popen[str]", path: Path) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()


def test_a_retraining_that_runs_is_not_started_again(released: Team) -> None:
    retraining(released, f"{RETRAIN}\n{WAITS}")
    with command(released, "watch", "tumours", "--once") as first:
        started(first, released.folder / "trained.txt")
        found = watch(released, code=1)
        (released.folder / "go").touch()
        first.communicate(timeout=60)
    assert found["acted"][0]["progress"] == "started"
    assert found["acted"][0]["message"].startswith("a retraining is running: process ")
    assert len((released.folder / "trained.txt").read_text().split()) == 1
    assert [entry["detail"]["progress"] for entry in entries(released, "act")] == ["started", "done"]


def test_a_retraining_that_was_begun_elsewhere_is_not_started_here(released: Team, tmp_path: Path) -> None:
    retraining(released, f"{RETRAIN}\nimport os, signal\nos.kill(os.getppid(), signal.SIGKILL)")
    with command(released, "watch", "tumours", "--once") as killed:
        killed.communicate(timeout=120)
    elsewhere = copy_team(released, tmp_path / "elsewhere")
    found = watch(elsewhere, code=1)
    assert "may still run there" in found["acted"][0]["message"]
    assert len((elsewhere.folder / "trained.txt").read_text().split()) == 1


def test_each_further_row_is_no_further_retraining(released: Team) -> None:
    (released.folder / "again.py").write_text(RETRAIN)
    watching(released, {"auc": auc("retrain")}, more="    retrain: python again.py\n")
    for rows in (400, 401, 402):
        live(released, upside_down(cancer()).head(rows))
        watch(released, code=1)
    assert len((released.folder / "trained.txt").read_text().split()) == 1


def test_what_an_action_runs_into_stops_no_measurement(twice: Team) -> None:
    retraining(twice, RETRAIN)
    (twice.folder / ".signoff").write_text("in the way")
    found = watch(twice, code=2, key=ROBOT)
    assert [acted["progress"] for acted in found["acted"]] == ["failed"]
    edit_standard(
        twice, "    monitors:\n", f"    monitors:\n      back: {WRONG.replace('ACTION', 'rollback')}\n"
    )
    assert fired(watch(twice, code=1, key=ROBOT)) == ["back"]
    assert alias(twice) == 1


def test_users_do_not_wait_for_a_training(twice: Team) -> None:
    (twice.folder / "again.py").write_text(RETRAIN)
    monitors = {"train": WRONG.replace("ACTION", "retrain"), "back": WRONG.replace("ACTION", "rollback")}
    watching(twice, monitors, more="    retrain: python again.py\n")
    found = watch(twice, code=1, key=ROBOT)
    assert [(acted["then"], acted["progress"]) for acted in found["acted"]] == [
        ("rollback", "done"),
        ("retrain", "done"),
    ]


def test_a_retraining_gets_no_credentials_of_environments(released: Team) -> None:
    retraining(released, "import json, os; print(json.dumps(dict(os.environ)))")
    given = {"SIGNOFF_PROD_TOKEN": "p", "SIGNOFF_CACHE": "c", "MLFLOW_TRACKING_PASSWORD": "own"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        watch(released, code=1)
    (output,) = (released.folder / ".signoff/watch").glob("*.log")
    found = json.loads(output.read_text())
    assert {name for name in found if name.startswith("SIGNOFF_")} == {"SIGNOFF_CACHE", "SIGNOFF_TRIGGER"}
    assert "MLFLOW_TRACKING_PASSWORD" in found


def test_a_command_that_takes_too_long_is_ended_and_the_next_may_run(tmp_path: Path) -> None:
    output = tmp_path / "log"
    with retrain_lease(tmp_path, "tumours") as lease, retrain_lease(tmp_path, "tumours") as second:
        assert lease is not None
        assert second is None
        with running(
            "sh -c 'sleep 600 & wait'", lease=lease, folder=tmp_path, output=output, environment={}, at="now"
        ) as process:
            assert ended(process, seconds=0.1).exit_code is None
            assert process.returncode is not None
            assert f"process {process.pid} " in lease_holder(tmp_path, "tumours")
    with retrain_lease(tmp_path, "tumours") as after:
        assert after is not None


ERRORS = "{kind: errors, at_most: 0.05, then: rollback}"
SERVING = "    serving: {log: serving/log}\n"


def test_an_outage_between_two_looks_is_seen(released: Team) -> None:
    watching(released, {"errors": ERRORS.replace("rollback", "review")}, more=SERVING)
    write_log(released, requests=100)
    assert fired(watch(released, code=0)) == []
    write_log(released, requests=200, failed=200, start=100)
    write_log(released, requests=130, start=300)
    found = watch(released, code=1)
    assert fired(found) == ["errors"]
    assert "of 3 windows since the last look 2 out of bounds" in found["watched"][0]["message"]
    assert standings(watch(released, code=0)) == {"errors": "in bounds"}, "each window is judged once"


def test_a_look_by_nobody_does_not_make_an_outage_seen(released: Team) -> None:
    watching(released, {"errors": ERRORS}, more=SERVING)
    write_log(released, requests=100, failed=100)
    write_log(released, requests=100, start=100)
    assert fired(watch(released, code=1)) == ["errors"]
    assert fired(watch(released, code=2, key="cleo")) == ["errors"], (
        "there is nothing to return to, so it fails"
    )


def test_the_answers_that_have_a_label_are_judged_and_askers_may_come_back(released: Team) -> None:
    monitor = "{kind: performance, metric: accuracy, labels: late.parquet, at_least: 0.9, then: review}"
    watching(released, {"hits": monitor}, more=SERVING)
    write_log(released, requests=80)
    write_log(released, requests=20, start=80, first=0)  # twenty ask again
    write_log(released, requests=80, start=100)  # and nobody knows yet what became of these
    labels = cancer().head(80).assign(benign=[1] * 20 + [0] * 60)
    labels_for(released, labels)
    row = watch(released, code=1)["watched"][0]
    assert (row["standing"], row["rows"]) == ("out of bounds", 100)
    labels_for(released, labels.head(40))
    row = watch(released, code=2)["watched"][0]
    assert "fewer than 100 answers with a label" in row["message"]


def test_a_use_case_without_the_environment_stops_no_other(released: Team) -> None:
    watching(released, {"age": "{kind: schedule, at_most: 30, then: review}"})
    edit_standard(
        released,
        "    gate: {looks: 3}\n",
        "    gate: {looks: 3}\n    environments: {live: {}}\n",
    )
    edit_standard(
        released,
        "  cells:\n    owner: ana@lab.example\n",
        "  cells:\n    owner: ana@lab.example\n    monitors:\n      age: {kind: schedule, at_most: 30, then: review}\n",
    )
    found = signoff(released, "watch", "--once", "--env", "live")
    assert (found.code, "cells has no environment live" in found.err) == (0, True), found
    assert "tumours@live: nothing is released" in found.out
    assert signoff(released, "watch", "cells", "--once", "--env", "live").code == 2
    assert "knows no environment" in signoff(released, "watch", "--once", "--env", "lvie").err
