"""Rule `reserved-tag`: tags by which Signoff speaks are written by Signoff."""

from collections.abc import Iterator

from signoff.conformance.boundary import use_case_of
from signoff.record import capture
from signoff.record.from_mlflow import IS_PROMPT_TAG, PROMPT_TAG
from signoff.release.guard.flush import (
    Flush,
    Said,
    experiment_id,
    model_name,
    run_id_of,
    use_case_name,
    version_number,
)
from signoff.release.guard.model import Asker, Change, Objection
from signoff.release.guard.ports import GuardFacts
from signoff.release.model import Reason

_PREFIX = "signoff."
_DATASET_PREFIX = "signoff.dataset."
"""How tags begin by which `signoff.log_dataset` describes a run's input."""
_COLUMN = {
    "registered_model_tags": "key",
    "model_version_tags": "key",
    "experiment_tags": "key",
    "tags": "key",
    "logged_model_tags": "tag_key",
    "input_tags": "name",
    "trace_tags": "key",
    "evaluation_dataset_tags": "key",
}
"""Tables of tags, with the column that names one."""
_REGISTRY = frozenset({"registered_model_tags", "model_version_tags", "experiment_tags"})
"""Tables in which every tag that begins with our prefix is written by Signoff."""


def judge(flush: Flush, _asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to tags; those that go with what they describe are not asked about."""
    for change in flush.rows(*_COLUMN):
        key = _key(change)
        if _goes_along(flush, change):
            continue
        if key is None:
            if change.table in _REGISTRY:  # of all others, `freeze` judges what matters
                yield _objection(change, facts, _unreadable())
        elif key.casefold().startswith(_PREFIX) and not captured(change.table, key):
            yield _objection(change, facts, _reserved(key))
        elif _makes_prompt(flush, change, key):
            yield _objection(change, facts, _prompt(key))


def _key(change: Change) -> str | None:
    """The tag's name; of a row whose name changes, the reserved one of the two."""
    column = _COLUMN[change.table]
    before, after = change.before.get(column), change.value(column)
    return before if before is not None and before.casefold().startswith(_PREFIX) else after


def captured(table: str, key: str) -> bool:
    """Whether the client plugins write a tag of ours with this name into the table: anybody may then."""
    if table == "input_tags":
        return key.startswith(_DATASET_PREFIX)
    return table not in _REGISTRY and capture.is_captured(key)


def _makes_prompt(flush: Flush, change: Change, key: str) -> bool:
    """Whether a tag would turn a model into a prompt, or give a prompt's version another text."""
    if change.table == "registered_model_tags":
        return key == IS_PROMPT_TAG and model_name(change) not in flush.models_created
    if change.table != "model_version_tags" or key not in {IS_PROMPT_TAG, PROMPT_TAG}:
        return False
    return (model_name(change), version_number(change)) not in flush.versions_created


def _goes_along(flush: Flush, change: Change) -> bool:
    if change.table == "registered_model_tags":
        return flush.goes_with_model(change)
    if change.table == "model_version_tags":
        return flush.goes_with_model(change) or flush.goes_with_version(change)
    if change.operation != "delete":
        return False
    if change.table == "tags":
        return run_id_of(change) in flush.runs_removed
    return experiment_id(change) in flush.experiments_removed


_OTHERS = {
    "input_tags": ("logged input", "input_uuid"),
    "trace_tags": ("trace", "request_id"),
    "evaluation_dataset_tags": ("evaluation data set", "dataset_id"),
}
"""Tables of tags of what belongs to no use case, with what their tags describe."""


def _objection(change: Change, facts: GuardFacts, reason: Reason) -> Objection:
    use_case, subject = _of(change, facts)
    return Objection(rule="reserved-tag", use_case=use_case, subject=subject, reason=reason)


def _of(change: Change, facts: GuardFacts) -> tuple[str, str]:
    """The use case and the name of what the tag describes."""
    if change.table in {"registered_model_tags", "model_version_tags"}:
        name = model_name(change)
        number = change.value("version")
        subject = f"registered model {name}" if number is None else f"{name}/{number}"
        return use_case_name(facts.standard, name), subject
    if change.table == "experiment_tags":
        identifier = experiment_id(change)
        name = facts.experiment_name(identifier) or identifier
        return use_case_of(facts.standard, name) or "", f"experiment {name}"
    if change.table in _OTHERS:
        what, column = _OTHERS[change.table]
        return "", f"{what} {change.value(column)}"
    if change.table == "tags":
        run_id = run_id_of(change)
        run, subject = facts.run(run_id), f"run {run_id}"
    else:
        model_id = change.value("model_id") or ""
        run, subject = facts.run_of_model(model_id), f"logged model {model_id}"
    return "" if run is None else use_case_of(facts.standard, run.experiment) or "", subject


def _reserved(key: str) -> Reason:
    return Reason(
        code="tag-reserved",
        message=f"tag {key[:100]} is written by Signoff alone",
        fix="use a name that does not begin with signoff.",
    )


def _unreadable() -> Reason:
    return Reason(
        code="tag-unreadable",
        message="the statement does not say which tags it changes, and some are written by Signoff alone",
        fix="change tags one by one, by their names",
    )


def _prompt(key: str) -> Reason:
    return Reason(
        code="prompt-tag",
        message=f"{key} says that something is a prompt, or its text; it is set when the prompt is made, and stays",
        fix="make a new prompt, or a new version of one, with mlflow.genai.register_prompt",
    )
