"""What is measured of a rollout, and what is decided about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from signoff.record.digest import Json

StepVerdict = Literal["advance", "hold", "abort", "complete"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Requests that a version was given, and how many of them it failed: error, time-out or unusable answer."""

    requests: int
    errors: int

    def to_json(self) -> Json:
        """All fields."""
        return {"requests": self.requests, "errors": self.errors}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCounts:
    """What was seen during one step of a canary.

    Attributes:
        weight: share of the requests that the canary was given.
        canary: the canary's.
        stable: of the version that is released, at the same time.
        seconds: how long the step has lasted.
    """

    weight: float
    canary: Counts
    stable: Counts
    seconds: float

    def to_json(self) -> Json:
        """All fields."""
        return {
            "weight": self.weight,
            "canary": self.canary.to_json(),
            "stable": self.stable.to_json(),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDecision:
    """What follows for a canary.

    Attributes:
        step: the 0-based step that was judged.
        verdict: ``advance`` to the next step, ``complete`` after the last one, ``hold``, or ``abort``.
        message: the arithmetic in one line.
        against_budget: e-value against "fails no more often than the standard allows"; abort from 1 / alpha'.
        against_stable: e-value against "fails no more often than stable".
    """

    step: int
    verdict: StepVerdict
    message: str
    against_budget: float
    against_stable: float

    def to_json(self) -> Mapping[str, Json]:
        """All fields."""
        return {
            "step": self.step,
            "verdict": self.verdict,
            "message": self.message,
            "against_budget": self.against_budget,
            "against_stable": self.against_stable,
        }
