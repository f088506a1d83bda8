"""What each version was asked and how often it failed, since the endpoint started."""

from dataclasses import dataclass

from signoff.record.digest import Digest
from signoff.rollout.model import Counts


@dataclass(kw_only=True, slots=True)
class _Seen:
    requests: int = 0
    errors: int = 0
    fallbacks: int = 0


class Tally:
    """Counts by the statement that a version rests on: a version on trial and the same one released are two.

    Only the event loop's thread counts; numbers never go down, so a step's counts are a difference.
    """

    def __init__(self) -> None:
        self._seen: dict[Digest, _Seen] = {}

    def count(self, statement: Digest, *, failed: bool) -> None:
        """One request that the version was given."""
        seen = self._seen.setdefault(statement, _Seen())
        seen.requests += 1
        seen.errors += failed

    def fell_back(self, statement: Digest) -> None:
        """One of its requests was answered by another version."""
        self._seen.setdefault(statement, _Seen()).fallbacks += 1

    def of(self, statement: Digest) -> Counts:
        """Requests and errors of the version so far."""
        seen = self._seen.get(statement, _Seen())
        return Counts(requests=seen.requests, errors=seen.errors)

    def fallbacks(self, statement: Digest) -> int:
        """How many of its requests another version answered."""
        return self._seen.get(statement, _Seen()).fallbacks
