"""An experiment of the store."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentRecord:
    """An active experiment.

    Attributes:
        experiment_id: MLflow's id.
        name: its name.
        runs: number of active runs in it.
        users: distinct users that its runs claim, sorted.
    """

    experiment_id: str
    name: str
    runs: int
    users: tuple[str, ...]
