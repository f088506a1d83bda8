"""Code as git keeps it: what differs between two commits, and who committed."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """One file that differs between two commits.

    Attributes:
        path: relative to the top of the repository.
        added: lines that only the newer commit has; None for a file that is not text.
        deleted: lines that only the older commit has; None for a file that is not text.
    """

    path: str
    added: int | None
    deleted: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitRecord:
    """One commit.

    Attributes:
        commit: full hash.
        parent: full hash of its first parent; None for the first commit.
        author: the author's name, as the commit claims it.
        email: the author's e-mail address, as the commit claims it.
        at: ISO 8601 time of authorship, with the author's time zone.
        subject: first line of the message.
    """

    commit: str
    parent: str | None
    author: str
    email: str
    at: str
    subject: str
