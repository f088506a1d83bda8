"""The run that a logging call is about."""

from collections.abc import Iterator
from contextlib import contextmanager

from signoff.errors import StoreError, UsageError


def target_run(run_id: str | None, *, call: str) -> str:
    """The id given, else that of the active run.

    Args:
        run_id: a run id; None for the active run.
        call: the function that asks, for the message.

    Raises:
        UsageError: there is neither.
    """
    import mlflow

    if run_id is not None:
        return run_id
    active = mlflow.active_run()
    if active is None:
        raise UsageError(
            f"{call} was called without an active run",
            hint=f"call it inside `with mlflow.start_run():`, or name one: {call}(…, run_id=…)",
        )
    return str(active.info.run_id)


@contextmanager
def store_errors(run_id: str) -> Iterator[None]:
    """Turn MLflow's errors into ours.

    Raises:
        StoreError: MLflow could not be reached, or refused.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise StoreError(f"MLflow did not accept it: {error}", where=f"run {run_id}") from error
