"""Wrong passwords by name and network, in place of a lock that holds for a person wherever they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table. The columns of `people` that it replaces stay, for nodes of the version before."""
    op.create_table(
        "guesses",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("locked_until", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("known_at", sa.BigInteger, nullable=False),
        sa.Index("ix_guesses_seen_at", "seen_at"),
    )
