"""How long `signoff review` takes for a store with 10,000 runs.

A team's SQLite store is made through the real verbs: two runs trained and logged, one judged, proposed, approved
and released. Then its good run is copied row by row with SQL, under new ids, with files of its own: parameters,
metrics, tags, data sets, logged model, artifacts. Every twentieth copy lacks its feature set, five people log,
and the copies are spread over the last ninety days, so that all of them lie in the period. Each figure is the
median of whole processes.

    make bench NAME=review
"""

import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

RUNS = 10_000
ROUNDS = 5
WANTED_S = 10.0
ROOT = Path(__file__).resolve().parent.parent
DAY_MS = 86_400_000

# In a program of its own without a file: the runs belong to the team's repository, not to this checkout.
SET_UP = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from team import make_team, release_run
team = make_team(Path(sys.argv[2]))
release_run(team, team.good, 1)
print(team.good)
"""


def main() -> None:
    """Measure and print, then one line of JSON."""
    program = str(Path(sys.executable).with_name("signoff"))
    with tempfile.TemporaryDirectory() as folder:
        team = Path(folder) / "repo"
        made = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SET_UP, str(ROOT / "tests" / "integration"), str(team)],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        copy_run(team, made.stdout.split()[-1], RUNS - 2)
        command = [program, "review", "--format", "json"]
        times: list[float] = []
        for round_ in range(ROUNDS + 1):
            start = time.perf_counter()
            answer = subprocess.run(command, cwd=team, check=True, capture_output=True, text=True)
            if round_ > 0:  # the first warms the file cache
                times.append(time.perf_counter() - start)
        report = json.loads(answer.stdout)
    if not report["runs"] == report["runs_with_files"] == RUNS:
        sys.exit(f"the review saw {report['runs']} runs, and the files of {report['runs_with_files']}")
    median, load = round(statistics.median(times), 3), os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"
    )
    print(f"store: SQLite, {RUNS:,} runs copied by SQL from one logged through MLflow, files included")
    print(f"  review {median:.3f} s  (median of {ROUNDS}, min {min(times):.3f}, max {max(times):.3f})")
    print(
        json.dumps(
            {
                "review_s": median,
                "runs": RUNS,
                "wanted_s": WANTED_S,
                "rounds": ROUNDS,
                "load": round(load, 2),
            }
        )
    )


def copy_run(team: Path, run_id: str, count: int) -> None:
    """Copy a run so many times: its rows in the database, its artifacts, and its model's files."""
    store = sqlite3.connect(team / "mlflow.db")
    now = int(time.time() * 1000)
    source = Path(
        str(store.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()[0])
    )
    ((model_id, model_files),) = store.execute(
        "SELECT model_id, artifact_location FROM logged_models WHERE source_run_id = ?", (run_id,)
    ).fetchall()
    mlmodel = Path(model_files, "MLmodel").read_text()
    with store:
        for number in range(count):
            copied, copied_model = uuid.uuid4().hex, f"m-{uuid.uuid4().hex}"
            files = source.parent.parent / copied / "artifacts"
            shutil.copytree(source, files, copy_function=os.link)
            model = Path(model_files).parent.parent / copied_model / "artifacts"
            shutil.copytree(model_files, model, copy_function=os.link)
            (model / "MLmodel").unlink()
            (model / "MLmodel").write_text(mlmodel.replace(run_id, copied).replace(model_id, copied_model))
            started = now - number * 90 * DAY_MS // count
            user = f"person-{number % 5}"
            insert(
                store,
                "runs",
                "run_uuid = ?",
                run_id,
                run_uuid=copied,
                artifact_uri=str(files),
                start_time=started,
            )
            for table in ("params", "latest_metrics", "tags"):
                insert(store, table, "run_uuid = ?", run_id, run_uuid=copied)
            store.execute(
                "UPDATE tags SET value = ? WHERE run_uuid = ? AND key IN ('mlflow.user', 'signoff.contributor')",
                (user, copied),
            )
            if number % 20 == 0:
                store.execute("DELETE FROM params WHERE run_uuid = ? AND key = 'feature_set'", (copied,))
            insert(
                store,
                "logged_models",
                "model_id = ?",
                model_id,
                model_id=copied_model,
                source_run_id=copied,
                artifact_location=str(model),
            )
            copy_links(store, run_id, copied, copied_model)
    store.close()


def copy_links(store: sqlite3.Connection, run_id: str, copied: str, copied_model: str) -> None:
    """The run's data sets with their tags, and its link to its model."""
    for (link,) in store.execute(
        "SELECT input_uuid FROM inputs WHERE destination_id = ? AND destination_type = 'RUN'", (run_id,)
    ).fetchall():
        new = uuid.uuid4().hex
        insert(store, "inputs", "input_uuid = ?", link, input_uuid=new, destination_id=copied)
        insert(store, "input_tags", "input_uuid = ?", link, input_uuid=new)
    for (link,) in store.execute(
        "SELECT input_uuid FROM inputs WHERE source_id = ? AND source_type = 'RUN_OUTPUT'", (run_id,)
    ).fetchall():
        insert(
            store,
            "inputs",
            "input_uuid = ?",
            link,
            input_uuid=uuid.uuid4().hex,
            source_id=copied,
            destination_id=copied_model,
        )


def insert(store: sqlite3.Connection, table: str, where: str, key: str, **changed: object) -> None:
    """Copy the rows of a table that a condition finds, with some columns changed."""
    columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
    chosen = ", ".join("?" if column in changed else column for column in columns)
    values = [changed[column] for column in columns if column in changed]
    names = ", ".join(columns)
    store.execute(f"INSERT INTO {table} ({names}) SELECT {chosen} FROM {table} WHERE {where}", (*values, key))  # noqa: S608 - fixed names


if __name__ == "__main__":
    main()
