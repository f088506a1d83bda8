"""A version in the model registry."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelVersionRecord:
    """A registered model version.

    Attributes:
        name: registered model.
        version: version number; registries re-use numbers after a delete, so it names nothing by itself.
        run_id: the run it came from; None when it was registered from files.
        model_id: MLflow's logged-model id; None for older clients.
        uri: artifact URI from which its files can be downloaded.
        aliases: aliases that point at it.
        created_at: milliseconds since 1970, UTC.
    """

    name: str
    version: int
    run_id: str | None
    model_id: str | None
    uri: str
    aliases: tuple[str, ...]
    created_at: int

    @property
    def ref(self) -> str:
        """``name/version``, as commands take it."""
        return f"{self.name}/{self.version}"
