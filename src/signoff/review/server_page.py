"""The guarded server's own pages: what is released, what was refused lately, and what each rule is for."""

from collections.abc import Mapping
from dataclasses import dataclass

from signoff.evidence.ledger import Entry
from signoff.release.inherited import UNVERIFIED
from signoff.release.overview import EnvironmentStatus, UseCaseStatus
from signoff.review.page import render_page
from signoff.standard.guard import GUARD_RULES, GuardRule, GuardRules, Level

SHOWN = 30
"""So many of the newest refusals and warnings are listed."""

PURPOSES: Mapping[GuardRule, str] = {
    "experiment": "Experiments belong to a use case of the standard, never to a person, a notebook or a date.",
    "artifact-location": "The server decides where files are kept, so that nobody writes into another run's folder.",
    "registration": "A version exists because its run conforms to the standard and passed its gate.",
    "alias": "An environment's alias points at what is released there, and moves only with a release or a rollback.",
    "freeze": "The run behind a proposed version stays as it was judged.",
    "finished-run": "A run that has ended is not opened again.",
    "deletion": "What was ever released can be traced, so it is not deleted or renamed.",
    "reserved-tag": "Tags that begin with signoff. are written by Signoff alone.",
}
"""One sentence per rule for the person who was refused."""

WAYS: Mapping[GuardRule, tuple[str, ...]] = {
    "experiment": (
        "Log to an experiment of your use case: mlflow.set_experiment(NAME).",
        "A new use case is a few lines in the standard, through review.",
    ),
    "artifact-location": ("Create the experiment without an artifact location.",),
    "registration": (
        "signoff check RUN says what is missing, signoff check --fix adds what can be added.",
        "signoff gate RUN evaluates it; signoff propose RUN registers it.",
        "From a run that goes on, the version is kept in quarantine until it is proposed.",
    ),
    "alias": (
        "signoff promote MODEL/VERSION --env ENVIRONMENT --dry-run says what is missing.",
        "signoff approve MODEL/VERSION --env ENVIRONMENT is for somebody who is no author of it.",
        "signoff rollback USE_CASE --env ENVIRONMENT returns to the release before.",
    ),
    "freeze": (
        "Log what is new to a new run, and propose that.",
        "Descriptive tags, such as the note on the run's page, stay open.",
    ),
    "finished-run": ("Log what comes later to a run of its own; tag it with the id of this one.",),
    "deletion": (
        "Archive by description or by a tag; what was released stays.",
        "Experiments that hold no released or proposed run can be deleted.",
    ),
    "reserved-tag": ("Use a tag without the prefix signoff. for your own notes.",),
}
"""What to do instead, per rule."""

_COLOURS: Mapping[Level, str] = {"enforce": "good", "warn": "attention", "off": "nothing-to-judge"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerView:
    """What the overview shows.

    Attributes:
        login: who looks.
        person: what the roster knows of them, such as ``ana@shop.example (author)``; "" for nobody there.
        standard: one line on the standard in force.
        at: when it was gathered, ISO 8601 UTC.
        problems: what is wrong with the server itself.
        use_cases: their status.
        refusals: newest first.
        guard: the rules in force.
    """

    login: str
    person: str
    standard: str
    at: str
    problems: tuple[str, ...]
    use_cases: tuple[UseCaseStatus, ...]
    refusals: tuple[Entry, ...]
    guard: GuardRules


def server_page(view: ServerView) -> str:
    """The overview."""
    levels = [(rule, view.guard.level(rule), PURPOSES[rule]) for rule in GUARD_RULES]
    return render_page("server.html", view=view, levels=levels, colours=_COLOURS, mark_of=mark_of)


def rule_page(rule: GuardRule, guard: GuardRules) -> str:
    """What a rule is for and what to do instead: the page that a refusal points at."""
    return render_page(
        "rule.html",
        rule=rule,
        level=guard.level(rule),
        colours=_COLOURS,
        purpose=PURPOSES[rule],
        ways=WAYS[rule],
    )


def mark_of(status: EnvironmentStatus) -> tuple[str, str]:
    """The word on an environment's mark, and its colour."""
    if status.problems:
        return "problem", "problem"
    if status.version is None:
        return "nothing released", "nothing-to-judge"
    if status.inherited:
        return UNVERIFIED, "attention"
    return f"version {status.version}", "good"
