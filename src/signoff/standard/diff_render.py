"""Two versions of a standard compared, for people. Shows what was found; compares nothing."""

from collections.abc import Iterator, Mapping, Sequence

from signoff.standard.diff import StandardDiff, Step, UseCaseDiff
from signoff.standard.diff_words import Change
from signoff.text import cell, printable

_STATE = {"added": "new", "removed": "gone", "changed": "", "equal": ""}


def diff_text(diff: StandardDiff, touched: Mapping[str, Sequence[str]]) -> str:
    """One line per change, a closing count; ended by a newline.

    Args:
        diff: what changed.
        touched: per use case what of its candidates and releases that touches, one sentence each.
    """
    return "\n".join([*_heading(diff), *text_lines(diff, touched)]) + "\n"


def text_lines(diff: StandardDiff, touched: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """`diff_text` without its heading."""
    if diff.general:
        yield "all use cases"
        yield from (f"  {_words(change)}" for change in diff.general)
    for use_case in diff.touched:
        state = _STATE[use_case.state]
        yield f"use case {printable(use_case.use_case)}" + (f": {state}" if state else "")
        yield from (f"  {_words(change)}" for change in use_case.changes)
        if use_case.state == "changed":
            yield f"  {_rules_words(use_case)}"
    for name, sentences in touched.items():
        yield from (f"{printable(name)}: {printable(sentence)}" for sentence in sentences)
    yield _closing(diff)


def diff_markdown(diff: StandardDiff, touched: Mapping[str, Sequence[str]]) -> str:
    """The same as a Markdown page."""
    lines = [f"# Standard: {cell(diff.new)} against {cell(diff.old)}", ""]
    if diff.general:
        lines += ["## All use cases", "", *_bullets(diff.general), ""]
    for use_case in diff.touched:
        state = _STATE[use_case.state]
        lines += [f"## {cell(use_case.use_case)}" + (f" ({state})" if state else ""), ""]
        lines += _bullets(use_case.changes)
        if use_case.state == "changed":
            lines += ["", f"{_rules_words(use_case)}."]
        lines.append("")
    said = [f"- {cell(name)}: {cell(text)}" for name, texts in touched.items() for text in texts]
    if said:
        lines += ["## What it touches", "", *said, ""]
    return "\n".join([*lines, f"{_closing(diff)}."]) + "\n"


def history_text(steps: Sequence[Step], *, skipped: int) -> str:
    """The commits that changed a standard, newest first, each with what it changed.

    Args:
        steps: the commits.
        skipped: how many more changed nothing of what was asked for.
    """
    lines: list[str] = []
    for step in steps:
        commit = step.commit
        lines.append(printable(f"{commit.commit[:12]}  {commit.at}  {commit.author} <{commit.email}>"))
        lines.append(printable(f"  {commit.subject}"))
        said = [step.note] if step.diff is None else text_lines(step.diff, {})
        lines += [f"  {printable(line)}" for line in said]
        lines.append("")
    return "\n".join([*lines, _counted(steps, skipped)]) + "\n"


def history_markdown(steps: Sequence[Step], *, skipped: int) -> str:
    """The same as a Markdown page with one table row per change."""
    lines = ["# Changes of the standard", "", "| commit | when | who | change |", "|---|---|---|---|"]
    for step in steps:
        commit = step.commit
        words = [step.note] if step.diff is None else [line.strip() for line in text_lines(step.diff, {})]
        told = "<br>".join(cell(text) for text in (commit.subject, *words))
        lines.append(f"| {commit.commit[:12]} | {cell(commit.at)} | {cell(commit.author)} | {told} |")
    return "\n".join([*lines, "", f"{_counted(steps, skipped)}."]) + "\n"


def _counted(steps: Sequence[Step], skipped: int) -> str:
    count = f"{len(steps)} commit{'s' if len(steps) != 1 else ''}"
    return f"{count}; {skipped} more changed nothing of this" if skipped else count


def _heading(diff: StandardDiff) -> tuple[str, str]:
    return (
        f"old  {printable(diff.old)}  sha256:{diff.old_digest.short}…",
        f"new  {printable(diff.new)}  sha256:{diff.new_digest.short}…",
    )


def _rules_words(use_case: UseCaseDiff) -> str:
    if use_case.rules_changed and use_case.old_rules is not None and use_case.new_rules is not None:
        before, after = use_case.old_rules.short, use_case.new_rules.short
        return f"rules: the digest changes, sha256:{before}… to sha256:{after}…"
    if use_case.environments:
        return f"rules: the digest that approvals name changes for {', '.join(use_case.environments)} only"
    return "rules: the digest stays"


def _closing(diff: StandardDiff) -> str:
    equal = len(diff.use_cases) - len(diff.touched)
    same = f"{equal} use case{'s' if equal != 1 else ''} without a change"
    if not diff.empty:
        changes = [*diff.general, *(change for use_case in diff.touched for change in use_case.changes)]
        counts = {
            effect: sum(change.effect == effect for change in changes)
            for effect in ("looser", "tighter", "changed")
        }
        return f"{counts['looser']} looser, {counts['tighter']} tighter, {counts['changed']} otherwise changed; {same}"
    if diff.old_digest == diff.new_digest:
        return f"no difference; {same}"
    return f"no rule differs, only comments or layout; {same}"


def _bullets(changes: Sequence[Change]) -> list[str]:
    return [f"- **{change.effect}**: {cell(f'{change.where}: {change.words}')}" for change in changes]


def _words(change: Change) -> str:
    return f"{f'{change.effect}:':<8} {change.where}: {printable(change.words)}"
