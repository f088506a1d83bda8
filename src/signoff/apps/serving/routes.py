"""Which version answers which request: replaced as a whole, so that a request sees one state only."""

from dataclasses import dataclass
from typing import Literal, Protocol

from signoff.record.digest import Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A scoring request as it came in.

    Attributes:
        body: its bytes, unread.
        content_type: the header as sent; "" without one.
        rows_wanted: whether the answer shall bring the rows that were scored, for the inference log.
    """

    body: bytes
    content_type: str
    rows_wanted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a version answered.

    Attributes:
        status: HTTP status.
        body: its bytes.
        content_type: of the body.
        failed: whether the version failed, whatever the status says: its model raised, or answered NaN or infinity.
        rows: MessagePack of the input columns as the model saw them, a list of (name, type, values); empty when not
            wanted or not known.
    """

    status: int
    body: bytes
    content_type: str
    failed: bool = False
    rows: bytes = b""


class Scorer(Protocol):
    """A version in a process of its own, loaded from verified bytes."""

    async def answer(self, request: Request, *, timeout_s: float) -> Answer:
        """Score a request.

        Raises:
            ScorerGone: the process ended or does not answer in time.
        """

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""

    async def stop(self) -> None:
        """Let it finish what it has begun, and end it."""


class ScorerGone(Exception):  # noqa: N818 - what happened, not an error of the caller
    """The scoring process ended, or did not answer in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A version that can answer.

    Attributes:
        version: its number in the registry.
        model: digest of its files, as released.
        statement: id of the release or canary statement that it rests on.
        scorer: its process.
    """

    version: int
    model: Digest
    statement: Digest
    scorer: Scorer


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes:
    """Who answers.

    Attributes:
        stable: the released version.
        canary: the version on trial; None without one.
        weight: share of the requests that the canary is given.
        timeout_s: after so long an answer counts as missing.
        fallback: whether stable answers what the canary fails to.
    """

    stable: Served
    canary: Served | None
    weight: float
    timeout_s: float
    fallback: Literal["stable", "none"]
