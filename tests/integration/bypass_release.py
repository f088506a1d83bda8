"""Attempts on what is released: aliases, versions, stages, registrations, and the tags that speak of them."""

from typing import Any

from bypass_attempt import (
    API,
    EVERYBODY,
    GUARD,
    MANAGERS,
    NO_SUCH,
    Attempt,
    Request,
    delete,
    post,
)

ALIAS = "registered-models/alias"
TO_UNAPPROVED = {"name": "tumours", "alias": "prod", "version": "2"}
VERSION = "model-versions/create"
PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}
STATUS = {"key": "signoff.status", "value": "released"}
_MODEL: dict[str, Any] = {"source": "models:/{finished_model}", "model_id": "{finished_model}"}
_TEXT = {"key": "mlflow.prompt.text", "value": "Answer politely."}


def _alias(name: str, **changed: object) -> Attempt:
    return Attempt(name=name, requests=(post(ALIAS, TO_UNAPPROVED | changed),), who=("cleo", "admin"))


def _register(
    title: str, *, who: tuple[str | None, ...] = MANAGERS, bare: bool = True, **body: object
) -> Attempt:
    answers = GUARD if bare else NO_SUCH
    wanted = {"name": "tumours", "source": "runs:/{finished}/model", "run_id": "{finished}", **body}
    return Attempt(name=title, requests=(post(VERSION, wanted),), who=who, bare=bare, answers=answers)


def _stage(name: str, version: str, stage: str, *, archive: bool) -> Attempt:
    body = {"name": "tumours", "version": version, "stage": stage, "archive_existing_versions": archive}
    return Attempt(
        name=name, requests=(post("model-versions/transition-stage", body),), who=("cleo", "admin")
    )


RELEASE = (
    Attempt(
        name="alias to a version without approvals", requests=(post(ALIAS, TO_UNAPPROVED),), who=EVERYBODY
    ),
    Attempt(
        name="alias to a quarantined version",
        requests=(post(ALIAS, TO_UNAPPROVED | {"version": "{quarantined}"}),),
        who=EVERYBODY,
    ),
    Attempt(
        name="alias deleted", requests=(delete(ALIAS, {"name": "tumours", "alias": "prod"}),), who=EVERYBODY
    ),
    Attempt(
        name="alias deleted by a query",
        requests=(delete(f"{ALIAS}?name=tumours&alias=prod", {"name": "tumours", "alias": "prod"}),),
    ),
    Attempt(
        name="alias deleted and set elsewhere",
        requests=(delete(ALIAS, {"name": "tumours", "alias": "prod"}), post(ALIAS, TO_UNAPPROVED)),
        who=("cleo", "admin"),
    ),
    Attempt(
        name="alias to a version written as a number",
        requests=(post(ALIAS, TO_UNAPPROVED | {"version": 2}),),
        answers=frozenset({400, 403}),
        bare=False,
    ),
    _alias("alias to a version written with a leading zero", version="02"),
    _alias("alias to a version written with a plus", version="+2"),
    _alias("alias to a version written with a space", version=" 2"),
    _alias("alias to a version written in other digits", version="２"),  # noqa: RUF001 - the attack
    _alias("alias that reads like prod, full width", alias="ｐｒｏｄ"),  # noqa: RUF001 - the attack
    _alias("alias that reads like prod, Cyrillic", alias="prоd"),  # noqa: RUF001 - the attack
    Attempt(
        name="alias to the released version, and in the same body to another",
        requests=(
            Request(
                method="POST",
                path=f"{API}/{ALIAS}",
                body=b'{"name": "tumours", "alias": "prod", "version": "1", "version": "2"}',
            ),
        ),
        who=("cleo", "admin"),
    ),
    Attempt(
        name="model renamed",
        requests=(post("registered-models/rename", {"name": "tumours", "new_name": "past"}),),
        who=EVERYBODY,
    ),
    Attempt(
        name="model renamed and renamed back",
        requests=(
            post("registered-models/rename", {"name": "tumours", "new_name": "past_and_back"}),
            post("registered-models/rename", {"name": "past_and_back", "new_name": "tumours"}),
        ),
        answers=frozenset({403, 404}),
    ),
    Attempt(
        name="another model renamed to a use case's",
        requests=(
            post("registered-models/rename", {"name": "tumours", "new_name": "past_for_another"}),
            post("registered-models/rename", {"name": "cells", "new_name": "tumours"}),
        ),
        answers=frozenset({400, 403}),
    ),
    _stage("stage to production without approvals", "2", "Production", archive=False),
    _stage("stage that archives what is released", "2", "Production", archive=True),
    _stage("released version archived", "1", "Archived", archive=False),
    Attempt(
        name="released version deleted",
        requests=(delete("model-versions/delete", {"name": "tumours", "version": "1"}),),
        who=EVERYBODY,
    ),
    Attempt(
        name="model deleted with its versions",
        requests=(delete("registered-models/delete", {"name": "tumours"}),),
        who=EVERYBODY,
    ),
    _register("unproposed run registered", who=EVERYBODY),
    _register("unproposed model registered", **_MODEL, run_id="{finished}"),
    _register("unproposed model registered without its run", **_MODEL, run_id=""),
    _register("evidence of an unproposed run registered as a model", source="runs:/{finished}/evidence"),
    _register("registration that brings its status along", tags=[STATUS]),
    _register(
        "registration that calls itself a prompt", tags=[PROMPT, _TEXT], source="prompt-template", run_id=""
    ),
    _register("prompt made of an unproposed run", tags=[PROMPT, _TEXT], source="prompt-template"),
    _register("another use case's run registered", source="runs:/{other}/model", run_id="{other}"),
    _register(
        "another run's files registered under a released run",
        source="mlflow-artifacts:/{tumours}/{finished}/artifacts/environment",
        run_id="{released}",
        bare=False,
    ),
    _register(
        "another run's files registered through parent folders",
        source="mlflow-artifacts:/{tumours}/{released}/artifacts/../../{finished}/artifacts/environment",
        run_id="{released}",
        bare=False,
    ),
    _register(
        "released run's evidence registered as a model",
        source="runs:/{released}/evidence",
        run_id="{released}",
    ),
    *(
        _register(
            f"{kind} run's folder {folder} registered as a model",
            source=f"mlflow-artifacts:/{{tumours}}/{{{kind}}}/artifacts/{folder}",
            run_id=f"{{{kind}}}",
        )
        for kind in ("released", "proposed")
        for folder in ("evidence", "signoff/gate")
    ),
    _register(
        "part of a released model registered as a model",
        source="mlflow-artifacts:/{tumours}/models/{released_model}/artifacts/part",
        model_id="{released_model}",
        run_id="{released}",
    ),
    _register("another model registered under a released run", **_MODEL, run_id="{released}"),
    _register(
        "another model registered under a released model's name",
        source="models:/{finished_model}",
        model_id="{released_model}",
        run_id="{released}",
        bare=False,
    ),
    _register(
        "another model's files registered under a released model",
        source="mlflow-artifacts:/{tumours}/models/{finished_model}/artifacts",
        model_id="{released_model}",
        run_id="{released}",
        bare=False,
    ),
    _register("files of elsewhere registered", source="s3://elsewhere/model", run_id="{released}"),
    _register("files of the server registered", source="file:///etc", run_id="{released}", bare=False),
    _register(
        "run of nobody registered",
        source="mlflow-artifacts:/9/nobody/artifacts/model",
        run_id="",
        bare=False,
    ),
    _register(
        "released model registered as another use case's",
        name="cells",
        source="models:/{released_model}",
        run_id="{released}",
        model_id="{released_model}",
    ),
    Attempt(
        name="model turned into a prompt",
        requests=(post("registered-models/set-tag", {"name": "tumours", **PROMPT}),),
    ),
    Attempt(
        name="model turned into a prompt, and its alias moved",
        requests=(
            post("registered-models/set-tag", {"name": "tumours", **PROMPT}),
            post("model-versions/set-tag", {"name": "tumours", "version": "2", **PROMPT}),
            post(ALIAS, TO_UNAPPROVED),
        ),
    ),
    *(
        Attempt(
            name=f"reserved tag on version {version}: {key}",
            requests=(
                post(
                    "model-versions/set-tag",
                    {"name": "tumours", "version": version, "key": key, "value": "x"},
                ),
            ),
            who=EVERYBODY,
        )
        for key, version in (
            ("signoff.status", "1"),
            ("signoff.status", "2"),
            ("signoff.approved_by", "2"),
            ("signoff.quarantine", "3"),
        )
    ),
    Attempt(
        name="reserved tag of a version deleted",
        requests=(
            delete("model-versions/delete-tag", {"name": "tumours", "version": "1", "key": "signoff.status"}),
        ),
    ),
    Attempt(
        name="reserved tag on a model",
        requests=(
            post("registered-models/set-tag", {"name": "tumours", "key": "signoff.owner", "value": "mia"}),
        ),
    ),
    _register("registered for no use case", name="shadow"),
    Attempt(
        name="alias to a quarantined version of no use case",
        requests=(post(ALIAS, {"name": "shadow", "alias": "best", "version": "1"}),),
    ),
    Attempt(
        name="model made with a reserved tag",
        requests=(post("registered-models/create", {"name": "fresh", "tags": [STATUS]}),),
    ),
)
