"""A review for people: terminal and Markdown. Nothing is computed here."""

from collections.abc import Iterator

from signoff.review.checklist import Answer, Item, ReviewReport, counted
from signoff.text import cell, printable

MARKS: dict[Answer, str] = {
    "good": "good",
    "attention": "ATTENTION",
    "problem": "PROBLEM",
    "nothing to judge": "-",
}
FACTS = 12
"""Facts of one item that are shown; JSON holds all."""
EVIDENCE = 6
"""Ids of one item that are shown; JSON holds all."""
_WIDTH = max(map(len, MARKS.values()))


def review_text(report: ReviewReport) -> str:
    """One block per question, one line per item with its mark; ended by a newline."""
    lines = [*map(printable, header(report)), ""]
    for section in report.sections:
        lines.append(printable(f"{section.number}. {section.title}: {section.answer}"))
        lines += [f"  {line}" for item in section.items for line in _item_lines(item)]
        lines.append("")
    return "\n".join([*lines, summary(report)]) + "\n"


def review_markdown(report: ReviewReport) -> str:
    """A page with one table per question."""
    lines = [f"# Review of {cell(report.until)}", "", *(f"- {cell(line)}" for line in header(report))]
    lines += ["", f"**{summary(report)}**"]
    for section in report.sections:
        lines += [
            "",
            f"## {section.number}. {section.title}: {section.answer}",
            "",
            section.question,
            "",
            "| use case | answer | why | what to do |",
            "|---|---|---|---|",
            *(_row(item) for item in section.items),
        ]
    return "\n".join(lines) + "\n"


def header(report: ReviewReport) -> tuple[str, ...]:
    """What was looked at."""
    looked = f"{counted(report.runs, 'run')} started from {report.since} to {report.until}"
    rest = report.runs - report.runs_with_files
    return (
        f"standard {report.standard}",
        f"store {report.store}",
        looked + (f"; artifacts and models looked at in {report.runs_with_files:,} of them" if rest else ""),
    )


def summary(report: ReviewReport) -> str:
    """How many items have each answer."""
    counts = dict(report.counts())
    return ", ".join(
        (
            counted(counts["problem"], "problem"),
            f"{counts['attention']} to attend to",
            f"{counts['good']} good",
            f"{counts['nothing to judge']} with nothing to judge",
        )
    )


def shown_facts(item: Item) -> tuple[str, ...]:
    """The facts that are shown, with a last line for those that are not."""
    return (*item.facts[:FACTS], *_more(len(item.facts) - FACTS))


def shown_evidence(item: Item) -> str:
    """The ids that are shown, in one line, digests by their beginning."""
    return ", ".join((*map(_short, item.evidence[:EVIDENCE]), *_more(len(item.evidence) - EVIDENCE)))


def _short(name: str) -> str:
    return f"{name[:19]}…" if name.startswith("sha256:") else name


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"and {count:,} more"


def _item_lines(item: Item) -> Iterator[str]:
    about = f"{item.use_case}: " if item.use_case else ""
    yield f"{MARKS[item.answer]:<{_WIDTH}}  {printable(about + item.sentence)}"
    below = " " * _WIDTH
    if item.answer == "good":
        return
    for fact in shown_facts(item):
        yield f"{below}    {printable(fact)}"
    if item.evidence:
        yield f"{below}    evidence: {printable(shown_evidence(item))}"
    if item.advice:
        yield f"{below}    to do: {printable(item.advice)}"


def _row(item: Item) -> str:
    below = [cell(fact) for fact in shown_facts(item)]
    if item.evidence:
        below.append(f"evidence: {cell(shown_evidence(item))}")
    why = "<br>".join([cell(item.sentence), *below])
    return f"| {cell(item.use_case) or 'whole store'} | {item.answer} | {why} | {cell(item.advice)} |"
