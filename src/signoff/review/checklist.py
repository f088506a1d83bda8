"""The periodic review: eight questions, and per question items with an answer each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from signoff.record.digest import Json

Answer = Literal["good", "attention", "problem", "nothing to judge"]
ANSWERS: tuple[Answer, ...] = ("problem", "attention", "good", "nothing to judge")
"""Worst first; what cannot be judged weighs nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing that was looked at.

    Attributes:
        code: stable, such as ``names:outside`` or ``rollback:tested``.
        use_case: what it is about; "" for the whole store.
        answer: what the review says of it.
        sentence: why, with the numbers.
        facts: further lines, one fact each.
        evidence: ids of runs, versions and statements that show it; all of them.
        advice: what to do; "" when nothing is.
    """

    code: str
    use_case: str
    answer: Answer
    sentence: str
    facts: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    advice: str = ""

    def to_json(self) -> Json:
        """All fields."""
        return {
            "code": self.code,
            "use_case": self.use_case,
            "answer": self.answer,
            "sentence": self.sentence,
            "facts": list(self.facts),
            "evidence": list(self.evidence),
            "advice": self.advice,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One question of the checklist.

    Attributes:
        number: 1 to 8.
        title: the question's subject.
        question: what it asks.
        items: in the order of the standard's use cases.
    """

    number: int
    title: str
    question: str
    items: tuple[Item, ...]

    @property
    def answer(self) -> Answer:
        """The worst of its items' answers."""
        return worst(self.items)

    def to_json(self) -> Json:
        """All fields."""
        return {
            "number": self.number,
            "title": self.title,
            "question": self.question,
            "answer": self.answer,
            "items": [item.to_json() for item in self.items],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewReport:
    """The answers.

    Attributes:
        standard: the standard's file, version and profile, for people.
        store: the store's address without secrets.
        since: first day of the period, ISO.
        until: its last day.
        runs: runs of the whole store that were started in the period.
        runs_with_files: how many of them had their artifacts and models looked at.
        sections: the eight questions in order.
    """

    standard: str
    store: str
    since: str
    until: str
    runs: int
    runs_with_files: int
    sections: tuple[Section, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """The items of all sections."""
        return tuple(item for section in self.sections for item in section.items)

    @property
    def problems(self) -> tuple[Item, ...]:
        """What is a problem."""
        return tuple(item for item in self.items if item.answer == "problem")

    def counts(self) -> tuple[tuple[Answer, int], ...]:
        """How many items have each answer, worst first."""
        return tuple((answer, sum(item.answer == answer for item in self.items)) for answer in ANSWERS)

    def to_json(self) -> Json:
        """All fields; nothing is cut."""
        return {
            "standard": self.standard,
            "store": self.store,
            "since": self.since,
            "until": self.until,
            "runs": self.runs,
            "runs_with_files": self.runs_with_files,
            "counts": dict(self.counts()),
            "sections": [section.to_json() for section in self.sections],
        }


def worst(items: Sequence[Item]) -> Answer:
    """The worst answer; nothing to judge when there is nothing else."""
    return min((item.answer for item in items), key=ANSWERS.index, default="nothing to judge")


def counted(count: int, thing: str, things: str = "") -> str:
    """A number with its noun: ``1 run``, ``12,000 runs``."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def some(names: Sequence[str], most: int = 4) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
