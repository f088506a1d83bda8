"""`signoff init --from-store`: read an existing store for a first standard."""

from collections import Counter
from dataclasses import dataclass

from signoff.apps.workspace import Reader, reader_at
from signoff.record.experiment import ExperimentRecord
from signoff.review.takeover import FoundModel

NEWEST = 50
"""So many of the newest runs of each model's experiments are looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundStore:
    """What a store holds.

    Attributes:
        models: its registered models.
        experiments: its experiments.
    """

    models: tuple[FoundModel, ...]
    experiments: tuple[ExperimentRecord, ...]


def read_store(address: str) -> FoundStore:
    """Read registered models, and the newest runs of the experiments that they come from.

    Raises:
        StoreError: the store cannot be read.
    """
    reader = reader_at(address)
    home = {bare.run.run_id: bare.run.experiment for bare in reader.bare_runs()}
    return FoundStore(
        models=tuple(_model(reader, name, home) for name in reader.registered_models()),
        experiments=reader.experiments(),
    )


def _model(reader: Reader, name: str, home: dict[str, str]) -> FoundModel:
    versions = reader.versions(name)
    homes = Counter(home[version.run_id] for version in versions if version.run_id in home)
    runs = reader.runs(tuple(homes), last=NEWEST) if homes else ()
    return FoundModel(
        name=name,
        versions=versions,
        runs=tuple(run for run in runs if run.status == "FINISHED"),
        homes=dict(homes),
    )
