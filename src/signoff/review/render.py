"""Traces for people."""

from signoff.release.text import cell, printable
from signoff.review.model import Link, LinkState, Trace

_MARKS: dict[LinkState, str] = {
    "verified": "verified",
    "recorded": "recorded",
    "unknown": "unknown ",
    "broken": "BROKEN  ",
}


def render_text(trace: Trace) -> str:
    """One line per link with its mark, its facts below it, and a closing count."""
    lines = [f"lineage of {printable(trace.target)}"]
    width = max((len(link.kind) for link in trace.links), default=0)
    for link in trace.links:
        lines.append(f"  {_MARKS[link.state]}  {link.kind:<{width}}  {printable(link.name)}")
        lines += [f"  {'':8}  {'':<{width}}  {printable(text)}" for text in _below(link)]
    lines.append(_count(trace))
    return "\n".join(lines) + "\n"


def render_markdown(trace: Trace) -> str:
    """A table with one row per link."""
    lines = [
        f"# Lineage of {cell(trace.target)}",
        "",
        "| link | what | state | facts |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {link.kind} | {cell(link.name)} | {link.state} | {'<br>'.join(cell(t) for t in _below(link))} |"
        for link in trace.links
    ]
    return "\n".join([*lines, "", _count(trace)]) + "\n"


def _below(link: Link) -> tuple[str, ...]:
    return (*link.detail, *((link.why,) if link.why else ()))


def _count(trace: Trace) -> str:
    counts = {state: sum(link.state == state for link in trace.links) for state in _MARKS}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
