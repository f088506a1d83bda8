"""What a copy to another server needs from the stores on both sides."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from signoff.record.dataset import InputCopy


class CopySource(Protocol):
    """Where a run is taken from."""

    def inputs_of(self, run_id: str) -> tuple[InputCopy, ...]:
        """The inputs that the run logged, as they are kept."""


class CopyTarget(Protocol):
    """Where runs, model folders and versions are made; every method may raise `StoreError`."""

    def find_runs(self, experiment: str, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Ids of the active runs of an experiment with all of these tags, oldest first."""

    def create_run(self, experiment: str, *, name: str, started_at: int, tags: Mapping[str, str]) -> str:
        """Make a run with its tags in one step; returns its id."""

    def log_facts(
        self,
        run_id: str,
        *,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        at: int,
        tags: Mapping[str, str],
        inputs: Iterable[InputCopy],
    ) -> None:
        """Log what another run logged; repeating it changes nothing."""

    def log_files(self, run_id: str, folder: Path) -> None:
        """Write all files below a local folder among the run's artifacts."""

    def finish_run(self, run_id: str, *, status: str, ended_at: int | None) -> None:
        """Set how and when the run ended."""

    def log_model_folder(self, run_id: str, folder: Path, *, name: str) -> str:
        """Keep a model folder byte for byte as the run's one logged model; returns its id."""

    def register(self, name: str, *, run_id: str, source: str, model_id: str | None, description: str) -> int:
        """Register a version of the run's model, or find the one that is there; returns its number."""

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag on the run."""

    def tag_version(self, name: str, version: int, key: str, value: str) -> None:
        """Set a tag on a version."""
