"""What conformance needs from wherever runs are kept."""

from typing import Protocol

from signoff.record.experiment import ExperimentRecord
from signoff.record.run import RunRecord


class RunReader(Protocol):
    """Reads runs and experiments."""

    def run(self, run_id: str) -> RunRecord:
        """One run with everything it logged.

        Raises:
            StoreError: the store cannot be reached, or has no such run.
        """

    def runs(self, experiments: tuple[str, ...], *, last: int | None = None) -> tuple[RunRecord, ...]:
        """Active runs of the experiments so named (a name may end in ``/*``), newest first."""

    def experiments(self) -> tuple[ExperimentRecord, ...]:
        """All active experiments, by name."""
