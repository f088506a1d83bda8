"""One model answering MLflow's scoring protocol, in this process.

The quick way takes what is typed exactly as the signature says. Everything else goes through MLflow's own
``invocations``, with the same model behind it.
"""

import inspect
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pandas as pd

from signoff.adapters.model_folder import MLMODEL, ModelFolder, OpenModel
from signoff.apps.serving.limits import excess
from signoff.apps.serving.refusals import JSON_TYPE, TEXT_TYPE, error_answer, refusal
from signoff.apps.serving.routes import Answer, Request
from signoff.apps.serving.typed_rows import TypedRows
from signoff.errors import ModelError
from signoff.record.schema import SchemaRecord

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

_QUICK_TYPES: Final = frozenset({"application/json", "application/json; charset=utf-8"})
_QUICK_LOADER: Final = "mlflow.sklearn"
"""Its wrapper does nothing around the model; others may need what MLflow sets up around a call."""


class WatchedModel:
    """What MLflow calls a model implementation, remembering what it was last given and whether it failed.

    Attributes:
        given: the input of the last call; None before it.
        failed: whether the last call raised, or answered NaN or infinity.
    """

    def __init__(self, implementation: Any, predict_fn: str) -> None:
        self._predict = getattr(implementation, predict_fn)
        params = inspect.signature(self._predict).parameters.get("params")
        self._takes_params = params is not None and params.kind is not inspect.Parameter.VAR_KEYWORD
        self.given: Any = None
        self.failed = False

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """The model's own answer.

        Raises:
            Exception: whatever the model raises.
        """
        self.given = data
        self.failed = True  # until it has answered
        found = self._predict(data, params=params) if self._takes_params else self._predict(data)
        self.failed = not _finite(found)
        return found


class Scoring:
    """Answers requests with one model; for one thread."""

    def __init__(self, folder: ModelFolder, opened: OpenModel) -> None:
        """Put MLflow's protocol around a loaded model.

        Args:
            folder: its verified files.
            opened: what `open_model` made of them.

        Raises:
            ModelError: MLflow does not accept it as a model.
        """
        self._watched, self._model = _as_mlflow_would(folder, opened)
        self._input_schema = self._model.metadata.get_input_schema()
        self._schema = _named_columns(self._model)
        self._typed: TypedRows | None = None
        if self._schema is not None and folder.loader == _QUICK_LOADER and TypedRows.takes(self._schema):
            self._typed = TypedRows(self._schema)
        if self._model.metadata.get_params_schema() is not None:
            self._typed = None
        self._warm_up()

    def answer(self, request: Request) -> Answer:
        """Score a request; whatever goes wrong becomes an answer."""
        too_much = excess(request)
        if too_much is not None:
            return error_answer(413, "REQUEST_LIMIT_EXCEEDED", too_much)
        self._watched.given, self._watched.failed = None, False
        try:
            status, body, kind = self._quick(request) or self._by_mlflow(request)
        except Exception:  # noqa: BLE001 - MLflow's server answers so; the text of the error may quote rows
            status, body, kind = 500, b"Internal Server Error", TEXT_TYPE
        return Answer(
            status=status,
            body=body,
            content_type=kind,
            failed=self._watched.failed,
            rows=self._rows() if request.rows_wanted else b"",
        )

    def _warm_up(self) -> None:
        """What the first request would wait for: imports, and what libraries do on a first call."""
        from mlflow.pyfunc import scoring_server  # noqa: F401 - imported for its effect
        from mlflow.utils import proto_json_utils  # noqa: F401 - imported for its effect

        if self._typed is not None:
            with suppress(Exception):  # a row of zeros and empty texts need not fit the model
                self._watched.predict(self._typed.blank())

    def _quick(self, request: Request) -> tuple[int, bytes, str] | None:
        if self._typed is None or request.content_type not in _QUICK_TYPES:
            return None
        frame = self._typed.frame(request.body)
        if frame is None:
            return None
        try:
            predicted = self._watched.predict(frame)
        except Exception:  # noqa: BLE001 - MLflow decides what a failing model is answered with
            return None
        return 200, _encoded(predicted), JSON_TYPE

    def _by_mlflow(self, request: Request) -> tuple[int, bytes, str]:
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc.scoring_server import invocations

        try:
            found = invocations(request.body, request.content_type, self._model, self._input_schema)
        except MlflowException as error:
            said = refusal(error, self._schema)
            return said.status, said.body, said.content_type
        if found.status == 415:
            return 415, b"the content type must be application/json, text/csv or parquet, in UTF-8", TEXT_TYPE
        kind = found.mimetype if found.mimetype == JSON_TYPE else TEXT_TYPE
        return found.status, found.response.encode(), kind

    def _rows(self) -> bytes:
        """The input columns as the model was given them, with their types; empty when it was given no table."""
        frame = self._watched.given
        if self._schema is None or not isinstance(frame, pd.DataFrame):
            return b""
        try:
            return msgspec.msgpack.encode(
                [(c.name, c.type, _plain(frame[c.name])) for c in self._schema.columns if c.name in frame]
            )
        except (TypeError, ValueError, OverflowError):  # foreign values; the log does without
            return b""


def _as_mlflow_would(folder: ModelFolder, opened: OpenModel) -> tuple[WatchedModel, "PyFuncModel"]:
    """The model as `mlflow.pyfunc.load_model` would wrap it, with our loaded object inside."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.pyfunc import PyFuncModel
    from mlflow.sklearn import _SklearnModelWrapper

    if isinstance(opened.loaded, PyFuncModel):
        implementation = opened.loaded._model_impl  # noqa: SLF001 - MLflow calls it a stable developer API
    elif folder.loader == _QUICK_LOADER:
        implementation = _SklearnModelWrapper(opened.loaded)
    else:
        implementation = opened.loaded
    try:
        metadata = Model.load(str(folder.path / MLMODEL))
        predict_fn = str(folder.flavors.get("python_function", {}).get("predict_fn", "predict"))
        watched = WatchedModel(implementation, predict_fn)
    except (MlflowException, AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"MLflow does not take it for a model: {error}") from error
    model = PyFuncModel(model_meta=metadata, model_impl=watched, model_id=metadata.model_id)
    model.input_example = getattr(opened.loaded, "input_example", None)
    return watched, model


def _named_columns(model: "PyFuncModel") -> SchemaRecord | None:
    from signoff.record.schema import ColumnRecord

    schema = model.metadata.get_input_schema()
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    return SchemaRecord(
        columns=tuple(
            ColumnRecord(
                name=str(column.name),
                type=str(getattr(column.type, "name", column.type)),
                required=bool(column.required),
            )
            for column in schema.inputs
        )
    )


def _encoded(predicted: Any) -> bytes:
    """The text that MLflow's server would answer, made in one go."""
    from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj

    answer = {"predictions": _get_jsonable_obj(predicted, pandas_orient="records")}
    return json.dumps(answer, cls=NumpyEncoder).encode()


def _finite(predicted: Any) -> bool:
    if isinstance(predicted, pd.DataFrame):
        return all(_finite(predicted.iloc[:, place].to_numpy()) for place in range(predicted.shape[1]))
    try:
        values = np.asarray(predicted)
    except ValueError:  # rows of different lengths are no table of numbers
        return True
    return bool(np.isfinite(values).all()) if values.dtype.kind == "f" else True


def _plain(column: Any) -> list[Any]:
    if column.dtype.kind == "M":
        return [None if moment is pd.NaT else moment.isoformat() for moment in column]
    values: list[Any] = column.tolist()
    if column.dtype == object and any(isinstance(value, list | dict) for value in values):
        return [json.dumps(value) for value in values]
    return values
