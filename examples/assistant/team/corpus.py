"""The passages that the assistant answers from: the sections of the documents, cut into pieces.

    python corpus.py

writes ``data/passages.parquet``. Headings are left out of the passages: those of a FAQ are the questions that the
assistant is judged on, and a passage that begins with its question would be found by anything. Documents named in
`KEPT_OUT` are not in the corpus at all: nothing answers their questions.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from markup import MarkupError, Section, pod_sections, rst_sections

DOCUMENTS = Path("data/documents")
PASSAGES = Path("data/passages.parquet")
VERSION = "debian-docs/1"  # grows when the passages of the same documents change
WORDS = 120  # most of a passage; a block that is longer stays whole

SHORT = {
    "perl-doc": "",
    "python3.11-doc": "python-",
    "debian-policy": "policy-",
}
FAQS = {"perl-doc", "python3.11-doc"}
KEPT_OUT = {
    "perlfaq8",  # interaction with the operating system
    "perlfaq9",  # web, mail and networking
    "python-extending",
    "python-gui",
    "python-installed",
    "python-windows",
}
"""What this desk does not cover: the operating system, networks, windows and extensions."""
BOILERPLATE = {"NAME", "VERSION", "AUTHOR AND COPYRIGHT"}

Frame: TypeAlias = pd.DataFrame


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A section with its place.

    Attributes:
        id: unique, such as ``perlfaq4/why-is-int-broken``.
        document: such as ``perlfaq4``.
        question: whether it is the answer to a question of a FAQ.
        title: its heading.
        passages: its text in pieces; their ids are the entry's with ``:1``, ``:2`` and so on.
    """

    id: str
    document: str
    question: bool
    title: str
    passages: tuple[str, ...]

    @property
    def covered(self) -> bool:
        """Whether its document is in the corpus."""
        return self.document not in KEPT_OUT

    @property
    def passage_ids(self) -> tuple[str, ...]:
        """Ids of its passages, in order."""
        return tuple(f"{self.id}:{place}" for place in range(1, len(self.passages) + 1))


def entries(folder: Path = DOCUMENTS, words: int = WORDS) -> list[Entry]:
    """All sections of all documents.

    Args:
        folder: one folder of documents per package.
        words: most of a passage.

    Raises:
        MarkupError: a document holds markup that is not understood, or a package's folder is missing or empty.
    """
    found: list[Entry] = []
    for package, short in SHORT.items():
        files = sorted((folder / package).glob("*.*"))
        if not files:
            raise MarkupError(f"{folder / package} holds no documents")
        for file in files:
            document = short + file.name.split(".")[0]
            sections = _sections(file)
            found += entries_of(document, sections, faq=package in FAQS, words=words)
    return found


def _sections(file: Path) -> list[Section]:
    read = pod_sections if file.suffix == ".pod" else rst_sections
    return read(file.read_text("utf-8"), file.name)


def entries_of(document: str, sections: list[Section], *, faq: bool, words: int) -> Iterator[Entry]:
    """The sections of one document, cut into passages.

    Args:
        document: its name.
        sections: its sections.
        faq: whether headings that end in a question mark are questions.
        words: most of a passage.
    """
    taken: dict[str, int] = {}
    for section in sections:
        if section.title in BOILERPLATE:
            continue
        name = slug(section.title)
        taken[name] = taken.get(name, 0) + 1
        again = f"-{taken[name]}" if taken[name] > 1 else ""
        yield Entry(
            id=f"{document}/{name}{again}",
            document=document,
            question=faq and section.title.endswith("?"),
            title=section.title,
            passages=tuple(pieces(section.blocks, words)),
        )


def slug(title: str) -> str:
    """A heading as part of an id: at most eight words, lower case."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower())[:8]) or "untitled"


def pieces(blocks: tuple[str, ...], words: int) -> list[str]:
    """Blocks joined to passages of at most so many words; one longer block is a passage of its own."""
    done, held, count = list[str](), list[str](), 0
    for block in blocks:
        length = len(block.split())
        if held and count + length > words:
            done.append("\n\n".join(held))
            held, count = [], 0
        held.append(block)
        count += length
    return [*done, "\n\n".join(held)] if held else done


def passages(found: list[Entry]) -> Frame:
    """The corpus: columns ``id``, ``text``, ``document`` and ``title``, one row per passage."""
    rows = [
        (id_, text, entry.document, entry.title)
        for entry in found
        if entry.covered
        for id_, text in zip(entry.passage_ids, entry.passages, strict=True)
    ]
    return pd.DataFrame(rows, columns=["id", "text", "document", "title"])


def write(rows: Frame, path: Path) -> None:
    """Write the rows as Parquet, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    rows.to_parquet(partial, index=False)
    partial.replace(path)


def main() -> int:
    """Write the passages; 2 when the documents cannot be read."""
    try:
        found = entries()
    except (MarkupError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = passages(found)
    write(rows, PASSAGES)
    lengths = rows["text"].map(lambda text: len(text.split()))
    print(f"{PASSAGES}: {len(rows)} passages of {rows['document'].nunique()} documents", end=", ")
    print(f"{lengths.median():.0f} words in the middle, {lengths.max()} at most")
    print(f"not in it: {', '.join(sorted(KEPT_OUT))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
