"""The software and hardware that a run ran on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from signoff.record.digest import Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentRecord:
    """A frozen environment.

    Attributes:
        python: version such as 3.11.7.
        packages: one ``name==version`` line per installed distribution, sorted, each ended by a newline.
        platform: OS, container image, drivers and hardware by name; empty with ``capture: minimal``.
    """

    python: str
    packages: str
    platform: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> Digest:
        """Digest of the package list's UTF-8 bytes: the artifact file has the same digest."""
        return Digest.of(self.packages.encode())
