"""The section `guard` of a standard, as a team writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from signoff.standard.guard import GUARD_RULES, QUIET, GuardRule, GuardRules, Level
from signoff.standard.names import LINK
from signoff.standard.shape import About, Section, about


def _level(what: str) -> Mapping[str, About]:
    return about(About(f"{what} Default: the profile's.", noun="level"))


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardSection(Section):
    """What a guarded MLflow server enforces, rule by rule; a level alone stands for `all`."""

    SHORTHAND: ClassVar[str] = "all"

    all: Level | None = field(
        default=None,
        metadata=about(
            About("Level of every rule that is not named here, but for finished_run.", noun="level")
        ),
    )
    experiment: Level | None = field(
        default=None,
        metadata=_level(
            "New and renamed experiments: inside a use case, not named after a person or notebook."
        ),
    )
    artifact_location: Level | None = field(
        default=None, metadata=_level("Experiments whose artifacts a client would put where it likes.")
    )
    registration: Level | None = field(
        default=None,
        metadata=_level(
            "New registered models and versions: of a use case, from a run that conforms and passed."
        ),
    )
    alias: Level | None = field(
        default=None,
        metadata=_level(
            "Aliases and stages of versions, and new names of registered models: by release decision."
        ),
    )
    freeze: Level | None = field(
        default=None,
        metadata=_level("What a proposal rests on: its run's values, data sets, model and files."),
    )
    finished_run: Level | None = field(
        default=None, metadata=_level("Runs that have finished: running again, or values added later.")
    )
    deletion: Level | None = field(
        default=None,
        metadata=_level("Released versions, their runs, models and experiments: deleted or renamed."),
    )
    reserved_tag: Level | None = field(
        default=None, metadata=_level("Tags that begin with `signoff.`, written by others than Signoff.")
    )
    from_running: Literal["quarantine", "refuse"] | None = field(
        default=None,
        metadata=about(
            About(
                "A version registered from a run that has not ended: quarantine keeps it, without alias until it is "
                "proposed; refuse ends the training. Default quarantine.",
                noun="setting",
            )
        ),
    )
    link: str | None = field(
        default=None,
        metadata=about(
            About(
                "Address that refusals end in, such as your page on releases. Default: the server's own page on the rule.",
                noun="address",
                form=LINK,
            )
        ),
    )

    def named(self) -> Mapping[GuardRule, Level | None]:
        """What is said of each rule by its name."""
        return {
            "experiment": self.experiment,
            "artifact-location": self.artifact_location,
            "registration": self.registration,
            "alias": self.alias,
            "freeze": self.freeze,
            "finished-run": self.finished_run,
            "deletion": self.deletion,
            "reserved-tag": self.reserved_tag,
        }


def resolve_guard(section: GuardSection | None, shipped: GuardSection) -> GuardRules:
    """The team's section over the profile's.

    Args:
        section: what the file says; None when it says nothing.
        shipped: what the profile brings.
    """
    given = section or GuardSection()
    named, brought = given.named(), shipped.named()
    levels: dict[GuardRule, Level] = {}
    for rule in GUARD_RULES:
        for_all = None if rule in QUIET else given.all
        levels[rule] = named[rule] or for_all or brought[rule] or "enforce"
    return GuardRules(
        levels=levels,
        from_running=given.from_running or shipped.from_running or "quarantine",
        link=given.link or "",
    )
