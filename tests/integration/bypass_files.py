"""Attempts on the bytes of what is proposed or released, by every way to the artifacts."""

from bypass_attempt import AJAX, API, FILES, GUARD, MANAGERS, NO_SUCH, Attempt, Request, post, put

RUN = "{tumours}/{released}/artifacts"
MODEL = "{tumours}/models/{released_model}/artifacts"
AJAX_FILES = FILES.replace("/api/", "/ajax-api/")
EVERYBODY_WHO_LOGS_IN = ("ana", "ben", "mia", "admin")


def _put(name: str, path: str, *, bare: bool = True, answers: frozenset[int] = GUARD) -> Attempt:
    return Attempt(name=name, requests=(put(path),), bare=bare, answers=answers)


def _delete(name: str, path: str, *, bare: bool = True, base: str = FILES) -> Attempt:
    answers = GUARD if bare else NO_SUCH
    request = Request(method="DELETE", path=f"{base}/{path}")
    return Attempt(name=name, requests=(request,), bare=bare, answers=answers)


def _raw(name: str, path: str, *, bare: bool = True, method: str = "PUT") -> Attempt:
    answers = GUARD if bare else NO_SUCH
    headers = {"Content-Type": "application/octet-stream"}
    request = Request(method=method, path=path, body=b"other bytes", headers=headers)
    return Attempt(name=name, requests=(request,), bare=bare, answers=answers)


FILES_OF_A_RELEASE = (
    Attempt(
        name="released model overwritten",
        requests=(put(f"{MODEL}/model.skops"),),
        who=EVERYBODY_WHO_LOGS_IN,
    ),
    _put("file added to a released model", f"{MODEL}/extra.py"),
    _put("proposed model overwritten", "{tumours}/models/{proposed_model}/artifacts/model.skops"),
    _put("evidence overwritten", f"{RUN}/evidence/confusion_matrix.json"),
    _put("evidence added", f"{RUN}/evidence/late.md"),
    _put(
        "evidence through Signoff's own folder",
        f"{RUN}/signoff/../evidence/late.md",
        bare=False,
        answers=NO_SUCH,
    ),
    Attempt(
        name="Signoff's report overwritten",
        requests=(put(f"{RUN}/signoff/gate/{{report}}"),),
        who=EVERYBODY_WHO_LOGS_IN,
    ),
    Attempt(
        name="Signoff's reports deleted",
        requests=(Request(method="DELETE", path=f"{FILES}/{RUN}/signoff"),),
        who=EVERYBODY_WHO_LOGS_IN,
    ),
    Attempt(
        name="report added by somebody on no roster",
        requests=(put(f"{RUN}/signoff/gate/late.md"),),
        who=("mia", "admin"),
    ),
    _raw("path with a NUL", f"{FILES}/{RUN}/signoff/%00x", bare=False),
    _put("evidence beside Signoff's own folder", f"{RUN}/signoff-late.md"),
    _raw("by the page's address", f"{AJAX_FILES}/{MODEL}/model.skops"),
    _raw("by the page's address, two slashes", f"/{AJAX_FILES}/{MODEL}/model.skops"),
    _raw("two slashes ahead", f"/{FILES}/{MODEL}/model.skops"),
    _raw(
        "two slashes within",
        f"{FILES}/{{tumours}}//models/{{released_model}}/artifacts/model.skops",
        bare=False,
    ),
    _raw("slash encoded", f"{FILES}/{{tumours}}%2Fmodels%2F{{released_model}}/artifacts/model.skops"),
    _raw("letter encoded", f"{FILES}/{{tumours}}/models/{{released_model}}/arti%66acts/model.skops"),
    _raw("route encoded", f"/api/2.0/mlflow-arti%66acts/artifacts/{MODEL}/model.skops"),
    _raw("encoded twice", f"{FILES}/{{tumours}}/models/{{released_model}}/arti%2566acts/model.skops"),
    _raw("dot within", f"{FILES}/{{tumours}}/./models/{{released_model}}/artifacts/model.skops", bare=False),
    _raw("back and forth", f"{FILES}/{{cells}}/../{MODEL}/model.skops", bare=False),
    _raw("back and forth, encoded", f"{FILES}/{{cells}}/%2e%2e/{MODEL}/model.skops", bare=False),
    _raw("trailing slash", f"{FILES}/{MODEL}/model.skops/", bare=False),
    _raw("by POST", f"{FILES}/{MODEL}/model.skops", method="POST", bare=False),
    _raw("by PATCH", f"{FILES}/{MODEL}/model.skops", method="PATCH", bare=False),
    _raw("version 3.0 of the address", f"{FILES.replace('2.0', '3.0')}/{MODEL}/model.skops", bare=False),
    _delete("released model's file deleted", f"{MODEL}/model.skops"),
    _delete("released model's folder deleted", MODEL),
    _delete("released run's folder deleted", RUN),
    _delete("folder above the run deleted", "{tumours}/{released}"),
    _delete("folder above all models deleted", "{tumours}/models"),
    _delete("experiment's folder deleted", "{tumours}"),
    _delete("experiment's folder deleted, trailing slash", "{tumours}/"),
    _delete("experiment's folder deleted by dots", "{tumours}/models/..", bare=False),
    _delete("everything deleted", "", bare=False),
    _delete("everything deleted by a dot", "."),
    _delete("everything deleted by an encoded dot", "%2e"),
    _delete("experiment's folder deleted by the page's address", "{tumours}", base=AJAX_FILES),
    _delete("experiment's folder deleted, two slashes ahead", "{tumours}", base=f"/{FILES}"),
    Attempt(
        name="file sent by the page's upload",
        requests=(
            Request(
                method="POST",
                path=f"{AJAX}/upload-artifact?run_uuid={{released}}&path=evidence/late.md",
                body=b"other bytes",
                headers={"Content-Type": "application/octet-stream"},
            ),
        ),
        who=EVERYBODY_WHO_LOGS_IN,
    ),
    Attempt(
        name="upload address signed ahead",
        requests=(
            post(
                "artifacts/presigned-upload-url",
                {"run_id": "{released}", "path": "evidence/late.md", "expiration": 86400},
            ),
        ),
        answers=NO_SUCH,
        bare=False,
    ),
    Attempt(
        name="upload in parts",
        requests=tuple(
            Request(
                method="POST",
                path=f"/api/2.0/mlflow-artifacts/mpu/{step}/{MODEL}",
                body={"path": f"{MODEL}/model.skops", "num_parts": 2, "upload_id": "1", "parts": []},
            )
            for step in ("create", "complete", "abort")
        ),
        who=MANAGERS,
        answers=NO_SUCH,
        bare=False,
    ),
    Attempt(
        name="upload from the page under another method",
        requests=(
            Request(
                method="PUT",
                path=f"{API}/upload-artifact?run_uuid={{released}}&path=evidence/late.md",
                body=b"other bytes",
            ),
        ),
        answers=NO_SUCH,
        bare=False,
    ),
)
