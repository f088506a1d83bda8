"""Refusals as MLflow carries them to its clients.

Only an MlflowException keeps its words on the way through MLflow's stores; any other exception becomes an
internal error, which clients try again for minutes.
"""

from signoff.release.guard.ahead import NotReadError
from signoff.release.guard.explain import refusal_text
from signoff.release.guard.model import Ruling

_UNREAD = "signoff_unread"
NO_ACTOR = "nobody is logged in here, and what nobody asks for is not written"
OUTSIDE = (
    "this database belongs to a Signoff server, and this process is not that server.\n"
    "Fix: set MLFLOW_TRACKING_URI to the server's http address"
)


def denied(message: str) -> Exception:
    """PERMISSION_DENIED, HTTP 403: not tried again."""
    return _denied(f"signoff refused {message}")


def refused(ruling: Ruling, link: str) -> Exception:
    """A ruling's objections, each with its reason and its fix."""
    return _denied(refusal_text(ruling, link))


def conflict(message: str) -> Exception:
    """RESOURCE_CONFLICT, HTTP 409: not tried again; a person decides on what is there now."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_CONFLICT

    error: Exception = MlflowException(f"signoff refused this: {message}", error_code=RESOURCE_CONFLICT)
    return error


def unread(missing: NotReadError) -> Exception:
    """RESOURCE_CONFLICT, for whoever cannot read what is missing and ask again; see `unread_of`."""
    error = conflict(str(missing))
    error.__dict__[_UNREAD] = missing
    return error


def unread_of(error: Exception) -> NotReadError | None:
    """What has to be read before it is asked again; None for any other exception."""
    missing = getattr(error, _UNREAD, None)
    return missing if isinstance(missing, NotReadError) else None


def unforeseen(table: str, operation: str, way: str) -> Exception:
    """A write that this program does not know MLflow to make."""
    return denied(
        f"{operation} of {table}: this MLflow writes it in a way that is not foreseen ({way}).\n"
        "Fix: use an MLflow version that this Signoff supports, or report it"
    )


def _denied(message: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    error: Exception = MlflowException(message, error_code=PERMISSION_DENIED)
    return error
