"""MLflow's writes, seen and judged inside its own transactions.

The store entry points import this package in every process that imports MLflow: it imports nothing before a function
is called.
"""

from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signoff.release.guard.ports import Guard


def install(guard: "Guard") -> None:
    """Let a guard decide about everything that this process writes through SQLAlchemy; see `listeners.install`."""
    from signoff.adapters.mlflow_hooks import listeners

    listeners.install(guard)


def uninstall() -> None:
    """Take the hooks away again, in a process that serves nobody."""
    from signoff.adapters.mlflow_hooks import listeners

    listeners.uninstall()


def hooks_installed() -> bool:
    """Whether a guard is installed and hears every write."""
    from signoff.adapters.mlflow_hooks import listeners

    return listeners.hooks_installed()


def plugin_active() -> bool:
    """Whether MLflow opens databases through Signoff's store entry points; see `selftest.plugin_active`."""
    from signoff.adapters.mlflow_hooks import selftest

    return selftest.plugin_active()


def problems(stores: Sequence[object]) -> tuple[str, ...]:
    """What would let a write pass this process's guard; see `selftest.problems`."""
    from signoff.adapters.mlflow_hooks import selftest

    return selftest.problems(stores)
