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

    def artifact(self, run_id: str, path: str) -> bytes | None:
        """The bytes of one artifact file of a run; None when there is no such file.

        Raises:
            StoreError: the store cannot be reached, or has no such run.
        """

    def experiments(self) -> tuple[ExperimentRecord, ...]:
        """All active experiments, by name."""


class RunWriter(Protocol):
    """Adds to a run what can honestly be added afterwards."""

    def log_text(self, run_id: str, path: str, text: str) -> None:
        """Write a UTF-8 artifact file of the run.

        Raises:
            StoreError: the store cannot be reached, or refuses.
        """

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of the run.

        Raises:
            StoreError: the store cannot be reached, or refuses.
        """
