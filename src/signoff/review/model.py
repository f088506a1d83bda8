"""A trace: from a production model or a table back to everything it rests on."""

from dataclasses import dataclass
from typing import Literal

from signoff.record.digest import Json

LinkState = Literal["verified", "recorded", "unknown", "broken"]
"""verified: checked against bytes or signatures just now; recorded: somebody said so and nothing contradicts
it; unknown: it cannot be checked from here; broken: it is contradicted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One step of a trace.

    Attributes:
        kind: such as output, release, alias, version, model, component, gate, data, approval, proposal, run, code,
            environment, log.
        name: what it is, for people.
        state: how far it can be trusted.
        detail: facts, one line each.
        why: why it is not verified; "" when it is.
    """

    kind: str
    name: str
    state: LinkState
    detail: tuple[str, ...] = ()
    why: str = ""

    def to_json(self) -> Json:
        """All fields."""
        return {
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "detail": list(self.detail),
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """All links, from the newest thing back to the oldest.

    Attributes:
        target: what was asked for.
        links: in reading order.
    """

    target: str
    links: tuple[Link, ...]

    @property
    def broken(self) -> tuple[Link, ...]:
        """The links that are contradicted."""
        return tuple(link for link in self.links if link.state == "broken")

    def to_json(self) -> Json:
        """All fields."""
        return {"target": self.target, "links": [link.to_json() for link in self.links]}
