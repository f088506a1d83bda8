"""Statements, the audit log, and the log's head."""

import sqlalchemy as sa
from alembic import op

from signoff.evidence.merkle import EMPTY_ROOT, Frontier

revision = "0001"
down_revision = None

# SQLite numbers rows by itself only in a column that it calls INTEGER.
_ORDER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the three tables and the head of an empty log."""
    op.create_table(
        "signoff_statement",
        sa.Column("seq", _ORDER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(71), nullable=False, unique=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("use_case", sa.Text, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("run_id", sa.Text),
        sa.Column("envelope", sa.Text, nullable=False),
    )
    op.create_index("signoff_statement_use_case", "signoff_statement", ["use_case", "kind"])
    op.create_table(
        "signoff_log",
        sa.Column("idx", _ORDER, primary_key=True, autoincrement=False),
        sa.Column("use_case", sa.Text, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
    )
    op.create_index("signoff_log_use_case", "signoff_log", ["use_case", "idx"])
    head = op.create_table(
        "signoff_head",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("size", _ORDER, nullable=False),
        sa.Column("root", sa.String(71), nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
    )
    empty = {"id": 1, "size": 0, "root": f"sha256:{EMPTY_ROOT.hex()}", "frontier": Frontier().to_bytes()}
    op.bulk_insert(head, [empty])
