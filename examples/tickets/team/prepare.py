"""Write the tables that the desk works with.

    python prepare.py

``eval/documents.parquet``: the later documents with their queue, for the gate alone.
``inbox/documents.parquet``: documents that came in today, without a queue.
"""

import sys
from pathlib import Path

import pandas as pd

DOCUMENTS = Path("data/documents.parquet")
EVALUATION = Path("eval/documents.parquet")
INBOX = Path("inbox/documents.parquet")
TODAY = 16  # one in so many of the later documents is in today's inbox


def main() -> int:
    """Write both tables; 2 when the documents are missing."""
    if not DOCUMENTS.is_file():
        print(f"error: {DOCUMENTS} is missing: the documents belong there", file=sys.stderr)
        return 2
    later = pd.read_parquet(DOCUMENTS)
    later = later[later["part"] == "test"]
    today = later["document"].map(lambda name: int(name, 16) % TODAY == 0)
    for path, frame in ((EVALUATION, later[~today][["document", "queue", "text"]]), (INBOX, later[today][["document", "text"]])):  # fmt: skip
        path.parent.mkdir(exist_ok=True)
        frame.reset_index(drop=True).to_parquet(path, index=False)
        print(f"{path}: {len(frame)} documents")
    return 0


if __name__ == "__main__":
    sys.exit(main())
