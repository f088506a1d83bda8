"""Attempts on the evidence: runs, logged models, data sets, experiments, and the tags that speak of them."""

from typing import Any

from bypass_attempt import (
    API,
    API3,
    EVERYBODY,
    MANAGERS,
    NO_SUCH,
    Attempt,
    Request,
    delete,
    patch,
    post,
)

METRIC = {"run_id": "{released}", "key": "roc_auc", "value": 0.99, "timestamp": 9, "step": 9}
_NEW_METRIC: dict[str, Any] = {"key": "recall_new", "value": 1.0, "timestamp": 9, "step": 0}
_NEW_PARAM: dict[str, Any] = {"key": "late", "value": "1"}
_DATA = {"name": "other", "digest": "0", "source_type": "local", "source": "{}"}
_REGISTER = post(
    "model-versions/create", {"name": "tumours", "source": "runs:/{other}/model", "run_id": "{other}"}
)


def _frozen(name: str, route: str, *, who: tuple[str | None, ...] = MANAGERS, **body: object) -> Attempt:
    return Attempt(name=name, requests=(post(route, {"run_id": "{released}", **body}),), who=who)


def _experiment(name: str, called: str, **body: object) -> Attempt:
    return Attempt(
        name=name,
        requests=(post("experiments/create", {"name": called, **body}),),
        who=("ana", "mia", "admin"),
    )


RUNS = (
    Attempt(
        name="metric of a released run rewritten", requests=(post("runs/log-metric", METRIC),), who=EVERYBODY
    ),
    Attempt(
        name="metric of a proposed run rewritten",
        requests=(post("runs/log-metric", METRIC | {"run_id": "{proposed}"}),),
        who=EVERYBODY,
    ),
    Attempt(
        name="metric through the run's old name",
        requests=(post("runs/log-metric", {**_NEW_METRIC, "run_uuid": "{released}"}),),
        answers=frozenset({400, 403}),
    ),
    _frozen(
        "metric of a data set added", "runs/log-metric", **_NEW_METRIC, dataset_name="d", dataset_digest="0"
    ),
    _frozen("metric of its model added", "runs/log-metric", **_NEW_METRIC, model_id="{released_model}"),
    _frozen("parameter added", "runs/log-parameter", **_NEW_PARAM, who=EVERYBODY),
    _frozen("metrics in a batch", "runs/log-batch", metrics=[_NEW_METRIC]),
    _frozen("parameters in a batch", "runs/log-batch", params=[_NEW_PARAM]),
    _frozen(
        "everything in a batch",
        "runs/log-batch",
        metrics=[_NEW_METRIC],
        params=[_NEW_PARAM],
        tags=[{"key": "remark", "value": "fine"}],
    ),
    _frozen(
        "reserved tag among descriptive ones",
        "runs/log-batch",
        tags=[{"key": "remark", "value": "fine"}, {"key": "signoff.warning", "value": ""}],
    ),
    _frozen("author of a released run changed", "runs/set-tag", key="mlflow.user", value="ben"),
    _frozen(
        "commit of a released run changed", "runs/set-tag", key="mlflow.source.git.commit", value="0" * 40
    ),
    _frozen("captured commit changed", "runs/set-tag", key="signoff.git.commit", value="0" * 40),
    _frozen("captured fact deleted", "runs/delete-tag", key="signoff.git.commit"),
    _frozen("legacy model history changed", "runs/set-tag", key="mlflow.log-model.history", value="[]"),
    _frozen("data set added", "runs/log-inputs", datasets=[{"dataset": _DATA}]),
    _frozen("model input added", "runs/log-inputs", models=[{"model_id": "{finished_model}"}]),
    _frozen("model output added", "runs/outputs", models=[{"model_id": "{finished_model}", "step": 0}]),
    _frozen(
        "legacy model logged",
        "runs/log-model",
        model_json='{"run_id": "{released}", "artifact_path": "m", "utc_time_created": "2026-01-01", "flavors": {}}',
    ),
    _frozen("released run opened again", "runs/update", status="RUNNING", who=EVERYBODY),
    _frozen("released run ended as failed", "runs/update", status="FAILED", end_time=5),
    _frozen("released run renamed", "runs/update", run_name="tumours-best"),
    _frozen("released run deleted", "runs/delete", who=EVERYBODY),
    Attempt(
        name="proposed run deleted", requests=(post("runs/delete", {"run_id": "{proposed}"}),), who=EVERYBODY
    ),
    Attempt(
        name="released run deleted, restored and written",
        requests=(
            post("runs/delete", {"run_id": "{released}"}),
            post("runs/restore", {"run_id": "{released}"}),
            post("runs/log-metric", METRIC),
        ),
        answers=frozenset({200, 403}),  # restoring what is there changes nothing
    ),
    Attempt(
        name="trace linked to a released run",
        requests=(post("traces/link-to-run", {"run_id": "{released}", "trace_ids": ["{trace}"]}),),
    ),
)
MODELS = (
    Attempt(
        name="tags of a released model upserted",
        requests=(
            patch("logged-models/{released_model}/tags", {"tags": [{"key": "signoff.status", "value": "x"}]}),
        ),
        who=EVERYBODY,
    ),
    Attempt(
        name="reserved tag among a model's descriptive ones",
        requests=(
            patch(
                "logged-models/{finished_model}/tags",
                {"tags": [{"key": "remark", "value": "x"}, {"key": "signoff.status", "value": "x"}]},
            ),
        ),
    ),
    Attempt(
        name="versions of a released model rewritten",
        requests=(
            patch(
                "logged-models/{released_model}/tags",
                {"tags": [{"key": "mlflow.modelVersions", "value": "[]"}]},
            ),
        ),
    ),
    Attempt(
        name="versions of a released model deleted",
        requests=(delete("logged-models/{released_model}/tags/mlflow.modelVersions"),),
    ),
    Attempt(
        name="parameters of a released model added",
        requests=(
            post(
                "logged-models/{released_model}/params",
                {"model_id": "{released_model}", "params": [_NEW_PARAM]},
            ),
        ),
        who=EVERYBODY,
    ),
    Attempt(
        name="parameters of a proposed model added",
        requests=(
            post(
                "logged-models/{proposed_model}/params",
                {"model_id": "{proposed_model}", "params": [_NEW_PARAM]},
            ),
        ),
    ),
    Attempt(
        name="released model finalized again",
        requests=(
            patch(
                "logged-models/{released_model}",
                {"model_id": "{released_model}", "status": "LOGGED_MODEL_UPLOAD_FAILED"},
            ),
        ),
    ),
    Attempt(
        name="released model deleted",
        requests=(delete("logged-models/{released_model}"),),
        who=EVERYBODY,
    ),
    Attempt(
        name="model added to a released run",
        requests=(
            post(
                "logged-models",
                {"experiment_id": "{tumours}", "name": "better", "source_run_id": "{released}"},
            ),
        ),
    ),
)
EXPERIMENTS = (
    Attempt(
        name="experiment deleted",
        requests=(post("experiments/delete", {"experiment_id": "{tumours}"}),),
        who=EVERYBODY,
    ),
    Attempt(
        name="experiment deleted and restored",
        requests=(
            post("experiments/delete", {"experiment_id": "{tumours}"}),
            post("experiments/restore", {"experiment_id": "{tumours}"}),
        ),
        answers=frozenset({403, 404}),
    ),
    Attempt(
        name="experiment renamed",
        requests=(post("experiments/update", {"experiment_id": "{tumours}", "new_name": "past"}),),
        who=EVERYBODY,
    ),
    Attempt(
        name="experiments exchange their names",
        requests=(
            post("experiments/update", {"experiment_id": "{tumours}", "new_name": "past"}),
            post("experiments/update", {"experiment_id": "{cells}", "new_name": "tumours"}),
            _REGISTER,
        ),
        answers=frozenset({400, 403}),
    ),
    _experiment("experiment named after a person", "ana"),
    _experiment("experiment named after a person's login and a purpose", "ana-tests"),
    _experiment("experiment named after an address", "ana@lab.example"),
    _experiment("experiment named after a notebook", "Untitled notebook"),
    _experiment("experiment named as a notebook's path", "/Users/ana@lab.example/churn-notebook"),
    _experiment(
        "experiment over a released run's files",
        "elsewhere",
        artifact_location="mlflow-artifacts:/{tumours}/{released}",
    ),
    _experiment("experiment in another bucket", "elsewhere", artifact_location="s3://elsewhere/files"),
    Attempt(
        name="reserved tag on an experiment",
        requests=(
            post(
                "experiments/set-experiment-tag",
                {"experiment_id": "{tumours}", "key": "signoff.owner", "value": "mia"},
            ),
        ),
    ),
    Attempt(
        name="experiment made with a reserved tag",
        requests=(
            post(
                "experiments/create",
                {"name": "fresh", "tags": [{"key": "signoff.use_case", "value": "tumours"}]},
            ),
        ),
    ),
)
DATASETS = (
    Attempt(
        name="data set marked as checked",
        requests=(patch("datasets/{dataset}/tags", {"tags": '{"signoff.status": "checked"}'}, base=API3),),
    ),
)
TAGS = (
    *(
        Attempt(
            name=f"reserved tag on a run that goes on: {key}",
            requests=(post("runs/set-tag", {"run_id": "{running}", "key": key, "value": "x"}),),
        )
        for key in ("signoff.warning", "signoff.status", "signoff.gate", "signoff.approved_by")
    ),
    Attempt(
        name="reserved tags in a batch",
        requests=(
            post(
                "runs/log-batch", {"run_id": "{running}", "tags": [{"key": "signoff.status", "value": "x"}]}
            ),
        ),
    ),
    Attempt(
        name="run made with a reserved tag",
        requests=(
            post(
                "runs/create",
                {
                    "experiment_id": "{tumours}",
                    "start_time": 1,
                    "tags": [{"key": "signoff.status", "value": "released"}],
                },
            ),
        ),
    ),
)
NOTHING_THERE = (
    Attempt(
        name="mutation in GraphQL",
        requests=(
            Request(
                method="POST",
                path="/graphql",
                body={
                    "query": 'mutation { mlflowSetRegisteredModelAlias(name: "tumours", alias: "prod", '
                    'version: "2") { apiError { code } } }'
                },
            ),
            Request(
                method="POST",
                path="/graphql",
                body={
                    "query": 'mutation testMutation { testMutation(inputString: "x") { echo } }',
                    "operationName": "testMutation",
                },
            ),
        ),
        answers=frozenset({200, 400, 403, 404}),
        bare=False,
    ),
    Attempt(
        name="job handed to the server",
        requests=(
            Request(
                method="POST",
                path="/ajax-api/3.0/jobs/",
                body={"job_name": "invoke_scorer", "params": {"experiment_id": "{tumours}"}},
            ),
        ),
        answers=NO_SUCH | {500},  # MLflow's own answer where jobs are switched off
        bare=False,
    ),
    Attempt(
        name="method changed by a header",
        requests=(
            Request(
                method="POST",
                path=f"{API}/registered-models/delete",
                body={"name": "tumours"},
                headers={"X-HTTP-Method-Override": "DELETE"},
            ),
            Request(
                method="GET",
                path=f"{API}/registered-models/get?name=tumours",
                body={"name": "tumours"},
                headers={"X-HTTP-Method-Override": "DELETE"},
            ),
        ),
        answers=frozenset({200, 400, 403, 404, 405}),
        bare=False,
    ),
    Attempt(
        name="nobody asks",
        requests=(
            post("runs/log-metric", METRIC),
            post("registered-models/alias", {"name": "tumours", "alias": "prod", "version": "2"}),
            delete("registered-models/delete", {"name": "tumours"}),
        ),
        who=(None,),
        answers=frozenset({401}),
        bare=False,
    ),
    *(
        Attempt(
            name=f"person named in a header: {header}",
            requests=(
                Request(
                    method="POST",
                    path=f"{API}/runs/log-metric",
                    body=METRIC,
                    headers={header: "cleo"},
                ),
            ),
            who=("mia",),
        )
        for header in ("X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Signoff-Actor")
    ),
)
EVIDENCE = (*RUNS, *MODELS, *EXPERIMENTS, *DATASETS, *TAGS, *NOTHING_THERE)
