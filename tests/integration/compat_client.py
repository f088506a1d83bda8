"""Uses everything of an MLflow server that clients use, and writes down what it answered.

A program of its own: ``python compat_client.py ADDRESS OUTPUT``. Credentials come from MLflow's own variables. Each
HTTP exchange becomes a line of JSON: method, path, status and body, with ids, times and addresses numbered in the
order in which they appear, so that two servers which behave alike give the same lines.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else ""
_VARIABLE = re.compile(
    r"(?:m-|tr-|d-|a-|iss-|sc-|ls-|rq-)?[0-9a-f]{32}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b1[6-9]\d{11}\b|\b1[6-9]\d{17}\b|\b\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)?"
)
_CHANCE = (
    (re.compile(r'"execution_duration": "[\d.]+s"'), '"execution_duration": "<time>"'),
    (re.compile(r"\b[a-z]+-[a-z]+-\d{1,3}\b"), "<name>"),
    (re.compile(r'"digest": "[0-9a-f]{8}"'), '"digest": "<digest>"'),
    (re.compile(r'("(?:span_id|trace_id|parent_span_id)": )"[A-Za-z0-9+/=]{8,24}"'), r'\1"<span>"'),
)
"""What servers choose by chance or clock: durations, names of runs, digests that hold a time."""
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Recorder:
    """What was exchanged, made comparable."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}

    def plain(self, text: str) -> str:
        """The text with everything that differs between two runs numbered."""
        text = text.replace(ADDRESS, "<server>").replace(ADDRESS.replace("http://", ""), "<server>")
        for pattern, plain in _CHANCE:
            text = pattern.sub(plain, text)
        return _VARIABLE.sub(self._name, text)

    def _name(self, match: re.Match[str]) -> str:
        found = match[0]
        if found[:2].isdigit() and "-" not in found[:3] and len(found) in (13, 19):
            return "<time>"
        if "T" in found and found[4] == "-":
            return "<time>"
        return self._names.setdefault(found, f"<id{len(self._names)}>")

    def exchange(self, method: str, path: str, status: int, kind: str, body: str) -> None:
        """One request and its answer."""
        self.lines.append(
            {
                "method": method,
                "path": self.plain(path),
                "status": status,
                "type": kind.partition(";")[0],
                "body": self.plain(_ordered(body)),
            }
        )

    def said(self, what: str, text: str) -> None:
        """What a command or a call gave back."""
        self.lines.append({"said": what, "text": self.plain(text)})


def _ordered(body: str) -> str:
    try:
        return json.dumps(_sorted(json.loads(body)), sort_keys=True)
    except ValueError:
        return body


def _sorted(value: Any) -> Any:
    """Lists whose order the server leaves open (tags, metrics, params), in one order."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [_sorted(item) for item in value]
        keyed = all(isinstance(item, dict) and "key" in item for item in items)
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if keyed else items
    return value


def watch(recorder: Recorder) -> None:
    """Hear every request that the client sends."""
    import requests

    send = requests.Session.send

    def heard(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        answer = send(self, request, **options)
        path = str(request.url).removeprefix(ADDRESS)
        kind = answer.headers.get("Content-Type", "")
        text = "" if options.get("stream") else answer.text
        recorder.exchange(str(request.method), path, answer.status_code, kind, text)
        return answer

    requests.Session.send = heard  # type: ignore[method-assign]


def attempt(recorder: Recorder, what: str, call: Callable[[], object]) -> Any:
    """Make a call that may fail, and write down how."""
    from mlflow.exceptions import MlflowException

    try:
        return call()
    except MlflowException as error:
        recorder.said(what, f"{error.error_code}: {error.message}")
        return None


def experiments(recorder: Recorder) -> None:
    """Create, search, update, delete, restore."""
    import mlflow

    client = mlflow.MlflowClient()
    one = client.create_experiment("compat-a", tags={"team": "x"})
    attempt(recorder, "twice", lambda: client.create_experiment("compat-a"))
    client.get_experiment(one)
    client.get_experiment_by_name("compat-a")
    attempt(recorder, "unknown", lambda: client.get_experiment("987654"))
    client.set_experiment_tag(one, "k", "v")
    client.delete_experiment_tag(one, "k")
    client.search_experiments(filter_string="name LIKE 'compat-%'", order_by=["name"])
    client.rename_experiment(one, "compat-renamed")
    client.delete_experiment(one)
    client.search_experiments(view_type=2, filter_string="name LIKE 'compat-%'")
    client.restore_experiment(one)
    client.rename_experiment(one, "compat-a")


def runs(recorder: Recorder) -> None:
    """Everything that is logged to a run, and its life."""
    import mlflow
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("compat-a")
    assert experiment is not None
    run = client.create_run(experiment.experiment_id, run_name="raw", tags={"a": "b"}).info.run_id
    client.log_metric(run, "m", 0.5, step=1)
    client.log_param(run, "p", 1)
    attempt(recorder, "param again", lambda: client.log_param(run, "p", 2))
    client.set_tag(run, "t", "u")
    client.delete_tag(run, "t")
    attempt(recorder, "no tag", lambda: client.delete_tag(run, "t"))
    client.log_batch(
        run, [Metric("m", 0.6, 1, 2), Metric("n", 1, 1, 0)], [Param("q", "r")], [RunTag("x", "y")]
    )
    client.get_metric_history(run, "m")
    client.search_runs([experiment.experiment_id], "metrics.m > 0.1", order_by=["metrics.m DESC"])
    client.update_run(run, name="renamed")
    client.set_terminated(run, "FINISHED")
    client.update_run(run, status="RUNNING")
    client.set_terminated(run, "FAILED")
    client.delete_run(run)
    attempt(recorder, "deleted", lambda: client.log_metric(run, "m", 1))
    client.restore_run(run)
    attempt(recorder, "no run", lambda: client.get_run("0" * 32))
    client.search_runs(["0"], "attributes.run_name = 'nothing'")


def fluent(recorder: Recorder) -> None:
    """The fluent API: runs with children, inputs, artifacts and models, resumed afterwards."""
    import mlflow
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment("compat-a")
    frame = pd.DataFrame({"a": [0.0, 1.0, 0.0, 1.0], "b": [0, 1, 0, 1]})
    with mlflow.start_run(run_name="parent") as run:
        mlflow.log_params({"c": 1, "solver": "lbfgs"})
        mlflow.log_metrics({"auc": 0.9, "f1": 0.8}, step=3)
        mlflow.set_tags({"stage": "try"})
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"k": 1}, "k.json")
        mlflow.log_input(mlflow.data.from_pandas(frame, name="frame"), context="training")
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("auc", 0.7)
        fitted = LogisticRegression().fit(frame[["a"]], frame["b"])
        info = mlflow.sklearn.log_model(
            fitted,
            name="model",
            serialization_format="skops",
            input_example=frame[["a"]],
            pip_requirements=["scikit-learn"],
        )
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("later", 1.0)
    client = mlflow.MlflowClient()
    client.list_artifacts(run.info.run_id)
    with tempfile.TemporaryDirectory() as folder:
        client.download_artifacts(run.info.run_id, "notes", folder)
    client.search_logged_models([run.info.experiment_id])
    client.set_logged_model_tags(info.model_id, {"u": "v"})
    client.delete_logged_model_tag(info.model_id, "u")
    made = client.create_logged_model(run.info.experiment_id, "other", source_run_id=run.info.run_id)
    client.log_model_params(made.model_id, {"z": "1"})
    client.finalize_logged_model(made.model_id, "READY")
    client.delete_logged_model(made.model_id)
    mlflow.search_runs(experiment_names=["compat-a"])


def registry(recorder: Recorder) -> None:
    """Models, versions, aliases, tags and stages."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("compat-a")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id], "attributes.run_name = 'parent'")[0]
    model = client.search_logged_models([experiment.experiment_id])[-1]
    client.create_registered_model("compat-model", tags={"t": "1"}, description="d")
    attempt(recorder, "model twice", lambda: client.create_registered_model("compat-model"))
    source = f"models:/{model.model_id}"
    for _ in range(2):
        client.create_model_version("compat-model", source, run_id=run.info.run_id, model_id=model.model_id)
    client.get_model_version("compat-model", "1")
    client.get_model_version_download_uri("compat-model", "1")
    client.update_model_version("compat-model", "1", description="first")
    client.set_model_version_tag("compat-model", "1", "k", "v")
    client.delete_model_version_tag("compat-model", "1", "k")
    client.set_registered_model_tag("compat-model", "k", "v")
    client.delete_registered_model_tag("compat-model", "k")
    client.set_registered_model_alias("compat-model", "prod", "1")
    client.set_registered_model_alias("compat-model", "prod", "2")
    client.set_registered_model_alias("compat-model", "prod", "2")
    client.get_model_version_by_alias("compat-model", "prod")
    client.delete_registered_model_alias("compat-model", "prod")
    attempt(recorder, "no alias", lambda: client.get_model_version_by_alias("compat-model", "prod"))
    client.transition_model_version_stage("compat-model", "1", "Production")
    client.transition_model_version_stage("compat-model", "2", "Production", archive_existing_versions=True)
    client.get_latest_versions("compat-model")
    client.search_model_versions("name = 'compat-model'")
    client.search_registered_models("name LIKE 'compat-%'")
    client.update_registered_model("compat-model", "described")
    client.rename_registered_model("compat-model", "compat-renamed")
    client.delete_model_version("compat-renamed", "1")
    attempt(recorder, "no version", lambda: client.get_model_version("compat-renamed", "1"))
    client.delete_registered_model("compat-renamed")


def prompts(recorder: Recorder) -> None:
    """Prompts share the registry."""
    import mlflow

    mlflow.genai.register_prompt(name="compat-prompt", template="Say {{word}}", commit_message="one")
    mlflow.genai.register_prompt(name="compat-prompt", template="Say it: {{word}}", tags={"k": "v"})
    mlflow.genai.set_prompt_alias("compat-prompt", "prod", 1)
    mlflow.genai.load_prompt("prompts:/compat-prompt@prod")
    for thread in threading.enumerate():  # the client links prompts in threads of its own
        if thread.name.startswith("link_prompt"):
            thread.join()
    mlflow.genai.delete_prompt_alias("compat-prompt", "prod")
    mlflow.genai.search_prompts("name = 'compat-prompt'")
    client = mlflow.MlflowClient()
    client.delete_prompt_version("compat-prompt", "1")
    client.delete_prompt_version("compat-prompt", "2")
    client.delete_prompt("compat-prompt")


def traces(recorder: Recorder) -> None:
    """Traces with tags and assessments; evaluation data sets."""
    import mlflow

    mlflow.set_experiment("compat-a")

    def answer(question: str) -> str:
        return question.upper()

    mlflow.trace(answer, name="answer")("what")
    experiment = mlflow.get_experiment_by_name("compat-a")
    found = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    trace = found[0].info.trace_id
    mlflow.set_trace_tag(trace, "k", "v")
    mlflow.delete_trace_tag(trace, "k")
    mlflow.log_feedback(trace_id=trace, name="good", value=True)
    mlflow.log_expectation(trace_id=trace, name="expected", value="WHAT")
    mlflow.get_trace(trace)
    client = mlflow.MlflowClient()
    client.delete_traces(experiment.experiment_id, trace_ids=[trace])
    dataset = mlflow.genai.datasets.create_dataset(
        name="compat-set", experiment_id=experiment.experiment_id, tags={"k": "v"}
    )
    dataset.merge_records([{"inputs": {"q": "what"}, "expectations": {"a": "WHAT"}}])
    mlflow.genai.datasets.search_datasets(experiment_ids=[experiment.experiment_id])
    mlflow.genai.datasets.delete_dataset(dataset_id=dataset.dataset_id)


def user_interface(recorder: Recorder) -> None:
    """What MLflow's pages ask for."""
    import requests

    who = (os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))

    def ask(method: str, path: str, **given: Any) -> Any:
        return requests.request(method, ADDRESS + path, auth=who if who[0] else None, timeout=60, **given)

    ask("GET", "/health")
    ask("GET", "/version")
    ask("GET", "/ajax-api/3.0/mlflow/server-info")
    found = ask("GET", "/ajax-api/2.0/mlflow/experiments/search?max_results=5&filter=name='compat-a'").json()
    experiment = found["experiments"][0]["experiment_id"]
    asked = {"experiment_ids": [experiment], "max_results": 10, "order_by": ["attributes.start_time ASC"]}
    answer = ask("POST", "/ajax-api/2.0/mlflow/runs/search", json=asked).json()
    run = answer["runs"][0]["info"]["run_id"]
    ask("GET", f"/ajax-api/2.0/mlflow/runs/get?run_id={run}&run_uuid={run}")
    ask("GET", f"/ajax-api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=m")
    ask(
        "GET",
        f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&max_results=10",
    )
    ask("GET", f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run}")
    ask("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=ui/a.txt", data=b"text")
    ask("GET", f"/get-artifact?run_uuid={run}&path=ui/a.txt")
    ask("GET", "/ajax-api/2.0/mlflow/registered-models/search?max_results=5")
    ask("GET", "/ajax-api/2.0/mlflow/model-versions/search?max_results=5")
    query = {"query": 'query { mlflowGetExperiment(input: {experimentId: "0"}) { experiment { name } } }'}
    ask("POST", "/graphql", json=query, headers={"Origin": ADDRESS})
    ask(
        "POST",
        "/ajax-api/2.0/mlflow/experiments/search",
        json={"max_results": 1, "filter": "name = 'compat-a'"},
    )
    ask("POST", "/ajax-api/2.0/mlflow/runs/create", json={"experiment_id": experiment, "run_name": "ui"})
    ask(
        "POST",
        "/ajax-api/2.0/mlflow/runs/create",
        data=b"{not json",
        headers={"Content-Type": "application/json"},
    )
    ask(
        "POST",
        "/api/2.0/mlflow/runs/log-metric",
        json={"run_id": "0" * 32, "key": "m", "value": 1, "timestamp": 1},
    )
    ask("GET", "/ajax-api/2.0/mlflow/nothing/here")
    ask("POST", "/api/2.0/mlflow/experiments/create", json={"name": ""})


def command_line(recorder: Recorder) -> None:
    """The commands that reach a server."""

    def mlflow(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "mlflow", *arguments],
            env=os.environ | _QUIET | {"MLFLOW_TRACKING_URI": ADDRESS},
            capture_output=True,
            text=True,
            check=False,
        )
        recorder.said(" ".join(arguments[:2]), f"{done.returncode}: {done.stdout}")
        return done.stdout

    made = mlflow("experiments", "create", "-n", "compat-cli")
    found = re.search(r"id (\d+)", made)
    experiment = found[1] if found else "0"
    mlflow("experiments", "rename", "--experiment-id", experiment, "--new-name", "compat-cli-2")
    mlflow("experiments", "delete", "--experiment-id", experiment)
    mlflow("experiments", "restore", "--experiment-id", experiment)
    mlflow("experiments", "search", "--view", "active_only")
    mlflow("runs", "list", "--experiment-id", experiment)


def _in_parts(lines: list[dict[str, Any]]) -> list[str]:
    """The lines, sorted within each part: the client sends some requests from threads of its own."""
    parts: list[list[str]] = []
    for line in lines:
        text = json.dumps(line, sort_keys=True)
        if "part" in line:
            parts.append([text])
        else:
            parts[-1].append(text)
    return [text for first, *rest in parts for text in (first, *sorted(rest))]


PARTS = (experiments, runs, fluent, registry, prompts, traces, user_interface, command_line)


def main() -> None:
    """Use the server, and write down what it answered."""
    os.environ.update(_QUIET)
    recorder = Recorder()
    import mlflow

    mlflow.set_tracking_uri(ADDRESS)
    watch(recorder)
    for part in PARTS:
        recorder.lines.append({"part": part.__name__})
        part(recorder)
    Path(sys.argv[2]).write_text("\n".join(_in_parts(recorder.lines)))


if __name__ == "__main__":
    main()
