"""The row that says: this database is guarded by a server."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table; the server puts its row in when it first starts."""
    op.create_table(
        "signoff_guard",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("settings", sa.Text),
    )
