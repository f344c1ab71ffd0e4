"""What several workers share: tasks with their leases, the nodes that take part, and signals to all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables. Epochs are kept: they never go back (G7)."""
    op.create_table(
        "tasks",
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("last_holder", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    op.execute(
        "INSERT INTO tasks (task, epoch, holder, expires_at, last_holder, job, failures, outcome) "
        "SELECT task, epoch, '', 0, '', '', 0, '' FROM leases"
    )
    op.drop_table("leases")
    op.create_table(
        "nodes",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "signals",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
