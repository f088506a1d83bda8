"""What a release decision rests on, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass

from signoff.evidence.statement import Statement
from signoff.record.digest import Digest, Json
from signoff.standard.model import Transition

REJECTION_CODES = (
    "missing-artifact",
    "insufficient-evidence",
    "data-quality",
    "performance",
    "fairness",
    "documentation",
    "business",
    "other",
)
"""Why a reviewer rejects; the periodic review counts these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that stands in the way.

    Attributes:
        code: stable, such as ``approval-missing`` or ``model-bytes-changed``.
        message: what is missing or wrong, with the values compared.
        fix: the command or action that would mend it; "" when nothing would.
    """

    code: str
    message: str
    fix: str = ""

    def to_json(self) -> Json:
        """All fields."""
        return {"code": self.code, "message": self.message, "fix": self.fix}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseDecision:
    """Whether a transition may happen; refused when any reason stands.

    Attributes:
        transition: what was asked.
        subject: what it was asked for, such as ``churn/3 to prod``.
        reasons: everything that stands in the way, not only the first.
        remarks: what readers must see although it does not stand in the way, such as a self-approval.
    """

    transition: Transition
    subject: str
    reasons: tuple[Reason, ...]
    remarks: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """True when nothing stands in the way."""
        return not self.reasons


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A statement from the ledger with what its signatures prove.

    Attributes:
        order: its place among the use case's statements, oldest 0.
        id: digest of its payload.
        statement: what it says.
        signers: e-mails of the roster's people whose signatures verify; distinct.
        problems: signatures that do not verify or whose key the roster does not know.
        vouched_by: e-mails of the servers that signed on behalf of a signer whom they authenticated.
    """

    order: int
    id: Digest
    statement: Statement
    signers: tuple[str, ...]
    problems: tuple[str, ...]
    vouched_by: tuple[str, ...] = ()

    @property
    def signed_by(self) -> str:
        """The signers for people's eyes, with the server that vouched; "" when nobody signed."""
        servers = f" (vouched by {', '.join(self.vouched_by)})" if self.vouched_by else ""
        return f"{', '.join(self.signers)}{servers}"

    def text(self, field: str) -> str:
        """A text field of the predicate; "" when it is absent or not a text."""
        value = self.statement.predicate.get(field)
        return value if isinstance(value, str) else ""

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts in the predicate; empty when absent."""
        value = self.statement.predicate.get(field)
        if not isinstance(value, list | tuple):
            return ()
        return tuple(item for item in value if isinstance(item, str))

    def number(self, field: str) -> int | None:
        """A whole number in the predicate; None when absent."""
        value = self.statement.predicate.get(field)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def precedes(self, other: "Signed") -> bool:
        """Whether it was said before the other: by its place, or by the log head that each signer saw.

        The place is the database's word; the head is signed, so a statement that was taken out and put
        back later does not become younger.
        """
        seen, then = self._log_size(), other._log_size()  # noqa: SLF001 - the same class
        by_head = bool(other.signers) and seen is not None and then is not None and seen <= then
        return by_head or self.order < other.order

    def _log_size(self) -> int | None:
        log = self.statement.predicate.get("log")
        size = log.get("size") if isinstance(log, Mapping) else None
        return size if isinstance(size, int) and not isinstance(size, bool) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What is released in an environment now.

    Attributes:
        statement: the release statement that covers the version.
        rollback: the rollback statement that returned to it; None when it was promoted last.
        version: version number in the registry.
        model: digest of the model's files.
        number: ever-increasing number of releases and rollbacks in this environment.
    """

    statement: Signed
    rollback: Signed | None
    version: int
    model: Digest
    number: int
