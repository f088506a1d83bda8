"""What a caller is told about a request that cannot be scored: the status and code that MLflow gives, in our words.

MLflow's own messages quote the rows they were given, and stack traces. Ours name columns and types of the signature
only, so that nothing a caller sent stands in an answer, and from there in other people's logs.
"""

import json
from typing import TYPE_CHECKING

from signoff.apps.serving.routes import Answer
from signoff.record.schema import SchemaRecord

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
_SHOWN_COLUMNS = 30
_FORMS = "dataframe_split, dataframe_records, instances or inputs"

_TOLD = (
    ("valid JSON formatted string", "the body is not JSON in UTF-8"),
    ("valid UTF-8 encoded string", "the body is not UTF-8"),
    ("exactly one of the input fields", f"the body must be a JSON object with exactly one of {_FORMS}"),
    ("Dataframe split format", "dataframe_split must hold data, and may hold columns and index"),
    ("Dataframe records format", "dataframe_records must be a list of objects"),
    ("dataframe_split field is not a valid", "dataframe_split does not hold a table"),
    ("dataframe_records field is not a valid", "dataframe_records does not hold a table"),
    ("Failed to parse input as a Pandas DataFrame", "the body is not a table of the stated content type"),
    ("Encountered an unexpected error while evaluating the model", "the model failed on these rows"),
)


def error_answer(status: int, code: str, message: str) -> Answer:
    """An error in MLflow's form: a JSON object with ``error_code`` and ``message``."""
    body = json.dumps({"error_code": code, "message": message}, ensure_ascii=False).encode()
    return Answer(status=status, body=body, content_type=JSON_TYPE)


def refusal(error: "MlflowException", schema: SchemaRecord | None) -> Answer:
    """MLflow's refusal of a request, without what the caller sent.

    Args:
        error: what MLflow raised.
        schema: the model's input columns; None when they have no names.
    """
    message = _in_our_words(str(error.message), schema)
    return error_answer(error.get_http_status_code(), str(error.error_code), message)


def _in_our_words(message: str, schema: SchemaRecord | None) -> str:
    columns = () if schema is None else schema.columns
    _, mark, listed = message.partition("Model is missing inputs [")
    missing = [c.name for c in columns if mark and repr(c.name) in listed.partition("]")[0]]
    if missing:
        return f"the rows lack the columns {', '.join(missing)}"
    for column in columns:
        if (
            f"Failed to convert column {column.name} to type" in message
            or f"Incompatible input types for column {column.name}." in message
        ):
            return f"column {column.name} does not hold values of type {column.type}"
    told = next((ours for theirs, ours in _TOLD if theirs in message), None)
    if told is not None:
        return told
    if not columns:
        return "the input does not fit the model's signature"
    shown = ", ".join(f"{c.name} ({c.type})" for c in columns[:_SHOWN_COLUMNS])
    more = f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
    return f"the input does not fit the model's signature: {shown}{more}"
