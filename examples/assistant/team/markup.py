"""Documentation sources to plain sections: Perl's POD and the reStructuredText of Python and Debian.

Only what the documents of this corpus use is understood. Anything else is refused with its place: text that is
lost or mangled in silence would be a wrong answer later.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADING = re.compile(r"=head([1-4])\s+(.+)")
POD_QUIET = {"=over", "=back", "=cut", "=pod", "=encoding"}
POD_CODES = {"B", "C", "F", "I", "S"}  # bold, code, file, italic, unbreakable: the text stays
POD_CHARACTERS = {"lt": "<", "gt": ">", "verbar": "|", "sol": "/", "eacute": "é"}

UNDERLINE = re.compile(r"([=\-~^*#\"])\1{2,}")
DIRECTIVE = re.compile(r"\.\. +([A-Za-z][A-Za-z-]*)::(?: +(.*))?")
NOTE = re.compile(r"\.\. +\[[#0-9]+\](?: +(.*))?")
RST_KEPT = {"code-block", "doctest", "testcode", "parsed-literal", "note", "seealso", "versionchanged"}
RST_DROPPED = {"contents", "figure", "highlight", "include", "index", "only", "testsetup", "toctree"}
LITERAL = {"code-block", "doctest", "testcode"}
ROLE = re.compile(r":[a-z]+(?::[a-z]+)?:`([^`]+)`")
RST_INLINE = (
    (re.compile(r"``(.+?)``"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^`>]+>`__?"), r"\1"),
    (re.compile(r"`([^`]+)`__?"), r"\1"),
    (re.compile(r"`([^`]+)`"), r"\1"),
    (re.compile(r"\s*\[[#0-9]+\]_"), ""),
    (re.compile(r"(?<![\w*])\*\*(\S(?:.*?\S)?)\*\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w*])\*(\S(?:.*?\S)?)\*(?![\w*])"), r"\1"),
    (re.compile(r"\\(\W)"), r"\1"),
)


class MarkupError(ValueError):
    """A source holds markup that is not understood here; the message names file and line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """What stands below one heading, up to the next.

    Attributes:
        title: the heading as plain text.
        blocks: paragraphs and listings as plain text, in order; a listing keeps its line breaks.
    """

    title: str
    blocks: tuple[str, ...]


def pod_sections(text: str, name: str) -> list[Section]:
    """The sections of a POD document.

    Args:
        text: the document.
        name: its name, for messages.

    Raises:
        MarkupError: an unknown command or formatting code.
    """
    sections: list[Section] = []
    title, blocks = "", list[str]()
    for line, block in _pod_blocks(text):
        where = f"{name}:{line}"
        heading = HEADING.fullmatch(" ".join(block.split()))
        if heading is not None:
            sections += _section(title, blocks)
            title, blocks = _pod_text(heading[2], where), []
        elif block.startswith("=item"):
            item = _pod_text(block.removeprefix("=item").strip(), where)
            blocks += [item] if re.search(r"[^\W\d]", item) else []  # numbers and dots of lists go
        elif block.startswith("="):
            if block.split()[0] not in POD_QUIET:
                raise MarkupError(f"{where}: unknown command {block.split()[0]}")
        elif block[0] in " \t":
            blocks.append(_listing(block.splitlines()))
        else:
            blocks += [shown] if (shown := _pod_text(block, where)) else []
    return sections + _section(title, blocks)


def _pod_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Runs of lines that are not blank, each with the number of its first line."""
    start, held = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            start = start if held else number
            held.append(line)
        elif held:
            yield start, "\n".join(held)
            held = []


def _pod_text(text: str, where: str) -> str:
    """Formatting codes such as ``C<chmod>``, ``C<< a > b >>`` and ``L<text|page>`` to what a reader sees."""
    shown, place = _pod_until(text, 0, "", where)
    if place != len(text):
        raise MarkupError(f"{where}: text ends inside a formatting code")
    return " ".join(shown.split())


def _pod_until(text: str, place: int, close: str, where: str) -> tuple[str, int]:
    shown = list[str]()
    while place < len(text):
        if close and text.startswith(close, place):
            return "".join(shown), place + len(close)
        opening = re.compile(r"([A-Z])(<<+\s|<)").match(text, place)
        if opening is None:
            shown.append(text[place])
            place += 1
            continue
        marks = opening[2].strip()
        ending = ">" if marks == "<" else f" {'>' * len(marks)}"
        inside, place = _pod_until(text, opening.end(), ending, where)
        shown.append(_pod_code(opening[1], inside, where))
    if close:
        raise MarkupError(f"{where}: a formatting code is not closed with {close.strip()}")
    return "".join(shown), place


def _pod_code(code: str, inside: str, where: str) -> str:
    if code in POD_CODES:
        return inside
    if code in {"X", "Z"}:  # index entries and nothing
        return ""
    if code == "E":
        if re.fullmatch(r"0x[0-9A-Fa-f]{1,5}", inside):
            return chr(int(inside, 16))
        if inside not in POD_CHARACTERS:
            raise MarkupError(f"{where}: unknown character E<{inside}>")
        return POD_CHARACTERS[inside]
    if code == "L":
        shown, _, page = inside.partition("|")
        return shown if page or "://" in shown else shown.replace('"', "").strip("/").replace("/", ", ")
    raise MarkupError(f"{where}: unknown formatting code {code}<...>")


def rst_sections(text: str, name: str) -> list[Section]:
    """The sections of a reStructuredText document.

    Args:
        text: the document.
        name: its name, for messages.

    Raises:
        MarkupError: an unknown directive, or a heading that is longer than its underline.
    """
    lines = [line.expandtabs(8).rstrip() for line in text.splitlines()]
    sections: list[Section] = []
    title, held, place = "", list[str](), 0
    while place < len(lines):
        found = _heading(lines, place, name)
        if found is None:
            held.append(lines[place])
            place += 1
        else:
            sections += _section(title, _rst_blocks(held, f"{name}, below {title!r}"))
            (title, place), held = found, []
    return sections + _section(title, _rst_blocks(held, f"{name}, below {title!r}"))


def _heading(lines: list[str], place: int, name: str) -> tuple[str, int] | None:
    """Title and the place after it, when a heading starts here, with or without a line above."""
    above = UNDERLINE.fullmatch(lines[place]) is not None
    at = place + above
    if at + 1 >= len(lines) or (at and not above and lines[at - 1].strip()):
        return None
    title, below = lines[at], lines[at + 1]
    if not title.strip() or (title[0] == " " and not above) or UNDERLINE.fullmatch(below) is None:
        return None
    if UNDERLINE.fullmatch(title) is not None:
        return None
    if len(below) < len(title.rstrip()):
        raise MarkupError(f"{name}:{at + 1}: the line below this heading is too short: {title}")
    return _rst_text(title.strip()), at + 2


def _rst_blocks(lines: list[str], where: str) -> list[str]:
    """Paragraphs and listings of a section's lines."""
    blocks, place = list[str](), 0
    while place < len(lines):
        line = lines[place]
        if not line.strip() or re.fullmatch(r":[a-z]+:.*", line):
            place += 1
            continue
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith(".. ") or line.strip() == "..":
            end = _body_end(lines, place + 1, indent + 1)
            blocks += _explicit(line.strip(), lines[place + 1 : end], where)
            place = end
            continue
        end = place
        while end < len(lines) and lines[end].strip():
            end += 1
        paragraph = lines[place:end]
        shown = _rst_text(" ".join(" ".join(paragraph).split()))
        place = end
        if shown.endswith("::"):
            outer = min(len(part) - len(part.lstrip()) for part in paragraph)
            end = _body_end(lines, place, outer + 1)
            shown = shown.removesuffix(":").removesuffix(": ").strip()
            shown = "" if shown == ":" else shown
            blocks += [part for part in (shown, _listing(lines[place:end])) if part]
            place = end
        elif re.search(r"\w", shown):
            blocks.append(_listing(paragraph) if re.match(r"\s*(>>>|[=+-]{3,}[ +])", line) else shown)
    return blocks


def _body_end(lines: list[str], place: int, indent: int) -> int:
    """The first place from here on whose line stands further left than the indent."""
    while place < len(lines) and (not lines[place].strip() or lines[place].startswith(" " * indent)):
        place += 1
    return place


def _explicit(first: str, body: list[str], where: str) -> list[str]:
    """Blocks of what begins with two dots: a directive, a footnote, a target or a comment."""
    directive, note = DIRECTIVE.fullmatch(first), NOTE.fullmatch(first)
    if directive is None and note is None:
        return []
    if note is not None:
        return _rst_blocks([note[1] or "", *_dedented(body)], where)
    kind = directive[1] if directive is not None else ""
    if kind in RST_DROPPED:
        return []
    if kind not in RST_KEPT:
        raise MarkupError(f"{where}: unknown directive {kind}")
    inside = [line for line in body if not re.match(r"\s+:[a-z-]+:", line)]
    if kind in LITERAL:
        return [shown] if (shown := _listing(inside)) else []
    if kind == "parsed-literal":
        return [shown] if (shown := _listing([_rst_text(line) for line in inside])) else []
    return _rst_blocks(_dedented(inside), where)


def _dedented(lines: list[str]) -> list[str]:
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[indent:] for line in lines]


def _listing(lines: list[str]) -> str:
    return "\n".join(_dedented(lines)).strip("\n")


def _rst_text(text: str) -> str:
    text = ROLE.sub(lambda role: _role(role[1]), text)
    for pattern, shown in RST_INLINE:
        text = pattern.sub(shown, text)
    return text


def _role(inside: str) -> str:
    """What a reader sees of a role: the text before ``<target>``; ``~a.b`` is shown as its last part."""
    shown = re.sub(r"\s*<[^>]*>$", "", inside).lstrip("!")
    return shown[1:].rsplit(".", 1)[-1] if shown.startswith("~") else shown


def _section(title: str, blocks: list[str]) -> list[Section]:
    return [Section(title=title, blocks=tuple(blocks))] if title and blocks else []
