"""A run as it was logged."""

from collections.abc import Mapping
from dataclasses import dataclass

from signoff.record.dataset import DatasetRecord
from signoff.record.schema import SchemaRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedModelRecord:
    """A model that a run logged.

    Attributes:
        model_id: MLflow's ``m-…`` id; None for a model that an older client logged as plain run artifacts.
        name: its name or artifact path.
        uri: an MLflow artifact URI from which its files can be downloaded.
        flavors: MLflow flavor names in its MLmodel file.
        inputs: the input schema of its signature; None without one.
        has_input_example: whether an input example was logged with it.
    """

    model_id: str | None
    name: str
    uri: str
    flavors: tuple[str, ...]
    inputs: SchemaRecord | None
    has_input_example: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """Everything the store says about one run.

    Attributes:
        run_id: MLflow's run id.
        run_name: its name.
        experiment_id: id of its experiment.
        experiment: name of its experiment.
        status: RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.
        user: the user that the client claimed (``mlflow.user``); a claim, not an identity.
        started_at: milliseconds since 1970, UTC.
        ended_at: the same; None while it runs.
        params: logged parameters.
        metrics: the last value of each metric; it may be NaN.
        tags: all tags, system tags included.
        artifacts: paths of all artifact files of the run, sorted.
        datasets: logged inputs.
        models: logged models, in the order of logging.
    """

    run_id: str
    run_name: str
    experiment_id: str
    experiment: str
    status: str
    user: str | None
    started_at: int
    ended_at: int | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifacts: tuple[str, ...]
    datasets: tuple[DatasetRecord, ...]
    models: tuple[LoggedModelRecord, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BareRun:
    """A run of which no file has been looked at yet.

    Attributes:
        run: the run, without artifacts and without what its models' files say.
        artifact_uri: the root of its artifacts.
    """

    run: RunRecord
    artifact_uri: str
