"""What MLflow loads into every client: two thin classes that import nothing until a run starts."""

from mlflow.tracking.context.abstract_context import RunContextProvider
from mlflow.tracking.default_experiment.abstract_context import DefaultExperimentProvider


class SignoffRunContext(RunContextProvider):  # type: ignore[misc]
    """Puts the facts of `signoff.record.capture` on every run that ``mlflow.start_run`` makes."""

    def in_context(self) -> bool:
        """Always: facts such as the commit do not need a standard."""
        return True

    def tags(self) -> dict[str, str]:
        """The tags; whatever cannot be found out is left out."""
        from signoff.apps.client.capture import run_tags

        return run_tags()


class SignoffExperiment(DefaultExperimentProvider):  # type: ignore[misc]
    """Sends runs to the use case's experiment when the code names none."""

    def in_context(self) -> bool:
        """Whether a standard is found that leaves exactly one experiment to choose."""
        from signoff.apps.client.experiment import default_experiment

        return default_experiment() is not None

    def get_experiment_id(self) -> str | None:
        """Id of the experiment, which is made when it is missing."""
        from signoff.apps.client.experiment import default_experiment, experiment_id

        name = default_experiment()
        return None if name is None else experiment_id(name)
