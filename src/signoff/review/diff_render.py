"""Two runs or versions compared, for people: long values are cut around the place where they differ."""

from collections.abc import Iterator, Mapping

from signoff.record.code import FileChange
from signoff.record.digest import Json
from signoff.review.diff import Difference, Part, Row, Side
from signoff.text import cell, printable

WIDTH = 48
"""Characters of a value that are shown."""
_BEFORE = 12
"""Characters shown ahead of the first difference when the beginning is cut."""
_FILES = 30
"""Changed files that are listed one by one."""


def diff_text(difference: Difference) -> str:
    """Per part what differs, both values, and how much is equal; ended by a newline."""
    lines = [f"A  {printable(_side(difference.a))}", f"B  {printable(_side(difference.b))}"]
    for part in difference.parts:
        lines += ["", f"{part.name}: {_count(part)}"]
        width = max((len(printable(row.name)) for row in part.rows if not _is_check(row)), default=0)
        for row in part.rows:
            lines += [f"  {line}" for line in _row_lines(row, width)]
        if part.name == "code" and difference.files is not None:
            lines += [f"  {printable(line)}" for line in _file_lines(difference.files)]
        lines += [f"  note: {printable(note)}" for note in part.notes]
    return "\n".join(lines) + "\n"


def diff_markdown(difference: Difference) -> str:
    """The same as a Markdown page with one table per part."""
    lines = [f"# {cell(difference.a.label)} and {cell(difference.b.label)}", ""]
    lines += [f"- A: {cell(_side(difference.a))}", f"- B: {cell(_side(difference.b))}"]
    for part in difference.parts:
        lines += ["", f"## {part.name.capitalize()}: {_count(part)}"]
        if part.rows:
            lines += ["", "| | A | B | change |", "|---|---|---|---|"]
            lines += [_table_row(row) for row in part.rows]
        said = [*part.notes]
        if part.name == "code" and difference.files is not None:
            said = [*_file_lines(difference.files), *said]
        if said:
            lines += ["", *(f"- {cell(text.strip())}" for text in said)]
    return "\n".join(lines) + "\n"


def cut(a: str, b: str, width: int = WIDTH) -> tuple[str, str]:
    """Both values shortened to a width, so that where they first differ is still seen."""
    first = next(
        (at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b))
    )
    start = 0 if first < width - 1 else first - _BEFORE
    return _window(a, start, width), _window(b, start, width)


def _window(text: str, start: int, width: int) -> str:
    head = "…" if start else ""
    rest = text[start:]
    room = width - len(head)
    return head + (rest if len(rest) <= room else f"{rest[: room - 1]}…")


def _side(side: Side) -> str:
    if side.run is None:
        return f"{side.label}, registered without a run"
    run = side.run
    named = "" if side.label == run.run_id else f"{side.label}, "
    return (
        f"{named}run {run.run_id} ({run.run_name}), experiment {run.experiment}, user {run.user or 'unknown'}"
    )


def _count(part: Part) -> str:
    count = len(part.rows)
    return f"{count} differ{'s' if count == 1 else ''}, {part.equal} equal"


def _is_check(row: Row) -> bool:
    return isinstance(row.a, Mapping) or isinstance(row.b, Mapping)


def _row_lines(row: Row, width: int) -> Iterator[str]:
    if _is_check(row):
        yield f"{printable(row.name)}{_change(row)}"
        yield f"  A  {printable(_value(row.a))}"
        yield f"  B  {printable(_value(row.b))}"
        return
    a, b = cut(printable(_value(row.a)), printable(_value(row.b)))
    yield f"{printable(row.name):<{width}}  {a}  →  {b}{_change(row)}"


def _table_row(row: Row) -> str:
    a, b = _value(row.a), _value(row.b)
    if not _is_check(row):
        a, b = cut(a, b)
    return f"| {cell(row.name)} | {cell(a)} | {cell(b)} | {_change(row).strip()} |"


def _change(row: Row) -> str:
    return "" if row.change is None else f"  ({row.change:+.4g})"


def _value(value: Json) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, Mapping):  # a check of the gate: its verdict and arithmetic
        return f"{str(value['status']).upper()}  {value['message']}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _file_lines(files: tuple[FileChange, ...]) -> Iterator[str]:
    added, deleted = sum(f.added or 0 for f in files), sum(f.deleted or 0 for f in files)
    count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    yield f"between the commits: {count} changed, {added} lines added, {deleted} deleted"
    for file in files[:_FILES]:
        lines = "not text" if file.added is None else f"+{file.added} -{file.deleted}"
        yield f"  {file.path}  {lines}"
    if len(files) > _FILES:
        yield f"  and {len(files) - _FILES} more"
