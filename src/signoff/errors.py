"""What could not be decided, and what to do about it.

A refusal is not an error: decisions return values. An exception of this family means that nothing was
decided; commands report it with exit code 2. The one exception is a refusal by somebody else, which no value of
ours stands for: `RefusedError`, reported with exit code 1.

    SignoffError
    ├── UsageError       the command or call does not make sense
    ├── StandardError    the standard, or the roster beside it, has faults
    ├── DataError        evaluation or scoring data cannot be used
    ├── ModelError       a model's files cannot be used
    ├── EvidenceError    a statement, signature or log entry is broken
    ├── StoreError       MLflow, its database or a table cannot be reached or written
    │   └── ConflictError    somebody else decided something in between
    └── RefusedError     a server refused, or a released model that code asked for may not be used
"""

from collections.abc import Sequence
from dataclasses import dataclass


class SignoffError(Exception):
    """Something could not be decided.

    Attributes:
        what: one sentence that says what is wrong.
        where: the file and line, address or object concerned, when there is one.
        hint: what to do next, when we know.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class UsageError(SignoffError):
    """The command or call does not make sense as given."""


class DataError(SignoffError):
    """Evaluation or scoring data is missing, malformed or unusable."""


class ModelError(SignoffError):
    """A model's files are missing, unsafe to load or without what a release needs."""


class EvidenceError(SignoffError):
    """A statement, signature, key or log entry is malformed or does not verify."""


class StoreError(SignoffError):
    """MLflow, its database, or a table cannot be reached, read or written."""


class ConflictError(StoreError):
    """Somebody else decided something while this was decided; nothing was written."""


class RefusedError(SignoffError):
    """The server decided and refused, or a released model that code asked for may not be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing wrong in a file that a person wrote.

    Attributes:
        path: dotted path inside the document, such as ``use_cases.churn.primary.metric``; "" for the whole.
        line: 1-based line in the file, or None when there is no position.
        message: what is wrong.
        hint: what to write instead, when we can guess.
    """

    path: str
    line: int | None
    message: str
    hint: str | None = None


class StandardError(SignoffError):
    """A standard or roster has faults; all of them are listed, not only the first."""

    def __init__(self, file: str, faults: Sequence[Fault]) -> None:
        self.file = file
        self.faults = tuple(faults)
        count = len(self.faults)
        super().__init__(f"{count} fault{'s' if count != 1 else ''}", where=file)

    def __str__(self) -> str:
        lines = [f"{self.file}: {self.what}"]
        for fault in self.faults:
            position = self.file if fault.line is None else f"{self.file}:{fault.line}"
            lines.append(f"  {position}: {fault.path or '(document)'}: {fault.message}")
            if fault.hint:
                lines.append(f"      hint: {fault.hint}")
        return "\n".join(lines)
