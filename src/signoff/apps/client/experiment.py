"""The experiment that a run goes to when the code names none."""

from signoff.apps.client.team import current_standard, use_case

_ids: dict[tuple[str, str], str] = {}


def default_experiment() -> str | None:
    """Name of the use case's first experiment; None when the standard does not determine one.

    A first experiment that ends in ``/*`` leaves the choice to the author.
    """
    standard = current_standard()
    rules = None if standard is None else use_case(standard)
    if rules is None or not rules.experiments:
        return None
    first = rules.experiments[0]
    return None if first.endswith("/*") else first


def experiment_id(name: str) -> str:
    """Id of the experiment, made when it is missing; asked once per process and tracking server."""
    import mlflow
    from mlflow.exceptions import MlflowException

    key = (mlflow.get_tracking_uri(), name)
    if key not in _ids:
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                _ids[key] = client.create_experiment(name)
            except MlflowException:
                # Another process made it in between; if not, the first error was the real one.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found is not None:
            _ids[key] = found.experiment_id
    return _ids[key]
