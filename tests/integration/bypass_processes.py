"""Attempts by programs that open the database themselves: scripts, the server's job functions, `mlflow gc`."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from guard_server import ADMIN, PASSWORD, Guarded
from mlflow_server import QUIET

CLIENT = {
    "alias set": "client.set_registered_model_alias('tumours', 'prod', '2')",
    "alias set to what stands there": "client.set_registered_model_alias('tumours', 'prod', '1')",
    "alias deleted": "client.delete_registered_model_alias('tumours', 'prod')",
    "model renamed": "client.rename_registered_model('tumours', 'past')",
    "released version deleted": "client.delete_model_version('tumours', '1')",
    "model deleted": "client.delete_registered_model('tumours')",
    "version registered": "client.create_model_version('tumours', f\"runs:/{n['finished']}/model\", n['finished'])",
    "stage set": "client.transition_model_version_stage('tumours', '2', 'Production', True)",
    "version tagged": "client.set_model_version_tag('tumours', '2', 'signoff.status', 'released')",
    "metric of a released run": "client.log_metric(n['released'], 'roc_auc', 1.0)",
    "metric of a run that goes on": "client.log_metric(n['running'], 'roc_auc', 1.0)",
    "run made": "client.create_run(n['tumours'])",
    "run made with the guard's mark": "client.create_run(n['tumours'], tags={'signoff.status': 'released'})",
    "run deleted": "client.delete_run(n['released'])",
    "run reopened": "client.update_run(n['released'], status='RUNNING')",
    "experiment made": "client.create_experiment('ana')",
    "experiment deleted": "client.delete_experiment(n['tumours'])",
    "logged model deleted": "client.delete_logged_model(n['released_model'])",
    "logged model's tags upserted": "client.set_logged_model_tags(n['released_model'], {'x': 'y'})",
}
FIRST = {
    "store class used directly": (
        "SqlAlchemyStore(uri, 'mlflow-artifacts:/').log_param(n['running'], Param('late', '1'))"
    ),
}
"""Before MLflow itself opens the database in the process."""
STORES = {
    "server's own tracking store": "handlers._get_tracking_store().delete_run(n['released'])",
    "server's own registry store": "handlers._get_model_registry_store().delete_registered_model('tumours')",
    "data set bound in bulk": (
        "handlers._get_tracking_store().add_dataset_to_experiments(n['dataset'], [n['tumours']])"
    ),
    "run deleted for good": "handlers._get_tracking_store()._hard_delete_run(n['finished'])",
    "logged model deleted for good": (
        "handlers._get_tracking_store()._hard_delete_logged_model(n['finished_model'])"
    ),
    "rows changed by the store's session": (
        "run_sql(\"UPDATE registered_model_aliases SET version = 2 WHERE alias = 'prod'\")"
    ),
    "freeze mark removed by the store's session": "run_sql(\"UPDATE runs SET entry_point_name = ''\")",
    "guard's mark removed by the store's session": 'run_sql("DELETE FROM signoff_guard")',
}
JOBS = {
    "evaluation job into a released run": ("jobs.invoke_genai_evaluate_job([n['trace']], [], n['released'])"),
}
"""Functions that the server would run in processes of its own."""
PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow
from mlflow.entities import Param
from mlflow.server import handlers
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
import mlflow.genai.evaluation.job as jobs

uri, n, steps = json.load(sys.stdin)
mlflow.set_tracking_uri(uri)
client = mlflow.MlflowClient(uri, registry_uri=uri)


def run_sql(text):
    from sqlalchemy import text as sql
    with handlers._get_tracking_store().ManagedSessionMaker() as session:
        session.execute(sql(text))


said = {}
for name, step in steps.items():
    try:
        said[name] = f"done: {eval(step)}"
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
json.dump(said, open(sys.argv[1], "w"))
"""
STEPS = {**FIRST, **CLIENT, **STORES, **JOBS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a program ended."""

    code: int
    text: str


def tried(place: Guarded, answers: Path) -> dict[str, str]:
    """Let a process with the database's URI try every step; gives what came of each.

    Args:
        place: whose database it opens.
        answers: a file for the process to write.
    """
    environment = {
        **os.environ,
        **QUIET,
        "_MLFLOW_SERVER_FILE_STORE": place.store.database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "MLFLOW_TRACKING_URI": place.store.database,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(answers)],
        input=json.dumps([place.store.database, dict(place.names), STEPS]),
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, str] = json.loads(answers.read_text())
    return said


def collected(place: Guarded, *runs: str) -> Ended:
    """Let `mlflow gc` collect runs, with the database's URI and its administrator's login."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mlflow", "gc"),
            *("--backend-store-uri", place.store.database),
            *("--tracking-uri", place.address.url),
            *("--run-ids", ",".join(runs)),
        ],
        env={
            **os.environ,
            **QUIET,
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        },
        text=True,
        capture_output=True,
        check=False,
    )
    return Ended(code=done.returncode, text=done.stdout + done.stderr)
