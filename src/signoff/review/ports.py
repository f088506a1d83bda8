"""What a review needs from wherever runs are kept, beyond what conformance and release read."""

from collections.abc import Collection
from typing import Protocol

from signoff.record.run import BareRun, RunRecord


class SurveyReader(Protocol):
    """Reads a whole store."""

    def bare_runs(self, *, since: int = 0) -> tuple[BareRun, ...]:
        """All active runs that were started since (milliseconds since 1970, UTC), newest first.

        Raises:
            StoreError: the store cannot be read.
        """

    def with_files(self, bare: BareRun) -> RunRecord:
        """The run with the paths of its artifacts and with what its models' MLmodel files say.

        Raises:
            StoreError: the artifacts cannot be read.
        """

    def has_local_files(self, bare: BareRun) -> bool:
        """Whether the run's artifacts lie in a folder of this machine, and so cost no request each."""

    def active_runs(self, run_ids: Collection[str]) -> frozenset[str]:
        """Those of the runs that exist and were not deleted.

        Raises:
            StoreError: the store cannot be read.
        """

    def registered_models(self) -> tuple[str, ...]:
        """Names of all registered models, sorted.

        Raises:
            StoreError: the store cannot be read.
        """
