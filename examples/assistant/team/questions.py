"""The questions: those that judge an assistant, and those that came in today.

    python questions.py

writes ``eval/questions.parquet``, the headings of both FAQs with the passages that answer them, and
``inbox/questions.parquet``, the lines of ``inbox.txt``.

The table that judges says two things about each question beside its answer:

- ``support``: ``unsupported`` when its document was kept out of the corpus. It is a real question without an answer
  here; the right thing to say is nothing.
- ``split``: a third is ``held out`` by the digest of its words. Settings are chosen on the rest (``tuning``).
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import TypeAlias

import pandas as pd
from corpus import Entry, entries, write
from markup import MarkupError

EVALUATION = Path("eval/questions.parquet")
ASKED = Path("inbox.txt")
INBOX = Path("inbox/questions.parquet")
TUNING, HELD_OUT = "tuning", "held out"
SUPPORTED, UNSUPPORTED = "supported", "unsupported"

Frame: TypeAlias = pd.DataFrame


def evaluation(found: list[Entry]) -> Frame:
    """One row per question of the FAQs.

    Returns:
        ``question`` (id), ``query``, ``relevant`` (JSON list of passage ids; empty when nothing answers it),
        ``support``, ``split`` and ``document``.
    """
    rows = [
        {
            "question": entry.id,
            "query": entry.title,
            "relevant": json.dumps(entry.passage_ids if entry.covered else ()),
            "support": SUPPORTED if entry.covered else UNSUPPORTED,
            "split": split(entry.title),
            "document": entry.document,
        }
        for entry in found
        if entry.question
    ]
    return pd.DataFrame(rows)


def split(query: str) -> str:
    """Whether settings may be chosen on a question: the same words always fall on the same side."""
    folded = " ".join(query.casefold().split())
    return HELD_OUT if int.from_bytes(hashlib.sha256(folded.encode()).digest()[:8]) % 3 == 0 else TUNING


def inbox(text: str) -> Frame:
    """Today's questions, one per line: ``question`` (number) and ``query``."""
    asked = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return pd.DataFrame({"question": [f"q{place}" for place in range(1, len(asked) + 1)], "query": asked})


def main() -> int:
    """Write both tables; 2 when the documents cannot be read."""
    try:
        judged, asked = evaluation(entries()), inbox(ASKED.read_text("utf-8"))
    except (MarkupError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write(judged, EVALUATION)
    write(asked, INBOX)
    print(f"{EVALUATION}: {len(judged)} questions")
    for (support, part), rows in judged.groupby(["support", "split"]):
        print(f"  {support:<12} {part:<9} {len(rows):>4}")
    print(f"{INBOX}: {len(asked)} questions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
