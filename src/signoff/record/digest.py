"""Digests and canonical bytes: the one way in which this project names bytes."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import rfc8785

from signoff.errors import EvidenceError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

LARGEST_WHOLE = 2**53 - 1
"""Up to here a double tells every whole number from the next."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest; prints as ``sha256:<64 hex digits>``."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.match(self.hex):
            raise EvidenceError(f"{self.hex!r} is not a SHA-256 digest: 64 lower-case hex digits expected")

    @classmethod
    def of(cls, data: bytes) -> "Digest":
        """Digest of the bytes."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_json(cls, value: Json) -> "Digest":
        """Digest of the value's canonical JSON."""
        return cls.of(canonical_json(value))

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read ``sha256:<hex>``.

        Raises:
            EvidenceError: the text has another form.
        """
        prefix, _, value = text.partition(":")
        if prefix != "sha256":
            raise EvidenceError(f"{text!r} is not of the form sha256:<64 hex digits>")
        return cls(value)

    @property
    def short(self) -> str:
        """The first twelve hex digits, for people; never for a comparison."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


def canonical_json(value: Json) -> bytes:
    """The value as canonical JSON (RFC 8785): one value, one byte string, on every machine.

    Raises:
        EvidenceError: the value holds NaN, an infinity, or an integer beyond 2**53, or is nested without end.
    """
    try:
        return rfc8785.dumps(value)
    except RecursionError as error:
        raise EvidenceError("this value is nested too deeply") from error
    except rfc8785.CanonicalizationError as error:
        raise EvidenceError(f"this value has no canonical JSON: {error}") from error


def canonical_whole(text: str) -> int | float:
    """A whole number of canonical JSON, as it was before: the ``parse_int`` of whoever reads what is stored.

    All numbers are doubles there (RFC 8785, section 3.2.2.3), and from 2**53 to 10**21 a float is written without
    a point. It must be read as a float again: an integer of that size has no canonical JSON.
    """
    value = int(text)
    return value if abs(value) <= LARGEST_WHOLE else float(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDigest:
    """One file of a folder: POSIX path relative to it, size in bytes, digest of the content."""

    path: str
    size: int
    digest: Digest


def folder_digest(files: Sequence[FileDigest]) -> Digest:
    """The digest of a folder: of the canonical JSON of its sorted (path, size, digest) list."""
    rows: list[Json] = [
        [file.path, file.size, str(file.digest)] for file in sorted(files, key=lambda f: f.path)
    ]
    return Digest.of_json(rows)
