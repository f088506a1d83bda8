"""`signoff serve`: what it refuses, what it says, and what it leaves behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving_fixtures import Reply, ask
from team import FEATURES, Team, alias, cancer, edit_standard, inside, logged, registry, signoff

LOG = "    serving: {timeout_ms: 5000, log: logs/inference}\n    batch:"
ROWS = cancer()[FEATURES["good"]].head(3)
BODY = json.dumps({"dataframe_split": ROWS.to_dict(orient="split")}).encode()


@contextmanager
def serving(team: Team, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The command in a process of its own; yields its address."""
    command = [str(Path(sys.executable).with_name("signoff")), "serve", "tumours", "--port", "0", *options]
    environ = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with subprocess.Popen(
        command, cwd=team.folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("SERVING  tumours@prod version 1 ("), line
            yield line.split(" on ")[1].strip(), process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_it_serves_names_itself_logs_and_ends_in_order(released: Team) -> None:
    edit_standard(released, "    batch:", LOG)
    with serving(released) as (address, process):
        replies = [
            ask(address, BODY),
            ask(address, ROWS.to_csv(index=False).encode(), "text/csv"),
            ask(address, b"{"),
        ]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert process.stdout.read().splitlines()[-1] == "STOPPED  tumours@prod"
    assert [reply.status for reply in replies] == [200, 200, 400]
    assert replies[0].body == replies[1].body
    digest = released_digest(released)
    assert {(r.headers["x-signoff-version"], r.headers["x-signoff-digest"]) for r in replies} == {
        ("1", digest)
    }
    assert ("serve", "allowed") in logged(released)
    the_log_tells_it(released, replies)


def the_log_tells_it(team: Team, replies: list[Reply]) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(str(team.folder / "logs/inference")).to_pyarrow_table().to_pandas()
    by_request = dict(iter(table.groupby("signoff_request")))
    typed, csv, refused = (by_request[reply.headers["x-signoff-request"]] for reply in replies)
    for rows, reply in ((typed, replies[0]), (csv, replies[1])):
        assert rows[FEATURES["good"]].to_numpy().tolist() == ROWS.to_numpy().tolist()
        assert [json.loads(text) for text in rows["signoff_prediction"]] == reply.json["predictions"]
        assert set(rows["signoff_status"]) == {200}
    assert len(refused) == 1
    assert refused["signoff_status"].tolist() == [400]
    assert refused[FEATURES["good"]].isna().all(axis=None)


def released_digest(team: Team) -> str:
    from signoff.apps.verbs.recording import history_of
    from signoff.apps.workspace import open_workspace

    with inside(team.folder):
        release = history_of(open_workspace(), "tumours").release("prod")
    assert release is not None
    return str(release.model)


def test_it_goes_on_when_registry_ledger_and_files_are_gone(released: Team) -> None:
    away = released.folder.with_name("away")
    with serving(released) as (address, _):
        before = ask(address, BODY)
        released.folder.rename(away)
        try:
            assert until(lambda: bool(ask(address, path="/signoff/health", method="GET").json["problems"]))
            during = ask(address, BODY)
        finally:
            away.rename(released.folder)
    assert (during.status, during.body) == (200, before.body)


def until(done: Callable[[], bool]) -> bool:
    """Wait for what another process does."""
    deadline = time.monotonic() + 120
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_scorer_that_is_killed_comes_back(released: Team) -> None:
    with serving(released, "--version", "1") as (address, process):
        (scorer,) = children(process.pid)
        os.kill(scorer, signal.SIGKILL)
        assert until(lambda: ask(address, BODY).status == 200)
        assert children(process.pid) != [scorer]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def refusal(team: Team, *options: str) -> str:
    outcome = signoff(team, "serve", "tumours", "--port", "0", *options)
    assert outcome.code == 1, outcome
    assert outcome.out.startswith("REFUSED  serve tumours@prod: nothing is served\n")
    assert logged(team)[-1] == ("serve", "refused")
    return outcome.out


def test_nothing_released_is_refused(proposed: Team) -> None:
    assert "nothing-released" in refusal(proposed)


def test_a_version_that_was_never_released_is_refused(released: Team) -> None:
    assert "version-not-released: tumours/7 was never released in prod" in refusal(released, "--version", "7")


def test_an_alias_moved_by_hand_is_refused(released: Team) -> None:
    registry(released).delete_registered_model_alias("tumours", "prod")
    assert alias(released) is None
    assert "alias-moved" in refusal(released)


@pytest.mark.parametrize("options", [(), ("--version", "1")])
def test_changed_files_are_refused(released: Team, options: tuple[str, ...]) -> None:
    for model in released.folder.rglob("model.skops"):
        model.write_bytes(model.read_bytes() + b"\0")
    assert "model-bytes-changed" in refusal(released, *options)


def test_a_port_in_use_is_told_before_anything_is_loaded(released: Team) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = signoff(released, "serve", "tumours", "--port", port)
    assert outcome.code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in outcome.err
