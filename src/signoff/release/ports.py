"""What a release needs from wherever versions and aliases are kept."""

from typing import Protocol

from signoff.record.model_version import ModelVersionRecord


class RegistryReader(Protocol):
    """Reads registered model versions, their aliases, and prompts."""

    def version(self, name: str, version: int) -> ModelVersionRecord | None:
        """One version; None when the registry has no such model or version.

        Raises:
            StoreError: the registry cannot be reached or read.
        """

    def versions(self, name: str) -> tuple[ModelVersionRecord, ...]:
        """All versions of a model, newest (highest number) first; empty when there is no such model.

        Raises:
            StoreError: the registry cannot be reached or read.
        """

    def prompt(self, name: str, version: int) -> str | None:
        """The text of a prompt's version; None when the registry has no such prompt or version.

        Raises:
            StoreError: the registry cannot be reached or read.
        """

    def alias(self, name: str, alias: str) -> int | None:
        """The version number that an alias points at; None when the model or the alias does not exist.

        Raises:
            StoreError: the registry cannot be reached or read.
        """
